// The services view's reader: one WebSocket at /ws, and its position. It comes
// back by itself after the last seq it saw.

import { Connection } from './connection.js';

export class Monitor extends Connection {
  /** The listener is told of everything: state(monitor) and message(frame). */
  constructor(listener) { super('ws', listener); }

  /** Sends a command while the connection is live. */
  ask(command, fields = {}) {
    if (this.state === 'live') this.send(JSON.stringify({ command, ...fields }));
  }

  frame(text) {
    const frame = JSON.parse(text);
    if (frame.type === 'initial_stats') {
      const first = this.epoch === null;
      this.seq = frame.seq;
      this.epoch = frame.epoch;
      this.set('live');
      this.listener.message({ ...frame, first });
      return;
    }
    if (frame.type === 'event' || frame.type === 'test_event') {
      if (frame.seq <= this.seq) return;
      this.seq = frame.seq;
    }
    this.listener.message(frame);
  }
}
