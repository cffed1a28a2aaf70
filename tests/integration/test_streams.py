#!/usr/bin/env python3
"""Streams as things of their own: the last seq that outlives the events, and lists of many.

Shown to fail without the protection: with remember_last (store_leave.c) remembering nothing, a stream whose events retention has
removed is new; without stream_last_copy a backup takes it for new.
"""

import os
import shutil
import sqlite3
import tempfile
import unittest

from harness import TidemarkTest, command, edited, wait_until

DISCARD = ("--retain-events", "10", "--archive", "none")


class LastSeq(TidemarkTest):

    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="tidemark-test-")
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.home, name)

    def run_ok(self, *arguments):
        done = command(*arguments, seconds=300)
        self.assertEqual(done.returncode, 0, done)

    def removed(self):
        """A server whose retention has removed all that was in the stream `acct` (seqs 1 to 3) for good."""
        server = self.serve(*DISCARD)
        server.publish([{"stream": "acct", "type": f"t{i}", "data": i} for i in range(3)])
        self.remove_older(server)
        wait_until(lambda: server.get("/v1/streams/acct").status == 404, "the stream is empty")
        return server

    def remove_older(self, server):
        def first():
            server.publish([{"stream": "other", "data": i} for i in range(50)])
            return server.history()["first"] > head
        head = server.head()
        wait_until(first, "retention has removed the oldest events")

    def assert_conflict(self, server, expected, actual, stream="acct"):
        problem = server.post({"stream": stream, "data": 1}, expect=expected)
        self.assert_problem(problem, 409, expected=expected, actual=actual)

    def assert_remembered(self, server):
        self.assert_conflict(server, 0, 3)
        self.assert_conflict(server, 2, 3)
        self.assertEqual(server.post({"stream": "never", "data": 1}, expect=0).status, 201)

    def test_it_outlives_retention_and_restarts(self):
        server = self.removed()
        self.assert_remembered(server)
        for end in (server.stop, server.kill):
            end()
            server.start()
            self.assert_conflict(server, 0, 3)
        receipt = server.publish({"stream": "acct", "data": 4}, expect=3)
        self.assert_conflict(server, 3, receipt["first"])
        self.remove_older(server)
        self.assert_conflict(server, 3, receipt["first"])
        server.stop()
        self.run_ok("verify", server.data)

    def test_a_backup_has_it(self):
        server = self.removed()
        for again in range(2):
            self.run_ok("backup", server.data, self.path("copy"))
        copy = self.serve_on(self.path("copy"), *DISCARD)
        self.assert_remembered(copy)
        copy.stop()
        self.run_ok("verify", self.path("copy"))

    def test_an_older_store_is_migrated_with_it(self):
        server = self.removed()
        server.stop()
        with edited(server.data) as db:
            db.executescript("DROP TABLE stream_last; DELETE FROM meta WHERE key = 'last_unknown'; PRAGMA user_version = 5;")
        server.start()
        self.assert_remembered(server)

    def exported(self, after=0):
        server = self.serve()
        server.publish([{"stream": f"s{i}", "data": i} for i in range(10)] * 2)
        for name, range_ in (("head", ("--before", "11")), ("tail", ("--after", "10")), ("whole", ())):
            self.run_ok("export", server.data, *range_, "-o", self.path(f"{name}.ndjson.zst"))
        return server

    def test_the_import_of_a_whole_store_knows_all(self):
        self.exported()
        self.run_ok("import", self.path("store"), self.path("whole.ndjson.zst"))
        server = self.serve_on(self.path("store"))
        self.assert_conflict(server, 0, 11, "s0")
        self.assertEqual(server.post({"stream": "never", "data": 1}, expect=0).status, 201)

    def test_a_store_that_begins_with_a_tail_says_that_it_does_not_know(self):
        self.exported()
        self.run_ok("import", self.path("store"), self.path("tail.ndjson.zst"))
        server = self.serve_on(self.path("store"))
        self.assert_conflict(server, 0, 11, "s0")
        for expect in (0, 3):
            self.assert_conflict(server, expect, None, "before")
        seq = server.publish({"stream": "before", "data": 1})["first"]
        self.assert_conflict(server, 0, seq, "before")
        server.restart()
        self.assert_conflict(server, 0, None, "another")
        self.run_ok("backup", server.data, self.path("copy"))
        copy = self.serve_on(self.path("copy"))
        self.assert_conflict(copy, 0, None, "another")
        self.assert_conflict(copy, 0, seq, "before")
        server.restart("--accept-loss")
        self.assertEqual(server.post({"stream": "another", "data": 1}, expect=0).status, 201)
        server.restart()
        self.assertEqual(server.post({"stream": "a-third", "data": 1}, expect=0).status, 201)

    def test_what_came_before_may_be_imported_later(self):
        self.exported()
        self.run_ok("import", self.path("store"), self.path("tail.ndjson.zst"))
        self.run_ok("import", self.path("store"), self.path("head.ndjson.zst"))
        server = self.serve_on(self.path("store"))
        self.assertEqual(server.post({"stream": "never", "data": 1}, expect=0).status, 201)

    def salvaged(self, table):
        """The server of `removed`, after a salvage: the first page of a table was damaged."""
        server = self.removed()
        server.stop()
        path = os.path.join(server.data, "tidemark.db")
        database = sqlite3.connect(f"file:{path}?immutable=1", uri=True)
        (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        database.close()
        with open(path, "r+b") as file:
            file.seek((page - 1) * 4096)
            file.write(bytes(4096))
        server.log.clear()
        server.start("--salvage")
        self.assertIn("is damaged", server.log_text())
        return server

    def test_salvage_keeps_it(self):
        server = self.salvaged("posting")
        self.assert_conflict(server, 0, 3)
        self.assertEqual(server.post({"stream": "never", "data": 1}, expect=0).status, 201)

    def test_where_salvage_has_lost_events_it_is_not_known(self):
        server = self.salvaged("event")
        self.assert_conflict(server, 3, None)
        self.assert_conflict(server, 0, None, "never")


if __name__ == "__main__":
    unittest.main()
