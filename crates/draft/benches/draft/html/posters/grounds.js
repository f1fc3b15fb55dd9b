// Photograph-like grounds, painted with seeded noise: <canvas class=full data-ground=mountains data-seed=1>.

function seeded(seed) {
  let state = seed * 2654435761 >>> 0 || 1;
  return () => {
    state ^= state << 13; state >>>= 0; state ^= state >>> 17; state ^= state << 5; state >>>= 0;
    return state / 4294967296;
  };
}

/** Smooth noise in 0..1 at a place: a lattice of hashes, four octaves. */
function noise(x, y, seed, octaves = 4) {
  const hash = (i, j) => {
    let h = Math.imul(i, 374761393) + Math.imul(j, 668265263) + Math.imul(seed, 974634777) | 0;
    h = Math.imul(h ^ (h >>> 13), 1274126177);
    return ((h ^ (h >>> 16)) >>> 0) / 4294967296;
  };
  const smooth = (t) => t * t * (3 - 2 * t);
  let sum = 0, weight = 0, scale = 1;
  for (let octave = 0; octave < octaves; octave++) {
    const [u, v] = [x * scale, y * scale];
    const [i, j] = [Math.floor(u), Math.floor(v)];
    const [a, b] = [smooth(u - i), smooth(v - j)];
    const row = (k) => hash(i, k) * (1 - a) + hash(i + 1, k) * a;
    sum += (row(j) * (1 - b) + row(j + 1) * b) / scale;
    weight += 1 / scale;
    scale *= 2;
  }
  return sum / weight;
}

const mix = (a, b, t) => a.map((value, c) => value + (b[c] - value) * Math.min(1, Math.max(0, t)));
const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

/** Colour of a place (x, y in 0..1) of each ground; `p` are its colours. */
const painters = {
  // Ridges, each paler with distance, below a sky.
  mountains(x, y, seed, p) {
    let colour = mix(p[0], p[1], y * 1.6 + 0.15 * noise(x * 3, y * 8, seed));
    for (let ridge = 0; ridge < 5; ridge++) {
      const crest = 0.42 + ridge * 0.11 - 0.22 * noise(x * (2 + ridge), ridge * 9, seed + ridge, 6) + 0.08;
      if (y > crest) {
        const bark = noise(x * 60, y * 60, seed + 7, 3) - 0.5;
        const haze = Math.min(1, (y - crest) * 5);
        colour = mix(mix(p[1], p[2], (ridge + 0.6) / 5), p[2], (1 - haze) * 0.25 + 0.15 * ridge * (1 - haze)).map((v) => v + bark * 26 * (ridge + 1) / 5);
      }
    }
    return colour;
  },
  // Cloudy sky.
  sky(x, y, seed, p) {
    const cloud = noise(x * 4, y * 7, seed, 6);
    return mix(mix(p[0], p[1], y), p[2], (cloud - 0.48) * 4);
  },
  // Water seen from above, with light on its ripples.
  sea(x, y, seed, p) {
    const swell = noise(x * 9 + 2 * noise(x * 3, y * 3, seed + 1), y * 26, seed, 5);
    const colour = mix(p[0], p[1], y * 0.9 + 0.4 * noise(x * 2, y * 2, seed + 3));
    return mix(colour, p[2], Math.max(0, swell - 0.6) * 4);
  },
  // Wooden boards.
  wood(x, y, seed, p) {
    const board = Math.floor(x * 6);
    const grain = noise(x * 90 + 4 * noise(x * 8, y * 2, seed + board), y * 5 + board * 11, seed + board, 4);
    const edge = Math.abs(x * 6 - Math.round(x * 6)) < 0.012 ? -40 : 0;
    return mix(p[0], p[1], grain * 1.1 + 0.25 * noise(board, 0.5, seed) - 0.2).map((v) => v + edge);
  },
  // Paper or a wall: soft stains and fibres.
  paper(x, y, seed, p) {
    const fibre = noise(x * 160, y * 160, seed, 2) - 0.5;
    return mix(p[0], p[1], noise(x * 3, y * 3, seed, 5)).map((v) => v + fibre * 18);
  },
  // Leaves out of focus.
  leaves(x, y, seed, p) {
    const blob = noise(x * 7, y * 9, seed, 3), light = noise(x * 16, y * 20, seed + 5, 4);
    return mix(mix(p[0], p[1], blob * 1.6 - 0.3), p[2], (light - 0.62) * 5);
  },
};

/** Things on top of a ground that are drawn rather than computed. */
const details = {
  // Lights of a street at night, out of focus.
  bokeh(context, width, height, random, p) {
    context.globalCompositeOperation = 'lighter';
    for (let i = 0; i < 90; i++) {
      const radius = width * (0.008 + 0.045 * random() ** 2);
      const [x, y] = [random() * width, height * (0.15 + 0.8 * random())];
      const colour = p[2 + Math.floor(random() * (p.length - 2))].map(Math.round);
      const glow = context.createRadialGradient(x, y, 0, x, y, radius);
      glow.addColorStop(0, `rgba(${colour}, 0.30)`);
      glow.addColorStop(0.85, `rgba(${colour}, 0.42)`);
      glow.addColorStop(1, `rgba(${colour}, 0)`);
      context.fillStyle = glow;
      context.fillRect(x - radius, y - radius, 2 * radius, 2 * radius);
    }
  },
  // Houses with lit windows along the lower part.
  city(context, width, height, random, p) {
    for (let row = 0; row < 3; row++) {
      let x = -20;
      while (x < width) {
        const [wide, high] = [width * (0.05 + 0.09 * random()), height * (0.18 + 0.3 * random()) * (1 - row * 0.22)];
        const shade = mix(p[1], p[2], (row + 1) / 3).map(Math.round);
        context.fillStyle = `rgb(${shade})`;
        context.fillRect(x, height - high, wide + 1, high);
        for (let wy = height - high + 10; wy < height - 8; wy += 15) {
          for (let wx = x + 7; wx < x + wide - 8; wx += 12) {
            if (random() < 0.3) {
              const colour = p[3].map(Math.round);
              context.fillStyle = `rgba(${colour}, ${0.25 + 0.6 * random()})`;
              context.fillRect(wx, wy, 6, 8);
            }
          }
        }
        x += wide;
      }
    }
  },
};

/** data-ground: a name of `painters` or `details`; data-colours: at least three; data-grain: strength in levels. */
function paintGround(canvas) {
  const { ground, seed = '1', colours, grain = '7' } = canvas.dataset;
  const [width, height] = [document.body.clientWidth, document.body.clientHeight];
  Object.assign(canvas, { width, height });
  const context = canvas.getContext('2d');
  const palette = colours.split(' ').map(rgb);
  const paint = painters[ground] ?? ((x, y) => mix(palette[0], palette[1], y + 0.2 * noise(x * 3, y * 3, Number(seed))));
  const picture = context.createImageData(width, height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const colour = paint(x / width, y / width, Number(seed), palette);
      const at = (y * width + x) * 4;
      for (let c = 0; c < 3; c++) picture.data[at + c] = colour[c];
      picture.data[at + 3] = 255;
    }
  }
  context.putImageData(picture, 0, 0);
  const random = seeded(Number(seed));
  details[ground]?.(context, width, height, random, palette);
  // The grain of a camera.
  const taken = context.getImageData(0, 0, width, height);
  for (let at = 0; at < taken.data.length; at += 4) {
    const speck = (random() + random() - 1) * Number(grain);
    for (let c = 0; c < 3; c++) taken.data[at + c] += speck;
  }
  context.putImageData(taken, 0, 0);
}
