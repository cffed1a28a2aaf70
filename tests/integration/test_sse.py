#!/usr/bin/env python3
"""GET /v1/events as text/event-stream: history, live events, gaps, reconnection."""

import json
import time
import unittest

from case import TidemarkTest
from text import SSE, seqs
from waiting import Task
from wire import DEADLINE_S, Refused


class SseTest(TidemarkTest):

    def setUp(self):
        self.server = self.serve()

    def fill(self, count=10):
        self.server.publish([{"stream": "ab"[i % 2], "type": "xyz"[i % 3], "data": i + 1}
                             for i in range(count)])
        return self.server.everything()

    def follow(self, last_event_id=None, **query):
        headers = {} if last_event_id is None else {"Last-Event-ID": str(last_event_id)}
        return self.server.sse(headers=headers, **query)

    def assert_gap_message(self, source, reason, **members):
        message = source.message()
        self.assertEqual(message.event, "gap", message)
        self.assert_gap(message.json(), reason, **members)


class Form(SseTest):

    def test_the_answer_is_an_event_stream(self):
        source = self.follow()
        self.assertEqual(source.status, 200)
        self.assertTrue(source.headers["content-type"].startswith(SSE), source.headers)

    def test_an_event_is_its_seq_and_its_envelope_without_an_event_field(self):
        self.server.publish([{"id": "i", "data": {"é": "a\nb\r"}}, {"flat": [1.10]}])
        source = self.follow(after="first")
        for seq in (1, 2):
            message = source.message()
            self.assertEqual(message, (None, f"{seq}.{source.hello['epoch']}", self.server.event_text(seq)))

    def test_the_first_block_says_where_reading_starts(self):
        self.fill()
        for query, after in (({}, 10), ({"after": "first"}, 0), ({"after": 7}, 7), ({"stream": "a"}, 10)):
            with self.subTest(query):
                source = self.follow(**query)
                epoch = self.server.history()["epoch"]
                self.assertEqual(source.hello, {"epoch": epoch, "first": 1, "head": 10, "after": after})

    def test_retry_is_part_of_the_first_block_and_spread_at_random(self):
        self.fill()
        retries = set()
        for _ in range(12):
            source = self.follow(after="first")
            self.assertRegex(source.first_line, r"^retry: ?\d+$")
            retries.add(source.retry)
        self.assertGreater(len(retries), 1, "a herd must not come back at once")
        self.assertGreater(min(retries), 0)

    def test_a_comment_comes_at_least_every_15_seconds(self):
        sources = [self.serve().sse(), self.follow(stream="nothing"),
                   self.follow(after="first", type="nothing")]
        comments = Task(lambda: [source.comment() for source in sources])
        while comments.is_alive():  # what a reader does not want must not count as a sign of life
            self.server.publish({"stream": "something", "data": 1})
            time.sleep(0.1)
        comments.result()

    def blocks(self, wire, query, until):
        """What comes for `query`, as text, up to a block with `until`."""
        wire.send(f"GET /v1/events?{query} HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n".encode())
        deadline = time.monotonic() + DEADLINE_S
        while until.encode() not in wire.buffer or not wire.buffer.endswith(b"\n\n"):
            self.assertTrue(wire.more(deadline))
        self.assertEqual(wire.head(deadline)[0], 200)
        return wire.buffer.decode()

    def test_a_client_of_http_1_0_is_served(self):
        self.fill(3)
        text = self.blocks(self.server.wire(), "after=first", self.server.event_text(3))
        self.assertNotIn("\r", text)

    def test_the_id_is_the_last_line_of_every_block(self):
        # Clients that keep an id when they read its line must not come back behind what they were not given.
        self.fill(3)
        for query, until in (("after=first", self.server.event_text(3)), ("after=9", "event: gap")):
            with self.subTest(query):
                blocks = self.blocks(self.server.wire(), query, until).split("\n\n")
                self.assertEqual(blocks.pop(), "")
                self.assertGreater(len(blocks), 1)
                for block in blocks:
                    self.assertEqual([line for line in block.split("\n") if line.startswith("id: ")], block.split("\n")[-1:])

    def test_many_readers_get_the_same(self):
        sources = [self.follow(after="first") for _ in range(30)]
        expected = [json.dumps(event) for event in self.fill(100)]
        for source in sources:
            self.assertEqual([json.dumps(event) for event in source.events(100)], expected)

    def test_a_large_event_arrives_whole(self):
        source = self.follow(after="first")
        data = "é" * 400_000
        self.server.publish({"data": data})
        self.assertEqual(source.event()["data"], data)


