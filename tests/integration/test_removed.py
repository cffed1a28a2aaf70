#!/usr/bin/env python3
"""No silent loss: who asks for events that are no longer there is told so."""

import datetime
import functools
import json
import os
import shutil
import tempfile
import time
import unittest

from case import TidemarkTest
from command import command
from server import Server
from store import edited
from text import seqs
from waiting import Task, wait_until


class Removed(TidemarkTest):
    """A store of 100 events whose first 40 were removed, as retention would."""

    FIRST = 41

    def setUp(self):
        self.server = self.serve()
        self.server.publish([{"stream": f"s{i % 2}", "type": "t", "data": i + 1} for i in range(100)])
        self.server.stop()
        with edited(self.server.data) as db:
            db.execute("DELETE FROM event WHERE seq < ?", (self.FIRST,))
            db.execute("UPDATE meta SET value = '1-40' WHERE key = 'gone'")
        self.server.start()

    def test_a_removed_event_is_410_and_one_that_never_was_is_404(self):
        self.assert_problem(self.server.get("/v1/events/1"), 410)
        self.assert_problem(self.server.get("/v1/events/40"), 410)
        self.assertEqual(self.server.event(41)["data"], 41)
        self.assert_problem(self.server.get("/v1/events/101"), 404)

    def test_a_history_that_starts_before_the_first_event_has_a_gap(self):
        document = self.server.history(after=10)
        self.assertEqual((document["first"], document["head"]), (41, 100))
        self.assert_gap(document["gap"], "retention", requested=10, first=41)
        self.assertEqual(seqs(document["events"]), list(range(41, 101)))
        lines = [json.loads(line) for line in self.server.lines(after=10)]
        self.assert_gap(lines[0], "retention", requested=10, first=41)
        self.assertEqual(lines[1:], document["events"])

    def test_a_history_from_the_first_event_that_is_there_has_none(self):
        for after in ("first", 40, 41, 99):
            with self.subTest(after):
                document = self.server.history(after=after)
                self.assertNotIn("gap", document)
                self.assertEqual(document["events"][-1]["seq"], 100)
        self.assertNotIn("gap", self.server.history())
        self.assertEqual(seqs(self.server.everything()), list(range(41, 101)))

    def gap_of(self, **query):
        """The gap of a page, the same whatever the form; None where there is none."""
        gap = self.server.history(**query).get("gap")
        told = [json.loads(line) for line in self.server.lines(**query)]
        self.assertEqual([line for line in told if "op" in line], [gap] if gap is not None else [], query)
        return gap

    def test_a_history_that_is_bounded_otherwise_has_a_gap_too(self):
        for query in ({"before": 20}, {"before": 41}, {"before": 60}, {"since": "-1h"}, {"until": "2100-01-01T00:00:00Z"},
                      {"since": "-1h", "until": "2100-01-01T00:00:00Z"}, {"max_age": "1h"}):
            for order in ("asc", "desc"):
                with self.subTest(query, order=order):
                    self.assert_gap(self.gap_of(order=order, **query), "retention", requested=0, first=41)

    def test_a_history_read_backwards_is_told_where_it_ends(self):
        walk, page = [], self.server.history(order="desc", limit=25)
        while page["next"] is not None:
            self.assertNotIn("gap", page)
            walk += seqs(page["events"])
            page = self.server.history(order="desc", limit=25, before=page["next"])
        walk += seqs(page["events"])
        self.assertEqual(walk, list(range(100, 40, -1)))
        self.assert_gap(page["gap"], "retention", requested=0, first=41)
        self.assert_gap(self.server.history(order="desc", after=10)["gap"], "retention", requested=10, first=41)
        self.assertNotIn("gap", self.server.history(order="desc", after=40))
        lines = [json.loads(line) for line in self.server.lines(order="desc")]
        self.assertEqual(seqs(lines[:-1]), list(range(100, 40, -1)))
        self.assert_gap(lines[-1], "retention", requested=0, first=41)
        self.assertEqual(seqs(json.loads(line) for line in self.server.lines(order="desc", limit=5)), list(range(100, 95, -1)))

    def test_a_long_poll_for_what_is_gone_answers_at_once(self):
        """Fails where the gap waits for an event."""
        document = self.server.history(before=20, wait=60)
        self.assert_gap(document["gap"], "retention", requested=0, first=41)
        self.assertEqual((document["events"], document["checkpoint"]), ([], 40))

    def test_readers_by_time_are_told(self):
        socket = self.server.reader(since="-1h")
        self.assert_gap(socket.receive(), "retention", requested=0, first=41)
        self.assertEqual(socket.receive()["seq"], 41)
        source = self.server.sse(since="-1h")
        self.assert_gap(source.message().json(), "retention", requested=0, first=41)
        self.assertEqual(source.event()["seq"], 41)

    def test_the_command_line_says_so(self):
        for place in (self.server.url, self.server.data):
            for options in (["--before", "20"], ["--since", "-1h"], ["--order", "desc"], ["--after", "0"]):
                with self.subTest(place=place, options=options):
                    done = command("query", place, *options)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertIn("gap: events 1 to 40 have been removed by retention", done.stderr)
                    self.assertNotIn("op", done.stdout)

    def test_a_websocket_is_told_before_the_first_event(self):
        for after in (0, 10, 39):
            socket = self.server.reader(after=after)
            self.assertEqual((socket.hello["first"], socket.hello["head"]), (41, 100))
            self.assert_gap(socket.receive(), "retention", requested=after, first=41)
            self.assertEqual(seqs(socket.receive() for _ in range(60)), list(range(41, 101)))
            self.assertEqual(socket.receive(), {"op": "live", "seq": 100})
        for after in ("first", 40):
            self.assertEqual(self.server.reader(after=after).receive()["seq"], 41)

    def test_an_event_source_is_told_before_the_first_event(self):
        for source in (self.server.sse(after=10), self.server.sse(headers={"Last-Event-ID": "10"})):
            message = source.message()
            self.assertEqual(message.event, "gap")
            self.assert_gap(message.json(), "retention", requested=10, first=41)
            self.assertEqual(seqs(source.events(60)), list(range(41, 101)))
        self.assertEqual(self.server.sse(after="first").event()["seq"], 41)

    def test_a_session_that_is_too_late_is_told(self):
        response = self.server.request("PUT", "/v1/sessions/s", b'{"acked":5}')
        if response.status == 404:  # a session is made by its first connection
            self.server.reader(session="s").leave()
            response = self.server.request("PUT", "/v1/sessions/s", b'{"acked":5}')
        self.assertEqual(response.status, 200, response)
        socket = self.server.reader(session="s")
        self.assert_gap(socket.receive(), "retention", requested=5, first=41)
        self.assertEqual(socket.receive()["seq"], 41)

    def test_an_emptied_store_goes_on_counting(self):
        self.server.stop()
        with edited(self.server.data) as db:
            db.execute("DELETE FROM event")
            db.execute("UPDATE meta SET value = '1-100' WHERE key = 'gone'")
        self.server.start()
        self.assertEqual(self.server.head(), 100)
        self.assertEqual(self.server.everything(), [])
        self.assert_problem(self.server.get("/v1/events/100"), 410)
        self.assertEqual(self.server.publish({"data": "next"})["first"], 101)
        self.assertEqual(seqs(self.server.everything()), [101])


