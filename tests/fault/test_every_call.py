#!/usr/bin/env python3
"""The n-th call of each kind fails, n = 1, 2, … until a round of everything has no such call any more: the server lives,
each client gets an answer, what was acknowledged is there once, and nothing leaks (the sanitizers' builds see it).

Shown to fail without the protection: with reader_query.c answering 400 for want of memory; with http.c closing the connection of a
request for whose URL there is none, or ws_message.c giving a publish request no answer then; with a URL that is not freed where a
WebSocket's request finds no memory (ws.c; seen by AddressSanitizer, with a STEP of 1); with api_archive.c
calling an archive that cannot be opened one that is not there; with an export said to be there that could not be renamed
(service_export.c); with the archiver evicting what could not be sealed; with a store that ends at once when its last checkpoint
fails; before readers made sure that their transaction has ended (db_rollback), one whose ROLLBACK had found no memory went on
with what was there when it began.

That each kind is really hit is looked at, and each sweep has to reach its end by itself.
"""

import contextlib
import errno
import http.client
import json
import os
import shutil
import unittest

from faults import (ACCEPT, EPOLL, Faults, MALLOC, MKDIR, MMAP, NAMES, OPEN, READ, REMOVE, RENAME, SQLITE_MALLOC, SYNC, THREAD,
                    TRUNCATE, WRITE)
from case import TidemarkTest
from command import command
from load import SCALE
from sse_client import EventSource
from text import NDJSON, ndjson
from waiting import wait_until
from websocket_client import Closed, WebSocket
from wire import Http, Refused, Wire

# The end of a connection. That nothing comes for a minute is not among it.
LOST = (ConnectionError, EOFError, Closed, http.client.HTTPException)
CONNECTIONS = ACCEPT | EPOLL  # where these fail, connections end with them
# An answer that says what is wrong, and that it may be tried again.
REFUSED = (500, 503, 507)
UNEXPECTED = 1011  # as a WebSocket says it
STEP = max(1, round(1.5 / SCALE))  # of the longest sweeps
SHORT_STEP = 1 if SCALE >= 0.1 else 4  # of the others
STEP_OF_STARTS = 2 * STEP  # a start has 5,900 allocations of SQLite: each of them takes a minute
PER_ROUND = 12


def first_of(board, *types):
    """The next frame of these types."""
    while (frame := board.receive())["type"] not in types:
        pass
    return frame


