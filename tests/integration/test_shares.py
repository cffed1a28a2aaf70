#!/usr/bin/env python3
"""Nobody is shut out: what one client takes is held to its share, and others publish and read as before.

Two clients are two addresses of the loopback, and two tokens. Shown to fail without the protection: with share_left (quota.c) answering UINT64_MAX whoever comes second finds nothing left; without
QUOTA_SMALL_UPLOADS a small request is refused beside large ones; with callers_sweep never short of anything stuck exports stay for
ever; with message_max (ws.c) the same for all a reader's 4 MiB are collected; with take_place (http.c) answering true, or ws_reserve
ERR_NONE, one client has all connections; with make_room (listener.c) answering false idle connections keep others out; with has_gone
(http.c) answering false answers are made for pollers that have left.
"""

import contextlib
import json
import os
import socket
import time
import unittest

from case import TidemarkTest
from command import command
from load import KIB, MIB
from store import locked
from text import JSON
from waiting import Task, wait_until
from websocket_client import TEXT, WebSocket, frame
from wire import DEADLINE_S, Wire, target

ONE, OTHER = "127.0.0.1", "127.0.0.2"
ROOM = ("--max-request", "1MiB", "--queue-bytes", "1MiB")  # uploads: 4 MiB
LARGE = b'{"data":"' + b"x" * (MIB - 100) + b'"}'


class From(Wire):
    """A connection from an address of the loopback."""

    def __init__(self, address, source, receive_buffer=None):  # pylint: disable=super-init-not-called
        self.sock = socket.socket()
        if receive_buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(DEADLINE_S)
        self.sock.bind((source, 0))
        self.sock.connect(address)
        self.buffer = bytearray()


