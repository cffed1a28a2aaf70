#!/usr/bin/env python3
"""POST /v1/events: both event forms, batches, idempotency, `expect`, the payload."""

import json
import re
import unittest

from case import TidemarkTest
from client import stored
from load import KIB, MIB, scaled
from text import ENVELOPE, JSON, NDJSON, TIME, data_text, ndjson, seqs
from waiting import in_parallel

# What a name may not be, as the JSON text of a string.
BAD_NAMES = {
    "empty": '""', "256 bytes": '"%s"' % ("n" * 256), "258 bytes in 86 letters": '"%s"' % ("€" * 86),
    "NUL": r'"a\u0000b"', "line feed": r'"a\nb"', "escape": r'"\u001b[0m"', "DEL": r'"a\u007f"',
    "C1 control": r'"a\u0085b"', "lone surrogate": r'"a\ud800b"', "raw C1 control": '"a\u0085b"',
}

# Payloads that a parser which re-prints would change.
VERBATIM = [
    "9007199254740993", "1.10", "-0", "-0.0", "1E+2", "1e400", "0.1e-7", "1.0",
    "123456789012345678901234567890.5", "null", "true", "false", '""', "[]", "{}", "[[],{}]",
    '{"b":1,"a":2,"":3}', '{"z":{"y":{"x":[3,2,1]}},"a":0}', '{"a":1,"a":2}',
    r'"\u00e9\/\n\u0041\u0000\"\\\t\b"', '"é€😀"', r'"\ud83d\ude00 \u20AC"',
    '{"spaces in strings":"  kept , as : they { are } "}', r'{"quote \" then space":" \\"}',
]

SPACED = [
    (' { "a" : [ 1 , 2.50 ,\t{ } ] ,\r\n "b c" : " d  e " } ', '{"a":[1,2.50,{}],"b c":" d  e "}'),
    ("[\n\n1\n,\n2\n]", "[1,2]"),
    ('\t"  x  "\n', '"  x  "'),
]

BAD_EVENTS = {
    "a number": "5", "a string": '"x"', "null": "null", "an array": "[1]", "a boolean": "true",
    "stream not a string": '{"stream":5,"data":1}', "type not a string": '{"type":null,"data":1}',
    "id not a string": '{"id":7,"data":1}', "enveloped, empty stream": '{"stream":"","data":1}',
    "flat, empty type": '{"type":"","x":1}', "truncated": '{"data":', "not JSON": "{data:1}",
}


class PublishTest(TidemarkTest):
    """Each test has a server of its own, so `seq` starts at 1."""

    def setUp(self):
        self.server = self.serve()

    def assert_nothing_stored(self, head=0):
        self.assertEqual(self.server.head(), head)
        self.assertEqual(len(self.server.everything()), head)


