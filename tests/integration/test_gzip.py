#!/usr/bin/env python3
"""Bodies that come as gzip, and answers that go as gzip or zstd, where a request takes that."""

import gzip
import json
import subprocess
import unittest

from case import TidemarkTest
from client import stored
from load import MIB
from text import JSON, NDJSON, ndjson


def unzstd(packed):
    return subprocess.run(["zstd", "-dcq"], input=packed, capture_output=True, check=True).stdout


UNPACK = {"gzip": gzip.decompress, "zstd": unzstd, None: bytes}


class Bodies(TidemarkTest):

    def publish(self, server, body, kind=NDJSON, coding="gzip"):
        return server.request("POST", "/v1/events", body, {"Content-Type": kind, "Content-Encoding": coding})

    def events(self, count):
        return [{"stream": "s", "data": {"n": n, "text": "é " * 20}} for n in range(count)]

    def test_a_packed_body_is_stored_like_a_plain_one(self):
        server = self.serve()
        self.assert_receipt(stored(self.publish(server, gzip.compress(ndjson(self.events(3000))))), first=1, count=3000)
        array = gzip.compress(json.dumps(self.events(2)).encode(), 9)
        self.assert_receipt(stored(self.publish(server, array, JSON, "x-gzip")), count=2)
        parts = gzip.compress(b'{"data": 1}') + gzip.compress(b"\n") + gzip.compress(b'{"data":2}')
        self.assert_receipt(stored(self.publish(server, parts)), count=2)
        marked = gzip.compress("\ufeff".encode() + b'{"data":3}')
        self.assert_receipt(stored(self.publish(server, marked, JSON)), count=1)
        self.assertEqual([e["data"] for e in server.everything()[:3000]], [e["data"] for e in self.events(3000)])

    def test_what_is_no_packed_body_is_refused_and_stores_nothing(self):
        server = self.serve("--max-request", "1MiB")
        good = gzip.compress(ndjson(self.events(50)))
        for body, status in ((b"", 400), (b"garbage", 400), (good[:-1], 400), (good[:20], 400), (good + b"x", 400),
                             (good[:60] + b"\xff\xff\xff" + good[63:], 400), (gzip.compress(b"not json"), 400),
                             (gzip.compress(bytes(300 * MIB), 1), 413), (gzip.compress(b" " * 2 * MIB), 413)):
            self.assert_problem(self.publish(server, body), status)
        self.assertEqual(server.head(), 0)
        self.assertEqual(stored(self.publish(server, good))["count"], 50)

    def test_a_window_that_is_too_large_is_named(self):
        server = self.serve()
        packed = subprocess.run(["zstd", "-cq", "--long=27"], input=ndjson(self.events(10)) * 3000, capture_output=True,
                                check=True).stdout
        self.assert_problem(self.publish(server, packed, coding="zstd"), 400, "window of more than 8 MiB")


class Answers(TidemarkTest):
    """Shown to fail without: gzip was not known, and only NDJSON was packed."""

    ROUTES = ("/v1/events", "/v1/streams", "/v1/stats", "/metrics", "/", "/style.css", "/v1/events/1")

    def setUp(self):
        self.server = self.serve()
        self.server.publish([{"stream": f"a-stream-of-some-name-{n}", "data": {"n": n, "text": "é " * 50}} for n in range(200)])
        self.server.publish({"data": "x" * 2000})

    def get(self, path, accepted, **more):
        return self.server.request("GET", path, headers={"Accept-Encoding": accepted, **more})

    def test_what_a_request_takes_decides(self):
        for accepted, coding in (("gzip", "gzip"), ("gzip, deflate, br", "gzip"), ("zstd", "zstd"), ("gzip, zstd", "zstd"),
                                 ("zstd, gzip;q=0.5", "zstd"), ("zstd;q=0.2, gzip;q=0.9", "gzip"), ("GZIP", "gzip"),
                                 ("gzip;q=0", None), ("br", None), ("", None), ("identity", None)):
            for path in ("/v1/events", "/v1/streams", "/"):
                for form in (JSON, NDJSON) if path == "/v1/events" else ("*/*",):
                    with self.subTest(accepted, path=path, form=form):
                        answer = self.get(path, accepted, Accept=form)
                        self.assertEqual(answer.status, 200)
                        self.assertEqual(answer.headers.get("content-encoding"), coding)
                        self.assertIn("accept-encoding", answer.headers["vary"].lower())
                        plain = self.get(path, "", Accept=form)
                        self.assertEqual(UNPACK[coding](answer.body), plain.body)
                        self.assertNotIn("content-encoding", plain.headers)

    def test_what_is_packed_is_smaller_and_of_the_same_type(self):
        for path in ("/v1/events", "/v1/streams", "/v1/stats", "/metrics", "/", "/services.html"):
            with self.subTest(path):
                plain, packed = self.get(path, ""), self.get(path, "gzip")
                self.assertLess(len(packed.body), len(plain.body))
                self.assertEqual(packed.headers["content-type"], plain.headers["content-type"])
                self.assertEqual(packed.headers["content-length"], str(len(packed.body)))
                head = self.server.request("HEAD", path, headers={"Accept-Encoding": "gzip"})
                self.assertEqual((head.headers.get("content-encoding"), head.body), ("gzip", b""))

    def test_what_is_small_or_an_error_is_sent_as_it_is(self):
        for path, status in (("/v1/streams?limit=1", 200), ("/v1/streams/none", 404), ("/v1/events?limit=x", 400),
                             ("/healthz", 200)):
            answer = self.get(path, "gzip, zstd")
            self.assertEqual((answer.status, answer.headers.get("content-encoding")), (status, None))
            answer.json()

    def test_a_page_is_known_by_its_tag_in_every_form(self):
        plain, packed = self.get("/", ""), self.get("/", "gzip")
        self.assertEqual(packed.headers["etag"], "W/" + plain.headers["etag"])
        for tag in (plain.headers["etag"], packed.headers["etag"]):
            for accepted in ("", "gzip"):
                again = self.get("/", accepted, **{"If-None-Match": tag})
                self.assertEqual((again.status, again.body), (304, b""))
                self.assertIn("accept-encoding", again.headers["vary"].lower())

    def test_a_long_history_is_streamed_packed(self):
        events = [{"data": "y" * 500 + str(n)} for n in range(4000)]
        self.server.publish_lines(events)
        plain = self.get("/v1/events", "", Accept=NDJSON)
        self.assertEqual(gzip.decompress(self.get("/v1/events", "gzip", Accept=NDJSON).body), plain.body)
        page = self.get("/v1/events?limit=10000", "gzip")
        self.assertEqual(len(json.loads(gzip.decompress(page.body))["events"]), 4201)
        self.assertEqual(self.get("/v1/events?after=1&limit=5", "gzip").headers["link"].count("rel="), 1)


if __name__ == "__main__":
    unittest.main()
