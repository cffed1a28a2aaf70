"""What the monitoring profile has counted equals a recount of the log, however often the server died."""

import datetime
import json
import random
import threading
import time
import unittest

from case import TidemarkTest
from client import of_type, stored
from load import scaled
from store import edited
from test_monitor import PRODUCED, SERVICES
from text import NDJSON, ndjson
from waiting import Task, wait_until
from websocket_client import Closed
from wire import Refused

CONVERSATIONS = 40


def made_up(random_source, n):
    """An event of any of the shapes that are sent."""
    if n % 10 == 0:
        return {"stream": "elsewhere", "data": {"n": n}}
    event = {"connection_type": SERVICES[random_source.randrange(5)],
             "direction": random_source.choice(["inbound", "outbound", "send", "receive", "error", "connect", "disconnect"]),
             "data_size_bytes": random_source.randrange(10000)}
    if n % 3:
        event["response_time_ms"] = random_source.randrange(1000000) / 1000
    if n % 17 == 0:
        event["error"] = "e"
    if n % 4 == 0:
        event["metadata"] = {"continuation_id": f"c{random_source.randrange(CONVERSATIONS)}", "tokens": n,
                             "model": random_source.choice(["k-8k", "k-32k", "moonshot-128k"])}
    return event


class Recount:
    """The figures of all services, counted from the log itself."""

    def __init__(self, lines):
        self.stats = {name: None for name in SERVICES}
        self.minutes = {name: {} for name in SERVICES}
        self.counts, self.session = {}, None
        for line in lines:
            event = json.loads(line)
            if event["stream"] in self.stats:
                self.add(event)

    def add(self, event):
        name, data = event["stream"], event["data"]
        s = self.stats[name] = self.stats[name] or dict.fromkeys(("events", "sent", "received", "errors", "timed", "us", "open"), 0)
        direction = {"inbound": "receive", "outbound": "send"}.get(data["direction"], data["direction"])
        size, response = data["data_size_bytes"], data.get("response_time_ms")
        us = None if response is None else int(response * 1000 + 0.5)
        s["events"] += 1
        s["sent"] += size if direction == "send" else 0
        s["received"] += size if direction == "receive" else 0
        failed = direction == "error" or bool(data.get("error"))
        s["errors"] += failed
        s["timed"] += us is not None
        s["us"] += us or 0
        s["last"] = event["time"]
        if name == "websocket":
            s["open"] = max(0, s["open"] + (direction == "connect") - (direction == "disconnect"))
        minute = self.minutes[name].setdefault(event["time"][:16], [0, 0, 0, 0, 0])
        for i, more in enumerate((1, failed, size, us is not None, us or 0)):
            minute[i] += more
        meta = data.get("metadata")
        if meta and "continuation_id" in meta:  # events of the server's own have none
            count, used, most = self.counts.get(meta["continuation_id"], (0, 0, 128000))
            most = {"k-8k": 8000, "k-32k": 32000}.get(meta["model"], 128000)
            self.counts[meta["continuation_id"]] = (count + 1, meta["tokens"], most)
            if name in ("kimi", "glm"):
                self.session = (meta["continuation_id"], meta["model"])


