// Compiled against the types that openapi-typescript makes of /openapi.json, and run: `openapi.mts URL`.

import createClient from 'openapi-fetch';
import type { components, paths } from './openapi.d.ts';

declare const process: { argv: string[] };

const client = createClient<paths>({ baseUrl: process.argv[2] });

function expect<T>(what: string, { data, error, response }: { data?: T, error?: components['schemas']['Problem'], response: Response }): T {
  if (data === undefined) throw new Error(`${what}: ${response.status} ${error?.detail}`);
  return data;
}

const receipt = expect('publish', await client.POST('/v1/events', { body: { stream: 'demo', data: { n: 1 } } }));
const last: number = receipt.last;
expect('several', await client.POST('/v1/events', { body: [{ id: 'a1', type: 'hello', data: 'text' }, { id: 'a2', data: null }] }));
expect('flat', await client.POST('/v1/events', { body: { connection_type: 'kimi', direction: 'inbound', response_time_ms: 150.5 } }));
expect('expect', await client.POST('/v1/events', { params: { query: { expect: last } }, body: { stream: 'demo', data: 2 } }));

const page = expect('page', await client.GET('/v1/events', { params: { query: { stream: ['demo', 'kimi'], limit: 10 } } }));
if (typeof page === 'string') throw new Error('NDJSON or an event stream was not asked for');
const next: number | null = page.next;
console.log(page.events.map(event => `${event.seq} ${event.stream} ${event.type} ${event.id} ${JSON.stringify(event.data)}`).join('\n'));
console.log(next, page.checkpoint, page.head, page.epoch.length);

const one = expect('event', await client.GET('/v1/events/{seq}', { params: { path: { seq: last } } }));
console.log(one.time.length);
expect('session', await client.PUT('/v1/sessions/{name}', { params: { path: { name: 's' } }, body: { acked: 1 } }));
const sessions = expect('sessions', await client.GET('/v1/sessions'));
console.log(sessions.sessions.map(session => `${session.name} ${session.acked} ${session.lag}`).join());
const streams = expect('streams', await client.GET('/v1/streams'));
console.log(streams.streams.map(stream => `${stream.name} ${stream.count}`).sort().join());
const stats = expect('stats', await client.GET('/v1/stats'));
console.log(stats.events);

const { error } = await client.POST('/v1/events', { params: { query: { expect: 0 } }, body: { stream: 'demo', data: 3 } });
console.log(error?.type, error?.actual);
