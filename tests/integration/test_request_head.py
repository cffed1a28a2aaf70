#!/usr/bin/env python3
"""What the head of a request may look like, the same for the first request of a connection and for any other, for HTTP and for
WebSocket (RFC 9110, 9112).

Shown to fail without the protection: without head_refusal in http.c later requests pass, without it in head_read first ones do; with
take_authority answering 0 absolute forms are 404; with empty_lines answering 0 an empty line is no HTTP; with only the first or the
last X-Forwarded-For line taken another client is counted.
"""

import json
import time
import unittest

from case import TidemarkTest
from text import JSON
from websocket_client import WebSocket
from wire import DEADLINE_S, Response

WANTED = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
          "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}


class HeadTest(TidemarkTest):

    def both(self, server):
        """A new connection, and one that has had a request."""
        used = server.wire()
        used.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertEqual(used.response().status, 200)
        return {"first": server.wire(), "later": used}

    def send(self, wire, line, fields, body=b"", before=b""):
        """`fields` are pairs: a name may come twice."""
        head = "\r\n".join([line, *(f"{name}: {value}" for name, value in fields)])
        wire.send(before + head.encode() + b"\r\n\r\n" + body)
        deadline = time.monotonic() + DEADLINE_S
        status, headers = wire.head(deadline)
        return Response(status, headers, b"" if status == 101 else wire.body(status, headers, deadline))

    def each(self, server, path, fields, version="HTTP/1.1", **how):
        """The answers to a GET and to a WebSocket at `path`, on both kinds of connection."""
        for upgrade in (False, True):
            for which, wire in self.both(server).items():
                with self.subTest(path=path, fields=fields, upgrade=upgrade, which=which):
                    where = path.replace("PATH", "v1/ws" if upgrade else "v1/events")
                    more = list(WANTED.items()) if upgrade else []
                    yield upgrade, self.send(wire, f"GET {where} {version}", [*fields, *more], **how)

    def assert_served(self, answers):
        for upgrade, answer in answers:
            self.assertEqual(answer.status, 101 if upgrade else 200, answer)

    def assert_refused(self, answers, status, *mentions):
        for _, answer in answers:
            self.assert_problem(answer, status, *mentions)


class Head(HeadTest):

    def setUp(self):
        self.server = self.serve()

    def test_host(self):
        self.assert_served(self.each(self.server, "/PATH", [("Host", "localhost")]))
        self.assert_refused(self.each(self.server, "/PATH", []), 400, "Host")
        self.assert_refused(self.each(self.server, "/PATH", [("Host", "localhost"), ("host", "localhost")]), 400, "Host")
        self.assert_refused(self.each(self.server, "/PATH", [("Host", "localhost"), ("Host", "evil.example")]), 400, "Host")

    def test_http_1_0_needs_no_host(self):
        wire = self.server.wire()
        self.assertEqual(self.send(wire, "GET /v1/events HTTP/1.0", []).status, 200)

    def test_origin_and_authorization(self):
        host = ("Host", "localhost")
        for name, value in (("Origin", "http://localhost"), ("Authorization", "Bearer a")):
            self.assert_served(self.each(self.server, "/PATH", [host, (name, value)]))
            self.assert_refused(self.each(self.server, "/PATH", [host, (name, value), (name.lower(), value)]), 400, name)

    def test_where_a_body_ends_is_certain(self):
        host = ("Host", "localhost")
        for fields in ([("Content-Length", "1"), ("Transfer-Encoding", "chunked")],
                       [("Content-Length", "1"), ("Content-Length", "1")],
                       [("Transfer-Encoding", "gzip, chunked")]):
            for which, wire in self.both(self.server).items():
                with self.subTest(fields=fields, which=which):
                    answer = self.send(wire, "POST /v1/events HTTP/1.1", [host, *fields])
                    self.assert_problem(answer, 400, "Content-Length")
                    wire.rest()  # and the connection ends

    def test_absolute_form(self):
        own = [("Host", "localhost")]
        for scheme in ("http", "https", "HTTP"):
            self.assert_served(self.each(self.server, f"{scheme}://localhost:80/PATH?after=first", own))
        # its authority counts, and the Host header does not
        self.assert_served(self.each(self.server, "http://localhost/PATH", [("Host", "evil.example")]))
        self.assert_refused(self.each(self.server, "http://evil.example/PATH", own), 421, "evil.example")
        self.assert_served(self.each(self.server, "http://localhost:1/PATH",
                                     [("Host", "127.0.0.1:2"), ("Origin", "http://localhost:1")]))
        # but it has to be there
        self.assert_refused(self.each(self.server, "http://localhost/PATH", []), 400, "Host")
        self.assert_refused(self.each(self.server, "http://user@localhost/PATH", own), 400, "authority")
        self.assert_refused(self.each(self.server, "http:///PATH", own), 400, "authority")
        for wire in self.both(self.server).values():
            self.assertIn("<title>", self.send(wire, "GET http://localhost HTTP/1.1", own).text)
        for wire in self.both(self.server).values():
            self.assertEqual(self.send(wire, "GET http://localhost?limit=1 HTTP/1.1", own).status, 200)

    def test_options_of_the_server(self):
        for wire in self.both(self.server).values():
            answer = self.send(wire, "OPTIONS * HTTP/1.1", [("Host", "localhost")])
            self.assertEqual(answer.status, 204)
            self.assertIn("GET", answer.headers["allow"])
            self.assertEqual(self.send(wire, "GET * HTTP/1.1", [("Host", "localhost")]).status, 404)

    def test_empty_lines_first(self):
        host = [("Host", "localhost")]
        for before in (b"\r\n", b"\n", b"\r\n\r\n\r\n"):
            self.assert_served(self.each(self.server, "/PATH", host, before=before))
        for piece in (b"\r", b"\r\n", b"\r\n\r"):
            wire = self.server.wire()
            wire.send(piece)
            self.assertEqual(self.send(wire, "GET /healthz HTTP/1.1", host, before=b"\n" if piece.endswith(b"\r") else b"").status,
                             200)

    def test_frames_behind_an_upgrade_with_an_empty_line_first_are_read(self):
        wire = self.server.wire()
        wire.send(b"\r\n")
        socket = self.server.keep(WebSocket(self.server.address, "/v1/ws", wire=wire))
        self.assertEqual(socket.receive()["op"], "hello")
        socket.ping()


