#!/usr/bin/env python3
"""Limits hold on real sockets: connections, publish rates, descriptors, and clients that never come to an end.

Shown to fail without the protection: with quota_take answering ERR_NONE the limit of an address; with rates_take answering
0 the rates; with RETRY_SPREAD_S 1 (problem.c) all who are refused are told to come back after the same time; without the
spare descriptor who waits hangs; without callers_sweep cutting off what is over its deadline slow bodies and heads stay for
ever; without TCP_KEEPIDLE the timer is two hours away.
"""

import json
import os
import resource
import socket
import subprocess
import threading
import time
import unittest

from binary import BIN
from case import TidemarkTest
from command import command
from text import JSON
from waiting import wait_until
from websocket_client import TEXT, frame
from wire import DEADLINE_S, Refused, Wire

BODY = b'{"data":1}'
POST = b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


class From(Wire):
    """A connection from another address of the loopback."""

    def __init__(self, address, source):  # pylint: disable=super-init-not-called
        self.sock = socket.create_connection(address, DEADLINE_S, (source, 0))
        self.buffer = bytearray()


class Connections(TidemarkTest):

    def get(self, server, source="127.0.0.1"):
        wire = server.keep(From(server.address, source))
        wire.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        response = wire.response()
        wire.close()
        return response

    def open_for_another(self, server):
        wire = server.keep(From(server.address, "127.0.0.2"))
        wire.send(b"GET /v1/stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        count = wire.response().json()["connections"]["open"]
        wire.close()
        return count

    def test_one_address_has_so_many(self):
        server = self.serve("--max-connections-per-address", "6", "--handshake-timeout", "60s")
        held = [server.http(), server.live_reader(), server.ingest(), server.wire(), server.dashboard()]
        self.assertEqual(held[0].request("GET", "/healthz").status, 200)
        stream = server.sse(after="head")
        self.assertEqual(self.get(server, "127.0.0.2").status, 200)  # another address gets in
        response = self.get(server)
        self.assert_problem(response, 429, "--max-connections-per-address")
        self.assertIn(int(response.headers["retry-after"]), range(1, 6))
        with self.assertRaises(Refused):
            server.websocket()

        def fill():
            server.wire()  # refused itself, perhaps, while the one before is still on its way out
            return self.get(server).status == 429 and self.open_for_another(server) == 7  # six, and the one who asks

        for one in held:  # each kind gives its place back, and no more than that
            one.close()
            wait_until(lambda: self.get(server).status == 200, "there is room again")
            wait_until(fill, "it is full again")
        stream.close()
        wait_until(lambda: self.get(server).status == 200, "its next heartbeats find out that it has gone")

    def test_all_together_have_so_many(self):
        server = self.serve("--max-connections", "4", "--handshake-timeout", "1h")
        held = [server.keep(From(server.address, f"127.0.0.{i + 3}")) for i in range(4)]
        for wire in held:  # without a request they would make room
            wire.send(POST + b"Content-Length: 10\r\n\r\n")
        wait_until(lambda: self.get(server, "127.0.0.2").status == 503, "it is full")
        self.assert_problem(self.get(server), 503, "--max-connections")
        waits = {int(self.get(server).headers["retry-after"]) for _ in range(40)}
        self.assertLessEqual(waits, set(range(1, 6)))
        self.assertGreater(len(waits), 1, "a herd must not come back at once")
        held[0].close()
        wait_until(lambda: self.get(server).status == 200, "there is room again")

    def test_a_loopback_has_no_limit_by_address_unless_told(self):
        server = self.serve()
        held = [server.wire() for _ in range(1500)]
        self.assertEqual(self.get(server).status, 200)
        self.assertEqual(len(held), 1500)


class Rates(TidemarkTest):

    def post(self, server, count, source="127.0.0.1"):
        wire = server.keep(From(server.address, source))
        body = json.dumps([{"data": i} for i in range(count)]).encode()
        wire.send(POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        response = wire.response()
        wire.close()
        return response

    def test_a_client_that_is_too_fast_is_429(self):
        server = self.serve("--rate-limit-client", "50")
        self.assertEqual(self.post(server, 2000).status, 201)  # more than a second's worth is never too large, only paid for
        refused = self.post(server, 1)
        self.assert_problem(refused, 429, "--rate-limit-client")
        self.assertIn(int(refused.headers["retry-after"]), range(1, 41))
        self.assertEqual(self.post(server, 1, "127.0.0.2").status, 201)  # another client is none the worse
        self.assertEqual(server.head(), 2001)
        self.assertEqual(server.get("/v1/stats").json()["rate_limited"], 1)

    def test_who_was_too_fast_may_come_back_when_it_was_told_to(self):
        server = self.serve("--rate-limit-client", "50")
        self.assertEqual(self.post(server, 200).status, 201)
        answer = self.post(server, 1)
        if answer.status == 429:  # else the machine took its time
            time.sleep(int(answer.headers["retry-after"]))
            answer = self.post(server, 1)
        self.assertEqual(answer.status, 201)

    def test_all_together_are_too_fast(self):
        server = self.serve("--rate-limit", "100")
        self.assertEqual(self.post(server, 5000).status, 201)
        for source in ("127.0.0.1", "127.0.0.2"):
            self.assert_problem(self.post(server, 1, source), 429, "--rate-limit)")
        self.assertEqual(server.head(), 5000)

    def test_on_a_websocket_it_is_an_error_frame(self):
        server = self.serve("--rate-limit-client", "20")
        client = server.live_reader()
        client.send({"op": "publish", "ref": 1, "events": [{"data": i} for i in range(1000)]})
        client.send({"op": "publish", "ref": 2, "events": [{"data": 0}]})
        frames = []
        while len(frames) < 2:
            frame = client.receive()
            if frame.get("op") in ("published", "error"):
                frames.append(frame)
        by_ref = {frame["ref"]: frame for frame in frames}
        self.assertEqual((by_ref[1]["op"], by_ref[2]["op"], by_ref[2]["status"]), ("published", "error", 429))
        self.assertEqual(server.head(), 1000)

    def test_a_monitored_service_is_slowed_down_instead(self):
        server = self.serve("--rate-limit-client", "100")
        client = server.ingest()
        began = time.monotonic()
        for i in range(250):
            client.send({"type": "event", "connection_type": "kimi", "n": i})
        answers = [client.receive() for _ in range(250)]
        self.assertEqual([answer["status"] for answer in answers], ["received"] * 250)
        self.assertGreater(time.monotonic() - began, 1.2)
        self.assertEqual([event["data"]["n"] for event in server.everything()], list(range(250)))

    def test_a_token_is_one_client_wherever_it_is(self):
        server = self.prepare()
        file = os.path.join(server.home, "tokens")
        tokens = [command("token", "add", name, "--scope", "publish", "--tokens", file).stdout.strip() for name in "ab"]
        server.start("--tokens", file, "--rate-limit-client", "10")
        statuses = [server.request("POST", "/v1/events", json.dumps([{"data": 1}] * 500),
                                   {"Content-Type": JSON, "Authorization": f"Bearer {token}"}).status
                    for token in (tokens[0], tokens[0], tokens[1])]
        self.assertEqual(statuses, [201, 429, 201])


class Descriptors(TidemarkTest):

    def test_without_descriptors_the_new_are_refused_and_the_rest_goes_on(self):
        server = self.serve()
        reader, publisher, stream = server.live_reader(), server.live_reader(), server.sse(after="head")
        kept = server.http()
        self.assertEqual(kept.request("GET", "/healthz").status, 200)
        limit = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (server.descriptors() + 3, limit[1]))
        held = [server.wire() for _ in range(20)]
        refused = [wire for wire in held[5:]]
        for wire in refused:
            self.assert_problem(wire.response(), 503, "descriptor")
        for i in range(20):
            self.assertEqual(publisher.publish([{"data": i}])["first"], i + 1)
        self.assertEqual([reader.event()["data"] for _ in range(20)], list(range(20)))
        self.assertEqual([stream.event()["data"] for _ in range(20)], list(range(20)))
        self.assertEqual(len(kept.request("GET", "/v1/events").json()["events"]), 20)
        self.assertLess(len([line for line in server.log if "cannot accept" in line]), 10)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, limit)
        wait_until(lambda: server.get("/healthz").status == 200, "it goes on without a restart")
        self.assertEqual(server.publish([{"data": "x"}])["first"], 21)

    def test_a_start_with_too_few_descriptors_says_so(self):
        """Shown to fail without the protection: without can_be_woken (ws.c) a start with a few too little never ends."""
        home = self.serve().home
        outcomes = set()
        for count in range(12, 45):
            with self.subTest(descriptors=count):
                data = os.path.join(home, f"few-{count}")
                with subprocess.Popen(["/bin/sh", "-c", f'ulimit -n {count}; exec "$@"', "sh", BIN, "serve", "--data", data,
                                       "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, encoding="utf-8") as process:
                    timer = threading.Timer(DEADLINE_S, process.kill)
                    timer.start()
                    said = ""
                    while "listening on" not in said and (line := process.stderr.readline()):
                        said += line
                    process.terminate()
                    code = process.wait()
                    timer.cancel()
                started = "listening on" in said
                outcomes.add(started)
                self.assertEqual(code, 0 if started else 1, said)
                self.assertTrue(started or "open files" in said or "descriptors" in said, said)
        self.assertEqual(outcomes, {False, True})

    def test_with_few_descriptors_there_are_few_connections(self):
        server = self.serve(within=("/bin/sh", "-c", 'ulimit -n 300; exec "$@"', "sh"))
        held = [server.wire() for _ in range(400)]
        for i in range(1, 11):
            self.assertEqual(server.publish([{"data": 1}])["first"], i)
        connections = server.get("/v1/stats").json()["connections"]
        self.assertLess(connections["max"], 200)
        self.assertGreaterEqual(connections["silent"], 400 - connections["max"])
        for wire in held:
            wire.close()
        wait_until(lambda: server.get("/v1/stats").json()["connections"]["open"] == 1, "they have gone")


class Slow(TidemarkTest):

    def trickle(self, wire, text, every=0.1):
        """Sends byte by byte until the server ends the connection."""
        wire.sock.settimeout(0.001)
        for byte in text:
            try:
                wire.sock.send(bytes([byte]))
                if wire.sock.recv(100) == b"":
                    return
            except TimeoutError:
                pass
            except (ConnectionResetError, BrokenPipeError):
                return
            time.sleep(every)
        self.fail("nobody ended it")

    def test_heads_and_bodies_that_trickle_in_are_cut_off(self):
        server = self.serve("--handshake-timeout", "700ms")
        waiting = [server.wire() for _ in range(200)]
        for wire in waiting:
            wire.send(b"GET /v1/events HTTP/1.1\r\nHost: loc")
        self.trickle(server.wire(), b"GET /v1/events?x=" + b"y" * 500)
        body = server.wire()
        body.send(POST + b"Content-Length: 1000\r\n\r\n")
        self.trickle(body, b'{"data":"' + b"y" * 500)
        chunked = server.wire()
        chunked.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        self.trickle(chunked, b"1\r\ny\r\n" * 200)
        large = server.wire()  # what was sent once buys nothing later
        large.send(POST + b"Content-Length: 2000000\r\n\r\n" + b" " * 1000000)
        self.trickle(large, b" " * 500)
        message = server.websocket().wire
        message.send(frame(TEXT, b" " * 2000000)[:1000000])
        self.trickle(message, b" " * 500)
        self.assertEqual(server.publish([{"data": 1}])["first"], 1)
        silent = server.get("/v1/stats").json()["connections"]
        self.assertGreaterEqual(silent["silent"], 203)
        self.assertLess(silent["open"], 10)

    def test_a_body_that_is_announced_as_too_large_is_refused_at_once(self):
        """Shown to fail without the protection: nothing is said while the body does not come (send_ahead, http.c)."""
        server = self.serve("--max-request", "1MiB")
        for method, length in (("POST", 2 << 20), ("POST", 1 << 40), ("PUT", 2 << 20)):
            with self.subTest(method, length=length):
                wire = server.keep(Wire(server.address))
                wire.send(POST.replace(b"POST", method.encode()) + b"Content-Length: %d\r\n\r\n{" % length)
                response = wire.response(5)
                self.assert_problem(response, 405 if method == "PUT" else 413)
                self.assertEqual(response.headers["connection"], "close")
                self.assertRegex(response.headers["date"], r"^\w{3}, \d\d \w{3} \d{4} ")
                self.assertEqual(wire.rest(), b"", "and the connection is closed")

    def test_who_sends_a_body_that_is_too_large_reads_why(self):
        """Shown to fail without the protection: where libmicrohttpd answers, sending fails, and the answer may be lost."""
        server = self.serve("--max-request", "1MiB")
        for _ in range(10):
            wire = server.keep(Wire(server.address))
            wire.send(POST + b"Content-Length: %d\r\n\r\n" % (20 << 20))
            for _ in range(20):
                wire.send(b" " * (1 << 20))
            self.assertEqual(wire.response().status, 413)

    def test_a_large_body_has_the_time_it_needs(self):
        server = self.serve("--handshake-timeout", "2s")
        wire = server.wire()
        body = json.dumps({"data": "x" * 160000}).encode()
        wire.send(POST + b"Content-Length: %d\r\n\r\n" % len(body))
        for at in range(0, len(body), 20000):  # 9 s in all: more than a body without a byte has, 6 s
            wire.send(body[at:at + 20000])
            time.sleep(1)
        self.assertEqual(wire.response().status, 201)

    def test_the_second_head_of_a_connection_has_an_end_too(self):
        server = self.serve("--handshake-timeout", "500ms")
        wire = server.wire()
        wire.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertEqual(wire.response().status, 200)
        self.trickle(wire, b"GET /healthz HTTP/1.1\r\nX: " + b"y" * 500)

    def test_whoever_leaves_in_the_middle_is_let_go(self):
        server = self.serve()
        for text in (b"", b"GET /v1/ev", POST, POST + b"Content-Length: 100\r\n\r\n{"):
            wire = server.wire()
            wire.send(text)
            wire.sock.shutdown(socket.SHUT_WR)
        wait_until(lambda: server.get("/v1/stats").json()["connections"]["open"] == 1, "all have gone")

    def test_half_a_head_and_then_the_end_is_not_waited_for(self):
        server = self.serve("--handshake-timeout", "1h")
        for text in (b"GET", b"GET /v1/events HTTP/1.1\r\nHost: loc", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"):
            for pause in (0, 0.2):
                wire = server.wire()
                wire.send(text)
                time.sleep(pause)
                wire.sock.shutdown(socket.SHUT_WR)
                self.assert_problem(wire.response(), 400, "ended before")
        wait_until(lambda: server.get("/v1/stats").json()["connections"]["open"] == 1, "all have gone")

    def test_a_peer_that_vanished_is_looked_for(self):
        """What is let go because it does not answer is in test_vanished.py; here, that the kernel asks within a minute, too."""
        server = self.serve()
        held = [server.live_reader(), server.sse(after="head"), server.wire()]
        wait_until(lambda: server.get("/v1/stats").json()["connections"]["open"] >= 4, "they are in")
        with open("/proc/net/tcp", encoding="ascii") as file:
            rows = [line.split() for line in file][1:]
        ours = [row for row in rows if int(row[1].rsplit(":", 1)[1], 16) == server.port and row[3] == "01"]
        self.assertGreaterEqual(len(ours), len(held))
        timers = [row[5].split(":") for row in ours]
        idle = [int(when, 16) / 100 for kind, when in timers if kind == "02"]
        self.assertGreaterEqual(len(idle), len(held))
        self.assertLessEqual(max(idle), 61)


if __name__ == "__main__":
    unittest.main()