class EventForms(PublishTest):

    def test_an_enveloped_event_is_stored_member_by_member(self):
        receipt = self.server.publish({"stream": "s", "type": "t", "id": "i", "data": {"a": 1}})
        self.assert_receipt(receipt, first=1, last=1, count=1, duplicates=0, durability="fsync")
        self.assertIsInstance(receipt["epoch"], str)
        self.assertNotIn("seqs", receipt)
        self.assertRegex(self.server.event_text(1), r'^\{"seq":1,"time":"' + TIME +
                         r'","stream":"s","type":"t","id":"i","data":\{"a":1\}\}$')

    def test_an_enveloped_event_has_defaults_and_no_id(self):
        self.server.publish({"data": "x"})
        self.assertRegex(self.server.event_text(1), r'^\{"seq":1,"time":"' + TIME +
                         r'","stream":"default","type":"event","data":"x"\}$')

    def test_envelope_members_may_come_in_any_order(self):
        stored(self.server.post('{"data":[1],"id":"i","type":"t","stream":"s"}'))
        event = self.server.event(1)
        self.assertEqual((event["stream"], event["type"], event["id"], event["data"]),
                         ("s", "t", "i", [1]))

    def test_a_flat_event_is_its_own_payload(self):
        text = '{"type":"event","connection_type":"kimi","direction":"outbound","id":"f1"}'
        stored(self.server.post(text))
        envelope = self.server.event_text(1)
        self.assertEqual(data_text(envelope), text)
        event = json.loads(envelope)
        self.assertEqual((event["stream"], event["type"], event["id"]), ("kimi", "event", "f1"))

    def test_a_flat_event_names_its_stream_by_stream_then_connection_type(self):
        cases = [({"stream": "a", "connection_type": "b"}, "a"), ({"connection_type": "b"}, "b"),
                 ({"x": 1}, "default"), ({}, "default"), ({"stream": 1, "connection_type": "b"}, "b"),
                 ({"stream": None}, "default"), ({"connection_type": ["b"]}, "default")]
        self.server.publish([event for event, _ in cases])
        for (sent, stream), event in zip(cases, self.server.everything(), strict=True):
            with self.subTest(sent=sent):
                self.assertEqual(event["stream"], stream)
                self.assertEqual(event["data"], sent)

    def test_a_flat_event_whose_names_are_not_strings_gets_defaults(self):
        sent = {"type": 5, "stream": {}, "id": 9}
        self.server.publish(sent)
        event = self.server.event(1)
        self.assertEqual((event["stream"], event["type"], event["data"]),
                         ("default", "event", sent))
        self.assertNotIn("id", event)

    def test_a_data_member_with_others_beside_it_makes_a_flat_event(self):
        sent = {"stream": "s", "data": {"a": 1}, "extra": True}
        self.server.publish(sent)
        event = self.server.event(1)
        self.assertEqual((event["stream"], event["data"]), ("s", sent))

    def test_the_time_is_the_commit_time_and_never_decreases(self):
        for _ in range(20):
            self.server.publish([{"data": 1}, {"data": 2}])
        times = [event["time"] for event in self.server.everything()]
        self.assertEqual(times, sorted(times))
        for time in times:
            self.assertRegex(time, f"^{TIME}$")


