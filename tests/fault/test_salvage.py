#!/usr/bin/env python3
"""A damaged store is not served, and says why; with --salvage what can be read is served, and what is gone is named.

Shown to fail without the protection: with read_event (salvage.c) not proving an event, what it has become is served; without
place_keep_first nothing is found in a database whose first page is damaged; with a damaged archive ending it (damaged_archives.c) none of the
other events is served.
"""

import os
import random
import re
import shutil
import unittest

from case import TidemarkTest
from command import command
from store import edited
from waiting import wait_until

PAGE = 4096
EVENTS = 3000


class Salvage(TidemarkTest):
    pad = 50

    def filled(self, *options):
        self.server = self.serve(*options)
        for at in range(0, EVENTS, 500):
            self.server.publish([{"stream": f"s{i % 5}", "type": "t", "id": f"i{i}", "data": {"n": i, "pad": "x" * self.pad}}
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
        self.server.log.clear()
        self.server.start("--salvage")
        log = wait_until(lambda: "the damaged store was moved to" in self.server.log_text() and self.server.log_text(), "it says what it did")
        gone = re.search(r"(\d+) events are lost:((?: \d+-\d+)*)", log)
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

    def test_a_row_that_is_no_event_says_nothing_of_the_head(self):
        """Shown to fail without the protection: salvage counts up to it."""
        self.filled()
        with edited(self.server.data) as database:
            database.execute("INSERT INTO event(seq, time, topic, data, sum) VALUES (1 << 50, 0, 0, '{}', 0)")
        self.refused()
        self.assertEqual(self.salvaged(), [])
        self.assert_kept([])

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
        self.server.stop()
        done = command("verify", self.server.data)
        self.assertEqual(done.returncode, 0, done)

    def test_with_archives(self):
        self.filled("--retain-events", "1000")
        self.server.start("--retain-events", "1000")
        wait_until(lambda: self.server.get("/v1/stats").json()["retention"]["log"]["events"] <= 1200, "some have left")
        self.server.stop()
        self.spoil([self.pages() - 3])
        self.assert_kept(self.salvaged())

    def test_archives_that_overlap_are_counted_once(self):
        self.filled()
        self.server.start()
        for after, before in ((0, 1001), (500, 1501)):
            made = self.server.request("POST", "/v1/archives", after=after, before=before)
            self.assertEqual(made.status, 201, made)
        self.server.stop()
        self.spoil([self.pages() - 3])
        gone = self.salvaged()
        streams = self.server.get("/v1/streams").json()["streams"]
        self.assertEqual(sum(stream["count"] for stream in streams), EVENTS - sum(last - first + 1 for first, last in gone))
        self.assert_kept(gone)

    def test_what_is_fine_is_left_alone(self):
        self.filled()
        self.server.start("--salvage")
        self.assertIn("nothing to salvage", self.server.log_text())
        self.assertEqual(self.server.lines(), self.lines)

    def edit(self, path, change):
        """Changes a file as a whole."""
        with open(path, "r+b") as file:
            content = bytearray(file.read())
            change(content)
            file.seek(0)
            file.write(content)

    def keep(self):
        shutil.copytree(self.server.data, self.server.data + ".kept")

    def put_back(self):
        if self.server.is_alive():
            self.server.kill()
        shutil.rmtree(self.server.data)
        shutil.copytree(self.server.data + ".kept", self.server.data)

    @staticmethod
    def write(path, text):
        with open(path, "w", encoding="ascii") as file:
            file.write(text)

    def flip(self, path, at):
        def change(content):
            content[at] ^= 0x10
        self.edit(path, change)

    def test_the_first_page(self):
        """Without it nothing in the database can be found."""
        self.filled()
        self.keep()
        for at in (0, 3, 16, 20, 29, 40, 56, 100, 105, 3000, 3900, PAGE - 1, "all"):
            with self.subTest(at):
                self.put_back()
                if at == "all":
                    self.spoil([1])
                else:
                    self.flip(self.db, at)
                self.refused()
                gone = self.salvaged()
                self.assertEqual(gone, [])
                self.assertEqual(self.server.get("/v1/sessions/me").json()["acked"], 700)
                self.assert_kept(gone)
                self.server.stop()

    def test_nothing_of_the_database(self):
        self.filled("--retain-events", "1000")
        self.archived("--retain-events", "1000")
        self.edit(self.db, lambda content: content.__setitem__(slice(None), bytes(len(content))))
        gone = self.salvaged()
        self.assertEqual(len(gone), 1)
        self.assertEqual(gone[0][1], EVENTS)
        self.assertIn("sessions, leases and observations are lost", self.server.log_text())
        self.assert_kept(gone)

    def test_nothing_at_all(self):
        self.filled()
        self.edit(self.db, lambda content: content.__setitem__(slice(None), bytes(len(content))))
        done = command("serve", "--data", self.server.data, "--listen", "127.0.0.1:0", "--salvage")
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("no part of", done.stderr)
        self.assertIn("tidemark.db", done.stderr)

    def archived(self, *options):
        """Starts and stops it once most of the log is in archives; returns the last of these."""
        self.server.start(*options)
        wait_until(lambda: self.server.get("/v1/stats").json()["retention"]["log"]["events"] <= 1200, "some have left")
        self.server.stop()
        place = os.path.join(self.server.data, "archives")
        return os.path.join(place, sorted(name for name in os.listdir(place) if name.endswith(".zst"))[-1])

    def test_a_damaged_archive(self):
        self.pad = 2000
        self.filled()
        archive = self.archived("--retain-events", "1000")
        first, last = map(int, re.match(r"(\d+)-(\d+)", os.path.basename(archive)).groups())
        self.assertGreater(last - first, 1500)  # of three frames at least
        size = os.path.getsize(archive)
        self.keep()
        for name, path, at in (("a frame", archive, size // 2), ("the table of frames", archive, size - 20),
                               ("its end", archive, size - 1), ("its beginning", archive, 2)):
            with self.subTest(name):
                self.put_back()
                self.flip(path, at)
                self.refused()
                gone = self.salvaged()
                self.assertLess(sum(l - f + 1 for f, l in gone), (last - first) // 2)
                self.assertEqual(bool(gone), name in ("a frame", "its beginning"))
                self.assertIn("renamed to .damaged", self.server.log_text())
                self.assertIn(os.path.basename(archive) + ".damaged", os.listdir(os.path.dirname(archive)))
                self.assert_kept(gone)
                self.server.stop()

    def test_the_manifest_beside_an_archive(self):
        """Shown to fail without the protection: the events of the archive are gone, or nothing is salvaged at all."""
        self.filled("--retain-events", "1000")
        archive = self.archived("--retain-events", "1000")
        beside = archive.replace(".ndjson.zst", ".json")
        with open(beside, encoding="ascii") as file:
            manifest = file.read()
        self.assertIn('"format":3', manifest)
        first, last = map(int, re.match(r"(\d+)-(\d+)", os.path.basename(archive)).groups())
        place = os.path.dirname(archive)
        all_beside = [os.path.join(place, name) for name in os.listdir(place) if name.endswith(".json")]
        self.keep()
        changes = {
            "removed": lambda: os.unlink(beside),
            "all removed": lambda: [os.unlink(path) for path in all_beside],
            "another": lambda: self.write(beside, '{"file":"../../../etc/passwd"}'),
            "empty": lambda: self.write(beside, ""),
            "a bit": lambda: self.flip(beside, 60),
            "whose it is": lambda: self.flip(beside, manifest.index('"epoch"') + 12),
            "removed, as the database": lambda: (os.unlink(beside), os.unlink(self.db)),
            "another, the database removed": lambda: (self.write(beside, "{}"), os.unlink(self.db)),
            "all removed, as the database": lambda: ([os.unlink(path) for path in all_beside], os.unlink(self.db)),
        }
        for name, change in changes.items():
            with self.subTest(name):
                self.put_back()
                change()
                refused = self.refused()
                if name == "removed":
                    self.assertIn("--salvage", refused)
                gone = self.salvaged()
                self.assertEqual(gone, [(last + 1, EVENTS)] if "database" in name else [])
                self.assertNotIn("renamed to .damaged", self.server.log_text())
                with open(beside, encoding="ascii") as file:
                    self.assertEqual(file.read(), manifest)
                self.assert_kept(gone)
                self.server.stop()

    def test_an_archive_of_another_store_stays_one(self):
        self.filled("--retain-events", "1000")
        self.archived("--retain-events", "1000")
        other = self.serve()
        other.publish([{"data": i} for i in range(EVENTS + 500)])
        self.assertEqual(other.request("POST", "/v1/archives").status, 201)
        other.stop()
        stranger = f"1-{EVENTS + 500}.ndjson.zst"
        place = os.path.join(self.server.data, "archives")
        shutil.copy(os.path.join(other.data, "archives", stranger), place)
        self.spoil([self.pages() - 3])
        self.refused()
        self.assert_kept(self.salvaged())
        self.assertIn(stranger, os.listdir(place))
        self.assertNotIn(stranger.replace(".ndjson.zst", ".json"), os.listdir(place))

    def test_a_damaged_archive_without_a_manifest_beside_it(self):
        """Shown to fail without the protection: it is not read frame by frame, for nothing says whose it is."""
        self.pad = 2000
        self.filled("--retain-events", "1000")
        archive = self.archived("--retain-events", "1000")
        first, last = map(int, re.match(r"(\d+)-(\d+)", os.path.basename(archive)).groups())
        os.unlink(archive.replace(".ndjson.zst", ".json"))
        self.flip(archive, os.path.getsize(archive) // 2)
        self.refused()
        gone = self.salvaged()
        self.assertGreater(sum(l - f + 1 for f, l in gone), 0)
        self.assertLess(sum(l - f + 1 for f, l in gone), (last - first) // 2)
        self.assertIn(os.path.basename(archive) + ".damaged", os.listdir(os.path.dirname(archive)))
        self.assert_kept(gone)


if __name__ == "__main__":
    unittest.main()
