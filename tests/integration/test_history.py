#!/usr/bin/env python3
"""GET /v1/events and /v1/streams: filters, pages, long poll, NDJSON, bad parameters."""

import json
import math
import random
import re
import time
import unittest
from datetime import datetime, timedelta, timezone

from case import TidemarkTest
from load import scaled
from text import JSON, TIME, seqs
from waiting import Task, wait_until


def matches(event, query):
    """The model: whether a history query lets an event through."""
    return (event["seq"] > query.get("after", 0)
            and event["seq"] < query.get("before", 1 << 60)
            and event["time"] >= query.get("since", "")
            and event["time"] <= query.get("until", "9999")
            and event["stream"] in query.get("stream", [event["stream"]])
            and event["type"] in query.get("type", [event["type"]]))


def answer(events, query):
    """The model's whole answer, without a limit."""
    found = [event for event in events if matches(event, query)]
    return found[::-1] if query.get("order") == "desc" else found


def moment(text):
    """An RFC 3339 time with milliseconds, as a datetime."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)


def stamp(when):
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"


def next_link(response):
    """The target of `Link: <…>; rel="next"`, or None."""
    link = response.headers.get("link")
    if link is None:
        return None
    found = re.fullmatch(r'<([^>]*)>; *rel="?next"?', link)
    assert found, link
    return re.sub(r"^https?://[^/]+", "", found[1])


class HistoryTest(TidemarkTest):

    def setUp(self):
        self.server = self.serve()

    def fill(self, count=30):
        self.server.publish([{"stream": f"s{i % 3}", "type": f"t{i % 4}", "data": i + 1}
                             for i in range(count)])
        return self.server.everything()

    def history(self, **query):
        return seqs(self.server.history(**query)["events"])


class Answers(HistoryTest):

    def test_the_json_form_has_its_members(self):
        receipt = self.server.publish([{"data": 1}, {"data": 2}])
        response = self.server.get("/v1/events", JSON)
        document = response.json()
        self.assertEqual(set(document), {"events", "next", "checkpoint", "first", "head", "epoch"})
        self.assertEqual(seqs(document["events"]), [1, 2])
        self.assertEqual((document["next"], document["checkpoint"], document["first"], document["head"],
                          document["epoch"]), (None, 2, 1, 2, receipt["epoch"]))
        self.assertNotIn("link", response.headers)

    def test_an_empty_store_has_an_empty_history(self):
        for query in ({}, {"after": "first"}, {"after": "head"}, {"after": 0}, {"order": "desc"}):
            with self.subTest(query):
                document = self.server.history(**query)
                self.assertEqual((document["events"], document["next"], document["head"]), ([], None, 0))
        self.assertEqual(self.server.lines(), [])

    def test_json_is_the_form_where_none_is_asked_for(self):
        self.server.publish({"data": 1})
        for accept in (None, "*/*", JSON, "application/*", "text/html, application/json;q=0.9"):
            with self.subTest(accept):
                response = self.server.get("/v1/events", accept)
                self.assertTrue(response.headers["content-type"].startswith(JSON), response)

    def test_both_forms_hold_the_same_envelopes(self):
        self.fill()
        lines = self.server.lines()
        page = self.server.get("/v1/events").text
        for seq, line in enumerate(lines, 1):
            self.assertEqual(self.server.event_text(seq), line)
            self.assertIn(line, page)

    def test_one_event_by_its_seq(self):
        events = self.fill()
        self.assertEqual(self.server.event(7), events[6])
        response = self.server.get("/v1/events/7")
        self.assertTrue(response.headers["content-type"].startswith(JSON))

    def test_an_event_that_never_existed_is_404(self):
        self.fill(3)
        for seq in (4, 1000, 9007199254740991):
            self.assert_problem(self.server.get(f"/v1/events/{seq}"), 404)
        for path in ("0", "-1", "x", "1.5", "1x", "99999999999999999999"):
            with self.subTest(path):
                response = self.server.get(f"/v1/events/{path}")
                self.assertIn(response.status, (400, 404))
                self.assert_problem(response, response.status)


class Filters(HistoryTest):

    def test_after_and_before_exclude_themselves(self):
        self.fill()
        self.assertEqual(self.history(after=27), [28, 29, 30])
        self.assertEqual(self.history(before=4), [1, 2, 3])
        self.assertEqual(self.history(after=4, before=8), [5, 6, 7])
        for empty in ({"after": 4, "before": 5}, {"after": 8, "before": 4}, {"before": 1}):
            self.assert_problem(self.server.get("/v1/events", **empty), 400, "before")

    def test_after_takes_first_and_head(self):
        self.fill()
        self.assertEqual(self.history(after="first"), list(range(1, 31)))
        self.assertEqual(self.history(after="first", before=3), [1, 2])
        self.assertEqual(self.history(after="head"), [])
        for empty in ({"after": "first", "before": 1}, {"after": "head", "before": 5}, {"after": "head", "before": 31},
                      {"after": "head", "before": 31, "order": "desc"}):
            self.assert_problem(self.server.get("/v1/events", **empty), 400, "before")
        self.assertEqual(self.history(after=30), [])
        self.assertEqual(self.history(after=0), list(range(1, 31)))
        self.assertEqual(self.history(), list(range(1, 31)))

    def test_stream_and_type_are_any_of_and_both(self):
        events = self.fill()
        for query in ({"stream": ["s1"]}, {"stream": ["s0", "s2"]}, {"type": ["t3"]},
                      {"type": ["t0", "t1", "t2"]}, {"stream": ["s0", "s1"], "type": ["t1", "t2"]},
                      {"stream": ["none"]}, {"stream": ["none", "s1"]}, {"type": ["none"]},
                      {"stream": ["s1"], "type": ["t1"], "after": 5, "before": 25},
                      {"stream": ["s1", "s1"]}):
            with self.subTest(query):
                self.assertEqual(self.history(**query), seqs(answer(events, query)))

    def test_many_names_may_be_asked_for(self):
        events = self.fill()
        many = [f"none{i}" for i in range(60)] + ["s2"]
        self.assertEqual(self.history(stream=many), seqs(answer(events, {"stream": ["s2"]})))
        for count in (100, 120, 200, 400, 1000, 10_000):
            response = self.server.get("/v1/events", stream=[f"stream-{i}" for i in range(count)])
            self.assertIn(response.status, (200, 414, 431), count)

    def test_names_are_percent_decoded(self):
        names = ["a b", "a+b", "a&b=c", "100%", "é/€", "?#"]
        self.server.publish([{"stream": n, "type": n, "data": n} for n in names])
        for seq, name in enumerate(names, 1):
            with self.subTest(name):
                self.assertEqual(self.history(stream=name), [seq])
                self.assertEqual(self.history(type=name), [seq])

    def test_order_desc_is_newest_first(self):
        events = self.fill()
        for query in ({}, {"after": 10}, {"before": 20}, {"after": 10, "before": 20},
                      {"stream": ["s1"]}, {"type": ["t1", "t2"], "after": 3}, {"limit": 5}):
            with self.subTest(query):
                expected = seqs(answer(events, {"order": "desc", **query}))[:query.get("limit")]
                self.assertEqual(self.history(order="desc", **query), expected)
        self.assertEqual(self.history(order="asc"), list(range(1, 31)))

    def test_since_and_until_are_times(self):
        groups = []
        for _ in range(3):
            self.server.publish([{"data": 1}] * 5)
            last = moment(self.server.event(self.server.head())["time"])
            groups.append(last + timedelta(milliseconds=20))  # a time between two groups
            wait_until(lambda limit=groups[-1]: datetime.now(timezone.utc) >
                       limit + timedelta(milliseconds=20), "the clock has moved on")
        between = [stamp(when) for when in groups]
        self.assertEqual(self.history(since=between[0]), list(range(6, 16)))
        self.assertEqual(self.history(until=between[0]), list(range(1, 6)))
        self.assertEqual(self.history(since=between[0], until=between[1]), list(range(6, 11)))
        self.assertEqual(self.history(since=between[2]), [])
        self.assertEqual(self.history(since=between[0], order="desc", limit=3), [15, 14, 13])
        self.assertEqual(self.history(since=between[0], after=8, before=12), [9, 10, 11])
        here = groups[0].astimezone(timezone(timedelta(hours=5, minutes=30)))
        for text in (here.isoformat(), here.isoformat(timespec="milliseconds"),
                     between[0].replace("Z", "000Z"), between[0].replace("Z", "+00:00")):
            with self.subTest(text):
                self.assertEqual(self.history(since=text), list(range(6, 16)))

    def test_times_may_be_relative_and_without_a_fraction(self):
        self.fill()
        everything = list(range(1, 31))
        for query in ({"since": "-15m"}, {"since": "-1h"}, {"since": "-900s"}, {"since": "-2d"},
                      {"since": "-900000ms"}, {"since": "2020-01-01T00:00:00Z"},
                      {"until": "2999-12-31T23:59:59Z"}, {"since": "1970-01-01T00:00:00Z"},
                      {"since": "-15m", "until": "2999-01-01T00:00:00.5+01:00"}):
            with self.subTest(query):
                self.assertEqual(self.history(**query), everything)
        for query in ({"until": "-15m"}, {"until": "-1h"}, {"since": "2999-01-01T00:00:00Z"},
                      {"until": "2020-01-01T00:00:00Z"}, {"since": "-2h", "until": "-1h"}):
            with self.subTest(query):
                self.assertEqual(self.history(**query), [])

    def test_a_bad_parameter_is_a_400_that_names_it(self):
        self.fill(3)
        bad = {
            "after": ["-1", "x", "", "1.5", "9007199254740992", "1e3", "0x10", " 1", "+1", "First"],
            "before": ["-1", "x", "", "first", "head", "9007199254740993"],
            "since": ["yesterday", "", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "-15",
                      "-15y", "2026-01-01", "2026-01-01T25:00:00Z", "-m"],
            "until": ["now", "12:00", "2026-01-01T00:00:00"],
            "limit": ["10001", "-1", "x", "", "1.5", "99999999999999999999"],
            "order": ["up", "", "DESC"],
            "wait": ["61", "-1", "x", ""],
            "stream": ["", "s" * 256, "a\nb", "a\0b"],
            "type": ["", "t" * 256],
            "speed": ["1"],
            "surprise": ["1"], "": ["1"],
        }
        for name, values in bad.items():
            for value in values:
                with self.subTest(name=name, value=value):
                    self.assert_problem(self.server.get("/v1/events", **{name: value}), 400, name)
        self.assert_problem(self.server.get("/v1/events?stream=%ff%fe"), 400, "stream")

    def test_a_parameter_twice_is_a_400_that_names_it(self):
        for name, value in [("after", 1), ("before", 1), ("limit", 1), ("order", "asc"),
                            ("since", "-1m"), ("until", "-1m"), ("wait", 0), ("epoch", "e")]:
            with self.subTest(name):
                response = self.server.get("/v1/events", **{name: [value, value]})
                self.assert_problem(response, 400, name)


class Pages(HistoryTest):

    def pages(self, **query):
        """Follows `next` to the end; returns the pages' events."""
        pages, bound = [], "before" if query.get("order") == "desc" else "after"
        while True:
            response = self.server.get("/v1/events", **query)
            document = response.json()
            self.assertEqual(document["next"] is None, next_link(response) is None)
            pages.append(document["events"])
            if document["next"] is None:
                return pages
            query[bound] = document["next"]

    def linked(self, **query):
        """Follows the Link header to the end; returns the pages' events."""
        response = self.server.get("/v1/events", **query)
        pages = [response.json()["events"]]
        while link := next_link(response):
            response = self.server.get(link)
            pages.append(response.json()["events"])
        return pages

    def test_pages_follow_one_another_to_the_end_and_no_further(self):
        events = self.fill(100)
        for query in ({"limit": 7}, {"limit": 10}, {"limit": 50}, {"limit": 100}, {"limit": 99},
                      {"limit": 7, "order": "desc"}, {"limit": 10, "order": "desc"},
                      {"limit": 4, "stream": ["s1"]}, {"limit": 11, "stream": ["s1"]},
                      {"limit": 3, "type": ["t0"], "order": "desc"},
                      {"limit": 5, "after": 20, "before": 61}, {"limit": 8, "after": 20, "before": 61},
                      {"limit": 5, "after": 20, "before": 61, "order": "desc"},
                      {"limit": 5, "since": "-1h", "stream": ["s0", "s2"], "order": "desc"}):
            with self.subTest(query):
                expected = answer(events, query)
                size = query["limit"]
                expected = [expected[i:i + size] for i in range(0, len(expected), size)]
                self.assertEqual(self.pages(**query), expected)
                self.assertEqual(self.linked(**query), expected)

    def test_a_link_repeats_the_filters_whatever_their_names(self):
        names = ['a b&c=é+%/"<>', "?#;,\\"]
        self.server.publish([{"stream": name, "type": name, "data": i}
                             for i in range(10) for name in names + ["other"]])
        expected = [e for e in self.server.everything() if e["stream"] != "other"]
        for query in ({"stream": names}, {"type": names}, {"stream": names, "type": names[::-1]}):
            pages = self.linked(limit=7, **query)
            self.assertEqual([len(page) for page in pages], [7, 7, 6])
            self.assertEqual(sum(pages, []), expected)

    def test_the_default_limit_is_100(self):
        self.fill(250)
        self.assertEqual([len(page) for page in self.pages()], [100, 100, 50])

    def test_a_limit_of_10000_is_taken(self):
        self.server.publish_lines({"data": i} for i in range(10_001))
        document = self.server.history(limit=10_000)
        self.assertEqual(seqs(document["events"]), list(range(1, 10_001)))
        self.assertEqual(self.history(after=document["next"]), [10_001])
        self.assertEqual(self.history(limit=1), [1])

    def test_pages_are_stable_while_events_arrive(self):
        self.fill(50)
        first = self.server.history(limit=20, order="desc")
        self.fill(30)
        second = self.server.history(limit=20, order="desc", before=first["next"])
        self.assertEqual(seqs(first["events"] + second["events"]), list(range(50, 10, -1)))