class Batches(PublishTest):

    def test_an_array_gets_consecutive_seqs_in_its_order(self):
        receipt = self.server.publish([{"data": i} if i % 2 else {"n": i} for i in range(50)])
        self.assert_receipt(receipt, first=1, last=50, count=50, duplicates=0)
        events = self.server.everything()
        self.assertEqual(seqs(events), list(range(1, 51)))
        self.assertEqual([e["data"] if e["seq"] % 2 == 0 else e["data"]["n"] for e in events],
                         list(range(50)))

    def test_ndjson_is_one_event_a_line(self):
        body = b'{"data":1}\n\n  \n{"data":2}\r\n\t{"n":3} \n{"data":4}'
        receipt = stored(self.server.post(body, NDJSON))
        self.assert_receipt(receipt, first=1, last=4, count=4)
        self.assertEqual([e["data"] for e in self.server.everything()], [1, 2, {"n": 3}, 4])

    def test_a_media_type_may_have_parameters(self):
        stored(self.server.post('{"data":1}', "application/json; charset=utf-8"))
        stored(self.server.post('{"data":1}\n', "Application/X-NDJSON;charset=UTF-8"))
        self.assertEqual(self.server.head(), 2)

    def test_another_media_type_is_415(self):
        for media in ("text/plain", "application/xml", "application/x-www-form-urlencoded"):
            self.assert_problem(self.server.post('{"data":1}', media), 415)
        self.assert_nothing_stored()

    def test_an_empty_request_is_400(self):
        for media, body in [(JSON, ""), (JSON, " \n"), (JSON, "[]"), (NDJSON, ""), (NDJSON, "\n\n")]:
            with self.subTest(media=media, body=body):
                self.assert_problem(self.server.post(body, media), 400)
        self.assert_nothing_stored()

    def test_a_bad_event_in_an_array_is_named_by_index_and_nothing_is_stored(self):
        for name, bad in BAD_EVENTS.items():
            if name in ("truncated", "not JSON"):
                continue
            with self.subTest(name):
                response = self.server.post('[{"data":1},{"data":2},%s,{"data":4}]' % bad)
                self.assert_problem(response, 400, index=2)
        self.assert_nothing_stored()

    def test_a_bad_line_is_named_by_its_number_and_nothing_is_stored(self):
        for name, bad in BAD_EVENTS.items():
            with self.subTest(name):
                body = '{"data":1}\n\n{"data":3}\n%s\n{"data":5}\n' % bad
                self.assert_problem(self.server.post(body, NDJSON), 400, line=4)
        self.assert_nothing_stored()

    def test_a_bad_event_alone_is_400(self):
        for name, bad in BAD_EVENTS.items():
            with self.subTest(name):
                if name == "an array":  # which is a batch whose first event is bad
                    self.assert_problem(self.server.post(bad), 400, index=0)
                else:
                    self.assert_problem(self.server.post(bad), 400)
        self.assert_nothing_stored()

    def test_a_json_body_is_one_document(self):
        for body in ('{"data":1}{"data":2}', '{"data":1}\n{"data":2}', '{"data":1} x', '[{"data":1}],'):
            with self.subTest(body):
                self.assert_problem(self.server.post(body), 400)
        self.assert_nothing_stored()

    def test_a_chunked_body_is_a_body(self):
        http = self.server.http()
        pieces = [b'{"da', b'ta":1}\n{"data"', b":2}\n"]
        response = http.request("POST", "/v1/events", iter(pieces),
                                {"Content-Type": NDJSON, "Transfer-Encoding": "chunked"})
        self.assert_receipt(stored(response), first=1, last=2)

    def test_expect_100_continue_is_answered_before_the_body_is_sent(self):
        wire = self.server.wire()
        wire.send(b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                  b"Content-Length: 10\r\nExpect: 100-continue\r\n\r\n")
        self.assertEqual(wire.response().status, 100)
        wire.send(b'{"data":1}')
        self.assert_receipt(stored(wire.response()), first=1)

    def test_requests_at_the_same_time_stay_whole_and_consecutive(self):
        count, size = scaled(40, 8), 25

        def publisher(name):
            http = self.server.http()
            return [stored(http.request("POST", "/v1/events", ndjson(
                {"data": {"who": name, "batch": batch, "i": i}} for i in range(size)),
                {"Content-Type": NDJSON})) for batch in range(count)]

        receipts = in_parallel([lambda name=name: publisher(name) for name in range(4)])
        events = self.server.everything()
        self.assertEqual(seqs(events), list(range(1, 4 * count * size + 1)))
        for name, own in enumerate(receipts):
            for batch, receipt in enumerate(own):
                self.assertEqual(receipt["last"] - receipt["first"] + 1, size)
                whole = events[receipt["first"] - 1:receipt["last"]]
                self.assertEqual([e["data"] for e in whole],
                                 [{"who": name, "batch": batch, "i": i} for i in range(size)])


class Names(PublishTest):

    def test_names_of_255_bytes_are_taken(self):
        names = ["n" * 255, "€" * 85, "a b/c?d#e%41", " ", "\"\\", "😀"]
        self.server.publish([{"stream": n, "type": n, "id": n, "data": 1} for n in names])
        for name, event in zip(names, self.server.everything(), strict=True):
            self.assertEqual((event["stream"], event["type"], event["id"]), (name, name, name))

    def test_bad_names_are_400_in_both_forms(self):
        for why, text in BAD_NAMES.items():
            for member in ("stream", "type", "id"):
                for rest in ('"data":1', '"x":1'):
                    with self.subTest(why, member=member, rest=rest):
                        self.assert_problem(self.server.post('{"%s":%s,%s}' % (member, text, rest)), 400)
            with self.subTest(why, member="connection_type"):
                self.assert_problem(self.server.post('{"connection_type":%s}' % text), 400)
        self.assert_nothing_stored()

    def test_an_escaped_name_is_the_same_name(self):
        stored(self.server.post(r'{"stream":"caf\u00e9","id":"\u0061","data":1}'))
        receipt = self.server.publish({"stream": "café", "id": "a", "data": 2})
        self.assert_receipt(receipt, duplicates=1, first=1)
        stream = self.server.get("/v1/streams/caf%C3%A9").json()
        self.assertEqual((stream["name"], stream["count"]), ("café", 1))


