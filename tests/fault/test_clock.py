#!/usr/bin/env python3
"""The wall clock jumps by hours, back and forth: `time` never decreases, what waits for a time goes on waiting by a clock that does
not jump, and so does retention by age; that times stand still is said.

Shown to fail without the protection: without the rule in store_begin that a commit is not older than the one before it, the
first test; with CLOCK_REALTIME in place of CLOCK_MONOTONIC (clock.c) the second; with CLOCK_REALTIME in place of CLOCK_BOOTTIME (clock.c)
a jump ahead removes what is young; with age_clock_seek (age_clock.c) asking history_seek_time alone, what came after a jump is
never removed; with sessions_expire asking for the wall clock, sessions never expire once it was set back; without
look_at_clock (archiver.c) nobody is told.
"""

import time
import unittest

from case import TidemarkTest
from command import command
from faults import Faults
from text import seqs
from waiting import Task, wait_until

HOUR = 3600 * 1000
YEAR = 365 * 24 * HOUR
JUMPS = (3 * HOUR, -5 * HOUR, 0, 26 * HOUR, -26 * HOUR, 365 * 24 * HOUR, 0)


class Clock(TidemarkTest):

    def begin(self, *options):
        self.faults = Faults()
        self.addCleanup(self.faults.close)
        self.server = self.serve(*options, extra=self.faults.environment)

    def test_time_never_decreases(self):
        self.begin("--ring", "1MiB")
        reader = self.server.live_reader()
        count = 0
        for jump in JUMPS:
            self.faults.set_clock(jump)
            for _ in range(3):
                count = self.server.publish([{"data": jump}] * 2)["last"]
            self.server.restart("--ring", "1MiB")  # also from what is stored
            count = self.server.publish([{"data": "again"}])["last"]
        self.assertEqual(seqs(reader.events(6)), list(range(1, 7)))
        events = self.server.everything()
        self.assertEqual(seqs(events), list(range(1, count + 1)))
        times = [event["time"] for event in events]
        self.assertEqual(times, sorted(times))
        self.assertGreater(len(set(time[:13] for time in times)), 2, "it jumped")
        # Positions by time are found all the same.
        middle = times[len(times) // 2]
        self.assertEqual(seqs(self.server.history(since=middle)["events"]),
                         [e["seq"] for e in events if e["time"] >= middle])
        self.server.stop()
        self.assertEqual(command("verify", self.server.data).returncode, 0)

    def test_a_time_that_cannot_be_written_is_refused(self):
        """Shown to fail without the protection: the times read 0000-…, and nothing of that can be sealed."""
        self.begin()
        stored = self.server.publish({"data": "before"})["last"]
        self.faults.set_clock(8100 * 365 * 24 * HOUR)
        self.assert_problem(self.server.post('{"data":1}'), 503, "9999")
        wait_until(lambda: "9999" in self.server.get("/readyz").text, "the server says why")
        self.assertEqual(self.server.get("/readyz").status, 503)
        self.faults.set_clock(0)
        wait_until(lambda: self.server.post('{"data":"after"}').status == 201, "it goes on by itself")
        self.assertEqual(seqs(self.server.everything()), [stored, stored + 1])

    def clock(self):
        return self.server.get("/v1/stats").json()["clock"]

    def jump(self, milliseconds):
        """Sets the clock, and waits until retention has seen that and has looked at ages by it."""
        for offset in (milliseconds, milliseconds + HOUR, milliseconds):
            jumps = self.clock()["jumps"]
            self.faults.set_clock(offset)
            wait_until(lambda before=jumps: self.clock()["jumps"] > before, "the jump is counted")

    def test_a_clock_that_was_ahead_is_said(self):
        self.begin()
        self.server.publish({"data": 1})
        self.jump(YEAR)
        self.server.publish({"data": 2})
        wait_until(lambda: "the clock was set" in self.server.log_text(), "the log says so")
        self.assertEqual(self.clock()["behind_ms"], 0)
        self.assertEqual(self.server.get("/health").json()["components"]["clock"]["status"], "healthy")
        self.faults.set_clock(0)
        wait_until(lambda: self.clock()["behind_ms"] > YEAR - HOUR, "it says by how much it is behind")
        self.assertEqual(self.server.log_text().count("the clock is behind the newest event"), 1)
        self.assertRegex(self.server.get("/metrics").text, r"(?m)^tidemark_clock_behind_seconds 3\d{7}(\.\d+)?$")
        health = self.server.get("/health")
        self.assertEqual((health.status, health.json()["components"]["clock"]["status"]), (503, "degraded"))
        self.assertEqual(self.server.get("/health/ready").status, 200)
        self.server.restart()
        wait_until(lambda: self.clock()["behind_ms"] > YEAR - HOUR, "it says so again after a start")
        self.faults.set_clock(YEAR)
        self.server.publish({"data": 3})
        wait_until(lambda: self.clock()["behind_ms"] == 0, "it has caught up")
        wait_until(lambda: "has caught up" in self.server.log_text(), "the log says so")

    def test_a_jump_ahead_removes_nothing_that_is_young(self):
        options = ("--retain-age", "1h", "--retain-stream", "short=30m", "--archive", "none")
        self.begin(*options)
        self.server.publish([{"stream": stream, "data": i} for i in range(10) for stream in ("short", "long")])
        self.jump(YEAR)
        self.server.publish([{"stream": "short", "data": i} for i in range(10)])
        self.assertEqual(len(self.server.everything()), 30)
        self.server.restart()
        self.jump(2 * YEAR)
        self.assertEqual(len(self.server.everything()), 30)
        self.jump(-YEAR)
        self.assertEqual(len(self.server.everything()), 30)

    def test_what_came_while_times_stand_still_is_removed_at_its_age(self):
        for archive in ("none", "zstd"):
            with self.subTest(archive):
                self.begin("--retain-age", "2s", "--archive", archive)
                self.faults.set_clock(YEAR)
                self.server.publish({"data": "ahead"})
                self.faults.set_clock(0)
                last = self.server.publish([{"data": i} for i in range(10)])["last"]
                wait_until(lambda last=last: self.server.retention()["log"]["first"] == last, "only the newest event stays")
                last = self.server.publish([{"data": i} for i in range(10)])["last"]
                wait_until(lambda last=last: self.server.retention()["log"]["first"] == last, "and so it goes on")
                self.server.restart()
                last = self.server.publish([{"data": i} for i in range(10)])["last"]
                wait_until(lambda last=last: self.server.retention()["log"]["first"] == last, "also after a start")

    def test_sessions_expire_though_the_clock_was_set_back(self):
        self.begin("--session-expiry", "1s")
        self.server.live_reader(session="a").leave()
        self.faults.set_clock(-YEAR)
        wait_until(lambda: self.server.get("/v1/sessions/a").status == 404, "it has expired")

    def test_timers_go_on(self):
        self.begin("--ping-interval", "1s", "--lease-timeout", "2s", "--handshake-timeout", "1s")
        for jump in (6 * HOUR, -6 * HOUR, 0):
            with self.subTest(jump):
                idle = self.server.live_reader(stream="nothing")
                pinged = Task(self.pinged, idle)
                stream = self.server.sse(after="head")
                began = time.monotonic()
                poll = Task(self.server.history, after="head", wait=2)
                time.sleep(0.2)
                self.faults.set_clock(jump)
                self.assertEqual(poll.result()["events"], [])
                self.assertGreater(time.monotonic() - began, 1.5, "the poll waits as long as it was to")
                self.assertLess(time.monotonic() - began, 10)
                reader = self.server.live_reader(session=f"s{jump}")
                lease = self.server.request("POST", "/v1/leases", '{"name":"kimi","holder":"h"}')
                self.assertEqual(lease.status, 201, lease)
                last = self.server.publish([{"data": jump}])["last"]
                self.assertEqual(reader.event()["seq"], last)
                self.assertEqual(stream.event()["seq"], last)
                reader.send({"op": "ack", "seq": last})
                wait_until(lambda: self.acked(f"s{jump}") == last, "it is acknowledged", 5)
                reader.leave()
                pinged.result(10)
                wait_until(lambda: self.leases() == 0, "the lease that is not renewed is taken back", 20)
                silent = self.server.wire()
                self.assertFalse(silent.more(time.monotonic() + 10), "who says nothing is closed")
                idle.close()

    def pinged(self, socket):
        """Reads until it was pinged over the jump."""
        end = time.monotonic() + 8
        while len(socket.pings) < 3:
            socket.silent(end - time.monotonic())

    def acked(self, name):
        return self.server.get(f"/v1/sessions/{name}").json()["acked"]

    def leases(self):
        return len(self.server.get("/v1/leases").json()["leases"])


if __name__ == "__main__":
    unittest.main()
