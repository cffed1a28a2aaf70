#!/usr/bin/env python3
"""CloudEvents 1.0 at POST /v1/events: structured, batched, binary (docs/decisions/0015-cloudevents.md)."""

import base64
import json
import subprocess
import unittest

from case import TidemarkTest
from client import stored
from command import command
from load import KIB
from text import data_text

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"

EVENT = {"specversion": "1.0", "id": "a1", "source": "/orders", "type": "com.example.created"}
REQUIRED = tuple(EVENT)


def event(**members):
    return {**EVENT, **members}


def headers(**attributes):
    """An event's attributes as binary mode has them."""
    return {f"ce-{name}": value for name, value in {**EVENT, **attributes}.items() if value is not None}


class CloudEventTest(TidemarkTest):

    def setUp(self):
        self.server = self.serve()

    def binary(self, body=None, content_type=None, fields=None, **query):
        fields = {**(headers() if fields is None else fields), **({"Content-Type": content_type} if content_type else {})}
        return self.server.request("POST", "/v1/events", body, fields, **query)

    def assert_stored(self, seq, stream, kind, ident):
        found = self.server.event(seq)
        self.assertEqual((found["stream"], found["type"], found["id"]), (stream, kind, ident))
        return found["data"]


class Structured(CloudEventTest):

    def test_the_event_is_the_payload_as_it_was_sent(self):
        text = ('{ "data" : {"n": 1.10, "big": 9007199254740993}, "specversion":"1.0", "id":"caf\\u00e9",\n'
                '  "source":"\\/orders", "type":"com.example.created", "subject":"x", "time":"2018-04-05T17:31:00+02:00",\n'
                '  "dataschema":"http://example.com/s", "datacontenttype":"application/json", "ext1":5, "none":null }')
        kept = ('{"data":{"n":1.10,"big":9007199254740993},"specversion":"1.0","id":"caf\\u00e9",'
                '"source":"\\/orders","type":"com.example.created","subject":"x","time":"2018-04-05T17:31:00+02:00",'
                '"dataschema":"http://example.com/s","datacontenttype":"application/json","ext1":5,"none":null}')
        stored(self.server.post(text, STRUCTURED + "; charset=utf-8"))
        self.assertEqual(data_text(self.server.event_text(1)), kept)
        self.assert_stored(1, "/orders", "com.example.created", "café")
        self.assertEqual(self.server.get("/v1/streams/%2Forders").json()["count"], 1)

    def test_the_stream_is_the_extension_else_the_source(self):
        stored(self.server.post(event(stream="orders", source="/" + "s" * 300), STRUCTURED))
        stored(self.server.post(event(stream=None), STRUCTURED))
        self.assert_stored(1, "orders", "com.example.created", "a1")
        self.assert_stored(2, "/orders", "com.example.created", "a1")

    def test_a_retry_is_stored_once_and_another_source_is_another_event(self):
        stored(self.server.post(event(data=1), STRUCTURED))
        self.assert_receipt(stored(self.server.post(event(data=2), STRUCTURED)), first=1, count=0, duplicates=1, seqs=[1])
        self.assert_receipt(stored(self.binary("3", "application/json")), duplicates=1, seqs=[1])
        self.assert_receipt(stored(self.server.post(event(source="/other"), STRUCTURED)), first=2, duplicates=0)
        self.assertEqual(self.server.event(1)["data"]["data"], 1)

    def test_what_is_missing_or_wrong_is_400_that_names_the_attribute(self):
        for name in REQUIRED:
            for value in (None, "", 5, ["1.0"]):
                with self.subTest(name=name, value=value):
                    self.assert_problem(self.server.post(event(**{name: value}), STRUCTURED), 400, f'"{name}"', index=0)
            without = {key: value for key, value in EVENT.items() if key != name}
            self.assert_problem(self.server.post(without, STRUCTURED), 400, f'"{name}"', index=0)
        for members, mention in (({"specversion": "0.3"}, "specversion"), ({"specversion": "1.1"}, "specversion"),
                                 ({"Ext": 1}, "Ext"), ({"my-ext": 1}, "my-ext"), ({"ext": {}}, "ext"), ({"time": "now"}, "time"),
                                 ({"subject": ""}, "subject"), ({"stream": ""}, "stream"), ({"data_base64": "%"}, "data_base64"),
                                 ({"data": 1, "data_base64": "AA=="}, "exclude"), ({"id": "i" * 256}, '"id"'),
                                 ({"source": "s" * 256}, '"source"'), ({"type": "t" * 256}, '"type"'),
                                 ({"stream": "s" * 256}, '"stream"'), ({"id": "a\nb"}, '"id"')):
            with self.subTest(members):
                self.assert_problem(self.server.post(event(**members), STRUCTURED), 400, mention, index=0)
        self.assert_problem(self.server.post([EVENT], STRUCTURED), 400, "object")
        self.assert_problem(self.server.post("{", STRUCTURED), 400, "not JSON")
        self.assert_problem(self.server.post("", STRUCTURED), 400, "empty")
        self.assertEqual(self.server.head(), 0)

    def test_binary_data_in_base64_is_kept(self):
        stored(self.server.post(event(data_base64="AQID/w==", datacontenttype="image/png"), STRUCTURED))
        self.assertEqual(self.server.event(1)["data"]["data_base64"], "AQID/w==")

    def test_headers_beside_a_structured_event_do_not_count(self):
        response = self.binary(json.dumps(event(id="inside")), STRUCTURED, headers(id="outside", source="%"))
        self.assertEqual(response.status, 201, response)
        self.assert_stored(1, "/orders", "com.example.created", "inside")

    def test_expect_and_zstd_go_on_working(self):
        packed = subprocess.run(["zstd", "-cq"], input=json.dumps(EVENT).encode(), capture_output=True, check=True).stdout
        fields = {"Content-Type": STRUCTURED, "Content-Encoding": "zstd"}
        stored(self.server.request("POST", "/v1/events", packed, fields, expect=0))
        self.assert_problem(self.server.post(event(id="a2"), STRUCTURED, expect=0), 409)
        stored(self.server.post(event(id="a2"), STRUCTURED, expect=1))


