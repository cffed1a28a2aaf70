#!/usr/bin/env python3
"""A machine of 256 processors, which is more than an export has threads.

Shown to fail without the protection: with as many threads as processors the export ends at an assertion, and without that (and
with ASan) beyond its memory.
"""

import os
import unittest

from case import TidemarkTest
from command import command
from faults import Faults


class Processors(TidemarkTest):

    def test_an_export_has_no_more_threads_than_it_can_have(self):
        faults = Faults()
        self.addCleanup(faults.close)
        faults.set_processors(256)
        server = self.serve()
        server.publish([{"data": n} for n in range(1000)])
        server.stop()
        out = os.path.join(server.home, "all.ndjson.zst")
        done = command("export", server.data, "-o", out, extra=faults.environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        done = command("verify", out)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("1000 events", done.stderr + done.stdout)


if __name__ == "__main__":
    unittest.main()
