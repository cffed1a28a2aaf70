// The services view against the real server, and a page that reads the monitoring profile the way the Python hub's pages do.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { OLD_PAGE, OLD_SEMAPHORES } from './old-pages.mjs';
import { Server, launch } from './server.mjs';

const WAIT_MAX_MS = 30000;

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

/** A store, a server, a page; `body` gets all three. Scripts that got in from data would set `pwned`. */
function monitorTest(name, options, body) {
  test(name, { timeout: 120000 }, async () => {
    const home = await mkdtemp(join(tmpdir(), 'tidemark-services-'));
    const bench = { home, faults: [], down: false };
    bench.start = async port => { bench.server = await Server.start(join(home, 'data'), port, ...options(home)); };
    try {
      await mkdir(join(home, 'pages', 'static'), { recursive: true });
      await writeFile(join(home, 'pages', 'monitoring_dashboard.html'), OLD_PAGE);
      await writeFile(join(home, 'pages', 'static', 'semaphores.html'), OLD_SEMAPHORES);
      await bench.start(0);
      bench.page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
      bench.page.on('pageerror', error => bench.faults.push(error.stack));
      bench.page.on('dialog', dialog => { bench.faults.push('a dialog'); dialog.dismiss(); });
      await body(bench);
      assert.deepEqual(bench.faults, []);
      assert.equal(await bench.page.evaluate(() => window.pwned), undefined);
    } finally {
      await bench.page?.close();
      await bench.server?.end('SIGKILL');
      await rm(home, { recursive: true, force: true });
    }
  });
}

const waitFor = (page, check, arg) => page.waitForFunction(check, arg, { timeout: WAIT_MAX_MS });
const live = page => page.waitForSelector('body[data-state="live"]', { timeout: WAIT_MAX_MS });
const text = (page, selector) => page.locator(selector).first().textContent();
const logSeqs = page => page.$$eval('#log tr[data-seq]', rows => rows.map(row => Number(row.dataset.seq)));
const kimi = n => ({
  connection_type: 'kimi', direction: 'outbound', function_name: 'chat', data_size_bytes: 1024, response_time_ms: 100,
  metadata: { continuation_id: 'c1', model: 'kimi-32k', tokens: n },
});

const IMAGE = '<img src=x onerror="window.pwned=1">';

// ---- our own view -----------------------------------------------------------

monitorTest('cards, session, log, leases, auditor and export', () => ['--audit-errors', '3'], async ({ server, page }) => {
  await page.goto(`${server.origin}/services.html`);
  await live(page);
  const peak = id => text(page, `figure:has(#chart-${id}) figcaption span`);
  await waitFor(page, () => document.querySelectorAll('figcaption span').length === 3);
  for (const id of ['events', 'response', 'errors']) assert.equal(await peak(id), 'peak 0');
  await server.publish([kimi(100), kimi(200), { connection_type: 'glm', direction: 'error', error: IMAGE, function_name: IMAGE }]);
  await waitFor(page, () => document.querySelector('#card-kimi .events').textContent === '2');
  assert.equal(await text(page, '#card-kimi .response'), '100 ms');
  assert.equal(await text(page, '#card-kimi .size'), '2.0 KiB');
  assert.equal(await text(page, '#card-glm .errors'), '1');
  assert.equal(await page.getAttribute('#card-glm', 'data-health'), 'critical');
  assert.equal(await text(page, '#conversation'), '2 messages');
  assert.equal(await text(page, '#context'), '200 / 32,000');
  assert.deepEqual(await logSeqs(page), [3, 2, 1]);
  assert.equal(await text(page, '#log tr.error td:nth-child(5)'), IMAGE);
  assert.equal(await page.locator('#log img').count(), 0);
  await waitFor(page, () => document.querySelector('#chart-events [data-service="kimi"]') !== null);

  await fetch(`${server.origin}/v1/leases`, { method: 'POST', body: '{"name":"glm","holder":"h"}' });
  await waitFor(page, () => document.querySelector('#leases [data-name="glm"]')?.textContent.includes('1 / 4'));
  await server.publish([1, 2, 3].map(n => ({ connection_type: 'redis', direction: 'error', error: `e${n}` })));
  await page.waitForSelector('#observations li[data-severity="critical"]', { timeout: WAIT_MAX_MS });
  await page.click('#observations button');
  await page.waitForSelector('#observations li.seen');
  await page.click('#export');
  await waitFor(page, () => document.getElementById('exported').textContent === 'Written: monitoring_export.json');
  await waitFor(page, () => document.getElementById('health-state').textContent === 'healthy'
    && document.getElementById('sockets').textContent.includes('Connections'));
  await page.evaluate(() => { window.named = new WebSocket(`ws://${location.host}/v1/ws?session=${encodeURIComponent('<b>')}`); });
  await waitFor(page, () => document.querySelector('#clients [data-client="<b>"] td')?.textContent === '1');
  await page.evaluate(() => window.named.close());
  await waitFor(page, () => document.querySelector('#clients [data-client="<b>"] td').textContent === '0');
});

