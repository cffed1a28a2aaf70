#!/usr/bin/env python3
"""Headers that decide: Accept, Content-Encoding, Content-Length and Transfer-Encoding, and the links that lead on."""

import contextlib
import re
import time
import unittest

from case import TidemarkTest
from wire import DEADLINE_S, TimedOut

JSON, LINES, SSE = "application/json", "application/x-ndjson", "text/event-stream"


class Negotiation(TidemarkTest):

    def setUp(self):
        self.server = self.serve()
        self.server.publish([{"data": i} for i in range(30)])

    def form(self, accept):
        wire = self.server.wire()
        wire.send(f"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n".encode())
        while b"\r\n\r\n" not in wire.buffer:
            self.assertTrue(wire.more(time.monotonic() + DEADLINE_S))
        return re.search(rb"Content-Type: ([^\r;]+)", wire.buffer)[1].decode()

    def test_accept_picks_the_form_it_likes_best(self):
        for accept, form in [("*/*", JSON), ("text/html", JSON), ("TEXT/EVENT-STREAM", SSE), ("application/X-NDJSON", LINES),
                             ("application/ndjson", LINES), ("text/event-stream;q=0.1, application/json", JSON),
                             ("application/x-ndjson;q=0", JSON), ("application/json;q=0.5, application/x-ndjson;q=0.6", LINES),
                             ("text/event-stream;charset=utf-8", SSE), ("x/ndjson, text/event-streams", JSON)]:
            with self.subTest(accept):
                self.assertEqual(self.form(accept), form)

    def test_a_body_of_another_coding_is_415(self):
        for coding in ("br", "deflate", "gzip, identity"):
            response = self.server.request("POST", "/v1/events", '{"data":1}', {"Content-Type": JSON, "Content-Encoding": coding})
            self.assert_problem(response, 415, "Content-Encoding")
            self.assertEqual(response.headers["accept-encoding"], "zstd, gzip")  # RFC 7694
        response = self.server.request("POST", "/v1/events", '{"data":1}', {"Content-Type": JSON, "Content-Encoding": "identity"})
        self.assertEqual(response.status, 201)

    def test_a_body_without_a_clear_end_is_400(self):
        for headers in ("Content-Length: +10", "Content-Length: -1", "Content-Length: 9" + "9" * 30, "Content-Length: 1, 1",
                        "Content-Length: 10\r\nContent-Length: 11", "Content-Length: 10\r\nTransfer-Encoding: chunked",
                        "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: identity", "Content-Length:"):
            with self.subTest(headers):
                wire = self.server.wire()
                wire.send(f"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: {JSON}\r\n{headers}\r\n\r\n".encode() + b'{"data":1}')
                answer = wire.rest()
                self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), answer[:100])
                self.assertEqual(answer.count(b"HTTP/1.1"), 1)
                self.assertIn(b"application/problem+json", answer)
        self.assertEqual(self.server.head(), 30)

    def test_a_head_that_is_too_large_is_431(self):
        for head in ("x: " + "y" * 20000, "\r\n".join(f"x{i}: y" for i in range(150))):
            wire = self.server.wire()
            wire.send(f"GET /healthz HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n".encode())
            self.assertTrue(wire.rest().startswith(b"HTTP/1.1 431 "))
        wire = self.server.wire()
        wire.send(("GET /v1/events?" + "&".join("stream=s" for _ in range(150)) + " HTTP/1.1\r\nHost: localhost\r\n\r\n").encode())
        self.assertTrue(wire.rest().startswith(b"HTTP/1.1 431 "))

    def test_links_lead_from_another_epoch_to_the_end(self):
        for order in ("asc", "desc"):
            target, seen, gaps = f"/v1/events?epoch=another&limit=7&order={order}", [], 0
            while target:
                response = self.server.request("GET", target)
                page = response.json()
                gaps += "gap" in page
                seen += [event["seq"] for event in page["events"]]
                self.assertLessEqual(len(seen), 30)
                link = re.match(r'<([^>]+)>; rel="next"', response.headers.get("link", ""))
                target = link and link[1]
            self.assertEqual(sorted(seen), list(range(1, 31)))
            self.assertEqual(gaps, 1)

    def test_a_fraction_of_a_millisecond_counts(self):
        event = self.server.everything()[0]
        later = event["time"].replace("Z", "5Z")
        self.assertEqual(self.server.get("/v1/events", since=later).json()["events"][:1], [])
        self.assertIn(event, self.server.get("/v1/events", until=later).json()["events"])

    def test_a_filtered_event_source_gets_comments_while_others_publish(self):
        wire = self.server.wire()
        wire.send(b"GET /v1/events?stream=nobody HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
        while b"\n:\n" not in wire.buffer:
            self.server.publish({"data": 1})
            with contextlib.suppress(TimedOut):
                wire.more(time.monotonic() + 0.2)


if __name__ == "__main__":
    unittest.main()
