#!/usr/bin/env python3
"""Every reader has a position to come back to, at all times: before its first event, between two matches of its filter, behind a gap."""

import json
import threading
import time
import unittest

from case import TidemarkTest
from load import scaled
from store import edited
from text import JSON, seqs
from waiting import Task, wait_until

WITHIN_S = 60  # for what comes every ten seconds, on a machine that is busy


def events(stream, count, first=1):
    return [{"stream": stream, "data": first + i} for i in range(count)]


class PositionTest(TidemarkTest):

    def setUp(self):
        self.server = self.serve()

    def documents(self, **query):
        return [json.loads(line) for line in self.server.lines(**query)]

    def checkpoint_of(self, source, seq):
        """Waits for the checkpoint of an event stream that has come as far as `seq`."""
        deadline = time.monotonic() + WITHIN_S
        while not source.checkpoints or source.checkpoints[-1].json()["seq"] < seq:
            self.assertLess(time.monotonic(), deadline, source.checkpoints)
            source.line()
        return source.checkpoints[-1]


class EventStreams(PositionTest):

    def test_a_reader_that_had_no_event_yet_comes_back_to_where_it_was(self):
        self.server.publish(events("s", 5))
        source = self.server.sse()
        position = source.last_id
        source.close()
        self.server.publish(events("s", 2))
        again = self.server.sse(headers={"Last-Event-ID": position})
        self.assertEqual(seqs(again.events(2)), [6, 7])

    def test_a_gap_has_an_id_behind_which_reading_goes_on(self):
        self.server.publish(events("s", 5))
        source = self.server.sse(headers={"Last-Event-ID": "9"})
        gap = source.message()
        self.assert_gap(gap.json(), "ahead", requested=9, first=1)
        self.assertEqual(gap.id, f"5.{source.hello['epoch']}")
        self.server.publish(events("s", 5))
        again = self.server.sse(headers={"Last-Event-ID": gap.id})
        self.assertEqual(seqs(again.events(5)), [6, 7, 8, 9, 10])

    def test_an_id_of_another_store_is_a_gap_even_where_its_seq_exists(self):
        self.server.publish(events("s", 5))
        epoch = self.server.history()["epoch"]
        for last, query, reason in ((f"3.{'0' * 16}", {}, "epoch"),
                                    (f"3.{'0' * 16}", {"epoch": epoch}, "epoch"),
                                    (f"3.{epoch}", {"epoch": "0" * 16}, None),
                                    (f"3.{epoch}", {}, None),
                                    ("3", {}, None),
                                    ("3.", {}, "epoch"),
                                    ("x.y", {}, "epoch"),
                                    (f"x.{epoch}", {}, "epoch")):
            with self.subTest(last=last, query=query):
                source = self.server.sse(headers={"Last-Event-ID": last}, **query)
                if reason:
                    self.assert_gap(source.message().json(), reason, first=1)
                self.assertEqual(source.event()["seq"], 1 if reason else 4)

    def test_the_id_may_come_as_a_parameter(self):
        self.server.publish(events("s", 5))
        epoch = self.server.history()["epoch"]
        for last in ("3", f"3.{epoch}"):
            source = self.server.sse(after=1, lastEventId=last)
            self.assertEqual(seqs(source.events(2)), [4, 5])
        self.assertEqual(seqs(self.server.sse(after=1, lastEventId="").events(1)), [2])
        source = self.server.sse(headers={"Last-Event-ID": "4"}, lastEventId=2)
        self.assertEqual(source.event()["seq"], 5, "the header is newer than the URL")
        self.assert_problem(self.server.get("/v1/events", JSON, lastEventId="3"), 400, "lastEventId")

    def test_a_filtered_reader_is_told_how_far_it_has_come(self):
        self.server.publish(events("rare", 1) + events("busy", 20))
        source = self.server.sse(after="first", stream="rare")
        source.event()
        message = self.checkpoint_of(source, 21)
        self.assertEqual(message.json(), {"op": "checkpoint", "seq": 21})
        self.assertEqual(message.id, f"21.{source.hello['epoch']}")
        self.server.publish(events("busy", 3))
        self.checkpoint_of(source, 24)
        self.server.publish(events("rare", 1))
        self.assertEqual(source.event()["seq"], 25)

    def test_a_reader_of_everything_needs_no_checkpoint(self):
        source = self.server.sse()
        filtered = self.server.sse(stream="x")
        self.server.publish(events("s", 3))
        self.checkpoint_of(filtered, 3)
        source.events(3)
        self.assertEqual(source.checkpoints, [])

    def test_every_block_has_data_and_an_id(self):
        self.server.publish(events("s", 3))
        source = self.server.sse(headers={"Last-Event-ID": "9"}, stream="t")
        source.message()
        self.server.publish(events("s", 1))
        self.checkpoint_of(source, 4)  # the client refuses a block without data
        self.assertGreaterEqual(source.ids, 3)


