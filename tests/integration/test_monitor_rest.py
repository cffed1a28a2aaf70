"""The REST of the monitoring profile: measured values, the auditor, pages of an operator's own, other origins."""

import contextlib
import json
import os
import random
import re
import sqlite3
import time
import unittest

from case import TidemarkTest
from client import of_type
from command import command
from store import edited, locked
from text import TIME
from waiting import wait_until
from websocket_client import TEXT, WebSocket, frame
from wire import Refused

WHOLE_SECONDS = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"
COMPONENTS = {"websocket", "dashboard", "metrics", "loop", "storage", "supabase", "memory", "disk", "clock", "archives",
              "semaphores"}
ORIGIN = "http://elsewhere.example"
OBSERVATION = {"id", "severity", "category", "confidence", "timestamp", "observation", "recommendation", "acknowledged",
               "acknowledged_at", "acknowledged_by", "event_ids", "rule", "connection_type", "metadata"}


def failing(count, service="kimi", **fields):
    return [{"connection_type": service, "direction": "error", "error": f"e{n}", **fields} for n in range(count)]


class Figures(TidemarkTest):
    def document(self, server, path, status=200):
        response = server.get(path)
        self.assertEqual(response.status, status, response)
        self.assertTrue(response.headers["content-type"].startswith("application/json"))
        self.assertEqual(response.headers["access-control-allow-origin"], "*")
        return response.json()

    def test_status_counts_dashboards(self):
        server = self.serve()
        self.assertEqual(self.document(server, "/status")["clients_connected"], 0)
        server.dashboard()
        server.reader()
        status = self.document(server, "/status")
        self.assertEqual(set(status), {"status", "service", "clients_connected", "timestamp"})
        self.assertEqual(status["clients_connected"], 1)
        self.assertRegex(status["timestamp"], f"^{TIME}$")

    def test_health_looks(self):
        server = self.serve()
        for path in ("/health", "/health/ready"):
            health = self.document(server, path)
            self.assertEqual((health["status"], health["service"], health["port"]), ("healthy", "monitoring", server.port))
            parts = health["components"]
            self.assertEqual([parts[name] for name in ("websocket", "dashboard", "metrics")], ["healthy"] * 3)
            self.assertRegex(health["timestamp_utc"], WHOLE_SECONDS)
            self.assertRegex(health["timestamp_melbourne"], r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d AE[DS]T$")
            self.assertGreater(parts["storage"]["write_ms"], 0)
            disk = os.statvfs(server.data)
            self.assertAlmostEqual(parts["disk"]["disk_total_gb"], disk.f_blocks * disk.f_frsize / 2**30, delta=0.1)
            self.assertGreater(parts["memory"]["process_memory_mb"], 1)
            self.assertEqual(parts["semaphores"]["status"], "healthy")
        for path in ("/health/live", "/healthz"):
            live = self.document(server, path)
            self.assertEqual((live["status"], set(live["components"])), ("healthy", COMPONENTS))
            self.assertEqual(live["version"], health["version"])
            self.assertEqual(set(live), {"status", "version", "uptime_seconds", "loop_lag_ms", "timestamp_utc",
                                         "timestamp_melbourne", "components"})
            self.assertRegex(live["timestamp_utc"], WHOLE_SECONDS)
        self.assertEqual(set(health["components"]), COMPONENTS)
        memory = self.document(server, "/health/memory")
        self.assertEqual(set(memory), {"status", "timestamp_utc", "current_metrics", "alert", "thresholds", "baseline",
                                       "history_size"})
        self.assertRegex(memory["timestamp_utc"], WHOLE_SECONDS)

    def test_the_disk_is_as_full_as_df_says(self):
        server = self.serve()
        disk = os.statvfs(server.data)
        used = (disk.f_blocks - disk.f_bfree) / (disk.f_blocks - disk.f_bfree + disk.f_bavail)
        self.assertAlmostEqual(self.document(server, "/health")["components"]["disk"]["disk_percent"], 100 * used, delta=1)

    def test_leases_in_use_are_no_fault_of_the_whole(self):
        server = self.serve("--lease-limit", "kimi=1")
        taken = server.request("POST", "/v1/leases", json.dumps({"name": "kimi", "holder": "h"}), {"Content-Type": "application/json"})
        self.assertEqual(taken.status, 201, taken)
        again = server.request("POST", "/v1/leases", json.dumps({"name": "kimi", "holder": "h"}), {"Content-Type": "application/json"})
        self.assert_problem(again, 409, "kimi: the only lease is taken")
        self.assertEqual(self.document(server, "/health/semaphores", 503)["status"], "critical")
        for path in ("/health", "/health/ready"):
            parts = self.document(server, path)["components"]["semaphores"]
            self.assertEqual((parts["status"], parts["providers"]["kimi"]["status"]), ("high_utilization", "exhausted"))

    def test_an_open_breaker_is_unhealthy_at_once(self):
        """Shown to fail where the answer of a write from before it opened is told."""
        server = self.serve()
        server.publish([{"data": 1}])
        self.document(server, "/health")
        moved = server.data + " away"
        os.rename(server.data, moved)
        try:
            for _ in range(200):
                if server.post('{"data":2}').status == 503:
                    break
                self.document(server, "/health")
            health = self.document(server, "/health", 503)
            self.assertEqual(health["components"]["storage"]["status"], "unhealthy")
        finally:
            os.rename(moved, server.data)

    def test_ready_and_live_differ(self):
        server = self.serve("--disk-reserve", "1000000GiB")
        self.assertEqual(self.document(server, "/health/ready", 503)["components"]["disk"]["status"], "unhealthy")
        live = self.document(server, "/health/live")
        self.assertEqual((live["status"], live["components"]["disk"]["status"]), ("healthy", "unhealthy"))

    def test_the_websocket_document(self):
        server = self.serve()
        self.assertEqual(self.document(server, "/health/websocket")["status"], "warning")
        server.dashboard(session="wall")
        document = self.document(server, "/health/websocket")
        self.assertIn("timestamp_melbourne", document)
        self.assertEqual(document["connections"]["connected"], 1)
        self.assertEqual(set(document["metrics"]), {"connections", "messages", "queue", "retry", "circuit_breaker", "latency",
                                                    "uptime_seconds", "last_update", "clients"})
        self.assertIn("wall", document["metrics"]["clients"])
        self.assertEqual(set(self.document(server, "/health/websocket")["metrics"]["messages"]),
                         {"sent", "queued", "failed", "expired", "deduplicated"})
        self.assertEqual(server.get("/v1/stats").json()["websocket"]["connections"]["active"], 1)
        manager = document["connections"]
        self.assertEqual(set(manager), {"total_connections", "connected", "disconnected", "total_queued_messages", "connections",
                                        "metrics", "circuit_breaker"})
        self.assertEqual(set(manager["metrics"]), set(document["metrics"]))
        self.assertEqual(manager["circuit_breaker"], {
            "name": "writer", "state": "closed", "failure_count": 0, "success_count": 0, "half_open_calls": 0,
            "config": {"failure_threshold": 1, "success_threshold": 1, "timeout_seconds": 2, "half_open_max_calls": 1}})

    def test_sessions_that_are_away(self):
        server = self.serve()
        for name in ("a", "b"):
            server.dashboard(session=name).leave()
        server.dashboard()
        seen = wait_until(lambda: (d := self.document(server, "/health/websocket"))["connections"]["connected"] == 1 and d, "")
        self.assertEqual((seen["status"], seen["connections"]["disconnected"], seen["connections"]["total_connections"]),
                         ("degraded", 2, 3))
        server.dashboard(session="a")
        self.assertEqual(self.document(server, "/health/websocket")["status"], "healthy")

    def test_the_dashboards_files_are_looked_at(self):
        server = self.serve("--static", "/nonexistent")
        response = server.get("/health")
        self.assertEqual((response.status, response.json()["components"]["dashboard"]), (503, "degraded"))

    def test_each_connection(self):
        server = self.serve("--ping-interval", "10s")
        server.dashboard()
        slow = server.dashboard(receive_buffer=4096)

        def connections():
            document = self.document(server, "/health/websocket")
            self.assertEqual(set(document["pings"]), set(document["connections"]["connections"]))
            return document["connections"]["connections"]
        both = wait_until(lambda: len(found := connections()) == 2 and found, "both are shown")
        for one in both.values():
            self.assertEqual(set(one), {"is_connected", "retry_count", "queue_size", "last_activity", "is_timeout"})
            self.assertEqual((one["is_connected"], one["retry_count"], one["queue_size"], one["is_timeout"]), (True, 0, 0, False))
            self.assertAlmostEqual(one["last_activity"], time.time(), delta=30)
        for _ in range(10):
            server.publish([{"connection_type": "kimi", "function_name": "x" * 1000}] * 1000)
        lagging = wait_until(lambda: (one := connections().get("2")) and one["queue_size"] > 0 and one, "it is behind")
        self.assertGreater(lagging["retry_count"], 0)
        queued = self.document(server, "/health/websocket")["connections"]["total_queued_messages"]
        self.assertGreater(queued, 0)
        slow.close()
        wait_until(lambda: "2" not in connections(), "it has gone")

    def test_sent_deduplicated_and_lag_are_counted(self):
        server = self.serve()
        reader = server.reader(session="slow", receive_buffer=4096, after="head")
        events = [{"stream": "s", "id": str(n), "data": "x" * 1000} for n in range(5000)]
        server.publish(events)
        server.publish(events[:10])
        metrics = wait_until(lambda: (m := server.get("/v1/stats").json()["websocket"])["queue"]["max_size"] > 0
                             and m["retry"]["attempts"] > 0 and m, "the lag is seen, and that its socket was full")
        self.assertEqual(metrics["messages"]["deduplicated"], 10)
        self.assertGreater(metrics["messages"]["queued"], 0)
        reader.events(5000)
        metrics = wait_until(lambda: (m := server.get("/v1/stats").json()["websocket"])["queue"]["current_size"] == 0 and m,
                             "it has caught up")
        self.assertEqual(metrics["messages"]["sent"], 5000)
        self.assertGreater(metrics["retry"]["successes"], 0)
        self.assertGreater(metrics["clients"]["slow"]["queue"]["max_size"], 0)

    def test_counters_go_on_over_restarts(self):
        """Shown to fail where they begin at 0 with the process."""
        def told(server, *, of=None):
            metrics = server.get("/v1/stats").json()["websocket"]
            metrics = metrics if of is None else metrics["clients"][of]
            return {part: {name: value for name, value in metrics[part].items() if name not in ("active", "queued", "current_size")}
                    for part in ("connections", "messages", "queue", "retry")}
        server = self.serve()
        server.dashboard(session="wall").leave()
        reader = server.reader(session="wall")
        for _ in range(2):
            reader.publish([{"connection_type": "kimi", "id": str(n)} for n in range(10)])
        wait_until(lambda: told(server)["messages"]["sent"] == 10, "all is sent")
        with self.assertRaises(Refused):
            WebSocket(server.address, "/ws?after=never")
        before, wall = told(server), told(server, of="wall")
        self.assertEqual((before["connections"]["total"], before["connections"]["failed"], before["messages"]["deduplicated"],
                          wall["messages"]["sent"]), (2, 1, 10, 10))
        time.sleep(7)  # they are saved every five seconds, while there is something new
        server.kill()
        server.start()
        self.assertEqual((told(server), told(server, of="wall")), (before, wall))
        server.dashboard(session="wall").leave()
        wait_until(lambda: server.get("/v1/stats").json()["websocket"]["clients"]["wall"]["connections"]["active"] == 0, "it left")
        before, wall = told(server), told(server, of="wall")
        self.assertEqual((before["connections"]["total"], wall["connections"]["total"]), (3, 3))
        server.restart()  # at a clean stop nothing is lost
        self.assertEqual((told(server), told(server, of="wall")), (before, wall))
        self.assertEqual(server.get("/metrics/adapter").json()["metrics"]["total_connections"], 3)

    def test_stopping_is_reported(self):
        server = self.serve()
        server.publish([{"connection_type": "kimi"}])
        server.restart()
        self.assertEqual(server.head(), 1)  # nobody has used the profile's sockets
        server.dashboard()
        server.reader()
        server.restart()
        event = server.event(server.head())
        self.assertEqual((event["stream"], event["type"]), ("websocket", "server_stopped"))
        report = event["data"]["metadata"]
        self.assertEqual((report["reason"], report["pending_messages_flushed"], report["pending_messages_left"],
                          report["connections_closed"]), ("SIGTERM", 0, 0, 2))
        self.assertGreater(report["uptime_seconds"], report["duration_seconds"])
        self.assertRegex(server.log_text(), r'msg="stopped" flushed=0 left=0 connections=2 behind=0 seconds=')
        self.assertEqual(server.dashboard().initial["stats"]["websocket"]["total_events"], 1)

    def test_what_slow_readers_had_not_been_sent_is_reported(self):
        """Events that came in the last moment, too: what is told once a second knows nothing of them."""
        server = self.serve()
        slow = [server.dashboard(receive_buffer=4096), server.sse(receive_buffer=4096)]
        quick = server.reader()
        for _ in range(10):
            server.publish([{"connection_type": "kimi", "metadata": {"x": "x" * 10000}}] * 300)
        last = wait_until(lambda: quick.receive().get("seq", 0), "the quick one has an event")
        while last < 3000:
            last = quick.receive().get("seq", last)
        server.restart()
        report = server.event(3001)["data"]["metadata"]
        self.assertEqual(report["connections_behind"], len(slow))
        self.assertGreater(report["pending_messages_left"], 2000)
        self.assertIn(f"left={report['pending_messages_left']} connections=3 behind=2", server.log_text())

    def test_what_goes_wrong_is_counted_once(self):
        server = self.serve("--publisher-silence", "600ms", "--ping-interval", "200ms", "--max-lag", "500")
        metrics = lambda: server.get("/v1/stats").json()["websocket"]
        for path, headers in (("/ws", {"Origin": "http://elsewhere.example"}), ("/ws?after=never", {}), ("/ws?stream=x", {})):
            with self.assertRaises(Refused):
                WebSocket(server.address, path, **headers)
        self.assertEqual(metrics()["connections"]["failed"], 3)
        server.ingest().closed()
        self.assertEqual(metrics()["connections"]["timeouts"], 1)
        reader = server.reader(session="named")
        for _ in range(2):
            reader.publish([{"stream": "s", "id": "a", "data": 1}])
        named = metrics()["clients"]["named"]
        self.assertEqual((named["connections"]["active"], named["messages"]["deduplicated"]), (1, 1))
        reader.leave()
        wait_until(lambda: metrics()["clients"]["named"]["connections"]["active"] == 0, "it has left")
        server = self.serve("--max-lag", "500")  # where nobody is closed for his silence meanwhile
        server.dashboard(receive_buffer=4096, session="slow")
        for _ in range(20):
            server.publish([{"connection_type": "kimi", "x": "y" * 1000}] * 500)
        wait_until(lambda: (m := metrics()["clients"]["slow"])["connections"]["active"] == 0 and
                   m["queue"]["current_size"] == 0, "it was closed, and lags no longer")
        seen = metrics()
        self.assertEqual((seen["queue"]["overflows"], seen["messages"]["failed"]), (1, 1))

    def test_an_idle_sessions_metrics_are_dropped(self):
        server = self.serve("--metrics-idle", "2s")
        clients = lambda: server.get("/v1/stats").json()["websocket"]["clients"]
        gone = server.dashboard(session="gone")
        server.dashboard(session="here")
        self.assertEqual(set(clients()), {"gone", "here"})
        gone.leave()
        wait_until(lambda: set(clients()) == {"here"}, "the one that left is dropped")
        time.sleep(3)
        self.assertEqual(set(clients()), {"here"})  # connected is not idle
        server.dashboard(session="gone").leave()
        self.assertEqual(clients()["gone"]["connections"]["total"], 1)

    def test_what_retention_took_is_counted(self):
        server = self.serve()
        server.publish([{"connection_type": "kimi", "n": n} for n in range(100)])
        reader = server.dashboard(session="wall", after="first")
        reader.send({"command": "ack", "seq": 10})
        wait_until(lambda: server.get("/v1/sessions/wall").json()["acked"] == 10, "it is acknowledged")
        server.stop()
        with edited(server.data) as database:
            database.execute("DELETE FROM event WHERE seq <= 40")
            database.execute("UPDATE meta SET value = '1-40' WHERE key = 'gone'")
            database.execute("UPDATE meta SET value = 40 WHERE key = 'gone_unknown'")
        server.start()
        reader = server.dashboard(session="wall")
        gap = of_type(reader, "gap")
        self.assertEqual((gap["reason"], gap["requested"], gap["first"]), ("retention", 10, 41))
        self.assertEqual([of_type(reader, "event")["seq"] for _ in range(60)], list(range(41, 101)))
        metrics = server.get("/v1/stats").json()["websocket"]
        self.assertEqual(metrics["messages"]["expired"], 30)
        self.assertEqual(metrics["clients"]["wall"]["messages"]["expired"], 30)

    def test_current_metrics_are_measured(self):
        server = self.serve()
        empty = self.document(server, "/api/metrics/current")
        self.assertEqual((empty["latency_p95"], empty["success_rate"]), (0, 100))
        server.publish([{"connection_type": "kimi", "response_time_ms": n} for n in range(1, 101)] + failing(25))
        current = self.document(server, "/api/metrics/current")
        self.assertEqual(set(current), {"latency_p95", "memory_mb", "success_rate", "since", "timestamp"})
        self.assertAlmostEqual(current["latency_p95"], 95, delta=0.95)
        self.assertEqual(current["success_rate"], 80)
        self.assertAlmostEqual(current["memory_mb"], server.rss() / 2**20, delta=10)

    def test_a_percentile_is_of_all_response_times(self):
        """Shown to fail where it is of the newest 512 of each service: 1000."""
        server = self.serve()
        for _ in range(4):
            server.publish([{"connection_type": "kimi", "response_time_ms": 10}] * 5000)
        server.publish([{"connection_type": "glm", "response_time_ms": 1000}] * 500)
        self.assertAlmostEqual(self.document(server, "/api/metrics/current")["latency_p95"], 10, delta=0.1)
        random_source = random.Random(5)
        server.publish([{"connection_type": "redis", "response_time_ms": round(random_source.lognormvariate(4, 2), 3)}
                        for _ in range(20000)])
        times = sorted(event["data"]["response_time_ms"] for event in map(json.loads, server.lines()))
        wanted = times[-(-len(times) * 95 // 100) - 1]
        self.assertAlmostEqual(self.document(server, "/api/metrics/current")["latency_p95"], wanted, delta=wanted / 100)

    def test_one_meaning_of_error(self):
        """Shown to fail where the direction alone counts: what the seed calls inbound, with a text, is none in the tallies."""
        server = self.serve()
        server.publish([{"connection_type": "kimi", "direction": "inbound", "error": "boom"},
                        {"connection_type": "kimi", "direction": "error"},
                        {"connection_type": "kimi", "direction": "outbound", "error": ""},
                        {"connection_type": "kimi", "direction": "inbound", "error": None}])
        reader = server.dashboard()
        stats = reader.initial["stats"]["kimi"]
        reader.send({"command": "get_time_series", "connection_type": "kimi"})
        [bucket] = of_type(reader, "time_series_data")["data"].values()
        rate = self.document(server, "/api/metrics/current")["success_rate"]
        self.assertEqual((stats["total_errors"], stats["error_count"], bucket["errors"], rate), (2, 2, 2, 50))

    def test_validation_and_adapter(self):
        server = self.serve()
        reader, standard = server.dashboard(), server.live_reader(type="other")
        server.publish([{"connection_type": "glm"}] * 3 + [{"connection_type": "glm", "type": "other"}])
        for _ in range(4):
            reader.receive()
        standard.event()
        # What has arrived is counted a moment later.
        wait_until(lambda: server.get("/v1/stats").json()["websocket"]["messages"]["sent"] == 5, "they are counted")
        metrics = self.document(server, "/metrics/validation")["metrics"]
        self.assertEqual((metrics["use_adapter"], metrics["use_dual_mode"]), (True, False))
        self.assertEqual(metrics["broadcaster_metrics"], {"total_broadcasts": 5, "adapter_broadcasts": 1,
                                                          "direct_broadcasts": 4, "failed_broadcasts": 0})
        self.assertEqual((metrics["connected_clients"], metrics["sequence_counter"]), (1, 4))
        self.assertEqual(metrics["classification_metrics"],
                         {"total_classified": 4, "category_distribution": {"system": 4}, "classification_errors": 0})
        adapter = self.document(server, "/metrics/adapter")
        self.assertEqual((adapter["adapter_type"], adapter["metrics"]["total_events_broadcast"]), ("dual", 5))

    def test_flush_is_a_checkpoint(self):
        server = self.serve()
        server.publish([{"data": "x" * 1000}] * 100)
        wal = os.path.join(server.data, "tidemark.db-wal")
        result = server.request("POST", "/metrics/flush").json()["result"]
        self.assertTrue(result["flushed"])
        self.assertGreater(result["wal_pages"], 20)
        self.assertEqual(result["pages_written_back"], result["wal_pages"])
        self.assertEqual(os.path.getsize(wal), 0)
        result = server.request("POST", "/metrics/flush").json()["result"]
        self.assertEqual((result["wal_pages"], result["pages_written_back"]), (0, 0))  # there was nothing to do


class Flags(TidemarkTest):
    DEFAULTS = {"MONITORING_USE_ADAPTER": True, "MONITORING_ADAPTER_TYPE": "dual", "MONITORING_DUAL_MODE": False,
                "MONITORING_ENABLE_VALIDATION": True, "MONITORING_VALIDATION_STRICT": False,
                "MONITORING_METRICS_FLUSH_INTERVAL": 300, "MONITORING_METRICS_PERSISTENCE": True, "MONITORING_BATCH_SIZE": 100,
                "MONITORING_TIMEOUT_MS": 5000}
    INVALID = {"connection_type": "kimi", "type": "t" * 51, "source": "", "timestamp": [], "metadata": 5}

    def flags(self, server):
        status = server.get("/flags/status").json()
        self.assertEqual(set(status), {"status", "flags", "sources", "timestamp"})
        return status["flags"]

    def put(self, server, name, value, **how):
        return server.request("PUT", f"/flags/{name}", json.dumps({"value": value}), {"Content-Type": "application/json"}, **how)

    def test_defaults_environment_and_options(self):
        server = self.serve()
        self.assertEqual(self.flags(server), self.DEFAULTS)
        health = server.get("/health/flags").json()
        self.assertEqual((health["health"], health["issues"], health["flags"]), ("healthy", [], self.DEFAULTS))
        server = self.serve("--monitoring-flag", "MONITORING_BATCH_SIZE=7",
                            extra={"MONITORING_BATCH_SIZE": "9", "MONITORING_TIMEOUT_MS": "1234", "MONITORING_DUAL_MODE": "true",
                                   "MONITORING_USE_ADAPTER": "off", "MONITORING_ADAPTER_TYPE": "websocket",
                                   "MONITORING_METRICS_FLUSH_INTERVAL": "soon", "MONITORING_VALIDATION_STRICT": "on"})
        self.assertEqual(self.flags(server), {**self.DEFAULTS, "MONITORING_BATCH_SIZE": 7, "MONITORING_TIMEOUT_MS": 1234,
                                              "MONITORING_VALIDATION_STRICT": True, "MONITORING_DUAL_MODE": True,
                                              "MONITORING_USE_ADAPTER": False, "MONITORING_ADAPTER_TYPE": "websocket"})
        sources = server.get("/flags/status").json()["sources"]
        self.assertEqual([sources[f"MONITORING_{name}"]["source"] for name in
                          ("BATCH_SIZE", "TIMEOUT_MS", "METRICS_PERSISTENCE", "DUAL_MODE")],
                         ["option", "environment", "default", "environment"])
        health = server.get("/health/flags").json()
        self.assertEqual((health["health"], len(health["issues"])), ("degraded", 1))
        self.assertIn("dual mode is on, while no adapter is used", health["issues"][0])
        self.assertIn("MONITORING_METRICS_FLUSH_INTERVAL: must be a whole number", server.log_text())
        for wrong in ("x", "MONITORING_X=1", "MONITORING_BATCH_SIZE=0"):
            ended = command("serve", "--data", os.path.join(server.home, "other"), "--monitoring-flag", wrong)
            self.assertEqual((ended.returncode, wrong.split("=")[0] in ended.stderr), (2, True), ended.stderr)

    def test_a_switch_in_the_environment_means_something(self):
        name = "MONITORING_VALIDATION_STRICT"
        for texts, meant in ((("TRUE", "True", "1", "YES", "On"), True), (("FALSE", "0", "No", "OFF"), False)):
            for text in texts:
                server = self.serve(extra={name: text, "TIDEMARK_INSECURE": text})
                self.assertEqual((text, self.flags(server)[name]), (text, meant))
                self.assertEqual(server.get("/flags/status").json()["sources"][name], {"source": "environment"})
                server.stop()
        for wrong in ("maybe", "", "2", " true"):
            server = self.serve(extra={name: wrong})
            self.assertEqual((wrong, self.flags(server)[name]), (wrong, False))
            self.assertIn(name, server.log_text())
            server.stop()

    def test_one_that_is_set_lasts_and_is_recorded(self):
        server = self.serve()
        answer = self.put(server, "MONITORING_BATCH_SIZE", 12)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.json()["flags"]["MONITORING_BATCH_SIZE"], 12)
        source = answer.json()["sources"]["MONITORING_BATCH_SIZE"]
        self.assertEqual((source["source"], source["by"]), ("set", None))
        event = wait_until(lambda: server.head() and server.event(1), "it is recorded")
        self.assertEqual((event["stream"], event["type"], event["data"]["metadata"]),
                         ("websocket", "flag_changed", {"flag": "MONITORING_BATCH_SIZE", "value": 12, "by": None}))
        for again in (lambda: (server.kill(), server.start()), server.restart):
            again()
            self.assertEqual(self.flags(server), {**self.DEFAULTS, "MONITORING_BATCH_SIZE": 12})
        self.assertEqual(self.put(server, "MONITORING_BATCH_SIZE", None).json()["flags"], self.DEFAULTS)
        server.restart()
        self.assertEqual(self.flags(server), self.DEFAULTS)

    def test_what_cannot_be_set(self):
        server = self.serve()
        for name, value, status, mention in (
                ("MONITORING_USE_ADAPTER", "yes", 400, "true or false"), ("MONITORING_ADAPTER_TYPE", 1, 400, "realtime"),
                ("MONITORING_ADAPTER_TYPE", "pigeon", 400, "websocket, realtime or dual"), ("MONITORING_X", 1, 404, "no such flag"),
                ("MONITORING_BATCH_SIZE", 0, 400, "from 1"), ("MONITORING_BATCH_SIZE", "5", 400, "whole number"),
                ("MONITORING_ENABLE_VALIDATION", 1, 400, "true or false"), ("MONITORING_TIMEOUT_MS", 10**9, 400, "600000")):
            self.assert_problem(self.put(server, name, value), status, mention)
        for body in ("", "5", '{"value":1,"value":2}', '{"value":1,"x":2}', "{}"):
            self.assert_problem(server.request("PUT", "/flags/MONITORING_BATCH_SIZE", body), 400)
        self.assertEqual((self.flags(server), server.head()), (self.DEFAULTS, 0))

    def test_the_adapter_decides_whether_dashboards_get_events(self):
        server = self.serve()
        event = {"connection_type": "kimi"}

        def switch(name, value, adapter):
            self.assertEqual(self.put(server, f"MONITORING_{name}", value).status, 200)
            self.assertEqual(server.get("/metrics/adapter").json()["adapter_type"], adapter)

        switch("ADAPTER_TYPE", "realtime", "realtime")
        dashboard, standard = server.dashboard(), server.live_reader(stream="kimi")
        seqs = [server.publish([event])["last"] for _ in range(3)]
        self.assertEqual([standard.event()["seq"] for _ in seqs], seqs)
        dashboard.send({"command": "get_stats", "connection_type": "kimi"})  # it is answered, and gets nothing else
        self.assertEqual(of_type(dashboard, "stats")["stats"]["total_events"], 3)
        self.assertNotIn("event", [notice["type"] for notice in dashboard.notices])
        switch("DUAL_MODE", True, "dual")
        events = iter(lambda: of_type(dashboard, "event"), None)
        kimi = (event for event in events if event["connection_type"] == "kimi")
        self.assertEqual([next(kimi)["seq"] for _ in seqs], seqs)  # what it missed
        switch("DUAL_MODE", None, "realtime")
        switch("USE_ADAPTER", False, "websocket")
        seq = server.publish([event])["last"]
        self.assertEqual(next(kimi)["seq"], seq)

    def test_validation_lists_what_breaks_a_rule(self):
        server = self.serve()
        server.publish([self.INVALID, {"connection_type": "kimi", "source": "s" * 100, "timestamp": 1.5, "metadata": None},
                        {"stream": "kimi", "data": 5}, {"stream": "elsewhere", "type": "t" * 51, "data": 5}])
        publisher = server.ingest()
        publisher.send({"type": 5})
        self.assertEqual(publisher.receive()["status"], "received")
        publisher.send({"type": "\u00e4" * 50, "service": "glm"})
        self.assertEqual(publisher.receive()["status"], "received")
        page = server.get("/v1/quarantine").json()
        self.assertEqual([(e["seq"], e["stream"], [r["rule_name"] for r in e["errors"]]) for e in page["events"]], [
            (1, "kimi", ["event_type", "source", "timestamp", "metadata"]), (3, "kimi", ["data"]), (5, "websocket", ["event_type"])])
        self.assertEqual((page["next"], page["listed"], page["invalid"]), (None, 3, 3))
        self.assertEqual(page["events"][0]["time"], server.event(1)["time"])
        seen, after = [], 0
        while after is not None:
            part = server.get("/v1/quarantine", after=after, limit=1).json()
            seen += part["events"]
            after = part["next"]
        self.assertEqual(seen, page["events"])
        for again in (lambda: (server.kill(), server.start()), server.restart):
            again()
            self.assertEqual(server.get("/v1/quarantine").json(), page)
        metrics = server.get("/metrics/validation").json()["metrics"]["validation_metrics"]
        self.assertEqual(metrics, {"enabled": True, "strict": False, "total_events": 5, "valid_events": 2, "invalid_events": 3,
                                   "pass_rate": 40, "quarantined": 3, "refused": 0})
        for name, value in (("after", "x"), ("limit", "0"), ("limit", "1001"), ("x", "1")):
            self.assert_problem(server.get("/v1/quarantine", **{name: value}), 400, name)
        self.put(server, "MONITORING_ENABLE_VALIDATION", False)
        server.publish([self.INVALID])
        self.assertEqual(server.get("/v1/quarantine").json()["listed"], 3)

    def test_a_recount_asks_the_rules_that_were(self):
        """After a kill, what came since the figures were saved is counted again, whatever the flag says by then."""
        name = "MONITORING_ENABLE_VALIDATION"
        figures = lambda: (server.get("/metrics/validation").json()["metrics"]["validation_metrics"],
                           [event["seq"] for event in server.get("/v1/quarantine", limit=1000).json()["events"]])
        server = self.serve()
        server.publish([self.INVALID] * 5)
        for value, count in ((False, 3), (True, 2), (False, 4)):
            head = server.head()
            self.assertEqual(self.put(server, name, value).status, 200)
            wait_until(lambda h=head: server.head() > h, "the change is recorded")
            server.publish([self.INVALID] * count)
        before = figures()
        self.assertEqual((before[0]["invalid_events"], len(before[1])), (7, 7))
        server.kill()
        server.start()
        self.assertEqual(figures(), before)

    def test_a_recount_asks_the_rules_of_another_environment(self):
        figures = lambda: [server.get("/metrics/validation").json()["metrics"]["validation_metrics"][name]
                           for name in ("total_events", "invalid_events")]
        server = self.serve()
        for value, checked in (("false", 5), ("true", 5), ("false", 10)):
            server.publish([self.INVALID] * 5)
            server.kill()
            server.extra = {"MONITORING_ENABLE_VALIDATION": value}
            server.start()
            self.assertEqual(figures(), [checked, checked])

    def test_strict_validation_refuses(self):
        server = self.serve()
        self.put(server, "MONITORING_VALIDATION_STRICT", True)
        head = wait_until(server.head, "the change is recorded")
        problem = server.post(json.dumps([{"connection_type": "kimi"}, self.INVALID]))
        self.assert_problem(problem, 400, "event_type", "1 to 50", index=1)
        lines = json.dumps({"connection_type": "kimi"}) + "\n\n" + json.dumps({"stream": "kimi", "data": 5})
        self.assert_problem(server.post(lines, "application/x-ndjson"), 400, "no object", line=3)
        publisher = server.ingest()
        publisher.send({"service": "kimi", "metadata": [1]})
        answer = publisher.receive()
        self.assertEqual((set(answer), answer["status"]), ({"status", "message"}, "error"))
        self.assertIn("metadata", answer["message"])
        reader = server.reader()
        reader.send({"op": "publish", "ref": "r", "events": [self.INVALID]})
        refusal = wait_until(lambda: (f := reader.receive()).get("op") == "error" and f, "it is refused")
        self.assertEqual((refusal["status"], refusal["ref"]), (400, "r"))
        server.publish([{"stream": "elsewhere", "data": 5}])  # the rules are those of the services
        self.assertEqual(server.head(), head + 1)
        self.assertEqual(server.get("/metrics/validation").json()["metrics"]["validation_metrics"]["refused"], 4)

    def test_strict_validation_takes_a_retry_for_a_duplicate(self):
        """In all three ways to publish; what is new beside it is refused as ever, and nothing of its request is stored."""
        server = self.serve()
        broken = {**self.INVALID, "id": "a"}
        frame = {"service": "kimi", "type": "x", "id": "b", "metadata": [1]}
        seq = server.publish([broken])["first"]
        publisher = server.ingest()
        publisher.send(frame)
        self.assertEqual(publisher.receive()["seq"], 2)
        self.put(server, "MONITORING_VALIDATION_STRICT", True)
        head = wait_until(lambda: server.head() == 3 and 3, "the change is recorded")
        again = server.publish([broken])
        self.assertEqual((again["first"], again["last"], again["count"], again["duplicates"], again["seqs"]), (seq, seq, 0, 1, [seq]))
        publisher.send(frame)
        self.assertIs(publisher.receive()["duplicate"], True)
        reader = server.reader()
        reader.send({"op": "publish", "ref": "r", "events": [broken]})
        reply = wait_until(lambda: (f := reader.receive()).get("op") == "published" and f, "it is a duplicate")
        self.assertEqual((reply["first"], reply["count"], reply["duplicates"]), (seq, 0, 1))
        new = {**self.INVALID, "id": "new"}
        self.assert_problem(server.post(json.dumps([broken, {"connection_type": "kimi"}, new])), 400, "event_type", index=2)
        lines = json.dumps(broken) + "\n\n" + json.dumps(new)
        self.assert_problem(server.post(lines, "application/x-ndjson"), 400, "event_type", line=3)
        reader.send({"op": "publish", "ref": "s", "events": [broken, new]})
        refusal = wait_until(lambda: (f := reader.receive()).get("op") == "error" and f, "it is refused")
        self.assertEqual((refusal["status"], refusal["ref"], refusal["index"]), (400, "s", 1))
        publisher.send({**frame, "id": "c"})
        self.assertIn("metadata", publisher.receive()["message"])
        figures = server.get("/metrics/validation").json()["metrics"]["validation_metrics"]
        self.assertEqual((server.head(), figures["refused"]), (head, 4))
        self.assertEqual(server.publish([broken, {"connection_type": "kimi"}])["seqs"], [seq, head + 1])

    def test_the_batch_size_and_the_timeout_act(self):
        """Shown to fail where they are only told."""
        server = self.serve("--monitoring-flag", "MONITORING_TIMEOUT_MS=300")
        commits = lambda: server.get("/v1/stats").json()["commits"]["count"]
        publisher = server.ingest()
        block = frame(TEXT, b'{"service":"kimi"}') * 100
        taken = {}
        for size in (100, 1):
            self.put(server, "MONITORING_BATCH_SIZE", size)
            before, head = commits(), wait_until(server.head, "the change is recorded")
            publisher.wire.sock.sendall(block)
            for _ in range(100):
                self.assertEqual(publisher.receive()["status"], "received")
            wait_until(lambda h=head: server.head() >= h + 100, "all of it is stored")
            taken[size] = commits() - before
        self.assertGreaterEqual(taken[1], 100)
        self.assertLess(taken[100], 60)
        time.sleep(1.1)  # the answer of the last probe is good for a second
        with locked(server.data):
            start = time.monotonic()
            health = server.get("/health")
            self.assertLess(time.monotonic() - start, 2)
        self.assertEqual(health.status, 503)
        self.assertRegex(health.json()["components"]["storage"]["error"], r"not durable within \d{3} ms")

    def test_persistence_and_the_flush_interval(self):
        def saved(server):
            path = os.path.join(server.data, "tidemark.db")
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
                return database.execute("SELECT max(at) FROM note WHERE kind = 'monitor'").fetchone()[0]
        server = self.serve("--monitoring-flag", "MONITORING_METRICS_FLUSH_INTERVAL=1")
        server.publish([{"connection_type": "kimi"}] * 10)
        wait_until(lambda: saved(server) == 10, "it is saved")
        server = self.serve("--monitoring-flag", "MONITORING_METRICS_PERSISTENCE=false",
                            "--monitoring-flag", "MONITORING_METRICS_FLUSH_INTERVAL=1")
        server.publish([{"connection_type": "kimi"}] * 10)
        time.sleep(2.5)
        self.assertIsNone(saved(server))
        server.restart()
        self.assertIsNone(saved(server))
        self.assertEqual(server.dashboard().initial["stats"]["kimi"]["total_events"], 10)
        server.request("POST", "/metrics/flush")
        self.assertEqual(saved(server), 10)


class Auditor(TidemarkTest):
    def observations(self, server, **query):
        response = server.get("/api/auditor/observations", **query)
        self.assertEqual(response.status, 200, response)
        return response.json()

    def test_an_error_burst_is_noted_once(self):
        server = self.serve("--audit-errors", "5")
        server.publish(failing(4))
        time.sleep(1.5)
        self.assertEqual(self.observations(server), [])
        server.publish(failing(3))
        [seen] = wait_until(lambda: self.observations(server), "it is noted")
        self.assertEqual(set(seen), OBSERVATION)
        self.assertEqual((seen["severity"], seen["category"], seen["rule"], seen["connection_type"]),
                         ("critical", "reliability", "error_burst", "kimi"))
        self.assertEqual(seen["event_ids"], [7, 6, 5, 4, 3, 2, 1])
        self.assertIs(seen["acknowledged"], False)
        server.publish(failing(10))
        time.sleep(1.5)
        self.assertEqual(len(self.observations(server)), 1)

    def test_latency_and_silence(self):
        server = self.serve("--audit-latency", "100ms", "--audit-silence", "2s", "--audit-errors", "0")
        server.publish([{"connection_type": "glm", "response_time_ms": 500}] * 10)
        rules = wait_until(lambda: len(seen := self.observations(server)) == 2 and seen, "both are noted")
        self.assertEqual([one["rule"] for one in rules], ["silence", "latency"])
        self.assertEqual([one["severity"] for one in rules], ["warning", "warning"])
        self.assertEqual(len(self.observations(server, category="performance")), 1)
        self.assertEqual(len(self.observations(server, severity="critical")), 0)
        self.assertEqual(len(self.observations(server, limit=1)), 1)
        server.restart()
        time.sleep(2.5)
        self.assertEqual(len(self.observations(server)), 2)

    def test_the_latency_rule_is_of_the_whole_minute(self):
        """Shown to fail where it is of the newest 512: a slow minute is missed, and a fast one with a slow end is not."""
        server = self.serve("--audit-errors", "0", "--audit-silence", "0")
        server.publish([{"connection_type": "kimi", "response_time_ms": 9000}] * 600 +
                       [{"connection_type": "kimi", "response_time_ms": 1}] * 512)
        server.publish([{"connection_type": "glm", "response_time_ms": 1}] * 10000)
        server.publish([{"connection_type": "glm", "response_time_ms": 9000}] * 40)
        [seen] = wait_until(lambda: self.observations(server), "the slow minute is noted")
        self.assertEqual((seen["connection_type"], seen["rule"]), ("kimi", "latency"))
        time.sleep(1.5)
        self.assertEqual(len(self.observations(server)), 1)

    def test_a_wrong_parameter_is_named(self):
        server = self.serve()
        for name, value in (("severity", "bogus"), ("category", "bogus"), ("acknowledged", "maybe"), ("limit", "0"), ("x", "1"),
                            ("severity", ""), ("category", ""), ("acknowledged", ""), ("limit", "")):
            self.assert_problem(server.get("/api/auditor/observations", **{name: value}), 400, name)
        for name, value in (("aggregation", "bogus"), ("implementation_type", "bogus"), ("time_range", "0"), ("x", "1"),
                            ("aggregation", ""), ("implementation_type", ""), ("time_range", "")):
            response = server.get("/api/cache-metrics", **{name: value})
            self.assertEqual(response.status, 400)
            self.assertTrue(response.json()["error"].startswith(f"{name}: "), response.text)
        self.assert_problem(server.get("/api/auditor/observations?severity=info&severity=info"), 400, "severity", "more than once")
        self.assert_problem(server.get("/api/auditor/observations", severity=""), 400, "critical, warning or info")
        self.assert_problem(server.get("/api/auditor/observations", acknowledged=""), 400, "true or false")
        self.assertIn("legacy, new or all", server.get("/api/cache-metrics", implementation_type="").json()["error"])
        for name in ("category", "order", "limit", "after"):
            self.assert_problem(server.get("/v1/events", **{name: ""}), 400, name)

    def test_acknowledging_lasts(self):
        server = self.serve("--audit-errors", "1")
        server.publish(failing(1) + failing(1, "glm"))
        wait_until(lambda: len(self.observations(server)) == 2, "both are noted")
        first = self.observations(server)[0]["id"]
        self.assertIsInstance(first, str)  # the old page writes it into quotes and looks it up by that
        response = server.request("POST", f"/api/auditor/observations/{first}/acknowledge")
        self.assertEqual(response.status, 200)
        self.assertEqual((response.json()["success"], response.json()["observation_id"]), (True, str(first)))
        before = self.observations(server)
        server.kill()
        server.start()
        self.assertEqual(self.observations(server), before)
        self.assertEqual([o["id"] for o in self.observations(server, acknowledged="true")], [first])
        self.assertEqual(len(self.observations(server, acknowledged="false")), 1)
        for unknown in ("99", "0", "x", "-1"):
            self.assert_problem(server.request("POST", f"/api/auditor/observations/{unknown}/acknowledge"), 404)
        self.assert_problem(server.get("/api/auditor/observations", limit=0), 400, "limit")


class Privacy(TidemarkTest):
    """What needs no token, or any page may read, holds no event, no path and no name."""

    CONTENT = "/api/cache-metrics", "/api/auditor/observations", "/v1/events", "/v1/streams", "/v1/sessions", "/v1/stats", "/v1/leases", \
        "/v1/archives", "/v1/export", "/metrics"

    def test_no_foreign_page_reads_event_content(self):
        """Shown to fail without the protection: with ROUTE_OPEN (api.c) any page reads keys and messages of the cache."""
        server = self.serve()
        server.publish({"data": 1})
        for path in self.CONTENT:
            with self.subTest(path):
                response = server.request("GET", path, headers={"Origin": ORIGIN})
                self.assertEqual(response.status, 200, response)
                self.assertNotIn("access-control-allow-origin", response.headers)

    def test_reasons_for_everybody_show_no_paths(self):
        server = self.serve()
        server.publish({"data": 1})
        moved = server.data + " away"
        os.rename(server.data, moved)
        try:
            wait_until(lambda: server.post('{"data":2}').status == 503, "publishing is refused")
            for path in ("/readyz", "/healthz", "/health"):
                text = wait_until(lambda p=path: server.get(p), "an answer").text
                self.assertNotIn(server.home, text, path)
            self.assertIn("tidemark.db", server.get("/readyz").text)
            self.assertIn(server.home, json.dumps(server.get("/v1/stats").json()), "whoever may read all is told")
        finally:
            os.rename(moved, server.data)


class Origins(TidemarkTest):
    def preflight(self, server, path, method, origin=ORIGIN):
        return server.request("OPTIONS", path, headers={"Origin": origin, "Access-Control-Request-Method": method})

    def test_preflights_of_open_paths(self):
        server = self.serve()
        for path, methods, origin in (("/health/semaphores", "GET, HEAD", "*"), ("/status", "GET, HEAD", "*"),
                                      ("/metrics/flush", "POST", None),
                                      ("/api/auditor/observations/7/acknowledge", "POST", None)):
            response = self.preflight(server, path, methods[:4].strip(","))
            self.assertEqual(response.status, 204, response)
            self.assertEqual(response.headers.get("access-control-allow-origin"), origin)  # or it would be refused afterwards
            self.assertEqual(response.headers["access-control-allow-methods"], methods)
            self.assertEqual(response.headers["allow"], methods)
        self.assertEqual(self.preflight(server, "/v1/nope", "GET").status, 404)

    def test_other_paths_are_for_allowed_origins_only(self):
        server = self.serve("--allow-origin", ORIGIN)
        response = self.preflight(server, "/v1/events", "POST")
        self.assertEqual((response.status, response.headers["access-control-allow-origin"]), (204, ORIGIN))
        self.assertNotIn("access-control-allow-origin", self.preflight(server, "/v1/events", "POST", "http://x").headers)
        response = server.request("GET", "/v1/stats", headers={"Origin": ORIGIN})
        self.assertEqual(response.headers["access-control-allow-origin"], ORIGIN)
        self.assertNotIn("access-control-allow-origin", server.get("/v1/stats").headers)

    def test_pages_of_another_port_of_the_server_are_its_own(self):
        server = self.serve("--listen", "127.0.0.1:0")
        ports = lambda: re.findall(r"listening on http://127.0.0.1:(\d+)", server.log_text())
        wait_until(lambda: len(ports()) == 2, "both are told")
        [other] = [port for port in ports() if int(port) != server.port]
        own = f"http://localhost:{other}"
        for path in ("/ws", "/events", "/v1/ws"):
            server.keep(WebSocket(server.address, path, Host=f"localhost:{server.port}", Origin=own))
        flush = server.request("POST", "/metrics/flush", headers={"Origin": own})
        self.assertEqual((flush.status, flush.headers["access-control-allow-origin"]), (200, own))
        self.assertEqual(self.preflight(server, "/metrics/flush", "POST", own).headers["access-control-allow-origin"], own)
        with self.assertRaises(Refused):
            WebSocket(server.address, "/ws", Origin=f"http://localhost:{int(other) + 1}")
        with self.assertRaises(Refused):
            WebSocket(server.address, "/ws", Origin=f"http://elsewhere:{other}")

    def test_a_foreign_page_changes_nothing(self):
        server = self.serve()
        for path in ("/metrics/flush", "/v1/leases", "/api/auditor/observations/1/acknowledge"):
            self.assert_problem(server.request("POST", path, "{}", {"Origin": ORIGIN}), 403)

    def test_the_names_of_this_machine_are_one(self):
        server = self.serve()
        port = server.port
        for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"LOCALHOST:{port}", f"[::1]:{port}"):
            headers = {"Origin": f"http://{host}"}
            self.assertEqual(server.request("POST", "/metrics/flush", "", headers).status, 200, host)
            server.keep(WebSocket(server.address, "/ws", **headers)).receive()
        for host in (f"localhost:{port + 1}", "localhost", f"localhost.evil:{port}", f"127.0.0.10:{port}", f"localhost:{port}0"):
            headers = {"Origin": f"http://{host}"}
            self.assert_problem(server.request("POST", "/metrics/flush", "", headers), 403)
            with self.assertRaises(Refused):
                WebSocket(server.address, "/ws", **headers)

    def test_methods(self):
        response = self.serve().request("POST", "/status")
        self.assert_problem(response, 405)
        self.assertEqual(response.headers["allow"], "GET, HEAD")
        server = self.serve()
        for path in ("/ws", "/events"):
            self.assertEqual(server.get(path).status, 400)

    def test_two_listeners_serve_the_same(self):
        server = self.serve("--listen", "127.0.0.1:0")
        found = wait_until(lambda: [line for line in server.log if "listening on" in line][1:], "both are told")
        other = int(re.search(r":(\d+)$", found[0])[1])
        first = server.get("/status").json()["service"]
        server.address = (server.address[0], other)
        self.assertEqual(server.get("/health/semaphores").status, 200)
        self.assertEqual(server.get("/status").json()["service"], first)


class Pages(TidemarkTest):
    def test_our_page_at_the_old_paths(self):
        server = self.serve()
        page = server.get("/")
        for path in ("/monitoring_dashboard.html", "/semaphore_monitor.html"):
            response = server.get(path)
            self.assertEqual((response.status, response.body), (200, server.get("/services.html").body))
        self.assertIn("etag", page.headers)
        again = server.request("GET", "/", headers={"If-None-Match": page.headers["etag"]})
        self.assertEqual((again.status, again.body), (304, b""))
        self.assert_problem(server.get("/static/"), 404)
        self.assert_problem(server.get("/static/nope.js"), 404)

    def test_an_operators_own_files(self):
        server = self.prepare()
        root = os.path.join(server.home, "pages")
        for path, text in (("monitoring_dashboard.html", "<p>mine"), ("static/js/a.js", "let a"), ("css/b.css", "b{}"),
                           (".secret", "no"), ("static/.git/config", "no")):
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
        server.start("--static", root)
        page = server.get("/monitoring_dashboard.html")
        self.assertEqual((page.text, page.headers["content-type"]), ("<p>mine", "text/html; charset=utf-8"))
        self.assertEqual(page.headers["content-security-policy"], "frame-ancestors 'self'")
        script = server.get("/static/js/a.js")
        self.assertEqual((script.text, script.headers["content-type"]), ("let a", "text/javascript; charset=utf-8"))
        self.assertEqual(server.get("/static/css/b.css").text, "b{}")
        self.assertEqual(server.request("GET", "/static/js/a.js", headers={"If-None-Match": script.headers["etag"]}).status, 304)
        self.assertIn("Tidemark", server.get("/").text)
        for path in ("/.secret", "/static/.secret", "/static/../.secret", "/static/%2e%2e/%2e%2e/data/lock",
                     "/static//etc/passwd", "/static/.git/config", "/static/js/..%2f..%2f.secret",
                     "/static/a%00.js", "/..%2fdata%2flock"):
            self.assertEqual(server.get(path).status, 404, path)
        for path in ("/static/js", "/static/js/", "/static/css"):
            self.assert_problem(server.get(path), 403, "directory")
        self.assertRegex(script.headers["last-modified"], r"^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$")


if __name__ == "__main__":
    unittest.main()
