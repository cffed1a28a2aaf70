// Requests to the server that served this page, and how figures are written.

import { askToken, authorization } from './token.js';

const TIMEOUT_MS = 10000;

/** Where the server's paths begin: beside this file, or above it where it was loaded from /static/. */
export const root = new URL(/\/static\/[^/]*$/.test(import.meta.url) ? '..' : '.', import.meta.url);

/** The address of a WebSocket of the server. */
export function socketURL(path) {
  const url = new URL(path, root);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url;
}

/** Fetches `path`, relative to the root; throws an Error that says what the server said. */
export async function request(path, { method = 'GET', headers = {}, body } = {}) {
  let response;
  try {
    response = await fetch(new URL(path, root), {
      method, headers: { ...headers, ...authorization }, body, cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch {
    throw new Error('The server does not answer.');
  }
  if (response.ok) return response;
  if (response.status === 401) askToken();
  const problem = await response.json().catch(() => ({}));
  const parts = [problem.title ?? response.statusText, problem.detail].filter(Boolean);
  throw Object.assign(new Error(`${response.status} ${parts.join(': ')}`), { status: response.status });
}

const grouped = new Intl.NumberFormat('en');
const isNumber = value => typeof value === 'number' && Number.isFinite(value);

export const count = value => (isNumber(value) ? grouped.format(value) : '–');

/** Three significant digits, without an exponent. */
export function measure(value) {
  if (!isNumber(value)) return '–';
  if (value >= 100) return grouped.format(Math.round(value));
  return value.toFixed(value >= 10 ? 1 : 2);
}

export function bytes(value) {
  if (!isNumber(value)) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit++; }
  return `${unit === 0 ? value : value.toFixed(value < 100 ? 1 : 0)} ${units[unit]}`;
}

export function duration(ms) {
  if (!isNumber(ms)) return '–';
  const s = Math.floor(ms / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
}
