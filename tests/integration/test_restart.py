#!/usr/bin/env python3
"""kill -9 and SIGTERM under load: what was acknowledged is there once, in order, batches whole.

Shown to fail without the protection: answered before they are committed (finish_group in writer.c), events are gone; with ids not
looked up (find_id in store.c) batches of unknown outcome are there twice; without store_hurry, or where a locked database fails
requests one by one (store_begin), a stop takes 5 s for each publisher; with another code in ws_close nobody is told 1001.
"""

import contextlib
import http.client
import os
import random
import sqlite3
import threading
import time
import unittest

from case import TidemarkTest
from client import stored
from load import SCALE, scaled
from store import locked
from text import NDJSON, ndjson, seqs
from waiting import Task, in_parallel, wait_until
from websocket_client import Closed, WebSocket
from wire import Http

# How a server that dies or shuts down looks from outside.
STOP_S = 5 / min(SCALE, 1)  # docs: what a stop may take
LOST = (OSError, http.client.HTTPException, Closed)


class NotTaken(ConnectionError):
    """A server that shuts down may refuse what it has not accepted."""


class Publisher:
    """Publishes numbered batches, and repeats the one whose outcome it does not know.

    `acked` has the (first, last) of each batch by number; `pending` is the batch
    that was sent without an answer.
    """

    def __init__(self, name, seed):
        self.name = name
        self.acked = []
        self.unsure = 0
        self.end = None
        self.connection = None
        self._random = random.Random(seed)
        self._pending = None

    def batch(self):
        """The next batch; the one before again where it was not answered."""
        if self._pending is None:
            number, size = len(self.acked), self._random.choice([1, 1, 2, 5, 20, 60])
            self._pending = [{"stream": self.name, "id": f"{number}.{i}",
                              "data": {"batch": number, "i": i, "of": size}} for i in range(size)]
        else:
            self.unsure += 1
        return self._pending

    def answered(self, receipt):
        size = len(self._pending)
        assert receipt["last"] - receipt["first"] + 1 == size, receipt
        assert (receipt["count"], receipt["duplicates"]) in ((size, 0), (0, size)), receipt
        self.acked.append((receipt["first"], receipt["last"]))
        self._pending = None

    def publish_until(self, stop, address):
        """Publishes until `stop` is set or the server is gone; `end` tells how it went."""
        self.end = None
        try:
            self.connect(address)
            with contextlib.closing(self.connection):
                while not stop.is_set():
                    self.answered(self.send(self.batch()))
        except LOST as end:
            self.end = end

    def settle(self, address):
        """Repeats what is not answered yet."""
        self.connect(address)
        if self._pending is not None:
            self.answered(self.send(self.batch()))
        self.connection.close()


class HttpPublisher(Publisher):

    def connect(self, address):
        self.connection = Http(address)

    def send(self, batch):
        response = self.connection.request("POST", "/v1/events", ndjson(batch),
                                           {"Content-Type": NDJSON})
        if response.status == 503:
            raise NotTaken
        return stored(response)


class WebSocketPublisher(Publisher):

    def connect(self, address):
        self.connection = WebSocket(address, "/v1/ws?stream=nothing")

    def send(self, batch):
        self.connection.send({"op": "publish", "ref": len(self.acked), "events": batch})
        while (reply := self.connection.receive())["op"] in ("hello", "live"):
            pass
        if reply["op"] == "error" and reply["status"] == 503:
            raise NotTaken
        assert reply["op"] == "published" and reply["ref"] == len(self.acked), reply
        return reply


class Follower:
    """Reads everything over all crashes, resuming after the last it has seen."""

    def __init__(self):
        self.seen = []
        self.end = None

    def follow_until(self, stop, address):
        after = self.seen[-1]["seq"] if self.seen else 0
        try:
            with contextlib.closing(WebSocket(address, f"/v1/ws?after={after}")) as socket:
                while not stop.is_set():
                    self.seen.append(socket.event())
        except LOST as end:
            self.end = end


