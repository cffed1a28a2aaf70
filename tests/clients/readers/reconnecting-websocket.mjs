import ReconnectingWebSocket from 'reconnecting-websocket';
import WebSocket from 'ws';

const [url, begin] = process.argv.slice(2);
let epoch = '';
let position = begin;
const address = () => `${url.replace('http', 'ws')}/v1/ws?after=${position}${epoch && `&epoch=${epoch}`}`;
const socket = new ReconnectingWebSocket(address, 'tidemark.v1', { WebSocket });
socket.onmessage = ({ data }) => {
  const frame = JSON.parse(data);
  if (frame.op === undefined) console.log(data);
  epoch = frame.epoch ?? epoch;
  position = frame.seq ?? frame.after ?? position;
  if (frame.op === 'hello') console.error('hello');
};
