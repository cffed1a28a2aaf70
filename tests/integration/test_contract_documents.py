#!/usr/bin/env python3
"""openapi.json and asyncapi.json say what the server does: the same routes, parameters and frames, and answers of the forms that
they describe, with no member more."""

import json
import os
import re
import time
import unittest

from jsonschema import Draft202012Validator

from binary import ROOT
from case import TidemarkTest
from client import of_type
from command import command
from text import JSON, NDJSON, SSE
from waiting import wait_until
from wire import DEADLINE_S, Refused

SCOPES = {"NOTHING": [], "READ": ["read"], "READ_ALL": ["read"], "PUBLISH": ["publish"], "PUBLISH_ALL": ["publish"], "ADMIN": ["admin"]}
VERBS = {"get", "post", "put", "delete"}
EVENT = {"specversion": "1.0", "id": "a1", "source": "/orders", "type": "com.example.created"}

# A value that each parameter of a query takes.
VALUES = {"after": "0", "epoch": "x", "before": "9", "since": "-1h", "until": "2099-01-01T00:00:00Z", "stream": "s", "type": "t",
          "order": "desc", "limit": "1", "wait": "0", "where": "/a=1", "category": "critical", "max_age": "1h", "speed": "2", "level": "3", "session": "s", "start": "first", "prefix": "p",
          "lastEventId": "1", "expect": "0", "holder": "h", "surprise": "1"}