class Shares(TidemarkTest):

    def connect(self, server, source, receive_buffer=None):
        return server.keep(From(server.address, source, receive_buffer))

    def ask(self, server, source, method, path, body=b"", **query):
        with contextlib.closing(self.connect(server, source)) as wire:
            wire.send(f"{method} {target(path, query)} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {JSON}\r\n"
                      f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            return wire.response()

    def publish(self, server, source, document):
        return self.ask(server, source, "POST", "/v1/events", json.dumps(document).encode())

    def assert_share(self, response, mentions):
        self.assert_problem(response, 429, mentions)
        self.assertEqual(response.json()["type"], "/problems/share-used-up")
        self.assertGreaterEqual(int(response.headers["retry-after"]), 1)

    def said(self, websocket):
        """The answer to a publish."""
        while (said := websocket.receive())["op"] in ("hello", "live"):
            pass
        return said

    def quota(self, server, kind):
        return server.get("/v1/stats").json()["quotas"][kind]

    # ---- connections

    def stay(self, server, source, kind, headers=""):
        """A request that stays, and the status of its answer; None where it waits without one."""
        wire = self.connect(server, source)
        if kind.startswith("/"):
            headers += ("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
            wire.send(f"GET {kind} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
            return wire, wire.head(time.monotonic() + DEADLINE_S)[0]
        if kind == "sse":
            wire.send(f"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{headers}\r\n".encode())
            return wire, wire.head(time.monotonic() + DEADLINE_S)[0]
        before = self.quota(server, "long_requests")
        wire.send(f"GET /v1/events?after=head&wait=60 HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
        now = wait_until(lambda: (q := self.quota(server, "long_requests")) != before and q, "it waits, or is refused")
        return wire, None if now["held"] > before["held"] else wire.response().status

    def test_requests_that_stay_leave_room_for_others(self):
        server = self.serve("--max-connections", "60")
        for kind, fine in (("sse", 200), ("/v1/ws", 101), ("/ws", 101), ("/events", 101), ("poll", None)):
            with self.subTest(kind):
                held = [self.stay(server, ONE, kind) for _ in range(38)]
                self.assertEqual([status for _, status in held], [fine] * 38)
                _, status = self.stay(server, ONE, kind)
                self.assertEqual(status, 429)
                other, status = self.stay(server, OTHER, kind)
                self.assertEqual(status, fine)
                self.assertEqual(self.publish(server, ONE, {"stream": "x", "data": "small"}).status, 201)
                self.assertEqual(self.publish(server, OTHER, {"stream": "x", "data": "small"}).status, 201)
                for wire, _ in [*held, (other, 0)]:
                    wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    wire.close()
                wait_until(lambda: self.publish(server, OTHER, {"data": 1}).status == 201 and
                           self.quota(server, "long_requests")["held"] == 0, "all have gone")
        wait_until(lambda: self.quota(server, "requests")["held"] == 1, "but the one who asks")

    def test_tokens_and_those_behind_a_proxy_are_clients(self):
        server = self.prepare()
        tokens = os.path.join(server.home, "tokens")
        a, b = (command("token", "add", name, "--scope", "read", "--tokens", tokens).stdout.strip() for name in "ab")
        server.start("--tokens", tokens, "--max-connections", "12", "--trusted-proxy", ONE)
        authorization = "Authorization: Bearer {}\r\n".format
        statuses = [self.stay(server, ONE, "sse", authorization(a))[1] for _ in range(9)]
        self.assertEqual(statuses, [200] * 8 + [429])
        self.assertEqual(self.stay(server, ONE, "/v1/ws", authorization(b))[1], 101)
        server.stop()
        server.start("--max-connections", "12", "--trusted-proxy", ONE)
        forwarded = "X-Forwarded-For: 192.0.2.{}\r\n".format
        statuses = [self.stay(server, ONE, "sse", forwarded(1))[1] for _ in range(9)]
        self.assertEqual(statuses, [200] * 8 + [429])
        self.assertEqual(self.stay(server, ONE, "/v1/ws", forwarded(2))[1], 101)

    def test_bodies_that_do_not_come_leave_room_for_others(self):
        server = self.serve("--max-connections", "30", "--handshake-timeout", "1h")
        heads = (f"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: {JSON}\r\nContent-Length: 100\r\n\r\n",
                 "POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n")
        for head in heads:
            held = []
            while not self.quota(server, "requests")["refused"]["share"]:
                held.append(self.connect(server, OTHER))
                held[-1].send(head.encode())
                held[-1].send(b" ")
                self.assertLess(len(held), 30)
            self.assertEqual(self.publish(server, ONE, {"data": 1}).status, 201)
            for wire in held:
                wire.close()
            wait_until(lambda: self.quota(server, "requests")["held"] == 1, "all have gone")
            server.restart()

    def test_connections_without_a_request_make_room(self):
        server = self.serve("--max-connections", "20", "--handshake-timeout", "1h")
        kept = self.connect(server, OTHER)
        for name, said in (("nothing", b""), ("half a head", b"GET /v1/stats HTTP/1.1\r\nHost: loc"),
                           ("what was answered", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")):
            with self.subTest(name):
                for _ in range(50):
                    wire = self.connect(server, ONE)
                    wire.send(said)
                    if said.endswith(b"\r\n\r\n"):
                        self.assertEqual(wire.response().status, 200)
                for _ in range(5):
                    self.assertEqual(self.publish(server, OTHER, {"data": 1}).status, 201)
        with contextlib.suppress(ConnectionError):  # the first of all has gone long ago
            kept.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertEqual(kept.sock.recv(1), b"")

    # ---- uploads

    def test_bodies_on_their_way_leave_room_for_others(self):
        server = self.serve(*ROOM, "--handshake-timeout", "20s")
        head = (f"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: {JSON}\r\n"
                f"Content-Length: {len(LARGE)}\r\n\r\n").encode()
        held = [self.connect(server, ONE) for _ in range(8)]
        for wire in held:
            wire.send(head + LARGE[:-1])
        wait_until(lambda: self.quota(server, "uploads")["refused"]["share"] > 0, "more would be more than its share")
        self.assertLessEqual(self.quota(server, "uploads")["held"], 3 * MIB)
        self.assertEqual(self.ask(server, OTHER, "POST", "/v1/events", LARGE).status, 201)
        self.assertEqual(self.publish(server, ONE, {"data": "small"}).status, 201)
        answers = []
        for wire in held:
            wire.send(LARGE[-1:])
            answers.append(wire.response())
        self.assertEqual({a.status for a in answers}, {201, 429})
        self.assert_share(next(a for a in answers if a.status == 429), "on their way in")
        self.assertEqual(self.quota(server, "uploads")["held"], 0)

    def test_the_only_upload_of_a_client_may_have_all_that_is_left(self):
        server = self.serve(*ROOM, "--handshake-timeout", "20s")
        head = (f"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: {JSON}\r\n"
                f"Content-Length: {len(LARGE)}\r\n\r\n").encode()
        for source in (OTHER, "127.0.0.3"):
            for _ in range(8):
                self.connect(server, source).send(head + LARGE[:300 * KIB])
        wait_until(lambda: self.quota(server, "uploads")["refused"]["share"] >= 2, "both have their share")
        self.assertEqual(self.ask(server, ONE, "POST", "/v1/events", LARGE).status, 201)

    def test_messages_on_their_way_leave_room_for_others(self):
        server = self.serve(*ROOM, "--handshake-timeout", "20s")
        message = frame(TEXT, b'{"op":"publish","events":[' + LARGE + b"]}")
        held = [WebSocket(server.address, "/v1/ws?stream=none", wire=self.connect(server, ONE)) for _ in range(8)]
        for one in held:
            one.wire.send(message[:-1])
        wait_until(lambda: self.quota(server, "uploads")["refused"]["share"] > 0, "more would be more than its share")
        other = WebSocket(server.address, "/v1/ws?stream=none", wire=self.connect(server, OTHER))
        other.wire.send(message)
        self.assertEqual(self.said(other)["op"], "published")
        small = WebSocket(server.address, "/v1/ws?stream=none", wire=self.connect(server, ONE))
        small.send({"op": "publish", "events": [{"data": "small"}]})
        self.assertEqual(self.said(small)["op"], "published")
        ends = []
        for one in held:
            one.wire.send(message[-1:])
            ends.append(self.said(one))
        self.assertEqual({e.get("status") for e in ends}, {None, 429})
        self.assertEqual(self.quota(server, "uploads")["held"], 0)

    def test_who_may_only_read_has_little_to_say(self):
        server = self.prepare()
        tokens = os.path.join(server.home, "tokens")
        token = command("token", "add", "reader", "--scope", "read", "--tokens", tokens).stdout.strip()
        server.start("--tokens", tokens)
        reader = WebSocket(server.address, f"/v1/ws?access_token={token}")
        self.assertEqual(reader.receive()["op"], "hello")
        reader.send_text('{"op":"ping","x":"' + "x" * 100 * KIB + '"}')
        error = reader.op("error")
        self.assertEqual((error["status"], "65536 bytes" in error["detail"]), (413, True), error)

    # ---- the queue

    def test_the_queue_has_room_for_others(self):
        server = self.serve("--queue-events", "100")
        server.publish({"data": 0})
        with locked(server.data):
            waiting = [Task(self.publish, server, ONE, [{"data": i}] * 20) for i in range(8)]
            refused = wait_until(lambda: self.quota(server, "queue_events")["refused"]["share"], "one client has its share")
            self.assertGreater(refused, 0)
            other = Task(self.publish, server, OTHER, [{"data": i} for i in range(20)])
            wait_until(lambda: self.quota(server, "queue_events")["held"] == 60, "the other one waits, too")
        self.assertEqual(other.result().status, 201)
        answers = [task.result() for task in waiting]
        self.assertEqual({a.status for a in answers}, {201, 429})
        self.assert_share(next(a for a in answers if a.status == 429), "--queue-events")

    def test_something_small_that_waits_does_not_stand_in_the_way(self):
        server = self.serve("--queue-bytes", "8MiB")
        server.publish({"data": 0})
        waiting = []
        with locked(server.data):
            for source, events in (("127.0.0.3", [900 * KIB] * 4), ("127.0.0.4", [900 * KIB]), (OTHER, [10]),
                                   (OTHER, [900 * KIB] * 2)):
                before = self.quota(server, "queue_events")
                waiting.append(Task(self.publish, server, source, [{"data": "x" * n} for n in events]))
                wait_until(lambda: self.quota(server, "queue_events") != before or  # pylint: disable=cell-var-from-loop
                           self.quota(server, "queue_bytes")["refused"] != {"share": 0, "all": 0}, "it waits, or is refused")
        self.assertEqual({task.result().status for task in waiting}, {201})

    def test_events_of_a_request_are_limited(self):
        server = self.serve("--max-request-events", "10")
        self.assertEqual(self.publish(server, ONE, [{"data": 1}] * 10).status, 201)
        self.assert_problem(self.publish(server, ONE, [{"data": 1}] * 11), 413, "10 events")

    # ---- answers

    def test_exports_that_are_not_read_leave_room_for_others(self):
        server = self.serve()
        for _ in range(8):
            server.publish([{"data": os.urandom(400 * KIB).hex()}])
        request = b"GET /v1/export HTTP/1.1\r\nHost: localhost\r\n\r\n"
        stuck = [self.connect(server, ONE, 4096) for _ in range(16)]
        for wire in stuck:
            wire.send(request)
        wait_until(lambda: self.quota(server, "exports")["refused"]["share"] > 0, "one client has its share")
        self.assertEqual(self.ask(server, OTHER, "GET", "/v1/export").status, 200)
        # And who takes nothing of its own does not keep it for ever.
        wait_until(lambda: self.ask(server, ONE, "GET", "/v1/export").status == 200, "the stuck ones are cut off")

    def test_answers_that_are_not_read_leave_room_for_others(self):
        server = self.serve("--reply-memory", "8MiB", "--max-event", "1MiB")
        for _ in range(8):
            server.publish([{"data": "x" * 900 * KIB}])
        for _ in range(60):
            wire = self.connect(server, ONE, 4096)
            wire.send(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n")
        wait_until(lambda: self.quota(server, "replies")["held"] > 3 * MIB, "they hold what they may")
        for path in ["/v1/events", "/v1/events/1", "/v1/streams", "/v1/sessions"]:
            self.assertEqual(self.ask(server, OTHER, "GET", path).status, 200, path)

    def test_no_answer_is_made_for_who_has_gone(self):
        server = self.serve()
        gone = [self.connect(server, ONE) for _ in range(100)]
        for wire in gone:
            wire.send(b"GET /v1/events?after=0&wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: self.quota(server, "long_requests")["held"] == 100, "they wait")
        for wire in gone:
            wire.close()
        self.publish(server, OTHER, [{"data": "x" * 900 * KIB}] * 14)
        most = 0
        while self.quota(server, "requests")["held"] > 1:
            most = max(most, self.quota(server, "replies")["held"])
        self.assertLess(most, MIB)

    def test_reports_that_are_not_read_are_bounded(self):
        server = self.serve("--ring", "1MiB", "--cache", "1MiB")
        for _ in range(5):
            server.publish([{"type": "event", "connection_type": "redis", "direction": "outbound",
                             "metadata": {"hit": True, "key": "k", "operation": "get", "pad": "x" * 400 * KIB}}] * 10)
        for _ in range(12):  # 16 MiB each
            self.connect(server, ONE, 4096).send(
                b"GET /api/cache-metrics?aggregation=raw HTTP/1.1\r\nHost: localhost\r\n\r\n")
        most = 0
        end = time.monotonic() + 6
        while time.monotonic() < end:
            most = max(most, self.quota(server, "replies")["held"])
            time.sleep(0.05)
        self.assertGreater(most, 8 * MIB)
        self.assertLess(most, 84 * MIB)
        self.assertEqual(self.ask(server, OTHER, "GET", "/v1/events", limit=1).status, 200)

    # ---- names

    def test_sessions_of_one_client_are_limited(self):
        server = self.serve("--max-sessions-per-client", "3")
        for i in range(3):
            self.assertEqual(self.ask(server, ONE, "PUT", f"/v1/sessions/s{i}", b'{"acked":0}').status, 200)
        self.assert_share(self.ask(server, ONE, "PUT", "/v1/sessions/s3", b'{"acked":0}'), "--max-sessions-per-client")
        self.assertEqual(self.ask(server, ONE, "PUT", "/v1/sessions/s1", b'{"acked":0}').status, 200)
        socket_ = WebSocket(server.address, "/v1/ws?session=s4", wire=self.connect(server, ONE))
        self.assertEqual(socket_.closed().code, 1013)
        self.assertEqual(self.ask(server, OTHER, "PUT", "/v1/sessions/s5", b'{"acked":0}').status, 200)
        self.assertEqual(self.ask(server, ONE, "DELETE", "/v1/sessions/s0").status, 204)
        self.assertEqual(self.ask(server, ONE, "PUT", "/v1/sessions/s3", b'{"acked":0}').status, 200)
        server.restart()
        names = [s["name"] for s in server.get("/v1/sessions").json()["sessions"]]
        self.assertEqual(sorted(names), ["s1", "s2", "s3", "s5"])

    def test_streams_and_types_of_one_client_are_limited(self):
        server = self.serve("--max-topics-per-client", "3")
        for i in range(3):
            self.assertEqual(self.publish(server, ONE, {"stream": f"s{i}", "data": 1}).status, 201)
        refused = self.publish(server, ONE, [{"stream": "s0", "data": 1}, {"stream": "s0", "type": "new", "data": 1}])
        self.assert_share(refused, "--max-topics-per-client")
        self.assertEqual(server.head(), 3)
        self.assertEqual(self.publish(server, ONE, {"stream": "s0", "data": 1}).status, 201)
        self.assertEqual(self.publish(server, OTHER, {"stream": "s3", "data": 1}).status, 201)
        self.assertEqual([s["name"] for s in server.get("/v1/streams").json()["streams"]], ["s0", "s1", "s2", "s3"])

    def test_a_client_gets_back_what_is_forgotten(self):
        """Fails when names without events are kept, or go on being counted for the client that began them."""
        server = self.serve("--max-topics-per-client", "60", "--retain-events", "10", "--archive", "none")
        for day in range(4):
            names = [f"day-{day}-{i}" for i in range(50)]

            def published():
                answer = self.publish(server, ONE, [{"stream": name, "data": 1} for name in names])
                if answer.status != 201:
                    self.assert_share(answer, "--max-topics-per-client")
                return answer.status == 201

            def only_the_newest():
                self.assertEqual(self.publish(server, OTHER, {"stream": "other", "data": 1}).status, 201)
                listed = [s["name"] for s in server.get("/v1/streams").json()["streams"]]
                return len(listed) <= 11 and all(name == "other" or name in names for name in listed)

            wait_until(published, "there is room for new names")
            wait_until(only_the_newest, "the older streams are forgotten")
        stats = server.get("/v1/stats").json()
        self.assertLessEqual(stats["quotas"]["topics"]["held"], 11)
        server.stop()
        server.start()
        stats = server.get("/v1/stats").json()
        self.assertLessEqual(stats["quotas"]["topics"]["held"], 11)
        self.assertEqual(self.publish(server, ONE, {"stream": "day-0-0", "data": 1}, ).status, 201)


if __name__ == "__main__":
    unittest.main(verbosity=2)
