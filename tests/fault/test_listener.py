#!/usr/bin/env python3
"""A crowd at the door: who is in already is looked at before all of it is accepted.

Shown to fail without the protection: with all of a crowd accepted at once (ACCEPTED_AT_ONCE 64000, listener.c) the server has come
to its end before the answer.
"""

import os
import signal
import socket
import unittest

from faults import ACCEPT, Faults, KILL
from harness import DEADLINE_S, TidemarkTest


class Door(TidemarkTest):

    def test_who_is_in_is_answered_before_a_whole_crowd_is_accepted(self):
        """The door answers what is no request itself. At so many of a crowd the server ends: it is told before, or never."""
        crowd, accepted = 120, 100
        faults = Faults()
        self.addCleanup(faults.close)
        server = self.serve(extra=faults.environment)
        self.addCleanup(server.kill)
        wire = server.wire()
        self.assertEqual(server.get("/healthz").status, 200)  # who comes after it is in, and so is it
        server.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, server.process.pid, os.WSTOPPED)
        for _ in range(crowd):
            sock = server.keep(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(server.address)
        wire.send(b"this is no request\r\n\r\n")
        faults.arm(ACCEPT, after=accepted, action=KILL)
        server.process.send_signal(signal.SIGCONT)
        self.assertEqual(wire.response().status, 400)
        self.assertEqual(server.process.wait(DEADLINE_S), -signal.SIGKILL, "the rest of the crowd came to the door")


if __name__ == "__main__":
    unittest.main()