class CrashTest(TidemarkTest):

    def publishers(self):
        return ([HttpPublisher(f"http{i}", i) for i in range(4)]
                + [WebSocketPublisher(f"ws{i}", 10 + i) for i in range(2)])

    def run_and_end(self, server, workers, batches, end):
        """Runs all workers until so many more batches are acknowledged, then `end()`s."""
        stop = threading.Event()
        methods = [w.publish_until if isinstance(w, Publisher) else w.follow_until for w in workers]
        publishers = [w for w in workers if isinstance(w, Publisher)]
        goal = sum(len(p.acked) for p in publishers) + batches
        tasks = [Task(method, stop, server.address) for method in methods]
        wait_until(lambda: sum(len(p.acked) for p in publishers) >= goal, "enough is acknowledged")
        end()
        stop.set()
        for task in tasks:
            task.result()

    def assert_whole(self, events, publishers):
        """The promise of sections 1 and 8, from what the publishers know."""
        self.assertEqual(seqs(events), list(range(1, len(events) + 1)))
        times = [event["time"] for event in events]
        self.assertEqual(times, sorted(times))
        by_stream = {}
        for event in events:
            by_stream.setdefault(event["stream"], []).append(event)
        for publisher in publishers:
            own = by_stream.pop(publisher.name, [])
            expected = [f"{number}.{i}" for number, (first, last) in enumerate(publisher.acked)
                        for i in range(last - first + 1)]
            self.assertEqual([e["id"] for e in own], expected, publisher.name)
            for number, (first, last) in enumerate(publisher.acked):
                batch = events[first - 1:last]
                self.assertEqual({e["stream"] for e in batch}, {publisher.name})
                self.assertEqual([(e["data"]["batch"], e["data"]["i"]) for e in batch],
                                 [(number, i) for i in range(batch[0]["data"]["of"])])
        self.assertEqual(by_stream, {})


