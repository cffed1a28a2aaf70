// The list of events: a window onto the newest 500 that match the filter. Only
// the rows that fit are in the document; their text changes, they do not.
//
// A record is an envelope (seq, time, stream, type, id, data) or a gap (a line
// of text); `store` counts the stores this page has seen, as seq starts again
// in each.

const ROWS_MAX = 500;
const SPARE_ROWS = 4;
const DIGITS_MIN = 5;            // room for seq, so that columns rarely move
const LINE_CHARS = 320;          // of a payload on its one line
const KEEP_CHARS = 64 * 1024;    // of a payload in memory; longer ones are asked for again
const FRAME_MS = matchMedia('(prefers-reduced-motion: reduce)').matches ? 500 : 80;

const CELLS = ['seq', 'time', 'stream', 'type', 'data'];

/** Makes a record fit to be kept: bounded in size, with its line ready. */
function prepare(record) {
  if (record.data.length > KEEP_CHARS) {
    record.size = record.data.length;
    // Joined and cut again so that the line does not hold on to the whole frame.
    record.data = (' ' + record.data.slice(0, LINE_CHARS)).slice(1);
    record.cut = true;
  }
  return record;
}

function clock(time, today) {
  return time.startsWith(today) ? time.slice(11, 23) : `${time.slice(5, 10)} ${time.slice(11, 19)}`;
}

export class Rows {
  #grid; #track; #window; #onSelect; #onDraw;
  #all = [];                     // newest last, as they came
  #matching = this.#all;         // the same under the filter
  #filter = null;
  #held = null;                  // what is shown while the list stands still
  #heldTotal = 0;
  #rowHeight = 0;
  #dirty = false;
  #drawn = 0;

  paused = false;
  selected = null;
  total = 0;                     // all that matched, shown or not