def source(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def document(name):
    """A document, with no member twice."""
    def once(pairs):
        assert len({key for key, _ in pairs}) == len(pairs), [key for key, _ in pairs]
        return dict(pairs)
    return json.loads(source("schema", name), object_pairs_hook=once)


def routes():
    """The server's table: method, path with {} for what varies, need, flags."""
    found = re.findall(r'\{"([A-Z]+)", "(/[^"]*)", PERMISSION_(\w+), \w+,\s+([^}]*)\}',
                       source("src", "server", "api", "routes.c") + source("src", "profiles", "monitoring", "routes", "routes.c"))
    return {(method, path.replace("{+}", "{}")): (need, flags) for method, path, need, flags in found}


def walk(value):
    """Every object in a document."""
    if isinstance(value, dict):
        yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(child)


def strict(value):
    """The same schemas, but without members that are not named."""
    if isinstance(value, list):
        return [strict(child) for child in value]
    if not isinstance(value, dict):
        return value
    closed = {key: strict(child) for key, child in value.items()}
    if value.get("type") == "object" and "properties" in value:
        closed.setdefault("additionalProperties", False)
    return closed


def resolve(root, reference):
    for part in reference.removeprefix("#/").split("/"):
        root = root[part.replace("~1", "/").replace("~0", "~")]
    return root


def first_members(name, text):
    """What a source gives documents as this first member, pasted or put into a tree."""
    return set(re.findall(rf'\{{\\"{name}\\":\\"(\w+)', text) + re.findall(rf'doc_string\(root, "{name}", "(\w+)"\)', text))


class Documents(unittest.TestCase):

    def setUp(self):
        self.openapi, self.asyncapi = document("openapi.json"), document("asyncapi.json")

    def operations(self):
        for path, item in self.openapi["paths"].items():
            for verb, operation in item.items():
                self.assertIn(verb, VERBS, path)
                yield verb, path, operation

    def test_the_routes_are_those_of_the_server_with_what_they_want(self):
        table = routes()
        described = {(verb.upper(), re.sub(r"\{\w+\}", "{}", path)): operation for verb, path, operation in self.operations()}
        self.assertEqual(set(described), set(table))
        self.assertGreater(len(table), 45)
        for route, (need, _) in table.items():
            with self.subTest(route):
                scopes, operation = SCOPES[need], described[route]
                wanted = [{"bearer": scopes}, {"access_token": scopes}, {}] if scopes else []
                self.assertEqual(operation["security"], wanted)
                self.assertEqual(operation.get("x-all-streams", False), need.endswith("_ALL"))
                self.assertEqual({"401", "403"} <= set(operation["responses"]), bool(scopes))

    def test_the_channels_are_the_websockets_of_the_server(self):
        sockets = {path: need for (_, path), (need, flags) in routes().items() if "ROUTE_SOCKET" in flags}
        channels = {channel["address"]: channel for channel in self.asyncapi["channels"].values()}
        self.assertEqual(set(channels), set(sockets))
        for path, need in sockets.items():
            self.assertEqual([channels[path]["x-scope"]], SCOPES[need])
            self.assertEqual(channels[path].get("x-all-streams", False), need.endswith("_ALL"))
            named = [p["$ref"].rsplit("/", 1)[1] for p in self.openapi["paths"][path]["get"].get("parameters", [])]
            bindings = channels[path]["bindings"]
            bindings = resolve(self.asyncapi, bindings["$ref"]) if "$ref" in bindings else bindings
            self.assertEqual(sorted(named), sorted(bindings["ws"].get("query", {}).get("properties", {})))

    def names(self, operation, member):
        """What the frames of an operation are told apart by."""
        frames = [resolve(self.asyncapi, m["$ref"]) for m in self.asyncapi["operations"][operation]["messages"]]
        payloads = [resolve(self.asyncapi, f["$ref"])["payload"] for f in frames]
        payloads = [resolve(self.asyncapi, p["$ref"]) if "$ref" in p else p for p in payloads]
        return {p["properties"][member]["const"] for p in payloads if "const" in p.get("properties", {}).get(member, {})}

    def test_the_frames_are_those_of_the_source(self):
        said = "".join(source("src", path) for path in (
            "server/ws/ws_message.c", "server/ws/ws_replay.c", "server/stream/reader_start.c", "server/message/problem.c",
            "engine/read/position.c"))
        self.assertEqual(self.names("v1Says", "op"), first_members("op", said))
        self.assertEqual(self.names("v1Takes", "op"), set(re.findall(r'\[OP_\w+\] = \{"(\w+)"', source("src", "event", "op.c"))))
        said = "".join(source("src", "profiles/monitoring", path) for path in (
            "ws/ws_dashboard.c", "ws/ws_query.c", "event/flat.c", "state/monitor.c"))
        self.assertEqual(self.names("dashboardSays", "type"), first_members("type", said))
        taken = re.findall(r'slice_is\(command, "\\"(\w+)\\""\)', source("src", "profiles", "monitoring", "ws", "ws_dashboard.c"))
        self.assertEqual(self.names("dashboardTakes", "command"), set(taken))
        said = re.findall(r'\\"status\\":\\"(\w+)', source("src", "profiles", "monitoring", "ws", "ws_ingest.c"))
        self.assertEqual(self.names("ingestSays", "status"), set(said))

    def test_every_operation_is_whole(self):
        seen = set()
        tags = {tag["name"] for tag in self.openapi["tags"]}
        for verb, path, operation in self.operations():
            with self.subTest(f"{verb} {path}"):
                self.assertTrue(operation["summary"])
                self.assertNotIn(operation["operationId"], seen)
                seen.add(operation["operationId"])
                self.assertTrue(set(operation["tags"]) <= tags)
                parameters = [resolve(self.openapi, p["$ref"]) for p in operation.get("parameters", [])]
                inside = {p["name"] for p in parameters if p["in"] == "path"}
                self.assertEqual(inside, set(re.findall(r"\{(\w+)\}", path)))
                self.assertEqual(len({(p["in"], p["name"]) for p in parameters}), len(parameters))
                self.assertEqual(operation["responses"]["default"], {"$ref": "#/components/responses/Problem"})
                for status, response in operation["responses"].items():
                    self.assertRegex(status, r"^([1-5]\d\d|default)$")
                    response = resolve(self.openapi, response["$ref"]) if "$ref" in response else response
                    self.assertTrue(response["description"])
        for parameter in self.openapi["components"]["parameters"].values():
            self.assertTrue({"name", "in", "description", "schema"} <= set(parameter))
            self.assertEqual(parameter["in"] == "path", parameter.get("required", False))

    def test_every_reference_leads_somewhere_and_every_component_is_used(self):
        for name, whole in (("openapi", self.openapi), ("asyncapi", self.asyncapi)):
            used = set()
            for value in walk(whole):
                if "$ref" in value:
                    self.assertEqual(value["$ref"][:2], "#/", name)
                    resolve(whole, value["$ref"])
                    used.add(value["$ref"])
                for requirement in value.get("security", []):
                    used.update(f"#/components/securitySchemes/{scheme}" for scheme in requirement if scheme != "$ref")
            for kind, components in whole["components"].items():
                self.assertEqual({f"#/components/{kind}/{key}" for key in components} - used, set(), name)

    def test_schemas_are_schemas_and_fit_their_examples(self):
        for whole in (self.openapi, self.asyncapi):
            schemas = list(whole["components"]["schemas"].values())
            schemas += [value["schema"] for value in walk(whole) if "schema" in value]
            schemas += [message["payload"] for message in whole["components"].get("messages", {}).values()]
            for schema in schemas:
                Draft202012Validator.check_schema(schema)
                for example in schema.get("examples", []):
                    Draft202012Validator({**schema, "components": whole["components"]}).validate(example)
        for value in walk(self.openapi):
            for example in value.get("examples", {}).values() if "schema" in value and "examples" in value else ():
                Draft202012Validator({**value["schema"], "components": self.openapi["components"]}).validate(example["value"])

    def test_what_both_describe_is_described_alike(self):
        ours, theirs = self.openapi["components"]["schemas"], self.asyncapi["components"]["schemas"]
        shared = ("Seq", "Position", "Count", "Time", "Name", "Epoch", "Envelope", "EnvelopedEvent", "FlatEvent", "Event", "Gap",
                  "Service", "Pulse")
        self.assertEqual({name: ours[name] for name in shared}, {name: theirs[name] for name in shared})
        version = re.search(r"project\(tidemark VERSION (\S+)", source("CMakeLists.txt"))[1]
        for whole in (self.openapi, self.asyncapi):
            self.assertEqual(whole["info"]["version"], version)
        self.assertEqual((self.openapi["openapi"], self.asyncapi["asyncapi"]), ("3.1.0", "3.0.0"))


class Answers(TidemarkTest):

    def setUp(self):
        self.openapi, self.asyncapi = strict(document("openapi.json")), strict(document("asyncapi.json"))
        self.server = self.serve()

    def fits(self, whole, schema, value):
        errors = list(Draft202012Validator({**schema, "components": whole["components"]}).iter_errors(value))
        self.assertFalse(errors, f"{errors[0].message} at {list(errors[0].absolute_path)}" if errors else "")

    def ask(self, verb, path, body=None, headers=None, status=200, at=None, **query):
        """A request whose answer is as the document says that it is; `at`: the path there."""
        response = self.server.request(verb, path, body, headers, **query)
        self.assertEqual(response.status, status, response)
        described = self.openapi["paths"][at or path][verb.lower()]["responses"][str(status)]
        described = resolve(self.openapi, described["$ref"]) if "$ref" in described else described
        for name in described.get("headers", {}):
            if name != "Link":
                self.assertIn(name.lower(), response.headers)
        content = described.get("content", {})
        if not content:
            self.assertEqual(response.body, b"")
            return response
        kind = response.headers["content-type"].split(";")[0]
        media = content.get(kind) or content["*/*"]
        if kind in (JSON, "application/problem+json"):
            self.fits(self.openapi, media["schema"], response.json())
        return response

    def publish(self, events, status=201, kind=JSON, headers=None, **query):
        body = events if isinstance(events, (str, bytes)) else json.dumps(events)
        return self.ask("POST", "/v1/events", body, {"Content-Type": kind, **(headers or {})}, status, **query)

    def test_the_documents_are_served_to_everybody(self):
        file = os.path.join(self.server.home, "tokens")
        command("token", "add", "one", "--scope", "read", "--tokens", file)
        guarded = self.serve("--tokens", file)
        for server in (self.server, guarded):
            for name in ("openapi.json", "asyncapi.json"):
                response = server.get("/" + name)
                self.assertEqual((response.status, response.headers["content-type"]), (200, JSON))
                self.assertEqual(response.text, source("schema", name))
                self.assertEqual(response.headers["access-control-allow-origin"], "*")
                again = server.request("GET", "/" + name, headers={"If-None-Match": response.headers["etag"]})
                self.assertEqual((again.status, again.body), (304, b""))
                head = server.request("HEAD", "/" + name)
                self.assertEqual(head.headers["content-length"], str(len(response.body)))
        self.assertEqual(guarded.get("/v1/stats").status, 401)

    def test_publishing_and_reading(self):
        self.publish([{"stream": "s", "type": "t", "id": "a", "data": {"n": 1}}, {"x": 1}, {"id": "b", "data": None}])
        self.publish({"stream": "s", "id": "a", "data": 1})
        self.publish('{"data":1}\n', kind=NDJSON)
        self.publish(EVENT, kind="application/cloudevents+json")
        self.publish([{**EVENT, "id": "a2"}], kind="application/cloudevents-batch+json")
        self.publish(b"\x00", kind="image/png", headers={f"ce-{k}": v for k, v in {**EVENT, "id": "a3"}.items()})
        self.publish([{"data": 1}, 5], 400)
        self.publish('{"data":1}\n5\n', 400, NDJSON)
        self.publish({**EVENT, "id": ""}, 400, "application/cloudevents+json")
        self.publish({"data": 1}, 409, expect=3)
        self.publish({"data": "x" * 1100000}, 413)
        self.publish("x", 415, "text/plain")
        self.ask("GET", "/v1/events")
        self.assertIn("link", self.ask("GET", "/v1/events", limit=1).headers)
        self.ask("GET", "/v1/events", after=2, epoch="another", order="desc", stream=["s", "default"])
        self.ask("GET", "/v1/events", after=900)
        self.ask("GET", "/v1/events", status=400, limit=0)
        lines = self.ask("GET", "/v1/events", headers={"Accept": NDJSON}).text.splitlines()
        for line in lines:
            self.fits(self.openapi, {"$ref": "#/components/schemas/Envelope"}, json.loads(line))
        self.assertEqual(len(lines), 7)
        stream = self.server.sse(after="first")
        self.fits(self.openapi, {"$ref": "#/components/schemas/Envelope"}, json.loads(stream.message().data))
        self.ask("GET", "/v1/events/1", at="/v1/events/{seq}")
        self.ask("GET", "/v1/events/99", status=404, at="/v1/events/{seq}")
        self.ask("GET", "/v1/events/x", status=400, at="/v1/events/{seq}")
        self.ask("GET", "/v1/streams")
        self.assertEqual(self.ask("GET", "/v1/streams", prefix="s", limit=1).json()["next"], None)
        self.assertEqual(self.ask("GET", "/v1/streams", limit=1).json()["next"], "/orders")
        self.ask("GET", "/v1/streams", status=400, after="")
        self.ask("GET", "/v1/streams/s", at="/v1/streams/{name}")
        self.ask("GET", "/v1/streams/none", status=404, at="/v1/streams/{name}")

    def test_sessions_archives_and_leases(self):
        self.publish([{"data": i} for i in range(5)])
        one = {"at": "/v1/sessions/{name}"}
        self.ask("PUT", "/v1/sessions/me", '{"acked":2}', **one)
        self.ask("PUT", "/v1/sessions/me", '{"acked":20}', status=400, **one)
        self.ask("GET", "/v1/sessions/me", **one)
        self.ask("GET", "/v1/sessions")
        self.ask("DELETE", "/v1/sessions/me", status=204, **one)
        self.ask("GET", "/v1/sessions/me", status=404, **one)
        self.ask("POST", "/v1/archives", status=201, before=4)
        self.ask("POST", "/v1/archives", status=404, after=5)
        self.ask("POST", "/v1/archives", status=400, after="x")
        self.ask("GET", "/v1/archives")
        self.ask("GET", "/v1/archives/1-3.json", at="/v1/archives/{name}")
        self.ask("GET", "/v1/archives/1-3.ndjson.zst", at="/v1/archives/{name}")
        self.ask("GET", "/v1/archives/2-3.json", status=404, at="/v1/archives/{name}")
        self.ask("DELETE", "/v1/archives/1-3.ndjson.zst", status=204, at="/v1/archives/{name}")
        self.ask("GET", "/v1/export", level=1)
        self.ask("GET", "/v1/export", status=404, after=900)
        one = {"at": "/v1/leases/{id}"}
        self.ask("GET", "/v1/leases")
        lease = self.ask("POST", "/v1/leases", '{"name":"kimi","holder":"w","session":"s"}', status=201).json()
        self.ask("POST", "/v1/leases", '{"name":"none","holder":"w"}', status=400)
        for _ in range(3):
            self.ask("POST", "/v1/leases", '{"name":"glm"}', status=201, holder="w")
        self.ask("POST", "/v1/leases", '{"name":"glm"}', status=201, holder="w")
        self.ask("POST", "/v1/leases", '{"name":"glm"}', status=409, holder="w")
        self.ask("GET", "/v1/leases")
        path = f"/v1/leases/{lease['id']}"
        self.ask("GET", path, **one)
        self.ask("PUT", path, holder="w", **one)
        self.ask("PUT", path, status=409, holder="x", **one)
        self.ask("DELETE", path, status=204, holder="w", **one)
        self.ask("GET", path, status=404, **one)

    def test_every_other_route(self):
        """Those that vary were asked above; what they answer is for one who has something to show."""
        self.publish([{"connection_type": "kimi", "key": "k", "hit": True, "response_time_ms": 5, "cache_size": 9},
                      {"connection_type": "glm", "key": "k", "operation": "set", "error": "x"}])
        self.publish([{"connection_type": "redis", "direction": "error", "error": "x"} for _ in range(100)])
        self.server.live_reader(session="reader")
        self.server.dashboard()
        wait_until(lambda: self.ask("GET", "/api/auditor/observations").json(), "the auditor has noticed something")
        wait_until(lambda: self.ask("GET", "/health/websocket").json()["pings"], "figures of connections are made ready")
        for form in ("raw", "1min", "1hour"):
            report = self.ask("GET", "/api/cache-metrics", aggregation=form).json()
            self.assertTrue(report["metrics"])
        self.ask("GET", "/api/cache-metrics", status=400, aggregation="no")
        self.ask("GET", "/api/auditor/observations", status=400, limit=0)
        acknowledge = {"at": "/api/auditor/observations/{id}/acknowledge"}
        self.ask("POST", "/api/auditor/observations/1/acknowledge", **acknowledge)
        self.ask("POST", "/api/auditor/observations/999/acknowledge", status=404, **acknowledge)
        self.ask("GET", "/api/auditor/observations")
        self.ask("POST", "/metrics/flush")
        flag = {"at": "/flags/{flag}"}
        self.ask("PUT", "/flags/MONITORING_BATCH_SIZE", '{"value":9}', **flag)
        for name, value, status in (("BATCH_SIZE", '"x"', 400), ("NONE", "1", 404)):
            self.ask("PUT", f"/flags/MONITORING_{name}", f'{{"value":{value}}}', status=status, **flag)
        self.publish([{"connection_type": "kimi", "metadata": 5}])
        self.assertTrue(self.ask("GET", "/v1/quarantine").json()["events"])
        self.ask("GET", "/v1/ws", status=426)
        self.ask("GET", "/v1/ws", status=400, limit=1)
        for path in ("/ws", "/events"):
            self.ask("GET", path, status=400)
        self.ask("GET", "/static/app.js", at="/static/{path}")
        self.ask("GET", "/static/none.js", status=404, at="/static/{path}")
        self.ask("GET", "/app.js", at="/{page}")
        self.ask("GET", "/package.json", status=404, at="/{page}")
        asked = {"/v1/ws", "/ws", "/events"}
        for path, item in self.openapi["paths"].items():
            if "get" in item and "{" not in path and path not in asked:
                with self.subTest(path):
                    response = self.server.get(path)
                    self.ask("GET", path, status=response.status if response.status == 503 else 200)

    def test_parameters_are_those_that_the_server_takes(self):
        self.publish({"data": 1})
        paths = {"/v1/events": {}, "/v1/events/{seq}": {}, "/v1/streams": {}, "/v1/streams/{name}": {}, "/v1/sessions": {},
                 "/v1/sessions/{name}": {}, "/v1/export": {}, "/v1/archives": {}, "/v1/archives/{name}": {}, "/v1/leases": {},
                 "/v1/stats": {}, "/v1/ws": {}, "/openapi.json": {}}
        requests = [("get", path, {}) for path in paths]
        requests += [("get", "/v1/events", {"Accept": SSE}), ("post", "/v1/archives", {}), ("post", "/v1/events", {"Content-Type": JSON}),
                     ("post", "/v1/leases", {})]
        told = re.compile("unknown parameter|not allowed for")
        for verb, path, headers in requests:
            parameters = [resolve(self.openapi, p["$ref"]) for p in self.openapi["paths"][path][verb].get("parameters", [])]
            taken = {p["name"] for p in parameters if p["in"] == "query"}
            if path == "/v1/events" and verb == "get":
                taken -= {"before", "until", "order", "limit", "wait"} if headers else {"speed", "session", "start", "lastEventId"}
            for name, value in VALUES.items():
                with self.subTest(f"{verb} {path} {headers} {name}"):
                    body = {"/v1/events": '{"data":1}', "/v1/leases": "{}"}.get(path) if verb == "post" else None
                    response = self.refusal(verb, re.sub(r"\{\w+\}", "1", path), body, headers, {name: value})
                    self.assertEqual(bool(told.search(response)), name not in taken, response)

    def test_an_unknown_parameter_is_named_on_every_route(self):
        """Files are all that takes any query, and a token in it is no parameter of a route."""
        files = {"/", "/{page}", "/static/{path}", "/monitoring_dashboard.html", "/semaphore_monitor.html"}
        seen = 0
        for path, item in self.openapi["paths"].items():
            for verb in ("get", "head", "post", "put", "delete"):
                if (verb if verb != "head" else "get") not in item:
                    continue
                at = re.sub(r"\{\w+\}", "1", path)
                body = None if verb not in ("post", "put") else '{"holder":"h"}' if "leases" in path else '{"data":1}'
                with self.subTest(f"{verb} {path}"):
                    if path not in files:
                        answer = self.server.request(verb.upper(), at, body, {"Content-Type": JSON}, surprise="1")
                        self.assertEqual(answer.status, 400, answer)
                        self.assertTrue(verb == "head" or b"surprise: unknown parameter" in answer.body, answer)
                        seen += 1
                    elif verb == "get" and path != "/static/{path}":
                        plain = self.server.request("GET", at).status
                        self.assertEqual(self.server.request("GET", at, surprise="1").status, plain)
        self.assertGreater(seen, 50)
        for path in ("/healthz", "/readyz", "/status", "/health/live", "/problems"):
            self.assertEqual(self.server.get(path).status, 200)
            self.assertEqual(self.server.get(path, access_token="").status, self.server.get(path, access_token="x").status)
            self.assertNotIn("access_token: there is no such", self.server.get(path, access_token="x").text)
        allowed = self.server.request("GET", "/status", surprise="1").headers
        self.assertEqual(allowed["access-control-allow-origin"], "*")  # an origin that may read the answer may read the refusal

    def refusal(self, verb, path, body, headers, query):
        """What the server says against a request; a stream that begins has nothing against it."""
        if headers.get("Accept") == SSE:
            try:
                self.server.sse(**query).close()
                return ""
            except Refused as refused:
                return refused.response.text
        return self.server.request(verb.upper(), path, body, headers, **query).body.decode("utf-8", "replace")

    # ---- WebSockets

    def frame(self, channel, operation, frame):
        """A frame is one of those that the operation names, and of one only."""
        messages = [resolve(self.asyncapi, m["$ref"]) for m in self.asyncapi["operations"][operation]["messages"]]
        payloads = [resolve(self.asyncapi, m["$ref"])["payload"] for m in messages]
        fit = [p for p in payloads if Draft202012Validator({**p, "components": self.asyncapi["components"]}).is_valid(frame)]
        self.assertEqual(len(fit), 1, f"{channel}: {frame}")
        return frame

    def say(self, socket, operation, frame):
        socket.send(self.frame(operation, operation, frame))

    def test_frames_of_readers_and_publishers(self):
        socket = self.server.websocket(session="me", after=5)
        for _ in range(3):
            self.frame("/v1/ws", "v1Says", socket.receive())
        self.say(socket, "v1Takes", {"op": "publish", "ref": 1, "events": [{"id": "a", "data": 1}, {"x": 1}]})
        self.say(socket, "v1Takes", {"op": "publish", "events": [{"id": "a", "data": 1}]})
        seen = []
        while len(seen) < 4:
            seen.append(self.frame("/v1/ws", "v1Says", socket.receive()))
        self.assertEqual(sorted(f.get("op", "event") for f in seen), ["event", "event", "published", "published"])
        self.say(socket, "v1Takes", {"op": "ack", "seq": 1})
        self.say(socket, "v1Takes", {"op": "ack", "seq": 100, "ref": "r"})
        self.assertEqual(self.frame("/v1/ws", "v1Says", socket.receive())["op"], "error")
        self.say(socket, "v1Takes", {"op": "publish", "events": [{"stream": ""}, {"data": 1, "stream": 5}]})
        self.assertEqual(self.frame("/v1/ws", "v1Says", socket.receive())["index"], 0)
        self.say(socket, "v1Takes", {"op": "ping"})
        self.assertEqual(self.frame("/v1/ws", "v1Says", socket.receive())["op"], "pong")

    def test_frames_of_the_monitoring_profile(self):
        board = self.server.dashboard()
        self.frame("/ws", "dashboardSays", board.initial)
        ingest = self.server.ingest()
        answers = []
        for text in ('{"type":"event","connection_type":"kimi","response_time_ms":3,"metadata":{"continuation_id":"c","model":"m"}}',
                     '{"type":"error","service":"glm","severity":"error","message":"x"}', '{"type":"test","a":1}', "nonsense", "[1]",
                     '{"id":"a"}', '{"id":"a"}'):
            ingest.send_text(text)
            answers.append(self.frame("/events", "ingestSays", ingest.receive())["status"])
        self.assertEqual(answers, ["received"] * 3 + ["error"] * 2 + ["received"] * 2)
        wanted = {"event", "test_event", "session_metrics", "semaphore_metrics", "websocket_health"}
        deadline = time.monotonic() + DEADLINE_S
        while wanted and time.monotonic() < deadline:
            wanted.discard(self.frame("/ws", "dashboardSays", board.receive())["type"])
        self.assertEqual(wanted, set())
        for question, answer in (({"command": "get_stats"}, "stats"), ({"command": "get_stats", "connection_type": "kimi"}, "stats"),
                                 ({"command": "get_recent_events", "connection_type": None, "limit": 5}, "recent_events"),
                                 ({"command": "get_historical_data", "hours": 1}, "historical_data"),
                                 ({"command": "get_time_series", "connection_type": "kimi"}, "time_series_data"),
                                 ({"command": "export", "filepath": "x.json"}, "export_complete")):
            self.say(board, "dashboardTakes", question)
            self.frame("/ws", "dashboardSays", of_type(board, answer))
        ahead = self.server.dashboard(after=900)
        self.frame("/ws", "dashboardSays", of_type(ahead, "gap"))


if __name__ == "__main__":
    unittest.main()
