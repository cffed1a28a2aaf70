// The text-level JSON reader of the dashboard; needs neither server nor browser.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { indent, readEnvelope } from '../../static/json.js';

test('indent lays JSON out as JSON.stringify does', () => {
  for (const value of [
    null, true, 0, -1.5, '', 'text', [], {}, [[]], [{}], { a: {} }, { a: [] }, [1, [2, [3]]],
    { a: 1, b: [true, null, 'x,y:{z}'], 'q"u\\o': '\\', 'é\u2028': '\n\t"' },
  ]) assert.equal(indent(JSON.stringify(value)), JSON.stringify(value, null, 2));
});

test('indent changes white space only', () => {
  assert.equal(indent('{"a":1.10,"b":12345678901234567890,"a":-0,"c":"\\u00e5\\/"}'),
    '{\n  "a": 1.10,\n  "b": 12345678901234567890,\n  "a": -0,\n  "c": "\\u00e5\\/"\n}');
  assert.equal(indent(' { "a" : [ 1 , 2 ] , "b" : { } } '), '{\n  "a": [\n    1,\n    2\n  ],\n  "b": {}\n}');
});

test('indent gives up on what would grow out of all proportion, not on what is long', () => {
  const deep = '['.repeat(400000) + ']'.repeat(400000);
  assert.equal(indent(deep), deep);
  const long = JSON.stringify(Array.from({ length: 100000 }, (_, i) => ({ i })));
  assert.equal(indent(long), JSON.stringify(JSON.parse(long), null, 2));
});

test('indent ends on text that is not JSON', () => {
  for (const text of ['', '"', '"\\', '{', ']', '}}', '{"a', ',:']) assert.equal(typeof indent(text), 'string');
});

test('readEnvelope reads the head and leaves the payload as text', () => {
  assert.deepEqual(
    readEnvelope('{"seq":9007199254740991,"time":"2026-11-22T18:00:00.123Z","stream":"a\\"b\\\\","type":"é","id":"1","data":{"data":1.0}}'),
    { seq: 9007199254740991, time: '2026-11-22T18:00:00.123Z', stream: 'a"b\\', type: 'é', id: '1', data: '{"data":1.0}' });
  assert.equal(readEnvelope('{"seq":1,"time":"t","stream":"s","type":"t","data":null}').id, null);
});

test('readEnvelope refuses everything else', () => {
  for (const text of ['', '{}', '{"op":"live","seq":1}', '{"seq":1}', 'x{"seq":1,"time":"t","stream":"s","type":"t","data":1}',
    '{"seq":1,"time":"t","stream":"s","type":"t","data":1']) assert.equal(readEnvelope(text), null);
});
