"""The monitoring profile over WebSocket: /ws and /events, message by message and field by field."""

import array
import fcntl
import json
import os
import random
import termios
import time
import unittest

from case import TidemarkTest
from client import of_type
from load import memory, scaled
from text import TIME
from waiting import Task, in_parallel, wait_until
from websocket_client import BINARY, TEXT, frame

SERVICES = ["websocket", "redis", "supabase", "kimi", "glm"]
STATS = {"connection_type": str, "total_events": int, "total_sent_bytes": int, "total_received_bytes": int,
         "total_errors": int, "avg_response_time_ms": float, "last_event_timestamp": float,
         "active_connections": int, "error_count": int}
SHARED = {"connection_type": str, "direction": str, "data_size_bytes": int,
          "response_time_ms": (int, float, type(None)), "error": (str, type(None)), "metadata": dict}
LIVE = {**SHARED, "type": str, "script_name": str, "function_name": str, "broadcast_time": str, "seq": int}
STORED = {**SHARED, "seq": int, "timestamp": float, "datetime": str, "script": str, "script_name": str,
          "function": str, "function_name": str}
SESSION = {"active_sessions": int, "total_sessions": int, "conversation_length": int, "current_model": str,
           "context_tokens_used": int, "context_tokens_max": int}
USE = {"current": int, "limit": int, "available": int, "usage_percent": int}
PULSE = {"uptime_seconds": int, "uptime_formatted": str, "current_ping_ms": float, "avg_ping_ms": float,
         "p95_ping_ms": float, "reconnection_count": int, "timeout_warnings": int, "status": str}

KIMI = {"type": "event", "connection_type": "kimi", "direction": "inbound", "script_name": "kimi_provider",
        "function_name": "chat", "data_size_bytes": 2048, "response_time_ms": 150.5, "error": None,
        "metadata": {"model": "kimi-k2-128k", "tokens": 1000, "continuation_id": "c1"}}
# What the producers of the Python hub send, by type.
PRODUCED = [
    {"type": "health_check", "severity": "info", "timestamp": "2026-11-22T10:00:00", "service": "redis",
     "status": "healthy", "response_time_ms": 3.5},
    {"type": "api_request", "severity": "info", "endpoint": "/chat", "method": "POST", "status_code": 200,
     "response_time_ms": 120, "model": "kimi-k2-32k", "service": "kimi"},
    {"type": "error", "severity": "error", "error_type": "Timeout", "message": "too slow", "service": "glm",
     "stack_trace": "a\nb"},
    {"type": "critical_failure", "severity": "critical", "message": "gone", "service": "supabase",
     "impact": "all", "recovery_action": "restart"},
    {"type": "performance_anomaly", "severity": "warning", "metric": "latency", "value": 9, "threshold": 5,
     "service": "storage"},
]


def outstanding(sock):
    """How many bytes the other side's kernel has not taken."""
    count = array.array("i", [0])
    fcntl.ioctl(sock, termios.TIOCOUTQ, count)
    return count[0]


class MonitorTest(TidemarkTest):
    def assert_shape(self, document, shape, also=()):
        self.assertEqual(set(document), set(shape) | set(also), document)
        for name, kind in shape.items():
            self.assertIsInstance(document[name], kind, f"{name} of {document}")
            if kind is int:
                self.assertNotIsInstance(document[name], bool)

    def assert_now(self, text):
        self.assertRegex(text, f"^{TIME}$")

    def send(self, socket, frame):
        """Sends a frame to /events; returns its acknowledgement."""
        socket.send(frame)
        return socket.receive()


