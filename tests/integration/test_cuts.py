#!/usr/bin/env python3
"""A thousand cuts: readers of each kind, cut off at random moments and the server killed beneath them, come back with what their
client has kept and miss nothing, beside publishers that go on."""

import random
import threading
import time
import unittest

from case import TidemarkTest
from load import scaled
from sse_client import EventSource
from text import JSON, NDJSON, ndjson
from waiting import Task
from websocket_client import Closed, WebSocket
from wire import Http, Refused, TimedOut, Wire, target

CUTS = scaled(1000, 100)
KILLS = scaled(10, 3)
BROKEN = (OSError, EOFError, Closed, Refused)


class Reader:
    """A client that keeps what the server tells it to, and comes back with that. `seen` has the seqs in the order they came."""

    def __init__(self, server, rng, name, query, passes):
        self.server, self.rng, self.name, self.query, self.passes = server, rng, name, query, passes
        self.seen = []
        self.start = None  # the position it began at
        self.cuts = 0

    def moment(self):
        """When the connection is cut: after a number of lines, or at a time, whichever comes first."""
        lines = self.rng.choice((0, 0, 1, 2, 5, 30, 300))
        return lines, time.monotonic() + self.rng.choice((0.001, 0.01, 0.05))

    def read(self, until=None):
        """One connection. Reads to the moment of its cut, or to the seq `until`."""
        raise NotImplementedError

    def run(self, stop):
        while not stop.is_set():
            try:
                self.read()
                self.cuts += 1
            except BROKEN:
                time.sleep(0.01)  # the server is being killed

    def finish(self, head):
        self.read(head)

    def expected(self, events):
        return [e["seq"] for e in events if e["seq"] > self.start and self.passes(e)]

    def take(self, seq):
        self.seen.append(seq)