class Position(SseTest):

    def test_without_a_position_reading_starts_at_the_head(self):
        self.fill()
        for query in ({}, {"after": "head"}, {"after": 10}):
            source = self.follow(**query)
            head = self.server.publish({"data": "live"})["first"]
            got = source.event()["seq"]
            self.assertEqual(got, 11 if query == {"after": 10} else head)

    def test_after_a_position_come_the_past_and_then_live_events(self):
        self.fill()
        for after, expected in [("first", list(range(1, 11))), (0, list(range(1, 11))), (7, [8, 9, 10])]:
            source = self.follow(after=after)
            self.assertEqual(seqs(source.events(len(expected))), expected)
        head = self.server.publish({"data": "live"})["first"]
        self.assertEqual(source.event()["seq"], head)

    def test_last_event_id_wins_over_after(self):
        self.fill()
        for query in ({"after": 2}, {"after": "first"}, {"after": "head"}, {}, {"after": 100}):
            with self.subTest(query):
                source = self.follow(last_event_id=8, **query)
                self.assertEqual(seqs(source.events(2)), [9, 10])

    def test_filters_hold_for_the_past_and_for_live_events(self):
        wanted = [e for e in self.fill(60) if e["stream"] == "b" and e["type"] in "xz"]
        source = self.follow(after="first", stream="b", type=["x", "z"])
        self.assertEqual(source.events(len(wanted)), wanted)
        more = [e for e in self.fill(60)[60:] if e["stream"] == "b" and e["type"] in "xz"]
        self.assertEqual(source.events(len(more)), more)

    def test_reading_goes_on_after_a_crash_where_it_stopped(self):
        self.fill(50)
        source = self.follow(after="first")
        seen = seqs(source.events(33))
        self.server.kill()
        self.server.start()
        source = self.follow(last_event_id=seen[-1])
        self.fill(5)
        self.assertEqual(seen + seqs(source.events(22)), list(range(1, 56)))

    def test_speed_keeps_the_original_distances_in_time(self):
        self.server.publish({"data": 1})
        time.sleep(1.5)
        self.server.publish({"data": 2})
        took = {}
        for speed in (1, 100):
            begin = time.monotonic()
            self.assertEqual(seqs(self.follow(after="first", speed=speed).events(2)), [1, 2])
            took[speed] = time.monotonic() - begin
        self.assertGreaterEqual(took[1], 1.4)
        self.assertLess(took[100], took[1])


class Gaps(SseTest):

    def test_a_position_past_the_head_is_a_gap_and_reading_goes_on_at_the_head(self):
        self.fill(5)
        for source in (self.follow(after=50), self.follow(last_event_id=50),
                       self.follow(last_event_id=50, after=2)):
            self.assert_gap_message(source, "ahead", requested=50, first=1)
            head = self.server.publish({"data": "live"})["first"]
            while (seq := source.event()["seq"]) < head:
                self.assertGreater(seq, 5)

    def test_another_epoch_is_a_gap_and_reading_starts_at_the_first_event(self):
        self.fill(5)
        for query in ({"after": 3}, {"last_event_id": 3}, {"last_event_id": 100}):
            with self.subTest(query):
                source = self.follow(epoch="another", **query)
                self.assert_gap_message(source, "epoch", requested=list(query.values())[0], first=1)
                self.assertEqual(seqs(source.events(5)), [1, 2, 3, 4, 5])

    def test_the_known_epoch_is_no_gap(self):
        epoch = self.server.publish([{"data": i} for i in range(5)])["epoch"]
        self.assertEqual(seqs(self.follow(epoch=epoch, last_event_id=3).events(2)), [4, 5])

    def test_a_last_event_id_that_is_no_position_is_a_gap(self):
        self.fill(5)
        for value in ("garbage", "-1", "1.5", "99999999999999999999", "a1b2:7"):
            with self.subTest(value):
                source = self.follow(last_event_id=value)
                self.assert_gap_message(source, "epoch", first=1)
                self.assertEqual(seqs(source.events(5)), [1, 2, 3, 4, 5])


class Refusals(SseTest):

    def test_a_bad_parameter_is_a_400_that_names_it(self):
        for name, value in [("before", "5"), ("until", "-1m"), ("limit", "5"), ("order", "asc"),
                            ("wait", "5"), ("after", "x"), ("speed", "0"), ("speed", "-2"),
                            ("speed", "x"), ("speed", ["1", "2"]), ("stream", ""), ("surprise", "1")]:
            with self.subTest(name=name, value=value):
                with self.assertRaises(Refused) as refused:
                    self.follow(**{name: value})
                self.assert_problem(refused.exception.response, 400, name)


class Ends(SseTest):

    def test_a_server_that_shuts_down_ends_the_stream(self):
        sources = [self.follow(after="first") for _ in range(5)]
        self.fill()
        for source in sources:
            source.events(10)
        self.server.stop()
        self.assertTrue(all(source.ended() for source in sources))

    def test_readers_that_vanish_leave_the_others_alone(self):
        well = self.follow(after="first")
        for i in range(20):
            self.follow(after="first").close()
            self.server.publish({"data": i})
        self.assertEqual(seqs(well.events(20)), list(range(1, 21)))


if __name__ == "__main__":
    unittest.main()