class Forwarded(HeadTest):
    """All X-Forwarded-For lines are one list."""

    LINES = [(["198.51.100.1", "{}"]), (["{}, 127.0.0.1"]), (["{}", "127.0.0.1"]), (["198.51.100.1, {}", "127.0.0.1", "127.0.0.1"]),
             (["127.0.0.1", "{}"]), (["nonsense", "{}"])]
    FILL = json.dumps([{"data": 1}] * 1000)  # more than three minutes of events

    def post(self, wire, lines):
        fields = [("Host", "localhost"), ("Content-Type", JSON), ("Content-Length", str(len(self.FILL)))]
        return self.send(wire, "POST /v1/events HTTP/1.1", fields + [("X-Forwarded-For", line) for line in lines],
                         self.FILL.encode()).status

    def test_the_last_that_is_no_proxy_is_the_client(self):
        server = self.serve("--trusted-proxy", "127.0.0.1", "--rate-limit-client", "5")
        number = 0
        for lines in self.LINES:
            for later in (False, True):
                with self.subTest(lines=lines, later=later):
                    number += 1
                    client = f"192.0.2.{number}"
                    wire = self.both(server)["later" if later else "first"]
                    self.assertEqual(self.post(wire, [line.format(client) for line in lines]), 201)
                    self.assertEqual(self.post(server.wire(), [client]), 429)

    def test_the_same_of_a_websocket(self):
        server = self.serve("--trusted-proxy", "127.0.0.1", "--rate-limit-client", "5")
        number = 100
        for lines in self.LINES:
            for later in (False, True):
                with self.subTest(lines=lines, later=later):
                    number += 1
                    client = f"192.0.2.{number}"
                    wire = self.both(server)["later" if later else "first"]
                    fields = [("Host", "localhost"), *WANTED.items()]
                    fields += [("X-Forwarded-For", line.format(client)) for line in lines]
                    self.assertEqual(self.send(wire, "GET /v1/ws HTTP/1.1", fields).status, 101)
                    socket = Opened(wire)
                    self.assertEqual(socket.receive()["op"], "hello")
                    socket.publish(json.loads(self.FILL), 1)
                    self.assertEqual(self.post(server.wire(), [client]), 429)


class Opened(WebSocket):
    """A WebSocket whose handshake is done."""

    def __init__(self, wire):  # pylint: disable=super-init-not-called
        self.wire = wire
        self.pings, self.pongs, self.notices = [], [], []
        self.answer_pings = True
        self._at, self._parts = 0, None


if __name__ == "__main__":
    unittest.main()
