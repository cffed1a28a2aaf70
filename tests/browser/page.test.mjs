// The dashboard in a real browser against the real server.
//
//   scripts/bootstrap test && cd tests/browser && ../../scripts/node --test page.test.mjs
//
// Every test has a store, a server and a page of its own. At its end the page
// must have asked no other origin for anything and logged no error, except for
// refused connections while the server was down on purpose.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BINARY, Server, launch } from './server.mjs';

const WAIT_MAX_MS = 30000;       // covers the longest pause between two reconnects

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

// ---- one test: a store, a server, a page ----------------------------------

class Bench {
  #faults = [];
  #down = false;
  #expected = null;
  #directories = [];

  static async open(viewport = { width: 1440, height: 900 }, ...options) {
    const bench = new Bench();
    try {
      bench.data = await bench.directory();
      bench.server = await Server.start(bench.data, 0, ...options);
      bench.context = await browser.newContext({ viewport });
      bench.page = await bench.context.newPage();
      bench.#listen();
    } catch (error) {
      await bench.dispose();
      throw error;
    }
    return bench;
  }

  async directory() {
    const path = await mkdtemp(join(tmpdir(), 'tidemark-page-'));
    this.#directories.push(path);
    return path;
  }

  #listen() {
    const { page } = this;
    const own = url => new URL(url).host === `127.0.0.1:${this.server.port}`;
    page.on('console', message => {
      if (message.type() !== 'error') return;
      if (this.#expected?.test(message.text())) return;
      if (this.#down && message.text().includes('ERR_CONNECTION_')) return;
      this.#faults.push(`console: ${message.text()}`);
    });
    page.on('pageerror', error => this.#faults.push(`exception: ${error.stack}`));
    page.on('dialog', dialog => { this.#faults.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
    page.on('request', request => { if (!own(request.url())) this.#faults.push(`request: ${request.url()}`); });
    page.on('websocket', socket => { if (!own(socket.url())) this.#faults.push(`socket: ${socket.url()}`); });
  }

  async visit(path = '/') {
    const response = await this.page.goto(this.server.origin + path);
    await this.state('live');
    return response;
  }

  /** Errors on the console that are part of the test. */
  expect(text) { this.#expected = text; }

  async state(name) {
    await this.page.waitForSelector(`body[data-state="${name}"]`, { timeout: WAIT_MAX_MS });
  }

  async kill() {
    this.#down = true;
    await this.server.end('SIGKILL');
    await this.state('waiting');
  }

  /** Starts the server where it was, over the same data or other data. */
  async restart(data = this.data) {
    this.server = await Server.start(data, this.server.port);
    await this.state('live');
    this.#down = false;
  }

  /** Waits until the newest row is `seq`. */
  async newest(seq) {
    await this.page.waitForFunction(
      wanted => document.querySelector('.window .row')?.dataset.seq === wanted,
      String(seq), { timeout: WAIT_MAX_MS });
  }

  /** The rows as they are listed, top to bottom, scrolling through all of them. */
  rows() {
    return this.page.evaluate(async () => {
      const list = document.getElementById('list'), rows = new Map();
      const drawn = () => new Promise(done => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 120));
      for (let top = 0; ; top += list.clientHeight / 2) {
        list.scrollTop = top;
        await drawn();
        for (const row of list.querySelectorAll('.window .row')) {
          const cell = name => row.querySelector(`.${name}`).textContent;
          rows.set(Number(row.getAttribute('aria-rowindex')), {
            seq: row.dataset.seq ? Number(row.dataset.seq) : null,
            stream: cell('stream'), type: cell('type'), data: cell('data'),
          });
        }
        if (top + list.clientHeight >= list.scrollHeight) break;
      }
      list.scrollTop = 0;
      await drawn();
      return [...rows].sort((a, b) => a[0] - b[0]).map(([, row]) => row);
    });
  }

  text(selector) { return this.page.locator(selector).first().textContent(); }

  check() { assert.deepEqual(this.#faults, []); }

  async dispose() {
    await this.context?.close();
    await this.server?.end('SIGKILL');
    for (const path of this.#directories) await rm(path, { recursive: true, force: true });
  }
}

function pageTest(name, body, viewport, ...options) {
  test(name, { timeout: 120000 }, async () => {
    const bench = await Bench.open(viewport, ...options);
    try {
      await body(bench);
      bench.check();
    } finally {
      await bench.dispose();
    }
  });
}

const seqs = rows => rows.filter(row => row.seq !== null).map(row => row.seq);
const downFrom = (high, low = 1) => Array.from({ length: high - low + 1 }, (_, i) => high - i);

// ---- tests ---------------------------------------------------------------

pageTest('an empty store teaches how to publish, and the form does it', async bench => {
  const response = await bench.visit();
  assert.match(response.headers()['content-security-policy'] ?? '', /default-src 'self'/);
  const { page, server } = bench;
  await page.waitForSelector('#empty', { state: 'visible' });
  assert.equal(await bench.text('#empty code'),
    `curl --json '{"stream":"demo","type":"hello","data":{"n":1}}' ${server.origin}/v1/events`);

  await page.fill('#publish [name=data]', '{"price": 1.10, "big": 12345678901234567890}');
  await page.click('#publish [type=submit]');
  await bench.newest(1); // delivered, perhaps before the form has its answer
  await page.waitForFunction(() => /Stored as 1/.test(document.querySelector('#publish output').textContent));
  assert.equal(await page.isVisible('#empty'), false);
  assert.deepEqual(await bench.rows(),
    [{ seq: 1, stream: 'demo', type: 'hello', data: '{"price":1.10,"big":12345678901234567890}' }]);

  await page.fill('#publish [name=data]', '{"n":');
  await page.click('#publish [type=submit]');
  await page.waitForSelector('#publish output.failed');
  assert.match(await bench.text('#publish output'), /not JSON/);
});

pageTest('events are shown once, in order, as they were sent', async bench => {
  const { page, server } = bench;
  await server.publish(downFrom(40).map(n => ({ stream: `s${n % 3}`, type: 'early', data: { n } })));
  await bench.visit();
  await bench.newest(40);
  const raw = '{"zero":0.0,"e":1E+2,"text":"\\u00e5 \\"q\\" {[,:","list":[],"none":{},"deep":[1,{"a":null}]}';
  await server.publish(`{"stream":"raw","type":"late","id":"k1","data":${raw}}`);
  await bench.newest(41);

  const rows = await bench.rows();
  assert.deepEqual(seqs(rows), downFrom(41));
  assert.deepEqual(rows[0], { seq: 41, stream: 'raw', type: 'late', data: raw });
  assert.deepEqual(rows[40], { seq: 1, stream: 's1', type: 'early', data: '{"n":40}' });

  await page.click('.window .row[data-seq="41"]');
  assert.equal(await bench.text('#detail pre'), [
    '{',
    '  "zero": 0.0,',
    '  "e": 1E+2,',
    '  "text": "\\u00e5 \\"q\\" {[,:",',
    '  "list": [],',
    '  "none": {},',
    '  "deep": [',
    '    1,',
    '    {',
    '      "a": null',
    '    }',
    '  ]',
    '}'].join('\n'));
  assert.equal(await bench.text('#detail .id'), 'k1');

  await page.focus('#list');
  await page.keyboard.press('ArrowDown');
  assert.equal(await bench.text('#detail .seq'), '40');
  await page.keyboard.press('End');
  assert.equal(await bench.text('#detail .seq'), '1');
  await page.keyboard.press('Escape');
  assert.equal(await page.getAttribute('#detail', 'data-open'), 'false');

  await page.waitForFunction(() => document.getElementById('head').textContent === '41'
    && document.getElementById('lag').textContent === '0'
    && document.querySelectorAll('#streams tbody tr').length === 4
    && document.getElementById('figure-range').textContent === '1 – 41');
});

pageTest('markup in names and payloads is text', async bench => {
  const { page, server } = bench;
  const stream = '<img src=x onerror="window.pwned=1">';
  const type = '</span><script>window.pwned=2</script>';
  const data = { html: '<script>window.pwned=3</script><b>bold</b>' };
  await bench.visit();
  await server.publish({ stream, type, id: '<i>id</i>', data });
  await bench.newest(1);
  const [row] = await bench.rows();
  assert.deepEqual(row, { seq: 1, stream, type, data: JSON.stringify(data) });

  await page.click('.window .row');
  assert.equal(await bench.text('#detail .stream'), stream);
  assert.equal(await bench.text('#detail .id'), '<i>id</i>');
  assert.ok((await bench.text('#detail pre')).includes(data.html));
  await page.waitForSelector('#streams tbody button');
  assert.equal(await bench.text('#streams tbody button'), stream);
  await page.click('#streams tbody button');
  assert.equal(await page.inputValue('#stream'), stream);
  assert.deepEqual(seqs(await bench.rows()), [1]);

  assert.equal(await page.evaluate(() => window.pwned), undefined);
  assert.equal(await page.locator('main img, main script, main b, main i').count(), 0);
});

pageTest('of very many streams it shows some, and finds the others', async bench => {
  const { page, server } = bench;
  const name = n => `s${String(n).padStart(4, '0')}`;
  await server.publish(downFrom(1201).map(n => ({ stream: name(n - 1), data: n })));
  await bench.visit();
  await page.waitForFunction(() => document.querySelector('#streams .count').textContent === '1,000+');
  assert.equal(await page.locator('#streams tbody tr').count(), 200);
  await page.fill('#streams input', 's119');
  await page.waitForFunction(() => document.querySelectorAll('#streams tbody tr').length === 10);
  assert.deepEqual(await page.locator('#streams tbody button').allTextContents(), downFrom(1199, 1190).reverse().map(name));
  await page.fill('#streams input', 'nothing');
  await page.waitForFunction(() => document.querySelector('#streams .note').textContent === 'No stream begins with this.');
  await page.fill('#streams input', '');
  await page.waitForFunction(() => document.querySelectorAll('#streams tbody tr').length === 200);
});

pageTest('filters by stream and type, and reaches into history', async bench => {
  const { page, server } = bench;
  await server.publish([{ stream: 'rare', type: 'a', data: 1 }, { stream: 'rare', type: 'b', data: 2 }]);
  await server.publish(downFrom(300).map(n => ({ stream: 'busy', type: n % 2 ? 'a' : 'b', data: n })));
  await bench.visit();
  await bench.newest(302);
  assert.deepEqual(seqs(await bench.rows()), downFrom(302, 103), 'starts 200 before the head');

  await page.click('#streams tbody button:text-is("rare")');
  await bench.newest(2);
  await page.waitForFunction(() => document.querySelectorAll('.window .row').length === 2);
  assert.deepEqual(seqs(await bench.rows()), [2, 1]);
  assert.equal(await page.getAttribute('#streams [aria-pressed=true]', 'title'), 'rare');

  await server.publish([{ stream: 'busy', data: 3 }, { stream: 'rare', type: 'a', data: 4 }]);
  await bench.newest(304);
  assert.deepEqual(seqs(await bench.rows()), [304, 2, 1]);

  await page.fill('#type', 'a');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelectorAll('.window .row').length === 2);
  assert.deepEqual(seqs(await bench.rows()), [304, 1]);

  await page.fill('#type', 'no such type');
  await page.keyboard.press('Enter');
  await page.waitForSelector('#unmatched', { state: 'visible' });
  await page.click('#clear-too');
  await bench.newest(304);
  assert.deepEqual(seqs(await bench.rows()), downFrom(304, 103));
});

pageTest('stands still while paused, then shows what came', async bench => {
  const { page, server } = bench;
  await server.publish({ data: 1 });
  await bench.visit();
  await bench.newest(1);
  await page.click('#pause');
  await server.publish(downFrom(5).map(n => ({ data: n })));
  await page.waitForFunction(() => document.getElementById('pause').textContent === 'Resume (5 newer)');
  assert.deepEqual(seqs(await bench.rows()), [1]);
  await page.click('#pause');
  await bench.newest(6);
  assert.deepEqual(seqs(await bench.rows()), downFrom(6));
});

pageTest('comes back by itself after the server was killed, without loss or repeat', async bench => {
  await bench.visit();
  const acknowledged = [];
  let stop = false;
  const publisher = (async () => {
    for (let n = 1; !stop; n++) {
      try {
        acknowledged.push((await bench.server.publish({ stream: 'count', data: { n } })).first);
      } catch (error) {
        if (error.code === 'ERR_ASSERTION') throw error;
        await sleep(50);         // the server is down
      }
      await sleep(10);
    }
  })();
  for (let round = 0; round < 2; round++) {
    await sleep(600);
    await bench.kill();
    await bench.page.waitForFunction(() => /^Reconnecting in \d+ s$/.test(document.getElementById('state').textContent));
    await sleep(300);
    await bench.restart();
  }
  await sleep(600);
  stop = true;
  await publisher;

  const { head } = await (await fetch(`${bench.server.origin}/v1/stats`)).json();
  await bench.newest(head);
  assert.ok(head <= 500, 'all must fit the list');
  const listed = (await bench.rows()).map(row => row.seq);
  assert.deepEqual(listed, downFrom(head), 'no gap, no repeat, no hole');
  assert.deepEqual(acknowledged.filter(seq => !listed.includes(seq)), []);
});

pageTest('takes a token from its address, keeps it in the tab, and leaves it nowhere else', async bench => {
  const file = join(await bench.directory(), 'tokens');
  const run = (...words) => execFileSync(BINARY, ['token', ...words, '--tokens', file], { encoding: 'utf8', stdio: 'pipe' }).trim();
  const token = run('add', 'page', '--scope', 'read');
  await bench.server.end('SIGTERM');
  bench.server = await Server.start(bench.data, bench.server.port, '--tokens', file);
  for (const form of ['?x=1&access_token=', '#access_token=']) {
    await bench.visit(`/${form}${token}`);
    assert.ok(!bench.page.url().includes('access_token'), bench.page.url());
    assert.equal(new URL(bench.page.url()).search, form[0] === '?' ? '?x=1' : '');
    await bench.visit('/');
    await bench.visit('/services.html');
    await bench.page.evaluate(() => sessionStorage.clear());
  }
  bench.expect(/401 \(Unauthorized\)/);
  await bench.page.goto(`${bench.server.origin}/`);
  await bench.page.fill('#token input', token);
  await bench.page.click('#token button');
  await bench.state('live');
  const found = await bench.page.evaluate(secret => document.documentElement.outerHTML.includes(secret), token);
  assert.ok(!found, 'the token is not on the page');
});

pageTest('says so when another store answers', async bench => {
  await bench.server.publish([{ data: 'old 1' }, { data: 'old 2' }, { data: 'old 3' }]);
  await bench.visit();
  await bench.newest(3);
  await bench.kill();
  await bench.restart(await bench.directory());
  await bench.server.publish([{ data: 'new 1' }, { data: 'new 2' }]);
  await bench.newest(2);
  const rows = await bench.rows();
  assert.deepEqual(rows.map(row => row.seq), [2, 1, null, 3, 2, 1]);
  assert.match(rows[2].data, /another store/i);
  assert.deepEqual([rows[0].data, rows[3].data], ['"new 2"', '"old 3"']);
});

pageTest('shows gaps, announced or not, and repeats', async bench => {
  await bench.page.routeWebSocket(/\/v1\/ws/, socket => {
    const say = frame => socket.send(JSON.stringify(frame));
    const event = seq => say({ seq, time: '2026-01-01T00:00:00.000Z', stream: 's', type: 't', data: seq });
    say({ op: 'hello', epoch: 'E', first: 8, head: 12, after: 0, session: null });
    say({ op: 'gap', requested: 0, first: 8, reason: 'retention' });
    [8, 9, 9, 12].forEach(event);
    say({ op: 'live', seq: 12 });
  });
  await bench.visit();
  await bench.newest(12);
  const rows = await bench.rows();
  assert.deepEqual(rows.map(row => row.seq), [12, null, null, 9, 8, null]);
  assert.match(rows[1].data, /Events 10 to 11 did not arrive/);
  assert.match(rows[2].data, /Event 9 came again/);
  assert.match(rows[5].data, /Events 1 to 7 no longer exist/);
});

pageTest('keeps up with a flood and keeps at most 500 rows', async bench => {
  const { page, server } = bench;
  await bench.visit();
  const batch = JSON.stringify(downFrom(1000).map(n => ({ stream: `s${n % 7}`, data: { n, pad: 'x'.repeat(100) } })));
  for (let i = 0; i < 20; i++) await server.publish(batch);
  await bench.newest(20000);
  assert.equal(await bench.text('#shown'), '500 of 20,000 shown');
  assert.equal(await bench.text('#lag'), '0');
  assert.ok(await page.locator('.window .row').count() < 60, 'only what fits is in the document');
  assert.deepEqual(seqs(await bench.rows()), downFrom(20000, 19501));
});

pageTest('a payload too large to keep is fetched when it is opened', async bench => {
  const text = 'å'.repeat(150000);
  await bench.visit();
  await bench.server.publish({ data: { text, last: 1 } });
  await bench.newest(1);
  await bench.page.click('.window .row');
  await bench.page.waitForFunction(() => document.querySelector('#detail pre').textContent.length > 100000);
  assert.equal(await bench.text('#detail pre'), `{\n  "text": "${text}",\n  "last": 1\n}`);
});

pageTest('fits a telephone', async bench => {
  const { page, server } = bench;
  await server.publish(downFrom(30).map(n => ({
    stream: `a stream with a name that is much too long for this ${n % 2}`, type: 'a'.repeat(120),
    data: { text: 'w'.repeat(400) },
  })));
  await bench.visit();
  await bench.newest(30);
  await page.waitForSelector('#streams tbody tr');
  const wide = () => page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(await wide() <= 400);
  await page.click('.window .row[data-seq="29"]');
  assert.ok(await page.isVisible('#detail pre'));
  assert.ok(await wide() <= 400);
  await page.click('#detail .close');
  assert.equal(await page.isVisible('#detail'), false);
}, { width: 400, height: 800 });

pageTest('the pages live under a path of a proxy', async bench => {
  const { page, server } = bench;
  await bench.visit('/tide/mark'); // redirects to the slash
  assert.equal(new URL(page.url()).pathname, '/tide/mark/');
  await page.waitForSelector('#empty', { state: 'visible' });
  assert.match(await bench.text('#empty code'), new RegExp(`${server.origin}/tide/mark/v1/events$`));
  const asked = [];
  page.on('request', request => asked.push(new URL(request.url()).pathname));
  page.on('websocket', socket => asked.push(new URL(socket.url()).pathname));
  await page.fill('#publish [name=data]', '{"n":1}');
  await page.click('#publish [type=submit]');
  await bench.newest(1);
  await page.click('nav a[href="services.html"]');
  await page.waitForSelector('body[data-state="live"]', { timeout: WAIT_MAX_MS });
  await page.goto(`${server.origin}/tide/mark/problems`);
  await page.click('a[href="problems/queue-full"]');
  assert.equal(await page.textContent('h1'), 'queue-full');
  assert.ok(asked.includes('/tide/mark/ws'), asked.join(' '));
  assert.deepEqual(asked.filter(path => !path.startsWith('/tide/mark/')), []);
}, undefined, '--base-path', '/tide/mark');
