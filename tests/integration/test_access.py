#!/usr/bin/env python3
"""Tokens: every route and every frame wants the right one, and nothing else lets anybody in.

Shown to fail without the protection: with gate_pass answering 0 at once the walks over routes and WebSockets and the
revocations fail; without query_narrow what a limited token reads; without grant_publish what it publishes; without the
recheck on SIGHUP what is open after a revocation; without url_take what is repeated.
"""

import json
import os
import re
import signal
import stat
import time
import unittest

from binary import ROOT
from case import TidemarkTest
from command import command
from sse_client import EventSource
from text import JSON, NDJSON
from waiting import wait_until
from websocket_client import WebSocket
from wire import Refused, target

NOTHING, PUBLISH, READ, PUBLISH_ALL, READ_ALL, ADMIN = "nothing", "publish", "read", "publish all", "read all", "admin"

# What each route wants. A route that is not here fails the test.
ROUTES = {
    ("POST", "/v1/events"): PUBLISH,
    ("GET", "/v1/events"): READ,
    ("GET", "/v1/events/{}"): READ,
    ("GET", "/v1/streams"): READ,
    ("GET", "/v1/streams/{}"): READ,
    ("GET", "/v1/sessions"): READ,
    ("GET", "/v1/sessions/{}"): READ,
    ("PUT", "/v1/sessions/{}"): READ,
    ("DELETE", "/v1/sessions/{}"): ADMIN,
    ("POST", "/v1/sessions/{}/ack"): READ,
    ("GET", "/v1/export"): READ_ALL,
    ("GET", "/v1/archives"): READ_ALL,
    ("POST", "/v1/archives"): ADMIN,
    ("GET", "/v1/archives/{}"): READ_ALL,
    ("DELETE", "/v1/archives/{}"): ADMIN,
    ("GET", "/v1/leases"): READ_ALL,
    ("POST", "/v1/leases"): PUBLISH_ALL,
    ("GET", "/v1/leases/{}"): READ_ALL,
    ("PUT", "/v1/leases/{}"): PUBLISH_ALL,
    ("DELETE", "/v1/leases/{}"): PUBLISH_ALL,
    ("GET", "/v1/stats"): READ_ALL,
    ("GET", "/metrics"): READ_ALL,
    ("GET", "/v1/ws"): READ,
    ("GET", "/openapi.json"): NOTHING,
    ("GET", "/asyncapi.json"): NOTHING,
    ("GET", "/healthz"): NOTHING,
    ("GET", "/readyz"): NOTHING,
    ("GET", "/ws"): READ_ALL,
    ("GET", "/events"): PUBLISH,
    ("GET", "/status"): READ_ALL,
    ("GET", "/health"): READ_ALL,
    ("GET", "/health/live"): READ_ALL,
    ("GET", "/health/ready"): READ_ALL,
    ("GET", "/health/semaphores"): READ_ALL,
    ("GET", "/health/memory"): READ_ALL,
    ("GET", "/health/websocket"): READ_ALL,
    ("GET", "/metrics/validation"): READ_ALL,
    ("GET", "/metrics/adapter"): READ_ALL,
    ("GET", "/flags/status"): READ_ALL,
    ("PUT", "/flags/{}"): ADMIN,
    ("GET", "/health/flags"): READ_ALL,
    ("GET", "/v1/quarantine"): READ_ALL,
    ("POST", "/metrics/flush"): ADMIN,
    ("GET", "/api/metrics/current"): READ_ALL,
    ("GET", "/api/cache-metrics"): READ_ALL,
    ("GET", "/api/auditor/observations"): READ_ALL,
    ("POST", "/api/auditor/observations/{}/acknowledge"): ADMIN,
    ("GET", "/problems"): NOTHING,
    ("GET", "/problems/{}"): NOTHING,
    ("GET", "/static/{+}"): NOTHING,
    ("GET", "/monitoring_dashboard.html"): NOTHING,
    ("GET", "/semaphore_monitor.html"): NOTHING,
    ("GET", "/"): NOTHING,
    ("GET", "/{}"): NOTHING,
}

