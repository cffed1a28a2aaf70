#!/usr/bin/env python3
"""Below the disk's reserve: no events are taken; reads, sessions and stopping go on.

Shown to fail without the protection: with check_disk in writer.c finding room, publishing goes on; with RETRY_SPREAD_S 1
(problem.c) all that are refused are told to come back after the same time.
"""

import unittest

from case import TidemarkTest
from text import seqs

RESERVE = ("--disk-reserve", "4000000GiB")  # more than any disk has


class LowDisk(TidemarkTest):

    def setUp(self):
        self.server = self.serve()
        self.server.publish([{"data": i} for i in range(10)])
        self.put("old", 2)
        self.put("gone", 2)
        self.server.stop()
        self.server.start(*RESERVE)

    def put(self, name, acked):
        return self.server.request("PUT", f"/v1/sessions/{name}", '{"acked":%d}' % acked)

    def acked(self, name):
        response = self.server.get(f"/v1/sessions/{name}")
        return response.json()["acked"] if response.status == 200 else None

    def crash(self):
        self.server.kill()
        self.server.start()

    def test_publishing_is_refused_and_reading_is_not(self):
        self.assert_problem(self.server.post('{"data":1}'), 507, "reserve")
        self.assertEqual(len(self.server.everything()), 10)
        self.assert_problem(self.server.get("/readyz"), 503, "reserve")

    def test_it_is_counted_and_told_everywhere(self):
        """Shown to fail without the protection: without count_low (writer.c) only /readyz knows."""
        for _ in range(5):
            self.assertEqual(self.server.post('{"data":1}').status, 507)
        self.assertEqual(self.server.get("/readyz").status, 503)
        stats = self.server.get("/v1/stats").json()
        self.assertEqual((stats["commits"]["refused"], stats["disk"]["low"]), (5, True))
        self.assertIn("reserve", stats["disk"]["reason"])
        metrics = self.server.get("/metrics").text
        self.assertIn("\ntidemark_publish_refused_total 5\n", metrics)
        self.assertIn("\ntidemark_disk_low 1\n", metrics)
        self.assertIn("reserve", self.server.get("/health").json()["components"]["disk"]["message"])
        told = [line for line in self.server.log if "publishing is refused" in line]
        self.assertEqual(len(told), 1, "once a minute")
        self.assertIn("reserve", told[0])

    def test_who_is_refused_is_told_to_come_back_at_various_times(self):
        waits = {int(self.server.post('{"data":1}').headers["retry-after"]) for _ in range(40)}
        self.assertLessEqual(waits, set(range(5, 10)))
        self.assertGreater(len(waits), 1, "a herd must not come back at once")

    def test_a_session_moves_durably(self):
        self.assertEqual(self.put("old", 7).status, 200)
        self.assertEqual(self.put("new", 3).status, 200)
        self.assertEqual(self.server.request("DELETE", "/v1/sessions/gone").status, 204)
        self.crash()
        self.assertEqual([self.acked(name) for name in ("old", "new", "gone")], [7, 3, None])

    def test_an_ack_is_durable_at_a_clean_close(self):
        reader = self.server.reader(session="old")
        self.assertEqual(seqs(reader.events(8)), list(range(3, 11)))
        reader.send({"op": "ack", "seq": 9})
        reader.leave()
        self.crash()
        self.assertEqual(self.acked("old"), 9)

    def test_it_stops_with_an_ack_on_its_way(self):
        reader = self.server.reader(session="old", after=5)
        reader.send({"op": "ack", "seq": 5})
        reader.ping()  # the ack was read
        self.server.stop()
        self.server.start()
        self.assertEqual(self.acked("old"), 5)


if __name__ == "__main__":
    unittest.main()
