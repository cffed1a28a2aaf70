#!/usr/bin/env python3
"""Pages of the web, names that point here, paths that lead elsewhere, and text that would be more than text.

Shown to fail without the protection: with gate_host answering 0 the names; with the origin check of gate_pass left out the
pages; with is_below answering true the link that leads out, and with is_safe answering true the rest of the paths;
without the headers of send_file and send_asset the headers. Names with control characters are refused by
json_plain_text, files by umask, headers are encoded by url_encode: without them the injections come through.
"""

import json
import os
import stat
import unittest

from case import TidemarkTest
from command import command
from sse_client import EventSource
from text import JSON
from websocket_client import WebSocket
from wire import Refused

FOREIGN = ("evil.example", "evil.example:{port}", "localhost.evil.example:{port}", "127.0.0.1.evil.example", "127.1:{port}",
           "192.168.1.1", "[::2]:{port}", "0.0.0.0:{port}", "x@127.0.0.1")
OWN = ("localhost", "localhost:{port}", "LocalHost:1", "127.0.0.1:{port}", "127.5.5.5", "[::1]:{port}")


class Names(TidemarkTest):
    """DNS rebinding: a page at http://evil.example:PORT whose name was made to point at 127.0.0.1 is of our own origin to the
    browser; only its Host tells."""

    def test_a_foreign_host_is_refused_on_every_path(self):
        server = self.serve()
        for name in FOREIGN:
            host = name.format(port=server.port)
            for method, path in (("GET", "/v1/events"), ("GET", "/"), ("GET", "/healthz"), ("POST", "/v1/events"),
                                 ("GET", "/nothing"), ("OPTIONS", "/v1/events"), ("GET", "/metrics/adapter")):
                with self.subTest(f"{method} {path} at {host}"):
                    response = server.request(method, path, "{}" if method == "POST" else None,
                                              {"Host": host, "Origin": f"http://{host}"})
                    self.assert_problem(response, 421, host, "--allow-host")
            for path in ("/v1/ws", "/ws", "/events"):
                with self.assertRaises(Refused) as refused:
                    WebSocket(server.address, path, Host=host, Origin=f"http://{host}")
                self.assert_problem(refused.exception.response, 421, host)
        self.assertEqual(server.head(), 0)
        self.assertGreater(server.get("/v1/stats").json()["access"]["denied"]["host"], 50)

    def test_not_even_as_the_second_request_of_a_connection(self):
        server = self.serve()
        http = server.http()
        self.assertEqual(http.request("GET", "/healthz").status, 200)
        self.assert_problem(http.request("GET", "/v1/events", headers={"Host": "evil.example"}), 421)

    def test_its_own_names_are_fine(self):
        server = self.serve()
        for name in OWN:
            host = name.format(port=server.port)
            self.assertEqual(server.request("GET", "/v1/events", headers={"Host": host}).status, 200, host)
            server.keep(WebSocket(server.address, "/v1/ws", Host=host))

    def test_a_name_that_is_allowed_is_fine(self):
        server = self.serve("--allow-host", "events.example", "--allow-host", "other.example:443")
        for host in ("events.example", "EVENTS.example:80", "other.example"):
            self.assertEqual(server.request("GET", "/v1/events", headers={"Host": host}).status, 200, host)
            server.keep(WebSocket(server.address, "/v1/ws", Host=host))
        self.assertEqual(server.request("GET", "/v1/events", headers={"Host": "evil.example"}).status, 421)
        server.restart("--allow-host", "*")
        self.assertEqual(server.request("GET", "/v1/events", headers={"Host": "evil.example"}).status, 200)

    def test_the_listed_name_is_fine(self):
        server = self.serve("--listen", "localhost:0")
        self.assertEqual(server.request("GET", "/v1/events", headers={"Host": "localhost:80"}).status, 200)


