#!/usr/bin/env python3
"""HTTPS and WSS on the same port, certificates that change, and reverse proxies that say who their clients are.

Shown to fail without the protection: with is_proxy (proxy.c) answering true anybody is who they say; with the handshake's deadline
left out who never finishes one stays for ever; with tls_reload leaving the context as it is the new certificate is not seen; with
one descriptor counted for an encrypted connection all are used up, and archives cannot be read; without tls_refuse the client hears
of a wrong version; with OpenSSL's own list of ciphers one without authenticated encryption is taken.
"""

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import time
import unittest

from case import TidemarkTest
from client import stored
from command import command
from load import memory, scaled
from sse_client import EventSource
from text import JSON, NDJSON, ndjson, seqs
from waiting import wait_until
from websocket_client import WebSocket
from wire import DEADLINE_S, Http, Refused, Wire


class From(Wire):
    """A connection from another address of the loopback."""

    def __init__(self, address, source, tls):  # pylint: disable=super-init-not-called
        self.sock = tls.wrap_socket(socket.create_connection(address, DEADLINE_S, (source, 0)), server_hostname="localhost")
        self.buffer = bytearray()


def make_certificate(directory, name="localhost"):
    """A certificate that vouches for itself; returns (certificate, key)."""
    cert, key = os.path.join(directory, "cert.pem"), os.path.join(directory, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out",
                    cert], check=True, capture_output=True)
    return cert, key


class TlsTest(TidemarkTest):

    def serve_tls(self, *options, **how):
        server = self.prepare(**how)
        self.cert, self.key = make_certificate(server.home)
        server.options = ("--tls-cert", self.cert, "--tls-key", self.key, *options)
        self.tls = ssl.create_default_context(cafile=self.cert)
        return server.start()

    def request(self, server, method, path, body=None, headers=None, **query):
        http = Http(server.address, self.tls)
        try:
            return http.request(method, path, body, headers, **query)
        finally:
            http.close()

    def post(self, server, documents):
        return stored(self.request(server, "POST", "/v1/events", ndjson(documents), {"Content-Type": NDJSON}))

    def websocket(self, server, path="/v1/ws?after=first"):
        return server.keep(WebSocket(server.address, path, tls=self.tls))