class State(TidemarkTest):
    def assert_recounts(self, server):
        recount = Recount(server.lines())
        initial = server.dashboard().initial
        for name in SERVICES:
            got, want = initial["stats"][name], recount.stats[name]
            self.assertEqual(
                [got[k] for k in ("total_events", "total_sent_bytes", "total_received_bytes", "total_errors", "error_count",
                                  "active_connections")],
                [want[k] for k in ("events", "sent", "received", "errors", "errors", "open")], name)
            self.assertEqual(got["avg_response_time_ms"], float(f"{want['us'] / want['timed'] / 1000:.3f}"), name)
        session = initial["session_metrics"]
        count, used, most = recount.counts[recount.session[0]]
        self.assertEqual((session["conversation_length"], session["current_model"], session["context_tokens_used"],
                          session["context_tokens_max"], session["total_sessions"]),
                         (count, recount.session[1], used, most, len(recount.counts)))
        reader = server.dashboard()
        together = {}
        for name in SERVICES:
            for minute, numbers in recount.minutes[name].items():
                together[minute] = [a + b for a, b in zip(together.get(minute, [0] * 5), numbers)]
        minutes = {**recount.minutes, None: dict(sorted(together.items()))}
        for name in (*SERVICES, None):
            reader.send({"command": "get_time_series", "connection_type": name, "interval_minutes": 1, "hours": 24})
            buckets = of_type(reader, "time_series_data")["data"]
            got = [[b["count"], b["errors"], b["total_bytes"], b["avg_response_time"]] for b in buckets.values()]
            want = [[c, e, b, float(f"{us / max(timed, 1) / 1000:.3f}")] for c, e, b, timed, us in minutes[name].values()]
            self.assertEqual(got, want, name)

    def test_a_million_events_and_kills(self):
        server = self.serve()
        random_source = random.Random(7)
        each, rounds = 5000, scaled(200, 8)
        for k in range(rounds):
            stored(server.post(ndjson(made_up(random_source, n) for n in range(each)), NDJSON))
            if k % 40 == 7:
                server.kill()
                server.start()
        self.assert_recounts(server)
        server.kill()
        server.start()
        self.assert_recounts(server)
        server.restart()
        self.assert_recounts(server)

    def test_what_has_left_the_log_stays_counted(self):
        for archive in ("none", "zstd"):
            with self.subTest(archive=archive):
                server = self.serve("--retain-events", "1000", "--archive", archive)
                for n in range(12):
                    server.publish([{"connection_type": "kimi", "metadata": {"continuation_id": "c", "model": "m-8k"}}] * 500)
                wait_until(lambda: server.retention()["log"]["events"] < 1200, "most have left")
                for _ in range(2):
                    server.kill()
                    server.start()
                    initial = server.dashboard().initial
                    self.assertEqual(initial["stats"]["kimi"]["total_events"], 6000)
                    self.assertEqual(initial["session_metrics"]["conversation_length"], 6000)

    def test_the_last_minutes_survive_a_restart(self):
        server = self.serve("--audit-errors", "10")
        server.publish([{"connection_type": "kimi", "direction": "error", "response_time_ms": 5}] * 6)
        server.publish([{"connection_type": "kimi", "response_time_ms": 7}] * 14)
        before = server.get("/api/metrics/current").json()
        self.assertEqual((before["latency_p95"], before["success_rate"]), (7, 70))  # the greatest is exact
        for again in (server.restart, lambda: (server.kill(), server.start())):
            again()
            after = server.get("/api/metrics/current").json()
            self.assertEqual((after["latency_p95"], after["success_rate"]), (7, 70))
        server.publish([{"connection_type": "kimi", "direction": "error"}] * 6)
        wait_until(lambda: len(server.get("/api/auditor/observations").json()) == 1, "twelve errors within a minute are noted")

    def test_the_last_minutes_say_since_when_they_are_whole(self):
        """Shown to fail where a restart that finds no more of them in the log says that they are the last five minutes."""
        def current(server):
            answer = server.get("/api/metrics/current").json()
            at = [datetime.datetime.fromisoformat(answer[name]).timestamp() for name in ("since", "timestamp")]
            return at[0], at[1], answer["success_rate"]

        server = self.serve("--retain-events", "100", "--archive", "none", extra={"MONITORING_METRICS_PERSISTENCE": "false"})
        server.publish([{"connection_type": "kimi", "direction": "error"}] * 500)
        for _ in range(4):
            server.publish([{"connection_type": "kimi"}] * 125)
        wait_until(lambda: server.retention()["log"]["events"] < 300, "most have left")
        since, now, rate = current(server)
        self.assertAlmostEqual(now - since, 300, delta=1.1)
        self.assertEqual(rate, 50)
        for again in (server.restart, lambda: (server.kill(), server.start())):
            again()
            since, now, rate = current(server)
            self.assertLess(now - since, 60)
            self.assertEqual(rate, 100)
        time.sleep(1.1)  # the second that it has started in is not whole
        server.publish([{"connection_type": "kimi", "direction": "error"}] * 3)
        self.assertEqual(current(server)[2], 0)
        whole = self.serve("--retain-events", "100")  # into archives, which are read again
        whole.publish([{"connection_type": "kimi", "direction": "error"}] * 500)
        for _ in range(4):
            whole.publish([{"connection_type": "kimi"}] * 125)
        wait_until(lambda: whole.retention()["log"]["events"] < 300, "most are in archives")
        whole.restart()
        since, now, rate = current(whole)
        self.assertAlmostEqual(now - since, 300, delta=1.1)
        self.assertEqual(rate, 50)

    def test_figures_of_an_older_version_become_those_of_this_one(self):
        """Shown to fail where they are taken as they are: errors by their text alone stay uncounted."""
        server = self.serve()
        server.publish([{"connection_type": "kimi", "direction": "inbound", "error": "boom"},
                        {"connection_type": "kimi", "direction": "error"},
                        {"connection_type": "glm", "type": "cache_hit", "direction": "inbound", "error": ""}] * 100)
        server.stop()
        with edited(server.data) as database:  # as it was saved then: [events,sent,received,errors,…]
            [(kimi,)] = database.execute("SELECT value FROM note WHERE kind = 'service' AND key = 'kimi'").fetchall()
            numbers = json.loads(kimi)
            self.assertEqual(numbers[3], 200)
            numbers[3] = 100
            database.execute("UPDATE note SET value = ? WHERE kind = 'service' AND key = 'kimi'",
                             (json.dumps(numbers, separators=(",", ":")),))
            database.execute("UPDATE note SET value = '[]' WHERE kind = 'monitor'")
        for stops, again in ((0, server.start), (0, lambda: (server.kill(), server.start())), (1, server.restart)):
            again()
            stats = server.dashboard().initial["stats"]
            self.assertEqual((stats["kimi"]["total_errors"], stats["kimi"]["error_count"], stats["glm"]["total_errors"]),
                             (200, 200, 0))
            self.assertEqual(server.get("/metrics/validation").json()["metrics"]["classification_metrics"],
                             {"total_classified": 300 + stops, "classification_errors": 0,
                              "category_distribution": {"critical": 200, "performance": 100, **({"system": stops} if stops else {})}})

    def test_killed_while_publishing(self):
        server = self.serve()
        for k in range(5):
            stop = threading.Event()

            def publish(source=random.Random(k)):
                n = 0
                while not stop.is_set():
                    try:
                        server.post(ndjson(made_up(source, n + i) for i in range(500)), NDJSON)
                    except (OSError, ConnectionError):
                        return
                    n += 500
            publisher = Task(publish)
            time.sleep(0.7)
            server.kill()
            stop.set()
            publisher.result()
            server.start()
        self.assert_recounts(server)


