#!/usr/bin/env python3
"""A WebSocket may be any request of a connection, and nothing tells it from one that was the first.

Shown to fail without the protection: with exchange_take_socket failing always no connection that has had a request becomes a
WebSocket; with libmicrohttpd's descriptor left as it is the WebSocket's socket is shut down under it; with on_close called for a
connection whose socket was taken the counts fall below what is there.
"""

import contextlib
import os
import resource
import signal
import ssl
import threading
import time
import unittest

from case import TidemarkTest
from command import command
from load import scaled
from test_tls import make_certificate
from text import seqs
from waiting import Task, wait_until
from websocket_client import WebSocket, handshake
from wire import DEADLINE_S, Wire

GET = b"GET /v1/streams HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{\"data\":1}"


class UpgradeTest(TidemarkTest):

    def used_wire(self, server, tls=None, requests=(GET, GET, GET)):
        """A connection that has had requests."""
        wire = server.keep(Wire(server.address, tls=tls))
        for request in requests:
            wire.send(request)
            self.assertIn(wire.response().status, (200, 201))
        return wire

    def reader(self, server, wire=None, path="/v1/ws?after=first", **headers):
        socket = server.keep(WebSocket(server.address, path, wire=wire, **headers))
        socket.hello = socket.receive()
        return socket

    def connections(self, server):
        return server.get("/v1/stats").json()["connections"]["open"]

    def wait_for_connections(self, server, count):
        """Beside the one that asks."""
        wait_until(lambda: self.connections(server) == count + 1, f"{count} connections are open")


