#!/usr/bin/env python3
"""Memory stays bounded and everybody else is served, whatever publishers and readers do.

Shown to fail without the protection: with writer.c taking whatever comes, none is refused; without the bound of uploads
in http.c the server grows by 131 MiB (by 11 with it); with quota_room answering UINT64_MAX stuck long polls make it grow by
1,775 MiB (36), and pages do not become shorter; where what a socket has no room for is left to libwebsockets, stuck streams
make it grow by 472 MiB (28); with 64 KiB more for each, idle readers take up 72 KiB (8); where on_close is not called by
ws.c, or the listener does not look for the end of a connection, some stay for ever; without dawdles() in ws_tick.c messages
trickle on, without CALLER_PROGRESS large ones are cut off; without the deadlines of callers_sweep bodies at the server of streams
go on; without pings the beginnings of frames stay.
"""

import contextlib
import json
import re
import resource
import select
import socket
import time
import unittest

from binary import is_sanitized
from case import TidemarkTest
from load import KIB, MIB, memory, scaled
from store import locked
from text import JSON, NDJSON, ndjson
from waiting import Task, wait_until
from websocket_client import CONTINUATION, TEXT, Closed, frame
from wire import DEADLINE_S, TimedOut, Wire

SANITIZED = is_sanitized()
# Beside what is bounded by options: the store's page cache, stacks, what the allocator keeps. Sanitizers keep shadow memory.
MARGIN = memory(48)
SMALL_BUFFER = 4096  # of a socket, so that a reader is stuck soon
SMALL = ("--ring", "4MiB", "--cache", "1MiB", "--ping-interval", "10m")
POST = b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n"
RESET = b"\1\0\0\0\0\0\0\0"  # SO_LINGER: closing resets the connection


def peak(server):
    """The most memory it ever had, in bytes."""
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) * KIB


def answered(wires):
    """How many have something to read."""
    poll = select.poll()
    for wire in wires:
        poll.register(wire.sock, select.POLLIN)
    return len(poll.poll(0))


class Publishers(TidemarkTest):
    QUEUE = 2 * MIB
    BODIES = 2 * QUEUE  # docs: twice the queue, where that is more than two requests
    OPTIONS = (*SMALL, "--queue-bytes", "2MiB", "--max-request", "1MiB")
    BOUND = QUEUE + BODIES + 5 * MIB + MARGIN
    EVENTS = 200

    def setUp(self):
        self.server = self.serve(*self.OPTIONS)
        self.server.publish([{"data": "x" * 2000}] * 100)
        self.server.publish({"data": 0})
        self.number = 0
        self.acked = []

    def batch(self):
        """So many events of 2 KB that nobody else has."""
        self.number += 1
        return self.number, [{"data": {"n": self.number, "i": i, "x": "x" * 1960}} for i in range(self.EVENTS)]

    def body(self):
        number, events = self.batch()
        return number, ndjson(events)

    def answers(self, sent):
        """Reads the answers to [(wire, number)]; returns how many were refused."""
        refused = 0
        for wire, number in sent:
            response = wire.response()
            if response.status == 201:
                self.acked.append(number)
                continue
            refused += 1
            self.assertIn(response.status, (429, 503))
            self.assertIn(int(response.headers["retry-after"]), range(1, 7))
        return refused

    def check(self, before):
        """Memory was bounded, and what was acknowledged is there, once, and whole."""
        grown = peak(self.server) - before
        self.assertLess(grown, self.BOUND, f"it grew by {grown // MIB} MiB")
        seen = [event["data"] for event in self.server.everything()[101:]]
        self.assertEqual([(data["n"], data["i"]) for data in seen],
                         [(n, i) for n in dict.fromkeys(data["n"] for data in seen) for i in range(self.EVENTS)])
        self.assertEqual(sorted({data["n"] for data in seen}), sorted(self.acked))
        self.assertEqual(self.server.publish({"data": 1})["count"], 1)

    def test_over_http_the_queue_is_bounded(self):
        server, before = self.server, peak(self.server)
        wires = [server.wire() for _ in range(scaled(300, 40))]
        with locked(server.data):
            sent = []
            for wire in wires:
                number, body = self.body()
                wire.send(POST % len(body) + body)
                sent.append((wire, number))
            wait_until(lambda: answered(wires) >= len(wires) - 8, "most are refused at once")
        self.assertGreater(self.answers(sent), len(wires) - 10)
        for _ in range(2):  # and once more, as fast as they can
            sent = []
            for wire in wires:
                number, body = self.body()
                wire.send(POST % len(body) + body)
                sent.append((wire, number))
            self.answers(sent)
        self.check(before)

    def test_over_http_bodies_on_their_way_are_bounded(self):
        server, before = self.server, peak(self.server)
        sent = []
        for _ in range(scaled(300, 40)):
            wire = server.wire()
            number, body = self.body()
            wire.send(POST % len(body) + body[:-1])
            sent.append((wire, number))
        for wire, _ in sent:
            wire.send(b"\n")
        self.assertGreater(self.answers(sent), len(sent) - 15)
        self.check(before)

    def test_over_websocket_the_queue_is_bounded(self):
        server, before = self.server, peak(self.server)
        sockets = [server.reader(after="head", stream="none") for _ in range(scaled(8, 4))]
        each = scaled(30, 8)

        def publish(socket_):
            for _ in range(each):
                number, events = self.batch()
                socket_.send({"op": "publish", "ref": number, "events": events})

        with locked(server.data):
            for one in sockets:
                publish(one)
            wait_until(lambda: server.get("/v1/stats").json()["commits"]["refused"] >= each * len(sockets) - 8,
                       "most are refused")
        refused = 0
        for one in sockets:
            for _ in range(each):
                while (answer := one.receive())["op"] not in ("published", "error"):
                    pass
                if answer["op"] == "published":
                    self.acked.append(answer["ref"])
                    continue
                refused += 1
                self.assertIn(answer["status"], (429, 503))
        self.assertGreater(refused, each * len(sockets) - 10)
        self.check(before)


