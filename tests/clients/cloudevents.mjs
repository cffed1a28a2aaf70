// Publishes with the SDK and reads it all back with it: `cloudevents.mjs URL`. Prints the answers, then the events, each on a line.

import { CloudEvent, HTTP, Mode, emitterFor, httpTransport } from 'cloudevents';

const url = `${process.argv[2]}/v1/events`;
const transport = httpTransport(url);
const base = { type: 'com.example.created', source: '/orders' };

for (const mode of [Mode.STRUCTURED, Mode.BINARY]) {
  const emit = emitterFor(transport, { mode });
  for (const event of [
    { id: `${mode}-object`, data: { n: 1.5, text: 'naïve € 😀' } },
    { id: `${mode}-text`, datacontenttype: 'text/plain', data: 'naïve € 😀' },
    { id: `${mode}-bytes`, datacontenttype: 'application/octet-stream', data: new Uint8Array([0, 255, 128]) },
    { id: `${mode}-attributes`, subject: 'Grüße, Ångström', ext1: 'naïve', time: '2026-11-22T18:00:00.123Z', data: {} },
    { id: `${mode}-object`, data: { n: 2 } }, // as after an answer that was lost
  ]) {
    console.log((await emit(new CloudEvent({ ...base, ...event }))).body);
  }
}
const batch = [1, 2, 3].map(n => new CloudEvent({ ...base, id: `batch-${n}`, data: { n } }));
const sent = await transport({ headers: { 'content-type': 'application/cloudevents-batch+json' }, body: JSON.stringify(batch) });
console.log(sent.body);

const { events } = await (await fetch(url)).json();
for (const { data } of events) {
  const event = HTTP.toEvent({ headers: { 'content-type': 'application/cloudevents+json' }, body: JSON.stringify(data) });
  console.log(JSON.stringify(event));
}
