import { EventSourceParserStream } from 'eventsource-parser/stream';
import { setTimeout as sleep } from 'node:timers/promises';

const [url, begin] = process.argv.slice(2);
let position;
for (;;) {
  try {
    const headers = { Accept: 'text/event-stream', ...(position && { 'Last-Event-ID': position }) };
    const response = await fetch(`${url}/v1/events?after=${begin}`, { headers });
    for await (const block of response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())) {
      if (block.event === undefined) console.log(block.data);
      position = block.id;
      if (block.event === 'hello') console.error('hello');
    }
  } catch {
    // cut off
  }
  await sleep(500);
}
