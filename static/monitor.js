// The services view's reader: one WebSocket at /ws, and its position. It comes
// back by itself after the last seq it saw.

import { socketURL } from './api.js';
import { delayAfter } from './backoff.js';
import { token } from './token.js';

export class Monitor {
  /** Told of everything: state(monitor) and message(frame). */
  #listener;
  #socket = null;
  #failures = 0;

  state = 'connecting';          // connecting, live, waiting
  reason = '';
  retryAt = 0;
  seq = null;                    // the last one seen; null before the first connection
  epoch = null;

  constructor(listener) { this.#listener = listener; }

  connect() {
    this.#set('connecting');
    const url = socketURL('ws');
    if (this.seq !== null) {
      url.searchParams.set('after', this.seq);
      url.searchParams.set('epoch', this.epoch);
    }
    if (token) url.searchParams.set('access_token', token);
    const socket = this.#socket = new WebSocket(url);
    socket.onmessage = ({ data }) => { if (socket === this.#socket) this.#frame(JSON.parse(data)); };
    socket.onclose = ({ reason }) => { if (socket === this.#socket) this.#wait(reason || 'The connection was lost.'); };
  }

  /** Sends a command, if somebody listens. */
  ask(command, fields = {}) {
    if (this.state === 'live') this.#socket.send(JSON.stringify({ command, ...fields }));
  }

  #set(state) {
    this.state = state;
    this.#listener.state(this);
  }

  #wait(reason) {
    this.#socket = null;
    this.reason = reason;
    const delay = delayAfter(this.#failures++);
    this.retryAt = performance.now() + delay;
    setTimeout(() => this.connect(), delay);
    this.#set('waiting');
  }

  #frame(frame) {
    if (frame.type === 'initial_stats') {
      const first = this.seq === null;
      this.seq = frame.seq;
      this.epoch = frame.epoch;
      this.#failures = 0;
      this.#set('live');
      this.#listener.message({ ...frame, first });
      return;
    }
    if (frame.type === 'event' || frame.type === 'test_event') {
      if (frame.seq <= this.seq) return;
      this.seq = frame.seq;
    }
    this.#listener.message(frame);
  }
}