class Discarded(TidemarkTest):
    """Events that retention has discarded: when the last of them came, and of which streams they were, is known."""

    def setUp(self):
        self.server = self.serve("--retain-events", "10", "--archive", "none")
        self.server.publish([{"stream": f"s{i % 2}", "data": i + 1} for i in range(40)])
        time.sleep(0.05)
        self.server.publish([{"stream": "s2", "data": i} for i in range(10)])
        wait_until(lambda: self.server.history()["first"] == 41, "the oldest have left")

    def check(self):
        kept = self.server.event(41)["time"]
        self.assert_gap(self.server.history(since="-1h")["gap"], "retention", requested=0, first=41)
        self.assertNotIn("gap", self.server.history(since=kept))
        self.assertNotIn("gap", self.server.history(since=kept, order="desc"))
        self.assertNotIn("gap", self.server.history(stream="s2", before=20))
        self.assertNotIn("gap", self.server.history(stream="s2", order="desc"))
        self.assert_gap(self.server.history(stream="s1", before=20)["gap"], "retention", requested=0, first=41)
        lines = [json.loads(line) for line in self.server.lines(stream="s2", order="desc")]
        self.assertEqual(seqs(lines), list(range(50, 40, -1)))

    def test_what_is_known_to_be_older_is_no_gap(self):
        """Fails where the time of what has left is not known."""
        self.check()
        self.server.restart()
        self.check()
        done = command("query", self.server.data, "--since", self.server.event(41)["time"])
        self.assertEqual((len(done.stdout.splitlines()), done.stderr), (10, ""))

    def test_a_filter_alone_asks_for_all_that_ever_passed_it(self):
        for query in ({"stream": "s1"}, {"stream": ["s1", "s2"]}, {"where": "/none=1"}):
            gap = self.server.history(**query)["gap"]
            self.assert_gap(gap, "retention", requested=0, first=41)
            self.assertEqual(json.loads(self.server.lines(**query)[0]), gap)
        for query in ({"stream": "s2"}, {"stream": "none"}, {"stream": "s2", "where": "/none=1"}, {"stream": "s1", "after": "first"}):
            self.assertNotIn("gap", self.server.history(**query))
        self.assert_problem(self.server.get("/v1/export", stream="s1"), 410, "removed by retention")
        self.assertEqual(self.server.get("/v1/export", stream="s2").status, 200)
        self.assert_problem(self.server.get("/v1/export", stream="s1", after="first"), 404)
        for place in (self.server.url, self.server.data):
            self.assertIn("gap: events 1 to 40", command("query", place, "--stream", "s1").stderr)
            self.assertEqual(command("query", place, "--stream", "s2").stderr, "")


