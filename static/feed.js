// The page's reader: one WebSocket, one position. It comes back by itself and
// resumes after the last seq it saw, so nothing is lost or shown twice.

import { request, socketURL } from './api.js';
import { delayAfter } from './backoff.js';
import { readEnvelope } from './json.js';
import { token } from './token.js';

const HISTORY = 200;             // events shown from before the page was opened
const PING_MS = 2000;
const SILENCE_MAX_MS = 10000;    // an unanswered ping this old: the peer is gone

export class Feed {
  /** Told of everything: state(feed), event(record), gap(gap). */
  #listener;
  #socket = null;
  #timer = 0;
  #failures = 0;
  #pinged = 0;
  #heard = 0;
  #repeating = false;

  state = 'connecting';          // connecting, replaying, live, waiting
  reason = '';                   // why it is waiting
  retryAt = 0;                   // while waiting: performance.now() of the next try
  epoch = null;
  seq = 0;                       // the last one received
  head = 0;

  constructor(listener) {
    this.#listener = listener;
    setInterval(() => this.#watch(), PING_MS);
  }

  get connected() { return this.state === 'live' || this.state === 'replaying'; }
  get lag() { return Math.max(0, this.head - this.seq); }

  async connect() {
    clearTimeout(this.#timer);
    this.#set('connecting');
    try {
      if (this.epoch === null) await this.#locate();
      this.#open();
    } catch (error) {
      this.#wait(error.message);
    }
  }

  /** Ends the waiting between two attempts. */
  connectNow() { if (this.state === 'waiting') this.connect(); }

  /** Figures from elsewhere may know a newer head. */
  noteHead(epoch, head) { if (epoch === this.epoch && head > this.head) this.head = head; }

  #set(state) {
    this.state = state;
    this.#listener.state(this);
  }

  // Where a first visit starts: a little before the head, but never so far
  // back that retention has already removed it. Every token that may read may
  // ask this, also one that is limited to some streams.
  async #locate() {
    const { epoch, first, head } = await (await request('v1/events?after=head&limit=1')).json();
    this.epoch = epoch;
    this.head = head;
    this.seq = first > 0 ? Math.max(head - HISTORY, first - 1, 0) : head;
  }

  #open() {
    const url = socketURL('v1/ws');
    url.searchParams.set('after', this.seq);
    url.searchParams.set('epoch', this.epoch);
    if (token) url.searchParams.set('access_token', token);
    const socket = this.#socket = new WebSocket(url);
    this.#heard = 0;
    this.#pinged = performance.now();
    socket.onmessage = ({ data }) => { if (socket === this.#socket) this.#frame(data); };
    socket.onclose = ({ code, reason }) => {
      if (socket !== this.#socket) return;
      this.#wait(reason || (code === 1006 ? 'The connection was lost.' : `Closed by the server (${code}).`));
    };
  }

  #wait(reason) {
    this.#socket = null;
    this.reason = reason;
    const delay = delayAfter(this.#failures++);
    this.retryAt = performance.now() + delay;
    this.#timer = setTimeout(() => this.connect(), delay);
    this.#set('waiting');
  }

  // Timers of a hidden page may be minutes apart, so silence is measured from
  // the ping that went unanswered, not from the last frame.
  #watch() {
    const socket = this.#socket, now = performance.now();
    if (!socket) return;
    if (this.#heard < this.#pinged) {
      if (now - this.#pinged < SILENCE_MAX_MS) return;
      this.#wait('The server fell silent.');
      socket.close();
    } else if (socket.readyState === WebSocket.OPEN) {
      this.#pinged = now;
      socket.send('{"op":"ping"}');
    }
  }

  #frame(text) {
    this.#heard = performance.now();
    const record = readEnvelope(text);
    if (record) return this.#event(record);
    const frame = JSON.parse(text);
    if (frame.op === 'hello') {
      this.epoch = frame.epoch;
      this.head = frame.head;
      this.#set('replaying');
    } else if (frame.op === 'live') {
      this.#failures = 0;
      this.#set('live');
    } else if (frame.op === 'pong') this.head = frame.head;
    else if (frame.op === 'gap') this.#gap(frame);
    else if (frame.op === 'error') console.warn('tidemark:', frame.title, frame.detail);
    else if (!frame.op) console.error('tidemark: neither an event nor a message:', text.slice(0, 200));
  }

  #event(record) {
    if (record.seq <= this.seq) {
      if (!this.#repeating) this.#listener.gap({ reason: 'repeat', requested: this.seq, first: record.seq });
      this.#repeating = true;
      return;
    }
    this.#repeating = false;
    if (record.seq > this.seq + 1) {
      this.#listener.gap({ reason: 'missing', requested: this.seq, first: record.seq });
    }
    this.seq = record.seq;
    if (record.seq > this.head) this.head = record.seq;
    this.#listener.event(record);
  }

  #gap({ requested, first, reason }) {
    this.seq = reason === 'ahead' || !(first > 0) ? this.head : first - 1;
    this.#listener.gap({ reason, requested, first });
  }
}