class Tls(TlsTest):

    def test_everything_on_one_port(self):
        server = self.serve_tls()
        self.assertIn("listening on https://127.0.0.1:", server.log_text())
        count = scaled(20000)
        last = self.post(server, ({"stream": f"s{i % 5}", "data": {"n": i, "pad": "x" * 100}} for i in range(count)))["last"]
        self.assertEqual(last, count)
        lines = self.request(server, "GET", "/v1/events", headers={"Accept": NDJSON}).text.splitlines()
        self.assertEqual(len(lines), count)
        socket_ = self.websocket(server)
        stream = server.keep(EventSource(server.address, "/v1/events?after=first", tls=self.tls))
        self.assertEqual(seqs(socket_.events(count)), list(range(1, count + 1)))
        self.assertEqual(seqs(stream.events(count)), list(range(1, count + 1)))
        other = self.websocket(server, "/v1/ws?stream=nothing")
        other.op("hello")
        self.assertEqual(other.publish([{"data": "live"}], 1)["first"], count + 1)
        self.assertEqual(socket_.event()["seq"], count + 1)
        self.assertEqual(stream.event()["seq"], count + 1)
        self.assertIn("<title>", self.request(server, "GET", "/").text)

    def test_a_connection_is_kept_and_a_large_body_comes_whole(self):
        server = self.serve_tls()
        http = Http(server.address, self.tls)
        for i in range(50):
            self.assertEqual(http.request("POST", "/v1/events", '{"data":%d}' % i, {"Content-Type": JSON}).status, 201)
        body = ndjson({"data": "x" * 1000} for _ in range(10000))
        self.assertEqual(stored(http.request("POST", "/v1/events", body, {"Content-Type": NDJSON}))["count"], 10000)
        http.close()
        wait_until(lambda: self.figures(server)["open"] <= 1, "it is gone")

    def test_who_is_refused_while_it_sends_reads_why(self):
        """Fails where the pair is ended as soon as the server takes nothing more, or the socket with bytes on their way."""
        server = self.serve_tls()
        head = "{} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        large = head.format("POST /v1/events") + f"Content-Length: {1 << 40}\r\n\r\n"
        for status, begin, rest in ((431, head.format("GET /") + "X: ", b"y" * 300000), (413, large, b" " * 3000000),
                                    (413, large.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n"), b" " * 300000)):
            for attempt in range(10):
                wire = server.keep(Wire(server.address, tls=self.tls))
                wire.send(begin.encode())
                with contextlib.suppress(OSError):
                    for at in range(0, len(rest), 50000):
                        wire.send(rest[at:at + 50000])
                self.assertEqual(wire.response().status, status, attempt)

    def figures(self, server):
        return self.request(server, "GET", "/v1/stats").json()["tls"]

    def test_with_few_descriptors_there_are_few_connections(self):
        server = self.serve_tls("--retain-events", "200", within=("/bin/sh", "-c", 'ulimit -n 300; exec "$@"', "sh"))
        first = server.keep(Http(server.address, self.tls))
        stored(first.request("POST", "/v1/events", ndjson({"data": i} for i in range(1000)), {"Content-Type": NDJSON}))
        held, refused = [first], []
        while len(refused) < 20:
            try:
                held.append(server.keep(WebSocket(server.address, "/v1/ws", tls=self.tls)))
            except Refused as why:
                refused.append(why.response.status)
        self.assertEqual(set(refused), {429})
        self.assertGreater(len(held), 25)
        stats = first.request("GET", "/v1/stats").json()["connections"]
        self.assertLess(stats["max"], 300 / 3)
        wait_until(lambda: first.request("GET", "/v1/stats").json()["retention"]["log"]["events"] < 300, "most is archived")
        self.assertEqual(first.request("GET", "/v1/events/5").json()["data"], 4)
        self.assertEqual(first.request("GET", "/v1/export").status, 200)
        self.assertNotIn("Too many open files", server.log_text())

    def test_handshakes_that_do_not_come_make_room(self):
        server = self.serve_tls("--max-connections", "10", "--handshake-timeout", "1h")
        for begin in (b"", b"\x16\x03\x01\x02\x00\x01"):
            for _ in range(40):
                server.keep(Wire(server.address)).send(begin)
            for _ in range(5):
                self.assertEqual(self.request(server, "GET", "/healthz").status, 200)

    def test_who_finds_no_place_is_told_so(self):
        server = self.serve_tls("--max-connections", "3", "--handshake-timeout", "1h")
        head = (b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n"
                b"Expect: 100-continue\r\n\r\n")
        for source in ("127.0.0.1", "127.0.0.1", "127.0.0.2"):
            wire = server.keep(From(server.address, source, self.tls))
            wire.send(head)
            self.assertEqual(wire.response().status, 100)
        with self.assertRaises(ssl.SSLError) as why:
            wait_until(lambda: Wire(server.address, tls=self.tls) and False, "nobody has a place to give")
        self.assertEqual(why.exception.reason, "TLSV1_ALERT_INTERNAL_ERROR")

    def test_a_slow_reader_keeps_its_place_at_constant_memory(self):
        server = self.serve_tls("--ring", "1MiB", "--cache", "1MiB")
        self.post(server, ({"data": "x" * 1000} for _ in range(20000)))
        slow = server.keep(WebSocket(server.address, "/v1/ws?after=first", 4096, tls=self.tls))
        time.sleep(0.5)
        before = server.rss()
        more = [server.keep(WebSocket(server.address, "/v1/ws?after=first", 4096, tls=self.tls)) for _ in range(50)]
        time.sleep(1)
        self.assertLess(server.rss() - before, memory(50))
        self.assertEqual(seqs(slow.events(20000)), list(range(1, 20001)))
        for one in more[:3]:
            self.assertEqual(seqs(one.events(2000)), list(range(1, 2001)))

    def test_a_dashboard_may_take_its_time_with_a_long_answer(self):
        """What it takes cannot be seen behind the pair of sockets: it is not one who takes nothing."""
        server = self.serve_tls("--reply-timeout", "1s")
        for _ in range(6):
            self.post(server, ({"connection_type": "kimi", "function_name": "x" * 900} for _ in range(2000)))
        slow = server.keep(WebSocket(server.address, "/ws", 65536, tls=self.tls))
        slow.receive()
        slow.send({"command": "get_historical_data", "hours": 1})
        end = time.monotonic() + 4
        while time.monotonic() < end:  # a little at a time, for longer than the timeout
            slow.wire.more(time.monotonic() + 30)
            time.sleep(0.05)
        while slow.receive(30)["type"] != "historical_data":
            pass

    def test_who_speaks_plain_http_is_told(self):
        server = self.serve_tls()
        wire = server.wire()
        wire.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assert_problem(wire.response(), 400, "https://")

    def test_a_second_listener_may_be_plain(self):
        server = self.serve_tls("--listen", "http://127.0.0.1:0")
        told = wait_until(lambda: re.findall(r"listening on (https?)://127.0.0.1:(\d+)", server.log_text())[1:2], "both are told")
        self.assertEqual(told[0][0], "http")
        server.address = ("127.0.0.1", int(re.search(r"listening on https://127.0.0.1:(\d+)", server.log_text())[1]))
        self.post(server, [{"data": 1}])
        self.assertEqual(Http(("127.0.0.1", int(told[0][1]))).request("GET", "/v1/events").json()["head"], 1)

    def client(self, ciphers, least, most):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers(ciphers)
        context.maximum_version, context.minimum_version = most, least
        return context

    def test_old_versions_and_garbage_are_refused_and_silence_ends(self):
        server = self.serve_tls("--handshake-timeout", "700ms")
        version = ssl.TLSVersion
        for context in (self.client("ALL:@SECLEVEL=0", version.TLSv1, version.TLSv1_1),
                        self.client("ECDHE-ECDSA-AES128-SHA256", version.TLSv1_2, version.TLSv1_2)):
            with self.assertRaises(OSError):
                Wire(server.address, tls=context)
        server.keep(Wire(server.address, tls=self.client("ECDHE-ECDSA-AES128-GCM-SHA256", version.TLSv1_2, version.TLSv1_2))).close()
        silent = [server.wire() for _ in range(20)]
        for i, wire in enumerate(silent):
            wire.send((b"\x16\x03\x01\x02\x00\x01", b"\x80\x80garbage" * 20, b"", b"\x00" * 100)[i % 4] or b"\x16")
        for wire in silent:
            while wire.more(time.monotonic() + 10):
                pass
        figures = self.figures(server)
        self.assertGreaterEqual(figures["failed"], 21)
        self.assertEqual(self.request(server, "GET", "/v1/stats").json()["connections"]["open"], 1)

    def test_a_certificate_is_read_anew_and_nobody_is_dropped(self):
        server = self.serve_tls()
        before = self.websocket(server)
        first = self.certificate(server)
        make_certificate(server.home, "renewed")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "certificate reloaded" in server.log_text(), "it is read")
        self.assertNotEqual(self.certificate(server), first)
        self.tls = ssl.create_default_context(cafile=self.cert)
        self.post(server, [{"data": 1}])
        self.assertEqual(before.event()["seq"], 1)
        with open(self.key, "w", encoding="ascii") as file:
            file.write("nonsense")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "cannot reload the certificate" in server.log_text(), "it is refused")
        self.post(server, [{"data": 2}])

    def certificate(self, server):
        return ssl.get_server_certificate(server.address)

    def test_a_stop_says_goodbye(self):
        server = self.serve_tls()
        socket_ = self.websocket(server)
        self.post(server, [{"data": 1}])
        self.assertEqual(socket_.event()["seq"], 1)
        server.stop()
        self.assertEqual(socket_.closed().code, 1001)

    def test_files_of_no_use_are_named(self):
        server = self.prepare()
        cert, key = make_certificate(server.home)
        other = os.path.join(server.home, "other")
        os.mkdir(other)
        _, foreign = make_certificate(other)
        for options, says in ((["--tls-cert", cert], "must be given together"), (["--tls-cert", "/nowhere.pem", "--tls-key", key], "/nowhere.pem"),
                              (["--tls-cert", cert, "--tls-key", foreign], foreign), (["--tls-cert", key, "--tls-key", key], key),
                              (["--listen", "https://127.0.0.1:0"], "--tls-cert")):
            done = command("serve", "--data", server.data, "--listen", "127.0.0.1:0", *options)
            self.assertIn(done.returncode, (1, 2), done)
            self.assertIn(says, done.stderr)

    def test_many_at_once(self):
        server = self.serve_tls()
        readers = [self.websocket(server) for _ in range(scaled(200, 40))]
        self.post(server, ({"data": i} for i in range(50)))
        for reader in readers:
            self.assertEqual(seqs(reader.events(50)), list(range(1, 51)))


