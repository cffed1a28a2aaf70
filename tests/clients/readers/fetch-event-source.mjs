import { fetchEventSource } from '@microsoft/fetch-event-source';

globalThis.window = globalThis; // it is made for browsers
const [url, begin] = process.argv.slice(2);
fetchEventSource(`${url}/v1/events?after=${begin}`, {
  openWhenHidden: true,
  onmessage(e) {
    const data = JSON.parse(e.data);
    if (e.event === 'hello') console.error('hello');
    else if (data.seq) console.log(e.data);
  },
});