class Readers(TidemarkTest):

    def test_very_many_idle_readers_each_get_each_event(self):
        server = self.serve(*SMALL)
        server.live_reader().close()
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        count = min(scaled(10000, 200), limit - 1000)
        before = server.rss()
        readers = [server.live_reader() for _ in range(count)]
        self.assertEqual(server.get("/v1/stats").json()["readers"]["websocket"], count)
        grown = (server.rss() - before) / count
        if not SANITIZED:
            self.assertLess(grown, 12 * KIB, "of memory for each")
        for i in range(3):
            server.publish([{"data": i}])
        for reader in readers:
            self.assertEqual([event["seq"] for event in reader.events(3)], [1, 2, 3])
        if not SANITIZED:
            self.assertLess((server.rss() - before) / count, 16 * KIB, "of memory for each, once they were sent something")

    def ask(self, server, path, accept):
        wire = server.keep(Wire(server.address, SMALL_BUFFER))
        wire.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n".encode())
        return wire

    def test_stuck_long_polls_are_bounded_together(self):
        """1,000 who wait for what comes, and do not read it: 2 MB each."""
        server = self.serve(*SMALL, "--reply-memory", "8MiB")
        server.publish([{"data": "x" * 2000}] * 1000)
        live, stream = server.live_reader(), server.sse(after="head")
        polls = [self.ask(server, "/v1/events?after=head&wait=60&limit=1000", JSON) for _ in range(scaled(1000, 100))]
        wait_until(lambda: server.get("/v1/stats").json()["readers"]["long_poll"] == len(polls), "all wait")
        before = peak(server)
        server.publish([{"data": "x" * 2000}] * 1000)
        wait_until(lambda: server.get("/v1/stats").json()["readers"]["long_poll"] == 0, "all are answered")
        for i in range(20):
            server.publish({"data": i})
        self.assertEqual(len(server.lines(after=1000)), 1020)
        self.assertEqual([event["seq"] for event in live.events(1020)], list(range(1001, 2021)))
        self.assertEqual([event["seq"] for event in stream.events(1020)], list(range(1001, 2021)))
        grown = peak(server) - before
        self.assertLess(grown, 8 * MIB + 5 * MIB + MARGIN, f"it grew by {grown // MIB} MiB")
        for poll in polls:
            poll.close()
        wait_until(lambda: server.get("/v1/events", after=1000, limit=1020).body.count(b'"seq":') == 1020, "there is room")

    def cut_off(self, server):
        return server.get("/v1/stats").json()["connections"]["silent"]

    def stuck_at_a_large_answer(self, server):
        wire = self.ask(server, "/v1/events/1", JSON)
        self.assertEqual(wire.head(time.monotonic() + DEADLINE_S)[0], 200)
        return wire

    def test_where_room_is_short_pages_are(self):
        server = self.serve(*SMALL, "--reply-memory", "32MiB", "--max-event", "16MiB")
        server.publish({"data": "x" * 7 * MIB})
        for _ in range(7):
            server.publish([{"data": "x" * 32000}] * 100)

        def page():
            return server.get("/v1/events", after=1, limit=10000).body.count(b'"seq":')

        full = page()
        self.assertGreater(full, 400)
        one = self.stuck_at_a_large_answer(server)
        short = wait_until(page, "it answers")
        self.assertIn(short, range(50, full - 100))
        one.close()
        wait_until(lambda: page() == full, "pages are as they were")

    def test_who_takes_nothing_is_cut_off_for_those_who_wait_for_room(self):
        server = self.serve(*SMALL, "--reply-memory", "32MiB", "--max-event", "16MiB")
        server.publish({"data": "x" * 14 * MIB})
        server.publish([{"data": i} for i in range(700)])
        for path in ("/v1/events/1", "/v1/sessions", "/v1/leases"):
            stuck = [self.stuck_at_a_large_answer(server) for _ in range(2)]
            before = self.cut_off(server)
            self.assertEqual(server.get(path).status, 200, path)
            self.assertGreater(self.cut_off(server), before, path)
            self.assertEqual(len(server.reader(after=1).events(700)), 700)
            for wire in stuck:
                wire.close()

    def test_small_answers_do_not_wait_for_those_who_take_nothing(self):
        server = self.serve(*SMALL, "--reply-memory", "32MiB", "--max-event", "16MiB")
        server.publish({"data": "x" * 14 * MIB})
        server.publish([{"data": "x" * 1000}] * 700)
        stuck = [self.stuck_at_a_large_answer(server) for _ in range(2)]
        time.sleep(3)  # longer than they would have if anybody waited
        for path in ("/v1/events/2", "/v1/events?after=1&limit=10", "/v1/events?order=desc&limit=1", "/v1/streams"):
            self.assertEqual(server.get(path).status, 200, path)
        page = server.get("/v1/events", after=1, limit=700).json()  # as much as there is room for, and where it goes on
        self.assertIn(len(page["events"]), range(10, 100))
        self.assertEqual(page["next"], page["events"][-1]["seq"])
        self.assertEqual(self.cut_off(server), 0)
        for wire in stuck:
            wire.close()

    def test_who_takes_a_little_is_not_and_others_are_told(self):
        server = self.serve(*SMALL, "--reply-memory", "32MiB", "--max-event", "16MiB")
        server.publish({"data": "x" * 14 * MIB})
        slow = [self.stuck_at_a_large_answer(server) for _ in range(2)]
        refused = Task(server.get, "/v1/sessions")
        while refused.is_alive():
            for wire in slow:
                self.assertTrue(wire.more(time.monotonic() + DEADLINE_S), "it is not cut off")
            time.sleep(0.05)
        self.assert_problem(refused.result(), 429, "--reply-memory")  # all of it is one client's
        self.assertIn(int(refused.result().headers["retry-after"]), range(1, 7))

    def test_stuck_streams_of_all_kinds_are_bounded_together(self):
        server = self.serve(*SMALL, "--queue-bytes", "8MiB", "--reply-memory", "8MiB")
        body = ndjson([{"data": "x" * 2000}] * 200)
        for _ in range(10):
            server.post(body, NDJSON)
        each, before = scaled(250, 20), peak(server)
        for _ in range(each):
            server.websocket(after="first", receive_buffer=SMALL_BUFFER)
            server.sse(after="first", receive_buffer=SMALL_BUFFER)
            server.sse(after="head", receive_buffer=SMALL_BUFFER)
            self.ask(server, "/v1/events", NDJSON).head(time.monotonic() + DEADLINE_S)
        live = server.live_reader()
        for _ in range(scaled(50, 10)):
            receipt = server.post(body, NDJSON).json()
            self.assertEqual([event["seq"] for event in live.events(200)],
                             list(range(receipt["first"], receipt["last"] + 1)))
        grown = peak(server) - before
        self.assertLess(grown, (8 + 8 + 5) * MIB + 4 * each * 16 * KIB + MARGIN, f"it grew by {grown // MIB} MiB")
        self.assertEqual(len(server.lines(after=receipt["last"] - 10)), 10)
        self.assertEqual(len(server.history(after=receipt["last"] - 10)["events"]), 10)