class Holes(TidemarkTest):
    """Events 21 to 40 are gone, and those around them are there."""

    def setUp(self):
        self.server = self.serve("--retain-events", "20")
        for part in range(3):
            self.server.publish([{"stream": f"s{i % 2}", "data": part * 20 + i + 1} for i in range(20)])
            wait_until(lambda: self.server.retention()["log"]["events"] == 20, "an archive is sealed")
        self.server.stop()
        for ending in ("ndjson.zst", "json"):
            os.remove(os.path.join(self.server.data, "archives", f"21-40.{ending}"))
        self.server.start("--retain-events", "20", "--accept-loss")

    def test_pages_tell_of_it_in_both_directions(self):
        page = self.server.history(after=10)
        self.assertEqual(seqs(page["events"]), list(range(11, 21)))
        page = self.server.history(after=page["next"])
        self.assert_gap(page["gap"], "retention", requested=20, first=41)
        self.assertEqual(seqs(page["events"]), list(range(41, 61)))
        page = self.server.history(order="desc")
        self.assertEqual(seqs(page["events"]), list(range(60, 40, -1)) + list(range(20, 0, -1)))
        self.assert_gap(page["gap"], "retention", requested=20, first=41)
        page = self.server.history(order="desc", before=30)
        self.assertEqual(seqs(page["events"]), list(range(20, 0, -1)))
        self.assert_gap(page["gap"], "retention", requested=20, first=41)
        self.assert_gap(self.server.history(after=25, before=35)["gap"], "retention", requested=25, first=41)

    def test_lines_tell_of_it_where_it_is(self):
        lines = [json.loads(line) for line in self.server.lines()]
        self.assert_gap(lines[20], "retention", requested=20, first=41)
        self.assertEqual(seqs(lines[:20] + lines[21:]), list(range(1, 21)) + list(range(41, 61)))
        lines = [json.loads(line) for line in self.server.lines(order="desc")]
        self.assert_gap(lines[20], "retention", requested=20, first=41)
        self.assertEqual(seqs(lines[:20] + lines[21:]), list(range(60, 40, -1)) + list(range(20, 0, -1)))
        for place in (self.server.url, self.server.data):
            done = command("query", place)
            self.assertEqual((len(done.stdout.splitlines()), done.returncode), (40, 0))
            self.assertIn("gap: events 21 to 40", done.stderr)


YOUNGER_S = 10  # the second batch than the first: a slow machine does not come to think it as old