class Initial(MonitorTest):
    def test_an_empty_store(self):
        server = self.serve()
        initial = server.dashboard().initial
        self.assertEqual(initial["stats"], {name: {} for name in SERVICES})
        self.assertEqual(list(initial["stats"]), SERVICES)
        self.assertEqual(initial["recent_events"], [])
        [(port, health)] = initial["websocket_health"].items()
        self.assertEqual(port, str(server.port))
        self.assert_shape(health, PULSE)
        self.assertEqual(initial["session_metrics"],
                         {"active_sessions": 0, "total_sessions": 0, "conversation_length": 0,
                          "current_model": "--", "context_tokens_used": 0, "context_tokens_max": 128000})
        self.assert_now(initial["timestamp"])

    def test_every_field_after_an_event(self):
        server = self.serve()
        server.publish([KIMI])
        initial = server.dashboard().initial
        self.assert_shape(initial["stats"]["kimi"], {**STATS, "total_bytes": int})
        self.assertEqual(initial["stats"]["kimi"]["total_received_bytes"], 2048)
        self.assertEqual(initial["stats"]["kimi"]["avg_response_time_ms"], 150.5)
        self.assert_shape(initial["session_metrics"], SESSION)
        [stored] = initial["recent_events"]
        self.assert_shape(stored, STORED)
        self.assertEqual(stored["datetime"], server.event(1)["time"])
        self.assertAlmostEqual(stored["timestamp"], time.time(), delta=60)
        self.assertEqual(stored["metadata"], KIMI["metadata"])
        port = str(server.port)
        metrics = initial["semaphore_metrics"]
        self.assert_shape(metrics["ports"][port], USE)
        self.assertEqual({name: use["limit"] for name, use in metrics["providers"].items()},
                         {f"{port}_KIMI": 6, f"{port}_GLM": 4})
        self.assertEqual((metrics["total_leaks_detected"], metrics["health_status"]), (0, "healthy"))

    def test_recent_events_are_the_newest_fifty_oldest_first(self):
        server = self.serve()
        server.publish([{"connection_type": SERVICES[n % 5], "n": n} for n in range(80)])
        server.publish([{"stream": "elsewhere", "data": n} for n in range(10)])
        recent = server.dashboard().initial["recent_events"]
        self.assertEqual([event["seq"] for event in recent], list(range(31, 81)))
        # Of the services that are read, where one says which.
        some = server.dashboard(stream="kimi").initial["recent_events"]
        self.assertEqual([event["seq"] for event in some], [n for n in range(1, 81) if (n - 1) % 5 == 3])
        self.assertEqual(server.dashboard(stream="test_event").initial["recent_events"], [])


class Live(MonitorTest):
    def test_an_event_as_it_is_recorded(self):
        server = self.serve()
        reader = server.dashboard()
        server.publish([KIMI])
        event = reader.receive()
        self.assert_shape(event, LIVE)
        self.assertEqual(event, {
            "type": "event", "connection_type": "kimi", "direction": "receive", "script_name": "kimi_provider",
            "function_name": "chat", "data_size_bytes": 2048, "response_time_ms": 150.5, "error": None,
            "metadata": KIMI["metadata"], "broadcast_time": server.event(1)["time"], "seq": 1})
        session = reader.receive()
        self.assert_shape(session["data"], SESSION)
        self.assertEqual(session["type"], "session_metrics")
        self.assertEqual(session["data"]["conversation_length"], 1)
        self.assertEqual(session["data"]["context_tokens_used"], 1000)
        self.assert_now(session["timestamp"])

    def test_other_streams_are_not_shown(self):
        server = self.serve()
        reader = server.dashboard()
        server.publish([{"stream": "other", "data": 1}, {"connection_type": "redis", "direction": "outbound"}])
        self.assertEqual(of_type(reader, "event")["seq"], 2)

    def test_filters(self):
        server = self.serve()
        reader = server.dashboard(stream="glm", type="chat")
        server.publish([{"connection_type": "glm", "type": "x"}, {"connection_type": "kimi", "type": "chat"},
                        {"connection_type": "glm", "type": "chat"}])
        self.assertEqual(of_type(reader, "event")["seq"], 3)
        refusal = server.get("/ws", stream="elsewhere")
        self.assert_problem(refusal, 400, "stream")

    def test_resuming_after_a_position(self):
        server = self.serve()
        server.publish([{"connection_type": "kimi", "n": n} for n in range(20)])
        reader = server.dashboard(after=12)
        self.assertEqual([event["seq"] for event in reader.initial["recent_events"]], list(range(1, 13)))
        self.assertEqual([of_type(reader, "event")["seq"] for _ in range(8)], list(range(13, 21)))

    def test_a_session_resumes_over_a_restart(self):
        server = self.serve()
        reader = server.dashboard(session="wall")
        server.publish([{"connection_type": "kimi", "n": n} for n in range(10)])
        for _ in range(4):
            last = of_type(reader, "event")["seq"]
        reader.send({"command": "ack", "seq": last})
        wait_until(lambda: server.get("/v1/sessions/wall").json()["acked"] == last, "it is acknowledged")
        server.restart()
        reader = server.dashboard(session="wall")
        self.assertEqual([of_type(reader, "event")["seq"] for _ in range(6)], list(range(5, 11)))

    def test_markup_cannot_run(self):
        server = self.serve()
        reader = server.dashboard()
        image = "<img src=x onerror=alert(1)>"
        raw = '{"connection_type":"kimi","direction":"%s","function_name":"%s","script_name":"\\u003Cb>","error":"\\\\<i>"}'
        server.publish(raw % (image, image))
        event = of_type(reader, "event")
        stored = server.dashboard().initial["recent_events"][0]
        for shown in (event, stored):
            for name in ("connection_type", "direction", "function_name", "script_name", "error"):
                self.assertNotIn("<", shown[name])
        self.assertEqual(event["function_name"], "&lt;img src=x onerror=alert(1)>")
        self.assertEqual((event["script_name"], event["error"]), ("&lt;b>", "\\&lt;i>"))

    def test_odd_payloads(self):
        server = self.serve()
        reader = server.dashboard()
        odd = [{"stream": "kimi", "data": 5}, {"stream": "kimi", "data": [1]}, {"stream": "kimi", "type": "t", "data": {}},
               {"connection_type": "kimi", "response_time_ms": "12", "data_size_bytes": -4, "error": {"a": "<"},
                "metadata": None, "direction": 7},
               {"connection_type": "kimi", "error": False, "metadata": {"model": 3, "tokens": "x"}}]
        server.publish(odd)
        events = [of_type(reader, "event") for _ in odd]
        for event in events:
            self.assert_shape(event, LIVE)
            self.assertIsNone(event["response_time_ms"])
        self.assertEqual(events[0]["metadata"], {"data": 5})
        self.assertEqual(events[2]["function_name"], "t")
        self.assertEqual(events[3]["error"], '{"a":"&lt;"}')
        self.assertIsNone(events[4]["error"])


