#!/usr/bin/env python3
"""Attacks and accidents: each gets its answer, stores nothing, and disturbs nobody."""

import contextlib
import random
import select
import socket
import time
import unittest

from case import TidemarkTest
from load import KIB, MIB, memory, scaled
from text import JSON, NDJSON, ndjson
from waiting import wait_until
from websocket_client import BINARY, CLOSE, CONTINUATION, PING, TEXT, Closed, frame, handshake
from wire import DEADLINE_S, Refused, TimedOut, Wire

DEEP = 100_000

MALFORMED = {
    "empty": b"", "white space": b" \t\r\n", "a word": b"hello", "open object": b'{"data":1',
    "open array": b'[{"data":1}', "open string": b'{"data":"x', "open escape": b'{"data":"\\',
    "cut in a number": b'{"data":-', "cut in a literal": b'{"data":tru', "bare comma": b'{"data":1,}',
    "comma in an array": b'[{"data":1},]', "two commas": b'[{"data":1},,{"data":2}]',
    "no colon": b'{"data" 1}', "no quotes": b"{data:1}", "single quotes": b"{'data':1}",
    "leading zero": b'{"data":01}', "no digit after the point": b'{"data":1.}',
    "no digit before the point": b'{"data":.5}', "plus": b'{"data":+1}', "hexadecimal": b'{"data":0x1}',
    "no exponent": b'{"data":1e}', "NaN": b'{"data":NaN}', "infinity": b'{"data":-Infinity}',
    "a comment": b'{"data":1/* x */}', "bad escape": b'{"data":"\\x41"}', "cut \\u": b'{"data":"\\u12"}',
    "raw line feed in a string": b'{"data":"a\nb"}', "raw tab in a string": b'{"data":"a\tb"}',
    "raw NUL in a string": b'{"data":"a\0b"}', "NUL": b"\0", "NUL after": b'{"data":1}\0',
    "two documents": b'{"data":1}{"data":2}', "a name that is a number": b'{1:1}',
    "deep arrays": b'{"data":' + b"[" * DEEP + b"]" * DEEP + b"}", "deep open arrays": b"[" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP, "form feed": b'{"data":\f1}',
    "no-break space": '{"data":\u00a01}'.encode(), "utf-16": '{"data":1}'.encode("utf-16"),
}

NOT_UTF8 = {
    "a lone byte": b"\xff", "a lone continuation": b"\x80", "overlong": b"\xc0\xaf",
    "overlong NUL": b"\xc0\x80", "a surrogate": b"\xed\xa0\x80", "past U+10FFFF": b"\xf4\x90\x80\x80",
    "cut": b"\xe2\x82", "latin-1": "é".encode("latin-1"),
}

GARBAGE = {
    "random bytes": random.Random(3).randbytes(10_000),
    "a word": b"hello\r\n\r\n", "a method": b"GET\r\n\r\n", "no version": b"GET /v1/events\r\n\r\n",
    "another version": b"GET /v1/events HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    "a long method": b"G" * 100_000 + b" / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a long path": b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a long query": b"GET /v1/events?stream=" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a long header": b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 500_000 + b"\r\n\r\n",
    "many headers": b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 50_000 + b"\r\n",
    "a header without a colon": b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nnonsense\r\n\r\n",
    "NUL in a header": b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n",
    "NUL in the path": b"GET /v1/events\0/x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "negative length": b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n{}",
    "length of letters": b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: abc\r\n\r\n{}",
    "endless length": b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n{",
    "bad chunk size": b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                      b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
}

UNFINISHED = {
    "zeros": bytes(5000), "line ends": b"\r\n" * 50, "a letter": b"G", "half a line": b"GET / HT",
    "TLS": bytes.fromhex("16030100c8010000c403035f") + bytes(190),
    "half a head": b"POST /v1/events HTTP/1.1\r\nHo",
    "half a handshake": b"GET /v1/ws HTTP/1.1\r\nUpgrade: websocket\r\n",
    "no body": b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
               b"Content-Length: 10\r\n\r\n",
    "endless chunk": b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}",
}
WITH_A_BODY = ("no body", "endless chunk")  # of UNFINISHED: their heads are whole

