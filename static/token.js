// The token, where the server wants one. It comes with the page's address (?access_token= or #access_token=) or is asked for,
// and stays with this tab. The address is cleaned at once: it ends up in the history, in logs, and with whomever it is sent to.

const KEY = 'tidemark-token';

function take() {
  const url = new URL(location.href);
  const fragment = new URLSearchParams(url.hash.slice(1));
  const given = url.searchParams.get('access_token') ?? fragment.get('access_token');
  if (given === null) return sessionStorage.getItem(KEY);
  url.searchParams.delete('access_token');
  if (fragment.has('access_token')) url.hash = '';
  history.replaceState(history.state, '', url);
  sessionStorage.setItem(KEY, given);
  return given;
}

export const token = take();
/** The header that shows it. */
export const authorization = token ? { Authorization: `Bearer ${token}` } : {};

/** Asks for a token, once, and loads the page again with it. */
export function askToken() {
  if (document.getElementById('token')) return;
  const dialog = document.createElement('dialog');
  dialog.id = 'token';
  dialog.innerHTML = `<form method="dialog"><label>This server wants a token
    <input type="password" autocomplete="off" spellcheck="false" required></label> <button>Use it in this tab</button></form>`;
  dialog.querySelector('form').onsubmit = () => {
    sessionStorage.setItem(KEY, dialog.querySelector('input').value.trim());
    location.reload();
  };
  document.body.append(dialog);
  dialog.showModal();
}
