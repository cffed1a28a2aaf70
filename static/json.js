// JSON as text. Payloads are never parsed and printed again: the digits of a
// number, the order of members and the escapes are shown as they were sent.

const STRING = '"[^"\\\\]*(?:\\\\.[^"\\\\]*)*"';

// The envelope has its members in a fixed order, so its head can be read
// without touching the payload, however large that is.
const ENVELOPE = new RegExp(
  `\\{"seq":(\\d+),"time":"([^"\\\\]*)","stream":(${STRING}),"type":(${STRING})` +
  `(?:,"id":(${STRING}))?,"data":`, 'y');

const QUOTE = 34, BACKSLASH = 92;
const INDENT = '  ', INDENT_LEVELS_MAX = 40, OUTPUT_CHARS_MAX = 8 << 20;

const unquote = text => (text.includes('\\') ? JSON.parse(text) : text.slice(1, -1));

/** Reads one envelope; `data` is the payload's text. Null if it is not one. */
export function readEnvelope(text) {
  ENVELOPE.lastIndex = 0;
  const found = ENVELOPE.exec(text);
  if (!found || !text.endsWith('}')) return null;
  return {
    seq: Number(found[1]),
    time: found[2],
    stream: unquote(found[3]),
    type: unquote(found[4]),
    id: found[5] === undefined ? null : unquote(found[5]),
    data: text.slice(found[0].length, -1),
  };
}

function endOfString(text, start) {
  let i = start + 1;
  while (i < text.length) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) return i + 1;
    i += code === BACKSLASH ? 2 : 1;
  }
  return text.length;
}

/**
 * Lays valid JSON text out over lines, changing white space only. Text that
 * would grow out of all proportion (deep nesting) is given back as it is.
 */
export function indent(text) {
  const newline = depth => '\n' + INDENT.repeat(Math.max(0, Math.min(depth, INDENT_LEVELS_MAX)));
  let out = '', depth = 0, i = 0;
  while (i < text.length) {
    const c = text[i];
    if (c === '"') {
      const end = endOfString(text, i);
      out += text.slice(i, end);
      i = end;
      continue;
    }
    i++;
    if (c === '{' || c === '[') {
      while (/\s/.test(text[i])) i++;
      if (text[i] === '}' || text[i] === ']') out += c + text[i++];
      else out += c + newline(++depth);
    } else if (c === '}' || c === ']') out += newline(--depth) + c;
    else if (c === ',') out += c + newline(depth);
    else if (c === ':') out += ': ';
    else if (!/\s/.test(c)) out += c;
    if (out.length > OUTPUT_CHARS_MAX) return text;
  }
  return out;
}