TRAVERSALS = [
    "/../../../../etc/passwd", "/..%2f..%2f..%2fetc%2fpasswd", "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/static/../../../../etc/passwd", "/static/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/etc/passwd",
    "/v1/events/../../../etc/passwd", "/v1/streams/..%2f..%2f..%2fetc%2fpasswd", "/.%00./etc/passwd",
    "/v1/sessions/../../etc/passwd", "/..\\..\\..\\etc\\passwd", "/tidemark.db", "/../tidemark.db",
]


class Attack(TidemarkTest):
    """A server with two other clients, who must not notice anything."""

    OPTIONS = ()

    def setUp(self):
        self.server = self.serve(*self.OPTIONS)
        self.head = self.server.publish({"data": "before"})["last"]
        self.socket = self.server.live_reader()
        self.source = self.server.sse()

    def assert_untouched(self):
        """Alive, nothing stored, and the others get just what is published now."""
        self.assertTrue(self.server.is_alive())
        self.assertEqual(self.server.get("/healthz").status, 200)
        self.assertEqual(self.server.head(), self.head)
        self.socket.send({"op": "ping"})
        self.assertEqual(self.socket.receive(), {"op": "pong", "head": self.head})
        self.head += 1
        self.assertEqual(self.server.publish({"data": "after"})["first"], self.head)
        self.assertEqual(self.socket.receive()["seq"], self.head)
        self.assertEqual(self.source.event()["seq"], self.head)

    @contextlib.contextmanager
    def attack(self, name):
        with self.subTest(name):
            yield
        self.assert_untouched()