  constructor(grid, { onSelect, onDraw }) {
    this.#grid = grid;
    this.#track = grid.querySelector('.track');
    this.#window = grid.querySelector('.window');
    this.#onSelect = onSelect;
    this.#onDraw = onDraw;
    grid.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    grid.addEventListener('keydown', event => this.#key(event));
    // What is under the pointer may change before the button is released.
    let pressed = null;
    grid.addEventListener('pointerdown', event => { pressed = event.target.closest('.row')?.record; });
    grid.addEventListener('click', () => { if (pressed && !pressed.gap) this.select(pressed); });
    new ResizeObserver(() => this.#resized()).observe(grid);
  }

  get shown() { return Math.min((this.#held ?? this.#matching).length, ROWS_MAX); }
  get waiting() { return this.#held ? this.total - this.#heldTotal : 0; }
  get scrolled() { return this.#grid.scrollTop > this.#rowHeight / 2; }

  add(record) {
    if (!record.gap) prepare(record);
    this.#keep(this.#all, record);
    if (this.#filter) {
      if (!record.gap && !this.#filter(record)) return;
      this.#keep(this.#matching, record);
    }
    this.total++;
    this.draw();
  }

  /** Shows only what `matches`; null shows everything. */
  filter(matches) {
    this.#filter = matches;
    this.#matching = matches ? this.#all.filter(r => r.gap || matches(r)) : this.#all;
    this.#restart();
  }

  /** Adds older records of the same store, found in history under the filter. */
  addHistory(records) {
    const place = r => `${r.store} ${r.seq}`;
    const known = new Set(this.#matching.map(place));
    const found = records.filter(r => !known.has(place(r))).map(prepare);
    this.#matching = [...this.#matching, ...found].sort((a, b) => a.store - b.store || a.seq - b.seq);
    this.#restart();
  }

  pause(paused) {
    this.paused = paused;
    if (!paused) this.#grid.scrollTop = 0;
    this.#hold();
  }

  toTop() {
    this.#grid.scrollTop = 0;
    this.#grid.focus({ preventScroll: true });
  }

  select(record) {
    this.selected = record;
    this.#onSelect(record);
    this.draw();
  }

  draw() {
    if (this.#dirty) return;
    this.#dirty = true;
    requestAnimationFrame(now => this.#frame(now));
  }

  // A few more than are shown, so that the array is cut once in a while only.
  #keep(list, record) {
    list.push(record);
    if (list.length >= ROWS_MAX * 2) list.splice(0, list.length - ROWS_MAX);
  }

  #restart() {
    this.total = Math.min(this.#matching.length, ROWS_MAX);
    this.#grid.scrollTop = 0;
    this.#held = null;
    this.#hold();
  }

  // The list stands still while it is paused or scrolled away from the top.
  #hold() {
    const still = this.paused || this.scrolled;
    if (still && !this.#held) {
      this.#held = this.#matching.slice(-ROWS_MAX);
      this.#heldTotal = this.total;
    } else if (!still) this.#held = null;
    this.draw();
  }

  #scrolled() {
    if (!this.paused && this.scrolled !== Boolean(this.#held)) this.#hold();
    else this.draw();
  }

  #resized() {
    this.#rowHeight = parseFloat(getComputedStyle(this.#window).getPropertyValue('--row')) || 28;
    this.draw();
  }

  #frame(now) {
    if (now - this.#drawn < FRAME_MS) return requestAnimationFrame(at => this.#frame(at));
    this.#drawn = now;
    this.#dirty = false;
    this.#render();
    this.#onDraw(this);
  }

  #render() {
    const list = this.#held ?? this.#matching;
    const length = Math.min(list.length, ROWS_MAX);
    const height = this.#rowHeight;
    const fits = Math.ceil(this.#grid.clientHeight / height) + SPARE_ROWS;
    const top = Math.max(0, Math.min(Math.floor(this.#grid.scrollTop / height) - 1, length - fits));
    const rows = Math.min(fits, length - top);
    const today = new Date().toISOString().slice(0, 10);

    this.#track.style.height = `${length * height}px`;
    this.#window.style.transform = `translateY(${top * height}px)`;
    this.#grid.setAttribute('aria-rowcount', length + 1);
    this.#grid.style.setProperty('--digits', Math.max(DIGITS_MIN, String(Math.ceil(list.at(-1)?.seq ?? 0)).length));
    while (this.#window.children.length < rows) this.#window.append(this.#newRow());
    while (this.#window.children.length > rows) this.#window.lastChild.remove();

    let active = '';
    for (let i = 0; i < rows; i++) {
      const row = this.#window.children[i];
      const record = list[list.length - 1 - top - i];
      const selected = record === this.selected;
      this.#fill(row, record, today);
      row.setAttribute('aria-rowindex', top + i + 2);
      row.setAttribute('aria-selected', selected);
      if (selected) active = row.id;
    }
    if (active) this.#grid.setAttribute('aria-activedescendant', active);
    else this.#grid.removeAttribute('aria-activedescendant');
  }

  #newRow() {
    const row = document.createElement('div');
    row.className = 'row';
    row.role = 'row';
    row.id = `row-${this.#window.children.length}`;
    for (const name of CELLS) {
      const cell = document.createElement('span');
      cell.className = name;
      cell.role = 'gridcell';
      row.append(cell);
    }
    return row;
  }

  #fill(row, record, today) {
    if (row.record === record) return;
    row.record = record;
    row.classList.toggle('gap', Boolean(record.gap));
    const [seq, time, stream, type, data] = row.children;
    if (record.gap) {
      delete row.dataset.seq;
      seq.textContent = time.textContent = stream.textContent = type.textContent = '';
      data.textContent = record.gap;
      return;
    }
    row.dataset.seq = record.seq;
    seq.textContent = record.seq;
    time.textContent = clock(record.time, today);
    time.title = record.time;
    stream.textContent = record.stream;
    type.textContent = record.type;
    data.textContent = record.data.length > LINE_CHARS ? record.data.slice(0, LINE_CHARS) : record.data;
  }

  #key(event) {
    const list = (this.#held ?? this.#matching).slice(-ROWS_MAX);
    const page = Math.max(1, Math.floor(this.#grid.clientHeight / this.#rowHeight) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -ROWS_MAX, End: ROWS_MAX };
    const step = steps[event.key];
    if (step === undefined || !list.length || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const at = list.indexOf(this.selected);
    const from = at < 0 ? -1 : list.length - 1 - at;          // counted from the newest
    let to = Math.max(0, Math.min(list.length - 1, from + step));
    while (list[list.length - 1 - to]?.gap) to += Math.sign(step) || 1;
    const record = list[list.length - 1 - to];
    if (!record) return;
    this.#reveal(to);
    this.select(record);
  }

  #reveal(index) {
    const top = index * this.#rowHeight, bottom = top + this.#rowHeight;
    const room = this.#grid.clientHeight - this.#track.offsetTop;
    if (top < this.#grid.scrollTop) this.#grid.scrollTop = top;
    else if (bottom > this.#grid.scrollTop + room) this.#grid.scrollTop = bottom - room;
  }
}