class KillLoop(CrashTest):

    def test_acknowledged_events_survive_kill_9_once_in_order_and_batches_whole(self):
        server = self.serve("--ring", "256KiB")
        publishers, follower = self.publishers(), Follower()
        epochs = set()
        rounds = scaled(8, 3)
        rng = random.Random(1)
        for _ in range(rounds):
            self.run_and_end(server, publishers + [follower], rng.randrange(20, scaled(300, 60)),
                             server.kill)
            server.start()
            epochs.add(server.history(limit=1)["epoch"])
            self.assert_batches_whole(server)
        in_parallel([lambda p=p: p.settle(server.address) for p in publishers])
        events = server.everything()
        self.assert_whole(events, publishers)
        self.assertEqual(len(epochs), 1)
        self.assertGreater(sum(p.unsure for p in publishers), 0, "no outcome was ever unknown")

        # What was delivered is what is stored: nothing was delivered before its commit.
        def caught_up():
            wait_until(lambda: len(follower.seen) >= len(events), "the follower has caught up")
            server.kill()

        self.run_and_end(server, [follower], 0, caught_up)
        self.assertEqual(seqs(follower.seen), seqs(events))
        self.assertEqual(follower.seen, events)
        server.start()

    def assert_batches_whole(self, server):
        """Also what was not acknowledged is there as a whole or not at all."""
        events = server.everything()
        at = 0
        while at < len(events):
            size = events[at]["data"]["of"]
            batch = events[at:at + size]
            self.assertEqual([(e["stream"], e["data"]["batch"], e["data"]["i"]) for e in batch],
                             [(events[at]["stream"], events[at]["data"]["batch"], i)
                              for i in range(size)])
            at += size

    def test_a_retry_after_an_unknown_outcome_stores_once(self):
        server = self.serve()
        batch = [{"id": f"i{i}", "data": i} for i in range(50)]
        for delay in range(scaled(10, 4)):
            wire = server.wire()
            body = ndjson({**event, "stream": f"s{delay}"} for event in batch)
            wire.send(b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson"
                      b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            time.sleep(delay / 2000)  # so that some are killed before, some after the commit
            server.kill()
            server.start()
            receipt = stored(server.post(body, NDJSON))
            self.assertIn((receipt["count"], receipt["duplicates"]), [(50, 0), (0, 50)])
            self.assertEqual(receipt["last"], (delay + 1) * 50)
        self.assertEqual([e["id"] for e in server.everything()],
                         [e["id"] for e in batch] * scaled(10, 4))


class OtherPrograms(TidemarkTest):
    """Shown to fail where the server opens and closes the database besides SQLite (place_keep_first), which gives its locks up."""

    def test_one_that_reads_the_store_takes_nothing_away(self):
        server = self.serve()
        server.publish([{"data": 1}])
        files = {name: os.path.join(server.data, name) for name in ("tidemark.db", "tidemark.db-wal", "head")}
        wait_until(lambda: os.path.getsize(files["head"]) > 4096, "the log is in the database, and a copy of its first page is kept")
        for i in range(2, 5):
            with contextlib.closing(sqlite3.connect(files["tidemark.db"])) as other:
                self.assertEqual(other.execute("SELECT max(seq) FROM event").fetchone(), (i - 1,))
            self.assertTrue(os.path.exists(files["tidemark.db-wal"]))
            self.assertEqual(server.publish([{"data": i}])["first"], i)
        self.assertEqual(server.get("/v1/stats").json()["breaker"]["opens"], 0)
        server.kill()
        server.start()
        self.assertEqual([event["data"] for event in server.everything()], [1, 2, 3, 4])


class CleanStop(CrashTest):

    def test_a_stop_under_load_finishes_what_was_accepted(self):
        server = self.serve()
        publishers, follower = self.publishers(), Follower()
        for _ in range(2):
            self.run_and_end(server, publishers + [follower], scaled(100, 20), lambda: server.stop(STOP_S))
            self.assertEqual(follower.end.code, 1001)
            for publisher in publishers:
                if isinstance(publisher.end, Closed):
                    self.assertEqual(publisher.end.code, 1001)
            server.start()
        in_parallel([lambda p=p: p.settle(server.address) for p in publishers])
        self.assert_whole(server.everything(), publishers)

    def test_nobody_waits_for_a_locked_store(self):
        server = self.serve()
        server.publish({"data": 1})
        readers = [server.live_reader() for _ in range(3)]
        with locked(server.data):
            waiting = [Task(server.post, ndjson([{"data": i}]), NDJSON) for i in range(20)]
            wait_until(lambda: server.get("/v1/stats").json()["queue"]["events"] == 20, "publishers wait")
            server.stop(STOP_S)
        for task in waiting:
            self.assert_problem(task.result(), 503)
        for reader in readers:
            self.assertEqual(reader.closed().code, 1001)
        server.start()
        self.assertEqual(server.head(), 1)

    def test_nothing_changes_over_restarts(self):
        server = self.serve()
        server.publish([{"stream": f"s{i % 5}", "type": "t", "id": f"i{i}", "data": {"n": i}}
                        for i in range(200)])
        before = (server.lines(), server.get("/v1/streams").json(), server.history()["epoch"])
        for _ in range(3):
            server.restart()
            self.assertEqual((server.lines(), server.get("/v1/streams").json(),
                              server.history()["epoch"]), before)
        self.assertEqual(server.publish({"data": "next"})["first"], 201)

    def test_a_stop_on_the_same_port_can_be_followed_by_a_start(self):
        server = self.serve()
        reader = server.live_reader()
        server.restart(same_port=True)
        reader.closed()
        self.assertEqual(server.publish({"data": 1})["first"], 1)


if __name__ == "__main__":
    unittest.main()