monitorTest('percentile, success rate and caches', () => [], async ({ server, page }) => {
  const cache = hit => ({ connection_type: 'redis', response_time_ms: 5, metadata: { key: 'k', hit } });
  await server.publish([cache(true), cache(true), cache(false), { connection_type: 'glm', direction: 'error', error: 'e' }]);
  await page.goto(`${server.origin}/services.html`);
  await live(page);
  await waitFor(page, () => document.getElementById('caches-state').textContent === '3 operations'
    && document.getElementById('current').textContent !== '');
  const pairs = id => page.$$eval(`#${id} > div`, all => Object.fromEntries(all.map(
    pair => [pair.querySelector('dt').textContent, pair.querySelector('dd').textContent])));
  const current = await pairs('current');
  assert.deepEqual([current['Response time, p95'], current['Success rate']], ['5.00 ms', '75.0 %']);
  const caches = await pairs('caches');
  assert.deepEqual([caches['Hit rate'], caches['Hits / misses'], caches.Errors], ['66.7 %', '2 / 1', '0']);
});

monitorTest('the view comes back over two kills, without loss or repeat', () => [], async bench => {
  const { page } = bench;
  await page.goto(`${bench.server.origin}/services.html`);
  await live(page);
  let n = 0;
  const burst = async () => { for (let i = 0; i < 20; i++) await bench.server.publish(kimi(++n)); };
  for (let round = 0; round < 2; round++) {
    await burst();
    await waitFor(page, seq => document.querySelector('#log tr')?.dataset.seq === seq, String(n));
    const { port } = bench.server;
    await bench.server.end('SIGKILL');
    await page.waitForSelector('body[data-state="waiting"]', { timeout: WAIT_MAX_MS });
    await bench.start(port);
    await burst();               // perhaps before the page is back
    await live(page);
  }
  await waitFor(page, seq => document.querySelector('#log tr')?.dataset.seq === seq, String(n));
  assert.deepEqual(await logSeqs(page), Array.from({ length: n }, (_, i) => n - i));
  await waitFor(page, all => document.querySelector('#card-kimi .events').textContent === all, String(n));
  await page.reload();
  await live(page);
  assert.equal(await text(page, '#card-kimi .events'), String(n));
  assert.equal((await logSeqs(page))[0], n);
});

monitorTest('the view fits a telephone', () => [], async ({ server, page }) => {
  await page.setViewportSize({ width: 400, height: 800 });
  await server.publish([{ ...kimi(1), function_name: 'a'.repeat(300) }]);
  await page.goto(`${server.origin}/services.html`);
  await live(page);
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth) <= 400);
});

// ---- pages that read as the Python hub's pages do ------------------------------

const withPages = home => ['--static', join(home, 'pages'), '--audit-errors', '2', '--listen', '127.0.0.1:0'];

const shown = page => page.$$eval('#eventLog .event-item', all => all.map(item =>
  [item.querySelector('.event-details').textContent, item.classList.contains('error'), item.querySelector('.event-time').textContent]));
const connected = page => waitFor(page, () => document.getElementById('connectionStatus').textContent === 'Connected');
const says = (page, id, what) => waitFor(page, ([i, w]) => document.getElementById(i).textContent === w, [id, what]);
const CARDS = ['websocket', 'redis', 'supabase', 'kimi', 'glm'].map(name => `#${name}Stats`);
const cards = page => Promise.all(CARDS.map(id => text(page, id)));
const SESSION = ['#conversationLengthValue', '#contextWindowValue', '#currentModelValue'];

