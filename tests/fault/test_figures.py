#!/usr/bin/env python3
"""Every number of /v1/stats and /metrics is proven: a known load, with faults, and each figure beside the test's own count.

A figure that nothing here compares, and no other test that is named here, fails the test: it does not ship.
"""

import contextlib
import fnmatch
import os
import re
import time
import unittest

from case import TidemarkTest
from command import command
from faults import SYNC, Faults
from load import KIB, MIB
from store import locked
from text import JSON
from waiting import Task, wait_until
from websocket_client import TEXT, frame

# Told elsewhere: the figures (with * for any part) and the test that compares them with its own count.
ELSEWHERE = {
    "quotas.*.refused.*": "integration/test_shares.py",
    "quotas.replies.held": "integration/test_shares.py",
    "quotas.small_replies.held": "unit/server/test_http.c",
    "quotas.searches.held": "unit/server/test_http.c",
    "quotas.slow_exports.held": "unit/server/test_handlers.c",
    "quotas.exports.held": "unit/server/test_handlers.c",
    "tls.*": "integration/test_tls.py",
    "access.reloads*": "integration/test_access.py",
    "clock.*": "fault/test_clock.py",
    "websocket.*": "integration/test_monitor_rest.py",
    "observations.*": "integration/test_monitor_rest.py",
    "archives.missing": "integration/test_lost_archives.py",
    "connections.silent": "integration/test_limits.py",
}
# The same figure in /metrics and in /v1/stats.
SAME = {
    "first_seq": "first", "head_seq": "head", "hot_seq": "retention.log.first", "streams": "streams",
    "database_bytes": "bytes.db", "wal_bytes": "bytes.wal", "archives": "archives.count", "archive_bytes": "archives.bytes",
    "events_committed_total": "commits.events", "commits_total": "commits.count", "duplicates_total": "commits.duplicates",
    "publish_refused_total": "commits.refused", "publish_failed_total": "commits.failed", "queue_requests": "queue.requests",
    "queue_events": "queue.events", "queue_bytes": "queue.bytes", 'breaker_transitions_total{to="open"}': "breaker.opens",
    'breaker_transitions_total{to="half_open"}': "breaker.half_opens", 'breaker_transitions_total{to="closed"}': "breaker.closes",
    "retention_sealed_total": "retention.sealed", "retention_left_total": "retention.left",
    "retention_failed_total": "retention.failed", "clock_jumps_total": "clock.jumps", 'readers{kind="websocket"}': "readers.websocket",
    'readers{kind="sse"}': "readers.sse", 'readers{kind="long_poll"}': "readers.long_poll", "reader_lag_max": "readers.lag_max",
    "delivered_total": "delivered", "ring_bytes": "ring.bytes", "cache_bytes": "cache.bytes", "cache_loads_total": "cache.loads",
    "connections_refused_total": "connections.refused", "connections_silent_total": "connections.silent",
    "tls_connections": "tls.open", "tls_handshakes_failed_total": "tls.failed", "rate_limited_total": "rate_limited",
}
SAMPLE = re.compile(r'tidemark_([a-z0-9_]+(?:\{.*\})?) (\S+)')
NEAR = 64 * MIB  # what others on the disk may do meanwhile


