// What the renderer asks of a poster: what is in it, and to show it in part.
//
// Marks: data-layer = text | subject | object | scene-text (words on a thing, which stay on it).
// data-text: what an element says, its lines parted by "|", where the page cannot tell (curves, turned words).
// data-behind=unknown: what lies behind the element is not in the page (the cat of a photograph).

/** Shows a part: '' all, 'without-text', 'bare', or 'solo' with the number of an element. */
function show(part, number) {
  document.documentElement.className = part;
  for (const element of things()) element.classList.remove('solo');
  if (part === 'solo') things()[number].classList.add('solo');
}

/** Subjects and objects in the order in which they are painted. */
function things() {
  return [...document.querySelectorAll('[data-layer=subject], [data-layer=object]')];
}

/** Everything that is known of the poster. */
function describe() {
  const unmarked = textNodes(document.body).filter((node) => !node.parentElement.closest('[data-layer=text], [data-layer=scene-text]'));
  if (unmarked.length > 0) throw new Error(`words without a mark: ${unmarked.map((node) => node.data.trim()).join(' / ')}`);
  const { kind, script } = document.documentElement.dataset;
  const body = document.body.getBoundingClientRect();
  return {
    kind, script, width: Math.round(body.width), height: Math.round(body.height),
    lines: textElements().flatMap(lines),
    set: textElements().flatMap(setLines),
    things: things().map((one) => ({
      layer: one.dataset.layer, name: one.dataset.name ?? '', behind: one.dataset.behind ?? 'known',
      // A thing inside another is a part of it, and covers nothing of it.
      inside: things().indexOf(one.parentElement.closest('[data-layer=subject], [data-layer=object]')),
    })),
  };
}

function textElements() {
  return [...document.querySelectorAll('[data-layer=text]')];
}

function textNodes(root) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT, (node) =>
    node.data.trim() && !node.parentElement.closest('script, style, defs, title') ? NodeFilter.FILTER_ACCEPT : NodeFilter.FILTER_REJECT);
  const nodes = [];
  while (walker.nextNode()) nodes.push(walker.currentNode);
  return nodes;
}

function tidied(text) {
  return text.replace(/\s+/g, ' ').trim();
}

/** The lines of a text element: what it says. */
function lines(element) {
  if (element.dataset.text !== undefined) return element.dataset.text.split('|').map(tidied);
  if (element instanceof SVGElement) return textNodes(element).map((node) => tidied(node.data));
  return letterRows(element).map(({ words }) => tidied(words));
}

/** The level lines of a text element in one style: how they are set, and where their baselines start. */
function setLines(element) {
  if (element.dataset.text !== undefined || element instanceof SVGElement) return [];
  let isOpaque = true;
  for (let one = element; one; one = one.parentElement) {
    const { transform, opacity } = getComputedStyle(one);
    if (!['none', 'matrix(1, 0, 0, 1, 0, 0)'].includes(transform)) return [];
    isOpaque &&= opacity === '1';
  }
  const context = document.createElement('canvas').getContext('2d');
  return letterRows(element).filter(({ styles }) => styles.size === 1).map(({ words, box, styles }) => {
    const [{ fontFamily, fontWeight, fontStyle, fontSize, color }] = styles.values();
    context.font = `${fontStyle} ${fontWeight} ${fontSize} ${fontFamily}`;
    // The box of a letter is as high as its font, whose measures the page rounds.
    const baseline = box.top + Math.round(context.measureText(words).fontBoundingBoxAscent);
    const [red, green, blue, alpha = 1] = color.match(/[\d.]+/g).map(Number);
    return {
      words: tidied(words), family: fontFamily.split(',')[0].replace(/["']/g, ''), weight: Number(fontWeight),
      italic: fontStyle !== 'normal', size: parseFloat(fontSize), x: box.left, y: baseline,
      colour: isOpaque && alpha === 1 ? [red, green, blue] : null,
    };
  });
}

/** The rows of an element's letters, parted where they begin anew further down or far to the right. */
function letterRows(element) {
  const found = [];
  let last = null;
  for (const node of textNodes(element)) {
    const style = getComputedStyle(node.parentElement);
    const upper = style.textTransform === 'uppercase';
    const name = [style.fontFamily, style.fontWeight, style.fontStyle, style.fontSize, style.color].join();
    for (let i = 0; i < node.length; i++) {
      const range = document.createRange();
      range.setStart(node, i);
      range.setEnd(node, i + 1);
      const box = range.getBoundingClientRect();
      if (!node.data[i].trim() || box.height === 0) {
        if (found.length) found[found.length - 1].words += ' ';
        continue;
      }
      const isNew = !last || box.top > last.bottom - 0.3 * box.height || box.bottom < last.top + 0.3 * box.height ||
        box.left > last.right + 1.5 * box.height || box.right < last.left;
      if (isNew) found.push({ words: '', box, styles: new Map() });
      const row = found[found.length - 1];
      row.words += upper ? node.data[i].toUpperCase() : node.data[i];
      row.styles.set(name, style);
      last = box;
    }
  }
  return found;
}

// Drawings (drawings.js) and painted grounds (grounds.js) stand in the page before anything is measured.
for (const place of document.querySelectorAll('[data-draw]')) place.innerHTML = drawings[place.dataset.draw];
for (const canvas of document.querySelectorAll('canvas[data-ground]')) paintGround(canvas);
