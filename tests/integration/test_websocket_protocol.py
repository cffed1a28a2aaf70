#!/usr/bin/env python3
"""RFC 6455 around the messages: subprotocols, a token among them, Close frames and broken frames.

Shown to fail without the protection: with the offer not looked at a client that asks for another subprotocol is let in and fails by
itself; with bearer.TOKEN not taken it is a 401; with peer_closed left false what stands behind a Close is stored; without
close_frame_fault a Close is answered as it came; without on_ending a long ping is answered with no Close at all.
"""

import os
import time
import unittest

from case import TidemarkTest
from command import command
from waiting import wait_until
from websocket_client import CLOSE, CONTINUATION, PING, TEXT, WebSocket, frame
from wire import DEADLINE_S, Refused

PUBLISH = frame(TEXT, b'{"op":"publish","events":[{"data":1}]}')


class Subprotocols(TidemarkTest):

    def wires(self, server):
        used = server.wire()
        used.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertEqual(used.response().status, 200)
        return [server.wire(), used]

    def offer(self, server, wire, path, offered, **headers):
        return server.keep(WebSocket(server.address, path, wire=wire, Sec_WebSocket_Protocol=offered, **headers))

    def refusal(self, *arguments, **headers):
        with self.assertRaises(Refused) as refused:
            self.offer(*arguments, **headers)
        return refused.exception.response

    def test_ours_is_agreed(self):
        server = self.serve()
        for path in ("/v1/ws", "/ws", "/events"):
            for offered in ("tidemark.v1", "chat, tidemark.v1", "tidemark.v1,chat", "chat\r\nSec-WebSocket-Protocol: tidemark.v1"):
                for wire in self.wires(server):
                    with self.subTest(path=path, offered=offered):
                        socket = self.offer(server, wire, path, offered)
                        self.assertEqual(socket.answer["sec-websocket-protocol"], "tidemark.v1")

    def test_another_alone_is_refused(self):
        server = self.serve()
        for path in ("/v1/ws", "/ws", "/events"):
            for offered in ("chat", "chat, superchat", "TIDEMARK.V1", "tidemark.v2", "bearer.x"):
                for wire in self.wires(server):
                    with self.subTest(path=path, offered=offered):
                        self.assert_problem(self.refusal(server, wire, path, offered), 400, "tidemark.v1")

    def test_none_is_agreed_where_none_is_offered(self):
        server = self.serve()
        for offered in (None, "", " , "):
            for wire in self.wires(server):
                self.assertNotIn("sec-websocket-protocol", self.offer(server, wire, "/v1/ws", offered).answer)

    def test_a_token_among_them(self):
        server = self.prepare()
        tokens = os.path.join(server.home, "tokens")

        def add(name, scope):
            return command("token", "add", name, "--scope", scope, "--tokens", tokens).stdout.strip()
        reader, publisher = add("reader", "read"), add("publisher", "publish")
        server.options = ("--tokens", tokens)
        server.start()
        for which in (0, 1):
            with self.subTest(which):
                def wire(which=which):
                    return self.wires(server)[which]
                socket = self.offer(server, wire(), "/v1/ws", f"tidemark.v1, bearer.{reader}")
                self.assertEqual(socket.answer["sec-websocket-protocol"], "tidemark.v1")
                self.assertEqual(socket.receive()["op"], "hello")
                self.offer(server, wire(), "/events", f"bearer.{publisher}, tidemark.v1")
                for offered, status in ((f"tidemark.v1, bearer.{publisher}", 403), ("tidemark.v1, bearer.wrong", 401),
                                        ("tidemark.v1, bearer.", 401), ("tidemark.v1", 401),
                                        (f"tidemark.v1, bearer.{reader}, bearer.{reader}", 400), (f"bearer.{reader}", 400)):
                    self.assert_problem(self.refusal(server, wire(), "/v1/ws", offered), status)
                both = f"tidemark.v1, bearer.{reader}"
                self.assert_problem(self.refusal(server, wire(), f"/v1/ws?access_token={reader}", both), 401, "one way")
                self.assert_problem(self.refusal(server, wire(), "/v1/ws", both, Authorization=f"Bearer {reader}"), 401, "one way")
        # It is a token of WebSockets alone.
        answer = server.request("GET", "/v1/events", headers={"Sec-WebSocket-Protocol": f"tidemark.v1, bearer.{reader}"})
        self.assert_problem(answer, 401)
        self.assertNotIn(reader, server.log_text())