SOCKETS = {"/v1/ws": READ, "/ws": READ_ALL, "/events": PUBLISH}

# Names of tokens, what they are made with, and what they are good for.
TOKENS = {
    "writer": (["--scope", "publish"], {NOTHING, PUBLISH, PUBLISH_ALL}),
    "reader": (["--scope", "read"], {NOTHING, READ, READ_ALL}),
    "keeper": (["--scope", "admin"], {NOTHING, ADMIN}),
    "everything": (["--scope", "publish", "--scope", "read", "--scope", "admin"],
                   {NOTHING, PUBLISH, READ, PUBLISH_ALL, READ_ALL, ADMIN}),
    "narrow": (["--scope", "publish", "--scope", "read", "--stream", "own", "--stream", "team-*", "--stream", "kimi"],
               {NOTHING, PUBLISH, READ}),
}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


class Access(TidemarkTest):

    def setUp(self):
        self.server = self.prepare()
        self.file = os.path.join(self.server.home, "tokens")
        self.token = {name: self.add(name, *options) for name, (options, _) in TOKENS.items()}
        self.server.start("--tokens", self.file)

    def add(self, name, *options):
        done = command("token", "add", name, *options, "--tokens", self.file)
        self.assertEqual(done.returncode, 0, done.stderr)
        token = done.stdout.strip()
        self.assertRegex(token, r"^td_[0-9a-f]{48}$")
        self.assertNotIn(token, done.stderr)
        return token

    def revoke(self, name):
        done = command("token", "revoke", name, "--tokens", self.file)
        self.assertEqual(done.returncode, 0, done.stderr)

    def reload(self):
        before = self.stats()["access"]
        self.server.process.send_signal(signal.SIGHUP)
        return wait_until(lambda: (after := self.stats()["access"])["reloads"] + after["reloads_failed"]
                          > before["reloads"] + before["reloads_failed"] and after, "the tokens are read again")

    def ask(self, method, path, token=None, body=None, headers=None, **query):
        return self.server.request(method, path, body, {**(bearer(self.token.get(token, token)) if token else {}),
                                                        **(headers or {})}, **query)

    def stats(self):
        return self.ask("GET", "/v1/stats", "everything").json()

    def publish(self, events, token="everything"):
        response = self.ask("POST", "/v1/events", token, json.dumps(events), {"Content-Type": JSON})
        self.assertEqual(response.status, 201, response)
        return response.json()

    def socket(self, path, token=None, headers=None, **query):
        fields = {**({"Authorization": f"Bearer {self.token.get(token, token)}"} if token else {}), **(headers or {})}
        return self.server.keep(WebSocket(self.server.address, target(path, query), **fields))

    # ---- who gets where

    def test_the_list_of_routes_is_complete(self):
        routes = []
        for room in ("server/api", "profiles/monitoring/routes"):
            with open(os.path.join(ROOT, "src", room, "routes.c"), encoding="utf-8") as source:
                routes += re.findall(r'\{"([A-Z]+)", "(/[^"]*)", (PERMISSION_\w+), ', source.read())
        self.assertEqual({(method, path) for method, path, _ in routes}, set(ROUTES))
        for method, path, need in routes:
            self.assertEqual(need, "PERMISSION_" + ROUTES[method, path].upper().replace(" ", "_"), (method, path))

    def walk(self, token, good_for):
        """Every route with a token: let in where it is good for it, and refused everywhere else."""
        body = {"POST": '{"stream":"own","data":1}', "PUT": '{"acked":0}'}
        for (method, pattern), need in ROUTES.items():
            path = pattern.replace("{+}", "app.js").replace("{}", {"/v1/events/{}": "1", "/v1/sessions/{}": "narrow", "/v1/sessions/{}/ack": "narrow"}.get(
                pattern, "own" if "streams" in pattern else "7"))
            for verb in [method] + (["HEAD"] if method == "GET" else []):
                with self.subTest(f"{verb} {pattern} with {token}"):
                    response = self.ask(verb, path, token, body.get(verb), {"Content-Type": JSON})
                    if need in good_for:
                        self.assertNotIn(response.status, (401, 403), response)
                    elif token in self.token:
                        self.assertEqual(response.status, 403, response)
                    else:
                        self.assertEqual(response.status, 401, response)
                        self.assertTrue(response.headers["www-authenticate"].startswith("Bearer"))

    def test_every_route_with_every_token(self):
        self.publish([{"stream": "own", "data": 1}])
        for token, (_, good_for) in TOKENS.items():
            self.walk(token, good_for)
        for token in (None, "td_" + "0" * 48, self.token["everything"][:-1], self.token["everything"] + "0", "Bearer"):
            self.walk(token, {NOTHING})

    def test_every_websocket_with_every_token(self):
        for path, need in SOCKETS.items():
            for token, good_for in [(name, good) for name, (_, good) in TOKENS.items()] + [(None, set()), ("td_0", set())]:
                with self.subTest(f"{path} with {token}"):
                    if need in good_for:
                        self.socket(path, token).close()
                        self.socket(path, access_token=self.token[token]).close()
                        continue
                    with self.assertRaises(Refused) as refused:
                        self.socket(path, token)
                    self.assertEqual(refused.exception.response.status, 403 if token in TOKENS else 401)

    def test_a_preflight_needs_no_token_and_allows_one_to_be_sent(self):
        response = self.ask("OPTIONS", "/v1/events", headers={"Origin": "http://elsewhere"})
        self.assertEqual(response.status, 204)
        self.assertIn("Authorization", response.headers["access-control-allow-headers"])

    def test_a_token_is_sent_in_one_way(self):
        token = self.token["reader"]
        self.assertEqual(self.ask("GET", "/v1/streams", access_token=token).status, 200)
        self.assertEqual(self.ask("GET", "/v1/streams", "reader", access_token=token).status, 401)
        for twice in ([token, token], ["x", token], [token, "x"]):
            self.assert_problem(self.ask("GET", "/v1/streams", access_token=twice), 400, "access_token")
            with self.assertRaises(Refused) as refused:
                self.socket("/v1/ws", access_token=twice)
            self.assertEqual(refused.exception.response.status, 400)
        for value in (f"Basic {token}", token, f"Bearer {token} {token}", f"Bearer  {token}x", "Bearer", ""):
            self.assertEqual(self.ask("GET", "/v1/streams", headers={"Authorization": value}).status, 401, value)
        self.assertEqual(self.ask("GET", "/v1/streams", headers={"Authorization": f"bearer   {token}"}).status, 200)

    def test_a_flag_says_who_has_set_it(self):
        answer = self.ask("PUT", "/flags/MONITORING_BATCH_SIZE", "keeper", '{"value":5}', {"Content-Type": JSON})
        self.assertEqual((answer.status, answer.json()["sources"]["MONITORING_BATCH_SIZE"]["by"]), (200, "keeper"))
        event = wait_until(lambda: (e := self.ask("GET", "/v1/events/1", "everything")).status == 200 and e.json(), "it is recorded")
        self.assertEqual(event["data"]["metadata"]["by"], "keeper")

    # ---- frames

    def test_frames_want_their_own_scope(self):
        socket = self.socket("/v1/ws", "reader")
        socket.receive()
        socket.send({"op": "publish", "ref": 5, "events": [{"data": 1}]})
        error = socket.op("error")
        self.assertEqual((error["status"], error["ref"]), (403, 5))
        both = self.socket("/v1/ws", "everything")
        both.receive()
        self.assertEqual(both.publish([{"data": 1}])["count"], 1)
        board = self.socket("/ws", "reader")
        board.receive()
        board.send({"command": "export", "filepath": "x.json"})
        while (answer := board.receive())["type"] != "error":
            pass
        self.assertEqual(answer["status"], 403)

    def test_a_limited_token_publishes_to_its_streams_only(self):
        for stream, status in (("own", 201), ("team-", 201), ("team-a", 201), ("owner", 403), ("tea", 403), ("default", 403)):
            response = self.ask("POST", "/v1/events", "narrow", json.dumps([{"stream": "own", "data": 0},
                                                                            {"stream": stream, "data": 1}]),
                                {"Content-Type": JSON})
            self.assertEqual(response.status, status, (stream, response))
            if status == 403:
                self.assert_problem(response, 403, stream, index=1)
        socket = self.socket("/v1/ws", "narrow")
        socket.receive()
        socket.send({"op": "publish", "events": [{"stream": "others", "data": 1}]})
        self.assertEqual(socket.op("error")["status"], 403)
        self.assertEqual(socket.publish([{"stream": "own", "data": 1}])["count"], 1)
        ingest = self.socket("/events", "narrow")
        for service, status in (("kimi", "received"), ("glm", "error"), ("kimi", "received")):
            ingest.send({"type": "event", "connection_type": service})
            self.assertEqual(ingest.receive()["status"], status)
        streams = {s["name"] for s in self.ask("GET", "/v1/streams", "everything").json()["streams"]}
        self.assertEqual(streams, {"own", "team-", "team-a", "kimi"})

    # ---- what a limited token sees

    def mixed(self):
        streams = ["own", "secret", "team-a", "other", "own", "team-b", "secret"]
        self.publish([{"stream": stream, "data": i} for i, stream in enumerate(streams)])
        return [i + 1 for i, stream in enumerate(streams) if stream not in ("secret", "other")]

    def test_a_limited_token_reads_its_streams_only(self):
        mine = self.mixed()
        page = self.ask("GET", "/v1/events", "narrow").json()
        self.assertEqual([e["seq"] for e in page["events"]], mine)
        lines = self.ask("GET", "/v1/events", "narrow", headers={"Accept": NDJSON}, order="desc").text.splitlines()
        self.assertEqual([json.loads(line)["seq"] for line in lines], mine[::-1])
        stream = self.server.keep(EventSource(self.server.address, "/v1/events?after=first", **bearer(self.token["narrow"])))
        socket = self.socket("/v1/ws", "narrow", after="first")
        for reader in (stream, socket):
            self.assertEqual([reader.event()["seq"] for _ in mine], mine)
        waiting = self.server.http()
        waiting.connection.request("GET", "/v1/events?after=head&wait=30", headers=bearer(self.token["narrow"]))
        time.sleep(0.1)
        self.publish([{"stream": "secret", "data": "x"}, {"stream": "own", "data": "y"}])
        for reader in (stream, socket):
            self.assertEqual(reader.event()["data"], "y")
        self.assertEqual([e["data"] for e in json.loads(waiting.connection.getresponse().read())["events"]], ["y"])

    def test_a_limited_token_may_not_ask_for_other_streams(self):
        self.mixed()
        for path, query in (("/v1/events", {"stream": "secret"}), ("/v1/events", {"stream": ["own", "secret"]}),
                            ("/v1/events/2", {}), ("/v1/streams/secret", {}), ("/v1/streams/none", {})):
            self.assert_problem(self.ask("GET", path, "narrow", **query), 403)
        with self.assertRaises(Refused) as refused:
            self.socket("/v1/ws", "narrow", stream="secret")
        self.assertEqual(refused.exception.response.status, 403)
        self.assertEqual(self.ask("GET", "/v1/events/1", "narrow").json()["seq"], 1)
        names = [s["name"] for s in self.ask("GET", "/v1/streams", "narrow").json()["streams"]]
        self.assertEqual(sorted(names), ["own", "team-a", "team-b"])

    def test_a_limited_token_has_sessions_of_its_own(self):
        for name, status in (("narrow", 200), ("narrow/a", 200), ("narrower", 403), ("other", 403)):
            response = self.ask("PUT", f"/v1/sessions/{name.replace('/', '%2F')}", "narrow", '{"acked":0}',
                                {"Content-Type": JSON})
            self.assertEqual(response.status, status, response)
        self.ask("PUT", "/v1/sessions/other", "reader", '{"acked":0}', {"Content-Type": JSON})
        listed = {s["name"] for s in self.ask("GET", "/v1/sessions", "narrow").json()["sessions"]}
        self.assertEqual(listed, {"narrow", "narrow/a"})
        self.socket("/v1/ws", "narrow", session="narrow/a")
        with self.assertRaises(Refused) as refused:
            self.socket("/v1/ws", "narrow", session="other")
        self.assertEqual(refused.exception.response.status, 403)

    # ---- changes while it runs

    def test_a_revoked_token_is_out_at_once(self):
        self.publish([{"data": 1}])
        reader = self.token["reader"]
        socket, board = self.socket("/v1/ws", "reader"), self.socket("/ws", "reader")
        ingest, other = self.socket("/events", "writer"), self.socket("/v1/ws", "everything")
        stream = self.server.keep(EventSource(self.server.address, "/v1/events?after=head", **bearer(reader)))
        waiting = self.server.wire()
        waiting.send(f"GET /v1/events?after=head&wait=60 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {reader}\r\n\r\n"
                     .encode())
        kept = self.server.http()
        self.assertEqual(kept.request("GET", "/v1/streams", headers=bearer(reader)).status, 200)
        for one in (socket, board, other):
            one.receive()
        time.sleep(0.2)
        self.revoke("reader")
        self.revoke("writer")
        self.assertEqual(self.reload()["tokens"], len(TOKENS) - 2)
        for one in (socket, board, ingest):
            self.assertEqual(one.closed().code, 4401)
        self.assertEqual(waiting.rest(), b"")
        with self.assertRaises((ConnectionError, EOFError)):
            stream.event()
        self.assertEqual(kept.request("GET", "/v1/streams", headers=bearer(reader)).status, 401)
        self.assertEqual(other.ping()["op"], "pong")  # whose token is still good stays

    def test_narrower_rights_close_what_is_open(self):
        socket = self.socket("/v1/ws", "reader")
        with open(self.file, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        for line in lines:
            if line["name"] == "reader":
                line["streams"] = ["own"]
        with open(self.file, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        self.reload()
        self.assertEqual(socket.closed().code, 4401)

    def test_a_broken_file_leaves_the_tokens_as_they_are(self):
        with open(self.file, encoding="utf-8") as file:
            good = file.read()
        for bad in ("{", good + '{"name":"x","scopes":["read"],"stream":["a"],"hash":"sha256:' + "0" * 64 + '"}\n', good + good):
            with open(self.file, "w", encoding="utf-8") as file:
                file.write(bad)
            failed = self.reload()
            self.assertEqual(failed["tokens"], len(TOKENS))
            wait_until(lambda: "cannot reload the tokens" in self.server.log[-1], "the log says so")
            self.assertEqual(self.ask("GET", "/v1/streams", "reader").status, 200)
        with open(self.file, "w", encoding="utf-8") as file:
            file.write("# none is left but this\n\n" + good.splitlines()[3] + "\n")
        self.assertEqual(self.reload()["tokens"], 1)
        fresh = self.add("fresh", "--scope", "read")
        self.reload()
        self.assertEqual(self.ask("GET", "/v1/streams", fresh).status, 200)

    # ---- what is never said

    def test_a_token_is_never_repeated(self):
        token, unknown = self.token["reader"], "td_" + "5" * 48
        self.publish([{"data": i} for i in range(5)])
        seen = []
        for secret in (token, unknown):
            for path in ("/v1/events?limit=2&", "/v1/events?nonsense=1&", "/v1/streams/none?", "/v1/stats?", "/nothing?",
                         "/v1/ws?after=x&", "/?", "/services.html?"):
                response = self.server.request("GET", f"{path}access_token={secret}")
                seen.append(f"{response.headers} {response.text}")
            seen.append(str(self.server.request("POST", f"/v1/events?access_token={secret}", "x").body))
            with self.assertRaises(Refused):
                self.socket("/events", access_token=secret)
        self.socket("/v1/ws", access_token=token, after="first")
        link = self.ask("GET", "/v1/events", limit=2, access_token=token).headers["link"]
        self.assertIn("after=2", link)
        seen += [link, json.dumps(self.stats()), self.server.log_text()]
        for text in seen:
            for secret in (token, unknown):
                self.assertNotIn(secret[3:20], text)

    def test_denied_access_is_counted_and_logged_now_and_then(self):
        for _ in range(200):
            self.ask("GET", "/v1/streams", "td_wrong")
        self.ask("GET", "/v1/stats", "writer")
        denied = self.stats()["access"]["denied"]
        self.assertEqual((denied["token"], denied["scope"]), (200, 1))
        lines = wait_until(lambda: [line for line in self.server.log if 'msg="access denied"' in line], "it is told")
        self.assertLess(len(lines), 20)
        self.assertIn('why=token peer=127.0.0.1 token=- what="/v1/streams" untold=0', lines[0])
        time.sleep(1.1)
        self.ask("GET", "/v1/stats", "writer")
        last = wait_until(lambda: [line for line in self.server.log if "why=scope peer=127.0.0.1 token=writer" in line],
                          "it is told")[-1]
        self.assertGreater(int(last.rsplit("untold=", 1)[1]), 0)

    def test_what_clients_say_cannot_forge_a_line_of_the_log(self):
        self.server.request("GET", '/v1/streams/"%20level=error%20msg="x%0atime=1%1b[31m')
        line = wait_until(lambda: [line for line in self.server.log if "access denied" in line], "it is logged")[0]
        self.assertIn(r'what="/v1/streams/\"%20level', line)
        time.sleep(1.1)
        self.ask("POST", "/v1/events", "narrow", json.dumps({"stream": 's" level=error msg="\u00e9', "data": 1}),
                 {"Content-Type": JSON})
        line = wait_until(lambda: [line for line in self.server.log if "why=stream" in line], "it is logged")[0]
        self.assertIn(r'what="s\" level=error msg=\"', line)
        self.assertTrue(line.isascii() and line.isprintable(), line)
        self.assertFalse([line for line in self.server.log if line.startswith("time=1")])

    # ---- the command line

    def test_commands_show_a_token(self):
        url = self.server.url
        path = os.path.join(self.server.home, "one.token")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.token["everything"] + "\n")
        everything = {"TIDEMARK_TOKEN": self.token["everything"]}
        self.assertEqual(command("publish", url, text='{"data":1}\n', extra=everything).returncode, 0)
        self.assertEqual(command("query", url, "--token-file", path).stdout.count("\n"), 1)
        self.assertEqual(command("query", url, "--token", self.token["reader"]).stdout.count("\n"), 1)
        self.assertEqual(command("stats", url, "--json", extra=everything).returncode, 0)
        tail = command("tail", url, "--after", "first", "--until-live", extra=everything)
        self.assertEqual((tail.returncode, tail.stdout.count("\n")), (0, 1), tail.stderr)
        for arguments in (["publish", url], ["query", url], ["stats", url], ["tail", url]):
            done = command(*arguments, text='{"data":1}\n', extra={"TIDEMARK_TOKEN": "td_wrong"})
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("token", done.stderr)
            self.assertNotIn("td_wrong", done.stderr)
        self.assertEqual(command("stats", url, "--token", "a b").returncode, 2)

    def test_a_publisher_is_told_which_line_it_may_not_publish(self):
        lines = '{"stream":"own","data":1}\n{"stream":"secret","data":2}\n{"stream":"own","data":3}\n'
        done = command("publish", self.server.url, text=lines, extra={"TIDEMARK_TOKEN": self.token["narrow"]})
        self.assertEqual(done.returncode, 1)
        self.assertIn("line 2", done.stderr)
        self.assertEqual(len(self.ask("GET", "/v1/events", "everything").json()["events"]), 1)


class TokenCommand(TidemarkTest):

    def setUp(self):
        self.server = self.prepare()
        self.file = os.path.join(self.server.home, "tokens")

    def run_token(self, *arguments):
        return command("token", *arguments, "--tokens", self.file)

    def test_add_list_revoke(self):
        with open(self.file, "w", encoding="utf-8") as file:
            file.write("# who is who\n")
        os.chmod(self.file, 0o600)
        first = self.run_token("add", "a", "--scope", "read", "--stream", "x y", "--stream", 'q"*').stdout.strip()
        self.run_token("add", "b", "--scope", "publish", "--scope", "admin")
        self.assertEqual(stat.S_IMODE(os.stat(self.file).st_mode), 0o600)
        with open(self.file, encoding="utf-8") as file:
            text = file.read()
        self.assertNotIn(first, text)
        self.assertTrue(text.startswith("# who is who\n"))
        listed = json.loads(self.run_token("list", "--json").stdout)["tokens"]
        self.assertEqual(listed, [{"name": "a", "scopes": ["read"], "streams": ["x y", 'q"*']},
                                  {"name": "b", "scopes": ["publish", "admin"], "streams": []}])
        self.assertEqual(self.run_token("add", "a", "--scope", "read").returncode, 1)
        self.assertEqual(self.run_token("revoke", "a").returncode, 0)
        with open(self.file, encoding="utf-8") as file:
            self.assertEqual(file.read(), text.replace(text.splitlines(True)[1], ""))
        self.assertEqual(self.run_token("revoke", "a").returncode, 1)
        self.assertEqual(os.listdir(self.server.home), ["tokens"])

    @unittest.skipUnless(os.geteuid() == 0, "only root can give files away")
    def test_the_owner_stays(self):
        self.run_token("add", "a", "--scope", "read")
        os.chown(self.file, 1234, 4321)
        self.run_token("add", "b", "--scope", "read")
        now = os.stat(self.file)
        self.assertEqual((now.st_uid, now.st_gid, stat.S_IMODE(now.st_mode)), (1234, 4321, 0o600))

    def test_wrong_usage(self):
        for arguments in (["add"], ["add", "x"], ["add", "x", "--scope", "all"], ["add", "a b", "--scope", "read"],
                          ["add", "x", "--scope", "admin", "--stream", "s"], ["list", "x"], ["revoke"], ["drop", "x"], []):
            self.assertEqual(self.run_token(*arguments).returncode, 2, arguments)
        self.assertEqual(command("token", "list").returncode, 2)
        self.assertEqual(self.run_token("list").returncode, 1)

    def test_a_file_that_others_may_write_is_refused(self):
        self.run_token("add", "a", "--scope", "read")
        os.chmod(self.file, 0o620)
        self.assertEqual(self.run_token("list").returncode, 1)
        done = command("serve", "--data", self.server.data, "--listen", "127.0.0.1:0", "--tokens", self.file)
        self.assertEqual(done.returncode, 1)
        self.assertIn("chmod 600", done.stderr)
        os.chmod(self.file, 0o644)
        self.server.start("--tokens", self.file)
        self.assertTrue([line for line in self.server.log if "the file of tokens can be read by other users" in line])

    def test_beyond_loopback_tokens_are_wanted(self):
        for address in ("0.0.0.0:0", "[::]:0", "127.example:0", "localhost.example:0"):
            done = command("serve", "--data", self.server.data, "--listen", address)
            self.assertEqual(done.returncode, 2, address)
            self.assertIn("--tokens", done.stderr)
        self.run_token("add", "a", "--scope", "read")
        self.server.start("--tokens", self.file, "--listen", "0.0.0.0:0")
        self.assertEqual(self.server.get("/v1/streams").status, 401)


if __name__ == "__main__":
    unittest.main()
