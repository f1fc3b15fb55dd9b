// @ts-check
// Words about tokens and limits of clients.

export const login = {
  "top.signOut": "Sign out",
  "login.title": "Sign in",
  "login.lead": "This service needs a token. Whoever runs it gives them out.",
  "login.token": "Token",
  "login.send": "Sign in",
};
