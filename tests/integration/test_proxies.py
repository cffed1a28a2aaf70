#!/usr/bin/env python3
"""Behind the reverse proxies that Debian has, and with a client that keeps its connections (python3-aiohttp).

Shown to fail without the protection: with a server that takes a WebSocket only as the first request of a connection, through all
that keep connections; without X-Accel-Buffering through nginx as it is; with Host $host in packaging/nginx.conf for pages on
another port.
"""

import asyncio
import json
import os
import shutil
import ssl
import subprocess
import unittest

from case import TidemarkTest
from client import stored
from load import MIB, scaled
from proxies import Proxy, apache, haproxy, nginx, packaged, varnish
from sse_client import EventSource
from test_tls import make_certificate
from text import JSON, NDJSON, SSE, ndjson, seqs
from websocket_client import WebSocket
from wire import DEADLINE_S, Http, Wire

try:
    import aiohttp
except ImportError:
    aiohttp = None

ROUNDS = 20


def wants(program):
    return unittest.skipUnless(shutil.which(program), f"wants {program}")


class ProxyTest(TidemarkTest):
    """What holds behind every proxy; `start` starts it in front of `self.server`."""

    OPTIONS = ()
    tls = None
    name = "localhost"

    def setUp(self):
        self.server = self.serve(*self.OPTIONS)
        self.proxy = Proxy(self)
        self.start()

    def tearDown(self):
        self.server.finish()  # first: a proxy may wait for what it still serves

    def http(self, host=None):
        return self.server.keep(HttpOf(self.proxy.address, self.tls, host or self.name))

    def stream(self, path):
        return self.server.keep(EventSource(self.proxy.address, path, tls=self.tls, Host=self.name))

    def websocket(self, path, wire=None):
        return self.server.keep(WebSocket(self.proxy.address, path, tls=self.tls, wire=wire, Host=self.name))


class Passes:
    """The tests that hold for all of them."""

    def test_events_of_a_stream_come_at_once(self):
        stream = self.stream("/v1/events?after=first")
        for i in range(1, 6):
            self.server.post([{"data": i}])
            self.assertEqual(stream.event()["seq"], i)

    def test_a_name_with_a_slash_in_the_path_stays_one_name(self):
        self.server.post([{"stream": "/orders", "data": 1}])
        answer = self.http().request("GET", "/v1/streams/%2Forders")
        self.assertEqual(answer.json().get("name"), "/orders", answer)


class PassesForms:
    def test_each_form_of_a_page_is_its_own(self):
        self.server.post([{"data": 1}])
        for _ in range(2):
            for accept in (JSON, NDJSON, SSE):
                with self.subTest(accept):
                    if accept == SSE:
                        stream = self.stream("/v1/events?after=0")
                        self.assertTrue(stream.headers["content-type"].startswith(SSE))
                        self.assertEqual(stream.event()["seq"], 1)
                        continue
                    answer = self.http().request("GET", "/v1/events?after=0", headers={"Accept": accept})
                    self.assertEqual(answer.status, 200)
                    self.assertTrue(answer.headers["content-type"].startswith(accept))


class PassesWebSockets(Passes):

    def test_a_websocket_after_requests(self):
        for i in range(1, ROUNDS + 1):
            wire = self.server.keep(Wire(self.proxy.address, tls=self.tls))
            for _ in range(3):
                wire.send(f"GET /v1/streams HTTP/1.1\r\nHost: {self.name}\r\n\r\n".encode())
                self.assertEqual(wire.response().status, 200)
            socket_ = self.websocket("/v1/ws", wire)
            self.assertEqual(socket_.receive()["op"], "hello")
            self.server.post([{"data": i}])
            self.assertEqual(socket_.event()["seq"], i)
            socket_.ping()
            if i % 2:
                socket_.leave()
            else:
                socket_.close()

    def test_websockets_on_connections_of_their_own(self):
        http = self.http()
        held = []
        for i in range(1, ROUNDS + 1):
            for _ in range(3):
                self.assertEqual(http.request("GET", "/v1/streams").status, 200)
            held.append(self.websocket("/v1/ws?after=first"))
            self.server.post([{"data": i}])
        for socket_ in held:
            self.assertEqual(seqs(socket_.events(ROUNDS)), list(range(1, ROUNDS + 1)))


class HttpOf(Http):
    """Calls the server by another name."""

    def __init__(self, address, tls, name):
        super().__init__(address, tls)
        self.name = name

    def request(self, method, path, body=None, headers=None, **query):
        return super().request(method, path, body, {"Host": self.name, **(headers or {})}, **query)


class Packaged(ProxyTest):
    """A proxy that speaks TLS and HTTP/2 to clients, and says who they are."""

    OPTIONS = ("--trusted-proxy", "127.0.0.1", "--rate-limit-client", "50", "--allow-host", "events.example")
    name = "events.example"

    def certificate(self):
        """Readable by the proxy; in one file and in two."""
        cert, key = make_certificate(self.proxy.home)
        both = os.path.join(self.proxy.home, "both.pem")
        with open(both, "w", encoding="utf-8") as out:
            for path in (cert, key):
                with open(path, encoding="utf-8") as file:
                    out.write(file.read())
        self.tls = ssl.create_default_context(cafile=cert)
        return cert, key, both


