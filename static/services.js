// The services view: cards, charts, the log, leases, health and the auditor.
// Whatever comes from the server ends in text nodes.

import { bytes, count, duration, measure, request, root } from './api.js';
import { drawLines, lastHour } from './charts.js';
import { Monitor } from './monitor.js';
import { keepFresh } from './refresh.js';
import { authorization } from './token.js';

const SERVICES = ['websocket', 'redis', 'supabase', 'kimi', 'glm'];
const LOG_MAX = 200;
const STATS_MS = 500;            // at most so often, while events come in
const SERIES_MS = 5000;
const FIGURES_MS = 3000;
const AUDITOR_MS = 5000;
const CACHES_MS = 60_000;        // the server goes through an hour of the log for it

const $ = id => document.getElementById(id);
const series = {};
let statsTimer = 0;

/** An element with text in it. */
function element(tag, text = '', classes = '') {
  const made = document.createElement(tag);
  made.textContent = text;
  if (classes) made.className = classes;
  return made;
}

// For a page that makes markup of texts, the server writes < as an entity.
const plain = text => String(text ?? '').replaceAll('&lt;', '<');

// ---- service cards --------------------------------------------------------

const FIGURES = [
  ['events', 'Events', s => count(s.total_events ?? 0)],
  ['errors', 'Errors', s => count(s.error_count ?? 0)],
  ['response', 'Mean response', s => (s.avg_response_time_ms ? `${measure(s.avg_response_time_ms)} ms` : '–')],
  ['size', 'Data', s => bytes(s.total_bytes ?? 0)],
];

for (const name of SERVICES) {
  const card = element('article', '', 'panel card');
  card.id = `card-${name}`;
  card.style.setProperty('--line', `var(--${name})`);
  const title = element('h2', name);
  title.append(element('span', '', 'health'));
  const list = element('dl');
  for (const [key, label] of FIGURES) {
    const pair = element('div');
    pair.append(element('dt', label), element('dd', '–', key));
    list.append(pair);
  }
  card.append(title, list);
  $('cards').append(card);
  const entry = element('li', name);
  entry.style.setProperty('--line', `var(--${name})`);
  $('legend').append(entry);
}

/** How a service fares, by its share of errors and its mean response time. */
function healthOf(stats) {
  if (!stats.total_events) return 'quiet';
  const errors = stats.error_count / stats.total_events;
  let score = 100 - (errors > 0.05 ? 40 : errors > 0.01 ? 20 : 0);
  score -= stats.avg_response_time_ms > 500 ? 30 : stats.avg_response_time_ms > 200 ? 10 : 0;
  return score >= 90 ? 'healthy' : score >= 70 ? 'degraded' : 'critical';
}

function showStats(name, stats) {
  const card = $(`card-${name}`);
  if (!card) return;
  for (const [key, , write] of FIGURES) card.querySelector(`.${key}`).textContent = write(stats);
  card.querySelector('.errors').classList.toggle('some', stats.error_count > 0);
  card.dataset.health = card.querySelector('.health').textContent = healthOf(stats);
}

// ---- the log ----------------------------------------------------------------

function addRow(event) {
  const row = element('tr');
  row.dataset.seq = event.seq;
  const failed = event.direction === 'error' || Boolean(event.error);
  row.classList.toggle('error', failed);
  row.style.setProperty('--line', `var(--${event.connection_type})`);
  const time = new Date(event.broadcast_time ?? event.timestamp * 1000);
  const cells = [event.seq, time.toISOString().slice(11, 23), event.connection_type, plain(event.direction),
    plain(event.function_name), event.response_time_ms === null ? '' : `${measure(event.response_time_ms)} ms`, plain(event.error)];
  row.append(...cells.map(text => element('td', text)));
  $('log').prepend(row);
  trimLog();
}

function addGap({ requested, first }) {
  const row = element('tr', '', 'gap');
  const cell = element('td', `Gap: events ${requested + 1} to ${first - 1} can no longer be read.`);
  cell.colSpan = 7;
  row.append(cell);
  $('log').prepend(row);
  trimLog();
}

function trimLog() {
  const rows = $('log').children;
  while (rows.length > LOG_MAX) rows[rows.length - 1].remove();
  $('shown').textContent = count(rows.length);
}

// ---- sessions, leases, charts -------------------------------------------------

function showSessions(data) {
  $('sessions').textContent = `${count(data.active_sessions)} / ${count(data.total_sessions)}`;
  $('conversation').textContent = data.conversation_length ? `${count(data.conversation_length)} messages` : '–';
  $('model').textContent = data.current_model;
  $('context').textContent = `${count(data.context_tokens_used)} / ${count(data.context_tokens_max)}`;
  $('context-meter').value = data.context_tokens_used / data.context_tokens_max;
}

