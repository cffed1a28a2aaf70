#!/usr/bin/env python3
"""The listener: requests of connections that are open already are answered before all of many new ones are accepted.

Shown to fail without the protection: with all new connections accepted at once (ACCEPTED_AT_ONCE 64000, listener.c) the server
ends before it answers.
"""

import os
import signal
import socket
import unittest

from case import TidemarkTest
from faults import ACCEPT, KILL, Faults
from wire import DEADLINE_S


class Listener(TidemarkTest):

    def test_an_open_connection_is_answered_before_all_new_ones_are_accepted(self):
        """The listener itself answers bytes that are no request. The server is killed at one of the new connections: the answer comes
        before that, or never."""
        newcomers, accepted = 120, 100
        faults = Faults()
        self.addCleanup(faults.close)
        server = self.serve(extra=faults.environment)
        self.addCleanup(server.kill)
        wire = server.wire()
        self.assertEqual(server.get("/healthz").status, 200)  # a later connection is accepted, and so is this one
        server.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, server.process.pid, os.WSTOPPED)
        for _ in range(newcomers):
            sock = server.keep(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(server.address)
        wire.send(b"this is no request\r\n\r\n")
        faults.arm(ACCEPT, after=accepted, action=KILL)
        server.process.send_signal(signal.SIGCONT)
        self.assertEqual(wire.response().status, 400)
        self.assertEqual(server.process.wait(DEADLINE_S), -signal.SIGKILL, "the other connections were accepted")


if __name__ == "__main__":
    unittest.main()