class Idempotency(PublishTest):

    def test_an_id_seen_before_is_not_stored_again(self):
        self.server.publish([{"data": 0}, {"stream": "s", "id": "a", "data": "original"}])
        receipt = self.server.publish({"stream": "s", "id": "a", "type": "other", "data": "again"})
        self.assert_receipt(receipt, first=2, last=2, count=0, duplicates=1, seqs=[2])
        self.assertEqual(self.server.event(2)["data"], "original")
        self.assertEqual(self.server.head(), 2)

    def test_an_id_is_unique_within_its_stream_only(self):
        self.server.publish([{"stream": s, "id": "a", "data": s} for s in ("x", "y", "z")])
        receipt = self.server.publish({"id": "a", "data": "default"})
        self.assert_receipt(receipt, first=4, count=1, duplicates=0)

    def test_events_without_id_are_never_duplicates(self):
        for seq in (1, 2, 3):
            self.assert_receipt(self.server.publish({"data": "same"}), first=seq, duplicates=0)

    def test_a_mixed_batch_tells_the_new_range_and_each_seq(self):
        self.server.publish([{"id": "a", "data": 1}, {"id": "b", "data": 2}])
        receipt = self.server.publish([{"id": i, "data": i} for i in ("c", "b", "d", "a", "e")])
        self.assert_receipt(receipt, first=3, last=5, count=3, duplicates=2, seqs=[3, 2, 4, 1, 5])
        self.assertEqual([e["id"] for e in self.server.everything()], ["a", "b", "c", "d", "e"])

    def test_a_batch_of_duplicates_tells_the_range_of_the_originals(self):
        self.server.publish([{"id": i, "data": 1} for i in "abcde"])
        receipt = self.server.publish([{"id": i, "data": 2} for i in "dbc"])
        self.assert_receipt(receipt, first=2, last=4, count=0, duplicates=3, seqs=[4, 2, 3])

    def test_an_id_twice_in_one_request_is_stored_once(self):
        receipt = self.server.publish([{"id": "a", "data": 1}, {"id": "b", "data": 2},
                                       {"id": "a", "data": 3}])
        self.assert_receipt(receipt, first=1, last=2, count=2, duplicates=1, seqs=[1, 2, 1])

    def test_an_id_twice_in_a_long_request_is_stored_once(self):
        names = list(range(5000))
        for again, first in (10, 9), (1500, 1030), (2047, 3), (2048, 2046), (4999, 1023):  # src/store: rows are stored by 1,024
            names[again] = first
        seqs, new = {}, []
        for name in names:
            if name not in seqs:
                seqs[name] = len(seqs) + 1
                new.append(name)
        receipt = self.server.publish_lines({"id": f"i{name}", "data": name} for name in names)
        self.assert_receipt(receipt, first=1, last=4995, count=4995, duplicates=5, seqs=[seqs[name] for name in names])
        self.assertEqual([event["data"] for event in self.server.everything()], new)

    def test_a_flat_event_has_its_id_too(self):
        self.server.publish({"connection_type": "kimi", "id": "a", "n": 1})
        self.assert_receipt(self.server.publish({"stream": "kimi", "id": "a", "data": 2}),
                            duplicates=1, first=1)

    def test_ids_are_remembered_across_restarts(self):
        count = scaled(3000, 100)
        self.server.publish_lines({"id": f"id-{i}", "data": i} for i in range(count))
        for crash in (self.server.stop, self.server.kill):
            crash()
            self.server.start()
            receipt = self.server.publish_lines({"id": f"id-{i}", "data": "x"} for i in range(count))
            self.assert_receipt(receipt, first=1, last=count, count=0, duplicates=count)
            self.assertEqual(receipt["seqs"], list(range(1, count + 1)))

    def test_the_same_id_at_the_same_time_is_stored_once(self):
        for i in range(scaled(20, 5)):
            receipts = in_parallel([lambda: self.server.publish({"id": f"i{i}", "data": 1})] * 4)
            self.assertEqual(sum(r["count"] for r in receipts), 1)
            self.assertEqual({r["first"] for r in receipts}, {i + 1})