BATCH = json.dumps([{"data": i} for i in range(500)])


class Forwarded(TidemarkTest):
    """Who a request is counted for."""

    def limited(self, server, forwarded):
        """How many of five requests pass, each of which is paid for for minutes."""
        headers = {"Content-Type": JSON, **({"X-Forwarded-For": forwarded} if forwarded else {})}
        return sum(server.request("POST", "/v1/events", BATCH, headers).status == 201 for _ in range(5))

    def test_from_a_trusted_proxy_the_last_address_that_is_not_one_counts(self):
        server = self.serve("--rate-limit-client", "1", "--trusted-proxy", "127.0.0.1", "--trusted-proxy", "10.0.0.1")
        for forwarded in ("192.0.2.1", "6.6.6.6, 192.0.2.2", "192.0.2.3, 10.0.0.1", "192.0.2.4:1234", "[2001:db8::1]:80",
                          "2001:db9::1"):
            self.assertEqual(self.limited(server, forwarded), 1, forwarded)
        self.assertEqual(self.limited(server, "7.7.7.7, 192.0.2.2"), 0)  # what it made up before that is not looked at

    def test_from_anybody_else_it_does_not(self):
        server = self.serve("--rate-limit-client", "1")
        passed = [self.limited(server, f"192.0.2.{i}") for i in range(4)]
        self.assertEqual(passed, [1, 0, 0, 0])

    def test_garbage_is_the_proxys_own(self):
        server = self.serve("--rate-limit-client", "1", "--trusted-proxy", "127.0.0.1")
        passed = [self.limited(server, text) for text in ("x", "999.1.1.1", ",,,", "1.2.3.4, nonsense", "[")]
        self.assertEqual(passed, [1, 0, 0, 0, 0])

    def test_a_proxy_is_an_address(self):
        done = command("serve", "--listen", "127.0.0.1:0", "--trusted-proxy", "proxy.example")
        self.assertEqual(done.returncode, 2)
        self.assertIn("proxy.example", done.stderr)


if __name__ == "__main__":
    unittest.main()