class AnyRequest(UpgradeTest):

    def test_after_requests_of_all_kinds(self):
        server = self.serve()
        for requests in ([GET], [GET, GET, GET], [POST], [GET, POST, GET], [GET] * 50):
            with self.subTest(len(requests)):
                wire = self.used_wire(server, requests=requests)
                socket = self.reader(server, wire, "/v1/ws")
                self.assertEqual(socket.hello["op"], "hello")
                seq = server.post([{"stream": "s", "data": "live"}]).json()["first"]
                self.assertEqual(socket.event()["seq"], seq)
                self.assertEqual(socket.publish([{"data": "mine"}], "r1")["first"], seq + 1)
                self.assertEqual(socket.leave().code, 1000)

    def test_the_other_paths(self):
        server = self.serve()
        dashboard = server.keep(WebSocket(server.address, "/ws", wire=self.used_wire(server)))
        self.assertEqual(dashboard.receive()["type"], "initial_stats")
        publisher = server.keep(WebSocket(server.address, "/events", wire=self.used_wire(server)))
        publisher.send({"type": "event", "connection_type": "kimi", "direction": "inbound", "function_name": "chat"})
        self.assertEqual(publisher.receive()["seq"], 1)

    def test_content_length_0(self):
        server = self.serve()
        for wire in (None, self.used_wire(server)):
            with self.subTest(first=wire is None):
                self.assertEqual(self.reader(server, wire, Content_Length="0").hello["op"], "hello")

    def test_one_protocol_among_several(self):
        server = self.serve()
        for wire in (None, self.used_wire(server)):
            for protocols in ("foo, websocket", "websocket,foo/2", "h2c , WebSocket"):
                with self.subTest(protocols, first=wire is None):
                    wire = self.used_wire(server) if wire is not None else None
                    self.assertEqual(self.reader(server, wire, Upgrade=protocols).hello["op"], "hello")

    def test_over_tls(self):
        server = self.prepare()
        cert, key = make_certificate(server.home)
        server.options = ("--tls-cert", cert, "--tls-key", key)
        server.start()
        tls = ssl.create_default_context(cafile=cert)
        wire = self.used_wire(server, tls, [GET, POST, GET])
        socket = self.reader(server, wire)
        self.assertEqual(socket.event()["seq"], 1)
        self.assertEqual(socket.receive()["op"], "live")
        socket.send({"op": "publish", "ref": 1, "events": [{"data": 2}]})
        seen = [socket.receive(), socket.receive()]
        self.assertEqual(sorted(one.get("seq", 0) for one in seen), [0, 2], seen)

    def test_a_long_replay_comes_whole(self):
        server = self.serve()
        count = scaled(30000)
        server.publish([{"data": "x" * 200, "stream": f"s{i % 3}"} for i in range(count)])
        socket = self.reader(server, self.used_wire(server))
        self.assertEqual(seqs(socket.events(count)), list(range(1, count + 1)))

    def test_an_idle_reader_stays(self):
        """Longer than a client may take to send its next request."""
        server = self.serve("--handshake-timeout", "100ms")
        socket = self.reader(server, self.used_wire(server))
        slow = server.keep(Wire(server.address))
        slow.send(b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n")
        slow.rest()  # the server has closed the slow connection by now
        server.post([{"data": 1}])
        self.assertEqual(socket.event()["seq"], 1)

    def test_requests_and_upgrade_in_one_segment(self):
        server = self.serve()
        wire = server.keep(Wire(server.address))
        wire.send(GET + POST + GET + handshake("/v1/ws?after=first", "localhost"))
        self.assertEqual([wire.response().status for _ in range(3)], [200, 201, 200])
        self.assertEqual(wire.head(time.monotonic() + DEADLINE_S)[0], 101)
        wait_until(lambda: b'"seq":1' in wire.buffer or not wire.more(time.monotonic() + DEADLINE_S), "the event is there")


class Refusals(UpgradeTest):

    BAD = {
        "parameter": (400, "/v1/ws?after=x", {}),
        "unknown parameter": (400, "/v1/ws?limit=5", {}),
        "encoding": (400, "/v1/ws?stream=%zz", {}),
        "origin": (403, "/v1/ws", {"Origin": "http://evil.example"}),
        "host": (421, "/v1/ws", {"Host": "evil.example"}),
        "version": (426, "/v1/ws", {"Sec_WebSocket_Version": "8"}),
        "no version": (426, "/v1/ws", {"Sec_WebSocket_Version": None}),
        "version of the profile": (426, "/ws", {"Sec_WebSocket_Version": "8"}),
        "key": (400, "/v1/ws", {"Sec_WebSocket_Key": "short"}),
        "no key": (400, "/v1/ws", {"Sec_WebSocket_Key": None}),
        "no upgrade": (426, "/v1/ws", {"Upgrade": None}),
        "no connection": (426, "/v1/ws", {"Connection": "keep-alive"}),
        "no upgrade of the profile": (400, "/ws", {"Upgrade": None}),
        "path": (404, "/v2/ws", {}),
        "dashboard parameter": (400, "/ws?stream=other", {}),
    }

    def unopened(self, server):
        return server.get("/health/websocket").json()["metrics"]["connections"]["failed"]

    def refusal(self, wire, path, headers, body=b""):
        fields = {"Host": "localhost", **headers}
        wire.send(handshake(path, fields.pop("Host"), **fields) + body)
        return wire.response()

    def test_both_ways_say_the_same(self):
        server = self.serve()
        for name, (status, path, headers) in self.BAD.items():
            with self.subTest(name):
                first = self.refusal(server.wire(), path, headers)
                self.assert_problem(first, status)
                wire = self.used_wire(server)
                later = self.refusal(wire, path, headers)
                self.assert_problem(later, status)
                self.assertEqual(later.json(), first.json())
                for header in ("upgrade", "sec-websocket-version", "www-authenticate"):
                    self.assertEqual(later.headers.get(header), first.headers.get(header))
                # and the connection goes on
                self.assertEqual(self.reader(server, wire).hello["op"], "hello")

    def test_tokens(self):
        server = self.prepare()
        tokens = os.path.join(server.home, "tokens")
        narrow = command("token", "add", "narrow", "--scope", "read", "--stream", "a-*", "--tokens", tokens).stdout.strip()
        server.options = ("--tokens", tokens)
        server.start()
        cases = {(401, "/v1/ws", None), (401, "/v1/ws", "wrong"), (403, "/ws", narrow), (403, "/v1/ws?stream=b", narrow)}
        for status, path, token in cases:
            with self.subTest(path=path, token=token):
                headers = {"Authorization": f"Bearer {token}"} if token else {}
                first, later = server.wire(), server.wire()
                later.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                later.response()
                answers = [self.refusal(wire, path, headers) for wire in (first, later)]
                for answer in answers:
                    self.assert_problem(answer, status)
                self.assertEqual(answers[0].json(), answers[1].json())
        wire = server.wire()
        wire.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wire.response()
        socket = self.reader(server, wire, "/v1/ws", Authorization=f"Bearer {narrow}")
        self.assertEqual(command("token", "revoke", "narrow", "--tokens", tokens).returncode, 0)
        server.process.send_signal(signal.SIGHUP)
        self.assertEqual(socket.closed().code, 4401)

    def test_426_says_what_to_do(self):
        server = self.serve()
        for path in ("/v1/ws", "/ws", "/events"):
            answer = self.refusal(server.wire(), path, {"Sec_WebSocket_Version": "8"})
            self.assert_problem(answer, 426, "Sec-WebSocket-Version")
            self.assertEqual(answer.headers["upgrade"], "websocket")
            self.assertEqual(answer.headers["sec-websocket-version"], "13")
            self.assertIn("upgrade", answer.headers["connection"].lower())
        answer = server.get("/v1/ws")
        self.assert_problem(answer, 426)
        self.assertEqual(answer.headers["sec-websocket-version"], "13")

    def test_a_body_is_refused(self):
        server = self.serve()
        bodies = (({"Content_Length": "3"}, b"abc"), ({"Transfer_Encoding": "chunked"}, b"3\r\nabc\r\n0\r\n\r\n"),
                  ({"Transfer_Encoding": "chunked"}, b"0\r\n\r\n"))
        for headers, body in bodies:
            with self.subTest(headers=headers, body=body):
                for wire in (server.wire(), self.used_wire(server)):
                    self.assert_problem(self.refusal(wire, "/v1/ws", headers, body), 400, "body")

    def test_without_a_descriptor_it_is_told_and_may_ask_again(self):
        server = self.serve()
        wire = self.used_wire(server)
        limits = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (server.descriptors(), limits[1]))
        self.assert_problem(self.refusal(wire, "/v1/ws", {}), 503, "descriptor")
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, limits)
        self.assertEqual(self.reader(server, wire).hello["op"], "hello")

    def test_what_came_to_nothing_is_counted_once(self):
        server = self.serve()
        before = self.unopened(server)
        for wire in (server.wire(), self.used_wire(server)):
            self.refusal(wire, "/v1/ws?after=x", {})
        self.refusal(server.wire(), "/v1/ws", {"Origin": "http://evil.example"})
        self.assertEqual(self.unopened(server) - before, 3)


