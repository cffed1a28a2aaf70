#!/usr/bin/env python3
"""More than there is room for: memory stays within what is stated here, whoever is refused is told, whoever behaves is served, and afterwards all is as it
was before.

Shown to fail without the protection: with admit (writer.c) never full nobody is refused; with on_close left out of on_connection
(http.c) connections are counted that have gone; with check_peer (ws_tick.c) not hanging up, frames that stop are waited for.
"""

import socket
import struct
import threading
import time
import unittest

from harness import MIB, NDJSON, Task, TidemarkTest, in_parallel, is_sanitized, ndjson, scaled, seqs, wait_until
from websocket_client import Closed, handshake
from wire import Http

GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n"


class Publishers(TidemarkTest):

    def test_as_fast_as_they_can(self):
        server = self.serve("--queue-events", "2000", "--queue-bytes", "2MiB", "--max-request", "1MiB", "--ring", "1MiB",
                            "--cache", "1MiB")
        body = ndjson({"data": "x" * 900} for _ in range(900))
        before, peak, stop = server.rss(), [0], threading.Event()

        def watch():
            while not stop.is_set():
                peak[0] = max(peak[0], server.rss())
                time.sleep(0.02)

        def over_http():
            http, stored, refused = Http(server.address), 0, 0
            for _ in range(scaled(40, 10)):
                response = http.request("POST", "/v1/events", body, {"Content-Type": NDJSON})
                self.assertIn(response.status, (201, 429, 503), response)
                stored += 900 * (response.status == 201)
                refused += response.status != 201
                if response.status != 201:
                    self.assertRegex(response.headers["retry-after"], r"^[1-9]\d?$")
            http.close()
            return stored, refused

        def over_websocket():
            reader = server.reader(stream="nothing")
            count, stored, refused = scaled(200, 40), 0, 0
            for ref in range(count):  # all at once, without waiting for an answer
                reader.send({"op": "publish", "ref": ref, "events": [{"data": "y" * 900}] * 100})
            while count > 0:
                frame = reader.receive()
                count -= frame["op"] in ("published", "error")
                stored += 100 * (frame["op"] == "published")
                refused += frame["op"] == "error"
                self.assertTrue(frame["op"] != "error" or frame["status"] in (429, 503), frame)
            return stored, refused

        watcher = Task(watch)
        results = in_parallel([over_http] * 6 + [over_websocket] * 2)
        stop.set()
        watcher.result()
        stored = sum(s for s, _ in results)
        self.assertGreater(sum(r for _, r in results), 0, "it was too much at no time")
        # The queue, twice as much for bodies on their way in, what is being committed, ring and cache, and the page caches.
        if not is_sanitized():
            self.assertLess(peak[0] - before, 64 * MIB)
        self.assertEqual(server.head(), stored)
        self.assertEqual(seqs(server.everything()), list(range(1, stored + 1)))
        self.assertEqual(server.get("/v1/stats").json()["queue"]["bytes"], 0)


