// @ts-check

/** Words of the editor's tools, menus and keys. */
export const editor = {
  "tools.pointer": "Pointer",
  "tools.move": "Move",
  "tools.hand": "Hand",
  "tools.more": "More",
  "inspector.more": "More",
  "layers.lock": "Lock {name}",

  "flag.rough": "rough",

  "menu.title": "Actions",
  "menu.rename": "Rename",
  "menu.hide": "Hide",
  "menu.show": "Show",
  "menu.solo": "Show only this",
  "menu.lock": "Lock",
  "menu.unlock": "Unlock",
  "menu.copyText": "Copy text",
  "menu.download": "Download as PNG",
  "menu.deselect": "Deselect",

  "words.notCopied": "The text could not be copied. Select it in the text panel instead.",

  "key.space": "Space",
  "key.arrows": "Arrows",

  "shortcuts.title": "Keyboard shortcuts",

  "shortcuts.view": "View",

  "shortcuts.layer": "Layer",

  "shortcuts.edit": "Edit",

  "shortcuts.mouse": "Mouse and touch",

  "shortcuts.view.move": "Move tool",
  "shortcuts.view.hand": "Hand tool",
  "shortcuts.view.pan": "Pan: hold and drag",
  "shortcuts.view.zoomIn": "Zoom in",
  "shortcuts.view.zoomOut": "Zoom out",
  "shortcuts.view.fit": "Fit the window",
  "shortcuts.view.actual": "Actual size",

  "shortcuts.layer.nudge": "Move by 1 or 10 px",
  "shortcuts.layer.raise": "Bring forward",
  "shortcuts.layer.lower": "Send backward",
  "shortcuts.layer.rename": "Rename",
  "shortcuts.layer.type": "Edit text",
  "shortcuts.layer.deselect": "Deselect",

  "shortcuts.edit.undo": "Undo",
  "shortcuts.edit.redo": "Redo",
  "shortcuts.edit.menu": "Menu of what is selected",
  "shortcuts.edit.help": "This list",

  "shortcuts.mouse.wheel": "Pan",
  "shortcuts.mouse.wheel.how": "Wheel, two fingers",
  "shortcuts.mouse.zoom": "Zoom at the pointer",
  "shortcuts.mouse.zoom.how": "Ctrl + wheel, pinch",
  "shortcuts.mouse.middle": "Pan",
  "shortcuts.mouse.middle.how": "Drag with the middle button",
  "shortcuts.mouse.double": "Edit text, rename in the list",
  "shortcuts.mouse.double.how": "Double-click",
  "shortcuts.mouse.context": "Menu",
  "shortcuts.mouse.context.how": "Right-click, long press",
  "options.loras": "LoRAs",
  "options.lorasOff": "off",
  "options.lorasHint": "Strength of each; 1 is what it was trained for, empty leaves it out.",
  "options.sampler": "Sampler",
  "options.sampler.euler": "Euler (as published)",
  "options.sampler.heun": "Heun (twice the time)",
  "options.samplerHint": "The others can do with fewer steps; how well depends on the weights.",

  "document.waiting": "The service does not answer. Your changes are kept in this browser and sent when it does.",
  "document.merged": "Somebody else edited this document too. Both changes were put together.",
  "document.theirs": "Take only theirs",
  "tools.waiting": "Not sent yet",
  "details.keep": "Keep for {count} days",
  "versions.title": "Versions",
  "versions.name": "Name of this version",
  "versions.keep": "Save version",
  "versions.restore": "Bring back",
  "versions.delete": "Delete the version “{name}”",
};