class Pages(TidemarkTest):

    def test_pages_of_other_origins_change_nothing_and_open_no_socket(self):
        server = self.serve()
        for origin in ("http://evil.example", "null", f"http://127.0.0.1:{server.port + 1}", "file://", "chrome-extension://x",
                       f"http://127.0.0.1:{server.port}.evil.example", f"http://evil.example:{server.port}"):
            with self.subTest(origin):
                for method, path in (("POST", "/v1/events"), ("PUT", "/v1/sessions/s"), ("DELETE", "/v1/sessions/s"),
                                     ("POST", "/v1/leases"), ("POST", "/metrics/flush")):
                    response = server.request(method, path, "{}", {"Origin": origin, "Content-Type": "text/plain"})
                    self.assert_problem(response, 403, "--allow-origin")
                for path in ("/v1/ws", "/ws", "/events"):
                    with self.assertRaises(Refused) as refused:
                        WebSocket(server.address, path, Origin=origin)
                    self.assertEqual(refused.exception.response.status, 403)
                self.assertNotIn("access-control-allow-origin",
                                 server.request("GET", "/v1/events", headers={"Origin": origin}).headers)
        self.assertEqual(server.head(), 0)
        self.assertGreater(server.get("/v1/stats").json()["access"]["denied"]["origin"], 20)

    def test_headers_of_pages(self):
        server = self.prepare()
        os.makedirs(os.path.join(server.home, "site"))
        with open(os.path.join(server.home, "site", "mine.html"), "w", encoding="utf-8") as file:
            file.write("<p>mine")
        server.start("--static", os.path.join(server.home, "site"))
        for path in ("/", "/services.html", "/app.js", "/static/app.js", "/mine.html"):
            headers = server.get(path).headers
            self.assertEqual(headers["x-content-type-options"], "nosniff", path)
            self.assertEqual(headers["referrer-policy"], "no-referrer", path)
            self.assertIn("frame-ancestors", headers["content-security-policy"], path)
            if path != "/mine.html":
                policy = headers["content-security-policy"]
                self.assertIn("default-src 'self'", policy)
                self.assertNotIn("unsafe", policy)
        for path in ("/v1/events", "/nothing"):
            self.assertEqual(server.get(path).headers["x-content-type-options"], "nosniff")


class Paths(TidemarkTest):

    def test_nothing_outside_of_the_directory_is_served(self):
        server = self.prepare()
        site, outside = os.path.join(server.home, "site"), os.path.join(server.home, "outside")
        os.makedirs(os.path.join(site, "sub"))
        os.makedirs(outside)
        os.makedirs(site + "-twin")
        for path in (os.path.join(outside, "secret.txt"), os.path.join(site + "-twin", "secret.txt"),
                     os.path.join(site, ".hidden"), os.path.join(site, "sub", "page.txt")):
            with open(path, "w", encoding="utf-8") as file:
                file.write("secret" if "sub" not in path else "page")
        os.symlink(os.path.join(outside, "secret.txt"), os.path.join(site, "link.txt"))
        os.symlink(outside, os.path.join(site, "folder"))
        os.symlink("../site-twin", os.path.join(site, "twin"))
        os.symlink("sub/page.txt", os.path.join(site, "inside.txt"))
        os.symlink(site, site + "-link")
        os.mkfifo(os.path.join(site, "pipe.txt"))
        for directory in (site, site + "-link", site + "/"):
            server.start("--static", directory)
            for path in ("link.txt", "folder/secret.txt", "twin/secret.txt", ".hidden", "../outside/secret.txt",
                         "%2e%2e/outside/secret.txt", "..%2foutside%2fsecret.txt", "sub/../../outside/secret.txt",
                         "sub/%2e%2e/%2e%2e/outside/secret.txt", "..%5coutside%5csecret.txt", "%2e%2e%2foutside%2fsecret.txt",
                         "%252e%252e/outside/secret.txt", "/etc/passwd", "//etc/passwd", "%2fetc%2fpasswd", "sub", "pipe.txt",
                         "sub/", "inside.txt%00.html", "..;/outside/secret.txt"):
                for base in ("/static/", "/"):
                    response = server.request("GET", base + path)
                    directory = path.strip("/") == "sub"
                    self.assertIn(response.status, (400, 403 if directory else 404, 404), (base + path, response))
                    self.assertNotIn("secret", response.text)
            for path in ("/static/inside.txt", "/inside.txt", "/static/sub/page.txt"):
                self.assertEqual(server.get(path).text, "page", path)
            server.stop()