class Commands(MonitorTest):
    def ask(self, reader, command, kind, **fields):
        reader.send({"command": command, **fields})
        reply = of_type(reader, kind)
        self.assert_now(reply["timestamp"])
        return reply

    def setUp(self):
        self.server = self.serve()
        self.server.publish([KIMI, {"connection_type": "glm", "direction": "error", "error": "boom", "data_size_bytes": 10},
                             {"connection_type": "redis", "direction": "outbound", "data_size_bytes": 100,
                              "response_time_ms": 1.25}, {**KIMI, "response_time_ms": 50}])
        self.reader = self.server.dashboard()

    def test_get_stats_of_one(self):
        reply = self.ask(self.reader, "get_stats", "stats", connection_type="kimi")
        self.assertEqual(set(reply), {"type", "connection_type", "stats", "timestamp"})
        self.assert_shape(reply["stats"], {**STATS, "total_bytes": int})
        self.assertEqual(reply["stats"]["avg_response_time_ms"], 100.25)
        glm = self.ask(self.reader, "get_stats", "stats", connection_type="glm")["stats"]
        self.assertEqual((glm["total_errors"], glm["error_count"], glm["total_bytes"]), (1, 1, 0))
        redis = self.ask(self.reader, "get_stats", "stats", connection_type="redis")["stats"]
        self.assertEqual((redis["total_sent_bytes"], redis["total_bytes"]), (100, 100))
        for unknown in ("nope", 5, ["a"]):
            reply = self.ask(self.reader, "get_stats", "stats", connection_type=unknown)
            self.assertEqual((reply["connection_type"], reply["stats"]), (unknown, {}))

    def test_get_stats_of_all(self):
        reply = self.ask(self.reader, "get_stats", "stats")
        self.assertIsNone(reply["connection_type"])
        self.assertEqual(set(reply["stats"]), {"kimi", "glm", "redis", "total_bytes"})
        each = [of_type(self.reader, "stats") for _ in SERVICES]
        self.assertEqual([one["connection_type"] for one in each], SERVICES)
        self.assertEqual(each[3]["stats"]["total_events"], 2)

    def test_get_recent_events(self):
        reply = self.ask(self.reader, "get_recent_events", "recent_events")
        self.assertEqual([event["seq"] for event in reply["events"]], [4, 3, 2, 1])
        for event in reply["events"]:
            self.assert_shape(event, STORED)
        reply = self.ask(self.reader, "get_recent_events", "recent_events", connection_type="kimi", limit=1)
        self.assertEqual((reply["connection_type"], [e["seq"] for e in reply["events"]]), ("kimi", [4]))
        everything = self.ask(self.reader, "get_recent_events", "recent_events", limit=0)
        self.assertEqual(len(everything["events"]), 4)
        self.server.publish([{"connection_type": "glm"}] * 200)
        for odd in (-5, -0.5, 1e12, "7", None):  # as if nothing was said
            reply = self.ask(self.reader, "get_recent_events", "recent_events", limit=odd)
            self.assertEqual(len(reply["events"]), 100, odd)

    def test_a_series_says_what_it_covers(self):
        for asked, told in ((1, 1), (24, 24), (48, 24)):
            reply = self.ask(self.reader, "get_time_series", "time_series_data", connection_type="kimi", hours=asked)
            self.assertEqual((reply["hours"], len(reply["data"])), (told, 1))

    def test_get_historical_data(self):
        reply = self.ask(self.reader, "get_historical_data", "historical_data", connection_type=None, hours=1)
        self.assertEqual((reply["connection_type"], reply["hours"]), (None, 1))
        self.assertEqual([event["seq"] for event in reply["data"]], [1, 2, 3, 4])
        self.assertEqual((reply["complete"], reply["next_before"]), (True, None))
        for event in reply["data"]:
            self.assert_shape(event, {**STORED, "stats": dict})
            self.assert_shape(event["stats"], STATS)
        first, second = (event["stats"] for event in reply["data"] if event["connection_type"] == "kimi")
        self.assertEqual((first["total_events"], first["avg_response_time_ms"]), (1, 150.5))
        self.assertEqual((second["total_events"], second["avg_response_time_ms"]), (2, 100.25))
        self.assertEqual(first["last_event_timestamp"], reply["data"][0]["timestamp"])
        none = self.ask(self.reader, "get_historical_data", "historical_data", connection_type="supabase", hours=0.5)
        self.assertEqual((none["hours"], none["data"]), (0.5, []))

    def test_historical_data_is_bounded(self):
        for _ in range(12):
            self.server.publish([{"connection_type": "supabase", "n": n} for n in range(1000)])
        reply = self.ask(self.reader, "get_historical_data", "historical_data", connection_type="supabase")
        self.assertEqual([event["seq"] for event in reply["data"]], list(range(2005, 12005)))
        self.assertEqual(reply["data"][0]["stats"]["total_events"], 2001)
        self.assertEqual((reply["complete"], reply["next_before"]), (False, 2005))

    def test_historical_data_page_by_page(self):
        random_source = random.Random(3)
        self.server.publish([{"connection_type": random_source.choice(SERVICES), "direction": "outbound", "data_size_bytes": n}
                             for n in range(500)])
        pages, before = [], None
        while True:
            fields = {} if before is None else {"before": before}
            reply = self.ask(self.reader, "get_historical_data", "historical_data", limit=60, **fields)
            pages.insert(0, reply["data"])
            self.assertEqual(reply["complete"], reply["next_before"] is None)
            before = reply["next_before"]
            if before is None:
                break
            self.assertEqual((len(reply["data"]), reply["data"][0]["seq"]), (60, before))
        events = [event for page in pages for event in page]
        self.assertEqual([event["seq"] for event in events], list(range(1, 505)))
        counts = dict.fromkeys(SERVICES, 0)
        for event in events:
            counts[event["connection_type"]] += 1
            self.assertEqual(event["stats"]["total_events"], counts[event["connection_type"]])
        exact = self.ask(self.reader, "get_historical_data", "historical_data", limit=504)
        self.assertEqual((len(exact["data"]), exact["complete"]), (504, True))

    def test_get_time_series(self):
        reply = self.ask(self.reader, "get_time_series", "time_series_data", connection_type="kimi")
        self.assertEqual((reply["interval_minutes"], reply["hours"]), (5, 1))
        [(start, bucket)] = reply["data"].items()
        self.assertEqual(int(start) % 300, 0)
        self.assertEqual(bucket, {"count": 2, "errors": 0, "total_bytes": 4096, "avg_response_time": 100.25})
        glm = self.ask(self.reader, "get_time_series", "time_series_data", connection_type="glm", interval_minutes=1)
        self.assertEqual([b["errors"] for b in glm["data"].values()], [1])
        every = self.ask(self.reader, "get_time_series", "time_series_data", interval_minutes=1440)
        [bucket] = every["data"].values()
        self.assertEqual(bucket, {"count": 4, "errors": 1, "total_bytes": 4206, "avg_response_time": 67.25})
        none = self.ask(self.reader, "get_time_series", "time_series_data", connection_type="nope")
        self.assertEqual(none["data"], {})

    def test_a_series_begins_where_it_is_asked(self):
        """Shown to fail where it begins with the minute: events of its first seconds are in it."""
        time.sleep(1.5)
        self.server.publish([{"connection_type": "glm", "data_size_bytes": 7}] * 3)
        for service, count in ((None, 3), ("glm", 3), ("kimi", 0)):
            reply = self.ask(self.reader, "get_time_series", "time_series_data", connection_type=service, hours=1 / 3600,
                             interval_minutes=1)
            self.assertEqual(sum(bucket["count"] for bucket in reply["data"].values()), count)
        reply = self.ask(self.reader, "get_time_series", "time_series_data", hours=0.01)
        self.assertEqual(sum(bucket["count"] for bucket in reply["data"].values()), 7)

    def test_export_stays_in_its_directory(self):
        reply = self.ask(self.reader, "export", "export_complete", filepath="../../etc/pa ss<wd.json")
        self.assertEqual(reply["filepath"], "pa_ss_wd.json")
        path = os.path.join(self.server.data, "exports", "pa_ss_wd.json")
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        self.assertEqual(set(document), {"summary", "recent_events"})
        self.assertEqual(set(document["summary"]), {
            "total_events", "connection_types", "stats", "active_connections", "buffer_size", "buffer_usage",
            "redis_enabled", "redis_queue_size", "redis_circuit_breaker"})
        self.assertEqual(document["summary"]["total_events"], 4)
        self.assertEqual(len(document["recent_events"]), 4)
        self.assertEqual(self.ask(self.reader, "export", "export_complete")["filepath"], "monitoring_export.json")
        for name in ("..", ".", "/", "", ".hidden", "a\\..\\b", "x" * 5000):
            reply = self.ask(self.reader, "export", "export_complete", filepath=name)
            self.assertRegex(reply["filepath"], r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$")

    def test_what_is_no_command_is_ignored(self):
        for text in ("not json", "[1]", "5", '"x"', "{}", '{"command":null}', '{"command":"fly"}', '{"command":["get_stats"]}'):
            self.reader.send_text(text)
        self.reader.send_frame(BINARY, b"x")
        self.assertEqual(of_type(self.reader, "error")["status"], 400)
        self.ask(self.reader, "get_stats", "stats", connection_type="kimi")
        self.assertEqual([n for n in self.reader.notices if n["type"] not in ("semaphore_metrics", "websocket_health")], [])


class Cadence(MonitorTest):
    def test_a_model_without_a_conversation_is_told(self):
        server = self.serve()
        reader = server.dashboard()
        server.publish([{"connection_type": "kimi", "metadata": {"model": "kimi-8k"}}])
        self.assertEqual(of_type(reader, "session_metrics")["data"]["current_model"], "kimi-8k")

    def test_leases_and_health_every_five_seconds(self):
        server = self.serve("--ping-interval", "300ms")
        reader = server.dashboard()
        of_type(reader, "websocket_health")
        before = time.monotonic()
        leases = of_type(reader, "semaphore_metrics")
        health = reader.receive()
        self.assertTrue(3.5 < time.monotonic() - before < 7, time.monotonic() - before)
        self.assertEqual(set(leases), {"type", "data", "timestamp"})
        self.assertEqual(health["type"], "websocket_health")
        [pulse] = health["data"].values()
        self.assert_shape(pulse, PULSE)
        self.assertEqual(pulse["status"], "connected")
        self.assertGreater(pulse["avg_ping_ms"], 0)
        self.assertGreaterEqual(pulse["p95_ping_ms"], pulse["avg_ping_ms"] / 2)
        one = next(iter(server.get("/health/websocket").json()["pings"].values()))
        self.assertGreater(one["ping"]["avg_ping_ms"], 0)

    def test_reconnections_and_timeouts_are_counted(self):
        server = self.serve("--ping-interval", "300ms")
        server.dashboard(session="wall").leave()
        server.dashboard(session="wall")
        silent = server.dashboard()
        silent.answer_pings = False
        silent.closed()
        metrics = server.get("/health/websocket").json()["metrics"]
        self.assertEqual(metrics["connections"]["reconnections"], 1)
        self.assertGreaterEqual(metrics["connections"]["timeouts"], 1)
        self.assertEqual(metrics["clients"]["wall"]["connections"]["reconnections"], 1)

    def test_a_silent_dashboard_has_two_intervals_and_is_recorded(self):
        """Shown to fail where the first ping, which comes at once, ends the wait after one."""
        server = self.serve("--ping-interval", "2s")
        start = time.monotonic()
        silent = server.dashboard(session="wall")
        silent.answer_pings = False
        silent.closed()
        self.assertTrue(3.8 < time.monotonic() - start < 6, time.monotonic() - start)
        wait_until(lambda: server.head() == 1, "it is recorded")
        [event] = server.dashboard().initial["recent_events"]
        self.assertEqual((event["connection_type"], event["direction"], event["function_name"]),
                         ("websocket", "error", "ping_timeout"))
        self.assertIn("no answer to a ping", event["error"])
        self.assertEqual((event["metadata"]["path"], event["metadata"]["session_id"]), ("/ws", "wall"))


class Ingest(MonitorTest):
    def test_the_producers_frames(self):
        server = self.serve()
        reader = server.dashboard()
        publisher = server.ingest()
        for n, frame in enumerate(PRODUCED, 1):
            self.assertEqual(self.send(publisher, frame),
                             {"status": "received", "event_type": frame["type"], "seq": n})
        events = [of_type(reader, "event") for _ in PRODUCED]
        self.assertEqual([(e["connection_type"], e["direction"], e["error"], e["response_time_ms"]) for e in events], [
            ("redis", "receive", None, 3.5), ("kimi", "receive", None, 120), ("glm", "error", "too slow", None),
            ("supabase", "error", "gone", None), ("websocket", "receive", None, None)])
        self.assertEqual([e["function_name"] for e in events], [frame["type"] for frame in PRODUCED])
        self.assertEqual(events[1]["metadata"]["endpoint"], "/chat")
        self.assertEqual(events[2]["severity"], "error")
        self.assertEqual(server.event(3)["data"], PRODUCED[2])

    def test_every_frame_is_answered_once_and_in_order(self):
        server = self.serve()
        publisher = server.ingest()
        sent = []
        for n in range(300):
            text = ["nope", "[1,2]", '"str"', "5", "null", ""][n % 6] if n % 7 == 0 else json.dumps({"type": str(n)})
            publisher.send_text(text)
            sent.append(text)
        seq = 0
        for text in sent:
            answer = publisher.receive()
            if text.startswith("{"):
                seq += 1
                self.assertEqual(answer, {"status": "received", "event_type": json.loads(text)["type"], "seq": seq})
            else:
                self.assertEqual((set(answer), answer["status"]), ({"status", "message"}, "error"))
        self.assertTrue(publisher.silent(0.3))
        self.assertEqual(server.head(), seq)

    def test_invalid_json_is_called_so(self):
        publisher = self.serve().ingest()
        publisher.send_text("nope")
        self.assertEqual(publisher.receive(), {"status": "error", "message": "Invalid JSON"})

    def test_test_events_stay_test_events(self):
        server = self.serve()
        reader = server.dashboard()
        frame = {"type": "test_event", "anything": [1, None]}
        self.assertEqual(self.send(server.ingest(), frame)["seq"], 1)
        event = of_type(reader, "test_event")
        self.assertEqual(set(event), {"type", "event", "timestamp", "broadcast_time", "seq"})
        self.assertEqual(event["event"], frame)
        reader.send({"command": "get_stats", "connection_type": "websocket"})
        self.assertEqual(of_type(reader, "stats")["stats"], {})

    def test_a_repeated_id_is_stored_once(self):
        server = self.serve()
        publisher = server.ingest()
        self.assertEqual(self.send(publisher, {"id": "a", "service": "kimi"})["seq"], 1)
        self.assertEqual(self.send(publisher, {"id": "a", "service": "kimi"}),
                         {"status": "received", "event_type": None, "seq": 1, "duplicate": True})

    def test_any_object_is_an_event(self):
        server = self.serve()
        publisher = server.ingest()
        frames = ['{}', '{"type":""}', '{"id":""}', '{"type":"%s"}' % ("t" * 300), '{"id":"%s"}' % ("i" * 300),
                  r'{"type":"a\u0000b"}', r'{"type":"\ud800"}', '{"type":"a","type":"b"}', '{"id":"a","id":"b"}',
                  '{"type":1,"id":[]}']
        for seq, text in enumerate(frames, 1):
            publisher.send_text(text)
            answer = publisher.receive()
            self.assertEqual((answer["status"], answer.get("seq")), ("received", seq), text)
            self.assertEqual(server.event(seq)["data"], json.loads(text))
        self.assertEqual(server.event(8)["type"], "b")
        self.assertEqual([server.event(seq)["type"] for seq in (2, 4, 6)], ["event"] * 3)

    def test_large_and_broken_frames(self):
        server = self.serve("--max-event", "64KiB", "--max-request", "128KiB")
        publisher = server.ingest()
        self.assertIn("limit", self.send(publisher, {"x": "y" * 70000})["message"])
        self.assertIn("larger", self.send(publisher, {"x": "y" * 200000})["message"])
        publisher.send_frame(BINARY, b"\0\1")
        self.assertEqual(publisher.receive()["status"], "error")
        publisher.send_text("[" * 5000)
        self.assertEqual(publisher.receive()["message"], "Invalid JSON")
        self.assertEqual(self.send(publisher, {"a": 1})["seq"], 1)

    def test_nobody_has_to_read_the_answers(self):
        server = self.serve()
        publisher = server.ingest(receive_buffer=4096)
        count = scaled(200000, 10000)
        before = server.rss()
        block = frame(TEXT, json.dumps({"type": "t" * 200, "service": "kimi"}).encode()) * 100
        for _ in range(count // 100):
            publisher.wire.sock.sendall(block)
        wait_until(lambda: server.head() == count, "all of it is stored, and nothing was read")
        self.assertLess(server.rss() - before, memory(64))
        answers = [publisher.receive() for _ in range(count)]
        self.assertEqual([a["seq"] for a in answers], list(range(1, count + 1)))
        self.assertEqual({a["event_type"] for a in answers}, {"t" * 200})

    def test_answers_that_waited_say_what_others_would(self):
        server = self.serve()
        publisher = server.ingest(receive_buffer=4096)
        kinds = [
            ('{"type":"x"}', "x"),
            ('{"n":1}', None),
            (json.dumps({"type": "long" * 200}), "long" * 200),
            ("not json", "Invalid JSON"),
            ('{"type":"x","id":"same"}', "x"),
        ]
        rounds = scaled(10000, 2000)
        block = b"".join(frame(TEXT, text.encode()) for text, _ in kinds)
        for _ in range(rounds):
            publisher.wire.sock.sendall(block)
        head = 3 * rounds + 1
        wait_until(lambda: server.head() == head, "all of it is stored")
        seq = 0
        for n in range(rounds):
            for text, wanted in kinds:
                a = publisher.receive()
                again = n > 0 and '"same"' in text
                if text == "not json":
                    self.assertEqual(a, {"status": "error", "message": wanted})
                    continue
                seq += not again
                self.assertEqual((a["status"], a["event_type"]), ("received", wanted))
                self.assertEqual((a["seq"], a.get("duplicate", False)), (4 if again else seq, again), text)

    def test_what_was_sent_is_stored_though_no_answer_was_read(self):
        server = self.serve()
        publisher = server.ingest(receive_buffer=4096)
        count = scaled(50000, 5000)
        block = frame(TEXT, b'{"service":"kimi","pad":"' + b"x" * 100 + b'"}') * 100
        for _ in range(count // 100):
            publisher.wire.sock.sendall(block)
        # What has not left this machine when a socket is closed with unread bytes in it, the kernel throws away.
        wait_until(lambda: outstanding(publisher.wire.sock) == 0, "all of it is on the other side")
        publisher.close()
        wait_until(lambda: server.head() == count, "all of it is stored")

    def test_unread_answers_are_bounded(self):
        # A ping may come in the middle of a block, where it cannot be answered.
        server = self.serve("--ack-memory", "1MiB", "--ping-interval", "1h")
        publisher, other = server.ingest(receive_buffer=4096), server.ingest()
        publisher.answer_pings = False
        block = frame(TEXT, json.dumps({"type": "x"}).encode()) * 1000
        publisher.wire.sock.settimeout(1)
        sent = 0
        with self.assertRaises(TimeoutError):
            while sent < 4000000:
                publisher.wire.sock.sendall(block)
                sent += 1000
        self.assertGreater(sent, 100000)
        self.assertEqual(self.send(other, {"type": "y"})["event_type"], "y")
        head = server.head()
        answers = [publisher.receive()["event_type"] for _ in range(head // 2)]
        self.assertEqual(set(answers), {"x"})
        wait_until(lambda: server.head() > head, "reading makes room")

    def test_a_silent_publisher_is_closed(self):
        server = self.serve("--publisher-silence", "7s", "--ping-interval", "1500ms")
        silent, busy, reader = server.ingest(), server.ingest(), server.dashboard()
        start = time.monotonic()
        ending = Task(silent.closed)
        for n in range(40):  # one that speaks now and then stays, whatever pings and pongs go by
            self.send(busy, {"n": n})
            time.sleep(0.2)
        end = ending.result()
        self.assertEqual((end.code, end.reason), (1000, "no message for too long"))
        self.assertGreater(len(silent.pings), 2)
        self.assertGreater(time.monotonic() - start, 7)
        self.assertIn(self.send(busy, {"last": True})["seq"], (41, 42))  # the reader answers no pings meanwhile
        self.assertEqual(of_type(reader, "event")["seq"], 1)

    def test_a_publisher_that_leaves_at_once(self):
        server = self.serve()
        publisher = server.ingest()
        for n in range(200):
            publisher.send({"n": n})
        publisher.leave()
        wait_until(lambda: server.head() == 200, "all of it is stored")

    def test_many_publishers_at_once(self):
        server = self.serve()
        def run(k):
            publisher = server.ingest()
            for n in range(50):
                publisher.send({"service": "glm", "k": k, "n": n})
            return [publisher.receive()["seq"] for _ in range(50)]
        results = in_parallel([lambda k=k: run(k) for k in range(20)])
        self.assertEqual(sorted(seq for part in results for seq in part), list(range(1, 1001)))
        for part in results:
            self.assertEqual(part, sorted(part))

    def test_a_full_queue_delays_and_loses_nothing(self):
        server = self.serve("--queue-events", "1")
        publishers = [server.ingest() for _ in range(4)]
        for n in range(100):
            for publisher in publishers:
                publisher.send({"n": n})
        answers = [publisher.receive() for publisher in publishers for _ in range(100)]
        self.assertEqual({answer["status"] for answer in answers}, {"received"})
        self.assertEqual(sorted(answer["seq"] for answer in answers), list(range(1, 401)))


class Load(MonitorTest):
    def test_twenty_dashboards_ask_for_each_of_a_thousand_events_a_second(self):
        server = self.serve()
        readers = [server.dashboard() for _ in range(20)]
        rounds, each = scaled(10, 2), 500

        def watch(reader):
            """As the old page: one question for each event."""
            seen, answered = [], 0
            while len(seen) < rounds * each or answered < len(seen):
                frame = reader.receive()
                if frame["type"] == "event":
                    seen.append(frame["seq"])
                    reader.send_text('{"command":"get_stats","connection_type":"kimi"}')
                elif frame["type"] == "stats":
                    answered += 1
            return seen, frame
        watchers = [Task(watch, reader) for reader in readers]
        slowest = 0
        for _ in range(rounds):
            start = time.monotonic()
            server.publish([KIMI] * each)
            server.get("/status")
            slowest = max(slowest, time.monotonic() - start)
            time.sleep(max(0, 0.5 - (time.monotonic() - start)))
        for watcher in watchers:
            seen, _ = watcher.result()
            self.assertEqual(seen, list(range(1, rounds * each + 1)))
        self.assertLess(slowest, 5)


if __name__ == "__main__":
    unittest.main()
