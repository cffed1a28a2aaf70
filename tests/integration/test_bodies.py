#!/usr/bin/env python3
"""Bodies of requests that are not events: an unknown or repeated member is an error that names it."""

import json
import os
import unittest

from case import TidemarkTest
from client import stored
from command import command
from text import JSON

MARK = "\ufeff"


class Bodies(TidemarkTest):

    def setUp(self):
        self.server = self.serve("--lease-limit", "kimi=2")
        self.server.publish([{"stream": "s", "data": i} for i in range(9)])
        self.lease = stored(self.send("POST", "/v1/leases", '{"name":"kimi","holder":"w"}'))["id"]
        self.routes = [("POST", "/v1/leases", {"name": "kimi", "holder": "w", "session": "s", "conversation": "c"}),
                       ("PUT", f"/v1/leases/{self.lease}", {"holder": "w"}),
                       ("DELETE", f"/v1/leases/{self.lease}", {"holder": "w"}),
                       ("PUT", "/v1/sessions/me", {"acked": 3}),
                       ("POST", "/v1/sessions/me/ack", {"seq": 4}),
                       ("DELETE", "/v1/sessions/me", {}),
                       ("DELETE", "/v1/archives/1-9.ndjson.zst", {}),
                       ("POST", "/metrics/flush", {}),
                       ("POST", "/api/auditor/observations/1/acknowledge", {})]

    def send(self, method, path, body):
        return self.server.request(method, path, body, {"Content-Type": JSON})

    def state(self):
        paths = ("/v1/leases", "/v1/sessions", "/v1/archives")
        return [self.server.get(path).json() for path in paths[1:]] + [
            [lease["id"] for lease in self.server.get("/v1/leases").json()["leases"]]]

    def test_an_unknown_member_is_named_and_nothing_is_done(self):
        """Shown to fail without: {"acked":0,"akked":5} moved the session, and a lease took no notice of its `ttl`."""
        self.assertEqual(self.send("PUT", "/v1/sessions/me", '{"acked":1}').status, 200)
        before = self.state()
        for method, path, body in self.routes:
            for name, shown in (("ttl", "ttl"), ("Holder", "Holder"), ("é" * 80, "é" * 32)):
                with self.subTest(path=path, method=method, name=name):
                    answer = self.send(method, path, json.dumps({**body, name: 5}, ensure_ascii=False).encode())
                    self.assert_problem(answer, 400, f'unknown member "{shown}"')
                    for known in body:
                        self.assertIn(f'"{known}"', answer.json()["detail"])
        self.assertEqual(self.state(), before)

    def test_a_member_twice_is_named_and_nothing_is_done(self):
        self.assertEqual(self.send("PUT", "/v1/sessions/me", '{"acked":1}').status, 200)
        before = self.state()
        for method, path, body in self.routes:
            for name, value in body.items():
                with self.subTest(path=path, method=method, name=name):
                    text = json.dumps(body)[:-1] + f', "{name[:-1]}\\u{ord(name[-1]):04x}": {json.dumps(value)}}}'
                    self.assert_problem(self.send(method, path, text), 400, f'duplicate member "{name}"')
        self.assertEqual(self.state(), before)

    def test_what_is_no_object_is_refused(self):
        for method, path, _ in self.routes:
            for text in ("[]", "5", "null", "{", "{}x", "\0", '{"acked":1,}'):
                with self.subTest(path=path, method=method, text=text):
                    self.assert_problem(self.send(method, path, text), 400, "object")

    def test_what_a_member_cannot_be_is_named(self):
        for path, method, name in (("/v1/sessions/me", "PUT", "acked"), ("/v1/sessions/me/ack", "POST", "seq")):
            for text in ("{}", f'{{"{name}":"1"}}', f'{{"{name}":-1}}', f'{{"{name}":1.5}}', f'{{"{name}":null}}',
                         f'{{"{name}":99}}'):
                with self.subTest(path=path, text=text):
                    self.assert_problem(self.send(method, path, text), 400, name)
        path = f"/v1/leases/{self.lease}?holder=w&holder=v"
        self.assert_problem(self.send("PUT", path, "{}"), 400, "holder: given more than once")

    def test_what_is_right_is_done(self):
        self.assertEqual(self.send("PUT", "/v1/sessions/me", MARK.encode() + b' {"ack\\u0065d" : 1}\r\n').json()["acked"], 1)
        self.assertEqual(self.send("POST", "/v1/sessions/me/ack", '{"seq":0}').status, 200)
        self.assertEqual(self.send("PUT", f"/v1/leases/{self.lease}", MARK.encode() + b'{"holder":"w"}').status, 200)
        for body in (b"", b"{}", b" {\n} "):
            self.assertEqual(self.send("POST", "/metrics/flush", body).status, 200)
            self.assert_problem(self.send("POST", "/api/auditor/observations/1/acknowledge", body), 404)
        self.assertEqual(self.send("DELETE", "/v1/sessions/me", "{}").status, 204)
        self.assertEqual(self.send("DELETE", f"/v1/leases/{self.lease}", '{"holder":"w"}').status, 204)
        self.assert_problem(self.send("POST", "/v1/archives", "{}"), 400, "a body is not allowed")

    def test_a_file_of_tokens_is_as_strict(self):
        file = os.path.join(self.server.home, "tokens")
        self.assertEqual(command("token", "add", "a", "--scope", "read", "--tokens", file).returncode, 0)
        with open(file, encoding="utf-8") as opened:
            line = opened.read()
        for bad in (line[:-2] + ',"scope":[]}\n', line[:-2] + ',"name":"a"}\n'):
            with open(file, "w", encoding="utf-8") as opened:
                opened.write(bad)
            self.assertEqual(command("token", "list", "--tokens", file).returncode, 1, bad)


if __name__ == "__main__":
    unittest.main()
