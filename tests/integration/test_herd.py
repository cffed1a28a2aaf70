#!/usr/bin/env python3
"""After a restart very many readers return at once: pages are read once for all.

Shown to fail without the protection: with nothing put into the feed's cache 100 readers of 40 pages cause 4,673 loads
instead of 49.
What else a herd must not do depends on who is first, and is held with a thread held still: who is live beside a herd, and
newcomers, at a turn of the websocket thread (unit/server/test_ws.c), the listener before many connections (fault/test_listener.py),
and pages under way at the same time (unit/engine/test_feed.c).
"""

import os
import signal
import unittest

from case import TidemarkTest
from load import scaled
from waiting import in_parallel


class Herd(TidemarkTest):

    def test_pages_read_once_serve_all(self):
        count, events = scaled(100, 20), 5000
        server = self.serve()
        for _ in range(events // 1000):
            server.publish([{"data": "x" * 2000}] * 1000)
        server.restart()
        readers = [server.websocket(after="first" if i % 2 else i * 7) for i in range(count)]

        def read(reader):
            while reader.event()["seq"] < events:
                pass

        in_parallel([lambda r=reader: read(r) for reader in readers])
        loads = server.get("/v1/stats").json()["cache"]["loads"]
        # A page ends after 256 KiB, which is 126 events here; the few places where readers begin have some of their own.
        self.assertLess(loads, 3 * events / 100, "each page is read about once, not once for each reader")

    def test_requests_that_come_at_once_are_answered_however_many_they_are(self):
        """libmicrohttpd looks at 128 events at a time: a round number of them is no reason to wait for one more."""
        request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for count in (127, 128, 129, 256):
            with self.subTest(count):
                server = self.serve()
                wires = [server.wire() for _ in range(count)]
                for wire in wires:
                    wire.send(request)
                    self.assertEqual(wire.response().status, 200)
                server.process.send_signal(signal.SIGSTOP)
                os.waitid(os.P_PID, server.process.pid, os.WSTOPPED)
                for wire in wires:
                    wire.send(request)
                server.process.send_signal(signal.SIGCONT)
                for wire in wires:
                    self.assertEqual(wire.response().status, 200)
                server.stop()


if __name__ == "__main__":
    unittest.main()
