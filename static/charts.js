// Lines over the last hour, one for each service.

const MINUTES = 60;
const HEIGHT = 30;
const SVG = 'http://www.w3.org/2000/svg';

/** The last hour of a service from its time series, oldest minute first. */
export function lastHour(series, field) {
  const now = Math.floor(Date.now() / 60000);
  return Array.from({ length: MINUTES }, (_, i) => series?.[(now - MINUTES + 1 + i) * 60]?.[field] ?? 0);
}

/** `lines`: name of the service to its values. All share one scale; the greatest value is returned. */
export function drawLines(svg, lines) {
  const peak = Math.max(0, ...Object.values(lines).flat());
  const scale = peak || 1;
  for (const [name, values] of Object.entries(lines)) {
    let path = svg.querySelector(`[data-service="${name}"]`);
    if (!path) {
      path = document.createElementNS(SVG, 'path');
      path.dataset.service = name;
      path.style.setProperty('--line', `var(--${name})`);
      svg.append(path);
    }
    path.setAttribute('d', values.map((value, x) =>
      `${x ? 'L' : 'M'}${(x * MINUTES / (MINUTES - 1)).toFixed(2)} ${(HEIGHT - (value / scale) * (HEIGHT - 1)).toFixed(2)}`).join(''));
  }
  return peak;
}
