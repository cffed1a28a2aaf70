"""GET /api/cache-metrics: what the caches of the monitored services did, counted from their events."""

import time
import unittest

from case import TidemarkTest
from load import memory, scaled
from text import NDJSON, TIME, ndjson
from waiting import in_parallel

RAW = {"seq", "timestamp", "operation_type", "implementation_type", "cache_key", "response_time_ms", "cache_size", "error_type",
       "error_message", "metadata"}
ROW = {"implementation_type", "total_operations", "hits", "misses", "sets", "evictions", "errors", "avg_response_time_ms",
       "p50_response_time_ms", "p95_response_time_ms", "p99_response_time_ms", "max_response_time_ms", "avg_cache_size",
       "max_cache_size", "hit_rate"}
SUMMARY = {"total_records", "time_range_hours", "aggregation", "implementation_type", "complete", "since"}
TOTALS = {"total_operations", "total_hits", "total_misses", "overall_hit_rate", "avg_response_time_ms"}


def op(function="get", service="redis", response=None, direction="receive", error=None, **metadata):
    return {"connection_type": service, "function_name": function, "direction": direction, "response_time_ms": response,
            "error": error, "metadata": metadata}


class CacheMetrics(TidemarkTest):
    def report(self, server, **query):
        response = server.get("/api/cache-metrics", **query)
        self.assertEqual(response.status, 200, response)
        document = response.json()
        self.assertEqual(set(document), {"metrics", "summary", "timestamp"})
        self.assertRegex(document["timestamp"], f"^{TIME}$")
        return document["metrics"], document["summary"]

    def kinds(self, server):
        return [row["operation_type"] for row in self.report(server, aggregation="raw")[0]][::-1]

    def test_nothing_happened(self):
        rows, summary = self.report(self.serve())
        self.assertEqual((rows, set(summary)), ([], SUMMARY))
        self.assertEqual([summary[name] for name in ("total_records", "time_range_hours", "aggregation", "implementation_type",
                                                     "complete")], [0, 24, "1min", "all", True])

    def test_what_is_an_operation(self):
        server = self.serve()
        mapped = [
            (op(key="k", hit=True), "hit"), (op(key="k", hit=False), "miss"), (op(service="kimi", cache_hit=True), "hit"),
            (op("set", key="k"), "set"), (op("x", key="k", operation="SETEX", ttl=60), "set"), (op("cache_put", key="k"), "set"),
            (op("redis.delete", key="k"), "evict"), (op("x", key="k", operation="evict"), "evict"),
            (op("set", key="k", hit=True), "set"), (op("x", key="k", operation="miss"), "miss"),
            (op(key="k", hit=False, direction="error", error="gone"), "error"), (op("set", key="k", error="gone"), "error"),
            ({"connection_type": "redis", "function": "get", "cache_key": "k", "hit": True}, "hit"),  # beside the metadata
        ]
        others = [op(), op("set"), op("get", key="k"), op(hit="yes"), op(key=""), op(key=7), op("x", key="k"),
                  op(direction="error", error="boom"), {"stream": "elsewhere", "data": op(key="k", hit=True)},
                  {"stream": "redis", "data": 5}]
        server.publish([event for event, _ in mapped] + others)
        self.assertEqual(self.kinds(server), [kind for _, kind in mapped])

    def test_a_raw_row(self):
        server = self.serve()
        server.publish([op("get", response=1.5, key="a<\u00e9", hit=True, cache_size=12, implementation_type="new"),
                        op("get", key="b", direction="error", error="boom", error_type="Timeout", slow=True)])
        rows, summary = self.report(server, aggregation="raw")
        self.assertEqual(set(summary), SUMMARY)
        for row in rows:
            self.assertEqual(set(row), RAW)
            self.assertEqual(row["timestamp"], server.event(row["seq"])["time"])
        second, first = rows
        self.assertEqual([first[name] for name in ("seq", "cache_key", "operation_type", "implementation_type", "response_time_ms",
                                                   "cache_size", "error_type", "error_message")],
                         [1, "a<\u00e9", "hit", "new", 1.5, 12, None, None])
        self.assertEqual([second[name] for name in ("seq", "implementation_type", "response_time_ms", "error_type",
                                                    "error_message")], [2, "legacy", None, "Timeout", "boom"])
        self.assertEqual(second["metadata"], {"key": "b", "error_type": "Timeout", "slow": True})

    def test_a_window(self):
        server = self.serve()
        if time.time() % 60 > 55:
            time.sleep(6)  # all within one minute
        server.publish([op(response=n, key="k", hit=n % 4 != 0, cache_size=n) for n in range(1, 101)])
        server.publish([op("set", key="k"), op("evict", key="k"), op(key="k", error="e"),
                        op(response=7, key="k", hit=True, implementation_type="new")])
        for aggregation, name, seconds in (("1min", "minute_window", 60), ("1hour", "hour_window", 3600)):
            rows, summary = self.report(server, aggregation=aggregation)
            self.assertEqual(set(summary), SUMMARY | TOTALS)
            old, new = rows
            self.assertEqual(set(old), ROW | {name})
            self.assertEqual([old[k] for k in ("implementation_type", "total_operations", "hits", "misses", "sets", "evictions",
                                               "errors")], ["legacy", 103, 75, 25, 1, 1, 1])
            self.assertEqual([old[f"{k}_response_time_ms"] for k in ("avg", "p50", "p95", "p99", "max")], [50.5, 51, 96, 100, 100])
            self.assertEqual([old[k] for k in ("avg_cache_size", "max_cache_size", "hit_rate")], [50.5, 100, 75])
            self.assertEqual((new["implementation_type"], new["hits"], new["hit_rate"]), ("new", 1, 100))
            self.assertEqual(old[name], time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() // seconds * seconds)))
            self.assertEqual([summary[k] for k in ("total_records", "total_operations", "total_hits", "total_misses",
                                                   "overall_hit_rate", "avg_response_time_ms")],
                             [2, 104, 76, 25, 75.25, round((5050 + 7) / 101, 3)])
        rows, summary = self.report(server, implementation_type="new")
        self.assertEqual(([row["total_operations"] for row in rows], summary["implementation_type"]), ([1], "new"))
        self.assertEqual(len(self.report(server, implementation_type="legacy", aggregation="raw", time_range=1)[0]), 103)

    def test_a_thousand_rows_the_newest(self):
        server = self.serve()
        for _ in range(3):
            server.publish([op(key="k", hit=True)] * 500)
        rows, summary = self.report(server, aggregation="raw")
        self.assertEqual([row["seq"] for row in rows], list(range(1500, 500, -1)))
        self.assertEqual((summary["total_records"], summary["complete"], summary["since"]), (1000, False, server.event(500)["time"]))

    def test_reports_are_bounded(self):
        server = self.serve()
        wide = [op(key="k", hit=True, note="x" * 100000) for _ in range(10)]
        for _ in range(30):
            server.publish(wide)
        server.post(ndjson(op(key="k", response=n % 100) for n in range(scaled(40000, 5000))), NDJSON)
        before = server.rss()
        reports = in_parallel([lambda: self.report(server, aggregation="raw")] * 4 + [lambda: self.report(server)] * 4)
        self.assertFalse(reports[0][1]["complete"])
        self.assertEqual(reports[4][1]["total_hits"], 300)
        self.assertLess(server.rss() - before, memory(192))
        rows = reports[0][0]
        self.assertLess(sum(len(row["metadata"]["note"]) for row in rows), 17 << 20)

    def test_after_a_kill(self):
        server = self.serve()
        server.publish([op(key="k", hit=n % 2 == 0, response=n) for n in range(50)])
        before = self.report(server, aggregation="1hour")[0]
        server.kill()
        server.start()
        self.assertEqual(self.report(server, aggregation="1hour")[0], before)

    def test_a_bad_question(self):
        server = self.serve()
        for query in ({"time_range": 0}, {"time_range": "x"}, {"time_range": 99999}, {"aggregation": "1day"},
                      {"implementation_type": "best"}, {"nope": 1}):
            response = server.get("/api/cache-metrics", **query)
            self.assertEqual(response.status, 400, query)
            document = response.json()
            self.assertEqual(set(document), {"error", "metrics", "summary", "timestamp"})
            self.assertEqual((document["metrics"], document["summary"]), ([], {}))


if __name__ == "__main__":
    unittest.main()
