// A WebSocket that reconnects by itself: after a longer wait with each failure,
// and never at the same moment as all other pages.

import { socketURL } from './api.js';
import { token } from './token.js';

const FIRST_MS = 500;
const MAX_MS = 15000;

function delayAfter(failures) {
  const ceiling = Math.min(MAX_MS, FIRST_MS * 2 ** failures);
  return ceiling * (0.5 + Math.random() / 2);
}

/** A class that extends this has frame(text), and may have locate(), which is awaited before each attempt. */
export class Connection {
  #path;
  #socket = null;
  #timer = 0;
  #failures = 0;

  listener;                      // state(connection) is called with each change
  state = 'connecting';          // connecting, waiting, live; some have more
  reason = '';                   // why it is waiting
  retryAt = 0;                   // while waiting: performance.now() of the next attempt
  epoch = null;                  // the position: null before the first connection
  seq = null;                    // the last one received

  constructor(path, listener) {
    this.#path = path;
    this.listener = listener;
  }

  async connect() {
    clearTimeout(this.#timer);
    this.set('connecting');
    try {
      await this.locate?.();
      this.#open();
    } catch (error) {
      this.lost(error.message);
    }
  }

  /** Ends the wait between two attempts. */
  connectNow() { if (this.state === 'waiting') this.connect(); }

  get open() { return this.#socket?.readyState === WebSocket.OPEN; }
  get closed() { return this.#socket === null; }

  send(text) { this.#socket.send(text); }

  set(state) {
    if (state === 'live') this.#failures = 0;
    this.state = state;
    this.listener.state(this);
  }

  /** The connection is lost, or is given up. */
  lost(reason) {
    this.#socket?.close();
    this.#socket = null;
    this.reason = reason;
    const delay = delayAfter(this.#failures++);
    this.retryAt = performance.now() + delay;
    this.#timer = setTimeout(() => this.connect(), delay);
    this.set('waiting');
  }

  #open() {
    const url = socketURL(this.#path);
    if (this.epoch !== null) {
      url.searchParams.set('after', this.seq);
      url.searchParams.set('epoch', this.epoch);
    }
    if (token) url.searchParams.set('access_token', token);
    const socket = this.#socket = new WebSocket(url);
    socket.onmessage = ({ data }) => { if (socket === this.#socket) this.frame(data); };
    socket.onclose = ({ code, reason }) => {
      if (socket !== this.#socket) return;
      this.lost(reason || (code === 1006 ? 'The connection was lost.' : `Closed by the server (${code}).`));
    };
  }
}