function showLeases(data) {
  const items = [...Object.entries(data.ports).map(([, use]) => ['global', use]),
    ...Object.entries(data.providers).map(([key, use]) => [key.replace(/^\d+_/, '').toLowerCase(), use])];
  $('leases').replaceChildren(...items.map(([name, use]) => {
    const row = element('li');
    row.dataset.name = name;
    const meter = element('meter');
    Object.assign(meter, { min: 0, max: use.limit || 1, high: use.limit * 0.9, low: use.limit * 0.8, optimum: 0, value: use.current });
    row.append(element('span', name), meter, element('span', `${use.current} / ${use.limit}`));
    return row;
  }));
  $('leaks').textContent = count(data.total_leaks_detected);
  $('leases-state').textContent = data.health_status;
}

function showCharts() {
  for (const [id, field] of [['events', 'count'], ['response', 'avg_response_time'], ['errors', 'errors']]) {
    const svg = $(`chart-${id}`);
    const peak = drawLines(svg, Object.fromEntries(SERVICES.map(name => [name, lastHour(series[name], field)])));
    const caption = svg.previousElementSibling;
    caption.lastElementChild?.remove();
    caption.append(element('span', `peak ${Number.isInteger(peak) ? count(peak) : measure(peak)}`));
  }
}

// ---- the auditor ----------------------------------------------------------------

async function acknowledge(id) {
  await request(`api/auditor/observations/${encodeURIComponent(id)}/acknowledge`, { method: 'POST' });
}

function observationItem(o) {
  const item = element('li', '', o.acknowledged ? 'seen' : '');
  item.dataset.severity = o.severity;
  item.dataset.id = o.id;
  const when = element('p', '', 'when');
  when.append(element('time', new Date(o.timestamp).toISOString().slice(0, 19).replace('T', ' ')));
  if (!o.acknowledged) {
    const button = element('button', 'Acknowledge');
    button.type = 'button';
    button.addEventListener('click', async () => { await acknowledge(o.id).catch(console.warn); refreshAuditor(); });
    when.append(button);
  }
  item.append(element('p', o.observation), element('p', o.recommendation ?? '', 'advice'), when);
  return item;
}

async function refreshAuditor() {
  const found = await (await request('api/auditor/observations?limit=50')).json();
  const open = found.filter(o => !o.acknowledged);
  $('observations').replaceChildren(...found.map(observationItem));
  $('calm').hidden = found.length > 0;
  $('open').textContent = open.length ? `${open.length} open` : '';
  $('acknowledge-all').hidden = open.length < 2;
}

$('acknowledge-all').addEventListener('click', async () => {
  const open = document.querySelectorAll('#observations li:not(.seen)');
  await Promise.all([...open].map(item => acknowledge(item.dataset.id))).catch(console.warn);
  refreshAuditor();
});

// ---- health and figures ------------------------------------------------------------

function showPairs(list, pairs) {
  list.replaceChildren(...pairs.map(([label, text, bad]) => {
    const pair = element('div');
    pair.append(element('dt', label), element('dd', text, bad ? 'bad' : ''));
    return pair;
  }));
}

async function refreshHealth() {
  const response = await fetch(new URL('health', root), { cache: 'no-store', headers: authorization });   // 503 has a document, too
  const { status, components: c } = await response.json();
  $('health-state').textContent = status;
  showPairs($('health'), [
    ['Store', c.storage.status === 'healthy' ? `writes in ${measure(c.storage.write_ms)} ms` : c.storage.error, c.storage.status !== 'healthy'],
    ['Disk', `${measure(c.disk.disk_percent)} % used, ${measure(c.disk.disk_free_gb)} GiB free`, c.disk.status !== 'healthy'],
    ['Memory', `${measure(c.memory.process_memory_mb)} MiB, machine ${measure(c.memory.system_memory_percent)} %`, c.memory.status !== 'healthy'],
    ['Socket loop', `${count(c.loop.lag_ms)} ms late`, c.loop.status !== 'healthy'],
    ['Leases', c.semaphores.status, c.semaphores.status === 'critical'],
    ['Figures', c.metrics, c.metrics !== 'healthy'],
  ]);
}

async function refreshCurrent() {
  const now = await (await request('api/metrics/current')).json();
  const whole = Date.parse(now.timestamp) - Date.parse(now.since) > 298_000; // in whole seconds
  showPairs($('current'), [
    ['Response time, p95', `${measure(now.latency_p95)} ms`],
    ['Success rate', `${measure(now.success_rate)} %`, now.success_rate < 95],
    ['Memory', `${measure(now.memory_mb)} MiB`],
    ...(whole ? [] : [['Counted since', now.since]]),
  ]);
}

/** What caches did, by the rows of the report: one for each of the last hours and kinds of cache. */
async function refreshCaches() {
  const { metrics, summary } = await (await request('api/cache-metrics?time_range=1&aggregation=1hour')).json();
  const sum = key => metrics.reduce((all, row) => all + row[key], 0);
  const some = (summary.total_operations ?? 0) > 0;
  $('caches-state').textContent = some ? `${count(summary.total_operations)} operations` : 'no operations';
  showPairs($('caches'), some ? [
    ['Hit rate', `${measure(summary.overall_hit_rate)} %`],
    ['Hits / misses', `${count(sum('hits'))} / ${count(sum('misses'))}`],
    ['Sets / evictions', `${count(sum('sets'))} / ${count(sum('evictions'))}`],
    ['Errors', count(sum('errors')), sum('errors') > 0],
    ['Mean response', `${measure(summary.avg_response_time_ms ?? 0)} ms`],
  ] : []);
}

