#!/usr/bin/env python3
"""A directory that is not a whole store is taken for one by no command, and nothing is written to it before that is said.

Shown to fail without the protection: without whole_check (store_open.c) a server starts empty beside the archives of a lost
database, and verify and backup are content with a log that has lost its end; without place_mark (backup.c) an interrupted copy is an
empty store.
"""

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
import unittest

from binary import BIN
from case import TidemarkTest
from command import command
from load import scaled
from store import edited
from text import seqs
from waiting import wait_until

COMMANDS = ("verify", "query", "stats", "export", "backup")


class Whole(TidemarkTest):

    def commands(self, data):
        """Every command that looks into a directory, with what it prints."""
        aside = os.path.join(os.path.dirname(data), "aside")
        for name in COMMANDS:
            arguments = {"export": ["-o", f"{aside}.ndjson.zst"], "backup": [f"{aside}-copy"]}.get(name, [])
            yield name, command(name, data, *arguments)
            shutil.rmtree(f"{aside}-copy", ignore_errors=True)

    def contents(self, data):
        found = {}
        for directory, _, names in os.walk(data):
            for name in names:
                path = os.path.join(directory, name)
                if name not in ("lock", "tidemark.db-shm"):  # the lock may be taken, and the index of the log is made anew
                    with open(path, "rb") as file:
                        found[path] = hashlib.sha256(file.read()).hexdigest()
        return found

    def assert_refused(self, data, says):
        before = self.contents(data)
        for name, done in self.commands(data):
            with self.subTest(name):
                self.assertEqual(done.returncode, 1, done)
                self.assertIn(says, done.stderr)
        for options in ((), ("--retain-events", "10")):
            done = command("serve", "--data", data, "--listen", "127.0.0.1:0", *options)
            self.assertEqual(done.returncode, 1, done)
            self.assertIn(says, done.stderr)
        self.assertEqual(self.contents(data), before, "nothing is written")

    def archived(self):
        """A store of 90 events, of which the log has the last 20 or so."""
        server = self.serve("--retain-events", "20")
        for part in range(3):
            server.publish([{"stream": "s", "data": part * 30 + n} for n in range(1, 31)])
            wait_until(lambda: server.retention()["log"]["events"] <= 22, "events have left the log")
        self.lines = server.lines()
        self.kept = server.retention()["log"]["first"] - 1
        server.stop()
        return server

    def test_a_database_that_is_gone_or_empty_is_damage(self):
        for how in ("removed", "empty", "no note either"):
            with self.subTest(how):
                server = self.archived()
                path = os.path.join(server.data, "tidemark.db")
                os.unlink(path)
                if how == "empty":
                    with open(path, "wb"):
                        pass
                if how == "no note either":
                    os.unlink(os.path.join(server.data, "head"))
                self.assert_refused(server.data, "missing or empty")
                server.start("--salvage")
                self.assertEqual([line for line in server.lines() if '"op"' not in line], self.lines[:self.kept])
                if how != "no note either":
                    self.assertEqual(server.head(), 90, "what was acknowledged is not given again")
                    self.assert_problem(server.get("/v1/events/90"), 410)
                server.stop()
                self.assertEqual(command("verify", server.data).returncode, 0)

    def test_a_young_store_without_its_log_is_damage(self):
        server = self.serve()
        server.publish([{"data": n} for n in range(5)])
        server.kill()
        for ending in ("-wal", "-shm"):
            os.unlink(os.path.join(server.data, "tidemark.db" + ending))
        self.assert_refused(server.data, "events were acknowledged here")

    def test_a_log_that_has_lost_its_end_is_damage(self):
        server = self.serve()
        server.publish([{"data": n} for n in range(10)])
        server.restart()
        server.publish([{"data": n} for n in range(5)])
        server.kill()
        os.truncate(os.path.join(server.data, "tidemark.db-wal"), 0)
        self.assert_refused(server.data, "up to 15 were acknowledged")
        server.start("--salvage")
        self.assertEqual(seqs(server.history()["events"]), list(range(1, 11)))
        self.assertEqual(server.publish({"data": "next"})["first"], 16)

    def test_an_archive_past_the_end_is_damage(self):
        server = self.serve()
        for _ in range(2):
            server.publish([{"data": n} for n in range(50)])
        server.request("POST", "/v1/archives", after=60)
        server.stop()
        old = os.path.join(server.home, "old")
        self.assertEqual(command("backup", server.data, old, "--until", "60").returncode, 0)
        for name in ("tidemark.db", "head"):
            shutil.copy(os.path.join(old, name), os.path.join(server.data, name))
        self.assert_refused(server.data, "has events after the log's end")

    def rows(self, data):
        """How many events the log of a store has, whatever else there is to say of it."""
        if not os.path.exists(os.path.join(data, "tidemark.db")):
            return 0
        with contextlib.closing(sqlite3.connect(f"file:{data}/tidemark.db?mode=ro", uri=True)) as database:
            try:
                return database.execute("SELECT count(*) FROM event").fetchone()[0]
            except sqlite3.OperationalError:  # not even that
                return 0

    def test_an_unfinished_copy_is_none(self):
        """Killed at any moment, it says what it is, and the next attempt goes on where it stopped."""
        server = self.serve()
        for n in range(scaled(30, 15)):
            server.publish([{"stream": "s", "id": f"{n}.{i}", "data": "x" * 500} for i in range(2000)])
        server.stop()
        everything = command("query", server.data).stdout
        copy, found = os.path.join(server.home, "copy"), [0]
        for attempt in range(8):
            process = subprocess.Popen([BIN, "backup", server.data, copy], stderr=subprocess.DEVNULL)
            time.sleep(0.01 * min(attempt, 2))
            while attempt > 5 and process.poll() is None:  # a little at a time, until more of it is there
                process.send_signal(signal.SIGSTOP)
                if self.rows(copy) > found[-1]:
                    break
                process.send_signal(signal.SIGCONT)
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            process.wait()
            if not os.path.exists(os.path.join(copy, "backup.part")):
                self.assertFalse(os.path.exists(os.path.join(copy, "tidemark.db")), "it was faster")
                continue
            self.assert_refused(copy, "was not finished")
            found.append(self.rows(copy))
        self.assertEqual(found, sorted(found))
        self.assertGreater(found[-1], 0, "some of it was kept")
        done = command("backup", server.data, copy)
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(command("query", copy).stdout, everything)
        self.assertEqual(command("verify", copy).returncode, 0)
        again = self.serve_on(copy)
        self.assertEqual(again.publish({"stream": "s", "id": "0.0", "data": 1})["duplicates"], 1, "ids were copied")

    def test_a_topic_whose_number_is_none_is_found(self):
        server = self.serve()
        server.publish({"data": 1})
        server.stop()
        for number in (-5, 1 << 40):
            with edited(server.data) as database:
                database.execute("INSERT INTO topic(id, stream, type) VALUES (?, 's', 't')", [number])
            done = command("verify", server.data)
            self.assertEqual((done.returncode, str(number) in done.stderr), (1, True), done)
            with edited(server.data) as database:
                database.execute("DELETE FROM topic WHERE id = ?", [number])
            self.assertEqual(command("verify", server.data).returncode, 0)

    def exported(self):
        """A stopped server with an archive that takes a while to import: (server, archive, where to)."""
        server = self.serve()
        for n in range(scaled(20, 10)):
            server.publish([{"stream": "s", "data": "x" * 500} for _ in range(2000)])
        server.stop()
        out, target = os.path.join(server.home, "all.ndjson.zst"), os.path.join(server.home, "restored")
        self.assertEqual(command("export", server.data, "-o", out).returncode, 0)
        return server, out, target

    def test_an_interrupted_import_is_none(self):
        server, out, target = self.exported()
        process = subprocess.Popen([BIN, "import", target, out], stderr=subprocess.DEVNULL)
        wait_until(lambda: os.path.exists(os.path.join(target, "import.part", "tidemark.db")), "it has begun")
        process.send_signal(signal.SIGKILL)
        process.wait()
        if not os.path.exists(os.path.join(target, "tidemark.db")):
            self.assert_refused(target, "was interrupted")
        self.assertEqual(command("import", target, out).returncode, 0)
        self.assertEqual(command("query", target).stdout, command("query", server.data).stdout)
        self.assertEqual(sorted(json.loads(command("stats", target, "--json").stdout)), sorted(
            json.loads(command("stats", server.data, "--json").stdout)))

    def test_an_import_stops_when_it_is_told_to(self):
        server, out, target = self.exported()
        for number in (signal.SIGINT, signal.SIGTERM):
            process = subprocess.Popen([BIN, "import", target, out], stderr=subprocess.PIPE, encoding="utf-8")
            wait_until(lambda: os.path.exists(os.path.join(target, "import.part", "tidemark.db")), "it has begun")
            process.send_signal(number)
            said = process.communicate()[1]
            if process.returncode == 0:  # it was faster
                shutil.rmtree(target)
                continue
            self.assertEqual(process.returncode, 1)
            self.assertIn("interrupted", said)
            self.assertFalse(os.path.exists(target), "nothing is left")

    def test_an_import_of_large_events_stops_at_once(self):
        """Shown to fail without the protection: it looks every few thousand events only, and goes on to its end."""
        server = self.serve()
        for _ in range(scaled(30, 10)):
            server.publish([{"data": "".join(random.choices("0123456789abcdef", k=4096)) * 220} for _ in range(8)])
        server.stop()
        out = os.path.join(server.home, "large.ndjson.zst")
        target = os.path.join(server.home, "restored")
        self.assertEqual(command("export", server.data, "-o", out).returncode, 0)
        process = subprocess.Popen([BIN, "import", target, out], stderr=subprocess.PIPE, encoding="utf-8")
        wait_until(lambda: os.path.exists(os.path.join(target, "import.part", "tidemark.db")), "it has begun")
        process.send_signal(signal.SIGTERM)
        said = process.communicate()[1]
        self.assertEqual(process.returncode, 1, said)
        self.assertIn("interrupted", said)
        self.assertFalse(os.path.exists(target), "nothing is left")


