// How long to wait before connecting again: longer after each failure, and never at the same moment as everybody else.
const FIRST_MS = 500;
const MAX_MS = 15000;

export function delayAfter(failures) {
  const ceiling = Math.min(MAX_MS, FIRST_MS * 2 ** failures);
  return ceiling * (0.5 + Math.random() / 2);
}
