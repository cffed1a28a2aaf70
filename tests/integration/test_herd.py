#!/usr/bin/env python3
"""After a restart very many readers return at once: pages are read once for all, and who is live does not wait for them.

Shown to fail without the protection: with nothing put into the feed's cache 100 readers of 40 pages cause 4,673 loads
instead of 49.
Who is live is held against a herd here as a whole, which may be through in time even without turns (with them it has had 0.07
to 0.2 of its own). What is shown to fail with a thread held still: who is live beside a herd, and newcomers, at a turn of the
websocket thread (unit/test_ws.c), the door before a crowd (fault/test_door.py), and pages under way at the same time
(unit/test_hub.c).
"""

import select
import threading
import unittest

from harness import MIB, TidemarkTest, in_parallel, scaled, wait_until
from wire import Wire
from websocket_client import handshake

PAGE_EVENTS = 512  # src/hub/feed.c


class Drain(threading.Thread):
    """Readers whose bytes are counted and thrown away, as fast as they come, until each has had so many."""

    def __init__(self, wires, goal):
        super().__init__(daemon=True)
        self.wires = {wire.sock.fileno(): wire.sock for wire in wires}
        self.had = dict.fromkeys(self.wires, 0)
        self.goal = goal
        self.stop = False

    def run(self):
        poll, room = select.epoll(), bytearray(MIB)
        for number, sock in self.wires.items():
            sock.setblocking(False)
            poll.register(number, select.EPOLLIN)
        while not self.stop:
            for number, _ in poll.poll(0.1):
                self.had[number] += self.wires[number].recv_into(room)

    def through(self):
        return sum(had >= self.goal for had in self.had.values())


class Herd(TidemarkTest):

    def stored(self, batches, *options):
        """A server that has just started, with 1,000 events of 2 KB for each batch."""
        server = self.serve(*options)
        for _ in range(batches):
            server.publish([{"data": "x" * 2000}] * 1000)
        return server.restart()

    def come(self, server, after):
        """A reader that nobody has read from."""
        wire = server.keep(Wire(server.address))
        wire.send(handshake(f"/v1/ws?after={after}", "localhost"))
        return wire

    def test_pages_read_once_serve_all(self):
        count, events = scaled(100, 20), 5000
        server = self.stored(events // 1000)
        readers = [server.websocket(after="first" if i % 2 else i * 7) for i in range(count)]

        def read(reader):
            while reader.event()["seq"] < events:
                pass

        in_parallel([lambda r=reader: read(r) for reader in readers])
        loads = server.get("/v1/stats").json()["cache"]["loads"]
        # A page ends after 256 KiB, which is 126 events here; the few places where readers begin have some of their own.
        self.assertLess(loads, 3 * events / 100, "each page is read about once, not once for each reader")

    def test_who_is_live_gets_each_event_before_a_herd_is_through(self):
        batches, steps = 6, scaled(40, 10)  # more than sockets take
        server = self.stored(batches)
        live, publisher = server.live_reader(), server.live_reader(stream="none")
        herd = Drain([self.come(server, 0) for _ in range(scaled(200, 50))], batches * 1000 * 2000)
        herd.start()
        wait_until(lambda: min(herd.had.values()) > 1000, "they are all being served")
        for i in range(steps):
            seq = publisher.publish([{"data": i}])["first"]
            self.assertEqual(live.event()["seq"], seq)
        part = sum(herd.had.values()) / herd.goal / len(herd.had)
        through = herd.through()
        herd.stop = True
        herd.join()
        self.assertEqual(through, 0, "nobody who replays was through before")
        self.assertLess(part, 0.7, "of what they replay, and much was still to come")


if __name__ == "__main__":
    unittest.main()
