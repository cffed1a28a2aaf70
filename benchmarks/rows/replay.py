"""Delivery of what was stored."""

import http.client
import json
import socket
import time

from figures import SECONDS, Line, alternate, faster, finish, load, start
from rows.loads import HTTP, REPLAYED, stored
from servers import Nats, Tidemark, fresh


def restarted(store, work):
    """A side: a server started on what is stored, and work(server)."""

    def side():
        with Tidemark(store) as server:
            return work(server)

    return side


def replay(server):
    return load("catchup", server, head=REPLAYED)


def one_reader():
    """Replay after a restart, against JetStream"""
    path = fresh("nats")
    with Nats(path) as server:
        load("publish", server, program="bench_jetstream", events=REPLAYED)

    def jetstream():
        with Nats(path) as server:
            return load("replay", server, program="bench_jetstream", events=REPLAYED)

    ours, theirs = alternate(restarted(stored(REPLAYED), replay), jetstream)
    yield faster("6", f"replay of {REPLAYED:,} events to one WebSocket reader after a restart", ours, theirs,
                 "JetStream, ordered consumer, files", 4)


def herd():
    """A herd of late readers after a restart"""
    store = stored(REPLAYED)

    def alone(server):
        return load("publish", server, seconds=SECONDS, **HTTP)

    def come(server):
        return load("catchup", server, head=store.holds, readers=1000, behind=10000)

    def come_while_publishing(server):
        publisher = start("publish", server, **HTTP)
        figures = come(server)
        return figures | {"published": finish(publisher, server)["rate"]}

    one, publishing, quiet, busy = alternate(*(restarted(store, w) for w in (replay, alone, come, come_while_publishing)))
    yield faster("7", "herd: 1,000 readers, each missing 10,000 events, all at once after a restart, deliveries", quiet, one,
                 "replay to one reader", 1.5)
    yield faster("", "the same while two connections publish as in row 1, deliveries", busy, one, "replay to one reader", 1.5)
    yield faster("", "publishing meanwhile", busy | {"rate": busy["published"]}, publishing, "publishing alone", 0.5)


PACED = dict(events=200, apart_s=0.02, speed=4)
LATE_MS = 20


def publish_paced(server):
    wire = http.client.HTTPConnection("127.0.0.1", server.port)
    for n in range(PACED["events"]):
        wire.request("POST", "/v1/events", json.dumps({"stream": "kimi", "n": n}), {"Content-Type": "application/json"})
        answer = wire.getresponse()
        answer.read()
        server.store.holds += answer.status == 201
        time.sleep(PACED["apart_s"])


def opened(server, path, *headers):
    """A socket after the head of the answer."""
    wire = socket.create_connection(("127.0.0.1", server.port)).makefile("rwb")
    wire.write("\r\n".join([f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{server.port}", *headers, "", ""]).encode())
    wire.flush()
    while wire.readline().strip():
        pass
    return wire


def frames(server, path):
    wire = opened(server, path, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    while True:
        size = wire.read(2)[1]
        yield wire.read(int.from_bytes(wire.read(2), "big") if size == 126 else
                        int.from_bytes(wire.read(8), "big") if size == 127 else size)


def blocks(server, path):
    return (line[len(b"data: "):] for line in opened(server, path, "Accept: text/event-stream") if line.startswith(b"data: {"))


def lateness(messages, times):
    """Milliseconds from when each event was due, counted from the first, until it was there."""
    late = []
    for message in messages:
        seq = json.loads(message).get("seq") if b'"seq"' in message and b"initial_stats" not in message else None
        if seq in times:
            begun = begun if late else time.monotonic()
            late.append((time.monotonic() - begun - (times[seq] - times[1]) / PACED["speed"]) * 1000)
        if len(late) == len(times):
            return sorted(late)


def paced():
    """Replay with the original timing"""
    query = f"after=first&speed={PACED['speed']}"
    ways = {"WebSocket": (frames, f"/v1/ws?{query}"), "server-sent events": (blocks, f"/v1/events?{query}"),
            "/ws": (frames, f"/ws?{query}")}
    with Tidemark() as server:
        publish_paced(server)
        wire = http.client.HTTPConnection("127.0.0.1", server.port)
        wire.request("GET", "/v1/events?limit=1000")
        events = json.load(wire.getresponse())["events"]
        times = {e["seq"]: time_of(e["time"]) for e in events}
        for row, (name, (read, path)) in zip(("22", "", ""), ways.items()):
            late = lateness(read(server, path), times)
            p99 = late[len(late) * 99 // 100]
            yield Line(row, f"replay of {PACED['events']} events at {PACED['speed']} times the original pace over {name}: how late an "
                       "event comes, p99 (median)", f"{p99:.1f} ms ({late[len(late) // 2]:.1f} ms)", f"limit: {LATE_MS} ms",
                       f"{p99 / LATE_MS:.2f} ×", "≤ 1 ×", p99 <= LATE_MS)
        server.store.holds += 1  # its own last one, server_stopped, where there was a dashboard


def time_of(text):
    """Seconds of a day."""
    hours, minutes, seconds = text[11:-1].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
