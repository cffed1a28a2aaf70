// The dashboard: puts the modules together. See feed.js for how events come in
// and rows.js for how they are shown.

import { count, request, root } from './api.js';
import { Detail, copyButton } from './detail.js';
import { Feed } from './feed.js';
import { Rate, drawSparkline, showFigures } from './figures.js';
import { readEnvelope } from './json.js';
import { publishForm } from './publish.js';
import { keepFresh } from './refresh.js';
import { Rows } from './rows.js';
import { Streams } from './streams.js';

const STATS_MS = 2000;
const STREAMS_MS = 3000;
const FILTER_HISTORY = 200;
const TYPES_MAX = 200;           // suggested in the filter

const $ = id => document.getElementById(id);
const rate = new Rate();
const types = new Set();
let store = 0;                   // stores seen; a new epoch is a new one

// ---- events -------------------------------------------------------------

const feed = new Feed({
  state: showState,
  event(record) {
    record.store = store;
    if (feed.state === 'live') rate.add();
    if (types.size < TYPES_MAX && !types.has(record.type)) {
      types.add(record.type);
      $('type-names').append(new Option('', record.type));
    }
    rows.add(record);
  },
  gap(gap) {
    if (gap.reason === 'epoch') store++;
    rows.add({ gap: gapText(gap), store, seq: feed.seq + 0.5 });
  },
});

const rows = new Rows($('list'), { onSelect: record => detail.show(record), onDraw: showEvents });
const detail = new Detail($('detail'), () => { rows.select(null); $('list').focus({ preventScroll: true }); });
const streams = new Streams($('streams'), $('stream-names'), chooseStream, () => refreshStreams());

function gapText({ reason, requested, first }) {
  const span = requested + 1 === first - 1 ? `Event ${first - 1}` : `Events ${requested + 1} to ${first - 1}`;
  switch (reason) {
    case 'retention': return `Gap: ${span} no longer exist; retention has removed them.`;
    case 'epoch': return `Gap: another store answers at this address now; reading starts at its first event.`;
    case 'diverged': return `Gap: position ${requested} is on a line of history that ended before it; reading goes on with event ${first}.`;
    case 'ahead': return `Gap: position ${requested} is past the head; reading goes on at the head.`;
    case 'repeat': return `Event ${first} came again after ${requested}; what came twice is shown once.`;
    default: return `Gap: ${span} did not arrive (${reason}).`;
  }
}

// ---- state and instruments ----------------------------------------------

const STATES = { connecting: 'Connecting', replaying: 'Replaying', live: 'Live' };

function showState() {
  const { state, reason } = feed;
  document.body.dataset.state = state;
  $('retry').hidden = state !== 'waiting';
  $('reason').textContent = state === 'waiting' ? reason : '';
  announce(state);
  showInstruments();
  if (state === 'live') {
    refreshStats();
    refreshStreams();
  }
  rows.draw();
}

// Attempts to reconnect are not read out one by one.
function announce(state) {
  const text = state === 'waiting' ? 'Connection lost. Reconnecting.' : STATES[state];
  if (state !== 'connecting' && text !== $('announce').textContent) $('announce').textContent = text;
}

function showInstruments() {
  const seconds = Math.max(0, Math.ceil((feed.retryAt - performance.now()) / 1000));
  $('state').textContent = STATES[feed.state] ?? `Reconnecting in ${seconds} s`;
  const known = feed.epoch !== null;
  $('head').textContent = known ? count(feed.head) : '–';
  $('lag').textContent = known ? count(feed.lag) : '–';
}

function showRate() {
  const series = rate.series();
  $('rate').textContent = count(series.at(-1));
  $('peak').textContent = `peak ${count(Math.max(...series))}`;
  drawSparkline($('spark'), series);
}

