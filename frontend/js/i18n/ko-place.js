// @ts-check

/** Words for the place, size and order of layers. */
export const place = {
  "place.x": "왼쪽 가장자리(픽셀)",
  "place.y": "위쪽 가장자리(픽셀)",
  "place.width": "너비(픽셀)",
  "place.height": "높이(픽셀)",
  "place.turn": "회전 각도(시계 방향)",
  "place.keep": "비율 유지",
  "place.align": "정렬과 분배",
  "place.align.left": "왼쪽 맞춤",
  "place.align.centre": "가로 가운데 맞춤",
  "place.align.right": "오른쪽 맞춤",
  "place.align.top": "위쪽 맞춤",
  "place.align.middle": "세로 가운데 맞춤",
  "place.align.bottom": "아래쪽 맞춤",
  "place.distribute.x": "가로 간격 같게",
  "place.distribute.y": "세로 간격 같게",
  "shortcuts.mouse.stretch": "자유롭게 늘이기, 15°씩 회전",
  "shortcuts.mouse.stretch.how": "Shift를 누른 채 핸들 끌기",
};