class BadBodies(Attack):

    def test_malformed_json_is_400(self):
        for name, body in MALFORMED.items():
            with self.attack(name):
                self.assert_problem(self.server.post(body), 400)

    def test_a_malformed_line_is_400_and_named(self):
        for name, bad in MALFORMED.items():
            if b"\n" in bad or not bad.strip():
                continue  # more lines than one, or a blank one
            with self.attack(name):
                body = b'{"data":1}\n' * 3 + bad + b"\n" + b'{"data":1}\n' * 3
                self.assert_problem(self.server.post(body, NDJSON), 400, line=4)

    def test_text_that_is_not_utf8_is_400(self):
        for name, bad in NOT_UTF8.items():
            for place in (b'{"data":"%s"}', b'{"data":{"%s":1}}', b'{"stream":"%s","data":1}',
                          b'{"x":"%s"}', b'{"data":1}%s'):
                with self.attack((name, place)):
                    self.assert_problem(self.server.post(place % bad), 400)
            with self.attack((name, "line")):
                self.assert_problem(self.server.post(b'{"data":1}\n{"data":"%s"}\n' % bad, NDJSON),
                                    400, line=2)
            with self.attack((name, "array")):
                self.assert_problem(self.server.post(b'[{"data":1},{"data":"%s"}]' % bad), 400)

    def test_nesting_has_a_limit(self):
        for depth, status in [(900, 201), (1100, 400), (10_000, 400), (DEEP, 400), (1_000_000, 400)]:
            for open_, close in (("[", "]"), ('{"a":', "}")):
                if depth == 1_000_000 and open_ != "[":
                    continue
                text = '{"data":%s1%s}' % (open_ * depth, close * depth)
                if len(text) > MIB and status == 400:  # too large and too deep: either is a reason
                    self.assertIn(self.server.post(text).status, (400, 413))
                    continue
                response = self.server.post(text)
                self.assertEqual(response.status, status, depth)
                if status == 201:
                    self.head += 1
                    self.assertEqual(self.socket.receive()["seq"], self.head)
                    self.assertEqual(self.source.event()["seq"], self.head)
        self.assert_untouched()

    def test_a_path_that_is_no_text_is_400(self):
        for path in ("/v1/streams/%ff", "/v1/sessions/%ff", "/v1/sessions/a%c0%80", "/v1/leases/%ed%a0%80", "/v1/archives/%ff",
                     "/%ff", "/static/%ff", "/v1/events/%ff", "/v1/streams/%zz", "/v1/streams/%"):
            with self.attack(path):
                self.assert_problem(self.server.get(path), 400, "URL")
        with self.attack("text"):
            self.assert_problem(self.server.get("/v1/streams/%C3%A4%2F"), 404)

    def test_a_2_mib_event_is_413(self):
        large = '{"data":"%s"}' % ("x" * 2 * MIB)
        with self.attack("alone"):
            self.assert_problem(self.server.post(large), 413)
        with self.attack("in a line"):
            self.assert_problem(self.server.post('{"data":1}\n%s\n{"data":2}' % large, NDJSON), 413, line=2)
        with self.attack("flat"):
            self.assert_problem(self.server.post('{"x":"%s"}' % ("x" * 2 * MIB)), 413)

    def test_a_body_that_breaks_off_stores_nothing(self):
        lines = ndjson([{"data": i} for i in range(50)])
        head = b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
        cases = {
            "length": head + b"Content-Length: %d\r\n\r\n" % (len(lines) + 10) + lines,
            "length, mid-line": head + b"Content-Length: %d\r\n\r\n" % len(lines) + lines[:-3],
            "chunked": head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(lines) + lines + b"\r\n",
        }
        for name, request in cases.items():
            for abrupt in (False, True):
                with self.attack((name, abrupt)):
                    wire = self.server.wire()
                    wire.send(request)
                    if abrupt:  # a reset rather than an orderly end
                        wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                        wire.close()
                    else:
                        wire.sock.shutdown(socket.SHUT_WR)
        self.server.restart()  # which finishes whatever was accepted
        self.assertEqual(self.server.head(), self.head)

    def test_a_huge_body_is_refused_without_taking_memory(self):
        before = self.server.rss()
        with self.attack("a terabyte"):
            wire = self.server.wire()
            wire.send(b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
                      b"Content-Length: 1099511627776\r\n\r\n" + b'{"data":1}\n' * 1000)
            self.assert_problem(wire.response(), 413)
        with self.attack("endless chunks"):
            wire = self.server.wire()
            wire.send(b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
                      b"Transfer-Encoding: chunked\r\n\r\n")
            chunk = b"10000\r\n" + b'{"data":"%s"}\n' % (b"x" * (0x10000 - 12)) + b"\r\n"
            with contextlib.suppress(ConnectionError):
                for _ in range(64 * MIB // len(chunk)):
                    wire.send(chunk)
        self.assertLess(self.server.rss() - before, memory(96))


class Connections(Attack):

    TIMEOUT_S = 2
    OPTIONS = ("--handshake-timeout", f"{TIMEOUT_S}s")

    def answer(self, request):
        """The status of the answer, or None where the connection was just ended."""
        wire = self.server.wire()
        with contextlib.suppress(ConnectionError):
            wire.send(request)
        try:
            return wire.response().status
        except ConnectionError:
            return None

    def test_http_garbage_is_answered_by_an_error_or_the_end(self):
        for name, garbage in GARBAGE.items():
            with self.attack(name):
                status = self.answer(garbage)
                self.assertTrue(status is None or 400 <= status < 600, status)

    def test_half_a_request_and_then_the_end_is_nothing(self):
        for name, request in UNFINISHED.items():
            with self.attack(name):
                for end in (lambda wire: wire.sock.shutdown(socket.SHUT_WR), Wire.close):
                    wire = self.server.wire()
                    wire.send(request)
                    end(wire)

    def test_an_upgrade_to_h2c_is_not_followed(self):
        for path in ("/", "/v1/events", "/v1/ws"):
            for upgrade in ("h2c", "H2C", "h2c, websocket", "websocket, h2c"):
                with self.attack((path, upgrade)):
                    wire = self.server.wire()
                    wire.send((f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: {upgrade}\r\n"
                               "Connection: Upgrade, HTTP2-Settings\r\n"
                               "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n").encode())
                    response = wire.response()
                    self.assertNotEqual(response.status, 101)
                    self.assertLess(response.status, 500)

    def test_a_bad_websocket_handshake_is_refused(self):
        cases = {
            "another path": handshake("/v1/events", "t"), "an unknown path": handshake("/nothing", "t"),
            "no key": handshake("/v1/ws", "t", Sec_WebSocket_Key=None),
            "another version": handshake("/v1/ws", "t", Sec_WebSocket_Version="7"),
            "no upgrade": handshake("/v1/ws", "t", Upgrade=None),
            "another upgrade": handshake("/v1/ws", "t", Upgrade="chat"),
            "POST": handshake("/v1/ws", "t").replace(b"GET", b"POST", 1),
            "a long query": handshake("/v1/ws?stream=" + "a" * 100_000, "t"),
            "a traversal": handshake("/../v1/ws/../../etc/passwd", "t"),
        }
        for name, request in cases.items():
            with self.attack(name):
                self.assertNotEqual(self.answer(request), 101)

    def test_path_traversal_finds_nothing(self):
        for path in TRAVERSALS:
            with self.attack(path):
                wire = self.server.wire()
                wire.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                response = wire.response()
                self.assertIn(response.status, (400, 404))
                self.assertNotIn(b"root:", response.body)

    def test_a_thousand_silent_connections_are_closed_and_hold_no_one(self):
        silent = [self.server.wire() for _ in range(1000)]
        self.assert_untouched()
        self.server.live_reader().close()
        open_ = {wire.sock.fileno(): wire for wire in silent}
        poll = select.poll()
        for number in open_:
            poll.register(number, select.POLLIN)
        deadline = time.monotonic() + DEADLINE_S
        while open_:
            self.assertLess(time.monotonic(), deadline, f"{len(open_)} silent connections stay open")
            for number, _ in poll.poll(1000):
                self.assertEqual(open_[number].rest(), b"")
                poll.unregister(number)
                del open_[number]
        self.assert_untouched()

    def test_a_connection_that_falls_silent_before_its_request_is_whole_is_closed(self):
        deadline = time.monotonic() + 10 * self.TIMEOUT_S
        wires = {name: self.server.wire() for name in UNFINISHED if name not in WITH_A_BODY}
        for name, wire in wires.items():
            wire.send(UNFINISHED[name])
        for name, wire in wires.items():
            with self.attack(name):
                answer = wire.rest(deadline)
                self.assertTrue(answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:200])

    def test_random_mutations_of_requests_leave_it_alive(self):
        rng = random.Random(11)
        seeds = [b'POST /v1/events?expect=0 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
                 b'Content-Length: 10\r\n\r\n{"data":1}',
                 b"GET /v1/events?after=1&limit=5&stream=a&since=-5m HTTP/1.1\r\nHost: localhost\r\n\r\n",
                 b'PUT /v1/sessions/s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n\r\n{"acked":0}',
                 handshake("/v1/ws?after=first&session=s", "t") + frame(TEXT, b'{"op":"ping"}')]
        for _ in range(scaled(300, 60)):
            data = bytearray(rng.choice(seeds))
            for _ in range(rng.choice([1, 2, 8])):
                data[rng.randrange(len(data))] = rng.randrange(256)
            wire = self.server.wire()
            with contextlib.suppress(ConnectionError):
                wire.send(data)
                wire.sock.shutdown(socket.SHUT_WR)
            wire.close()
        self.assertTrue(self.server.is_alive())
        self.assertEqual(self.server.get("/healthz").status, 200)
        self.assertEqual(self.socket.ping()["op"], "pong")