function showEvents() {
  showInstruments();
  const { shown, total, waiting, paused } = rows;
  const filtered = Boolean($('stream').value || $('type').value);
  $('shown').textContent = total === shown + waiting
    ? `${count(shown)} shown` : `${count(shown)} of ${count(total)} shown`;
  $('newer').hidden = paused || !waiting;
  $('newer').textContent = `${count(waiting)} newer`;
  $('pause').textContent = paused ? (waiting ? `Resume (${count(waiting)} newer)` : 'Resume') : 'Pause';

  const empty = shown === 0 && feed.connected;
  $('empty').hidden = !(empty && !filtered && feed.head === 0);
  $('unmatched').hidden = !(empty && filtered);
  $('quiet').hidden = !(empty && !filtered && feed.head > 0);
}

// ---- filter --------------------------------------------------------------

async function applyFilter() {
  const stream = $('stream').value, type = $('type').value;
  const key = JSON.stringify([stream, type]);
  if (key === applyFilter.key) return;
  applyFilter.key = key;
  streams.choose(stream);
  $('clear').hidden = !stream && !type;
  if (!stream && !type) {
    rows.filter(null);
    return;
  }
  rows.filter(record => (!stream || record.stream === stream) && (!type || record.type === type));

  // What the page has seen may hold few or none of these: ask history.
  if (feed.seq === 0) return;
  const query = new URLSearchParams({ order: 'desc', limit: FILTER_HISTORY, before: feed.seq + 1 });
  if (stream) query.set('stream', stream);
  if (type) query.set('type', type);
  const asked = store;
  try {
    const response = await request(`v1/events?${query}`, { headers: { Accept: 'application/x-ndjson' } });
    const found = (await response.text()).split('\n').map(readEnvelope).filter(Boolean);
    if (key !== applyFilter.key || asked !== store) return;
    rows.addHistory(found.map(record => Object.assign(record, { store })));
  } catch (error) {
    console.warn('tidemark: history:', error.message);
  }
}
applyFilter.key = JSON.stringify(['', '']);

function chooseStream(name) {
  $('stream').value = name;
  applyFilter();
}

for (const field of [$('stream'), $('type')]) {
  field.addEventListener('change', applyFilter);
  field.addEventListener('input', () => {
    if (!field.value || [...field.list.options].some(option => option.value === field.value)) applyFilter();
  });
}
$('filter').addEventListener('submit', event => { event.preventDefault(); applyFilter(); });
for (const id of ['clear', 'clear-too']) {
  $(id).addEventListener('click', () => { $('stream').value = $('type').value = ''; applyFilter(); });
}

// ---- controls ------------------------------------------------------------

$('pause').addEventListener('click', () => {
  rows.pause(!rows.paused);
  $('pause').ariaPressed = rows.paused;
});
$('newer').addEventListener('click', () => rows.toTop());
$('retry').addEventListener('click', () => feed.connectNow());
$('list').addEventListener('keydown', event => { if (event.key === 'Escape' && detail.open) detail.close(); });
$('detail').addEventListener('keydown', event => { if (event.key === 'Escape') detail.close(); });
window.addEventListener('online', () => feed.connectNow());

publishForm($('publish'));

for (const example of document.querySelectorAll('.example')) {
  const code = example.querySelector('code');
  code.textContent = code.textContent.replace('ORIGIN', root.href.replace(/\/$/, ''));
  copyButton(example.querySelector('button'), () => code.textContent);
}

// ---- figures from the server ---------------------------------------------

async function refreshStats() {
  try {
    const stats = await (await request('v1/stats')).json();
    feed.noteHead(stats.epoch, stats.head);
    showFigures(stats);
    showInstruments();
    $('figures').classList.remove('stale');
  } catch {
    $('figures').classList.add('stale');
  }
}

async function refreshStreams() {
  try {
    streams.show(await (await request(`v1/streams${streams.query}`)).json());
  } catch {
    // The last list stands; the connection's state says what is wrong.
  }
}

document.addEventListener('visibilitychange', () => {
  if (document.hidden) return;
  feed.connectNow();
  rows.draw();
});
setInterval(() => { if (!document.hidden) { showInstruments(); showRate(); } }, 1000);
const connected = () => feed.connected;
keepFresh(refreshStats, STATS_MS, connected);
keepFresh(refreshStreams, STREAMS_MS, connected);
showRate();
feed.connect();
