#!/usr/bin/env python3
"""`where=/POINTER=VALUE`: filters by what is in a payload, on history and live, wherever the events are."""

import json
import random
import unittest

from case import TidemarkTest
from command import command
from load import scaled
from text import JSON, NDJSON, SSE, seqs
from waiting import Task, wait_until

HEAD, PART = 400, 100  # three archives, and the last part in the log


def payload(n):
    return {"level": ["info", "error", "warn"][n % 3], "n": n % 10, "deep": {"a/b": [n % 2 == 0, {"x": None if n % 7 else "y"}]}}


def batch(first, count):
    return [{"stream": f"s{n % 4}", "type": f"t{n % 2}", "data": payload(n)} for n in range(first, first + count)]


CONDITIONS = {
    "/level=error": lambda d: d["level"] == "error",
    "/n=3": lambda d: d["n"] == 3,
    "/deep/a~1b/0=true": lambda d: d["deep"]["a/b"][0] is True,
    "/deep/a~1b/1/x=null": lambda d: d["deep"]["a/b"][1]["x"] is None,
    "/deep/a~1b/1/x=y": lambda d: d["deep"]["a/b"][1]["x"] == "y",
    "/nothing=1": lambda d: False,
}


def matching(events, conditions, **names):
    return [e for e in events if all(CONDITIONS[c](e["data"]) for c in conditions) and
            all(e[name] == value for name, value in names.items())]


