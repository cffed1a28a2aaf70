import { EventSourcePolyfill } from 'event-source-polyfill';

const [url, begin] = process.argv.slice(2);
const source = new EventSourcePolyfill(`${url}/v1/events?after=${begin}`);
source.onmessage = e => console.log(e.data);
source.addEventListener('hello', () => console.error('hello'));
