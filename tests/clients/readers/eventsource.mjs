import { EventSource } from 'eventsource';

const [url, begin] = process.argv.slice(2);
const source = new EventSource(`${url}/v1/events?after=${begin}`);
process.stdin.resume(); // the client lets a program end while it waits to come back
source.onmessage = e => console.log(e.data);
source.addEventListener('hello', () => console.error('hello'));