class Files(TidemarkTest):

    def test_the_store_and_what_is_made_of_it_is_nobody_elses_to_read(self):
        server = self.prepare()
        of_home = lambda name: os.path.join(server.home, name)
        before = os.umask(0)
        try:
            server.start()
            server.publish([{"data": 1}])
            for arguments in (("export", server.data, "-o", of_home("all.ndjson.zst")), ("backup", server.data, of_home("copy")),
                              ("import", of_home("restored"), of_home("all.ndjson.zst"))):
                self.assertEqual(command(*arguments).returncode, 0)
        finally:
            os.umask(before)
        found = [os.path.join(path, name) for path, _, names in os.walk(server.home) for name in ["", *names]]
        self.assertGreater(len(found), 10)
        for path in found:
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode) & 0o077, 0, path)


class Injections(TidemarkTest):
    """What publishers send is one line of data to every reader."""

    TEXT = "a\r\ndata: {\"seq\":99}\r\n\r\nevent: gap\n\nid: 7\n\u2028\u2029\u0085\x00end"

    def test_payloads_cannot_add_lines_to_a_stream(self):
        server = self.serve()
        server.publish([{"stream": "s", "type": "t", "data": self.TEXT}, {"data": {self.TEXT: 1}}, {"data": 3}])
        stream = server.sse(after="first")
        self.assertEqual([stream.event()["data"] for _ in range(3)], [self.TEXT, {self.TEXT: 1}, 3])
        lines = server.lines()
        self.assertEqual(len(lines), 3)
        for line in lines:
            self.assertNotIn("\r", line)
        socket = server.reader(after="first")
        self.assertEqual([socket.event()["data"] for _ in range(3)], [self.TEXT, {self.TEXT: 1}, 3])

    def test_names_hold_no_control_characters(self):
        server = self.serve()
        for text in ("a\nb", "a\rb", "a\x00b", "a\x7fb", "a\u0085b", "\x1b[31m"):
            for member in ("stream", "type", "id"):
                self.assert_problem(server.post([{member: text, "data": 1}]), 400)
            for path in (f"/v1/sessions/{''.join(f'%{byte:02x}' for byte in text.encode())}",):
                self.assertEqual(server.request("PUT", path, '{"acked":0}', {"Content-Type": JSON}).status, 400)
            self.assert_problem(server.get("/v1/events", stream=text), 400)
            self.assert_problem(server.request("POST", "/v1/leases", json.dumps({"holder": text})), 400)
        self.assertEqual(server.head(), 0)

    def test_parameters_cannot_add_headers(self):
        server = self.serve()
        server.publish([{"stream": "a>; rel=\"x\", <b", "data": i} for i in range(5)])
        response = server.request("GET", "/v1/events?limit=2&stream=a%3E;%20rel=%22x%22,%20%3Cb")
        self.assertEqual(response.headers["link"].count("rel="), 1)
        self.assertEqual(response.headers["link"].count("<"), 1)
        for path in ("/v1/events?x%0d%0aX-Evil:1=1", "/v1/events?epoch=%0d%0aX-Evil:%201", "/%0d%0aX-Evil:%201",
                     "/v1/streams/%0d%0aX-Evil:%201", "/v1/events?limit=1&epoch=%0d%0aX-Evil:%201"):
            self.assertNotIn("x-evil", server.request("GET", path).headers)
        allowed = self.serve("--allow-origin", "*")
        wire = allowed.wire()
        wire.send(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nOrigin: http://x\rX-Evil: 1\r\n\r\n")
        self.assertNotIn(b"\r\nX-Evil", wire.response().headers.__repr__().encode())

    def test_an_event_source_gets_what_was_published_and_no_more(self):
        server = self.serve()
        stream = server.keep(EventSource(server.address, "/v1/events?after=first"))
        for i in range(20):
            server.publish([{"stream": f"s{i}:\u2028data: x", "data": "\n\ndata: y\n\n" * i}])
        for i in range(20):
            event = stream.event()
            self.assertEqual((event["seq"], event["data"]), (i + 1, "\n\ndata: y\n\n" * i))


if __name__ == "__main__":
    unittest.main()
