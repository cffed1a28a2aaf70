// The page's reader: one WebSocket, one position. It comes back by itself and
// resumes after the last seq it saw, so nothing is lost or shown twice.

import { request } from './api.js';
import { Connection } from './connection.js';
import { readEnvelope } from './json.js';

const HISTORY = 200;             // events shown from before the page was opened
const PING_MS = 2000;
const SILENCE_MAX_MS = 10000;    // an unanswered ping this old: the peer is gone

export class Feed extends Connection {
  #pinged = 0;
  #heard = 0;
  #repeating = false;

  seq = 0;
  head = 0;

  /** The listener is told of everything: state(feed), event(record), gap(gap). States: also replaying. */
  constructor(listener) {
    super('v1/ws', listener);
    setInterval(() => this.#watch(), PING_MS);
  }

  get connected() { return this.state === 'live' || this.state === 'replaying'; }
  get lag() { return Math.max(0, this.head - this.seq); }

  /** Figures from elsewhere may know a newer head. */
  noteHead(epoch, head) { if (epoch === this.epoch && head > this.head) this.head = head; }

  // Where a first visit starts: a little before the head, but never so far
  // back that retention has already removed it. Every token that may read may
  // ask this, also one that is limited to some streams.
  async #start() {
    const { epoch, first, head } = await (await request('v1/events?after=head&limit=1')).json();
    this.epoch = epoch;
    this.head = head;
    this.seq = first > 0 ? Math.max(head - HISTORY, first - 1, 0) : head;
  }

  async locate() {
    if (this.epoch === null) await this.#start();
    this.#heard = 0;
    this.#pinged = performance.now();
  }

  // Timers of a hidden page may be minutes apart, so silence is measured from
  // the ping that went unanswered, not from the last frame.
  #watch() {
    const now = performance.now();
    if (this.closed) return;
    if (this.#heard < this.#pinged) {
      if (now - this.#pinged >= SILENCE_MAX_MS) this.lost('The server fell silent.');
    } else if (this.open) {
      this.#pinged = now;
      this.send('{"op":"ping"}');
    }
  }

  frame(text) {
    this.#heard = performance.now();
    const record = readEnvelope(text);
    if (record) return this.#event(record);
    const frame = JSON.parse(text);
    if (frame.op === 'hello') {
      this.epoch = frame.epoch;
      this.head = frame.head;
      this.set('replaying');
    } else if (frame.op === 'live') this.set('live');
    else if (frame.op === 'pong') this.head = frame.head;
    else if (frame.op === 'gap') this.#gap(frame);
    else if (frame.op === 'error') console.warn('tidemark:', frame.title, frame.detail);
    else if (!frame.op) console.error('tidemark: neither an event nor a message:', text.slice(0, 200));
  }

  #event(record) {
    if (record.seq <= this.seq) {
      if (!this.#repeating) this.listener.gap({ reason: 'repeat', requested: this.seq, first: record.seq });
      this.#repeating = true;
      return;
    }
    this.#repeating = false;
    if (record.seq > this.seq + 1) {
      this.listener.gap({ reason: 'missing', requested: this.seq, first: record.seq });
    }
    this.seq = record.seq;
    if (record.seq > this.head) this.head = record.seq;
    this.listener.event(record);
  }

  #gap({ requested, first, reason }) {
    this.seq = reason === 'ahead' || !(first > 0) ? this.head : first - 1;
    this.listener.gap({ reason, requested, first });
  }
}
