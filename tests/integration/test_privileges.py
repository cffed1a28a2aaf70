#!/usr/bin/env python3
"""The server as nobody in particular, with --seccomp: it does all that it does, and what it stores is for nobody else's eyes.

Shown to fail without the protection: without the call of sandbox_enter (server.c) there is no filter, and new privileges could be
had; without umask(077) (main.c) everybody may read the database.
"""

import os
import re
import stat
import subprocess
import unittest

from binary import BIN
from case import TidemarkTest
from text import seqs
from waiting import wait_until

NOBODY = 65534
USER = os.getuid() or NOBODY
BECOME = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"] if os.getuid() == 0 else []
# New files are for everybody, as far as it depends on us. The binary may be where only root can go.
WITHIN = ["sh", "-c", 'umask 0; exec 3<"$0"; exec "$@"', BIN, *BECOME, "sh", "-c", 'exec /proc/self/fd/3 "$@"']
NO_LEAKS = {"ASAN_OPTIONS": "detect_leaks=0"}  # who looks for them is another process


def can_become():
    return subprocess.run([*BECOME, "true"], capture_output=True, check=False).returncode == 0


@unittest.skipUnless(can_become(), "root may not become somebody else here")
class Privileges(TidemarkTest):

    def status(self, server):
        with open(f"/proc/{server.process.pid}/status", encoding="ascii") as file:
            return dict(re.findall(r"^(\w+):\s*(.*)$", file.read(), re.MULTILINE))

    def test_it_works_without_any(self):
        server = self.prepare("--seccomp", "--retain-events", "100", within=WITHIN, extra=NO_LEAKS)
        os.chown(server.home, USER, -1)
        server.start()
        reader = server.live_reader(session="s")
        for _ in range(4):
            server.publish([{"data": "x" * 1000}] * 100)
        self.assertEqual(seqs(reader.events(400)), list(range(1, 401)))
        wait_until(lambda: server.retention()["log"]["events"] <= 112 and not server.retention()["working"], "all is sealed")
        self.assertGreater(len(server.get("/v1/archives").json()["archives"]), 0)
        self.assertEqual(seqs(server.everything()), list(range(1, 401)))
        status = self.status(server)
        self.assertEqual((status["Seccomp"], status["NoNewPrivs"]), ("2", "1"))
        self.assertEqual(status["Uid"].split(), [str(USER)] * 4)
        self.assertEqual(int(status["CapEff"], 16), 0)
        for directory, _, names in os.walk(server.data):
            self.assert_own(directory, 0o700)
            for name in names:
                self.assert_own(os.path.join(directory, name), 0o600)
        reader.leave()
        server.restart()
        self.assertEqual(server.publish([{"data": 1}])["first"], 401)
        server.stop()

    def assert_own(self, path, mode):
        found = os.stat(path)
        self.assertEqual((found.st_uid, oct(stat.S_IMODE(found.st_mode))), (USER, oct(mode)), path)


if __name__ == "__main__":
    unittest.main()