monitorTest('a page of the old kind, before and after a kill', withPages, async bench => {
  const { page } = bench;
  await page.goto(`${bench.server.origin}/monitoring_dashboard.html`);
  await connected(page);
  await says(page, 'websocketStats', '0, 0, N/A, 0 B'); // initial_stats comes after the connection
  assert.deepEqual(await cards(page), Array(5).fill('0, 0, N/A, 0 B'));
  assert.equal(await text(page, '#conversationLengthValue'), '-- messages');
  assert.equal(await text(page, '#contextWindowValue'), '0 / 128.0K (0%)');
  const sent = [kimi(500), { connection_type: 'redis', direction: 'inbound', function_name: IMAGE, error: null, data_size_bytes: 10 },
    { connection_type: 'glm', direction: IMAGE, error: IMAGE, function_name: '\u003cscript>window.pwned=2</script>' }];
  await bench.server.publish(sent);
  await page.evaluate(async () => {
    const socket = new WebSocket(`ws://${location.host}/events`);
    await new Promise(done => { socket.onopen = done; });
    for (const name of ['supabase', 'websocket']) {
      socket.send(JSON.stringify({ type: 'error', severity: 'error', service: name, message: `${name} failed`, response_time_ms: 700 }));
    }
  });
  await waitFor(page, () => document.querySelectorAll('.event-item').length === 5);
  const rows = await shown(page);
  assert.deepEqual(rows.map(([line]) => line).reverse(), ['kimi send chat (100.00ms)', `redis receive ${IMAGE}`,
    `glm ${IMAGE} <script>window.pwned=2</script> ${IMAGE}`, 'supabase error error (700.00ms) supabase failed',
    'websocket error error (700.00ms) websocket failed']);
  assert.deepEqual(rows.map(([, error]) => error), [true, true, true, false, false]);
  for (let seq = 1; seq <= 5; seq++) {
    const { time } = await (await fetch(`${bench.server.origin}/v1/events/${seq}`)).json();
    assert.equal(rows[5 - seq][2], time);
  }
  assert.equal(await page.locator('#eventLog img, #eventLog script').count(), 0);

  // The cards follow by themselves, one question an event; refreshing changes nothing.
  await says(page, 'websocketStats', '1, 1, 700.00 ms, 0 B');
  const was = ['1, 1, 700.00 ms, 0 B', '1, 0, N/A, 10 B', '1, 1, 700.00 ms, 0 B', '1, 0, 100.00 ms, 1.0 KB', '1, 1, N/A, 0 B'];
  assert.deepEqual(await cards(page), was);
  await page.click('#refresh');
  await page.evaluate(() => { for (const id of ['kimi', 'glm']) document.getElementById(`${id}Stats`).textContent = 'old'; });
  await page.click('#refresh');
  await says(page, 'kimiStats', was[3]);
  await says(page, 'glmStats', was[4]);
  // Two of five services at 30, for their errors and the time they took, and one at 60, for its error.
  assert.deepEqual([await text(page, '#healthScore'), await text(page, '#healthDetails')], ['64', 'Critical']);
  assert.equal(await text(page, '#connectionsScore'), '1');
  await says(page, 'throughputScore', '0.08');
  const charts = ['{"glm":1,"kimi":1,"redis":1,"supabase":1,"websocket":1}', '700.0 700.0 700.0', '5', '60'];
  const charted = () => Promise.all(['#eventsChart', '#responseChart', '#throughputChart', '#errorChart'].map(id => text(page, id)));
  assert.deepEqual(await charted(), charts);
  const session = () => Promise.all(SESSION.map(id => text(page, id)));
  const conversation = ['1 messages', '500 / 32.0K (2%)', 'kimi-32k'];
  assert.deepEqual(await session(), conversation);
  assert.equal(await text(page, '#activeSessionsValue'), '1');
  await bench.server.publish({ ...kimi(31000), direction: 'success', data_size_bytes: 0 });
  await says(page, 'contextWindowValue', '31.0K / 32.0K (97%)');
  assert.equal(await page.getAttribute('#contextWindowValue', 'class'), 'red');
  await says(page, 'conversationLengthValue', '2 messages');
  await says(page, 'kimiStats', '2, 0, 100.00 ms, 1.0 KB');
  await page.click('#export');
  await says(page, 'exported', 'monitoring_export.json');
  const exported = JSON.parse(await readFile(join(bench.home, 'data', 'exports', 'monitoring_export.json'), 'utf8'));
  assert.deepEqual([exported.summary.total_events, exported.recent_events.length], [6, 6]);

  // The same after a kill, and after a reload.
  const all = async () => [await shown(page), await cards(page), await session(), await text(page, '#healthScore')];
  const before = await all();
  const { port } = bench.server;
  await bench.server.end('SIGKILL');
  await says(page, 'connectionStatus', 'Disconnected');
  await bench.start(port);
  await connected(page);
  // A page that stays adds what it gets to what it has; its newest row is the newest event all the same.
  await waitFor(page, () => document.querySelectorAll('.event-item').length === 12);
  const [twice, ...rest] = await all();
  assert.deepEqual([twice, ...rest], [[...before[0], ...before[0]], ...before.slice(1)]);
  await page.reload();
  await connected(page);
  await says(page, 'throughputChart', '6');
  assert.deepEqual(await all(), before);
  const again = await charted();
  assert.deepEqual([again[0], again[3]], ['{"glm":1,"kimi":2,"redis":1,"supabase":1,"websocket":1}', '50']);
  assert.deepEqual([await text(page, '#errorRateScore'), await text(page, '#responseTimeScore')], ['50.0%', '700ms']);
});