class Comings(TidemarkTest):
    """A reader a second for an hour, one after the other, ends in every way there is."""

    COUNT = scaled(3600, 300)

    def come(self, server, which):
        if which % 8 < 5:
            client = server.websocket(after="first" if which % 2 else "head")
            client.receive()
        elif which % 8 == 5:
            client = server.sse(after="head")
        else:
            client = server.wire()
            request = (b"GET /v1/events?after=head&wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n" if which % 8 == 6 else
                       POST % 1000 + b'{"data":')
            client.send(request)
        return client

    def go(self, client, which):
        wire = getattr(client, "wire", client)
        if which % 8 == 1:
            client.leave()
        elif which % 8 == 2:
            wire.send(frame(TEXT, b"x" * 100)[:20])
            wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        elif which % 8 == 3:
            wire.sock.shutdown(socket.SHUT_WR)
        elif which % 2 == 0:
            wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        client.close()

    def figures(self, server):
        stats = server.get("/v1/stats").json()
        readers = stats["readers"]
        return (stats["connections"]["open"], readers["websocket"], readers["sse"], readers["long_poll"])

    def test_they_leave_nothing_behind(self):
        server = self.serve("--ring", "1MiB", "--cache", "1MiB")
        server.publish([{"data": i} for i in range(100)])
        for i in range(16):
            self.go(self.come(server, i), i)

        def is_quiet():
            server.publish({"data": 0})  # who reads a stream that has gone finds out
            return self.figures(server) == (1, 0, 0, 0)

        wait_until(is_quiet, "all have gone")
        descriptors, before = server.descriptors(), server.rss()
        for i in range(self.COUNT):
            self.go(self.come(server, i), i)
            if i % 50 == 0:
                server.publish({"data": i})
        wait_until(is_quiet, "all have gone")
        wait_until(lambda: server.descriptors() <= descriptors, "no descriptor is left open")
        self.assertLess(server.rss() - before, memory(16))
        self.assertGreaterEqual(server.get("/v1/stats").json()["connections"]["accepted"], self.COUNT)

    def test_a_peer_that_only_listens_any_more_is_let_go(self):
        """It has closed its direction: no request and no pong will ever come."""
        server = self.serve("--handshake-timeout", "10m", "--ping-interval", "10m")
        clients = [server.live_reader(), server.sse(after="head"), server.wire(), server.ingest(), server.dashboard()]
        for client in clients:
            client.wire.sock.shutdown(socket.SHUT_WR) if hasattr(client, "wire") else client.sock.shutdown(socket.SHUT_WR)

        def is_quiet():
            server.publish({"data": 0})
            figures = self.figures(server)
            return figures[0] <= 1 + figures[2] and figures[1] == 0

        wait_until(is_quiet, "all but the stream, which may be read on, are gone")


