#!/usr/bin/env python3
"""The SDK of CloudEvents for JavaScript: structured, binary and batched."""

import json
import subprocess
import unittest

from case import TidemarkTest
from loop import HERE, NODE
from wire import DEADLINE_S

BYTES, TEXT = "AP+A", "bmHDr3ZlIOKCrCDwn5iA"


class CloudEvents(TidemarkTest):

    def setUp(self):
        self.server = self.serve()
        done = subprocess.run([NODE, "cloudevents.mjs", self.server.url], cwd=HERE, capture_output=True, encoding="utf-8",
                              timeout=DEADLINE_S, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.printed = [json.loads(line) for line in done.stdout.splitlines()]

    def test_what_the_sdk_sends_is_stored_and_comes_back(self):
        answers, returned = self.printed[:11], self.printed[11:]
        self.assertEqual([a.get("count") for a in answers], [1, 1, 1, 1, 0, 1, 1, 1, 1, 0, 3], answers)
        self.assertEqual([a["first"] for a in answers if a["duplicates"]], [1, 5])
        stored = [event["data"] for event in self.server.everything()]
        self.assertEqual([event["id"] for event in stored],
                         [f"{mode}-{what}" for mode in ("structured", "binary") for what in ("object", "text", "bytes", "attributes")]
                         + ["batch-1", "batch-2", "batch-3"])
        self.assertEqual([event["id"] for event in returned], [event["id"] for event in stored])
        for event in (stored[0], stored[4], returned[0], returned[4]):
            self.assertEqual(event["data"], {"n": 1.5, "text": "naïve € 😀"})
        self.assertEqual([stored[1]["data"], stored[5]["data_base64"]], ["naïve € 😀", TEXT])
        for event in (stored[2], stored[6]):
            self.assertEqual(event["data_base64"], BYTES)
        for event in (stored[3], stored[7], returned[3], returned[7]):
            self.assertEqual([event["subject"], event["ext1"], event["time"]], ["Grüße, Ångström", "naïve", "2026-11-22T18:00:00.123Z"])
        self.assertEqual([event["data"] for event in stored[8:]], [{"n": 1}, {"n": 2}, {"n": 3}])


if __name__ == "__main__":
    unittest.main()