class Batches(CloudEventTest):

    def test_a_batch_is_stored_in_its_order(self):
        receipt = stored(self.server.post([event(id=f"a{i}", data=i) for i in range(20)], BATCH))
        self.assert_receipt(receipt, first=1, last=20, count=20)
        self.assertEqual([e["data"]["data"] for e in self.server.everything()], list(range(20)))

    def test_the_one_at_fault_is_named_and_nothing_is_stored(self):
        for wrong in ({"id": ""}, {"specversion": "0.3"}, {"Ext": 1}, {"type": None}):
            batch = [event(id="a"), event(id="b"), event(**wrong), event(id="c")]
            self.assert_problem(self.server.post(batch, BATCH), 400, next(iter(wrong)), index=2)
        self.assert_problem(self.server.post([EVENT, 5], BATCH), 400, index=1)
        self.assert_problem(self.server.post(EVENT, BATCH), 400, "array")
        self.assert_problem(self.server.post([], BATCH), 400)
        self.assertEqual(self.server.head(), 0)

    def test_duplicates_are_told_from_new_events(self):
        stored(self.server.post([event(id="a"), event(id="b")], BATCH))
        receipt = stored(self.server.post([event(id="b"), event(id="c"), event(id="b", source="/x")], BATCH))
        self.assert_receipt(receipt, first=3, last=4, count=2, duplicates=1, seqs=[2, 3, 4])