class MessageAttack(Attack):

    def error(self, reader, status, **members):
        """The next frame is that error, and the connection goes on."""
        error = reader.op("error")
        self.assertEqual(error["status"], status, error)
        for name, value in members.items():
            self.assertEqual(error.get(name), value, error)
        self.assertEqual(reader.ping()["op"], "pong")


class LargeMessages(MessageAttack):

    def test_nesting_100000_deep_is_an_error(self):
        reader = self.server.live_reader(stream="nothing")
        with self.attack("deep"):
            reader.send_text(MALFORMED["deep objects"])
            self.error(reader, 400)
            reader.send_text(b'{"op":"publish","events":[%s]}' % MALFORMED["deep arrays"])
            self.error(reader, 400)

    def test_a_2_mib_event_is_413(self):
        reader = self.server.live_reader(stream="nothing")
        with self.attack("publish"):
            reader.send({"op": "publish", "ref": "r", "events": [{"data": 1}, {"data": "x" * 2 * MIB}]})
            self.error(reader, 413, ref="r")


class BadFrames(MessageAttack):
    """With limits that are soon reached."""

    OPTIONS = ("--max-request", "64KiB", "--max-event", "16KiB")

    def test_what_is_no_message_is_an_error_and_the_connection_stays_open(self):
        reader = self.server.live_reader(stream="nothing")
        for name, text in MALFORMED.items():
            if len(text) < 64 * KIB:
                with self.attack(name):
                    reader.send_text(text)
                    self.error(reader, 400)
        for name, bad in NOT_UTF8.items():
            with self.attack(name):
                reader.send_frame(TEXT, b'{"op":"publish","events":[{"data":"%s"}]}' % bad)
                self.error(reader, 400)
        with self.attack("deep"):
            reader.send_text(b'{"op":"publish","events":[{"data":%s}]}' % (b"[" * 8000 + b"]" * 8000))
            self.error(reader, 400)

    def test_a_binary_frame_is_an_error_and_the_connection_stays_open(self):
        reader = self.server.live_reader(stream="nothing")
        for payload in (b"", b"\x00\x01\x02", b'{"op":"publish","ref":1,"events":[{"data":1}]}'):
            with self.attack(payload):
                reader.send_frame(BINARY, payload)
                self.error(reader, 400)
        with self.attack("fragments"):
            reader.send_frame(BINARY, b'{"op":', fin=False)
            reader.send_frame(CONTINUATION, b'"ping"}')
            self.error(reader, 400)

    def test_a_message_over_the_limit_is_413_and_the_connection_stays_open(self):
        reader = self.server.live_reader(stream="nothing")
        body = b'{"op":"publish","ref":1,"events":[{"data":"%s"}]}' % (b"x" * 70 * KIB)
        with self.attack("one frame"):
            reader.send_frame(TEXT, body)
            self.error(reader, 413)
        with self.attack("fragments"):
            for at in range(0, len(body), KIB):
                reader.send_frame(TEXT if at == 0 else CONTINUATION, body[at:at + KIB],
                                  fin=at + KIB >= len(body))
            self.error(reader, 413)
        with self.attack("an event"):
            reader.send({"op": "publish", "ref": 9, "events": [{"data": "x" * 17 * KIB}]})
            self.error(reader, 413, ref=9)
        with self.attack("a binary one"):
            reader.send_frame(BINARY, body)
            self.assertIn(reader.op("error")["status"], (400, 413))
            self.assertEqual(reader.ping()["op"], "pong")

    def test_endless_fragments_take_no_memory(self):
        reader = self.server.live_reader(stream="nothing")
        before = self.server.rss()
        with self.attack("fragments"):
            with contextlib.suppress(ConnectionError):
                reader.send_frame(TEXT, b"[")
                reader.send_frame(TEXT, b"x" * 1000, fin=False)
                for _ in range(scaled(48, 16)):
                    reader.send_frame(CONTINUATION, b"x" * MIB, fin=False)
        self.assertLess(self.server.rss() - before, memory(32))

    def test_frames_that_break_the_protocol_end_their_connection_only(self):
        cases = {
            "reserved bits": frame(TEXT, b'{"op":"ping"}', reserved=4),
            "opcode 3": frame(3, b"x"), "opcode 11": frame(11, b"x"),
            "a ping in fragments": frame(PING, b"x", fin=False),
            "a ping of 126 bytes": frame(PING, b"x" * 126),
            "a continuation of nothing": frame(CONTINUATION, b"x"),
            "text within fragments": frame(TEXT, b"{", fin=False) + frame(TEXT, b"{}"),
            "a close of one byte": frame(CLOSE, b"\3"), "a close of 999": frame(CLOSE, b"\3\xe7"),
            "garbage": random.Random(5).randbytes(4000), "http": handshake("/v1/ws", "t"),
        }
        for name, data in cases.items():
            with self.attack(name):
                reader = self.server.live_reader(stream="nothing")
                with contextlib.suppress(ConnectionError):
                    reader.wire.send(data)
                self.assertNotEqual(reader.closed().code, 1000)

    def test_a_frame_that_promises_too_much_takes_no_memory(self):
        before = self.server.rss()
        for name, size in [("2^40", 1 << 40), ("2^63 - 1", (1 << 63) - 1), ("2^64 - 1", (1 << 64) - 1)]:
            with self.attack(name):
                reader = self.server.live_reader(stream="nothing")
                reader.wire.send(b"\x81\xff" + size.to_bytes(8, "big") + b"mask" + b"x" * 1000)
                reader.wire.send(b"y" * 100_000)
                with contextlib.suppress(Closed, ConnectionError, TimedOut):
                    self.assertEqual(reader.receive(5)["status"], 413)
                reader.close()
        self.assertLess(self.server.rss() - before, memory(32))

    def test_what_is_announced_as_too_large_is_refused_at_once(self):
        """Shown to fail without the protection: nothing is said until the rest has come, or a minute has passed."""
        for size, fin in ((70 * KIB, 0x81), (MIB, 0x01)):
            reader = self.server.live_reader(stream="nothing")
            reader.wire.send(bytes([fin, 0xff]) + size.to_bytes(8, "big") + bytes(4) + b"x")
            self.assertEqual(reader.op("error")["status"], 413)
            reader.wire.send(b"x" * (size - 1))
            if fin == 0x01:
                reader.send_frame(CONTINUATION, b"x")
            self.assertEqual(reader.ping()["op"], "pong")
        reader = self.server.live_reader(stream="nothing")
        reader.wire.send(b"\x81\xff" + (1 << 40).to_bytes(8, "big") + bytes(4) + b"x")
        self.assertEqual(reader.op("error")["status"], 413)
        self.assertEqual(reader.closed(5).code, 1009)

    def test_a_publish_that_breaks_off_stores_nothing(self):
        whole = frame(TEXT, b'{"op":"publish","ref":1,"events":[{"data":1}]}')
        for cut in (1, 3, 20, len(whole) - 1):
            with self.attack(cut):
                reader = self.server.live_reader(stream="nothing")
                reader.wire.send(whole[:cut])
                reader.close()
        with self.attack("fragment"):
            reader = self.server.live_reader(stream="nothing")
            reader.send_frame(TEXT, b'{"op":"publish","ref":1,"events":[{"data":1}]}', fin=False)
            reader.close()

    def test_unknown_ops_are_errors(self):
        reader = self.server.live_reader(stream="nothing")
        for text in ('{"op":"drop"}', '{"op":""}', '{"op":null}', '{"op":["publish"]}', '{"OP":"ping"}',
                     '{"op":"Publish","events":[{"data":1}]}', '{"events":[{"data":1}]}', '{"op":"hello"}'):
            with self.attack(text):
                reader.send_text(text)
                self.error(reader, 400)

    def test_a_bad_query_is_refused_before_the_connection_opens(self):
        for query in ({"after": "x"}, {"session": ""}, {"what": "1"}, {"after": "-5"}):
            with self.attack(query):
                with self.assertRaises(Refused) as refused:
                    self.server.websocket(**query)
                self.assert_problem(refused.exception.response, 400, list(query)[0])