class Where(TidemarkTest):

    def setUp(self):
        self.server = self.serve("--retain-events", str(PART))
        for part in range(HEAD // PART):
            self.server.publish(batch(part * PART, PART))
            wait_until(lambda: self.server.retention()["log"]["events"] <= PART * 9 // 8, "the log is within its limit")
        self.events = self.server.everything()

    def test_random_questions_agree_with_the_model(self):
        rng = random.Random(17)
        for _ in range(scaled(60, 20)):
            conditions = rng.sample(sorted(CONDITIONS), rng.choice([1, 1, 2, 3]))
            names = rng.choice([{}, {}, {"stream": "s1"}, {"stream": "s2", "type": "t0"}])
            order = rng.choice(["asc", "desc"])
            with self.subTest(conditions=conditions, names=names, order=order):
                expected = matching(self.events, conditions, **names)[::-1 if order == "desc" else 1]
                got, page = [], {"next": 0 if order == "asc" else HEAD + 1}
                while page["next"] is not None:
                    bound = "after" if order == "asc" else "before"
                    page = self.server.history(where=conditions, order=order, limit=7, **names, **{bound: page["next"]})
                    self.assertLessEqual(len(page["events"]), 7)
                    got += page["events"]
                self.assertEqual(got, expected)
                lines = [json.loads(line) for line in self.server.lines(where=conditions, order=order, **names)]
                self.assertEqual(lines, expected)

    def test_readers_replay_and_go_live(self):
        query = {"where": ["/level=error", "/deep/a~1b/0=true"]}
        expected = matching(self.events, query["where"])
        socket, source = self.server.reader(after="first", **query), self.server.sse(after="first", **query)
        self.assertEqual(socket.events(len(expected)), expected)
        self.assertEqual(source.events(len(expected)), expected)
        self.assertEqual(socket.receive()["op"], "live")
        more = batch(HEAD, 60)
        for event in more:
            self.server.publish(event)
        new = matching([json.loads(l) for l in self.server.lines(after=HEAD)], query["where"])
        self.assertEqual(socket.events(len(new)), new)
        self.assertEqual(source.events(len(new)), new)

    def test_a_long_poll_waits_for_one_that_fits(self):
        poll = Task(lambda: self.server.history(after="head", where="/level=error", wait=60))
        wait_until(lambda: self.server.get("/v1/stats").json()["readers"]["long_poll"] == 1, "it waits")
        self.server.publish({"data": {"level": "info"}})
        self.server.publish({"data": {"level": "error", "me": 1}})
        self.assertEqual([e["data"] for e in poll.result()["events"]], [{"level": "error", "me": 1}])

    def test_the_lag_of_a_session_counts_what_fits(self):
        self.server.reader(session="s", start="first", where="/n=3").leave()
        count = len(matching(self.events, ["/n=3"]))
        self.assertEqual(self.server.get("/v1/sessions/s").json()["lag"], count)
        self.server.publish([{"data": {"n": 3}}, {"data": {"n": 4}}, {"data": {"n": 3}}])
        self.assertEqual(self.server.get("/v1/sessions/s").json()["lag"], count + 2)
        socket = self.server.reader(session="s", where="/n=3")
        socket.events(count)
        socket.send({"op": "ack", "seq": HEAD})
        socket.ping()
        self.assertEqual(self.server.get("/v1/sessions/s").json()["lag"], 2)
        self.server.restart()
        self.assertEqual(self.server.get("/v1/sessions/s").json()["lag"], 2)

    def test_a_reader_that_nothing_fits_learns_its_position(self):
        page = self.server.history(where="/nothing=1", after=10)
        self.assertEqual((page["events"], page["next"], page["checkpoint"]), ([], None, HEAD))

    def test_many_readers_with_different_conditions(self):
        """More than a page remembers verdicts for."""
        readers = [self.server.live_reader(after="head", where=f"/k={k}") for k in range(scaled(100, 20))]
        again = [self.server.live_reader(after="head", where=f"/k={k}") for k in range(3)]
        self.server.publish([{"data": {"k": k}} for k in range(len(readers)) for _ in range(3)])
        for k, reader in enumerate(readers + again):
            self.assertEqual([e["data"]["k"] for e in reader.events(3)], [k % len(readers)] * 3)

    def test_conditions_of_readers_are_shared(self):
        quota = lambda: self.server.get("/v1/stats").json()["quotas"]["conditions"]
        readers = [self.server.live_reader(after="head", where=["/a=1", "/b=2"]) for _ in range(3)]
        source = self.server.sse(where="/a=1")
        self.assertEqual(quota()["held"], 7)
        for reader in readers:
            reader.leave()
        source.close()
        self.server.publish({"data": {"a": 1}})
        wait_until(lambda: quota()["held"] == 0, "they are given back")

    def test_categories(self):
        """As the profile counts them, on every way, for any stream."""
        server = self.serve()
        events = [{"stream": "a", "type": "failure", "data": 1}, {"stream": "kimi", "type": "any", "data": {"direction": "error"}},
                  {"stream": "b", "type": "cache_hit", "data": 1}, {"stream": "b", "type": "user_login", "data": 1},
                  {"stream": "c", "type": "debug", "data": 1}, {"stream": "c", "type": "any", "data": {}}]
        socket, source = server.live_reader(category="critical"), server.sse(category="critical")
        server.publish(events)
        wanted = {"critical": [1, 2], "performance": [3], "user_activity": [4], "debug": [5], "system": [6]}
        for category, found in wanted.items():
            self.assertEqual(seqs(server.history(category=category)["events"]), found)
            self.assertEqual(seqs(json.loads(line) for line in server.lines(category=category, order="desc")), found[::-1])
            done = command("query", server.data, "--category", category)
            self.assertEqual(seqs(json.loads(line) for line in done.stdout.splitlines()), found)
        self.assertEqual((seqs(socket.events(2)), seqs(source.events(2))), ([1, 2], [1, 2]))
        self.assertEqual(seqs(server.history(category="critical", where="/direction=error", stream="kimi")["events"]), [2])
        for wrong in ("", "none", "critical,debug", ["critical", "debug"], "x" * 100):
            self.assert_problem(server.get("/v1/events", category=wrong), 400, "category")
        self.assert_problem(server.get("/v1/events", where="category=critical"), 400, "where")

    def test_the_command_line(self):
        expected = seqs(matching(self.events, ["/level=error", "/n=3"]))
        for place in (self.server.url, self.server.data):
            done = command("query", place, "--where", "/level=error", "--where", "/n=3")
            self.assertEqual(seqs(json.loads(line) for line in done.stdout.splitlines()), expected, done.stderr)
        done = command("tail", self.server.url, "--after", "first", "--until-live", "--where", "/level=error", "--where", "/n=3")
        self.assertEqual(seqs(json.loads(line) for line in done.stdout.splitlines()), expected, done.stderr)

    def test_what_is_none_is_refused_and_named(self):
        for accept in (JSON, NDJSON, SSE):
            for wrong in ("", "n=1", "/n", "=1", "/a~=1", "/a~2=1", "/" + "a" * 1030 + "=1"):
                self.assert_problem(self.server.get("/v1/events", accept, where=wrong), 400, "where")
            self.assert_problem(self.server.get("/v1/events", accept, where=["/a=1"] * 5), 400, "where")


if __name__ == "__main__":
    unittest.main()
