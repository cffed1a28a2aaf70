// The instruments: rate and sparkline of this page, and the server's figures.

import { bytes, count, duration, measure } from './api.js';

const SECONDS = 60;
const SLOTS = SECONDS + 2;       // the running second and one to spare
const CHART_HEIGHT = 20;

/** Counts events by the second they came in. */
export class Rate {
  #slots = new Uint32Array(SLOTS);
  #now = 0;

  #advance() {
    const now = Math.floor(performance.now() / 1000);
    for (let s = Math.max(this.#now + 1, now - SLOTS + 1); s <= now; s++) this.#slots[s % SLOTS] = 0;
    this.#now = now;
  }

  add() {
    this.#advance();
    this.#slots[this.#now % SLOTS]++;
  }

  /** The last 60 whole seconds, oldest first. */
  series() {
    this.#advance();
    return Array.from({ length: SECONDS }, (_, i) =>
      this.#slots[(this.#now - SECONDS + i + SLOTS) % SLOTS]);
  }
}

/** Draws the series as steps, one for each second, the peak at full height. */
export function drawSparkline(svg, series) {
  const peak = Math.max(1, ...series);
  let line = '';
  series.forEach((value, x) => {
    const y = CHART_HEIGHT - (value / peak) * (CHART_HEIGHT - 1);
    line += `${x ? 'V' : 'M0 '}${y.toFixed(2)}H${x + 1}`;
  });
  svg.querySelector('.line').setAttribute('d', line);
  svg.querySelector('.area').setAttribute('d', `${line}V${CHART_HEIGHT}H0Z`);
}

const triple = (object, names, write) => names.map(name => write(object?.[name])).join(' / ');

// What the strip shows of GET /v1/stats: id of the element, and its text.
const FIGURES = {
  uptime: s => duration(s.uptime_ms),
  range: s => (s.first > 0 && s.first <= s.head ? `${count(s.first)} – ${count(s.head)}` : 'none'),
  rates: s => triple(s.rate, ['events_1s', 'events_10s', 'events_60s'], measureRate),
  commits: s => count(s.commits?.count),
  latency: s => `${triple(s.commits?.latency_ms, ['p50', 'p99', 'max'], measure)} ms`,
  readers: s => triple(s.readers, ['websocket', 'sse', 'long_poll'], count),
  delivered: s => count(s.delivered),
  queue: s => `${count(s.queue?.events)} / ${bytes(s.queue?.bytes)}`,
  disk: s => triple(s.bytes, ['db', 'wal'], bytes),
  archives: s => `${count(s.archives?.count)} / ${bytes(s.archives?.bytes)}`,
  memory: s => bytes(s.memory?.rss_bytes),
};

function measureRate(value) {
  return Number.isInteger(value) ? count(value) : measure(value);
}

export function showFigures(stats) {
  for (const [id, write] of Object.entries(FIGURES)) {
    document.getElementById(`figure-${id}`).textContent = write(stats);
  }
  document.getElementById('version').textContent = stats.version ?? '';
}