/** The sessions that have a name, each in a row. */
function showClients(clients) {
  const rows = Object.entries(clients).map(([name, c]) => {
    const row = element('tr');
    row.dataset.client = name;
    row.append(element('th', name), ...[
      count(c.connections.active), count(c.messages.sent), `${count(c.queue.current_size)} / ${count(c.queue.max_size)}`,
      count(c.connections.reconnections), count(c.connections.timeouts), count(c.messages.failed), count(c.queue.overflows),
      count(c.messages.deduplicated),
    ].map(text => element('td', text)));
    return row;
  });
  $('clients').replaceChildren(...rows);
  $('clients-panel').hidden = rows.length === 0;
}

async function refreshFigures() {
  const stats = await (await request('v1/stats')).json();
  const m = stats.websocket;
  $('version').textContent = stats.version;
  $('breaker').textContent = `breaker ${m.circuit_breaker.state}`;
  showPairs($('sockets'), [
    ['Connections', `${count(m.connections.active)} of ${count(m.connections.total)}`],
    ['Sent', count(m.messages.sent)],
    ['Lag now / peak', `${count(m.queue.current_size)} / ${count(m.queue.max_size)}`],
    ['Mean delivery', `${measure(m.latency.average_send_ms)} ms`],
    ['Reconnected', count(m.connections.reconnections)],
    ['Timed out / refused', `${count(m.connections.timeouts)} / ${count(m.connections.failed)}`, m.connections.timeouts > 0],
    ['Broke off / too far behind', `${count(m.messages.failed)} / ${count(m.queue.overflows)}`, m.queue.overflows > 0],
    ['Expired / duplicates', `${count(m.messages.expired)} / ${count(m.messages.deduplicated)}`],
    ['Retries, gone well', `${count(m.retry.attempts)}, ${measure(m.retry.success_rate * 100)} %`],
    ['Breaker opened / tried / closed',
      [m.circuit_breaker.opens, m.circuit_breaker.half_opens, m.circuit_breaker.closes].map(count).join(' / '), m.circuit_breaker.opens > 0],
    ['Uptime', duration(m.uptime_seconds * 1000)],
  ]);
  showClients(m.clients);
}

// ---- the feed ------------------------------------------------------------------------

function askForStats() {
  if (statsTimer) return;
  statsTimer = setTimeout(() => { statsTimer = 0; monitor.ask('get_stats'); }, STATS_MS);
}

function askForSeries() {
  for (const name of SERVICES) monitor.ask('get_time_series', { connection_type: name, interval_minutes: 1, hours: 1 });
}

const handlers = {
  initial_stats(frame) {
    for (const name of SERVICES) showStats(name, frame.stats[name]);
    showSessions(frame.session_metrics);
    showLeases(frame.semaphore_metrics);
    if (frame.first) frame.recent_events.forEach(addRow);   // oldest first
    askForSeries();
    for (const refresh of [refreshFigures, refreshHealth, refreshAuditor, refreshCurrent, refreshCaches]) refresh().catch(() => {});
  },
  event(frame) { addRow(frame); askForStats(); },
  stats(frame) { if (frame.connection_type) showStats(frame.connection_type, frame.stats); },
  session_metrics(frame) { showSessions(frame.data); },
  semaphore_metrics(frame) { showLeases(frame.data); },
  time_series_data(frame) { series[frame.connection_type] = frame.data; showCharts(); },
  gap: addGap,
  export_complete(frame) { $('exported').textContent = `Written: ${frame.filepath}`; },
  error(frame) { console.warn('tidemark:', frame.message); },
};

const STATES = { connecting: 'Connecting', live: 'Live' };

const monitor = new Monitor({
  state: showState,
  message(frame) { handlers[frame.type]?.(frame); },
});

function showState() {
  const { state, reason } = monitor;
  document.body.dataset.state = state;
  const seconds = Math.max(0, Math.ceil((monitor.retryAt - performance.now()) / 1000));
  $('state').textContent = STATES[state] ?? `Reconnecting in ${seconds} s`;
  $('reason').textContent = state === 'waiting' ? reason : '';
  const words = state === 'waiting' ? 'Connection lost. Reconnecting.' : STATES[state];
  if (state !== 'connecting' && words !== $('announce').textContent) $('announce').textContent = words;
}

$('export').addEventListener('click', () => monitor.ask('export', { filepath: 'monitoring_export.json' }));

monitor.connect();
setInterval(showState, 1000);
const connected = () => monitor.state === 'live';
keepFresh(askForSeries, SERIES_MS, connected);
keepFresh(refreshFigures, FIGURES_MS, connected);
keepFresh(refreshHealth, FIGURES_MS, connected);
keepFresh(refreshAuditor, AUDITOR_MS, connected);
keepFresh(refreshCurrent, FIGURES_MS, connected);
keepFresh(refreshCaches, CACHES_MS, connected);
