#!/usr/bin/env python3
"""GET /v1/ws: hello, replay, live, gap, publish, ping, errors, and the protocol below."""

import json
import threading
import time
import unittest

from case import TidemarkTest
from load import KIB, scaled
from text import JSON, seqs
from waiting import Task, in_parallel, wait_until
from websocket_client import CLOSE, CONTINUATION, PING, TEXT, Closed, frame, handshake
from wire import DEADLINE_S, Refused


class Handshake(TidemarkTest):

    def setUp(self):
        self.server = self.serve()

    def refusal(self, headers=None, **query):
        with self.assertRaises(Refused) as refused:
            self.server.websocket(headers=headers, **query)
        return refused.exception.response

    def test_a_get_without_upgrade_is_426(self):
        self.assert_problem(self.server.get("/v1/ws"), 426)

    def test_a_bad_query_is_a_400_that_names_it(self):
        for name, value in [("after", "-1"), ("after", "x"), ("after", ""), ("after", "1.5"),
                            ("after", "9007199254740992"), ("after", ["1", "2"]),
                            ("speed", "0"), ("speed", "-1"), ("speed", "fast"),
                            ("session", ""), ("session", "s" * 256), ("session", "a\nb"),
                            ("stream", ""), ("stream", "s" * 256), ("type", "a\0b"),
                            ("epoch", ["a", "b"]), ("limit", "5"), ("surprise", "1")]:
            with self.subTest(name=name, value=value):
                self.assert_problem(self.refusal(**{name: value}), 400, name)

    def test_a_foreign_origin_is_refused_and_an_allowed_one_is_not(self):
        self.assertEqual(self.refusal({"Origin": "http://evil.example"}).status, 403)
        self.server.websocket(headers={"Origin": self.server.url})
        self.server.restart("--allow-origin", "https://app.example",
                            "--allow-origin", "http://other.example:81")
        for origin in ("https://app.example", "http://other.example:81"):
            self.server.websocket(headers={"Origin": origin})
        for origin in ("http://app.example", "https://app.example.evil", "http://other.example", "null"):
            with self.subTest(origin):
                self.assertEqual(self.refusal({"Origin": origin}).status, 403)


    def test_a_handshake_may_be_long_and_offer_what_it_likes(self):
        many = [f"none{i}" for i in range(60)]
        for headers, query in [({"Cookie": "c=" + "x" * 4000}, {}), ({}, {"stream": many}),
                               ({"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}, {}),
                               ({"Connection": "keep-alive, Upgrade", "Upgrade": "WebSocket"}, {}),
                               ({"Pragma": "no-cache", "User-Agent": "x" * 300}, {"type": many})]:
            with self.subTest(headers=headers, query=query):
                self.assertEqual(self.server.websocket(headers=headers, **query).receive()["op"], "hello")

    def test_a_handshake_with_an_unknown_subprotocol_is_answered(self):
        try:
            socket = self.server.websocket(headers={"Sec-WebSocket-Protocol": "chat, superchat"})
            self.assertEqual(socket.receive()["op"], "hello")
        except Refused as refused:
            self.assert_problem(refused.response, 400)

    def test_a_handshake_that_is_too_long_is_answered(self):
        for count in (100, 120, 200, 400, 1000):
            with self.subTest(count):
                try:
                    self.server.websocket(stream=[f"stream-{i}" for i in range(count)])
                except Refused as refused:
                    self.assertIn(refused.response.status, (400, 414, 431))

    def test_a_handshake_may_come_in_any_pieces(self):
        ping = frame(TEXT, b'{"op":"ping"}')
        for pieces in ([handshake("/v1/ws", "localhost") + ping + ping],
                       [bytes([byte]) for byte in handshake("/v1/ws", "localhost") + ping + ping]):
            wire = self.server.wire()
            for piece in pieces:
                wire.send(piece)
            deadline = time.monotonic() + DEADLINE_S
            self.assertEqual(wire.head(deadline)[0], 101)
            while wire.buffer.count(b'"pong"') < 2:
                self.assertTrue(wire.more(deadline))


class Reading(TidemarkTest):

    def setUp(self):
        self.server = self.serve()

    def fill(self, count=10):
        self.server.publish([{"stream": "ab"[i % 2], "type": "xyz"[i % 3], "data": i + 1}
                             for i in range(count)])

    def read(self, count, **query):
        """The frames of a new reader up to `live` or `count` of them."""
        socket = self.server.websocket(**query)
        frames = [socket.receive()]
        while len(frames) < count and frames[-1].get("op") != "live":
            frames.append(socket.receive())
        return frames

    def test_hello_comes_first_and_tells_where_reading_starts(self):
        self.fill()
        epoch = self.server.history()["epoch"]
        for after, expected in [({}, 10), ({"after": "head"}, 10), ({"after": "first"}, 0),
                                ({"after": 0}, 0), ({"after": 4}, 4), ({"after": 10}, 10)]:
            with self.subTest(after):
                hello = self.server.websocket(**after).receive()
                self.assertEqual(list(hello), ["op", "epoch", "first", "head", "after", "session"])
                self.assertEqual(hello, {"op": "hello", "epoch": epoch, "first": 1, "head": 10,
                                         "after": expected, "session": None})

    def test_an_empty_store_is_live_at_once(self):
        for after in ({}, {"after": "first"}, {"after": "head"}, {"after": 0}):
            with self.subTest(after):
                socket = self.server.reader(**after)
                self.assertEqual((socket.hello["head"], socket.hello["after"]), (0, 0))
                self.assertEqual(socket.receive(), {"op": "live", "seq": 0})

    def test_replay_then_live_then_what_is_published(self):
        self.fill()
        socket = self.server.reader(after=3)
        self.assertEqual(seqs(socket.receive() for _ in range(7)), [4, 5, 6, 7, 8, 9, 10])
        self.assertEqual(socket.receive(), {"op": "live", "seq": 10})
        self.fill(3)
        self.assertEqual(seqs(socket.receive() for _ in range(3)), [11, 12, 13])
        socket.send({"op": "ping"})
        self.assertEqual(socket.receive(), {"op": "pong", "head": 13})

    def test_a_reader_of_the_whole_past_gets_it_from_the_first_event(self):
        self.fill()
        for after in ("first", 0):
            frames = self.read(100, after=after)
            self.assertEqual(seqs(frames[1:-1]), list(range(1, 11)))
            self.assertEqual(frames[-1], {"op": "live", "seq": 10})

    def test_events_are_bare_envelopes_byte_for_byte(self):
        self.server.publish([{"id": "i", "data": {"é": "\n"}}, {"flat": [1.5]}])
        socket = self.server.reader(after="first")
        for seq in (1, 2):
            self.assertEqual(socket.text(), self.server.event_text(seq))

    def test_filters_by_stream_and_type_are_any_of(self):
        self.fill(60)
        events = self.server.everything()
        for streams, types in [(["a"], []), ([], ["x"]), (["a", "b"], ["y"]), (["a"], ["x", "z"]),
                               (["nothing"], []), (["b", "nothing"], ["x", "y", "z"])]:
            with self.subTest(streams=streams, types=types):
                frames = self.read(100, after="first", stream=streams, type=types)
                self.assertEqual(frames[1:-1], [
                    e for e in events if (not streams or e["stream"] in streams)
                    and (not types or e["type"] in types)])
                self.assertEqual(frames[-1]["op"], "live")

    def test_a_filter_holds_for_live_events_too(self):
        socket = self.server.live_reader(stream="b", type=["x", "z"])
        self.fill(12)
        wanted = [e for e in self.server.everything() if e["stream"] == "b" and e["type"] in "xz"]
        self.assertEqual(socket.events(len(wanted)), wanted)
        self.assertEqual(socket.ping()["head"], 12)

    def test_a_stream_that_comes_to_be_later_is_followed(self):
        socket = self.server.live_reader(stream="later")
        self.fill()
        self.server.publish({"stream": "later", "data": 1})
        self.assertEqual(socket.event()["seq"], 11)

    def test_all_readers_get_the_same(self):
        readers = [self.server.live_reader() for _ in range(30)]
        self.fill(100)
        expected = self.server.lines()
        for reader in readers:
            self.assertEqual([reader.text() for _ in expected], expected)

    def test_replay_is_the_same_from_memory_and_from_the_store(self):
        self.server.restart("--ring", "64KiB")
        for i in range(20):
            self.server.publish([{"stream": f"s{j % 7}", "data": "x" * 500} for j in range(50)])
        expected = self.server.lines()
        for after in (0, 1, 499, 990, 999):
            socket = self.server.reader(after=after)
            self.assertEqual([socket.text() for _ in expected[after:]], expected[after:])
            self.assertEqual(socket.receive(), {"op": "live", "seq": 1000})

    def test_speed_keeps_the_original_distances_in_time(self):
        self.server.publish({"data": 1})
        time.sleep(1.5)
        self.server.publish({"data": 2})
        took = {}
        for speed in (1, 100):
            begin = time.monotonic()
            socket = self.server.reader(after="first", speed=speed)
            self.assertEqual(seqs(socket.events(2)), [1, 2])
            took[speed] = time.monotonic() - begin
        self.assertGreaterEqual(took[1], 1.4)
        self.assertLess(took[100], took[1])


class Gaps(TidemarkTest):

    def setUp(self):
        self.server = self.serve()
        self.epoch = self.server.publish([{"data": i} for i in range(5)])["epoch"]

    def test_a_position_past_the_head_is_a_gap_and_reading_goes_on_at_the_head(self):
        socket = self.server.reader(after=100)
        self.assert_gap(socket.receive(), "ahead", requested=100, first=1)
        self.assertEqual(socket.receive(), {"op": "live", "seq": 5})
        self.server.publish({"data": "next"})
        self.assertEqual(socket.receive()["seq"], 6)

    def test_the_epoch_of_another_store_is_a_gap_and_reading_starts_at_the_first_event(self):
        for after in ({"after": 3}, {"after": "head"}, {"after": 100}, {}):
            with self.subTest(after):
                socket = self.server.reader(epoch="another", **after)
                gap = socket.receive()
                self.assert_gap(gap, "epoch", first=1)
                if after.get("after") == 3:
                    self.assertEqual(gap["requested"], 3)
                self.assertEqual(seqs(socket.events(5)), [1, 2, 3, 4, 5])
                self.assertEqual(socket.receive(), {"op": "live", "seq": 5})

    def test_the_known_epoch_is_no_gap(self):
        socket = self.server.reader(epoch=self.epoch, after=3)
        self.assertEqual(seqs(socket.receive() for _ in range(2)), [4, 5])


class Publishing(TidemarkTest):

    def setUp(self):
        self.server = self.serve()
        self.socket = self.server.live_reader(stream="nothing")

    def error(self, document, status=400, ref=None):
        """Sends what must be answered by an error; the connection stays open."""
        (self.socket.send_text if isinstance(document, (str, bytes)) else self.socket.send)(document)
        error = self.socket.op("error")
        self.assertEqual(error["status"], status, error)
        self.assertIsInstance(error["title"], str)
        self.assertIsInstance(error["detail"], str)
        self.assertEqual(error.get("ref"), ref, error)
        self.assertEqual(self.socket.ping()["head"], self.server.head())
        return error

    def test_publish_is_answered_once_stored(self):
        reply = self.socket.publish([{"stream": "s", "type": "t", "id": "i", "data": 1}, {"n": 1}], "r1")
        self.assertEqual(reply, {"op": "published", "ref": "r1", "first": 1, "last": 2, "count": 2,
                                 "duplicates": 0, "epoch": self.server.history()["epoch"]})
        first, second = self.server.everything()
        self.assertEqual((first["stream"], first["type"], first["id"], first["data"]),
                         ("s", "t", "i", 1))
        self.assertEqual(second["data"], {"n": 1})

    def test_the_reply_carries_the_ref_it_was_given(self):
        for ref in ("text", "é\"\\", 7, 9007199254740991, 0, ""):
            with self.subTest(ref):
                self.assertEqual(self.socket.publish([{"data": 1}], ref)["ref"], ref)

    def test_replies_come_for_each_of_many_requests_in_flight(self):
        for ref in range(200):
            self.socket.send({"op": "publish", "ref": ref, "events": [{"data": ref}] * 3})
        replies = [self.socket.op("published") for _ in range(200)]
        self.assertEqual(sorted(r["ref"] for r in replies), list(range(200)))
        for reply in replies:
            self.assertEqual(reply["last"] - reply["first"], 2)
            self.assertEqual(self.server.event(reply["first"])["data"], reply["ref"])

    def test_duplicates_are_told(self):
        self.socket.publish([{"id": "a", "data": 1}, {"id": "b", "data": 1}])
        reply = self.socket.publish([{"id": "b", "data": 2}, {"id": "c", "data": 2}])
        self.assertEqual((reply["first"], reply["last"], reply["count"], reply["duplicates"]),
                         (3, 3, 1, 1))
        reply = self.socket.publish([{"id": "a", "data": 3}])
        self.assertEqual((reply["first"], reply["last"], reply["count"], reply["duplicates"]),
                         (1, 1, 0, 1))

    def test_payloads_stay_as_sent(self):
        self.socket.send_text(' {"op" : "publish", "ref":1, "events":[ {"data": 9007199254740993},'
                              '{"data" : [1.10, "\\u00e9\\/ "]}, {"b":1 , "a":2}]}')
        self.socket.op("published")
        self.assertEqual([line.rpartition('"data":')[2][:-1] for line in self.server.lines()],
                         ["9007199254740993", '[1.10,"\\u00e9\\/ "]', '{"b":1,"a":2}'])

    def test_a_publisher_reads_its_own_events_where_they_match(self):
        socket = self.server.live_reader()
        socket.send({"op": "publish", "ref": 1, "events": [{"data": 1}]})
        frames = [socket.receive(), socket.receive()]
        self.assertEqual({f.get("op", "event") for f in frames}, {"published", "event"})

    def test_a_bad_publish_is_an_error_with_its_ref_and_stores_nothing(self):
        good = {"data": 1}
        for events in ([], None, 5, {"data": 1}, "x", [good, 5], [good, {"stream": "", "data": 1}],
                       [good, {"stream": 1, "data": 1}], [[good]], [good, {"id": "a\0", "data": 1}]):
            with self.subTest(events=events):
                self.error({"op": "publish", "ref": "r", "events": events}, 400, "r")
        self.error({"op": "publish", "ref": "r"}, 400, "r")
        self.assertEqual(self.server.head(), 0)

    def test_expect_stores_only_behind_the_event_that_is_known(self):
        def publish(expect, ref, answer="published", stream="s"):
            self.socket.send({"op": "publish", "ref": ref, "events": [{"stream": stream, "data": ref}], "expect": expect})
            return self.socket.op(answer)

        self.assertEqual(publish(0, 1)["last"], 1)
        self.socket.publish([{"stream": "other", "data": 1}])
        refused = publish(0, 2, "error")
        self.assertEqual((refused["status"], refused["type"], refused["expected"], refused["actual"], refused["ref"]),
                         (409, "/problems/expectation-failed", 0, 1, 2))
        self.assertEqual(publish(2, 3, "error")["actual"], 1)
        self.assertEqual(publish(1, 4)["last"], 3)
        self.assertEqual(publish(0, 5, stream="new")["last"], 4)
        for wrong in (-1, "1", None, 1.5, 2 ** 53):
            self.error({"op": "publish", "events": [{"data": 1}], "expect": wrong})
        self.error({"op": "publish", "events": [{"stream": "s", "data": 1}, {"data": 1}], "expect": 3})
        self.assertEqual(self.server.head(), 4)

    def test_members_that_mean_nothing_are_errors(self):
        for text, name in (('{"op":"ping","x":1}', "x"), ('{"op":"ping","seq":1}', "seq"), ('{"op":"ack","seq":1,"events":[]}', "events"),
                           ('{"op":"publish","events":[{"data":1}],"expects":0}', "expects"), ('{"op":"ping","op":"ping"}', "op"),
                           ('{"op":"publish","events":[{"data":1}],"\\u0065vents":[{"data":2}]}', "vents")):
            with self.subTest(text):
                self.assertIn(name, self.error(text)["detail"])
        self.assertEqual(self.server.head(), 0)

    def test_unknown_and_malformed_messages_are_errors(self):
        for text in ('{"op":"surprise"}', '{"op":5}', "{}", "[]", "5", "null", '"ping"', "", " ",
                     '{"op":"ping"', "{op:ping}", '{"op":"ping"}{"op":"ping"}', '{"data":1}'):
            with self.subTest(text):
                self.error(text)
        self.error({"op": "surprise", "ref": 7}, 400, 7)

    def test_an_oversized_message_is_413_and_the_connection_stays_open(self):
        server = self.serve("--max-request", "64KiB", "--max-event", "4KiB")
        self.server, self.socket = server, server.live_reader()
        self.error({"op": "publish", "ref": 1, "events": [{"data": "x" * 70 * KIB}]}, 413)
        self.error({"op": "publish", "ref": 2, "events": [{"data": 1}, {"data": "x" * 5 * KIB}]}, 413, 2)
        self.assertEqual(server.head(), 0)
        self.socket.publish([{"data": "x" * 4000}] * 10)

    def test_messages_may_come_in_fragments(self):
        text = '{"op":"publish","ref":"é€😀","events":[{"data":"é€😀"}]}'.encode()
        for size in (1, 7, 30):
            pieces = [text[i:i + size] for i in range(0, len(text), size)]
            for i, piece in enumerate(pieces):
                self.socket.send_frame(TEXT if i == 0 else CONTINUATION, piece,
                                       fin=i == len(pieces) - 1)
                if i == 1:
                    self.socket.send_frame(PING, b"between")
            self.assertEqual(self.socket.op("published")["ref"], "é€😀")
            wait_until(lambda: self.socket.pongs or self.socket.ping(), "the pong has come")
            self.assertEqual(self.socket.pongs.pop(), b"between")
        self.assertEqual([e["data"] for e in self.server.everything()], ["é€😀"] * 3)

    def test_many_publishers_at_once(self):
        def publisher(name):
            socket = self.server.reader(stream="nothing")
            return [socket.publish([{"data": [name, i, j]} for j in range(5)]) for i in range(20)]

        events_of = {}
        for name, replies in enumerate(in_parallel([lambda n=n: publisher(n) for n in range(6)])):
            for i, reply in enumerate(replies):
                events_of[reply["first"]] = (reply["last"], [[name, i, j] for j in range(5)])
        events = self.server.everything()
        self.assertEqual(seqs(events), list(range(1, 601)))
        for first, (last, data) in events_of.items():
            self.assertEqual([e["data"] for e in events[first - 1:last]], data)


class LongBesideBrief(TidemarkTest):
    """Long messages are read by another thread while somebody else publishes little (decision 13). Shown to fail where what
    follows on the connection is read meanwhile: a small message then overtakes the large one before it."""

    def setUp(self):
        self.server = self.serve()
        self.socket = self.server.live_reader(stream="nothing")
        self.over = threading.Event()
        self.small = Task(self.publish_little)

    def tearDown(self):
        self.over.set()
        self.small.result()

    def publish_little(self):
        http = self.server.http()
        while not self.over.is_set():
            self.assertEqual(http.request("POST", "/v1/events", '{"data":0}', {"Content-Type": JSON}).status, 201)

    def long(self, value, *more):
        return [{"data": value, "text": "x" * 200}] * 400 + list(more)

    def test_messages_keep_their_order(self):
        rounds = scaled(60, 20)
        for i in range(rounds):
            self.socket.send({"op": "publish", "ref": 5 * i, "events": self.long(i)})
            self.socket.send({"op": "publish", "ref": 5 * i + 1, "events": [{"data": i}]})
            self.socket.send({"op": "publish", "ref": 5 * i + 2, "events": self.long(i, {"stream": ""})})
            self.socket.send_text('{"op":"ack","ref":%d,%s"seq":1}' % (5 * i + 3, " " * 40 * KIB))
            self.socket.send_text('{"op":"publish","ref":"%d",%s"events":[' % (5 * i + 4, " " * 40 * KIB))
        frames = []
        while len(frames) < 5 * rounds:
            frame = self.socket.receive()
            if frame["op"] in ("published", "error"):
                frames.append(frame)
        by_ref = {frame.get("ref", ""): frame for frame in frames}
        expected = 0
        for i in range(rounds):
            large, small, bad, ack = (by_ref[5 * i + k] for k in range(4))
            self.assertEqual((large["count"], small["count"]), (400, 1))
            self.assertGreater(large["first"], expected)
            self.assertGreater(small["first"], large["last"])
            expected = small["last"]
            self.assertEqual((bad["op"], bad["status"]), ("error", 400))
            self.assertEqual(bad["index"], 400)
            self.assertIn("session", ack["detail"])
        self.assertEqual(sum(frame["op"] == "error" for frame in frames), 3 * rounds)
        self.socket.ping()

    def test_what_a_client_sent_before_it_left_is_stored(self):
        for i in range(scaled(20, 8)):
            socket = self.server.live_reader(stream="nothing")
            socket.send({"op": "publish", "events": [{"stream": "left", "data": i}] * 2000})
            socket.leave()

        wait_until(lambda: self.stored("left") == 2000 * scaled(20, 8), "all of it is stored")

    def test_a_connection_may_go_while_its_message_is_read(self):
        for i in range(scaled(30, 8)):
            taken = self.server.live_reader(stream="nothing", session="s")
            taken.send({"op": "publish", "events": [{"stream": "taken", "data": i, "text": "x" * 200}] * 2000})
            self.server.websocket(stream="nothing", session="s").close()
            taken.closed()
        self.assertEqual(self.socket.publish([{"data": "on"}])["count"], 1)
        self.assertEqual(self.stored("taken") % 2000, 0, "batches are whole")

    def stored(self, stream):
        return {s["name"]: s["count"] for s in self.server.get("/v1/streams").json()["streams"]}.get(stream, 0)


class Protocol(TidemarkTest):

    def test_ping_op_tells_the_head(self):
        server = self.serve()
        socket = server.live_reader()
        socket.send({"op": "ping"})
        self.assertEqual(socket.receive(), {"op": "pong", "head": 0})
        server.publish([{"data": 1}] * 3)
        socket.events(3)
        self.assertEqual(socket.ping(), {"op": "pong", "head": 3})

    def test_a_protocol_ping_is_answered_with_its_payload(self):
        socket = self.serve().live_reader()
        for payload in (b"", b"payload", b"\x00\xff" * 62):
            socket.send_frame(PING, payload)
            wait_until(lambda: socket.ping() and socket.pongs, "the pong has come")
            self.assertEqual(socket.pongs.pop(), payload)

    def test_an_idle_reader_is_pinged_and_stays_while_it_answers(self):
        server = self.serve("--ping-interval", "1s")
        socket = server.live_reader()
        wait_until(lambda: socket.silent(0.2) and len(socket.pings) >= 4, "four pings have come")
        server.publish({"data": 1})
        self.assertEqual(socket.event()["seq"], 1)

    def test_a_peer_silent_for_two_intervals_is_closed(self):
        server = self.serve("--ping-interval", "1s")
        deaf, well = server.live_reader(), server.live_reader()
        deaf.answer_pings = False
        begin = time.monotonic()
        wait_until(lambda: well.silent(0.05) and self.has_ended(deaf), "the silent peer is closed")
        self.assertGreaterEqual(time.monotonic() - begin, 1.5)
        self.assertGreater(len(deaf.pings), 0)
        server.publish({"data": 1})
        self.assertEqual(well.event()["seq"], 1)

    def has_ended(self, socket):
        try:
            return not socket.silent(0.05)
        except Closed:
            return True

    def test_a_close_is_answered(self):
        server = self.serve()
        self.assertEqual(server.live_reader().leave(1000).code, 1000)
        self.assertEqual(server.live_reader().leave(3000).code, 3000)
        socket = server.live_reader()
        socket.send_frame(CLOSE, b"")
        self.assertIn(socket.closed().code, (1000, 1005))

    def test_a_server_that_shuts_down_closes_with_1001(self):
        server = self.serve()
        sockets = [server.live_reader() for _ in range(5)]
        server.publish([{"data": i} for i in range(10)])
        for socket in sockets:
            self.assertEqual(seqs(socket.events(10)), list(range(1, 11)))
        server.stop()
        for socket in sockets:
            self.assertEqual(socket.closed().code, 1001)

    def test_readers_that_vanish_leave_the_others_alone(self):
        server = self.serve()
        well = server.live_reader()
        for i in range(20):
            gone = server.reader(after="first")
            gone.close()
            server.publish({"data": i})
        self.assertEqual(seqs(well.events(20)), list(range(1, 21)))

    def test_a_large_event_arrives_whole(self):
        server = self.serve()
        socket = server.live_reader()
        data = "é" * 400_000
        socket.send({"op": "publish", "ref": 1, "events": [{"data": data}]})
        frames = [socket.receive(), socket.receive()]
        event = next(f for f in frames if "op" not in f)
        self.assertEqual(event["data"], data)
        self.assertEqual(json.loads(server.event_text(1))["data"], data)


if __name__ == "__main__":
    unittest.main()
