// Opens a page in Chromium and prints what it logs: `page.mjs URL NAME`. Lines of input are run in it, but for
// `reload`; at their end it ends.

import { createInterface } from 'node:readline';
import { launch } from '../browser/server.mjs';

const browser = await launch();
const page = await browser.newPage();
page.on('console', message => (message.type() === 'log' ? console.log : console.error)(message.text()));
page.on('pageerror', error => console.error(error.message));
await page.goto(process.argv.slice(2).join('/'));
for await (const line of createInterface(process.stdin)) await (line === 'reload' ? page.reload() : page.evaluate(line));
await browser.close();