class Expect(PublishTest):

    def test_expect_is_the_last_seq_of_the_stream(self):
        self.server.publish([{"stream": "a", "data": 1}, {"stream": "b", "data": 2}])
        self.assert_receipt(self.server.publish({"stream": "a", "data": 3}, expect=1), first=3)
        self.assert_receipt(self.server.publish({"stream": "b", "data": 4}, expect=2), first=4)
        self.assert_receipt(self.server.publish([{"stream": "a", "data": 5}] * 2, expect=3), last=6)

    def test_expect_zero_is_a_new_stream(self):
        self.assert_receipt(self.server.publish({"stream": "a", "data": 1}, expect=0), first=1)
        self.assert_problem(self.server.post({"stream": "a", "data": 2}, expect=0), 409)
        self.assert_receipt(self.server.publish({"stream": "b", "data": 1}, expect=0), first=2)

    def test_another_last_seq_is_409_and_nothing_is_stored(self):
        self.server.publish([{"stream": "a", "data": 1}, {"stream": "b", "data": 2}])
        for expect in (2, 3, 1000):
            with self.subTest(expect):
                self.assert_problem(self.server.post({"stream": "a", "data": 3}, expect=expect), 409)
        self.assert_problem(self.server.post({"stream": "c", "data": 3}, expect=2), 409)
        self.assert_nothing_stored(2)

    def test_expect_holds_after_a_restart(self):
        self.server.publish([{"stream": "a", "data": 1}, {"stream": "b", "data": 2}])
        self.server.restart()
        self.assert_problem(self.server.post({"stream": "a", "data": 3}, expect=2), 409)
        self.assert_receipt(self.server.publish({"stream": "a", "data": 3}, expect=1), first=3)

    def test_expect_is_for_one_stream(self):
        events = [{"stream": "a", "data": 1}, {"stream": "b", "data": 2}]
        self.assert_problem(self.server.post(events, expect=0), 400)
        self.assert_nothing_stored()

    def test_a_retry_with_expect_succeeds(self):
        event = {"stream": "a", "id": "once", "data": 1}
        self.server.publish(event, expect=0)
        receipt = self.server.publish(event, expect=0)
        self.assert_receipt(receipt, first=1, count=0, duplicates=1, seqs=[1])

    def test_a_bad_expect_is_400_that_names_it(self):
        for value in ("-1", "x", "", "1.5", "9007199254740992", "0x1", "1 "):
            with self.subTest(value):
                self.assert_problem(self.server.post({"data": 1}, expect=value), 400, "expect")
        self.assert_problem(self.server.post({"data": 1}, expect=[0, 0]), 400, "expect")
        self.assert_problem(self.server.post({"data": 1}, surprise=1), 400, "surprise")
        self.assert_nothing_stored()

    def test_of_many_that_expect_the_same_one_wins(self):
        for last in range(scaled(20, 5)):
            responses = in_parallel(
                [lambda: self.server.post({"stream": "a", "data": 1}, expect=last)] * 4)
            self.assertEqual(sorted(r.status for r in responses), [201, 409, 409, 409])


