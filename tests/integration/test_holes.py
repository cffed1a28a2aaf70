#!/usr/bin/env python3
"""A log that has lost an event says so: nothing is skipped, sealed or exported in its place."""

import http.client
import json
import os
import shutil
import tempfile
import time
import unittest

from case import TidemarkTest
from command import command
from load import scaled
from store import edited
from text import NDJSON, seqs
from waiting import Task, wait_until
from websocket_client import Closed



class Holes(TidemarkTest):
    """A store of 400 events that has lost event 300."""

    LOST, HEAD = 300, 400

    def setUp(self):
        self.server = self.serve()
        self.server.publish([{"stream": f"s{n % 2}", "data": n} for n in range(1, self.HEAD + 1)])
        self.server.stop()
        with edited(self.server.data) as db:
            db.execute("DELETE FROM event WHERE seq = ?", (self.LOST,))

    def test_nothing_is_sealed_over_it(self):
        self.server.start("--retain-events", "50")
        wait_until(lambda: self.server.retention()["failed"] > 0, "retention has found it")
        self.assertIn("event 300 is missing", self.server.retention()["reason"])
        self.assertEqual(self.server.get("/v1/archives").json()["archives"], [])
        self.assertEqual(self.server.event(1)["data"], 1)
        self.server.stop()
        self.assertEqual(len(command("query", self.server.data, "--before", "300").stdout.splitlines()), 299)

    def test_no_form_of_history_goes_over_it(self):
        self.server.start()
        for query in ({"after": 290}, {"before": 310, "order": "desc"}, {"after": 299, "limit": 1}, {}):
            with self.subTest(query):
                self.assert_problem(self.server.get("/v1/events", limit=query.pop("limit", 1000), **query), 500,
                                    "event 300 is missing")
        self.assertEqual(len(self.server.history(after=100, before=300, limit=1000)["events"]), 199)
        self.assert_problem(self.server.get("/v1/events", accept=NDJSON, after=290), 500, "event 300 is missing")
        with self.assertRaises(Closed):
            self.server.reader(after=295).events(5)

    def test_an_export_that_breaks_off_is_told_why(self):
        self.server.start()
        lines = ({"stream": "s0", "data": os.urandom(2000).hex()} for _ in range(4000))
        self.server.publish_lines(lines)
        self.server.stop()
        with edited(self.server.data) as db:
            db.execute("INSERT INTO event SELECT 300, time, topic, id, data, sum FROM event WHERE seq = 301")
            db.execute("DELETE FROM event WHERE seq = 4001")
            db.execute("UPDATE meta SET value = 4400 WHERE key IN ('trail', 'head')")
        self.server.start()
        archive = os.path.join(self.server.data, "x.ndjson.zst")
        for options in ((), ("--stream", "s0")):
            done = command("export", self.server.url, "-o", archive, "--after", "300", *options)
            self.assertEqual(done.returncode, 1, done)
            self.assertRegex(done.stderr, "event 4001 is (missing|indexed, but not there)")
            self.assertEqual([name for name in os.listdir(self.server.data) if name.startswith("x.")], [])

    def test_lines_that_break_off_say_why_in_a_last_line(self):
        """What comes after the first page can only be told there; the transfer is unfinished, so that nobody takes it for whole."""
        self.server.start()
        self.server.publish_lines({"stream": "s0", "data": n} for n in range(4000))
        self.server.stop()
        with edited(self.server.data) as db:
            db.execute("INSERT INTO event SELECT 300, time, topic, id, data, sum FROM event WHERE seq = 301")
            db.execute("DELETE FROM event WHERE seq = 4001")
        self.server.start()
        wire = self.server.http().connection
        wire.request("GET", "/v1/events?after=300", headers={"Accept": NDJSON})
        response = wire.getresponse()
        self.assertEqual(response.status, 200)
        with self.assertRaises(http.client.IncompleteRead) as broken:
            response.read()
        lines = [json.loads(line) for line in broken.exception.partial.decode().splitlines()]
        self.assertEqual((lines[-1]["op"], lines[-1]["status"], lines[-1]["detail"]), ("error", 500, "event 4001 is missing"))
        self.assertEqual(seqs(lines[:-1]), list(range(301, 301 + len(lines) - 1)))
        self.assertGreater(len(lines), 3000)
        done = command("query", self.server.url, "--after", "300")
        self.assertEqual((done.returncode, len(done.stdout.splitlines())), (1, len(lines) - 1))
        self.assertIn("event 4001 is missing", done.stderr)
        done = command("query", self.server.url, "--after", "3999")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("event 4001 is missing", done.stderr)

    def test_commands_name_it(self):
        for arguments in (("query",), ("verify",), ("export", "-o", os.path.join(self.server.data, "x.ndjson.zst")),
                          ("backup", os.path.join(self.server.data, "copy"))):
            done = command(arguments[0], self.server.data, *arguments[1:])
            self.assertEqual(done.returncode, 1, done)
            self.assertIn("event 300 is missing", done.stderr)
        self.assertFalse(os.path.exists(os.path.join(self.server.data, "x.ndjson.zst")))


class Beside(TidemarkTest):
    """Commands on the directory of a server that moves events into archives under their feet."""

    def setUp(self):
        self.server = self.serve("--retain-events", "1000")
        self.home = tempfile.mkdtemp(prefix="tidemark-test-")
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        self.stop = False
        self.room = 3000
        self.task = Task(self.publish)
        self.addCleanup(self.end)
        wait_until(lambda: self.server.get("/v1/archives").json()["archives"], "something is sealed")

    def publish(self):
        """As long as there is room: each command makes some, so that a slow machine has no more to read than a fast one."""
        number = 0
        while not self.stop:
            if number < self.room:
                self.server.publish_lines({"stream": f"s{n % 3}", "id": f"i{n}", "data": "x" * 200}
                                          for n in range(number, number + 250))
                number += 250
            time.sleep(0.01)

    def end(self):
        self.stop = True
        self.task.join()

    def run_ok(self, *arguments):
        self.room += 1000
        done = command(*arguments, seconds=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()] if arguments[0] == "query" else []

    def test_query_export_verify_and_backup_leave_nothing_out(self):
        for round_ in range(scaled(8, 3)):
            found = self.run_ok("query", self.server.data)
            self.assertEqual(seqs(found), list(range(1, len(found) + 1)))
            found = self.run_ok("query", self.server.data, "--stream", "s1")
            self.assertEqual(seqs(found), list(range(2, 2 + 3 * len(found), 3)))
            self.run_ok("verify", self.server.data)
            archive = os.path.join(self.home, f"{round_}.ndjson.zst")
            self.run_ok("export", self.server.data, "-o", archive)
            self.run_ok("verify", archive)
            for copy in "kept", f"fresh-{round_}":
                self.run_ok("backup", self.server.data, os.path.join(self.home, copy))
                self.run_ok("verify", os.path.join(self.home, copy))
        self.end()
        self.task.result()


if __name__ == "__main__":
    unittest.main()
