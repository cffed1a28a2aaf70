#!/usr/bin/env python3
"""Malformed HTTP is answered with a problem document, whichever request of a connection it is.

Shown to fail without: libmicrohttpd answers in HTML, without a Content-Type."""

import unittest

from case import TidemarkTest
from wire import Wire

HOST = b"Host: localhost\r\n"
GET = b"GET /healthz HTTP/1.1\r\n" + HOST
POST = b"POST /v1/events HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
WELL = GET + b"\r\n"

CASES = {
    "a chunk size that is none": (CHUNKED + b"zz\r\n{}\r\n" + END, 400, "chunks"),
    "a negative chunk size": (CHUNKED + b"-2\r\n{}\r\n" + END, 400, "chunks"),
    "no chunk size": (CHUNKED + b"\r\n{}\r\n" + END, 400, "chunks"),
    "no CRLF behind a chunk": (CHUNKED + b"2\r\n{}XX" + END, 400, "chunks"),
    "a chunk longer than its size": (CHUNKED + b"1\r\n{}\r\n" + END, 400, "chunks"),
    "a chunk size over all bounds": (CHUNKED + b"f" * 17 + b"\r\n{}\r\n" + END, 413, "chunk"),
    "a trailer without a colon": (CHUNKED + b"2\r\n{}\r\n0\r\nnothing\r\n\r\n", 400, "header"),
    "HTTP/2.0": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505, "HTTP/1.1"),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP/1.1"),
    "no version": (b"GET /\r\n\r\n", 400, "request line"),
    "another protocol": (b"GET / HTTX/1.1\r\n" + HOST + b"\r\n", 400, "request line"),
    "a version of two digits": (b"GET / HTTP/1.10\r\n" + HOST + b"\r\n", 400, "request line"),
    "a version without a dot": (b"GET / HTTP/3\r\n" + HOST + b"\r\n", 400, "request line"),
    "a version in lower case": (b"GET / http/1.1\r\n" + HOST + b"\r\n", 400, "request line"),
    "no target": (b"GET HTTP/1.1\r\n" + HOST + b"\r\n", 400, "request line"),
    "a header without a colon": (GET + b"nothing\r\n\r\n", 400, "header"),
    "a blank before the colon": (GET + b"X : y\r\n\r\n", 400, "header"),
    "a name that is no token": (GET + b"X(y: z\r\n\r\n", 400, "header"),
    "a name in another script": (GET + "Ü: z\r\n\r\n".encode(), 400, "header"),
    "a control character in a value": (GET + b"X: y\x01z\r\n\r\n", 400, "header"),
    "a CR in a value": (GET + b"X: y\rz\r\n\r\n", 400, "header"),
    "no Host": (b"GET /healthz HTTP/1.1\r\n\r\n", 400, "Host"),
    "two Hosts": (GET + HOST + b"\r\n", 400, "Host"),
    "a length that is no number": (POST + b"Content-Length: x\r\n\r\n{}", 400, "Content-Length"),
    "a negative length": (POST + b"Content-Length: -1\r\n\r\n{}", 400, "Content-Length"),
    "two lengths": (POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400, "Content-Length"),
    "a length over all bounds": (POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n{}", (400, 413), "Content-Length"),
    "a length and chunks": (POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n" + END, 400, "Content-Length"),
    "another coding": (POST + b"Transfer-Encoding: gzip\r\n\r\n", 400, "Transfer-Encoding"),
    "a target that is too long": (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431, "head"),
    "a header that is too long": (GET + b"X: " + b"a" * 100_000 + b"\r\n\r\n", 431, "head"),
    "too many headers": (GET + b"".join(b"X%d: y\r\n" % i for i in range(5000)) + b"\r\n", 431, "head"),
}


class Malformed(TidemarkTest):

    def answer(self, wire):
        answer = wire.response()
        self.assertEqual(answer.headers.get("content-type"), "application/problem+json", answer)
        self.assertEqual(answer.headers.get("cache-control"), "no-store")
        self.assertEqual(answer.json()["status"], answer.status)
        return answer.json()

    def check(self, server, first, base=""):
        for name, (request, statuses, word) in CASES.items():
            with self.subTest(name, first=first):
                wire = Wire(server.address)
                if not first:
                    wire.send(WELL)
                    self.assertEqual(wire.response().status, 200)
                try:
                    wire.send(request)
                except OSError:
                    pass  # the answer is there before all of it was sent
                document = self.answer(wire)
                self.assertIn(document["status"], statuses if isinstance(statuses, tuple) else (statuses,))
                self.assertIn(word, document["detail"])
                self.assertTrue(document["type"].startswith(f"{base}/problems/"), document)
                wire.close()

    def test_as_the_first_request(self):
        self.check(self.serve(), True)

    def test_as_a_later_request(self):
        self.check(self.serve(), False)

    def test_below_a_base_path(self):
        self.check(self.serve("--base-path", "/tide"), True, "/tide")

    def test_others_are_served_and_nothing_is_stored(self):
        server = self.serve()
        self.check(server, False)
        self.assertEqual(server.head(), 0)
        server.publish({"data": 1})


if __name__ == "__main__":
    unittest.main()