class WebSockets(PositionTest):

    def test_a_filtered_reader_is_told_how_far_it_has_come_and_may_acknowledge_that(self):
        self.server.publish(events("busy", 5))
        socket = self.server.live_reader(stream="rare", session="s")
        self.server.publish(events("busy", 20))
        self.assertEqual(socket.receive(WITHIN_S), {"op": "checkpoint", "seq": 25})
        socket.send({"op": "ack", "seq": 25})
        wait_until(lambda: self.server.get("/v1/sessions/s").json()["acked"] == 25, "it is acknowledged")

    def test_since_is_where_a_reader_starts(self):
        self.server.publish(events("s", 5))
        time.sleep(0.02)
        self.server.publish(events("s", 3))
        since = self.server.event(6)["time"]
        socket = self.server.reader(since=since)
        self.assertEqual(socket.hello["after"], 5)
        self.assertEqual(seqs(socket.events(3)), [6, 7, 8])
        self.assertEqual(self.server.reader(since=since, after=7).hello["after"], 7)
        self.assertEqual(self.server.reader(since="-1h", session="s").hello["after"], 0)
        self.assertEqual(seqs(self.server.reader(since="-1h", after="first").events(8)), list(range(1, 9)))

    def test_pong_repeats_the_ref(self):
        socket = self.server.live_reader()
        socket.send({"op": "ping", "ref": [1]})
        self.assertEqual(socket.receive(), {"op": "pong", "head": 0, "ref": [1]})


class Pages(PositionTest):

    def test_a_poller_goes_on_at_the_checkpoint(self):
        self.server.publish(events("a", 3) + events("b", 3))
        for query, expected, checkpoint in (({"stream": "a"}, [1, 2, 3], 6),
                                            ({"stream": "a", "limit": 2}, [1, 2], 2),
                                            ({"stream": "a", "limit": 3}, [1, 2, 3], 6),
                                            ({"stream": "c"}, [], 6),
                                            ({"before": 5}, [1, 2, 3, 4], 4),
                                            ({"after": "head"}, [], 6),
                                            ({"after": 6, "wait": 1}, [], 6),
                                            ({"after": 4, "stream": "a", "wait": 1}, [], 6),
                                            ({"after": 99}, [], 6)):
            with self.subTest(query):
                page = self.server.history(**query)
                self.assertEqual((seqs(page["events"]), page["checkpoint"]), (expected, checkpoint))
                self.assertLessEqual(page["checkpoint"], page["head"])

    def test_polling_by_the_checkpoint_misses_nothing_beside_publishers(self):
        stop = threading.Event()

        def publish():
            http = self.server.http()
            while not stop.is_set():
                http.request("POST", "/v1/events", '[{"stream":"x","data":1},{"stream":"y","data":2}]', {"Content-Type": JSON})

        publishers = [Task(publish) for _ in range(3)]
        http = self.server.http()
        after, seen = 0, []
        for _ in range(scaled(3000, 300)):
            page = http.request("GET", "/v1/events", None, {"Accept": JSON}, after=after, stream="x").json()
            seen += seqs(page["events"])
            after = page["checkpoint"]
        stop.set()
        for publisher in publishers:
            publisher.result()
        seen += seqs(self.server.history(after=after, stream="x", limit=10000)["events"])
        self.assertEqual(seen, [e["seq"] for e in self.server.everything() if e["stream"] == "x"])