class Counts(UpgradeTest):

    def test_many_come_and_go_through_both_ways(self):
        server = self.serve()
        self.wait_for_connections(server, 0)
        descriptors = server.descriptors()
        for _ in range(scaled(20, 3)):
            held = []
            for i in range(20):
                held.append(self.reader(server, self.used_wire(server) if i % 2 else None))
            self.wait_for_connections(server, len(held))
            for i, socket in enumerate(held):
                if i % 3 == 0:
                    socket.leave()
                else:
                    socket.close()
            self.wait_for_connections(server, 0)
        wait_until(lambda: server.descriptors() <= descriptors, "no descriptor is left behind")

    def test_an_address_has_as_many_as_it_may(self):
        server = self.serve("--max-connections-per-address", "5")
        for _ in range(4):
            held = [self.reader(server, self.used_wire(server) if i % 2 else None) for i in range(5)]
            more = Wire(server.address)
            more.send(GET)
            self.assert_problem(more.response(), 429, "--max-connections-per-address")
            more.close()
            for socket in held:
                socket.close()

            def all_are_gone():
                wires = [Wire(server.address) for _ in range(5)]
                for wire in wires:
                    wire.send(GET)
                fine = [wire.response().status for wire in wires] == [200] * 5
                for wire in wires:
                    wire.close()
                return fine
            wait_until(all_are_gone, "the address has none")
            wait_until(lambda: server.get("/v1/stats").status == 200 and self.connections(server) == 1, "nor has anybody")


class Shutdown(UpgradeTest):

    def upgrade_for_ever(self, server, over):
        """Until the server is gone."""
        opened = 0
        while not over.is_set():
            with contextlib.suppress(OSError):
                with contextlib.closing(Wire(server.address)) as wire:
                    wire.send(GET + handshake("/v1/ws", "localhost"))
                    wire.response()
                    opened += wire.head(time.monotonic() + DEADLINE_S)[0] == 101
        return opened

    def test_while_sockets_change_hands(self):
        server = self.serve()
        for _ in range(scaled(10, 3)):
            over = threading.Event()
            tasks = [Task(self.upgrade_for_ever, server, over) for _ in range(8)]
            wait_until(lambda: server.get("/v1/stats").json()["connections"]["accepted"] > 200, "many have come")
            server.stop()
            over.set()
            self.assertGreater(sum(task.result() for task in tasks), 0)
            server.start()


if __name__ == "__main__":
    unittest.main()
