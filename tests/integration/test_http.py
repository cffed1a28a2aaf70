#!/usr/bin/env python3
"""What is not about events: health, stats, the first page, paths, methods, origins, start."""

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import unittest
from urllib.parse import urljoin

from binary import BIN, environment
from case import TidemarkTest
from command import command
from waiting import wait_until
from wire import DEADLINE_S, Http


class Service(TidemarkTest):

    def setUp(self):
        self.server = self.serve()

    def test_healthz_and_readyz_are_200(self):
        self.assertEqual(self.server.get("/healthz").status, 200)
        self.assertEqual(self.server.get("/readyz").status, 200)

    def test_readyz_is_503_with_the_reason_while_it_cannot_commit(self):
        self.server.restart("--disk-reserve", "1000000GiB")
        self.assertEqual(self.server.get("/healthz").status, 200)
        response = self.server.get("/readyz")
        self.assertEqual(response.status, 503)
        self.assertRegex(response.text, "(?i)disk|space|reserve")

    def test_stats_are_one_json_document(self):
        self.server.publish([{"stream": "a", "data": 1}, {"stream": "b", "data": 2}])
        response = self.server.get("/v1/stats")
        self.assertEqual(response.status, 200)
        stats = response.json()
        self.assertIsInstance(stats, dict)
        self.assertIn('"head":2', json.dumps(stats, separators=(",", ":")))

    def test_the_first_page_needs_no_network_but_the_server(self):
        response = self.server.get("/", accept="text/html")
        self.assertEqual(response.status, 200)
        self.assertTrue(response.headers["content-type"].startswith("text/html"))
        self.assertIn("<html", response.text.lower())
        for elsewhere in ('src="http', "src='http", 'href="http', "@import", 'src="//'):
            self.assertNotIn(elsewhere, response.text)

    def test_the_type_of_a_problem_is_a_page_and_all_of_them_are_linked(self):
        paths = ["/problems", self.server.get("/nothing").json()["type"]]
        for path in paths:
            page = self.server.get(path)
            self.assertEqual(page.status, 200, path)
            for link in re.findall(r'href="([^"]+)"', page.text):
                if (to := urljoin(path, link)) not in paths:
                    paths.append(to)
        self.assertIn("/problems.css", paths)
        self.assertIn("/problems/expectation-failed", paths)
        self.assertGreater(len(paths), 15)

    def test_an_unknown_path_is_404(self):
        for path in ("/nothing", "/v1", "/v1/", "/v2/events", "/v1/events/1/2", "/v1/event",
                     "/v1/streams/a/b", "/V1/EVENTS"):
            with self.subTest(path):
                self.assert_problem(self.server.get(path), 404)
                self.assert_problem(self.server.request("POST", path, b"{}"), 404)

    def test_a_wrong_method_is_405_with_allow(self):
        for method, path, allowed in [
                ("PUT", "/v1/events", ("GET", "POST")), ("DELETE", "/v1/events", ("GET", "POST")),
                ("POST", "/v1/events/1", ("GET",)), ("POST", "/v1/streams", ("GET",)),
                ("DELETE", "/v1/streams/a", ("GET",)), ("POST", "/v1/sessions", ("GET",)),
                ("POST", "/v1/sessions/s", ("GET", "PUT", "DELETE")), ("POST", "/v1/stats", ("GET",)),
                ("PATCH", "/v1/events", ("GET", "POST")), ("POST", "/healthz", ("GET",)),
                ("POST", "/readyz", ("GET",)), ("DELETE", "/", ("GET",))]:
            with self.subTest(method=method, path=path):
                response = self.server.request(method, path)
                self.assert_problem(response, 405)
                for name in allowed:
                    self.assertIn(name, response.headers["allow"])

    def test_one_connection_serves_many_requests_good_and_bad(self):
        http = self.server.http()
        for i in range(1, 21):
            response = http.request("POST", "/v1/events", b'{"data":1}',
                                    {"Content-Type": "application/json"})
            self.assertEqual(response.json()["first"], i)
            self.assertEqual(http.request("GET", "/nothing").status, 404)
            self.assertEqual(http.request("POST", "/v1/events", b"{bad",
                                          {"Content-Type": "application/json"}).status, 400)
            self.assertEqual(http.request("GET", f"/v1/events/{i}").status, 200)

    def test_requests_may_be_pipelined(self):
        wire = self.server.wire()
        wire.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 10)
        self.assertEqual([wire.response().status for _ in range(10)], [200] * 10)

    def test_a_request_may_come_in_pieces(self):
        wire = self.server.wire()
        request = (b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                   b'Content-Length: 10\r\n\r\n{"data":1}')
        for i in range(0, len(request), 9):
            wire.send(request[i:i + 9])
            time.sleep(0.005)
        self.assertEqual(wire.response().status, 201)


    def test_a_client_that_has_said_all_still_gets_its_answer(self):
        for request, status in [(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
                                (b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                                 b'Content-Length: 10\r\n\r\n{"data":1}', 201)]:
            wire = self.server.wire()
            wire.send(request)
            wire.sock.shutdown(socket.SHUT_WR)
            self.assertEqual(wire.response().status, status)


class Origins(TidemarkTest):

    def test_a_state_change_with_a_foreign_origin_is_refused(self):
        server = self.serve()

        def requests(origin):
            headers = {"Content-Type": "application/json", "Origin": origin}
            return [server.request("POST", "/v1/events", b'{"data":1}', headers).status,
                    server.request("PUT", "/v1/sessions/s", b'{"acked":0}', headers).status,
                    server.request("DELETE", "/v1/sessions/s", None, headers).status]

        for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
            self.assertEqual(requests(origin), [403, 403, 403], origin)
        self.assertEqual(server.head(), 0)
        self.assertEqual(requests(server.url)[0], 201)
        server.restart("--allow-origin", "https://app.example")
        self.assertEqual(requests("https://app.example")[0], 201)
        self.assertEqual(requests("http://evil.example"), [403, 403, 403])


class Start(TidemarkTest):

    def start_and_end(self, *options, extra=None):
        """Starts a server that may refuse to; returns (exit code or None, its stderr)."""
        with tempfile.TemporaryDirectory() as home:
            process = subprocess.Popen([BIN, "serve", "--data", os.path.join(home, "d"), *options],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                       env=environment(extra))
            log = b""
            while line := process.stderr.readline():
                log += line
                if b"listening on" in line:
                    process.send_signal(signal.SIGTERM)
            code = process.wait(DEADLINE_S)
            process.stderr.close()
        return code, log.decode()

    def test_bound_to_more_than_loopback_it_refuses_to_start(self):
        code, log = self.start_and_end("--listen", "0.0.0.0:0")
        self.assertNotEqual(code, 0)
        self.assertNotIn("listening on", log)
        self.assertRegex(log, "--insecure|--tokens")
        code, log = self.start_and_end("--listen", "0.0.0.0:0", "--insecure")
        self.assertEqual(code, 0, log)
        self.assertIn("listening on", log)

    def test_a_port_in_use_is_a_clear_failure(self):
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        code, log = self.start_and_end("--listen", "127.0.0.1:%d" % taken.getsockname()[1])
        self.assertEqual(code, 1, log)
        self.assertIn("in use", log)

    def test_max_connections_bounds_them_and_places_come_free(self):
        server = self.serve("--max-connections", "20")
        well = server.live_reader()
        waiting = []
        for _ in range(40):
            try:
                waiting.append(server.wire())
            except OSError:
                pass
        self.assertEqual(well.ping()["op"], "pong")
        for wire in waiting:
            wire.close()

        def answers():
            try:
                http = Http(server.address)
                return http.request("GET", "/healthz").status == 200
            except OSError:
                return False
            finally:
                http.close()

        wait_until(answers, "a place has come free")
        self.assertEqual(well.ping()["op"], "pong")

    def test_a_damaged_database_is_refused_with_the_reason(self):
        server = self.serve()
        server.publish([{"data": "x" * 1000}] * 100)
        server.stop()
        path = os.path.join(server.data, "tidemark.db")
        with open(path, "r+b") as database:
            database.write(b"This is no database." * 300)
        done = command("serve", "--data", server.data, "--listen", "127.0.0.1:0")
        self.assertEqual(done.returncode, 1, done)
        self.assertNotIn("listening on", done.stderr)
        self.assertRegex(done.stderr, "(?i)database|damaged|corrupt")


if __name__ == "__main__":
    unittest.main()
