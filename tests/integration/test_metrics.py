#!/usr/bin/env python3
"""/metrics is what Prometheus reads, and says what /v1/stats says."""

import re
import unittest

from case import TidemarkTest

SAMPLE = re.compile(r'(tidemark_[a-z0-9_]+)(\{[a-z_]+="[^"\\\n]*"(?:,[a-z_]+="[^"\\\n]*")*\})? (-?[0-9.e+]+)')


class Metrics(TidemarkTest):

    def scrape(self, server):
        """All samples; each family has its help and its type before it, once."""
        response = server.get("/metrics")
        self.assertEqual(response.status, 200)
        self.assertEqual(response.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
        self.assertTrue(response.text.endswith("\n"))
        samples, families, kind = {}, set(), None
        for line in response.text.splitlines():
            if line.startswith("# HELP "):
                family = line.split()[2]
                self.assertNotIn(family, families)
                families.add(family)
            elif line.startswith("# TYPE "):
                self.assertEqual(line.split()[2], family)
                kind = line.split()[3]
                self.assertIn(kind, ("counter", "gauge", "histogram"))
                self.assertEqual(kind == "counter", family.endswith("_total"), family)
            else:
                found = SAMPLE.fullmatch(line)
                self.assertTrue(found, line)
                self.assertTrue(found[1] == family or kind == "histogram" and found[1].startswith(family), line)
                samples[found[1] + (found[2] or "")] = float(found[3])
        return samples

    def test_figures_are_those_of_stats(self):
        server = self.serve()
        server.publish([{"stream": f"s{i % 3}", "id": f"i{i}", "data": i} for i in range(50)])
        server.publish([{"stream": "s0", "id": "i0", "data": 0}])
        server.live_reader()
        server.get("/v1/nothing")
        stats, samples = server.get("/v1/stats").json(), self.scrape(server)
        for name, value in (("head_seq", stats["head"]), ("streams", stats["streams"]), ("duplicates_total", 1),
                            ("events_committed_total", 50), ('breaker_state{state="closed"}', 1), ('breaker_state{state="open"}', 0),
                            ('readers{kind="websocket"}', 1), ("queue_events", 0), ("archives", 0),
                            ("tls_connections", 0), ('denied_total{reason="host"}', 0)):
            self.assertEqual(samples["tidemark_" + name], value, name)
        self.assertEqual(samples[f'tidemark_build_info{{version="{stats["version"]}",epoch="{stats["epoch"]}"}}'], 1)
        self.assertGreater(samples["tidemark_resident_bytes"], 1e6)

    def test_commits_are_those_of_events(self):
        """What health tries, what is saved, and repetitions are none."""
        server = self.serve()
        for _ in range(3):
            server.publish([{"id": "1", "data": 1}])
        server.publish([{"data": 2}])
        self.assertEqual(server.get("/health").status, 200)
        samples = self.scrape(server)
        for name in ("commits_total", "commit_seconds_count"):
            self.assertEqual(samples["tidemark_" + name], 2, name)
        self.assertEqual(server.get("/v1/stats").json()["commits"]["count"], 2)

    def test_it_takes_no_parameters(self):
        self.assert_problem(self.serve().get("/metrics", x=1), 400)


if __name__ == "__main__":
    unittest.main()