class EveryCall(TidemarkTest):

    def begin(self, *options):
        self.faults = Faults()
        self.addCleanup(self.faults.close)
        self.kind = 0  # of the calls that fail
        self.losses = 0
        self.acknowledged = {}  # id: seq
        self.asked = 0
        self.server = self.prepare("--disk-reserve", "0", "--ring", "64KiB", "--cache", "64KiB", *options,
                                   extra=self.faults.environment)

    # ---- clients

    def lose(self, error):
        """Only with the connection itself a fault may take the answer. A WebSocket may also be closed with the reason."""
        if not (isinstance(error, Closed) and error.code == UNEXPECTED):
            self.assertTrue(self.kind & CONNECTIONS, f"there was no answer: {error!r}")
            self.losses += 1

    def ask(self, method, path, **how):
        """The answer; None where the connection was lost."""
        try:
            response = self.server.request(method, path, **how)
        except http.client.IncompleteRead:
            return None  # a file that is on its way can only be cut short, and it shows
        except LOST as error:
            return self.lose(error)
        self.assertIn(response.status, (200, 201, *REFUSED), (path, response))
        return response

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
        """A client that was refused, or lost the connection, asks again."""
        events = self.events(3)
        connection = Http(self.server.address)
        fine = False
        try:
            for _ in range(2):
                fine = self.answered(connection.request("POST", "/v1/events", json.dumps(events),
                                                        {"Content-Type": "application/json"}), events)
        except LOST as error:
            self.lose(error)
            fine = False
        finally:
            connection.close()
        if not fine:
            self.publish_again(events)

    def publish_again(self, events):
        wait_until(lambda: self.is_published(events), "a retry is stored")

    def is_published(self, events):
        try:
            return self.answered(self.server.post(ndjson(events), NDJSON), events)
        except LOST as error:
            return self.lose(error)

    def read(self):
        """Everything that reads; what it says must be true, or an error."""
        for path in ("/v1/events?limit=5", "/v1/events?stream=s1&limit=5", "/v1/events/1", "/v1/streams", "/v1/sessions",
                     "/v1/stats", "/readyz", "/healthz", "/v1/archives", "/v1/events?since=-1h&order=desc&limit=3"):
            self.ask("GET", path)

    def leave_in_archives(self, name):
        """What is no archive."""
        directory = os.path.join(self.server.data, "archives")
        os.makedirs(directory, mode=0o700, exist_ok=True)
        with open(os.path.join(directory, name), "wb") as file:
            file.write(b"cut short")

    def archive(self):
        """The one there is was damaged, and is made again: what is said to be made can be fetched."""
        self.leave_in_archives("1-3.ndjson.zst")
        response = self.ask("POST", "/v1/archives", before=4)
        if response is None or response.status != 201:
            return
        made = response.json()
        self.assertEqual((made["first"], made["last"], made["count"]), (1, 3, 3))
        fetched = self.ask("GET", f"/v1/archives/{made['file']}")
        if fetched is not None and fetched.status == 200:
            self.assertEqual(len(fetched.body), made["bytes"])
            self.assertIn(b'"sha256":"%s"' % made["sha256"].encode(), fetched.body)

    def connect(self, path):
        """A WebSocket; None where it was refused, or the connection lost."""
        try:
            return WebSocket(self.server.address, path)
        except Refused as refusal:
            self.assertIn(refusal.response.status, REFUSED)
        except LOST as error:
            self.lose(error)
        return None

    def websocket(self):
        events = self.events(2)
        socket = self.connect(f"/v1/ws?after={max(0, max(self.acknowledged.values()) - 20)}&session=me")
        if socket is None:
            return
        try:
            self.assertEqual(socket.receive()["op"], "hello")
            socket.send({"op": "publish", "ref": 1, "events": events})
            seen = []
            while (frame := socket.receive()).get("op") not in ("published", "error"):
                if "op" not in frame:
                    seen.append(frame["seq"])
            self.assertEqual(seen, sorted(set(seen)))
            if frame["op"] == "published":
                for i, event in enumerate(events):
                    self.acknowledged[event["id"]] = frame["first"] + i
            else:
                self.assertIn(frame["status"], REFUSED, frame)
            socket.send({"op": "ack", "seq": 1})
            socket.send({"op": "ping"})
            while socket.receive().get("op") not in ("pong", "error"):
                pass
        except LOST as error:
            self.lose(error)
        finally:
            socket.close()
        if events[0]["id"] not in self.acknowledged:
            self.publish_again(events)

    def late_websocket(self):
        """Not the first request of its connection."""
        try:
            with contextlib.closing(Wire(self.server.address)) as wire:
                wire.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                if wire.response().status == 200:
                    self.assertEqual(WebSocket(self.server.address, "/v1/ws", wire=wire).receive()["op"], "hello")
        except Refused as refusal:
            self.assertIn(refusal.response.status, REFUSED)
        except LOST as error:
            self.lose(error)

    def stream(self):
        try:
            source = EventSource(self.server.address, "/v1/events?after=first")
            with contextlib.closing(source):
                for seq in range(1, 4):
                    self.assertEqual(source.event()["seq"], seq)
        except Refused as refusal:
            self.assertIn(refusal.response.status, REFUSED)
        except EOFError:
            pass  # once it has begun it can only end: an EventSource comes back
        except LOST as error:
            self.lose(error)

    def export(self):
        """By a dashboard, into a file of the server's, which is whole."""
        path = os.path.join(self.server.data, "exports", "all.json")
        if os.path.exists(path):
            os.unlink(path)
        board = self.connect("/ws")
        if board is None:
            return
        try:
            first_of(board, "initial_stats", "error")
            board.send({"command": "export", "filepath": "all.json"})
            if first_of(board, "export_complete", "error")["type"] == "export_complete":
                with open(path, encoding="utf-8") as file:
                    self.assertIn("summary", json.load(file))
        except LOST as error:
            self.lose(error)
        finally:
            board.close()

    def round(self):
        self.publish()
        self.archive()
        self.read()
        self.websocket()
        self.late_websocket()
        self.stream()
        self.export()

    # ---- what holds afterwards

    def check(self):
        self.assertTrue(self.server.is_alive())
        events = self.events(1)
        wait_until(lambda: self.is_published(events), "it works again")
        by_id = {}
        for event in self.server.everything():
            if "id" in event:
                self.assertNotIn(event["id"], by_id)
                by_id[event["id"]] = event["seq"]
        for name, seq in self.acknowledged.items():
            self.assertEqual(by_id.get(name), seq, name)

    def check_now_and_then(self, n):
        if n % PER_ROUND == 1:
            self.check()

    def end(self):
        self.check()
        self.server.stop()
        done = command("verify", self.server.data)
        self.assertEqual(done.returncode, 0, done.stderr)

    # ---- sweeping

    def sweep(self, kind, error, work, afterwards, step=SHORT_STEP):
        """`work()` while the n-th call fails, n = 1, 2, … until there is none, and then `afterwards(n)`."""
        self.kind = 0
        self.faults.arm(kind, after=1 << 40)
        work()
        # Now and then a thread does something of its own: a round that was slow has a call more.
        most = self.faults.seen() * 2 + 20
        self.faults.disarm()
        afterwards(1)
        self.losses = 0
        n, hits, hit = 1, 0, 1
        while hit and n <= most:
            with self.subTest(f"{NAMES[kind]} number {n}"):
                self.kind = kind
                self.faults.arm(kind, after=n, error=error)
                work()
                hit = self.faults.disarm()
                hits += hit
                self.kind = 0
                afterwards(n)
            n += step
        print(f"{self.id().rsplit('.', 1)[1]}, {NAMES[kind]}: {hits} faults, {self.losses} connections lost", flush=True)
        self.assertGreater(hits, 0, f"{NAMES[kind]} was never hit")
        self.assertEqual(hit, 0, f"{NAMES[kind]} comes to no end")
        return hits

    def sweep_rounds(self, kind, error, step=SHORT_STEP):
        return self.sweep(kind, error, self.round, self.check_now_and_then, step)

    def test_memory(self):
        self.begin()
        self.server.start()
        self.sweep_rounds(MALLOC, errno.ENOMEM, STEP)
        self.end()

    def test_memory_of_sqlite(self):
        self.begin()
        self.server.start()
        self.sweep_rounds(SQLITE_MALLOC, errno.ENOMEM, STEP)
        self.end()

    def test_files(self):
        self.begin()
        self.server.start()
        for kind, error in ((WRITE, errno.EIO), (WRITE, errno.ENOSPC), (SYNC, errno.EIO), (READ, errno.EIO), (OPEN, errno.EMFILE),
                            (MKDIR, errno.EACCES), (REMOVE, errno.EIO), (RENAME, errno.EIO)):
            self.sweep_rounds(kind, error)
        self.end()

    def test_sockets(self):
        self.begin()
        self.server.start()
        for error in (errno.EMFILE, errno.ECONNABORTED, errno.ENOMEM, errno.EINTR):
            self.sweep_rounds(ACCEPT, error)
        for error in (errno.ENOMEM, errno.EINTR):
            self.sweep_rounds(EPOLL, error)
        self.end()

    def leave(self):
        """Events leave the log for an archive; what fails is tried again."""
        self.publish_again(self.events(16))
        last = max(self.acknowledged.values())
        self.ask("POST", "/v1/archives", after=last - 1)  # so that the archiver does not wait for its next turn
        wait_until(lambda: self.server.retention()["log"]["events"] <= 24, "they have left")

    def test_retention(self):
        self.begin("--retain-events", "16")
        self.server.start()
        for kind, error in ((WRITE, errno.EIO), (SYNC, errno.EIO), (OPEN, errno.EMFILE), (RENAME, errno.EIO)):
            self.sweep(kind, error, self.leave, self.check_now_and_then)
        self.end()

    # ---- ends and starts

    def starts(self):
        """Whatever fails at a start: it says so and ends with 1, or it runs."""
        try:
            self.server.start()
        except AssertionError:
            self.assertEqual(self.server.process.wait(), 1, self.server.log_text())
            self.assertIn("tidemark: ", self.server.log[-1])
            self.server.process.stderr.close()

    def check_start(self, n=0):
        if not self.server.is_alive():
            self.server.start()
        self.check()
        if n % 8 == 1:
            self.server.restart()  # the write-ahead log is read at a start after a kill: it does not grow with the rounds

    def test_reopening(self):
        """At its end, or when it was killed, and at the start that follows; something is left of an archive, too."""
        self.begin()
        self.server.start()
        self.round()

        def work():
            self.leave_in_archives("1-2.ndjson.zst.0123abcd.part")
            end()
            self.starts()

        for end in (self.server.stop, self.server.kill):
            for kind, error in ((OPEN, errno.EACCES), (READ, errno.EIO), (WRITE, errno.ENOSPC), (SYNC, errno.EIO),
                                (TRUNCATE, errno.EIO), (MMAP, errno.ENOMEM), (MKDIR, errno.EACCES), (REMOVE, errno.EIO)):
                self.sweep(kind, error, work, self.check_start)
        self.end()

    def test_the_first_start(self):
        self.begin()

        def work():
            shutil.rmtree(self.server.data, ignore_errors=True)
            self.starts()

        def afterwards(_):
            self.acknowledged.clear()
            self.check_start()
            self.server.stop()

        for kind, error in ((OPEN, errno.EACCES), (READ, errno.EIO), (WRITE, errno.ENOSPC), (SYNC, errno.EIO),
                            (TRUNCATE, errno.EIO), (MMAP, errno.ENOMEM), (MKDIR, errno.EACCES)):
            self.sweep(kind, error, work, afterwards)

    def test_starting(self):
        """With too little memory, or without threads."""
        self.begin()

        def afterwards(n):
            if n % 50 == 1:
                self.check_start()
            if self.server.is_alive():
                self.server.stop()

        for kind, error, step in ((MALLOC, errno.ENOMEM, SHORT_STEP), (SQLITE_MALLOC, errno.ENOMEM, STEP_OF_STARTS),
                                  (THREAD, errno.EAGAIN, SHORT_STEP), (EPOLL, errno.ENOMEM, SHORT_STEP)):
            self.sweep(kind, error, self.starts, afterwards, step)


if __name__ == "__main__":
    unittest.main()