class Watcher:
    """A dashboard that comes back where it was."""

    def __init__(self, server):
        self.server, self.seqs, self.position, self.connections = server, [], None, 0
        self.ended = threading.Event()
        self.task = Task(self.run)

    def run(self):
        while not self.ended.is_set():
            try:
                query = {} if self.position is None else {"after": self.position}
                reader = self.server.dashboard(**query)
            except (OSError, ConnectionError, Refused, Closed, AssertionError):
                time.sleep(0.05)
                continue
            self.connections += 1
            self.position = reader.initial["seq"]
            try:
                while not self.ended.is_set():
                    frame = reader.receive(10)  # figures come every 5 s, whatever else does not
                    if frame["type"] == "event":
                        self.seqs.append(frame["seq"])
                        self.position = frame["seq"]
                        reader.send({"command": "get_stats", "connection_type": frame["connection_type"]})
            except (OSError, ConnectionError, Closed, AssertionError):
                pass


class Generator(TidemarkTest):
    def test_a_minute_of_the_producers_with_two_dashboards_and_two_kills(self):
        server = self.serve()
        port = server.port
        watchers = [Watcher(server) for _ in range(2)]
        wait_until(lambda: all(w.position is not None for w in watchers), "both watch")
        acknowledged, stop = [], threading.Event()

        def generate():
            n = 0
            while not stop.is_set():
                try:
                    publisher = server.ingest()
                    while not stop.is_set():
                        publisher.send({**PRODUCED[n % 5], "id": str(n)})
                        acknowledged.append(publisher.receive(5)["seq"])
                        n += 1
                        time.sleep(0.004)
                except (OSError, ConnectionError, Refused, Closed, AssertionError):
                    time.sleep(0.05)
        generator = Task(generate)
        for _ in range(2):
            time.sleep(scaled(20))
            server.kill()
            time.sleep(0.5)
            server.start(port=port)
        time.sleep(scaled(20))
        stop.set()
        generator.result()
        head = server.head()
        self.assertEqual(sorted(set(acknowledged)), list(range(1, head + 1)))
        for watcher in watchers:
            wait_until(lambda w=watcher: w.seqs and w.seqs[-1] == head, "the dashboard has all")
            self.assertEqual(watcher.seqs, list(range(1, head + 1)))
            self.assertEqual(watcher.connections, 3)
            watcher.ended.set()
            watcher.task.result()
        stats = server.dashboard().initial["stats"]
        self.assertEqual(sum(stats[name]["total_events"] for name in SERVICES), head)
        self.assertGreater(head, scaled(1000))


if __name__ == "__main__":
    unittest.main()