class SseReader(Reader):
    """Keeps the id of the last block, as a browser does."""

    last_id = None

    def read(self, until=None):
        headers = {} if self.last_id is None else {"Last-Event-ID": self.last_id}
        path = target("/v1/events", self.query)
        lines, deadline = self.moment()
        if until is None and self.last_id is not None and self.rng.random() < 0.1:
            wire = Wire(self.server.address)
            wire.send(f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n".encode())
            wire.close()  # cut before anything came
            return
        source = EventSource(self.server.address, path, **headers)
        try:
            if self.start is None:
                self.start = source.hello["after"]
            self.keep(source)
            while until is not None or lines > 0:
                lines -= 1
                message = source.line(60 if until is not None else max(deadline - time.monotonic(), 0.0001))
                self.keep(source)
                if message is not None:
                    assert message.event is None, message
                    self.take(message.json()["seq"])
                if until is not None and int(self.last_id.partition(".")[0]) >= until:
                    return
        except TimedOut:
            assert until is None, f"{self.name} did not get as far as {until}: {self.last_id}"
        finally:
            source.close()

    def keep(self, source):
        """A block counts when it is whole; its id may have come before the rest."""
        if not source.inside:
            self.last_id = source.last_id


class SocketReader(Reader):
    """Keeps the last position of its frames."""

    position = None

    def place(self):
        return {"after": self.query.get("after", "head")} if self.position is None else {"after": self.position}

    def read(self, until=None):
        lines, deadline = self.moment()
        socket = WebSocket(self.server.address, target("/v1/ws", {**self.query, **self.place()}))
        try:
            while until is None or self.position is None or self.position < until:
                if until is None and lines < 0:
                    return
                lines -= 1
                self.frame(socket, socket.receive(60 if until is not None else max(deadline - time.monotonic(), 0.0001)))
        except TimedOut:
            assert until is None, f"{self.name} did not get as far as {until}: {self.position}"
        finally:
            socket.close()

    def frame(self, socket, frame):
        op = frame.get("op")
        assert op in (None, "hello", "live", "checkpoint"), frame
        if op == "hello":
            self.hello(frame)
        elif op is None:
            self.take(frame["seq"])
        self.position = frame.get("seq", frame.get("after"))

    def hello(self, frame):
        if self.start is None:
            self.start = frame["after"]


class SessionReader(SocketReader):
    """Keeps nothing: the server does. What it has not acknowledged in time comes again."""

    def place(self):
        return {"session": self.name, "start": "first"}

    def hello(self, frame):
        super().hello(frame)
        del self.seen[:]
        self.begin = frame["after"]

    def frame(self, socket, frame):
        super().frame(socket, frame)
        if frame.get("op") in (None, "checkpoint", "live"):
            if frame.get("op") is None:
                self.handled.add(frame["seq"])
            if self.rng.random() < 0.2:
                socket.send({"op": "ack", "seq": self.position})

    def expected(self, events):
        return super().expected([e for e in events if e["seq"] > self.begin])

    begin = 0

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.handled = set()

    def missed(self, events):
        return {e["seq"] for e in events if self.passes(e)} - self.handled


class Poller(Reader):
    """Keeps the checkpoint of the last page."""

    after = 0

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.start = 0

    def read(self, until=None):
        http = Http(self.server.address)
        try:
            while True:
                page = http.request("GET", "/v1/events", None, {"Accept": JSON}, after=self.after,
                                    limit=self.rng.choice((1, 7, 1000)), wait=self.rng.choice((0, 0, 1)),
                                    **self.query).json()
                for event in page["events"]:
                    self.take(event["seq"])
                self.after = page["checkpoint"]
                if until is None or self.after >= until:
                    return
        finally:
            http.close()


class Cuts(TidemarkTest):

    def publish(self, stop):
        """Bursts and pauses; what was cut off is said again."""
        rng = random.Random(2)
        number = 0
        while not stop.is_set():
            batch = []
            for _ in range(rng.choice((1, 3, 50))):
                number += 1
                stream = "rare" if rng.random() < 0.02 else rng.choice(("logs-a", "logs-b", "busy"))
                batch.append({"stream": stream, "id": str(number), "data": "x" * rng.choice((1, 200))})
            while True:
                try:
                    assert self.server.request("POST", "/v1/events", ndjson(batch),
                                               {"Content-Type": NDJSON}).status == 201
                    break
                except OSError:
                    time.sleep(0.01)
            time.sleep(rng.choice((0, 0.005, 0.05)))

    def readers(self, server):
        kinds = (("everything", {}, lambda e: True),
                 ("rare", {"stream": "rare"}, lambda e: e["stream"] == "rare"),
                 ("logs", {"stream": "logs-*"}, lambda e: e["stream"].startswith("logs-")),
                 ("nothing", {"stream": "nothing"}, lambda e: False))
        for number, kind in enumerate((SseReader, SocketReader, SessionReader, Poller)):
            for name, query, passes in kinds:
                start = {"after": "first"} if kind in (SseReader, SocketReader) and name == "everything" else {}
                rng = random.Random(f"{number} {name}")
                yield kind(server, rng, f"{kind.__name__} {name}", {**query, **start}, passes)

    def test_readers_that_are_cut_at_any_moment_miss_nothing(self):
        self.server = self.serve("--ring", "64KiB")  # much of what they read is in the store by then
        stop = threading.Event()
        published = Task(self.publish, stop)
        stop_readers = threading.Event()
        readers = list(self.readers(self.server))
        tasks = [Task(reader.run, stop_readers) for reader in readers]
        for kill in range(KILLS):
            while sum(reader.cuts for reader in readers if not isinstance(reader, Poller)) < CUTS * (kill + 1) // KILLS:
                self.assertTrue(all(task.is_alive() for task in tasks), "a reader has failed")
                time.sleep(0.02)
            if kill < KILLS - 1:
                self.server.kill()
                self.server.start(port=self.server.port)
        stop_readers.set()
        for task in tasks:
            task.result()
        stop.set()
        published.result()
        head = self.server.head()
        for task in [Task(reader.finish, head) for reader in readers]:
            task.result()
        events = self.server.everything()
        for reader in readers:
            with self.subTest(reader.name, cuts=reader.cuts):
                self.assertEqual(reader.seen, reader.expected(events))
                if isinstance(reader, SessionReader):
                    self.assertEqual(reader.missed(events), set())


if __name__ == "__main__":
    unittest.main()