def leaves(value, path=""):
    """The members of a document, by their path."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from leaves(member, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for member in value:
            yield from leaves(member, path + "[]")
    else:
        yield path, value


class Between:
    """A figure that is at least `low` and at most `high`."""

    def __init__(self, low, high):
        self.low, self.high = low, high

    def __eq__(self, value):
        return self.low <= value <= self.high

    def __repr__(self):
        return f"between {self.low} and {self.high}"


class Figures(TidemarkTest):

    proven = {}  # path or name of a sample: where

    def stats(self, server):
        return dict(leaves(server.get("/v1/stats").json()))

    def samples(self, server):
        return {m[1]: float(m[2]) for m in map(SAMPLE.fullmatch, server.get("/metrics").text.splitlines()) if m}

    def check(self, server, **expected):
        """Compares figures of /v1/stats (paths, with __ for dots)."""
        got = self.stats(server)
        for path, value in ((name.replace("__", "."), value) for name, value in expected.items()):
            self.assertEqual(value, got[path], path)
            self.proven[path] = self.id()

    def check_samples(self, server, **expected):
        got = self.samples(server)
        for name, value in expected.items():
            self.assertEqual(value, got[name], name)
            self.proven["/" + name] = self.id()

    def soon(self, server, **expected):
        """The same, once they have come to that: what ends a moment later is counted a moment later."""
        paths = {name.replace("__", "."): value for name, value in expected.items()}
        with contextlib.suppress(AssertionError):
            wait_until(lambda: all(value == (now := self.stats(server))[path] for path, value in paths.items()), "they are right", 20)
        self.check(server, **expected)

    # ---- the log

    def test_what_is_stored(self):
        begun = time.monotonic()
        server = self.serve("--disk-reserve", "1MiB")
        started = time.monotonic()
        spent, longest = 0, 0

        def timed(*arguments, **named):
            nonlocal spent, longest
            start = time.monotonic()
            response = server.post(*arguments, **named)
            took = (time.monotonic() - start) * 1000
            spent, longest = spent + took, max(longest, took)
            return response

        receipt = timed([{"stream": f"s{i % 5}", "id": f"i{i}", "data": i} for i in range(50)]).json()
        timed([{"stream": f"s{i % 5}", "id": f"i{i}", "data": i} for i in range(10)])
        timed([{"stream": "s0", "id": f"i{5 * i}", "data": i} for i in range(3)] + [{"stream": "new", "data": "x" * 100_000}])
        self.assertEqual(timed({"stream": "s0", "data": 1}, expect=9999).status, 409)
        self.assertEqual(timed("[{").status, 400)
        disk = os.statvfs(server.data)
        free = disk.f_bavail * disk.f_frsize
        lineage = server.get("/v1/stats").json()["lineage"]
        self.assertEqual(lineage, [{"epoch": receipt["epoch"], "first": 1}])
        self.proven["lineage[].epoch"] = self.proven["lineage[].first"] = self.id()
        self.check(server, version=command("--version").stdout.split()[-1], epoch=receipt["epoch"], durability="fsync",
                   uptime_ms=Between((time.monotonic() - started) * 1000 - 1, (time.monotonic() - begun) * 1000 + 1000),
                   first=1, head=51, events=51, streams=6, commits__events=51, commits__duplicates=13, commits__failed=0,
                   commits__refused=0, commits__latency_ms__max=Between(0.001, longest), disk__low=False, disk__reason="",
                   disk__reserve=MIB, bytes__disk_free=Between(free - NEAR, free + NEAR), disk__left=Between(free - NEAR, free + NEAR))
        now = self.stats(server)
        # A request without new events, of duplicates or refused, is no commit.
        self.check(server, commits__count=2, commits__latency_ms__mean=Between(0.001, spent / now["commits.count"]),
                   commits__latency_ms__p50=Between(0.001, now["commits.latency_ms.max"]),
                   commits__latency_ms__p99=Between(now["commits.latency_ms.p50"], now["commits.latency_ms.max"]),
                   bytes__db=os.path.getsize(os.path.join(server.data, "tidemark.db")),
                   bytes__wal=os.path.getsize(os.path.join(server.data, "tidemark.db-wal")))
        resident = server.rss()
        self.check(server, memory__rss_bytes=Between(resident / 2, resident * 2))
        self.check_samples(server, resident_bytes=Between(resident / 2, resident * 2), disk_low=0,
                           disk_free_bytes=Between(free - NEAR, free + NEAR), disk_left_bytes=Between(free - NEAR, free + NEAR),
                           uptime_seconds=Between(time.monotonic() - started - 0.001, time.monotonic() - begun + 1))
        self.check_histogram(server, "commit_seconds", now["commits.count"], spent / 1000)
        low = self.serve("--disk-reserve", "1000000GiB")
        self.assertEqual([low.post({"data": 1}).status for _ in range(3)], [507] * 3)
        self.check(low, disk__low=True, commits__refused=3)
        self.check_samples(low, disk_low=1)

    def check_histogram(self, server, name, count, sum_max):
        """So many, none longer than what was waited for all; each bound counts what the one before it does, and more."""
        samples = self.samples(server)
        buckets = [(float(m[1].replace("+Inf", "inf")), samples[key]) for key in samples
                   if (m := re.fullmatch(name + r'_bucket\{le="(.*)"\}', key))]
        self.assertEqual([n for _, n in buckets], sorted(n for _, n in buckets))
        self.assertEqual(buckets[-1], (float("inf"), count))
        self.assertEqual(samples[f"{name}_count"], count)
        self.assertTrue(0 < samples[f"{name}_sum"] <= sum_max, (samples[f"{name}_sum"], sum_max))
        self.assertEqual(max(n for le, n in buckets if le >= sum_max), count)
        for key in samples:
            if key.startswith(name):
                self.proven["/" + key] = self.id()

    def test_rates(self):
        server, stored, begun = self.serve(), 0, time.monotonic()
        while time.monotonic() - begun < 3.5:
            stored += server.publish([{"data": i} for i in range(50)])["count"]
        took = time.monotonic() - begun
        self.check(server, rate__events_1s=Between(1, stored), rate__events_10s=Between(stored / (took + 2) / 2, stored / (took - 2)),
                   rate__events_60s=Between(stored / (took + 2) / 2, stored / (took - 2)))
        time.sleep(2.5)
        self.check(server, rate__events_1s=0)

    def test_archives_and_retention(self):
        server = self.serve("--retain-events", "100", "--retain-age", "10h", "--retain-bytes", "1GiB")
        for _ in range(5):
            server.publish([{"data": i} for i in range(100)])
            wait_until(lambda: server.retention()["log"]["events"] <= 112 and not server.retention()["working"], "the log is within its limit")
        archives = server.get("/v1/archives").json()["archives"]
        kept = server.retention()["log"]["events"]
        size = sum(os.path.getsize(os.path.join(server.data, "archives", a["name"])) for a in archives)
        self.assertGreater(len(archives), 2)
        self.check(server, archives__count=len(archives), archives__bytes=size, retention__sealed=len(archives),
                   retention__left=500 - kept, retention__failed=0, retention__working=False, retention__reason="",
                   retention__events=100, retention__age_ms=36000 * 1000, retention__bytes=1024 * MIB, retention__archive="zstd",
                   retention__log__events=kept, retention__log__first=501 - kept, first=1, events=500,
                   retention__log__bytes=Between(4 * KIB, os.path.getsize(os.path.join(server.data, "tidemark.db")) + MIB))
        with contextlib.ExitStack() as stack:
            os.chmod(os.path.join(server.data, "archives"), 0o700)
            faults = Faults()
            stack.callback(faults.close)
            broken = self.serve("--retain-events", "10", extra=faults.environment)
            faults.arm(SYNC, times=0, place="archives")
            broken.publish([{"data": i} for i in range(100)])
            wait_until(lambda: self.stats(broken)["retention.failed"] > 0, "sealing has failed", 60)
            faults.disarm()
            now = self.stats(broken)
            self.assertIn("archives", now["retention.reason"])
            self.assertEqual(now["retention.sealed"], 0)

    # ---- the queue and the breaker

    def test_the_queue(self):
        server = self.serve()
        server.publish({"data": 0})
        with locked(server.data):
            tasks = [Task(lambda: server.post([{"data": "x" * 1000}] * 4)) for _ in range(6)]
            # Those of the transaction that is being tried are in it no longer.
            wait_until(lambda: self.stats(server)["quotas.queue_events.held"] == 24, "they wait")
            now = self.stats(server)
            self.check(server, queue__events=24, queue__requests=6, quotas__queue_events__held=24,
                       queue__bytes=now["quotas.queue_bytes.held"], quotas__queue_bytes__held=Between(24 * 1000, 24 * 20000),
                       queue__events_max=now["quotas.queue_events.limit"], queue__bytes_max=now["quotas.queue_bytes.limit"],
                       quotas__queue_events__limit=200_000, quotas__queue_bytes__limit=128 * MIB)
        for task in tasks:
            self.assertEqual(task.result().status, 201)
        self.soon(server, queue__events=0, queue__requests=0, queue__bytes=0)

    def test_the_breaker(self):
        faults = Faults()
        self.addCleanup(faults.close)
        server = self.serve("--disk-reserve", "0", extra=faults.environment)
        server.publish({"data": 0})
        self.check(server, breaker__state="closed", breaker__opens=0, breaker__half_opens=0, breaker__closes=0, breaker__failures=0,
                   breaker__reason="")
        self.check_samples(server, **{'breaker_state{state="closed"}': 1, 'breaker_state{state="open"}': 0,
                                      'breaker_state{state="half_open"}': 0})
        faults.arm(SYNC, times=0, place="tidemark.db")
        self.assertEqual(server.post({"data": 1}).status, 503)
        wait_until(lambda: self.stats(server)["breaker.half_opens"] >= 2, "it has been tried")
        refused = [server.post({"data": 1}).status for _ in range(5)]
        now = self.stats(server)
        self.assertEqual(now["commits.refused"] + now["commits.failed"], 6, refused)
        faults.disarm()
        wait_until(lambda: self.stats(server)["breaker.state"] == "closed", "it is closed")
        now = self.stats(server)
        self.check(server, breaker__opens=1, breaker__closes=1, breaker__half_opens=Between(2, now["breaker.half_opens"]),
                   breaker__failures=0, commits__failed=Between(1, 6))

    # ---- readers

    def test_readers(self):
        server = self.serve()
        sockets = [server.live_reader() for _ in range(3)]
        sources = [server.sse() for _ in range(2)]
        poll = Task(lambda: server.history(after="head", wait=30, stream="late"))
        self.soon(server, readers__websocket=3, readers__sse=2, readers__long_poll=1, readers__lag_max=0, delivered=0,
                  quotas__long_requests__held=6)
        begun = time.monotonic()
        server.publish([{"data": i} for i in range(40)])
        for reader in sockets + sources:
            reader.events(40)
        self.check(server, delivered=200)
        self.check_histogram(server, "delivery_seconds", 200, 200 * (time.monotonic() - begun))
        sockets[0].send({"op": "pause"})
        sockets[0].op("replaying")
        server.publish([{"data": i} for i in range(70)])
        for reader in sockets[1:] + sources:
            reader.events(70)
        self.soon(server, readers__lag_max=70, delivered=200 + 4 * 70)
        sockets[0].send({"op": "resume"})
        sockets[0].events(70)
        self.soon(server, readers__lag_max=0, delivered=200 + 5 * 70)
        server.publish({"stream": "late", "data": 1})
        self.assertEqual(len(poll.result()["events"]), 1)
        for reader in sockets + sources:
            reader.event()
        dashboards = [server.dashboard() for _ in range(2)]
        self.check(server, dashboards=2, delivered=200 + 5 * 71, loop_lag_ms=Between(0, 60_000))
        for reader in sockets + sources + dashboards:
            reader.close()
        server.publish({"data": "so that streams notice"})
        self.soon(server, readers__websocket=0, readers__sse=0, readers__long_poll=0, dashboards=0)

    def test_memory_of_readers(self):
        server = self.serve()
        for _ in range(3):
            server.publish([{"data": "x" * 1000}] * 500)
        self.check(server, ring__first=1, ring__pages=Between(3, 12), ring__bytes=Between(1500 * 1000, 1500 * 1300))
        server.restart()
        self.check(server, ring__first=1501, ring__pages=0, ring__bytes=0, cache__bytes=0, cache__loads=0)
        begun = time.monotonic()
        for _ in range(3):
            server.history(limit=100)
        server.lines()
        self.check_histogram(server, "query_seconds", 4 + 0, time.monotonic() - begun)
        socket_ = server.reader(after="first")
        socket_.events(1500)
        # Pages of 512 events or 256 KiB, shared by whoever comes next.
        loads = self.stats(server)["cache.loads"]
        self.check(server, cache__loads=Between(1500 * 1000 // (256 * KIB), 1500), cache__bytes=Between(1500 * 1000, 1500 * 1300))
        server.reader(after="first").events(1500)
        self.check(server, cache__loads=loads)

    def test_sessions(self):
        server = self.serve()
        server.publish([{"stream": f"s{i % 2}", "data": i} for i in range(30)])
        for name, query in (("all", {}), ("half", {"stream": "s1"}), ("some", {"where": "/x=1"})):
            reader = server.reader(session=name, start="first", **query)
            reader.leave()
        server.request("PUT", "/v1/sessions/all", b'{"acked":20}')
        self.check_samples(server, **{"sessions": 3, 'session_lag{session="all"}': 10, 'session_lag{session="half"}': 15,
                                      'session_lag{session="some"}': 0})
        self.check(server, quotas__sessions__held=3, quotas__topics__held=2,
                   quotas__filters__held=len('{"stream":["s1"],"type":[],"pattern":[]}') +
                   len('{"stream":[],"type":[],"pattern":[],"where":["/x=1"]}'))
        reader = server.reader(where=["/a=1", "/b=1"])
        self.check(server, quotas__conditions__held=2)
        reader.leave()
        self.soon(server, quotas__conditions__held=0)

    # ---- connections

    def test_connections(self):
        server = self.serve("--max-connections-per-address", "6", "--rate-limit-client", "10")
        before = self.stats(server)["connections.accepted"]
        wires = [server.wire() for _ in range(3)]
        for wire in wires[:2]:
            wire.send(b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 50000\r\n\r\n[" +
                      b" " * 20000)
        large = server.wire()
        large.send(b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 5000000\r\n\r\n[" +
                   b" " * 300_000)
        self.soon(server, quotas__small_uploads__held=Between(2 * 20000, 2 * 64 * KIB), quotas__uploads__held=Between(300_000, 5_100_000),
                  quotas__requests__held=4, connections__open=5, quotas__connections__held=5, connections__max=18000,
                  quotas__connections__limit=18000)
        self.assertGreaterEqual(self.stats(server)["connections.accepted"], before + 4)
        self.proven["connections.accepted"] = self.id()
        more = [server.wire() for _ in range(4)]
        wait_until(lambda: any(self.closed(wire) for wire in more), "one too many is refused")
        for wire in [*wires, *more, large]:
            wire.close()
        wait_until(lambda: self.stats(server)["connections.open"] == 1, "all have gone")
        refused = self.stats(server)["connections.refused"]
        self.assertGreater(refused, 0)
        self.proven["connections.refused"] = self.id()
        statuses = [server.post({"data": i}).status for i in range(40)]
        self.check(server, rate_limited=statuses.count(429), commits__events=statuses.count(201))
        self.assertGreater(statuses.count(429), 0)
        accepted = self.samples(server)["connections_accepted_total"]
        self.check_samples(server, connections=1, connections_accepted_total=accepted + 1)

    def test_answers_that_are_not_read(self):
        server = self.serve("--ack-memory", "1MiB", "--ping-interval", "1h")
        publisher = server.ingest(receive_buffer=4096)
        publisher.answer_pings = False
        publisher.wire.sock.settimeout(0.2)
        block, at = frame(TEXT, b'{"type":"x"}') * 1000, 0
        while (held := self.stats(server)["quotas.acks.held"]) == 0:
            with contextlib.suppress(TimeoutError):
                for _ in range(100):
                    at = (at + publisher.wire.sock.send(block[at:])) % len(block)
        self.assertLessEqual(held, MIB)
        self.check(server, quotas__acks__limit=MIB)
        publisher.wire.sock.close()
        self.soon(server, quotas__acks__held=0)

    @staticmethod
    def closed(wire):
        wire.sock.settimeout(0.05)
        try:
            return wire.sock.recv(1000) != b""
        except OSError:
            return False

    def test_access(self):
        path = os.path.join(self.prepare().home, "tokens")
        tokens = {scope: command("token", "add", scope, "--tokens", path, "--scope", scope, *more).stdout.strip()
                  for scope, more in (("publish", ["--stream", "mine"]), ("read", []), ("admin", []))}
        server = self.serve("--tokens", path, "--allow-host", "example.org")

        def ask(token, method="GET", path="/v1/stats", body=None, **headers):
            return server.request(method, path, body, {"Authorization": f"Bearer {token}", **headers})

        def denied():
            return ask(tokens["read"]).json()["access"]

        self.assertEqual(denied()["tokens"], 3)
        for _ in range(4):
            ask("td_wrong")
        for _ in range(3):
            ask(tokens["publish"])
        for _ in range(2):
            ask(tokens["publish"], "POST", "/v1/events", b'{"stream":"other","data":1}', **{"Content-Type": JSON})
        ask(tokens["publish"], "POST", "/v1/events", b'{"stream":"mine","data":1}', **{"Content-Type": JSON, "Origin": "http://evil.example"})
        ask(tokens["read"], Host="evil.example")
        self.assertEqual(denied()["denied"], {"token": 4, "scope": 3, "stream": 2, "origin": 1, "host": 1})
        text = server.request("GET", "/metrics", headers={"Authorization": f"Bearer {tokens['read']}"}).text
        for reason, count in (("token", 4), ("scope", 3), ("stream", 2), ("origin", 1), ("host", 1)):
            self.assertIn(f'tidemark_denied_total{{reason="{reason}"}} {count}\n', text)
            self.proven[f"access.denied.{reason}"] = self.proven[f'/denied_total{{reason="{reason}"}}'] = self.id()
        self.proven["access.tokens"] = self.id()

    # ---- all of them

    def test_zz_nothing_is_unproven(self):
        """Runs the others where it runs alone."""
        for name in dir(self):
            if name.startswith("test_") and name != self._testMethodName and not any(where.endswith(name) for where in self.proven.values()):
                getattr(self, name)()
        server = self.serve()
        server.publish({"data": 1})
        server.reader(session="all", start="first").leave()
        wait_until(lambda: self.stats(server)["readers.websocket"] == 0, "the reader has left")
        elsewhere = [pattern for pattern in ELSEWHERE if self.is_told(pattern)]
        self.assertEqual(set(ELSEWHERE) - set(elsewhere), set(), "the test that is named does not speak of it")
        limits = {path: value for path, value in self.stats(server).items() if re.fullmatch(r"quotas\.\w+\.limit", path)}
        self.assertTrue(all(value > 0 for value in limits.values()))
        unproven = [path for path in self.stats(server) if path not in self.proven and path not in limits and
                    not any(fnmatch.fnmatch(path, pattern) for pattern in ELSEWHERE)]
        self.assertEqual(unproven, [], "figures of /v1/stats")
        stats, samples = self.stats(server), self.samples(server)
        self.assertEqual(samples.pop(f'build_info{{version="{stats["version"]}",epoch="{stats["epoch"]}"}}'), 1)
        for name, path in SAME.items():
            if path not in ("bytes.wal", "cache.loads"):
                self.assertEqual(samples[name], stats[path], name)
        quota = re.compile(r'quota_(held|limit|refused_total)\{kind="(\w+)"(?:,why="(\w+)")?\}')
        for name, value in samples.items():
            if (found := quota.fullmatch(name)) and found[2] not in ("requests", "connections"):
                path = f"quotas.{found[2]}." + (f"refused.{found[3]}" if found[3] else found[1])
                self.assertEqual(value, stats[path], name)
        unproven = [name for name in samples if "/" + name not in self.proven and name not in SAME and not quota.fullmatch(name) and
                    name not in ("clock_behind_seconds",)]
        self.assertEqual(unproven, [], "samples of /metrics")

    def is_told(self, pattern):
        """Does the test that proves it name the figure?"""
        root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        with open(os.path.join(root, ELSEWHERE[pattern]), encoding="utf-8") as file:
            text = file.read().lower()
        names = [part for part in re.split(r"[.*]+", pattern) if part and part not in ("quotas", "held")]
        return names[-1] in text


if __name__ == "__main__":
    unittest.main()
