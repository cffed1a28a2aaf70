#!/usr/bin/env python3
"""Streams as things of their own: the last seq that outlives the events, and lists of many.

Shown to fail without the protection: with remember_last (store_evict.c) remembering nothing, a stream whose events retention has
removed is new; without stream_last_copy a backup takes it for new. With grant_next_stream (access.c) finding nothing, a limited token does not see all
that is its own.
"""

import json
import os
import random
import shutil
import sqlite3
import tempfile
import unittest
import urllib.parse

from case import TidemarkTest
from command import command
from store import edited
from waiting import wait_until

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
        wait_until(lambda: server.head() - server.history()["first"] < 10, "retention has nothing left to remove")

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
            db.executescript("INSERT INTO topic(id, stream, type, gone) SELECT 1000 + last, stream, type, last FROM forgotten; "
                             "DROP TABLE stream_last; DROP TABLE forgotten; "
                             "DELETE FROM meta WHERE key = 'last_unknown'; PRAGMA user_version = 5;")
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


class Lists(TidemarkTest):

    NAMES = sorted([f"a{i}" for i in range(40)] + [f"a-{i}" for i in range(20)] + ["a", "B", "é", "é1", "日本", "z/1", "z", "Z"],
                   key=lambda name: name.encode())

    def filled(self, *options):
        server = self.serve(*options)
        names = list(self.NAMES)
        random.Random(7).shuffle(names)
        server.publish([{"stream": name, "type": f"t{i % 3}", "data": i} for i, name in enumerate(names * 2)])
        return server

    def pages(self, get, member="streams", **query):
        """All names, one page after another; each page but the last is full."""
        names = []
        after = {}
        while True:
            page = get(**query, **after)
            names += [one["name"] for one in page[member]]
            if page["next"] is None:
                return names
            self.assertEqual(page["next"], names[-1])
            self.assertEqual(len(page[member]), int(query["limit"]))
            after = {"after": page["next"]}

    def test_streams_are_listed_page_by_page_by_name(self):
        server = self.filled()
        get = lambda **query: server.get("/v1/streams", **query).json()
        for _ in range(2):
            self.assertEqual(self.pages(get), self.NAMES)
            for limit in (1, 7, len(self.NAMES) - 1, len(self.NAMES), 10000):
                self.assertEqual(self.pages(get, limit=limit), self.NAMES)
            for prefix in ("a", "a-", "a-1", "é", "z", "nothing", "\U0010ffff"):
                for limit in (1, 3, 1000):
                    with self.subTest(prefix=prefix, limit=limit):
                        self.assertEqual(self.pages(get, prefix=prefix, limit=limit),
                                         [name for name in self.NAMES if name.startswith(prefix)])
            for after in ("A", "a", "a-2", "a-2x", "é", "zz", "日本"):
                self.assertEqual([s["name"] for s in get(after=after)["streams"]],
                                 [name for name in self.NAMES if name.encode() > after.encode()])
            self.assertEqual([s["name"] for s in get(after="a-1", prefix="a", limit=3)["streams"]],
                             ["a-10", "a-11", "a-12"])
            self.assertEqual([s["name"] for s in get(after="0", prefix="z")["streams"]], ["z", "z/1"])
            self.assertEqual(get(after="zz", prefix="z"), {"streams": [], "next": None})
            server.restart()
        for query, name in (({"limit": 0}, "limit"), ({"limit": 10001}, "limit"), ({"after": ""}, "after"), ({"prefix": "\n"}, "prefix"),
                            ({"after": ["a", "b"]}, "after"), ({"stream": "x"}, "stream"), ({"wait": 1}, "wait")):
            self.assert_problem(server.get("/v1/streams", **query), 400, name)

    def test_streams_without_events_are_not_listed(self):
        server = self.serve("--retain-events", "10", "--archive", "none")
        server.publish([{"stream": f"gone-{i:02}", "data": i} for i in range(30)])
        def emptied():
            server.publish([{"stream": "x", "data": i} for i in range(50)])
            return server.get("/v1/streams", limit=1).json() == {
                "streams": [server.get("/v1/streams/x").json()], "next": None} and server.get("/v1/stats").json()["streams"] == 1
        wait_until(emptied, "only one stream has events")

    def test_a_limited_token_sees_its_own_page_by_page(self):
        home = tempfile.mkdtemp(prefix="tidemark-test-")
        self.addCleanup(shutil.rmtree, home, ignore_errors=True)
        tokens = os.path.join(home, "tokens")
        add = lambda name, *more: command("token", "add", name, "--tokens", tokens, *more).stdout.strip()
        whole = add("whole", "--scope", "publish", "--scope", "read")
        narrow = add("narrow", "--scope", "read", "--stream", "a-*", "--stream", "z", "--stream", "B", "--stream", "none")
        server = self.serve("--tokens", tokens)
        http = server.http()
        bearer = lambda token: {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        body = json.dumps([{"stream": name, "data": 1} for name in self.NAMES])
        self.assertEqual(http.request("POST", "/v1/events", body, bearer(whole)).status, 201)
        get = lambda **query: http.request("GET", "/v1/streams", headers=bearer(narrow), **query).json()
        own = [name for name in self.NAMES if name.startswith("a-") or name in ("z", "B")]
        for limit in (1, 2, 5, 1000):
            self.assertEqual(self.pages(get, limit=limit), own)
        self.assertEqual(self.pages(get, limit=4, prefix="a"), own[1:-1])
        self.assertEqual(self.pages(get, limit=4, prefix="é"), [])

    def test_sessions_too(self):
        server = self.serve()
        names = list(self.NAMES)
        random.Random(8).shuffle(names)
        for name in names:
            server.request("PUT", "/v1/sessions/" + urllib.parse.quote(name, safe=""), '{"acked":0}',
                           {"Content-Type": "application/json"})
        get = lambda **query: server.get("/v1/sessions", **query).json()
        for limit in (1, 7, len(names) - 1, len(names), 10000):
            self.assertEqual(self.pages(get, "sessions", limit=limit), self.NAMES)
        self.assertEqual(self.pages(get, "sessions", limit=4, prefix="a-1"), [n for n in self.NAMES if n.startswith("a-1")])

    def test_stats_lists_the_first_thousand(self):
        server = self.serve()
        server.publish([{"stream": f"s{i:04}", "data": 1} for i in range(1200)])
        for where in (server.url, server.data):
            with self.subTest(where):
                text = command("stats", where).stdout
                self.assertRegex(text, r"\n +1 +1 +1 .* s0000\n")
                self.assertIn(" s0999\nand 200 more streams\n", text)
                self.assertEqual(json.loads(command("stats", where, "--json").stdout)["streams"], 1200)


if __name__ == "__main__":
    unittest.main()
