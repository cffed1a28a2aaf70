#!/usr/bin/env python3
"""No seam between the past and now: readers that join anywhere, at full publishing speed."""

import json
import random
import re
import threading
import unittest

from case import TidemarkTest
from client import stored
from load import scaled
from text import NDJSON, ndjson, seqs
from waiting import Task, in_parallel, wait_until

STREAMS = [f"s{i}" for i in range(8)]
TYPES = ["a", "b", "c"]
SEQ = re.compile(r'\{"seq":(\d+),')


class WebSocketReader:
    """Collects seqs; `live` has the seq of each `live` frame and how many came before it."""

    def __init__(self, server, query):
        self.query = query
        self.seen = []
        self.live = []
        self._socket = server.reader(**query)
        self.after = self._socket.hello["after"]

    def is_live(self):
        return bool(self.live)

    def read_one(self):
        text = self._socket.text()
        if found := SEQ.match(text):
            self.seen.append(int(found[1]))
        else:
            frame = json.loads(text)
            assert frame["op"] == "live", frame
            self.live.append((frame["seq"], len(self.seen)))


class SseReader:

    def __init__(self, server, query):
        self.query = query
        self.seen = []
        self.after = int(query["after"])
        self._source = server.sse(**query)

    def is_live(self):
        return True

    def read_one(self):
        message = self._source.message()
        assert message.event is None, message
        seq = message.id.partition(".")[0]
        self.seen.append(int(seq))
        assert SEQ.match(message.data)[1] == seq, message


class SeamTest(TidemarkTest):

    def events(self, rng, count):
        return [{"stream": rng.choice(STREAMS), "type": rng.choice(TYPES),
                 "data": "x" * rng.choice([0, 50, 300])} for _ in range(count)]

    def matching(self, events, query):
        return [e["seq"] for e in events if e["seq"] > query["from"]
                and e["stream"] in query.get("stream", [e["stream"]])
                and e["type"] in query.get("type", [e["type"]])]

    def random_query(self, rng, head):
        query = {"after": rng.choice([0, head, rng.randrange(head + 1), rng.randrange(head + 1)])}
        kind = rng.random()
        if kind < 0.5:
            query["stream"] = rng.sample(STREAMS, rng.choice([1, 2, 4]))
        if 0.3 < kind < 0.7:
            query["type"] = rng.sample(TYPES, rng.choice([1, 2]))
        return query

    def read_to_the_end(self, reader, end_of):
        """Reads until the last event that matches, which `end_of` knows in the end, and `live`."""
        while ((end := end_of(reader)) is None or not reader.seen or reader.seen[-1] < end
               or not reader.is_live()):
            reader.read_one()

    def check(self, options, publishers, batches, size):
        """Readers join at random positions while `publishers` write as fast as they can."""
        rng = random.Random(7)
        server = self.serve(*options)
        for _ in range(10):
            server.publish_lines(self.events(rng, scaled(200, 50)))
        ends = []  # at last one dict: the seq of the closing event of each (stream, type)

        def publish(seed):
            http, own = server.http(), random.Random(seed)
            for _ in range(batches):
                stored(http.request("POST", "/v1/events", ndjson(self.events(own, size)),
                                    {"Content-Type": NDJSON}))

        def end_of(reader):
            if not ends:
                return None
            return max(seq for (stream, type_), seq in ends[0].items()
                       if stream in reader.query.get("stream", [stream])
                       and type_ in reader.query.get("type", [type_]))

        writers = [Task(publish, seed) for seed in range(publishers)]
        readers, tasks = [], []
        for i in range(18):
            kind = SseReader if i % 3 == 2 else WebSocketReader
            reader = kind(server, self.random_query(rng, server.head()))
            readers.append(reader)
            tasks.append(Task(self.read_to_the_end, reader, end_of))
        for writer in writers:
            writer.result()
        closing = [(stream, type_) for stream in STREAMS for type_ in TYPES]
        first = server.publish([{"stream": s, "type": t, "data": "end"} for s, t in closing])["first"]
        ends.append({pair: first + i for i, pair in enumerate(closing)})
        # A reader that waits for its next event has not noticed; one more event wakes it.
        server.publish([{"stream": s, "type": t, "data": "live"} for s, t in closing])
        for task in tasks:
            task.result()

        events = server.everything()
        self.assertEqual(seqs(events), list(range(1, len(events) + 1)))
        for reader in readers:
            with self.subTest(reader.query):
                expected = self.matching(events, {**reader.query, "from": reader.after})
                self.assertEqual(reader.after, reader.query["after"])
                self.assertEqual(reader.seen, expected[:len(reader.seen)])
                self.assertGreaterEqual(reader.seen[-1], end_of(reader))
                if isinstance(reader, WebSocketReader):
                    self.assert_live_once(reader)

    def assert_live_once(self, reader):
        """`live` comes once, after all up to its seq and before all past it."""
        self.assertEqual(len(reader.live), 1)
        seq, before = reader.live[0]
        self.assertEqual([s for s in reader.seen if s <= seq], reader.seen[:before])

    def test_readers_see_every_event_once_with_a_tiny_ring(self):
        self.check(["--ring", "64KiB"], publishers=3, batches=scaled(60, 12), size=100)

    def test_readers_see_every_event_once_with_the_usual_ring(self):
        self.check([], publishers=3, batches=scaled(60, 12), size=100)

    def test_readers_see_every_event_once_with_single_events(self):
        self.check(["--ring", "64KiB"], publishers=6, batches=scaled(300, 50), size=2)

    def test_a_hundred_joins_at_the_moving_head(self):
        server = self.serve("--ring", "64KiB")
        stop = threading.Event()

        def publish():
            http = server.http()
            while not stop.is_set():
                stored(http.request("POST", "/v1/events", ndjson([{"data": "x" * 100}] * 10),
                                    {"Content-Type": NDJSON}))

        def join():
            for _ in range(scaled(12, 3)):
                socket = server.reader(after="head")
                self.assertGreaterEqual(socket.hello["head"], socket.hello["after"])
                first = socket.hello["after"] + 1
                self.assertEqual(seqs(socket.events(50)), list(range(first, first + 50)))
                socket.close()

        writer = Task(publish)
        wait_until(lambda: server.head() > 100, "publishing has begun")
        try:
            in_parallel([join] * 8)
        finally:
            stop.set()
        writer.result()


if __name__ == "__main__":
    unittest.main()
