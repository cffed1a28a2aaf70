#!/usr/bin/env python3
"""After a restart very many readers return at once: pages are read once for all, and who is live does not wait for them.

Shown to fail without the protection: with nothing put into the feed's cache 100 readers of 40 pages cause 4,673 loads
instead of 49; without turns (ws_turn_is_due false, and more sent as soon as the socket has room) all of the herd is through
before a live reader has had its 40 events, in about every other run; with them it has had 0.07 to 0.2 of its own; and with all of a crowd accepted at once
(ACCEPTED_AT_ONCE 64000) whoever was there before is answered behind all 1,000, in each of the tries.
What a unit test holds still instead: newcomers at a turn of the websocket thread (unit/test_ws.c), and pages under way at
the same time (unit/test_hub.c).
"""

import select
import signal
import socket
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

    def accepted_before(self, server, crowd):
        """How many of a crowd had been accepted when somebody who was there before them was answered."""
        wire = Wire(server.address)
        before = server.get("/v1/stats").json()["connections"]["accepted"]
        sockets = [socket.socket() for _ in range(crowd)]
        server.process.send_signal(signal.SIGSTOP)
        try:
            for sock in sockets:
                sock.setblocking(False)
                sock.connect_ex(server.address)
            wire.send(b"GET /v1/stats HTTP/1.1\r\nHost: localhost\r\n\r\n")
        finally:
            server.process.send_signal(signal.SIGCONT)
        accepted = wire.response().json()["connections"]["accepted"] - before
        for closed in wire, *sockets:
            closed.close()
        return accepted

    def test_the_door_looks_at_who_is_in_before_it_accepts_a_whole_crowd(self):
        server = self.serve()
        crowd = 1000
        # It goes on accepting while the answer is made: one slow answer says nothing.
        self.assertTrue(any(self.accepted_before(server, crowd) < crowd for _ in range(20)))

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