@functools.cache
def two_ages():
    """The directory of a stopped server, to be copied."""
    server = Server().start()
    unittest.addModuleCleanup(shutil.rmtree, server.home, ignore_errors=True)
    server.publish([{"stream": f"s{i % 2}", "data": i + 1} for i in range(20)])
    time.sleep(YOUNGER_S)
    server.publish([{"stream": "s1", "data": i} for i in range(5)])
    server.stop()
    return server.data


class Ages(TidemarkTest):
    """`max_age` passes over what is older, and says so."""

    def setUp(self):
        home = tempfile.mkdtemp(prefix="tidemark-test-")
        self.addCleanup(shutil.rmtree, home, ignore_errors=True)
        self.server = self.serve_on(shutil.copytree(two_ages(), os.path.join(home, "data")))

    def age(self):
        """One that the second batch is younger than, and the first is not."""
        since = datetime.datetime.fromisoformat(self.server.event(21)["time"])
        passed = datetime.datetime.now(datetime.timezone.utc) - since
        return f"{int((passed.total_seconds() + YOUNGER_S - 1) * 1000)}ms"

    def test_pages_and_lines(self):
        page = self.server.history(max_age=self.age())
        self.assertEqual(seqs(page["events"]), list(range(21, 26)))
        self.assert_gap(page["gap"], "age", requested=0, first=21)
        self.assert_gap(self.server.history(max_age=self.age(), after=7)["gap"], "age", requested=7, first=21)
        page = self.server.history(max_age=self.age(), order="desc")
        self.assertEqual(seqs(page["events"]), list(range(25, 20, -1)))
        self.assert_gap(page["gap"], "age", requested=0, first=21)
        lines = [json.loads(line) for line in self.server.lines(max_age=self.age(), order="desc")]
        self.assert_gap(lines[-1], "age", requested=0, first=21)
        self.assertNotIn("gap", self.server.history(max_age=self.age(), after=20))
        self.assertNotIn("gap", self.server.history(max_age="1h"))
        for wrong in ("0s", "-1h", "x", "1"):
            self.assert_problem(self.server.get("/v1/events", max_age=wrong), 400, "max_age")

    def test_a_filter_that_passed_over_nothing_has_no_gap(self):
        self.assertEqual(self.server.history(max_age=self.age(), stream="s0")["gap"]["reason"], "age")
        self.assertNotIn("gap", self.server.history(max_age=self.age(), stream="none"))
        socket = self.server.reader(after=0, max_age=self.age(), stream="none")
        self.assertEqual(socket.receive()["op"], "live")

    def test_readers_are_told_and_go_on(self):
        for query in ({}, {"stream": "s1"}):
            with self.subTest(query):
                socket = self.server.reader(after=3, max_age=self.age(), **query)
                self.assert_gap(socket.receive(), "age", requested=3, first=21)
                self.assertEqual(seqs(socket.events(5)), list(range(21, 26)))
                source = self.server.sse(after=3, max_age=self.age(), **query)
                self.assert_gap(source.message().json(), "age", requested=3, first=21)
                self.assertEqual(seqs(source.events(5)), list(range(21, 26)))

    def test_what_grows_old_while_a_reader_pauses_is_passed_over(self):
        reader = self.server.reader(max_age="2s")
        self.assertEqual(reader.receive()["op"], "live")
        reader.send({"op": "pause"})
        reader.op("replaying")
        self.server.publish([{"data": "old"}] * 3)
        time.sleep(2.1)
        reader.send({"op": "resume"})
        reader.op("replaying")
        publisher = Task(lambda: [self.server.publish({"data": "new"}) for _ in range(20) if not time.sleep(0.3)])
        event = reader.event()
        publisher.result()
        self.assertEqual(event["data"], "new")
        gaps = [frame for frame in reader.notices if frame["op"] == "gap"]
        self.assert_gap(gaps[0], "age", requested=25)
        self.assertEqual(gaps[-1]["first"], event["seq"])

    def test_a_session_with_an_age(self):
        self.server.reader(session="s", start="first").leave()
        socket = self.server.reader(session="s", max_age=self.age())
        self.assert_gap(socket.receive(), "age", requested=0, first=21)
        self.assertEqual(seqs(socket.events(5)), list(range(21, 26)))


if __name__ == "__main__":
    unittest.main()
