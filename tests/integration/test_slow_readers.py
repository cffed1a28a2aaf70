#!/usr/bin/env python3
"""Readers that are stuck lag; they cost no memory and disturb nobody.

Shown to fail without the protection: with a ring that drops nothing (feed.c) the server grows by 71 MiB; without --max-lag in sse.c
a stuck stream stays.
"""

import contextlib
import os
import re
import sqlite3
import time
import unittest

from case import TidemarkTest
from load import MIB, memory, scaled
from text import seqs
from waiting import Task, wait_until
from websocket_client import Closed
from wire import DEADLINE_S, Wire

# What a server may grow by while stuck readers fall behind: its ring and queue,
# the store's page cache, buffers of its HTTP and WebSocket libraries. A queue
# for each reader would be a hundred times that. Sanitizers keep shadow memory.
GROWTH = memory(64)
OPTIONS = ("--ring", "4MiB", "--queue-bytes", "8MiB", "--ping-interval", "10m")
SMALL_BUFFER = 4096  # of the socket, so that a reader is stuck soon


class SlowReaders(TidemarkTest):

    def publish(self, server, megabytes, each=None):
        """Events of 2 KiB, a batch after another; `each` is called with the head."""
        line = '{"data":"%s"}\n' % ("x" * 2000)
        for _ in range(megabytes * MIB // (200 * 2000)):
            head = server.publish_lines([line] * 200)["last"]
            if each:
                each(head)
        return head

    def collect(self, socket, until):
        seen = []
        while not seen or seen[-1] < until():
            text = socket.text()
            if text.startswith('{"seq":'):
                seen.append(int(re.match(r'\{"seq":(\d+)', text)[1]))
        return seen

    def test_stuck_readers_cost_no_memory_and_the_healthy_one_gets_all(self):
        server = self.serve(*OPTIONS)
        self.publish(server, 2)
        sockets = [server.websocket(after="first", receive_buffer=SMALL_BUFFER)
                   for _ in range(scaled(150, 20))]
        sources = [server.sse(after="first", receive_buffer=SMALL_BUFFER)
                   for _ in range(scaled(100, 20))]
        filtered = [server.websocket(after="first", stream="default", receive_buffer=SMALL_BUFFER)
                    for _ in range(scaled(50, 10))]
        healthy = server.reader(after="first")
        head = server.head()
        self.collect(healthy, lambda: head)
        before = server.rss()

        goal = [1 << 60]
        reading = Task(self.collect, healthy, lambda: goal[0])
        goal[0] = self.publish(server, scaled(60, 16))
        server.publish({"data": "wakes a reader that knew no goal yet"})
        self.assertEqual(reading.result()[:goal[0] - head], list(range(head + 1, goal[0] + 1)))
        grown = server.rss() - before
        self.assertLess(grown, GROWTH, f"the server grew by {grown // MIB} MiB")

        # They lag, and are not dropped: when they read, they get it all.
        for reader in (sockets[0], filtered[0]):
            self.assertEqual(self.collect(reader, lambda: goal[0]), list(range(1, goal[0] + 1)))
        self.assertEqual(seqs(sources[0].events(goal[0])), list(range(1, goal[0] + 1)))

    def test_a_stuck_reader_delays_no_publisher_and_no_newcomer(self):
        server = self.serve(*OPTIONS)
        stuck = [server.websocket(after="first", receive_buffer=SMALL_BUFFER) for _ in range(20)]
        stuck += [server.sse(after="first", receive_buffer=SMALL_BUFFER) for _ in range(20)]
        head = self.publish(server, scaled(20, 8))
        newcomer = server.reader(after=head - 10)
        self.assertEqual(seqs(newcomer.events(10)), list(range(head - 9, head + 1)))
        self.assertEqual(newcomer.receive(), {"op": "live", "seq": head})
        self.assertEqual(server.publish({"data": 1})["first"], head + 1)
        self.assertEqual(newcomer.event()["seq"], head + 1)

    def test_stuck_histories_cost_no_memory_and_hold_no_checkpoint(self):
        server = self.serve(*OPTIONS)
        self.publish(server, scaled(20, 8))
        before = server.rss()
        wires = []
        for _ in range(scaled(40, 10)):
            wires.append(server.keep(Wire(server.address, SMALL_BUFFER)))
            wires[-1].send(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n")
            self.assertEqual(wires[-1].head(time.monotonic() + DEADLINE_S)[0], 200)
        head = self.publish(server, scaled(40, 16))
        self.assertLess(server.rss() - before, GROWTH)
        wait_until(lambda: os.path.getsize(server.data + "/tidemark.db-wal") < 32 * MIB,
                   "the write-ahead log is short")
        body = wires[0].body(200, {"transfer-encoding": "chunked"}, time.monotonic() + DEADLINE_S)
        seen = [int(seq) for seq in re.findall(rb'^\{"seq":(\d+)', body, re.MULTILINE)]
        self.assertEqual(seen, list(range(1, len(seen) + 1)))
        self.assertLessEqual(len(seen), head)

    def test_the_log_is_shrunk_once_a_reader_in_the_way_has_gone(self):
        server = self.serve(*OPTIONS)
        self.publish(server, 8)
        with contextlib.closing(sqlite3.connect(server.data + "/tidemark.db", isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM event").fetchone()  # reads the log from here on
            time.sleep(3)  # longer than the server waits before it shrinks an idle log
            self.assertGreater(self.log_size(server), 0)
        wait_until(lambda: self.log_size(server) == 0, "the log is empty, though nothing is written")

    def log_size(self, server):
        return os.path.getsize(server.data + "/tidemark.db-wal")

    def test_a_server_with_stuck_readers_stops(self):
        server = self.serve(*OPTIONS)
        for _ in range(10):
            server.websocket(after="first", receive_buffer=SMALL_BUFFER)
            server.sse(after="first", receive_buffer=SMALL_BUFFER)
        self.publish(server, 8)
        server.stop()

    def test_a_stuck_publisher_of_large_requests_holds_no_one(self):
        server = self.serve()
        for _ in range(50):
            wire = server.wire()
            wire.send(b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                      b"Content-Length: 1000000\r\n\r\n" + b'{"data":"' + b"x" * 1000)
        for seq in range(1, 11):
            self.assertEqual(server.publish({"data": 1})["first"], seq)
        self.assertEqual(len(server.everything()), 10)

    def test_max_lag_closes_a_reader_only_where_set(self):
        server = self.serve(*OPTIONS, "--max-lag", "2000")
        healthy = server.live_reader()
        before = server.descriptors()
        stuck = server.websocket(receive_buffer=SMALL_BUFFER)
        source = server.sse(receive_buffer=SMALL_BUFFER)
        seen = []
        # The healthy reader keeps up with each batch, so it never lags by more.
        head = self.publish(server, 24, lambda to: seen.extend(self.collect(healthy, lambda: to)))
        self.assertEqual(seen, list(range(1, head + 1)))
        wait_until(lambda: server.descriptors() <= before, "both stuck readers are closed")

        got = []
        with self.assertRaises(Closed):
            while not got or got[-1] < head:
                got.append(stuck.event()["seq"])
        self.assertEqual(got, list(range(1, len(got) + 1)))
        self.assertTrue(source.ended())
        self.assertEqual(server.publish({"data": 1})["first"], head + 1)
        self.assertEqual(healthy.event()["seq"], head + 1)


if __name__ == "__main__":
    unittest.main()
