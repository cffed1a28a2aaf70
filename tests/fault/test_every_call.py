#!/usr/bin/env python3
"""The n-th call of each kind fails, n = 1, 2, … until a round of everything has no such call any more: the server lives,
whoever publishes gets an answer, what was acknowledged is there once, and nothing leaks (the sanitizers' builds see it).

Shown to fail without the protection: with query.c answering 400 for want of memory; before readers made sure that their transaction
has ended (db_rollback), one whose ROLLBACK had found no memory went on with what was there when it began.

That each round is really hit is counted, and the sweep has to reach its end by itself.
"""

import errno
import http.client
import json
import unittest

from faults import (ACCEPT, EPOLL, FAIL, Faults, MALLOC, MMAP, NAMES, OPEN, READ, REMOVE, RENAME, SQLITE_MALLOC, SYNC, THREAD,
                    TRUNCATE, WRITE)
from harness import NDJSON, TidemarkTest, command, is_sanitized, ndjson, wait_until
from websocket_client import Closed, WebSocket
from wire import Http, Refused

LOST = (OSError, EOFError, Closed, Refused, http.client.HTTPException)
# An answer that says what is wrong, and that it may be tried again.
REFUSED = (500, 503, 507)
STEP = 3 if is_sanitized() else 1  # of the longest sweeps
PER_ROUND = 12