class Filters(PositionTest):

    def setUp(self):
        super().setUp()
        self.server.publish([{"stream": s, "type": t, "data": 1} for s, t in (
            ("logs-a", "x.1"), ("logs-b", "y"), ("log", "x.2"), ("logs-", "x"), ("other", "x.3"))])

    def test_a_trailing_star_makes_a_prefix(self):
        for query, expected in (({"stream": "logs-*"}, [1, 2, 4]), ({"type": "x.*"}, [1, 3, 5]),
                                ({"stream": "*"}, [1, 2, 3, 4, 5]), ({"stream": ["logs-*", "other"]}, [1, 2, 4, 5]),
                                ({"stream": "logs-*", "type": "x*"}, [1, 4]), ({"stream": "nothing*"}, [])):
            with self.subTest(query):
                self.assertEqual(seqs(self.server.history(**query)["events"]), expected)
                self.assertEqual(seqs(self.documents(**query)), expected)
                self.assertEqual(seqs(self.server.sse(after="first", **query).events(len(expected))), expected)
                self.assertEqual(seqs(self.server.reader(after="first", **query).events(len(expected))), expected)

    def test_streams_that_appear_later_pass_as_well(self):
        source = self.server.sse(stream="logs-*")
        socket = self.server.live_reader(stream="logs-*")
        self.server.publish([{"stream": "lo", "data": 1}, {"stream": "logs-new", "data": 2}])
        self.assertEqual((source.event()["seq"], socket.event()["seq"]), (7, 7))


class Retention(PositionTest):
    """Gaps look at the filter."""

    def setUp(self):
        self.server = self.serve("--retain-events", "1000", "--archive", "none")
        self.server.publish(events("rare", 1))
        for _ in range(20):
            self.server.publish(events("busy", 1000))
        self.first = self.gone()

    def gone(self):
        """Waits for retention, and returns the first event that is left."""
        def settled():
            # The trailing index has to catch up before anything can leave.
            self.server.publish(events("busy", 1))
            page = self.server.history(limit=1, after="head")
            return page["first"] if page["head"] - page["first"] < 4000 else 0
        return wait_until(settled, "retention has removed most events", WITHIN_S)

    def assert_no_gap_for(self, stream, after):
        self.assertNotIn("gap", self.server.history(stream=stream, after=after))
        self.assertEqual([line for line in self.documents(stream=stream, after=after) if "op" in line], [])
        source = self.server.sse(headers={"Last-Event-ID": str(after)}, stream=stream)
        socket = self.server.reader(after=after, stream=stream)
        new = self.server.publish(events(stream, 1))["first"]
        self.assertEqual(source.event()["seq"], new)
        self.assertEqual(socket.event()["seq"], new)
        self.assertNotIn("gap", [frame["op"] for frame in socket.notices])

    def assert_gap_for(self, after, **query):
        self.assert_gap(self.server.history(after=after, **query)["gap"], "retention", requested=after)
        self.assert_gap(self.documents(after=after, **query)[0], "retention", requested=after)
        source = self.server.sse(headers={"Last-Event-ID": str(after)}, **query)
        self.assert_gap(source.message().json(), "retention", requested=after)
        self.assert_gap(self.server.reader(after=after, **query).receive(), "retention", requested=after)

    def test_a_filtered_reader_that_missed_nothing_gets_no_gap(self):
        self.assert_no_gap_for("rare", 1)
        self.assert_no_gap_for("never", 1)

    def test_a_reader_that_missed_something_gets_one(self):
        self.assert_gap_for(0, stream="rare")
        self.assert_gap_for(1, stream="busy")
        self.assert_gap_for(1, stream=["rare", "busy"])
        self.assert_gap_for(1)

    def test_what_is_known_of_it_outlives_a_crash(self):
        self.server.kill()
        self.server.start()
        self.assert_no_gap_for("rare", 1)
        self.assert_gap_for(0, stream="rare")

    def test_what_an_older_version_removed_may_be_of_any_stream(self):
        self.server.stop()
        with edited(self.server.data) as database:
            database.executescript("ALTER TABLE topic DROP COLUMN gone; ALTER TABLE session DROP COLUMN filter; "
                                   "ALTER TABLE session DROP COLUMN epoch; "
                                   "INSERT INTO meta(key, value) SELECT 'epoch', epoch FROM line; DROP TABLE line; "
                                   "DELETE FROM meta WHERE key IN ('gone_unknown', 'last_unknown'); "
                                   "DROP TABLE stream_last; DROP TABLE forgotten; PRAGMA user_version=3;")
        self.server.start()
        self.assert_gap_for(1, stream="rare")
        self.assert_no_gap_for("rare", self.server.head())

    def test_a_session_between_two_matches_has_missed_nothing(self):
        self.server.request("PUT", "/v1/sessions/s", '{"acked":1}', {"Content-Type": JSON})
        socket = self.server.reader(session="s", stream="rare")
        self.assertEqual(socket.receive()["op"], "live")


if __name__ == "__main__":
    unittest.main()