class Closing(TidemarkTest):

    def setUp(self):
        self.server = self.serve()

    def end(self, bytes_):
        """The payload of the Close that answers, behind which the connection ends."""
        socket = self.server.live_reader()
        socket.wire.send(bytes_)
        deadline = time.monotonic() + DEADLINE_S
        opcode, last, payload = socket.frame(deadline)
        self.assertEqual((opcode, last), (CLOSE, True), payload)
        self.assertEqual(socket.wire.rest(deadline)[socket._at:], b"")  # pylint: disable=protected-access
        return payload

    def close(self, code, reason=b""):
        return frame(CLOSE, code.to_bytes(2, "big") + reason)

    def test_a_close_is_answered_in_kind(self):
        self.assertEqual(self.end(frame(CLOSE, b"")), b"")
        for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
            with self.subTest(code):
                self.assertEqual(self.end(self.close(code)), code.to_bytes(2, "big"))
        reason = "schön".encode()
        self.assertEqual(self.end(self.close(1000, reason))[2:], reason)
        self.assertEqual(len(self.end(self.close(1000, b"x" * 123))), 125)

    def test_a_code_that_is_none_is_a_protocol_error(self):
        for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535):
            with self.subTest(code):
                self.assertEqual(self.end(self.close(code))[:2], b"\x03\xea")
        self.assertEqual(self.end(frame(CLOSE, b"\x03")), b"\x03\xea")
        self.assertEqual(self.end(frame(CLOSE, self.close(1000)[:2] + b"x" * 124)), b"\x03\xea")

    def test_a_reason_that_is_no_text_is_told(self):
        for reason in (b"\xff", b"fine\xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80"):
            with self.subTest(reason):
                self.assertEqual(self.end(self.close(1000, reason)), b"\x03\xef")

    def test_what_comes_behind_a_close_does_not_count(self):
        for close in (self.close(1000), self.close(4000, b"bye"), frame(CLOSE, b""), self.close(5000), frame(CLOSE, b"x")):
            with self.subTest(close):
                self.end(close + PUBLISH + frame(TEXT, b'{"op":"pi') + frame(PING, b"x") + close)
        self.assertEqual(self.server.get("/v1/stats").json()["head"], 0)

    def test_what_came_before_a_close_counts(self):
        socket = self.server.live_reader(stream="nothing")
        socket.wire.send(PUBLISH + self.close(1000))
        self.assertEqual(socket.closed().code, 1000)
        wait_until(lambda: self.server.get("/v1/stats").json()["head"] == 1, "it is stored")

    def test_what_is_no_frame_is_a_protocol_error(self):
        for name, bytes_ in (("a long ping", frame(PING, b"x" * 126)), ("a ping in parts", frame(PING, b"x", fin=False)), ("a reserved bit", frame(TEXT, b"x", reserved=4)),
                             ("an unknown opcode", frame(3, b"x")), ("a continuation of nothing", frame(CONTINUATION, b"x")),
                             ("a message within one", frame(TEXT, b"x", fin=False) + frame(TEXT, b"x")),
                             ("a length of 2^63", b"\x81\xff" + b"\xff" * 8 + b"mask")):
            with self.subTest(name):
                self.assertEqual(self.end(bytes_)[:2], b"\x03\xea")

    def test_no_event_follows_the_end(self):
        """Events that are committed when the protocol was broken go to nobody there."""
        socket = self.server.live_reader()
        socket.wire.send(frame(PING, b"x" * 126))
        deadline = time.monotonic() + DEADLINE_S
        self.server.post([{"data": 1}])
        opcodes = []
        while not opcodes or opcodes[-1] != CLOSE:
            opcodes.append(socket.frame(deadline)[0])
        self.assertEqual(socket.wire.rest(deadline)[socket._at:], b"")  # pylint: disable=protected-access

    def test_a_peer_that_is_gone_is_not_waited_for(self):
        self.server.live_reader().close()
        wait_until(lambda: self.server.get("/v1/stats").json()["connections"]["open"] == 1, "it is gone")


if __name__ == "__main__":
    unittest.main()
