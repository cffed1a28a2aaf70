// Pages that read the monitoring profile the way the Python hub's pages do: the same members, the same ids, the same questions.
// They make markup of the four texts that those do not escape, and call toFixed on numbers that those take for granted.

export const OLD_PAGE = `<!doctype html><meta charset="utf-8">
<p id="connectionStatus">Connecting...</p><div id="eventLog"></div>
<div id="websocketStats"></div><div id="redisStats"></div><div id="supabaseStats"></div><div id="kimiStats"></div><div id="glmStats"></div>
<p id="activeSessionsValue"></p><p id="conversationLengthValue"></p><p id="contextWindowValue"></p><p id="currentModelValue"></p>
<p id="healthScore"></p><p id="healthDetails"></p><p id="throughputScore"></p><p id="connectionsScore"></p><p id="errorRateScore"></p>
<p id="responseTimeScore"></p><p id="eventsChart"></p><p id="responseChart"></p><p id="throughputChart"></p><p id="errorChart"></p>
<button id="refresh">Refresh Stats</button><button id="export">Export Data</button><p id="exported"></p>
<div id="auditorObservations"></div><p id="toast"></p><script>
const $ = id => document.getElementById(id);
let stats = {}, events = [], socket = null;

// Log stamps lose their zone; what is a number is Unix seconds.
function time(event) {
  const given = event.broadcast_time || event.timestamp;
  return new Date(typeof given === 'number' ? given * 1000 : given.replace(/ [A-Z]+$/, ''));
}
function row(event) {
  const item = document.createElement('div');
  item.className = 'event-item' + (event.error ? ' error' : '');
  item.innerHTML = '<span class="event-time">' + time(event).toISOString() + '</span> <span class="event-details">' +
    event.connection_type + ' ' + event.direction + ' ' + event.function_name +
    (event.response_time_ms ? ' (' + event.response_time_ms.toFixed(2) + 'ms)' : '') + (event.error ? ' ' + event.error : '') + '</span>';
  $('eventLog').prepend(item);
  events.push(event);
  while ($('eventLog').children.length > 100) $('eventLog').lastChild.remove();
}
function size(bytes) {
  const units = ['B', 'KB', 'MB', 'GB'];
  let i = 0;
  for (; bytes >= 1024 && i < 3; i++) bytes /= 1024;
  return bytes.toFixed(i ? 1 : 0) + ' ' + units[i];
}
function card(name, s) {
  stats[name] = s;
  $(name + 'Stats').textContent = [s.total_events || 0, s.error_count || 0,
    s.avg_response_time_ms ? s.avg_response_time_ms.toFixed(2) + ' ms' : 'N/A', size(s.total_bytes || 0)].join(', ');
  health();
}
function score(s) {
  if (!s) return 0;
  const errors = s.total_events ? s.error_count / s.total_events : 0, mean = s.avg_response_time_ms || 0;
  return 100 - (errors > 0.05 ? 40 : errors > 0.01 ? 20 : 0) - (mean > 500 ? 30 : mean > 200 ? 10 : 0);
}
function health() {
  const all = ['websocket', 'redis', 'supabase', 'kimi', 'glm'].map(name => score(stats[name]));
  const mean = all.reduce((a, b) => a + b) / 5;
  $('healthScore').textContent = mean.toFixed(0);
  $('healthDetails').textContent = mean >= 90 ? 'Healthy' : mean >= 70 ? 'Degraded' : 'Critical';
}
// Of the first figures only, as ever.
function summary(all) {
  const list = Object.values(all), sum = key => list.reduce((n, s) => n + (s[key] || 0), 0);
  $('errorRateScore').textContent = (sum('total_events') ? 100 * sum('error_count') / sum('total_events') : 0).toFixed(1) + '%';
  const means = list.map(s => s.avg_response_time_ms || 0).sort((a, b) => a - b);
  $('responseTimeScore').textContent = means[Math.floor(means.length * 0.95)].toFixed(0) + 'ms';
}
function quantile(sorted, q) { return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] : 0; }
function charts(list) {
  const counts = {}, times = list.map(e => e.response_time_ms).filter(ms => ms !== null && ms !== undefined).sort((a, b) => a - b);
  for (const event of list) counts[event.connection_type] = (counts[event.connection_type] || 0) + 1;
  $('eventsChart').textContent = JSON.stringify(counts, Object.keys(counts).sort());
  $('responseChart').textContent = [0.5, 0.95, 0.99].map(q => quantile(times, q).toFixed(1)).join(' ');
  $('throughputChart').textContent = list.length;
  $('errorChart').textContent = (list.length ? 100 * list.filter(e => e.error).length / list.length : 0).toFixed(0);
}
const kilo = n => n >= 1000 ? (n / 1000).toFixed(1) + 'K' : n.toFixed(0);
function session(s) {
  $('activeSessionsValue').textContent = s.active_sessions.toFixed(0);
  $('conversationLengthValue').textContent = (s.conversation_length.toFixed(0) === '0' ? '--' : s.conversation_length) + ' messages';
  const percent = 100 * s.context_tokens_used / s.context_tokens_max;
  $('contextWindowValue').textContent = kilo(s.context_tokens_used) + ' / ' + kilo(s.context_tokens_max) + ' (' + percent.toFixed(0) + '%)';
  $('contextWindowValue').className = percent >= 95 ? 'red' : percent >= 90 ? 'orange' : percent >= 80 ? 'yellow' : 'green';
  $('currentModelValue').textContent = s.current_model;
}
const handlers = {
  initial_stats(m) {
    for (const name of Object.keys(m.stats)) card(name, m.stats[name]);
    summary(m.stats);
    m.recent_events.forEach(row);   // once more after every reconnect, as ever
    session(m.session_metrics);
    ask({ command: 'get_historical_data', connection_type: null, hours: 1 });
  },
  event(m) {
    row(m);
    charts(events);
    ask({ command: 'get_stats', connection_type: m.connection_type });
  },
  stats(m) { if (m.connection_type) card(m.connection_type, m.stats); },
  session_metrics(m) { session(m.data); },
  historical_data(m) { charts(m.data); },
  export_complete(m) { $('exported').textContent = m.filepath; },
};
function ask(question) { socket.send(JSON.stringify(question)); }
function connect() {
  socket = new WebSocket('ws://' + location.host + '/ws');
  socket.onopen = () => { $('connectionStatus').textContent = 'Connected'; $('connectionsScore').textContent = '1'; };
  socket.onclose = () => {
    $('connectionStatus').textContent = 'Disconnected';
    $('connectionsScore').textContent = '0';
    setTimeout(connect, 500);
  };
  socket.onmessage = ({ data }) => { const m = JSON.parse(data); handlers[m.type]?.(m); };
}
setInterval(() => {
  $('throughputScore').textContent = (events.filter(e => Date.now() - time(e) < 60000).length / 60).toFixed(2);
}, 200);
$('refresh').onclick = () => ask({ command: 'get_stats' });
$('export').onclick = () => ask({ command: 'export', filepath: 'monitoring_export.json' });

async function observations() {
  const list = await (await fetch('/api/auditor/observations?limit=50')).json();
  $('auditorObservations').replaceChildren();
  for (const o of list) {
    const item = document.createElement('div');
    item.id = 'obs-' + o.id;
    item.className = o.severity + (o.acknowledged ? ' acknowledged' : '');
    item.textContent = [o.category, o.confidence.toFixed(0), new Date(o.timestamp).toISOString().slice(0, 4) > '2000',
      o.observation, o.recommendation || '', o.event_ids.length].join('|');
    item.onclick = async () => {
      const reply = await (await fetch('/api/auditor/observations/' + o.id + '/acknowledge', { method: 'POST' })).json();
      if (reply.success) observations();
    };
    $('auditorObservations').append(item);
    if (o.severity === 'critical' && !o.acknowledged) $('toast').textContent = o.observation;
  }
}
connect();
observations();
setInterval(() => observations().catch(() => {}), 500);   // the server may be down for a moment
</script>`;

