// @ts-check
// Words about tokens and limits of clients.

export const login = {
  "top.signOut": "로그아웃",
  "login.title": "로그인",
  "login.lead": "이 서비스를 쓰려면 토큰이 필요합니다. 토큰은 운영자가 발급합니다.",
  "login.token": "토큰",
  "login.send": "로그인",
  "refusal.token_missing": "로그인해야 합니다.",
  "refusal.token_invalid": "토큰이 올바르지 않습니다. 잘못 입력했거나 폐기된 토큰입니다.",
  "refusal.scope_missing": "이 토큰으로는 할 수 없는 일입니다. 운영자에게 문의하세요.",
  "refusal.too_many_requests": "요청이 너무 많습니다.",
  "refusal.upload_quota": "업로드한 이미지가 한도에 이르렀습니다. 오래된 이미지가 지워질 때까지 기다리세요.",
  "refusal.storage_quota": "저장 공간의 한도에 이르렀습니다. 작업을 지우거나 오래된 것이 지워질 때까지 기다리세요.",
  "refusal.cross_origin": "이 페이지의 주소가 서비스에 허용되어 있지 않습니다. 운영자에게 문의하세요.",
  "refusal.client_queue_full": "기다리는 작업이 너무 많습니다. 일부가 시작되면 다시 시도하거나 몇 개를 취소하세요.",
};