class Lock(TidemarkTest):

    def test_a_lock_that_is_removed_by_hand_lets_nobody_in(self):
        """Shown to fail without the protection: with a lock on the file `lock` a second server writes beside the first."""
        server = self.serve("--retain-events", "20")
        server.publish([{"data": n} for n in range(60)])
        wait_until(lambda: server.retention()["log"]["first"] > 1, "something is archived")
        for directory in (server.data, os.path.join(server.data, "archives")):
            if os.path.exists(os.path.join(directory, "lock")):
                os.unlink(os.path.join(directory, "lock"))
        other = os.path.join(server.home, "other")
        for arguments in (["serve", "--data", server.data, "--listen", "127.0.0.1:0"],
                          ["serve", "--data", other, "--archive-dir", os.path.join(server.data, "archives"), "--listen", "127.0.0.1:0"]):
            done = command(*arguments)
            self.assertEqual(done.returncode, 1, done)
            self.assertIn("another Tidemark server", done.stderr)
        self.assertEqual(server.publish({"data": "next"})["first"], 61)


class ReadOnly(TidemarkTest):
    """A store at rest is read where nothing may be written, and by another user than its own."""

    NOBODY = 65534

    def run_as_nobody(self, *arguments):
        who = {"user": self.NOBODY, "group": self.NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        return subprocess.run([self.binary, *arguments], capture_output=True, encoding="utf-8", check=False, **who)

    def test_commands_that_only_read_write_nothing(self):
        server = self.serve("--retain-events", "50")
        for part in range(3):
            server.publish([{"stream": "s", "data": part * 50 + n} for n in range(50)])
        wait_until(lambda: server.retention()["log"]["first"] > 1, "something is archived")
        lines = server.lines()
        server.stop()
        out = os.path.join(server.home, "out")
        os.mkdir(out)
        os.chmod(out, 0o777)
        os.chmod(server.home, 0o755)
        self.binary = shutil.copy(BIN, out)  # where anybody may run it
        for directory, _, names in os.walk(server.data):
            for name in names:
                os.chmod(os.path.join(directory, name), 0o444)
            os.chmod(directory, 0o555)
        before = sorted(os.listdir(server.data))
        self.assertEqual(self.run_as_nobody("query", server.data).stdout.splitlines(), lines)
        for name, *arguments in (("verify",), ("stats",), ("export", "-o", os.path.join(out, "all.ndjson.zst")),
                                 ("backup", os.path.join(out, "copy"))):
            done = self.run_as_nobody(name, server.data, *arguments)
            self.assertEqual(done.returncode, 0, (name, done.stderr))
        self.assertEqual(sorted(os.listdir(server.data)), before)
        self.assertEqual(self.run_as_nobody("query", os.path.join(out, "copy")).stdout.splitlines(), lines)


if __name__ == "__main__":
    unittest.main()