class Payload(PublishTest):

    def test_payloads_stay_as_sent_in_every_form_of_request(self):
        single = [stored(self.server.post('{"data":%s}' % text)) for text in VERBATIM]
        self.assertEqual([r["first"] for r in single], list(range(1, len(VERBATIM) + 1)))
        stored(self.server.post("[%s]" % ",".join('{"data":%s}' % text for text in VERBATIM)))
        self.server.publish_lines('{"data":%s}' % text for text in VERBATIM)
        for got, sent in zip(self.server.lines(), VERBATIM * 3, strict=True):
            with self.subTest(sent):
                self.assertEqual(data_text(got), sent)

    def test_payloads_leave_as_they_came_in_every_form_of_answer(self):
        socket, source = self.server.live_reader(), self.server.sse()
        self.server.publish_lines('{"data":%s}' % text for text in VERBATIM)
        page = self.server.get("/v1/events", limit=1000).text
        for seq, sent in enumerate(VERBATIM, 1):
            with self.subTest(sent):
                envelope = self.server.event_text(seq)
                self.assertEqual(data_text(envelope), sent)
                self.assertEqual(socket.text(), envelope)
                self.assertEqual(source.message().data, envelope)
                self.assertIn(envelope, page)

    def test_payloads_survive_a_restart(self):
        self.server.publish_lines('{"data":%s}' % text for text in VERBATIM)
        before = self.server.lines()
        self.server.restart()
        self.assertEqual(self.server.lines(), before)

    def test_white_space_goes_outside_strings_only(self):
        for i, (sent, kept) in enumerate(SPACED, 1):
            stored(self.server.post(' { "data" : %s } ' % sent))
            self.assertEqual(data_text(self.server.event_text(i)), kept)

    def test_flat_events_stay_as_sent_too(self):
        text = ' { "b" : 1.10 , "type" : "t\\u0041" , "big":9007199254740993, "a":"\\/ " } '
        kept = '{"b":1.10,"type":"t\\u0041","big":9007199254740993,"a":"\\/ "}'
        stored(self.server.post(text))
        stored(self.server.post("[%s]" % text))
        stored(self.server.post(text + "\n", NDJSON))
        for line in self.server.lines():
            self.assertEqual(data_text(line), kept)
            self.assertEqual(json.loads(line)["type"], "tA")

    def test_every_envelope_has_its_members_in_order(self):
        self.server.publish([{"id": "i", "stream": "s", "type": "t", "data": 1}, {"n": 1}])
        for line in self.server.lines():
            self.assertRegex(line, ENVELOPE)