class Trickles(TidemarkTest):
    """What comes byte by byte and never ends. Heads and bodies over HTTP are in test_limits.py."""

    def trickle(self, wire, piece, end_s):
        """Sends a piece again and again until the connection ends; returns what came before that."""
        end = time.monotonic() + end_s
        with contextlib.suppress(ConnectionError):
            while True:
                self.assertLess(time.monotonic(), end, "nobody ended it")
                wire.send(piece)
                with contextlib.suppress(TimedOut):
                    if not wire.more(time.monotonic() + 0.1):
                        break
        return bytes(wire.buffer)

    def assert_told(self, said):
        self.assertIn(b"the message took too long to arrive", said)

    def test_a_message_that_trickles_in_is_cut_off(self):
        server = self.serve("--handshake-timeout", "500ms", "--ping-interval", "10m")
        patient = server.live_reader()
        patient.send_frame(TEXT, b'{"op":', fin=False)
        for path in ("/v1/ws", "/events", "/ws"):
            client = {"/v1/ws": server.live_reader, "/events": server.ingest, "/ws": server.dashboard}[path]()
            head = frame(TEXT, b"x" * 100000)
            client.wire.send(head[:20])
            self.assert_told(self.trickle(client.wire, b"y", 15))
        fragments = server.live_reader()
        fragments.send_frame(TEXT, b'{"op":"publish","events":[', fin=False)
        self.assert_told(self.trickle(fragments.wire, frame(CONTINUATION, b"1", fin=False), 15))
        with self.assertRaises(Closed) as end:
            patient.text()  # who says nothing more is no better off
        self.assertEqual(end.exception.code, 1008)

    def test_a_frame_header_and_then_nothing(self):
        """It cannot answer a ping within a frame: it is closed as silent, or for its message."""
        server = self.serve("--handshake-timeout", "500ms", "--ping-interval", "500ms")
        clients = [server.live_reader(), server.ingest(), server.dashboard()]
        for size, client in zip((2, 6, 10), clients):
            client.wire.send(frame(TEXT, b"x" * 70000)[:size])
        wait_until(lambda: server.get("/v1/stats").json()["connections"]["open"] == 1, "all are gone", 20)

    def test_a_large_message_has_the_time_it_needs(self):
        server = self.serve("--handshake-timeout", "2s", "--ping-interval", "10m")
        client = server.live_reader()
        whole = frame(TEXT, json.dumps({"op": "publish", "events": [{"data": "x" * 160000}]}).encode())
        for at in range(0, len(whole), 20000):  # 9 s in all: more than one that does not come has, 6 s
            time.sleep(1)
            client.wire.send(whole[at:at + 20000])
        self.assertEqual(client.op("published")["first"], 1)

    def test_the_server_of_streams_cuts_off_what_trickles(self):
        server = self.serve("--handshake-timeout", "500ms")
        wire = server.wire()
        wire.send(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nContent-Length: 1000\r\n\r\n")
        self.trickle(wire, b"y", 15)
        self.assertEqual(server.publish({"data": 1})["first"], 1)


if __name__ == "__main__":
    unittest.main()