class Readers(TidemarkTest):

    def stuck(self, server, path, headers=b""):
        """A connection that asks and never reads."""
        wire = socket.socket()
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.connect(server.address)
        wire.sendall(GET % (path, headers))
        self.addCleanup(wire.close)
        return wire

    def test_a_thousand_stuck_ones_of_all_kinds(self):
        server = self.serve("--ring", "1MiB", "--cache", "1MiB")
        for _ in range(5):
            server.publish_lines({"data": "x" * 1000} for _ in range(2000))
        server.history(limit=10000)
        before = server.rss()
        polls = [self.stuck(server, b"/v1/events?after=head&wait=60") for _ in range(scaled(1000, 100))]
        for _ in range(scaled(20, 5)):
            self.stuck(server, b"/v1/events?after=first", b"Accept: application/x-ndjson\r\n")
            self.stuck(server, b"/v1/events?after=first", b"Accept: text/event-stream\r\n")
            wire = self.stuck(server, b"/healthz")
            wire.sendall(handshake("/v1/ws?after=first", "localhost"))
        wait_until(lambda: server.get("/v1/stats").json()["readers"]["long_poll"] == len(polls), "all wait")
        time.sleep(1)
        if not is_sanitized():
            self.assertLess(server.rss() - before, 96 * MIB)
        reader = server.live_reader()
        last = server.publish([{"data": "now"}])["last"]
        self.assertEqual(reader.event()["seq"], last)
        wait_until(lambda: server.get("/v1/stats").json()["readers"]["long_poll"] == 0, "all are answered")
        for wire in polls[::100]:
            wire.settimeout(60)
            self.assertIn(b"200 OK", wire.recv(100))

    def test_coming_and_going(self):
        """A reader a second for an hour, as fast as they come: nothing is left of them."""
        server = self.serve()
        server.publish([{"data": i} for i in range(50)])
        server.get("/v1/stats")
        figures = lambda: server.get("/v1/stats").json()
        reset = struct.pack("ii", 1, 0)
        descriptors = server.descriptors()

        def visits(kind):
            for n in range(scaled(600, 60)):
                wire = socket.create_connection(server.address)
                if kind == "websocket":
                    wire.sendall(handshake("/v1/ws?after=first", "localhost"))
                elif kind == "sse":
                    wire.sendall(GET % (b"/v1/events?after=first", b"Accept: text/event-stream\r\n"))
                elif kind == "poll":
                    wire.sendall(GET % (b"/v1/events?after=head&wait=30", b""))
                elif kind == "half":
                    wire.sendall(b"GET /v1/events HTTP/1.1\r\nHost: loc")
                elif kind == "body":
                    wire.sendall(b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
                else:
                    wire.sendall(handshake("/events", "localhost"))
                if n % 2 == 0:
                    wire.settimeout(0.002)
                    try:
                        wire.recv(10)
                    except OSError:
                        pass
                if n % 3 == 0:
                    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                wire.close()

        in_parallel([lambda k=kind: visits(k) for kind in ("websocket", "sse", "poll", "half", "body", "events")])
        wait_until(lambda: figures()["connections"]["open"] == 1, "all have gone", 120)
        readers = figures()["readers"]
        self.assertEqual((readers["websocket"], readers["sse"], readers["long_poll"]), (0, 0, 0))
        wait_until(lambda: server.descriptors() <= descriptors + 3, "their descriptors are given back")
        self.assertEqual(server.publish([{"data": "x"}])["first"], 51)

    def test_frames_that_stop_in_the_middle(self):
        server = self.serve("--ping-interval", "300ms")
        pieces = (b"\x81", b"\x81\xff\x00\x00", b"\x81\xfe\xff\xff" + b"\x01\x02\x03\x04" + b"x" * 100, b"\x01\x81\x00\x00\x00\x00a")
        readers = [server.live_reader() for _ in range(scaled(100, 20))]
        for i, reader in enumerate(readers):
            reader.answer_pings = False
            reader.wire.send(pieces[i % len(pieces)])
        for reader in readers:
            self.assertIsInstance(reader.closed(), Closed)
        wait_until(lambda: server.get("/v1/stats").json()["readers"]["websocket"] == 0, "they are gone")

    def test_those_who_replay_read_pages_once_and_starve_nobody(self):
        """A herd after a restart: what one has read serves the others, and who is live stays live."""
        server = self.serve("--ring", "1MiB", "--cache", "32MiB")
        for _ in range(8):
            server.publish_lines({"data": "x" * 400} for _ in range(2500))
        server.restart("--ring", "1MiB", "--cache", "32MiB")
        live = server.live_reader()
        herd = [self.stuck(server, b"/healthz") for _ in range(scaled(200, 40))]
        for wire in herd:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            wire.sendall(handshake("/v1/ws?after=first", "localhost"))
        last = server.publish([{"data": "new"}])["last"]
        self.assertEqual(live.event()["seq"], last)
        readers = [server.reader(after="first") for _ in range(20)]
        for reader in readers:
            self.assertEqual(seqs(reader.events(last)), list(range(1, last + 1)))
        # Once each would be about 40 loads of 256 KiB; each reader for itself more than 800.
        self.assertLess(server.get("/v1/stats").json()["cache"]["loads"], 400)


if __name__ == "__main__":
    unittest.main()