class Ndjson(HistoryTest):

    def test_more_than_10000_events_come_in_one_stream(self):
        self.server.restart("--ring", "64KiB")
        count = 12_000
        self.server.publish_lines({"stream": f"s{i % 3}", "data": i} for i in range(count))
        events = self.server.everything()
        self.assertEqual(seqs(events), list(range(1, count + 1)))
        self.assertEqual([e["data"] for e in events], list(range(count)))
        backwards = [json.loads(line)["seq"] for line in self.server.lines(order="desc")]
        self.assertEqual(backwards, list(range(count, 0, -1)))
        self.assertEqual(len(self.server.lines(stream="s1", after=6000)), 2000)

    def test_a_limit_is_kept_where_asked(self):
        self.fill(150)
        self.assertEqual(len(self.server.lines()), 150)
        self.assertEqual([json.loads(line)["seq"] for line in self.server.lines(limit=3, after=4)],
                         [5, 6, 7])

    def test_a_reader_that_leaves_midway_leaves_the_server_alone(self):
        self.server.publish_lines({"data": "x" * 1000} for _ in range(scaled(20_000, 4000)))
        for _ in range(10):
            wire = self.server.wire()
            wire.send(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n")
            wire.head(time.monotonic() + 60)
            wire.close()
        self.assertEqual(self.history(limit=2), [1, 2])


class Gaps(HistoryTest):

    def test_a_position_past_the_head_is_a_gap_and_goes_on_at_the_head(self):
        self.fill(5)
        document = self.server.history(after=50)
        self.assert_gap(document["gap"], "ahead", requested=50, first=1)
        self.assertEqual((document["events"], document["head"]), ([], 5))
        lines = [json.loads(line) for line in self.server.lines(after=50)]
        self.assertEqual(lines, [document["gap"]])

    def test_another_epoch_is_a_gap_and_history_starts_at_the_first_event(self):
        self.fill(5)
        document = self.server.history(after=3, epoch="another")
        self.assert_gap(document["gap"], "epoch", requested=3, first=1)
        self.assertEqual(seqs(document["events"]), [1, 2, 3, 4, 5])
        lines = [json.loads(line) for line in self.server.lines(after=3, epoch="another")]
        self.assert_gap(lines[0], "epoch", requested=3, first=1)
        self.assertEqual(lines[1:], document["events"])

    def test_the_known_epoch_is_no_gap(self):
        self.fill(5)
        document = self.server.history(after=3, epoch=self.server.history()["epoch"])
        self.assertNotIn("gap", document)
        self.assertEqual(seqs(document["events"]), [4, 5])


class LongPoll(HistoryTest):

    def wait(self, **query):
        """A long poll in the background."""
        return Task(self.server.history, **query)

    def test_an_event_that_is_there_is_answered_at_once(self):
        self.fill(3)
        begin = time.monotonic()
        self.assertEqual(self.history(after=1, wait=60), [2, 3])
        self.assertLess(time.monotonic() - begin, 50)

    def test_an_event_that_arrives_ends_the_wait(self):
        self.fill(3)
        polls = [self.wait(after=3, wait=50) for _ in range(20)]
        self.assert_waiting(polls)
        self.server.publish({"data": "new"})
        for poll in polls:
            document = poll.result()
            self.assertEqual((seqs(document["events"]), document["head"]), ([4], 4))

    def test_a_poll_at_the_head_gets_what_comes_next(self):
        self.fill(3)
        poll = self.wait(after="head", wait=50)
        while poll.is_alive():
            self.server.publish({"data": "new"})
            time.sleep(0.05)
        self.assertGreater(seqs(poll.result()["events"])[0], 3)

    def test_only_an_event_that_matches_ends_the_wait(self):
        poll = self.wait(after=0, wait=50, stream="wanted", type=["a", "b"])
        self.assert_waiting([poll])
        self.server.publish([{"stream": "other", "type": "a", "data": 1},
                             {"stream": "wanted", "type": "c", "data": 2}])
        self.assert_waiting([poll])
        self.server.publish({"stream": "wanted", "type": "b", "data": 3})
        self.assertEqual(seqs(poll.result()["events"]), [3])

    def test_without_an_event_the_wait_ends_empty(self):
        self.fill(3)
        begin = time.monotonic()
        document = self.server.history(after="head", wait=1)
        self.assertGreaterEqual(time.monotonic() - begin, 0.9)
        self.assertEqual((document["events"], document["next"], document["head"]), ([], None, 3))

    def test_a_chain_of_polls_sees_every_event_once(self):
        def follow():
            seen, after = [], 0
            while len(seen) < 200:
                page = self.server.history(after=after, wait=50, limit=7)["events"]
                seen += seqs(page)
                after = seen[-1] if seen else after
            return seen

        followers = [Task(follow) for _ in range(4)]
        for i in range(100):
            self.server.publish([{"data": i}] * 2)
        for follower in followers:
            self.assertEqual(follower.result(), list(range(1, 201)))

    def test_a_poll_whose_client_leaves_and_a_stop_hurt_nobody(self):
        for _ in range(10):
            wire = self.server.wire()
            wire.send(b"GET /v1/events?after=head&wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            wire.close()
        waiting = self.server.wire()
        waiting.send(b"GET /v1/events?after=0&wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.fill(3)
        self.assertEqual(seqs(waiting.response().json()["events"])[0], 1)
        waiting.send(b"GET /v1/events?after=head&wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.server.stop()
        waiting.rest()

    def assert_waiting(self, polls):
        """No poll is answered; the pause can only make the test weaker, not fail."""
        time.sleep(0.3)
        self.assertTrue(all(poll.is_alive() for poll in polls))


class Streams(HistoryTest):

    def test_streams_tell_their_range_and_count(self):
        self.server.publish([{"stream": "a", "data": 1}, {"stream": "b", "data": 22},
                             {"stream": "a", "data": 333}, {"data": 4}])
        for _ in range(2):
            streams = self.server.get("/v1/streams").json()["streams"]
            by_name = {s["name"]: s for s in streams}
            self.assertEqual(set(by_name), {"a", "b", "default"})
            for name, first, last, count in [("a", 1, 3, 2), ("b", 2, 2, 1), ("default", 4, 4, 1)]:
                stream = by_name[name]
                self.assertEqual(set(stream), {"name", "first", "last", "count", "bytes"})
                self.assertEqual((stream["first"], stream["last"], stream["count"]),
                                 (first, last, count))
                self.assertGreater(stream["bytes"], 0)
                self.assertEqual(self.server.get(f"/v1/streams/{name}").json(), stream)
            self.server.restart()

    def test_bytes_grow_with_the_payload(self):
        self.server.publish({"stream": "a", "data": "x" * 1000})
        before = self.server.get("/v1/streams/a").json()["bytes"]
        self.server.publish({"stream": "a", "data": "x" * 5000})
        after = self.server.get("/v1/streams/a").json()["bytes"]
        self.assertGreaterEqual(before, 1000)
        self.assertGreaterEqual(after - before, 5000)

    def test_duplicates_do_not_count(self):
        for _ in range(3):
            self.server.publish({"stream": "a", "id": "one", "data": 1})
        self.assertEqual(self.server.get("/v1/streams/a").json()["count"], 1)

    def test_an_unknown_stream_is_404_and_no_streams_are_an_empty_list(self):
        self.assertEqual(self.server.get("/v1/streams").json(), {"streams": [], "next": None})
        self.assert_problem(self.server.get("/v1/streams/none"), 404)

    def test_a_stream_of_any_name_is_found(self):
        for name, path in [("a/b", "a%2Fb"), ("a b?", "a%20b%3F"), ("é%", "%C3%A9%25"), ("..", "%2E%2E")]:
            with self.subTest(name):
                self.server.publish({"stream": name, "data": 1})
                self.assertEqual(self.server.get(f"/v1/streams/{path}").json()["name"], name)


def is_empty(query):
    """A range that nothing can be in is a mistake."""
    return (query.get("before", math.inf) <= query.get("after", 0) + 1 or
            query.get("until", "~") <= query.get("since", ""))


class Model(TidemarkTest):
    """Random queries against a Python model, wherever the events live."""

    SEED = 20261122

    def publish(self, server, rng):
        """Many streams of very different sizes; some times apart."""
        streams = ["hot"] * 30 + ["warm"] * 8 + [f"s{i}" for i in range(40)] + ["é"]
        types = ["a"] * 6 + ["b", "b", "c", "d"]
        for _ in range(30):
            server.publish_lines(
                {"stream": rng.choice(streams), "type": rng.choice(types), "data": "x" * rng.randrange(80)}
                for _ in range(scaled(100, 20)))
        return server.everything(), sorted(set(streams)) + ["none"], sorted(set(types)) + ["none"]

    def query(self, rng, events, streams, types):
        query = {"order": rng.choice(["asc", "desc"]), "limit": rng.choice([1, 2, 5, 20, 100, 1000])}
        head = len(events)
        if rng.random() < 0.5:
            query["after"] = rng.randrange(head + 1)
        if rng.random() < 0.4:
            query["before"] = rng.randrange(1, head + 2)
        if rng.random() < 0.6:
            query["stream"] = rng.sample(streams, rng.choice([1, 1, 2, 5]))
        if rng.random() < 0.4:
            query["type"] = rng.sample(types, rng.choice([1, 2]))
        for bound in ("since", "until"):
            if rng.random() < 0.2:
                query[bound] = self.quiet_time(rng, events)
        return query

    def quiet_time(self, rng, events):
        """A millisecond in which nothing was stored, so that no edge matters."""
        times = {event["time"] for event in events}
        when = moment(rng.choice(events)["time"])
        while stamp(when) in times:
            when += timedelta(milliseconds=1)
        return stamp(when)

    def check(self, server, events, queries):
        for query in queries:
            with self.subTest(query=query):
                if is_empty(query):
                    self.assert_problem(server.get("/v1/events", **query), 400)
                    continue
                expected = answer(events, query)
                document = server.history(**query)
                limit = query["limit"]
                self.assertEqual(seqs(document["events"]), seqs(expected[:limit]))
                self.assertEqual(document["events"], expected[:limit])
                self.assertEqual(document["next"] is None, len(expected) <= limit, document["next"])
                if document["next"] is not None:
                    bound = "before" if query["order"] == "desc" else "after"
                    following = server.history(**{**query, bound: document["next"]})
                    self.assertEqual(seqs(following["events"]), seqs(expected[limit:2 * limit]))

    def test_random_queries_agree_with_the_model(self):
        rng = random.Random(self.SEED)
        server = self.serve()
        events, streams, types = self.publish(server, rng)
        queries = [self.query(rng, events, streams, types) for _ in range(scaled(150, 40))]
        with self.subTest("in memory"):
            self.check(server, events, queries)
        server.restart("--ring", "64KiB")
        with self.subTest("after a restart, small ring"):
            self.check(server, events, queries)
        server.publish([{"stream": "hot", "type": "a", "data": 1}] * 10)
        events = server.everything()
        with self.subTest("partly in the ring"):
            self.check(server, events, queries)
        server.kill()
        server.start("--ring", "32MiB")
        with self.subTest("after a crash"):
            self.assertEqual(server.everything(), events)
            self.check(server, events, queries)

    def test_times_are_rfc_3339_with_milliseconds_and_never_decrease(self):
        server = self.serve()
        events, _, _ = self.publish(server, random.Random(self.SEED))
        times = [event["time"] for event in events]
        self.assertEqual(times, sorted(times))
        for time_ in set(times):
            self.assertRegex(time_, f"^{TIME}$")


if __name__ == "__main__":
    unittest.main()
