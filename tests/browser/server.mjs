// A server on a free port, and the browser that looks at it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

export const BINARY = resolve(process.env.TIDEMARK_BIN ?? '../../build/release/tidemark');
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const START_MAX_MS = 15000;

export const launch = () => chromium.launch({ executablePath: CHROMIUM, args: FLAGS });

export class Server {
  static async start(data, port = 0, ...options) {
    const server = new Server();
    server.process = spawn(BINARY, ['serve', '--data', data, '--listen', `127.0.0.1:${port}`, ...options],
      { stdio: ['ignore', 'ignore', 'pipe'] });
    server.ended = new Promise(done => {
      server.process.once('exit', done);
      server.process.once('error', done);
    });
    const lines = [];
    const listeners = 1 + options.filter(option => option === '--listen').length;
    server.origins = [];
    const ready = new Promise((done, fail) => {
      createInterface(server.process.stderr).on('line', line => {
        lines.push(line);
        const found = /tidemark: listening on (http:\/\/\S+)/.exec(line);
        if (found) server.origins.push(found[1]);
        if (server.origins.length === listeners) done(server.origins[0]);
      });
      server.process.once('error', fail);
      server.process.once('exit', code => fail(new Error(`server ended (${code}):\n${lines.join('\n')}`)));
      setTimeout(fail, START_MAX_MS, new Error('server did not start')).unref();
    });
    try {
      server.origin = await ready;
    } catch (error) {
      await server.end('SIGKILL');
      throw error;
    }
    server.port = Number(new URL(server.origin).port);
    return server;
  }

  async end(signal) {
    this.process.kill(signal);
    await this.ended;
  }

  async publish(events) {
    const response = await fetch(`${this.origin}/v1/events`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: typeof events === 'string' ? events : JSON.stringify(events),
    });
    assert.equal(response.status, 201, await response.clone().text());
    return response.json();
  }
}