monitorTest('the auditor panel of the old page', withPages, async bench => {
  const { page } = bench;
  await page.goto(`${bench.server.origin}/monitoring_dashboard.html`);
  await connected(page);
  await bench.server.publish([1, 2, 3].map(n => ({ connection_type: 'redis', direction: 'error', error: `e${n}` })));
  await page.waitForSelector('#auditorObservations .critical', { timeout: WAIT_MAX_MS });
  const line = await text(page, '#obs-1');
  assert.match(line, /^reliability\|\d+\|true\|.*redis.*\|.+\|3$/);
  assert.match(await text(page, '#toast'), /redis/);
  await page.click('#obs-1');
  await page.waitForSelector('#obs-1.acknowledged', { timeout: WAIT_MAX_MS });
  const { port } = bench.server;
  await bench.server.end('SIGKILL');
  await bench.start(port);
  await page.goto(`${bench.server.origin}/monitoring_dashboard.html`);
  await page.waitForSelector('#obs-1.acknowledged', { timeout: WAIT_MAX_MS });
  assert.equal(await text(page, '#obs-1'), line);
  assert.equal(await text(page, '#toast'), '');
});

monitorTest('a page of another port publishes a CloudEvent by its headers', withPages, async ({ server, page }) => {
  await page.goto(`${server.origin}/static/semaphores.html?port=${server.port}`);
  const status = await page.evaluate(async origin => (await fetch(`${origin}/v1/events`, {
    method: 'POST', body: '{"n":1}',
    headers: { 'Content-Type': 'application/json', 'ce-specversion': '1.0', 'ce-id': 'a', 'ce-source': 'page', 'ce-type': 't' },
  })).status, server.origins[1]);
  assert.equal(status, 201);
});

monitorTest('the semaphore page asks another port', withPages, async ({ server, page }) => {
  const take = async name => {
    const response = await fetch(`${server.origin}/v1/leases`, { method: 'POST', body: JSON.stringify({ name, holder: 'h' }) });
    assert.equal(response.status, 201);
    return (await response.json()).id;
  };
  const ids = [];
  for (let i = 0; i < 3; i++) ids.push(await take('kimi'));
  await page.goto(`${server.origin}/static/semaphores.html?port=${new URL(server.origins[1]).port}`);
  await says(page, 'overallStatus', 'HEALTHY');
  const values = () => Promise.all(['global', 'kimi', 'glm'].map(async name =>
    `${await text(page, `#${name}Status`)} ${await text(page, `#${name}Value`)} ${await text(page, `#${name}Progress`)}`));
  assert.deepEqual(await values(), ['healthy 21 / 24 13', 'healthy 3 / 6 50', 'healthy 4 / 4 0']);
  for (let i = 0; i < 4; i++) ids.push(await take('glm'));
  await says(page, 'glmStatus', 'exhausted');
  assert.deepEqual(await values(), ['healthy 17 / 24 29', 'healthy 3 / 6 50', 'exhausted 0 / 4 100']);
  assert.equal(await text(page, '#alerts'), 'glm');
  for (const id of ids) await fetch(`${server.origin}/v1/leases/${id}?holder=h`, { method: 'DELETE' });
  await says(page, 'glmValue', '4 / 4');
  await says(page, 'overallStatus', 'HEALTHY');
  assert.deepEqual(await values(), ['healthy 24 / 24 0', 'healthy 6 / 6 0', 'healthy 4 / 4 0']);
});
