#!/usr/bin/env python3
"""kill -9 at the n-th change of any file, n = 1, 2, … until there is none left: at the first start, at a migration, while
sealing, salvaging, importing, exporting, backing up, and at a clean stop. What was acknowledged is there after each, and the same
thing done again works.

Shown to fail without the protection: with files written under their own names (atomic_file.c) an export that was cut short stands
where a whole one should; with the number of a migration committed before the migration (db.c) the store does not open again; where
what replaces a salvaged store is not finished by the process that opens it (database_swap.c) there is a new, empty one.
"""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import unittest

from binary import BIN, environment
from case import TidemarkTest
from command import command
from faults import CHANGES, KILL, TEAR, Faults
from load import SCALE
from store import edited
from waiting import wait_until

EVENTS = 300
STEP = max(1, round(2 / SCALE))


class KillAnywhere(TidemarkTest):

    def setUp(self):
        self.faults = Faults()
        self.addCleanup(self.faults.close)
        self.server = self.prepare("--disk-reserve", "0", extra=self.faults.environment)
        self.home = self.server.home

    def path(self, name):
        return os.path.join(self.home, name)

    def events(self, count=EVENTS):
        return [{"stream": f"s{i % 3}", "id": f"i{i}", "data": {"n": i, "pad": "x" * 100}} for i in range(count)]

    def filled(self):
        """The lines of a store with events, stopped."""
        self.server.start()
        self.server.publish(self.events())
        lines = self.server.lines()
        self.server.stop()
        return lines

    def until_none_is_left(self, attempt):
        """Calls `attempt(n)` for each n, STEP apart, until it says that there was no such change."""
        n, hit = random.randint(1, STEP), 1
        while hit:
            with self.subTest(f"change {n}"):
                hit = 0  # unless it comes back
                hit = attempt(n)
            n += STEP
        print(f"{self.id().rsplit('.', 1)[1]}: {n - 1} changes", flush=True)
        self.assertGreater(n, 3)

    def arm(self, n):
        """The n-th change is the last: by turns before it, or in the middle of it."""
        self.faults.arm(CHANGES, after=n, action=TEAR if n % 2 else KILL, place=self.home)

    def run_command(self, *arguments):
        """A command under faults, to its end."""
        return subprocess.run([BIN, *arguments], capture_output=True, env=environment(self.faults.environment), check=False,
                              timeout=120)

    def start_or_die(self):
        """False when it was killed before it listened."""
        try:
            self.server.start()
        except AssertionError:
            self.assertEqual(self.server.process.wait(), -signal.SIGKILL, self.server.log_text())
            self.server.process.stderr.close()
            return False
        return True

    def life(self, n):
        """Starts and stops it; returns whether it got as far as the n-th change."""
        self.arm(n)
        if self.start_or_die():
            self.server.process.send_signal(signal.SIGTERM)
            self.ended()
        return self.faults.disarm()

    def ended(self):
        """Waits for the end of a server that was told to stop or is going to be killed."""
        code = self.server.process.wait(60)
        self.server.process.stderr.close()
        self.assertIn(code, (0, -signal.SIGKILL), self.server.log_text())

    def assert_holds(self, lines):
        self.server.start()
        self.assertEqual(self.server.lines(), lines)
        self.server.stop()
        done = command("verify", self.server.data)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_at_the_first_start(self):
        def attempt(n):
            shutil.rmtree(self.server.data, ignore_errors=True)
            hit = self.life(n)
            self.assert_holds([])
            self.server.start()
            self.assertEqual(self.server.publish([{"data": 1}])["first"], 1)
            self.server.stop()
            return hit

        self.until_none_is_left(attempt)

    def old_store(self):
        """As the first version of the schema had it."""
        os.makedirs(self.server.data, mode=0o700)
        shutil.copy(self.path("new.db"), os.path.join(self.server.data, "tidemark.db"))
        with edited(self.server.data) as database:
            database.executescript("ALTER TABLE topic DROP COLUMN gone; ALTER TABLE session DROP COLUMN filter; DROP TABLE note; "
                                   "ALTER TABLE session DROP COLUMN epoch; INSERT INTO meta(key, value) SELECT 'epoch', epoch "
                                   "FROM line; DROP TABLE line; DROP TABLE stream_last; DROP TABLE forgotten; "
                                   "DROP TABLE id_past; DROP INDEX posting_window; PRAGMA user_version=1;")

    def test_at_a_migration(self):
        lines = self.filled()
        shutil.move(os.path.join(self.server.data, "tidemark.db"), self.path("new.db"))

        def attempt(n):
            shutil.rmtree(self.server.data, ignore_errors=True)
            self.old_store()
            hit = self.life(n)
            self.assert_holds(lines)
            return hit

        self.until_none_is_left(attempt)

    def test_at_a_clean_stop(self):
        lines = self.filled()
        shutil.move(self.server.data, self.path("whole"))

        def attempt(n):
            shutil.rmtree(self.server.data, ignore_errors=True)
            shutil.copytree(self.path("whole"), self.server.data)
            self.server.start()
            more = self.server.publish([{"data": "more"}])["last"]
            after = self.server.lines()
            self.arm(n)
            self.server.process.send_signal(signal.SIGTERM)
            self.ended()
            hit = self.faults.disarm()
            self.assertEqual((len(after), after[:EVENTS]), (more, lines))
            self.assert_holds(after)
            return hit

        self.until_none_is_left(attempt)

    def test_while_sealing_and_leaving(self):
        lines = self.filled()
        shutil.move(self.server.data, self.path("whole"))
        keep = ("--retain-events", "100", "--disk-reserve", "0")

        def archived():
            return not self.server.is_alive() or self.server.history(limit=1)["first"] == 1 and self.log_first() > 150

        def attempt(n):
            shutil.rmtree(self.server.data, ignore_errors=True)
            shutil.copytree(self.path("whole"), self.server.data)
            self.server.options = keep
            self.arm(n)
            if self.start_or_die():
                try:
                    wait_until(archived, "events have left the log")
                except OSError:
                    pass
                if self.server.is_alive():
                    self.server.process.send_signal(signal.SIGTERM)
                self.ended()
            hit = self.faults.disarm()
            self.assert_holds(lines)
            return hit

        self.until_none_is_left(attempt)

    def test_while_salvaging(self):
        """Nothing of it is gone: the first page of the database and the manifest of an archive are damaged."""
        lines = self.filled()
        self.server.start("--retain-events", "100", "--disk-reserve", "0")
        wait_until(lambda: self.log_first() > 150, "events have left the log")
        self.server.stop()
        archives = os.path.join(self.server.data, "archives")
        manifest = next(name for name in os.listdir(archives) if name.endswith(".json"))
        for path in (os.path.join(self.server.data, "tidemark.db"), os.path.join(archives, manifest)):
            with open(path, "r+b") as file:
                file.seek(20)
                file.write(b"\xff")
        shutil.move(self.server.data, self.path("damaged"))

        def attempt(n):
            shutil.rmtree(self.server.data, ignore_errors=True)
            shutil.copytree(self.path("damaged"), self.server.data)
            self.server.options = ("--disk-reserve", "0", "--salvage")
            hit = self.life(n)
            self.assert_holds(lines)
            return hit

        self.until_none_is_left(attempt)

    def log_first(self):
        database = sqlite3.connect(f"file:{self.server.data}/tidemark.db?mode=ro", uri=True)
        try:
            return database.execute("SELECT min(seq) FROM event").fetchone()[0] or 0
        finally:
            database.close()

    def export(self):
        done = command("export", self.server.data, "-o", self.path("all.ndjson.zst"))
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_while_exporting(self):
        self.filled()
        out = self.path("out.ndjson.zst")
        self.export()

        def attempt(n):
            for name in os.listdir(self.home):
                if name.startswith("out."):
                    os.unlink(self.path(name))
            self.arm(n)
            done = self.run_command("export", self.server.data, "-o", out)
            hit = self.faults.disarm()
            self.assertEqual(done.returncode, -signal.SIGKILL if hit else 0, done.stderr)
            if os.path.exists(out):  # then it is whole
                self.assertEqual(command("verify", out).returncode, 0)
                os.unlink(out)
                if os.path.exists(self.path("out.json")):
                    os.unlink(self.path("out.json"))
            again = command("export", self.server.data, "-o", out)
            self.assertEqual(again.returncode, 0, again.stderr)
            return hit

        self.until_none_is_left(attempt)

    def test_while_importing(self):
        lines = self.filled()
        self.export()
        shutil.move(self.server.data, self.path("whole"))

        def attempt(n):
            shutil.rmtree(self.server.data, ignore_errors=True)
            self.arm(n)
            done = self.run_command("import", self.server.data, self.path("all.ndjson.zst"))
            self.assertIn(done.returncode, (0, -signal.SIGKILL), done.stderr)
            hit = self.faults.disarm()
            again = command("import", self.server.data, self.path("all.ndjson.zst"))
            self.assertEqual(again.returncode, 0, again.stderr)
            self.assert_holds(lines)
            return hit

        self.until_none_is_left(attempt)

    def test_while_backing_up(self):
        lines = self.filled()
        copy = self.path("copy")

        def attempt(n):
            shutil.rmtree(copy, ignore_errors=True)
            self.arm(n)
            done = self.run_command("backup", self.server.data, copy)
            self.assertIn(done.returncode, (0, -signal.SIGKILL), done.stderr)
            hit = self.faults.disarm()
            again = command("backup", self.server.data, copy)
            self.assertEqual(again.returncode, 0, again.stderr)
            done = command("query", copy)
            self.assertEqual(done.stdout.splitlines(), lines)
            self.assertEqual(command("verify", copy).returncode, 0)
            return hit

        self.until_none_is_left(attempt)


if __name__ == "__main__":
    unittest.main()
