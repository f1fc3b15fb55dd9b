// @ts-check

/** Words for the place, size and order of layers. */
export const place = {
  "place.x": "Left edge, in pixels",
  "place.y": "Top edge, in pixels",
  "place.width": "Width in pixels",
  "place.height": "Height in pixels",
  "place.turn": "Rotation in degrees, clockwise",
  "place.keep": "Keep proportions",
  "place.align": "Align and distribute",
  "place.align.left": "Align left edges",
  "place.align.centre": "Align centres horizontally",
  "place.align.right": "Align right edges",
  "place.align.top": "Align top edges",
  "place.align.middle": "Align centres vertically",
  "place.align.bottom": "Align bottom edges",
  "place.distribute.x": "Distribute horizontally",
  "place.distribute.y": "Distribute vertically",
  "shortcuts.mouse.stretch": "Stretch freely, turn in steps of 15°",
  "shortcuts.mouse.stretch.how": "Hold Shift while dragging a handle",
};
