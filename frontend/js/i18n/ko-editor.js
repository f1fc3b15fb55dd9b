// @ts-check

/** Words of the editor's tools, menus and keys. */
export const editor = {
  "tools.pointer": "포인터",
  "tools.move": "이동",
  "tools.hand": "손",
  "tools.more": "더 보기",
  "inspector.more": "더 보기",
  "layers.lock": "{name} 잠그기",

  "flag.rough": "거침",

  "menu.title": "할 수 있는 일",
  "menu.rename": "이름 바꾸기",
  "menu.hide": "숨기기",
  "menu.show": "표시",
  "menu.solo": "이것만 표시",
  "menu.lock": "잠그기",
  "menu.unlock": "잠금 풀기",
  "menu.copyText": "텍스트 복사",
  "menu.download": "PNG로 다운로드",
  "menu.deselect": "선택 해제",

  "words.notCopied": "텍스트를 복사하지 못했습니다. 텍스트 패널에서 직접 선택하세요.",

  "key.space": "스페이스",
  "key.arrows": "화살표",

  "shortcuts.title": "단축키",

  "shortcuts.view": "보기",

  "shortcuts.layer": "레이어",

  "shortcuts.edit": "편집",

  "shortcuts.mouse": "마우스와 터치",

  "shortcuts.view.move": "이동 도구",
  "shortcuts.view.hand": "손 도구",
  "shortcuts.view.pan": "누른 채 끌어 화면 이동",
  "shortcuts.view.zoomIn": "확대",
  "shortcuts.view.zoomOut": "축소",
  "shortcuts.view.fit": "화면에 맞춤",
  "shortcuts.view.actual": "실제 크기",

  "shortcuts.layer.nudge": "1픽셀 또는 10픽셀 이동",
  "shortcuts.layer.raise": "앞으로 가져오기",
  "shortcuts.layer.lower": "뒤로 보내기",
  "shortcuts.layer.rename": "이름 바꾸기",
  "shortcuts.layer.type": "텍스트 편집",
  "shortcuts.layer.deselect": "선택 해제",

  "shortcuts.edit.undo": "실행 취소",
  "shortcuts.edit.redo": "다시 실행",
  "shortcuts.edit.menu": "선택한 레이어의 메뉴",
  "shortcuts.edit.help": "이 목록",

  "shortcuts.mouse.wheel": "화면 이동",
  "shortcuts.mouse.wheel.how": "휠, 두 손가락",
  "shortcuts.mouse.zoom": "포인터 위치에서 확대·축소",
  "shortcuts.mouse.zoom.how": "Ctrl + 휠, 핀치",
  "shortcuts.mouse.middle": "화면 이동",
  "shortcuts.mouse.middle.how": "가운데 버튼으로 끌기",
  "shortcuts.mouse.double": "텍스트 편집, 목록에서는 이름 바꾸기",
  "shortcuts.mouse.double.how": "두 번 클릭",
  "shortcuts.mouse.context": "메뉴",
  "shortcuts.mouse.context.how": "오른쪽 클릭, 길게 누르기",
  "options.loras": "LoRA 파일",
  "options.lorasOff": "끔",
  "options.lorasHint": "각각의 세기입니다. 1은 학습된 그대로이고, 비워 두면 쓰지 않습니다.",
  "options.sampler": "샘플러",
  "options.sampler.euler": "Euler (기본)",
  "options.sampler.heun": "Heun (시간 두 배)",
  "options.samplerHint": "다른 샘플러는 더 적은 단계로도 되지만, 결과는 가중치에 따라 다릅니다.",

  "document.waiting": "서비스가 응답하지 않습니다. 변경 내용은 이 브라우저에 보관했다가 다시 연결되면 보냅니다.",
  "document.merged": "다른 사람도 이 문서를 편집했습니다. 두 변경 내용을 합쳤습니다.",
  "document.theirs": "상대방의 변경만 적용",
  "tools.waiting": "아직 보내지 않음",
  "details.keep": "{count}일 동안 보관",
  "versions.title": "버전",
  "versions.name": "이 버전의 이름",
  "versions.keep": "버전 저장",
  "versions.restore": "되돌리기",
  "versions.delete": "“{name}” 버전 삭제",
};