// Asks another port again and again, as the hub's semaphore page does; an answer of 503 is shown like any other.
export const OLD_SEMAPHORES = `<!doctype html>
<p id="overallStatus"></p><p id="globalStatus"></p><p id="globalValue"></p><p id="globalProgress"></p><p id="kimiStatus"></p>
<p id="kimiValue"></p><p id="kimiProgress"></p><p id="glmStatus"></p><p id="glmValue"></p><p id="glmProgress"></p><p id="alerts"></p><script>
const $ = id => document.getElementById(id);
function show(name, one, alerts) {
  $(name + 'Status').textContent = one.status;
  $(name + 'Value').textContent = one.current + ' / ' + one.expected;
  $(name + 'Progress').textContent = (one.utilization * 100).toFixed(0);
  if (one.status === 'exhausted' || one.status === 'high_utilization') alerts.push(name);
}
async function refresh() {
  const d = await (await fetch('http://127.0.0.1:' + new URLSearchParams(location.search).get('port') + '/health/semaphores')).json();
  const alerts = [];
  $('overallStatus').textContent = d.status.toUpperCase();
  show('global', d.global, alerts);
  show('kimi', d.providers.kimi, alerts);
  show('glm', d.providers.glm, alerts);
  $('alerts').textContent = alerts.join();
}
refresh();
setInterval(refresh, 300);
</script>`;