class Flood(Attack):

    def test_a_flood_of_bad_requests_holds_no_one(self):
        http = self.server.http()
        with self.attack("flood"):
            for i in range(scaled(2000, 200)):
                response = http.request("POST", "/v1/events", b"[{}, {bad", {"Content-Type": JSON})
                self.assertEqual(response.status, 400)

    def test_a_flood_of_bad_messages_holds_no_one(self):
        reader = self.server.live_reader(stream="nothing")
        with self.attack("flood"):
            for _ in range(scaled(2000, 200)):
                reader.send_text("{bad")
            for _ in range(scaled(2000, 200)):
                self.assertEqual(reader.op("error")["status"], 400)

    def test_a_client_that_sends_and_never_reads_holds_no_one(self):
        reader = self.server.live_reader(stream="nothing")
        reader.wire.sock.settimeout(2)
        message = frame(TEXT, b'{"op":"ping"}') * 1000
        before = self.server.rss()
        with self.attack("pings"):
            with contextlib.suppress(OSError):
                for _ in range(scaled(2000, 200)):  # up to 38 MB, until the server stops reading
                    reader.wire.sock.sendall(message)
        self.assertLess(self.server.rss() - before, memory(48))

    def test_connections_that_come_and_go_leave_nothing_behind(self):
        before = self.server.descriptors()
        for _ in range(scaled(100, 30)):
            self.server.wire().close()
            self.server.live_reader().close()
            self.server.sse().close()
            self.server.get("/healthz")
        with self.attack("churn"):
            for _ in range(3):  # a publish wakes what waits, so that it notices its peer has left
                self.head += 1
                self.server.publish({"data": "wake"})
                self.assertEqual(self.socket.receive()["seq"], self.head)
                self.assertEqual(self.source.event()["seq"], self.head)
        wait_until(lambda: self.server.descriptors() <= before + 5, "the connections' descriptors are closed")


if __name__ == "__main__":
    unittest.main()
