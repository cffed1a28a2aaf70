import EventSource from 'eventsource-2';

const [url, begin] = process.argv.slice(2);
const source = new EventSource(`${url}/v1/events?after=${begin}`);
source.onmessage = e => console.log(e.data);
source.addEventListener('hello', () => console.error('hello'));
