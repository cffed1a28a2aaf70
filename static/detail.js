// The side panel: one event, with its payload laid out but not altered.

import { bytes, request, root } from './api.js';
import { indent, readEnvelope } from './json.js';
import { token } from './token.js';

const HIGHLIGHTS_MAX = 5000;
const utf8 = new TextEncoder();

/** Makes `button` copy text(); browsers allow it on secure origins only. */
export function copyButton(button, text) {
  button.hidden = !navigator.clipboard;
  button.addEventListener('click', async () => {
    const copied = await navigator.clipboard.writeText(text()).then(() => true, () => false);
    button.textContent = copied ? 'Copied' : 'Not allowed';
    setTimeout(() => { button.textContent = 'Copy'; }, 1500);
  });
}

// A string at the start of a line and followed by a colon is a member's name:
// no string holds a line feed. Highlights colour text without elements in it.
function highlightMembers(pre) {
  if (!CSS.highlights) return;
  const node = pre.firstChild, ranges = [];
  for (const found of node.data.matchAll(/^ *("[^"\\]*(?:\\.[^"\\]*)*"): /gm)) {
    const range = new StaticRange({
      startContainer: node, startOffset: found.index + found[0].length - found[1].length - 2,
      endContainer: node, endOffset: found.index + found[0].length - 2,
    });
    if (ranges.push(range) === HIGHLIGHTS_MAX) break;
  }
  CSS.highlights.set('member', new Highlight(...ranges));
}

export class Detail {
  #panel; #record = null; #onClose;

  constructor(panel, onClose) {
    this.#panel = panel;
    this.#onClose = onClose;
    this.#part('.close').addEventListener('click', () => this.close());
    copyButton(this.#part('.copy'), () => this.#part('pre').textContent);
  }

  #part(selector) { return this.#panel.querySelector(selector); }

  get open() { return this.#record !== null; }

  close() {
    this.#record = null;
    this.#panel.dataset.open = 'false';
    this.#onClose();
  }

  async show(record) {
    if (record === this.#record) return;
    this.#record = record;
    this.#panel.dataset.open = 'true';
    for (const name of ['seq', 'time', 'stream', 'type', 'id']) {
      this.#part(`.${name}`).textContent = record[name] ?? 'none';
    }
    this.#part('.raw').href = new URL(`v1/events/${record.seq}`, root);
    this.#part('.raw').hidden = token !== null; // a link shows no token, and must not hold one
    const pre = this.#part('pre');
    let data = record.data;
    if (record.cut) {
      this.#part('.size').textContent = '';
      pre.textContent = 'Fetching the payload …';
      try {
        const text = await (await request(`v1/events/${record.seq}`)).text();
        data = readEnvelope(text.trim()).data;
      } catch (error) {
        data = '';
        if (record === this.#record) pre.textContent = `It cannot be shown: ${error.message}`;
      }
      if (record !== this.#record || !data) return;
    }
    this.#part('.size').textContent = bytes(utf8.encode(data).length);
    pre.textContent = indent(data);
    pre.scrollTop = 0;
    highlightMembers(pre);
  }
}
