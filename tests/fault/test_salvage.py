#!/usr/bin/env python3
"""A damaged store is not served, and says why; with --salvage what can be read is served, and what is gone is named.

Shown to fail without the protection: with read_event (salvage.c) not proving an event, what it has become is served.
"""

import os
import random
import re
import shutil
import unittest

from harness import TidemarkTest, command, seqs, wait_until

PAGE = 4096
EVENTS = 3000


class Salvage(TidemarkTest):

    def filled(self, *options):
        self.server = self.serve(*options)
        for at in range(0, EVENTS, 500):
            self.server.publish([{"stream": f"s{i % 5}", "type": "t", "id": f"i{i}", "data": {"n": i, "pad": "x" * 50}}
                                 for i in range(at, at + 500)])
        put = self.server.request("PUT", "/v1/sessions/me", '{"acked":700}', {"Content-Type": "application/json"})
        self.assertEqual(put.status, 200, put)
        self.lines = self.server.lines()
        self.server.stop()
        self.db = os.path.join(self.server.data, "tidemark.db")

    def spoil(self, pages):
        with open(self.db, "r+b") as file:
            for page in pages:
                file.seek((page - 1) * PAGE + 200)
                file.write(b"\xa5" * 900)

    def pages(self):
        return os.path.getsize(self.db) // PAGE

    def refused(self):
        """Why it is not served, or not wholly."""
        done = command("verify", self.server.data)
        self.assertEqual(done.returncode, 1, done)
        return done.stderr + done.stdout

    def salvaged(self):
        """Starts with --salvage; returns what was gone, as ranges."""
        self.server.start("--salvage")
        log = wait_until(lambda: "what was there is in" in self.server.log_text() and self.server.log_text(), "it says what it did")
        gone = re.search(r"(\d+) events are gone:((?: \d+-\d+)*)", log)
        return [tuple(map(int, r.split("-"))) for r in gone[2].split()] if gone else []

    def assert_kept(self, gone):
        kept = [line for seq, line in enumerate(self.lines, 1) if not any(first <= seq <= last for first, last in gone)]
        self.assertEqual([line for line in self.server.lines() if not line.startswith('{"op"')], kept)
        self.assertEqual(self.server.head(), EVENTS)
        for first, last in gone[:3]:
            self.assert_problem(self.server.get(f"/v1/events/{first}"), 410)
            if first > 1 and last < EVENTS:
                reader = self.server.reader(after=first - 1)
                self.assert_gap(reader.receive(), "retention", requested=first - 1, first=last + 1)
                self.assertEqual(reader.event()["seq"], last + 1)
        # It goes on where it was, and remembers the ids that it has kept.
        receipt = self.server.publish([{"stream": "s0", "id": "new", "data": 1}])
        self.assertEqual(receipt["first"], EVENTS + 1)
        alive = next(seq for seq in range(1, EVENTS) if not any(first <= seq <= last for first, last in gone))
        again = self.server.publish([{"stream": f"s{(alive - 1) % 5}", "type": "t", "id": f"i{alive - 1}", "data": 0}])
        self.assertEqual((again["count"], again["first"]), (0, alive))
        self.server.stop()
        done = command("verify", self.server.data)
        self.assertEqual(done.returncode, 0, done)
        self.server.start()
        self.assertEqual(self.server.head(), EVENTS + 1)

    def test_pages_in_the_middle(self):
        self.filled()
        rng = random.Random(5)
        self.spoil(rng.sample(range(self.pages() // 2, self.pages()), 4))
        self.assertIn("damaged", self.refused())
        gone = self.salvaged()
        self.assertLess(sum(last - first + 1 for first, last in gone), EVENTS // 4)
        self.assert_kept(gone)
        aside = [name for name in os.listdir(self.server.data) if name.startswith("damaged-")]
        self.assertEqual(len(aside), 1)
        self.assertIn("tidemark.db", os.listdir(os.path.join(self.server.data, aside[0])))

    def test_many_random_bytes(self):
        self.filled()
        rng = random.Random(7)
        with open(self.db, "r+b") as file:
            for _ in range(12):
                at = rng.randrange(2 * PAGE, self.pages() * PAGE)
                file.seek(at)
                byte = file.read(1)[0]
                file.seek(at)
                file.write(bytes([byte ^ 1 << rng.randrange(8)]))
        self.refused()
        self.assert_kept(self.salvaged())

    def test_a_lost_end(self):
        """The write-ahead log of a killed server is gone: what was acknowledged is missed."""
        self.filled()
        self.server.start()
        self.server.publish([{"data": "more"}] * 10)
        self.server.kill()
        os.unlink(self.db + "-wal")
        done = command("serve", "--data", self.server.data, "--listen", "127.0.0.1:0")
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"up to {EVENTS + 10} were acknowledged", done.stderr)
        gone = self.salvaged()
        self.assertEqual(gone, [(EVENTS + 1, EVENTS + 10)])
        self.assertEqual(self.server.head(), EVENTS + 10)
        self.assertEqual(self.server.publish([{"data": 1}])["first"], EVENTS + 11)
        self.assertEqual(self.server.get("/v1/sessions/me").json()["acked"], 700)
        self.assertEqual(self.server.lines(limit=EVENTS), self.lines)

    def test_with_archives(self):
        self.filled("--retain-events", "1000")
        self.server.start("--retain-events", "1000")
        wait_until(lambda: self.server.get("/v1/stats").json()["retention"]["log"]["events"] <= 1200, "some have left")
        self.server.stop()
        self.spoil([self.pages() - 3])
        self.assert_kept(self.salvaged())

    def test_what_is_fine_is_left_alone(self):
        self.filled()
        self.server.start("--salvage")
        self.assertIn("nothing to salvage", self.server.log_text())
        self.assertEqual(self.server.lines(), self.lines)

    def test_what_is_no_database_is_told(self):
        self.filled()
        shutil.copy(self.db, self.db + ".kept")
        with open(self.db, "r+b") as file:
            file.write(b"\x00" * PAGE)
        done = command("serve", "--data", self.server.data, "--listen", "127.0.0.1:0", "--salvage")
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("tidemark.db", done.stderr)
        os.replace(self.db + ".kept", self.db)
        self.server.start()
        self.assertEqual(self.server.lines(), self.lines)


if __name__ == "__main__":
    unittest.main()