class EveryCall(TidemarkTest):

    def begin(self, *options):
        self.faults = Faults()
        self.addCleanup(self.faults.close)
        self.server = self.serve("--disk-reserve", "0", "--ring", "64KiB", "--cache", "64KiB", *options,
                                 extra=self.faults.environment)
        self.acknowledged = {}  # id: seq
        self.asked = 0

    def answered(self, response, events):
        self.assertIn(response.status, (201, *REFUSED), response)
        if response.status == 201:
            receipt = response.json()
            for i, event in enumerate(events):
                self.acknowledged[event["id"]] = receipt["seqs"][i] if "seqs" in receipt else receipt["first"] + i
        else:
            self.assert_problem(response, response.status)
        return response.status == 201

    def events(self, count):
        self.asked += count
        return [{"stream": f"s{i % 3}", "type": "t", "id": f"{self.asked}.{i}", "data": {"n": i, "pad": "x" * 50}}
                for i in range(count)]

    def publish(self):
        """Whoever got no answer, for its connection was closed, asks again; each has one in the end."""
        events = self.events(3)
        connection = Http(self.server.address)
        try:
            for _ in range(2):
                fine = self.answered(connection.request("POST", "/v1/events", json.dumps(events),
                                                        {"Content-Type": "application/json"}), events)
        except LOST as error:
            self.lost[repr(error)] = self.lost.get(repr(error), 0) + 1
            fine = False
        finally:
            connection.close()
        if not fine:
            wait_until(lambda: self.published_again(events), "a retry is stored")

    def published_again(self, events):
        try:
            return self.answered(self.server.post(ndjson(events), NDJSON), events)
        except LOST:
            return False

    def read(self):
        """Everything that reads; what it says must be true, or an error."""
        with_errors = []
        for path in ("/v1/events?limit=5", "/v1/events?stream=s1&limit=5", "/v1/events/1", "/v1/streams", "/v1/sessions",
                     "/v1/stats", "/readyz", "/healthz", "/v1/archives", "/v1/events?since=-1h&order=desc&limit=3"):
            try:
                response = self.server.request("GET", path)
                if response.status not in (200, *REFUSED):
                    with_errors.append((path, response))
            except LOST:
                pass
        self.assertEqual(with_errors, [])

    def archive(self):
        """An archive of what is new; whatever fails, events stay where they are."""
        try:
            head = self.server.head()
            response = self.server.request("POST", "/v1/archives", json.dumps({"after": max(0, head - 3), "until": head}),
                                           {"Content-Type": "application/json"})
            self.assertIn(response.status, (200, 201, 400, *REFUSED), response)
        except (AssertionError, *LOST):
            pass

    def websocket(self):
        try:
            newest = max(self.acknowledged.values(), default=0)
            socket = WebSocket(self.server.address, f"/v1/ws?after={max(0, newest - 20)}&session=me")
        except LOST:
            return
        events = self.events(2)
        try:
            socket.send({"op": "publish", "ref": 1, "events": events})
            seen = []
            while (frame := socket.receive()).get("op") not in ("published", "error"):
                if "op" not in frame:
                    seen.append(frame["seq"])
            self.assertEqual(seen, sorted(set(seen)))
            if frame["op"] == "published":
                for i, event in enumerate(events):
                    self.acknowledged[event["id"]] = frame["first"] + i
            socket.send({"op": "ack", "seq": 1})
            socket.send({"op": "ping"})
            while socket.receive().get("op") not in ("pong", "error"):
                pass
        except LOST:
            pass
        finally:
            socket.close()

    def stream(self):
        try:
            source = self.server.sse(after="first")
            for seq in range(1, 4):
                self.assertEqual(source.event()["seq"], seq)
            source.close()
        except LOST:
            pass

    def round(self):
        self.publish()
        self.archive()
        self.read()
        self.websocket()
        self.stream()

    def check(self):
        self.assertTrue(self.server.is_alive())
        wait_until(self.is_well, "it works again")
        by_id = {}
        for event in self.server.everything():
            if "id" in event:
                self.assertNotIn(event["id"], by_id)
                by_id[event["id"]] = event["seq"]
        for name, seq in self.acknowledged.items():
            self.assertEqual(by_id.get(name), seq, name)

    def is_well(self):
        try:
            events = self.events(1)
            return self.answered(self.server.post(events), events)
        except LOST:
            return False

    def sweep(self, kind, error, step=1):
        n = 1
        hits = 0
        self.lost = {}
        # Now and then a thread does something of its own: a round that was slow has a call more, and there would be no end.
        self.faults.arm(kind, after=1 << 40)
        self.round()
        most = self.faults.seen() * 3 // 2 + 10
        while n <= most:
            hit = 1
            with self.subTest(f"{NAMES[kind]} number {n}"):
                self.faults.arm(kind, after=n, error=error)
                self.round()
                hit = self.faults.disarm()
                hits += hit
                if n % PER_ROUND == 1:
                    self.check()
            if hit == 0:
                break
            n += step
        self.check()
        print(f"{NAMES[kind]}: {hits} faults, without an answer: {self.lost}", flush=True)
        return hits

    def end(self):
        self.server.stop()
        done = command("verify", self.server.data)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_memory(self):
        self.begin()
        self.assertGreater(self.sweep(MALLOC, errno.ENOMEM, STEP), 50)
        self.end()

    def test_memory_of_sqlite(self):
        self.begin()
        self.assertGreater(self.sweep(SQLITE_MALLOC, errno.ENOMEM, STEP), 10)
        self.end()

    def test_files(self):
        self.begin()
        hits = 0
        for kind, error in ((WRITE, errno.EIO), (WRITE, errno.ENOSPC), (SYNC, errno.EIO), (READ, errno.EIO), (OPEN, errno.EMFILE),
                            (TRUNCATE, errno.EIO), (MMAP, errno.ENOMEM), (REMOVE, errno.EIO), (RENAME, errno.EIO)):
            hits += self.sweep(kind, error)
        self.assertGreater(hits, 40)
        self.end()

    def test_sockets(self):
        self.begin()
        for error in (errno.EMFILE, errno.ECONNABORTED, errno.ENOMEM, errno.EINTR):
            self.assertGreater(self.sweep(ACCEPT, error), 5)
        for error in (errno.ENOMEM, errno.EINTR):
            self.assertGreater(self.sweep(EPOLL, error), 5)
        self.end()

    def test_starting(self):
        """Whatever fails at a start: it says so and ends with 1, or it runs; and the next start works."""
        faults = Faults()
        self.addCleanup(faults.close)
        server = self.prepare(extra=faults.environment)
        for kind, error in ((MALLOC, errno.ENOMEM), (SQLITE_MALLOC, errno.ENOMEM), (OPEN, errno.EACCES), (READ, errno.EIO),
                            (WRITE, errno.ENOSPC), (SYNC, errno.EIO), (THREAD, errno.EAGAIN), (EPOLL, errno.ENOMEM)):
            n, hit, refused = 1, 1, 0
            while hit:
                with self.subTest(f"{NAMES[kind]} number {n}"):
                    faults.arm(kind, after=n, error=error, action=FAIL)
                    try:
                        server.start()
                    except AssertionError:
                        self.assertEqual(server.process.wait(), 1, server.log_text())
                        self.assertIn("tidemark: ", server.log[-1])
                        refused += 1
                        server.process.stderr.close()
                    else:
                        server.stop()
                    hit = faults.disarm()
                n += 5 if kind in (MALLOC, SQLITE_MALLOC) else 1
            print(f"start, {NAMES[kind]}: {n - 1} tried, {refused} refused", flush=True)
        server.start()
        self.assertEqual(server.publish([{"data": 1}])["first"], 1)


if __name__ == "__main__":
    unittest.main()