class PassesPackaged(PassesForms, PassesWebSockets):

    def test_a_large_upload_comes_whole(self):
        self.server.restart("--trusted-proxy", "127.0.0.1", "--allow-host", "events.example", same_port=True)
        count = scaled(20 * 1024, 1024)
        body = ndjson({"data": "x" * 1000} for _ in range(count))
        self.assertLess(len(body), 32 * MIB)
        answer = self.http().request("POST", "/v1/events", body, {"Content-Type": NDJSON})
        self.assertEqual(stored(answer)["count"], count)

    def publish_as(self, source, **headers):
        http = self.http()
        http.connection.source_address = (source, 0)
        return http.request("POST", "/v1/events", json.dumps([{"data": 1}] * 1000), {"Content-Type": JSON, **headers}).status

    def test_limits_know_the_clients(self):
        self.assertEqual(self.publish_as("127.0.0.2"), 201)
        self.assertEqual(self.publish_as("127.0.0.3"), 201)
        # What a client says of itself does not help it.
        for said in ("192.0.2.1", "192.0.2.2, 127.0.0.1"):
            self.assertEqual(self.publish_as("127.0.0.2", **{"X-Forwarded-For": said}), 429)
        self.assertEqual(self.server.request("POST", "/v1/events", '{"data":1}',
                                             {"Content-Type": JSON, "X-Forwarded-For": "192.0.2.77"}).status, 201)

    def test_pages_of_our_own_may_publish(self):
        own = f"https://events.example:{self.proxy.address[1]}"
        for origin, status in ((own, 201), ("https://evil.example", 403)):
            answer = self.http(own.removeprefix("https://")).request("POST", "/v1/events", '{"data":1}',
                                                                     {"Content-Type": JSON, "Origin": origin})
            self.assertEqual(answer.status, status)

    @wants("curl")
    def test_http_2(self):
        done = subprocess.run(["curl", "-sS", "--http2", "--cacert", os.path.join(self.proxy.home, "cert.pem"), "-w",
                               " %{http_version}", "https://localhost:%d/v1/streams" % self.proxy.address[1]],
                              capture_output=True, text=True, check=True, timeout=DEADLINE_S)
        self.assertEqual(done.stdout, '{"streams":[],"next":null} 2')


@wants("nginx")
class BehindNginx(PassesPackaged, Packaged):

    def start(self):
        cert, key, _ = self.certificate()
        nginx(self.proxy, packaged("nginx.conf", ("127.0.0.1:8080", "127.0.0.1:%d" % self.server.port),
                                   ("listen 443 ssl", "listen 127.0.0.1:{port} ssl"),
                                   ("/etc/ssl/events.example.pem", cert), ("/etc/ssl/events.example.key", key)))


@wants("haproxy")
class BehindHaproxy(PassesPackaged, Packaged):

    def start(self):
        _, _, both = self.certificate()
        haproxy(self.proxy, packaged("haproxy.cfg", ("127.0.0.1:8080", "127.0.0.1:%d" % self.server.port),
                                     ("bind :443", "bind 127.0.0.1:{port}"), ("/etc/ssl/events.example.pem", both)))


@wants("nginx")
class BehindNginxAsItIs(PassesForms, Passes, ProxyTest):
    """Nothing but `proxy_pass`: HTTP/1.0, buffers, no WebSocket."""

    OPTIONS = ("--allow-host", "127.0.0.1")

    def start(self):
        nginx(self.proxy, "server { listen 127.0.0.1:{port}; location / { proxy_pass http://127.0.0.1:%d; } }" % self.server.port)


@wants("apache2")
class BehindApache(PassesForms, PassesWebSockets, ProxyTest):

    def start(self):
        apache(self.proxy, 'AllowEncodedSlashes NoDecode\nProxyPass "/" "http://127.0.0.1:%d/" upgrade=websocket\n' % self.server.port)


@wants("varnishd")
class BehindVarnish(PassesForms, PassesWebSockets, ProxyTest):

    def start(self):
        varnish(self.proxy, """vcl 4.1;
backend default { .host = "127.0.0.1"; .port = "%d"; }
sub vcl_recv {
    if (req.http.Upgrade ~ "(?i)websocket") {
        return (pipe);
    }
}
sub vcl_pipe {
    if (req.http.Upgrade) {
        set bereq.http.Upgrade = req.http.Upgrade;
        set bereq.http.Connection = req.http.Connection;
    }
}
""" % self.server.port)


@unittest.skipUnless(aiohttp, "wants python3-aiohttp")
class Aiohttp(TidemarkTest):
    """One session for requests and WebSockets."""

    async def rounds(self, server):
        async with aiohttp.ClientSession(server.url) as session:
            for i in range(1, ROUNDS + 1):
                for _ in range(3):
                    async with session.get("/v1/streams") as answer:
                        self.assertEqual(answer.status, 200)
                        await answer.read()
                async with session.ws_connect("/v1/ws", protocols=("tidemark.v1",)) as socket_:
                    self.assertEqual(socket_.protocol, "tidemark.v1")
                    self.assertEqual((await socket_.receive_json())["op"], "hello")
                    async with session.post("/v1/events", json={"data": i}) as answer:
                        self.assertEqual(answer.status, 201)
                    while "op" in (event := await socket_.receive_json()):
                        pass
                    self.assertEqual((event["seq"], event["data"]), (i, i))

    def test_one_session_for_all(self):
        asyncio.run(asyncio.wait_for(self.rounds(self.serve()), DEADLINE_S))


if __name__ == "__main__":
    unittest.main()
