import WebSocket from 'ws';

const [url, begin] = process.argv.slice(2);
let epoch = '';
let position = begin;

function connect() {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/ws?after=${position}${epoch && `&epoch=${epoch}`}`);
  socket.on('message', text => {
    const frame = JSON.parse(text);
    if (frame.op === undefined) console.log(String(text));
    epoch = frame.epoch ?? epoch;
    position = frame.seq ?? frame.after ?? position;
    if (frame.op === 'hello') console.error('hello');
  });
  socket.on('error', () => {});
  socket.on('close', () => setTimeout(connect, 500));
}
connect();