class Binary(CloudEventTest):

    def test_json_is_kept_as_sent_and_the_attributes_stand_before_it(self):
        stored(self.binary(' {"n": 1.10} ', "application/json; charset=utf-8", headers(subject="x", ext1="5")))
        self.assertEqual(data_text(self.server.event_text(1)),
                         '{"specversion":"1.0","id":"a1","source":"/orders","type":"com.example.created","subject":"x",'
                         '"ext1":"5","datacontenttype":"application/json; charset=utf-8","data":{"n":1.10}}')
        self.assert_stored(1, "/orders", "com.example.created", "a1")

    def test_any_content_type_is_taken(self):
        body = bytes(range(256))
        for i, kind in enumerate(("image/png", "text/plain", "application/x-ndjson", "application/x-www-form-urlencoded")):
            stored(self.binary(body, kind, headers(id=str(i))))
            data = self.server.event(i + 1)["data"]
            self.assertEqual((data["datacontenttype"], base64.b64decode(data["data_base64"])), (kind, body))
            self.assertNotIn("data", data)
        for i, kind in enumerate(("application/problem+json", "TEXT/JSON;x=y")):
            stored(self.binary("[1]", kind, headers(id=f"json{i}")))
            self.assertEqual(self.server.event(i + 5)["data"]["data"], [1])

    def test_without_content_type_or_without_body(self):
        stored(self.binary(b"\x00"))
        stored(self.binary(None, None, headers(id="a2")))
        stored(self.binary(b"", "application/json", headers(id="a3")))
        self.assertEqual(self.server.event(1)["data"], event(data_base64="AA=="))
        self.assertEqual(self.server.event(2)["data"], event(id="a2"))
        self.assertEqual(self.server.event(3)["data"], event(id="a3", datacontenttype="application/json"))

    def test_values_are_percent_decoded_once(self):
        fields = headers(id="a%2520b", subject="Euro%20%E2%82%AC%20%f0%9f%98%80", old='"a \\"quoted\\" text"')
        stored(self.binary("1", "application/json", {name.upper(): value for name, value in fields.items()}))
        data = self.assert_stored(1, "/orders", "com.example.created", "a%20b")
        self.assertEqual((data["subject"], data["old"]), ("Euro € 😀", 'a "quoted" text'))

    def test_the_stream_extension(self):
        stored(self.binary("1", "application/json", headers(stream="own")))
        self.assert_stored(1, "own", "com.example.created", "a1")

    def test_what_is_missing_or_wrong_is_400_that_names_it(self):
        for name in REQUIRED:
            self.assert_problem(self.binary("1", "application/json", headers(**{name: None})), 400, f'"{name}"')
            self.assert_problem(self.binary("1", "application/json", headers(**{name: ""})), 400, f'"{name}"')
        for fields, mention in ((headers(specversion="0.3"), "specversion"), (headers(x="%C0%A0"), "ce-x"), (headers(x="%"), "ce-x"),
                                (headers(x='"a'), "ce-x"), (headers(datacontenttype="text/plain"), "ce-datacontenttype"),
                                (headers(data="1"), "ce-data"), ({**headers(), "ce-a-b": "1"}, "ce-a-b"),
                                (headers(id="i" * 256), '"id"'), (headers(source="s" * 256), '"source"'),
                                (headers(type="a%00b"), "ce-type"), (headers(time="now"), '"time"'),
                                ({**headers(), **{f"ce-x{i}": "1" for i in range(61)}}, "64")):
            with self.subTest(mention):
                response = self.binary("1", "application/json", fields)
                self.assert_problem(response, 400, mention)
                self.assertNotIn("index", response.json())
        self.assert_problem(self.binary("{", "application/json"), 400, "not JSON at byte 1 of the body")
        self.assert_problem(self.binary('1},"id":{"x":2', "application/json"), 400, "not JSON")
        wire = self.server.wire()
        wire.send(b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nce-id: a\r\nCE-ID: b\r\nContent-Length: 0\r\n\r\n")
        self.assertIn(b"given more than once", wire.response().body)
        self.assertEqual(self.server.head(), 0)

    def test_a_place_is_neither_line_nor_index(self):
        response = self.binary('{"data":1}\n', "application/x-ndjson", headers(id=None))
        self.assert_problem(response, 400, '"id"')
        self.assertEqual(set(response.json()), {"type", "title", "status", "detail"})

    def test_expect_and_zstd_go_on_working(self):
        packed = subprocess.run(["zstd", "-cq"], input=b"[1, 2]", capture_output=True, check=True).stdout
        fields = {**headers(), "Content-Encoding": "zstd"}
        stored(self.binary(packed, "application/json", fields, expect=0))
        self.assertEqual(self.server.event(1)["data"]["data"], [1, 2])
        self.assert_problem(self.binary("1", "application/json", headers(id="a2"), expect=0), 409)
        self.assert_problem(self.binary("1", "application/json", {**headers(), "Content-Encoding": "br"}), 415)


class Beside(TidemarkTest):

    def test_the_whole_event_is_within_max_event(self):
        server = self.serve("--max-event", "1KiB")
        fields = {**headers(), "Content-Type": "application/octet-stream"}
        self.assert_problem(server.request("POST", "/v1/events", bytes(769), fields), 413)  # 1028 in base64
        self.assert_problem(server.request("POST", "/v1/events", bytes(760), fields), 413)
        self.assertEqual(server.request("POST", "/v1/events", bytes(600), fields).status, 201)
        self.assert_problem(server.post(event(data="x" * KIB), STRUCTURED), 413, index=0)
        self.assert_problem(server.post([EVENT, event(data="x" * KIB)], BATCH), 413, index=1)
        self.assertEqual(server.head(), 1)

    def test_another_format_of_cloudevents_is_415_that_names_those_accepted(self):
        server = self.serve()
        for kind in ("application/cloudevents+xml", "application/cloudevents", "application/cloudevents-batch+avro", "text/plain"):
            fields = headers() if kind.startswith("application") else {}
            response = server.request("POST", "/v1/events", json.dumps(EVENT), {**fields, "Content-Type": kind})
            self.assert_problem(response, 415, "application/json", "application/x-ndjson", STRUCTURED, BATCH, "ce-")

    def test_a_plain_event_that_looks_like_one_is_a_flat_event_as_before(self):
        server = self.serve()
        server.publish(EVENT)
        found = server.event(1)
        self.assertEqual((found["stream"], found["type"], found["data"]), ("default", EVENT["type"], EVENT))

    def test_a_limited_token_publishes_to_its_streams(self):
        server = self.prepare()
        made = command("token", "add", "narrow", "--scope", "publish", "--stream", "/orders*", "--tokens", server.home + "/tokens")
        token = {"Authorization": f"Bearer {made.stdout.strip()}"}
        server.start("--tokens", server.home + "/tokens")
        for source, status in (("/orders/7", 201), ("/payments", 403)):
            body, kind = json.dumps(event(source=source)), {"Content-Type": STRUCTURED}
            self.assertEqual(server.request("POST", "/v1/events", body, {**kind, **token}).status, status)
            self.assertEqual(server.request("POST", "/v1/events", "1", {**headers(source=source), **token}).status, status)


if __name__ == "__main__":
    unittest.main()
