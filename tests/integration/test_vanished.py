#!/usr/bin/env python3
"""Peers that vanish without a word: their network goes away, nothing comes any more, and nothing is refused. The server lets all
of them go by itself.

In a network of its own, whose loopback can be taken down. Shown to fail without the protection: without the end of who does not
answer a ping (ws_tick.c) WebSockets stay; without that of who is over his deadline bodies and kept connections (callers_sweep) and
heads (expire, listener.c) do; without the heartbeats' comments (sse.c) streams do.
"""

import contextlib
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import unittest

from case import TidemarkTest
from waiting import wait_until

ALONE = ["unshare", "-rn"]
RETRIES = "/proc/sys/net/ipv4/tcp_retries2"
INSIDE = "IN_A_NETWORK_OF_ITS_OWN"


def can_be_alone():
    if not shutil.which("unshare"):
        return False
    return subprocess.run([*ALONE, "sh", "-c", f"echo 15 > {RETRIES}"], capture_output=True, check=False).returncode == 0


def set_loopback(up):
    get, put, running, is_up = 0x8913, 0x8914, "=16sH22x", 1  # SIOCGIFFLAGS, SIOCSIFFLAGS, struct ifreq, IFF_UP
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        flags = struct.unpack(running, fcntl.ioctl(sock, get, struct.pack(running, b"lo", 0)))[1]
        fcntl.ioctl(sock, put, struct.pack(running, b"lo", flags | is_up if up else flags & ~is_up))


def set_retries(count):
    """How often the kernel sends anew what nobody acknowledges: 15 times are a quarter of an hour, and 3 are 3 s."""
    with open(RETRIES, "w", encoding="ascii") as file:
        file.write(str(count))


@unittest.skipUnless(INSIDE in os.environ, "a network of one's own needs user namespaces")
class Vanished(TidemarkTest):

    def setUp(self):
        set_retries(15)
        set_loopback(True)
        self.addCleanup(set_loopback, True)

    def sockets(self):
        """How many the server has open."""
        links = []
        for entry in os.scandir(f"/proc/{self.server.process.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                links.append(os.readlink(entry.path))
        return sum(link.startswith("socket:") for link in links)

    def test_all_are_let_go(self):
        server = self.server = self.serve("--ping-interval", "5s", "--handshake-timeout", "5s")
        before = self.sockets()
        server.live_reader()
        server.live_reader(session="s")
        server.dashboard()
        server.ingest().send({"type": "event", "connection_type": "kimi"})
        for text in (b"", b"GET /v1/events HT", b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"):
            server.wire().send(text)
        pinged, late = 7, 4  # who has to say something soon, and the others
        self.assertEqual(server.http().request("GET", "/healthz").status, 200)
        server.wire().send(b"GET /v1/events?after=head&wait=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for _ in range(2):
            server.sse(after="head")
        wait_until(lambda: self.sockets() == before + pinged + late, "all are in")
        set_loopback(False)
        wait_until(lambda: self.sockets() == before + late, "who does not answer, or comes to no end, is let go", 40)
        # Nobody asks a stream for an answer, but the kernel asks for the packets of its heartbeats to be acknowledged.
        set_retries(3)
        wait_until(lambda: self.sockets() == before, "so are the others, with the second heartbeat", 50)
        set_loopback(True)
        stats = server.get("/v1/stats").json()
        self.assertEqual(stats["connections"]["open"], 1, "the one who asks")
        self.assertEqual((stats["readers"]["websocket"], stats["readers"]["sse"]), (0, 0))
        # The dashboard and the publisher are recorded.
        self.assertEqual(server.publish([{"data": 1}])["first"], 4)


if __name__ == "__main__":
    if INSIDE not in os.environ and can_be_alone():
        os.execvpe(ALONE[0], [*ALONE, sys.executable, "-B", *sys.argv], os.environ | {INSIDE: "1"})
    unittest.main()
