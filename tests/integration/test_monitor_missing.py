#!/usr/bin/env python3
"""What the monitoring profile says where a part of its past is damaged, missing or removed: what can be read is given, and the rest is told."""

import datetime
import glob
import json
import os
import shutil
import tempfile
import time
import unittest

from case import TidemarkTest
from store import aged_store
from waiting import wait_until

HEAD, PART = 200, 40  # four archives, and the last part in the log


def batch(first, count):
    return [{"stream": ("kimi", "glm")[n % 2], "type": "event", "data": {"response_time_ms": n + 1}} for n in range(first, first + count)]


def damage(path):
    with open(path, "r+b") as file:
        whole = file.read()
        file.seek(whole.index(b"\x28\xb5\x2f\xfd") + 30)  # in the first frame of events
        file.write(bytes(40))


class Missing(TidemarkTest):

    def setUp(self):
        home = tempfile.mkdtemp(prefix="tidemark-test-")
        self.addCleanup(shutil.rmtree, home, ignore_errors=True)
        data, self.lines = aged_store(batch, HEAD // PART, PART)
        self.server = self.serve_on(shutil.copytree(data, os.path.join(home, "data")), "--retain-events", str(PART))

    def archive(self, name):
        return os.path.join(self.server.data, "archives", name)

    def moment(self, seq):
        """When an event was committed, in Unix seconds."""
        return datetime.datetime.fromisoformat(json.loads(self.lines[seq - 1])["time"]).timestamp()

    def ask(self, command="get_historical_data", **fields):
        answers = {"get_historical_data": "historical_data", "get_recent_events": "recent_events"}
        reader = self.server.dashboard()
        reader.send({"command": command, **fields})
        while (message := reader.receive())["type"] not in (answers[command], "error"):
            pass
        self.assertEqual(message["type"], answers[command], message)
        return message

    def seqs_of(self, reply):
        return [event["seq"] for event in reply["data"]]


class Archives(Missing):

    def assert_spoiled(self, reply, *words):
        self.assertIs(reply["complete"], False, self.seqs_of(reply))
        self.assertIsNone(reply["next_before"])
        for word in words:
            self.assertIn(word, reply["missing"])
        self.assertNotIn(self.server.data, reply["missing"])
        self.assertNotIn("gap", reply)

    def test_a_whole_history_says_nothing_of_it(self):
        reply = self.ask()
        self.assertEqual((self.seqs_of(reply), reply["complete"]), (list(range(1, HEAD + 1)), True))
        self.assertNotIn("missing", reply)
        self.assertNotIn("gap", reply)

    def test_a_damaged_archive_spoils_its_own_events_only(self):
        damage(self.archive("41-80.ndjson.zst"))
        reply = self.ask()
        self.assert_spoiled(reply, "41-80.ndjson.zst")
        self.assertEqual(self.seqs_of(reply), [*range(1, 41), *range(81, HEAD + 1)])
        for event in reply["data"]:  # the figures below it are not known
            figures = {} if event["seq"] <= 40 else {"total_events": (event["seq"] + 1) // 2}
            self.assertEqual({name: event["stats"][name] for name in figures}, figures)
            self.assertEqual(event["stats"] == {}, figures == {})

    def test_a_page_below_or_above_it_lacks_nothing(self):
        damage(self.archive("41-80.ndjson.zst"))
        below = self.ask(before=41)
        self.assertEqual((self.seqs_of(below), below["complete"]), (list(range(1, 41)), True))
        self.assertNotIn("missing", below)
        above = self.ask(limit=HEAD - 80)
        self.assertEqual((self.seqs_of(above), above["next_before"]), (list(range(81, HEAD + 1)), 81))

    def test_a_page_that_goes_on_behind_it(self):
        damage(self.archive("121-160.ndjson.zst"))
        reply = self.ask(before=100, limit=20)
        self.assertEqual((self.seqs_of(reply), reply["next_before"]), (list(range(80, 100)), 80))
        self.assertNotIn("missing", reply)

    def test_the_oldest_is_damaged(self):
        damage(self.archive("1-40.ndjson.zst"))
        for fields in ({}, {"connection_type": "kimi"}, {"before": 60}):
            with self.subTest(fields):
                reply = self.ask(**fields)
                self.assert_spoiled(reply, "1-40.ndjson.zst")
                self.assertEqual(self.seqs_of(reply)[0], 41)

    def test_the_one_that_the_time_begins_in_is_damaged(self):
        """Where in it the time begins cannot be looked up: what is older is left out by its own time."""
        older, newer = (self.moment(seq) for seq in (80, 81))
        damage(self.archive("81-120.ndjson.zst"))
        reply = self.ask(hours=(time.time() - (older + newer) / 2) / 3600)
        self.assert_spoiled(reply, "81-120.ndjson.zst")
        self.assertEqual(self.seqs_of(reply), list(range(121, HEAD + 1)))

    def test_some_are_gone(self):
        for name in ("1-40", "81-120"):
            for path in glob.glob(self.archive(name + ".*")):
                os.unlink(path)
        self.server.restart()
        reply = self.ask()
        self.assert_spoiled(reply, "81 to 120")
        self.assertEqual(self.seqs_of(reply), [*range(41, 81), *range(121, HEAD + 1)])

    def test_recent_events_say_so(self):
        damage(self.archive("81-120.ndjson.zst"))
        reply = self.ask("get_recent_events", limit=90)
        self.assertIn("81-120.ndjson.zst", reply["missing"])
        self.assertEqual([event["seq"] for event in reply["events"]], [*range(HEAD, 120, -1), *range(80, 70, -1)])
        self.assertNotIn("missing", self.ask("get_recent_events", limit=80))


class Removed(TidemarkTest):
    ask, seqs_of = Missing.ask, Missing.seqs_of

    def setUp(self):
        self.server = self.serve("--retain-events", "40", "--archive", "none")
        for first in range(0, HEAD, PART):
            self.server.publish_lines(batch(first, PART))
            wait_until(lambda: self.server.retention()["log"]["events"] <= PART * 9 // 8, "the log is within its limit")
        self.first = self.server.get("/v1/stats").json()["first"]

    def test_what_was_removed_is_a_gap(self):
        for fields in ({}, {"connection_type": "glm"}):
            with self.subTest(fields):
                reply = self.ask(**fields)
                self.assertEqual(reply["gap"], {"op": "gap", "requested": 0, "first": self.first, "reason": "retention"})
                self.assertEqual((reply["complete"], reply["next_before"]), (False, None))
                self.assertNotIn("missing", reply)
                self.assertEqual(reply["data"][-1]["stats"]["total_events"], HEAD // 2)

    def test_what_can_have_lost_nothing_has_no_gap(self):
        for fields in ({"connection_type": "redis"}, {"hours": 0}):
            with self.subTest(fields):
                reply = self.ask(**fields)
                self.assertEqual((reply["data"], reply["complete"]), ([], True))
                self.assertNotIn("gap", reply)

    def test_a_page_ends_before_it(self):
        reply = self.ask(limit=10)
        self.assertEqual((self.seqs_of(reply)[0], reply["next_before"]), (HEAD - 9, HEAD - 9))
        self.assertNotIn("gap", reply)

    def test_the_newest_events_are_those_that_there_are(self):
        reply = self.ask("get_recent_events", limit=1000)
        self.assertEqual(reply["events"][-1]["seq"], self.first)
        self.assertNotIn("gap", reply)


class Database(TidemarkTest):

    def test_damage_that_reading_finds_is_known_to_health(self):
        """Commits go on, and the server is ready."""
        server = self.serve()
        server.publish_lines({"stream": "other", "data": f"mark {n} " + "x" * 1000} for n in range(2000))
        server.stop()
        with open(os.path.join(server.data, "tidemark.db"), "r+b") as file:
            file.seek(file.read().index(b"mark 1237 ") + 100)
            file.write(b"y")
        server.start()
        health = server.get("/health")
        self.assertEqual(health.status, 200, health.text)  # nobody has read it
        self.assertEqual(server.get("/v1/events", after=1230, limit=20).status, 500)
        health = server.get("/health")
        self.assertEqual((health.status, health.json()["status"]), (503, "degraded"))
        for path in ("/health", "/healthz"):
            storage = server.get(path).json()["components"]["storage"]
            self.assertEqual(storage["status"], "degraded")
            self.assertRegex(storage["error"], r"page \d+ of tidemark.db is damaged")
            self.assertNotIn(server.data, storage["error"])
        for path in ("/health/ready", "/readyz", "/healthz"):
            self.assertEqual(server.get(path).status, 200, path)
        self.assertEqual(server.publish([{"data": 1}])["first"], 2001)


if __name__ == "__main__":
    unittest.main()