class Limits(TidemarkTest):

    def test_an_event_of_1_mib_is_taken_and_one_byte_more_is_413(self):
        server = self.serve()
        fits = '"%s"' % ("x" * (MIB - 2))
        stored(server.post('{"data":%s}' % fits))
        stored(server.post('{"data": \n%s%s}' % (" " * 5000, fits)))
        self.assertEqual(len(data_text(server.event_text(2))), MIB)
        self.assert_problem(server.post('{"data":"y%s}' % fits[1:]), 413)
        self.assertEqual(server.head(), 2)

    def test_an_oversized_event_in_a_batch_is_named(self):
        server = self.serve("--max-event", "1KiB")
        small, large = '{"data":1}', '{"data":"%s"}' % ("x" * KIB)
        self.assert_problem(server.post(f"[{small},{large},{small}]"), 413, index=1)
        self.assert_problem(server.post(f"{small}\n{small}\n{large}\n", NDJSON), 413, line=3)
        self.assertEqual(server.head(), 0)
        stored(server.post('{"data":"%s"}' % ("x" * (KIB - 2))))

    def test_a_body_over_max_request_is_413(self):
        server = self.serve("--max-request", "64KiB")
        line = '{"data":"%s"}\n' % ("x" * 100)
        body = (line * (64 * KIB // len(line) + 1)).encode()
        self.assert_problem(server.post(body, NDJSON), 413)
        http = server.http()
        response = http.request("POST", "/v1/events", iter([body[:40000], body[40000:]]),
                                {"Content-Type": NDJSON, "Transfer-Encoding": "chunked"})
        self.assert_problem(response, 413)
        self.assertEqual(server.head(), 0)
        stored(server.post(body[:len(line) * 100], NDJSON))

    def test_a_full_queue_is_429_or_503_with_retry_after_and_stores_nothing(self):
        server = self.serve("--queue-bytes", "64KiB")
        body = ndjson({"data": "x" * 1000} for _ in range(40))

        def publisher():
            http = server.http()
            return [http.request("POST", "/v1/events", body, {"Content-Type": NDJSON})
                    for _ in range(scaled(50, 10))]

        accepted = 0
        for response in sum(in_parallel([publisher] * 8), []):
            if response.status == 201:
                accepted += 1
                continue
            self.assertIn(response.status, (429, 503))
            self.assert_problem(response, response.status)
            self.assertRegex(response.headers["retry-after"], r"^\d+$")
        self.assertGreater(accepted, 0)
        self.assertEqual(server.head(), accepted * 40)


class Together(TidemarkTest):

    def test_requests_of_one_and_of_a_thousand_beside_each_other(self):
        """Each is stored whole and answered as if it were alone, also those that are parsed on another thread meanwhile."""
        server, rounds, receipts = self.serve(), scaled(40, 10), []
        wrong = ndjson([{"data": "x" * 100}] * 500) + b"{\n"

        def much(name):
            wire = server.http()
            for i in range(rounds):
                lines = ndjson([{"stream": name, "data": [i, n, "x" * 100]} for n in range(1000)])
                receipts.append((name, stored(wire.request("POST", "/v1/events", lines, {"Content-Type": NDJSON}))))
                refused = wire.request("POST", "/v1/events", wrong, {"Content-Type": NDJSON})
                self.assert_problem(refused, 400, line=501)

        def little(name):
            wire = server.http()
            while sum(receipt["count"] for _, receipt in receipts) < 2 * rounds * 1000:
                event = json.dumps({"stream": name, "data": len(receipts)})
                receipts.append((name, stored(wire.request("POST", "/v1/events", event, {"Content-Type": JSON}))))

        in_parallel([lambda: much("a"), lambda: much("b"), lambda: little("c")])
        receipts.sort(key=lambda one: one[1]["first"])
        want = [name for name, receipt in receipts for _ in range(receipt["count"])]
        events = server.everything()
        self.assertEqual([event["stream"] for event in events], want)
        for name in "ab":
            self.assertEqual([event["data"][:2] for event in events if event["stream"] == name],
                             [[i, n] for i in range(rounds) for n in range(1000)])


class Durability(TidemarkTest):

    def test_durability_tells_what_was_waited_for(self):
        for options, durability in [((), "fsync"), (("--durability", "fsync"), "fsync"),
                                    (("--durability", "relaxed"), "written")]:
            with self.subTest(options):
                receipt = self.serve(*options).publish({"data": 1})
                self.assertEqual(receipt["durability"], durability)

    def test_the_epoch_belongs_to_the_store(self):
        server, other = self.serve(), self.serve()
        epoch = server.publish({"data": 1})["epoch"]
        self.assertTrue(re.fullmatch(r"\S+", epoch))
        self.assertNotEqual(other.publish({"data": 1})["epoch"], epoch)
        server.restart()
        self.assertEqual(server.publish({"data": 2})["epoch"], epoch)

    def test_publishing_is_507_while_the_disk_reserve_is_not_free(self):
        server = self.serve()
        server.publish({"data": 1})
        server.restart("--disk-reserve", "1000000GiB")
        self.assert_problem(server.post({"data": 2}), 507)
        self.assertEqual(server.get("/readyz").status, 503)
        self.assertEqual(server.head(), 1)
        self.assertEqual(server.event(1)["data"], 1)
        server.restart("--disk-reserve", "0")
        self.assert_receipt(server.publish({"data": 2}), first=2)


if __name__ == "__main__":
    unittest.main()
