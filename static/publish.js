// The form that publishes a test event.

import { request } from './api.js';

/** The payload goes out as it was typed; it is parsed only to find mistakes. */
function body(form) {
  const { stream, type, id, data } = Object.fromEntries(new FormData(form));
  try {
    JSON.parse(data);
  } catch (error) {
    throw new Error(`The payload is not JSON: ${error.message}`);
  }
  const members = Object.entries({ stream, type, id })
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  return `{${[...members, `"data":${data}`].join(',')}}`;
}

function receipt({ first, duplicates, durability }) {
  if (duplicates > 0) return `Already stored as ${first}; nothing was added.`;
  return `Stored as ${first}${durability === 'fsync' ? ', on stable storage' : durability ? ` (${durability})` : ''}.`;
}

export function publishForm(form) {
  const output = form.querySelector('output'), button = form.querySelector('button');

  form.addEventListener('submit', async event => {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    output.classList.remove('failed');
    try {
      const response = await request('v1/events', {
        method: 'POST', headers: { 'Content-Type': 'application/json' }, body: body(form),
      });
      output.textContent = receipt(await response.json());
    } catch (error) {
      output.classList.add('failed');
      output.textContent = error.message;
    } finally {
      button.disabled = false;
    }
  });

  form.addEventListener('keydown', event => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}
