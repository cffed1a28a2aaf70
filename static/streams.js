// The table of streams. Rows are kept by name, so that a refresh under the
// pointer or the keyboard changes figures and nothing else. It has the first
// page of them by name; where there are more, what is searched for is the
// beginning of a name, and asked of the server.

import { bytes, count, measure } from './api.js';

const ROWS_MAX = 200;
const FIND_FROM = 12;            // streams; fewer need no search field
const FIND_AFTER_MS = 300;       // without a key, before the server is asked
const shortCount = value => (value < 1e6 ? count(value) : `${measure(value / 1e6)} M`);
const inNameOrder = new Intl.Collator('en', { numeric: true }).compare;

export class Streams {
  #panel; #body; #note; #find; #names; #onChoose;
  #streams = [];
  #many = false;                 // more than one page
  #asked = '';                   // the prefix of what is shown
  #rows = new Map();
  #column = 'name';
  #descending = false;
  #chosen = '';

  constructor(panel, names, onChoose, refresh) {
    this.#panel = panel;
    this.#body = panel.querySelector('tbody');
    this.#note = panel.querySelector('.note');
    this.#find = panel.querySelector('input');
    this.#names = names;
    this.#onChoose = onChoose;
    let asking;
    this.#find.addEventListener('input', () => {
      this.#render();
      clearTimeout(asking);
      if (this.#many) asking = setTimeout(refresh, FIND_AFTER_MS);
    });
    for (const button of panel.querySelectorAll('th button')) {
      button.addEventListener('click', () => this.#sortBy(button.dataset.column));
    }
  }

  /** What to ask the server for. */
  get query() {
    this.#asked = this.#many ? this.#find.value : '';
    return this.#asked && `?prefix=${encodeURIComponent(this.#asked)}`;
  }

  show({ streams, next }) {
    this.#streams = streams;
    this.#many = next !== null || this.#asked !== '';
    this.#panel.querySelector('.count').textContent = count(streams.length) + (next !== null ? '+' : '');
    this.#find.placeholder = this.#many ? 'Find streams that begin with' : 'Find a stream';
    this.#find.hidden = streams.length < FIND_FROM && !this.#many && !this.#find.value;
    this.#suggest();
    this.#render();
  }

  choose(name) {
    this.#chosen = name;
    this.#render();
  }

  #sortBy(column) {
    this.#descending = column === this.#column ? !this.#descending : column !== 'name';
    this.#column = column;
    for (const button of this.#panel.querySelectorAll('th button')) {
      const cell = button.parentElement;
      if (button.dataset.column === column) cell.ariaSort = this.#descending ? 'descending' : 'ascending';
      else cell.removeAttribute('aria-sort');
    }
    this.#render();
  }

  #suggest() {
    const wanted = this.#streams.slice(0, ROWS_MAX).map(s => s.name);
    if (wanted.length === this.#names.children.length &&
        wanted.every((name, i) => this.#names.children[i].value === name)) return;
    this.#names.replaceChildren(...wanted.map(name => new Option('', name)));
  }

  #render() {
    const column = this.#column, sign = this.#descending ? -1 : 1;
    const order = column === 'name'
      ? (a, b) => sign * inNameOrder(a.name, b.name)
      : (a, b) => sign * (a[column] - b[column]) || inNameOrder(a.name, b.name);
    const text = this.#find.value.toLowerCase();
    const fits = this.#asked && this.#asked === this.#find.value ? () => true : s => s.name.toLowerCase().includes(text);
    const found = this.#streams.filter(fits).sort(order);
    const shown = found.slice(0, ROWS_MAX);

    const names = new Set(shown.map(s => s.name));
    for (const [name, row] of this.#rows) {
      if (!names.has(name)) { row.remove(); this.#rows.delete(name); }
    }
    shown.forEach((stream, i) => {
      const row = this.#row(stream);
      if (this.#body.children[i] !== row) this.#body.insertBefore(row, this.#body.children[i] ?? null);
    });
    this.#note.textContent = this.#noteText(found.length, shown.length);
    this.#note.hidden = !this.#note.textContent;
  }

  #noteText(found, shown) {
    if (!this.#streams.length && !this.#asked) return 'A stream appears here with its first event.';
    if (!found) return this.#many ? 'No stream begins with this.' : 'No stream has this in its name.';
    return found > shown ? `${count(found - shown)} more; search to narrow the list.` : '';
  }

  #row(stream) {
    let row = this.#rows.get(stream.name);
    if (!row) {
      row = document.createElement('tr');
      const name = document.createElement('th'), button = document.createElement('button');
      name.scope = 'row';
      button.type = 'button';
      button.textContent = button.title = stream.name;
      button.addEventListener('click', () =>
        this.#onChoose(this.#chosen === stream.name ? '' : stream.name));
      name.append(button);
      row.append(name);
      for (let i = 0; i < 3; i++) row.append(document.createElement('td'));
      this.#rows.set(stream.name, row);
    }
    row.querySelector('button').ariaPressed = stream.name === this.#chosen;
    [shortCount(stream.count), String(stream.last), bytes(stream.bytes)].forEach((text, i) => {
      const cell = row.children[i + 1];
      if (cell.textContent !== text) cell.textContent = text;
    });
    row.children[1].title = count(stream.count);
    return row;
  }
}
