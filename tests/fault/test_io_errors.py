#!/usr/bin/env python3
"""Files that cannot be written, synced, read or found any more: publishing is refused with a reason, reading goes on, the breaker opens,
probes and closes; and publishing resumes without a restart once the files work again.

Shown to fail without the protection: with the result of COMMIT not looked at (store.c) what a failed sync left is acknowledged;
with open_breaker leaving it closed the state; with place_check answering 0 a directory that was moved away is written on; with
RETRY_SPREAD_S 1 (problem.c) all publishers are told to come back after the same time; with SQLITE_FULL taken for any other
failure (code_of), EDQUOT for no full disk (sys_err), or ended answering what SQLite says (shim.c), publishers are told 503;
without half-open being set or counted (writer.c), or named in /metrics, nobody is told of it; with neither the result of a step
nor a hole looked at (walk, history.c) reads are answered 200 without their events; without what shim_read makes of an EIO they
are told that the database is malformed.
"""

import contextlib
import errno
import json
import os
import re
import signal
import sqlite3
import unittest

from case import TidemarkTest
from command import command
from faults import CHANGES, MMAP, OPEN, READ, RENAME, SYNC, TRUNCATE, WRITE, Faults
from text import seqs
from waiting import wait_until

CHANGING = WRITE | SYNC | TRUNCATE
ERRORS = ((errno.EIO, "I/O error", 503), (errno.ENOSPC, "disk full", 507), (errno.EROFS, "read-only", 503),
          (errno.EDQUOT, "quota", 507))


class IoErrors(TidemarkTest):

    def begin(self, *options):
        self.faults = Faults()
        self.addCleanup(self.faults.close)
        self.server = self.serve("--disk-reserve", "0", *options, extra=self.faults.environment)
        self.reader = self.server.live_reader()
        self.accepted = self.server.publish([{"data": i} for i in range(20)])["last"]
        self.seen = seqs(self.reader.events(self.accepted))

    def breaker(self):
        return self.server.get("/v1/stats").json()["breaker"]

    def refusal(self):
        """The answer to one more request, where it is refused."""
        response = self.server.post({"data": "x" * 5000})
        if response.status == 201:
            self.accepted = response.json()["last"]
            return None
        return response

    def breaker_metrics(self):
        """The same, as Prometheus is told: the states that are 1, and how often it went into each."""
        text = self.server.get("/metrics").text
        states = re.findall(r'^tidemark_breaker_state\{state="(\w+)"\} 1$', text, re.MULTILINE)
        return states, {to: int(count) for to, count in
                        re.findall(r'^tidemark_breaker_transitions_total\{to="(\w+)"\} (\d+)$', text, re.MULTILINE)}

    def assert_breaker(self, state, **transitions):
        """As it is told at both places."""
        told = self.breaker()
        self.assertEqual((told["state"], told["opens"], told["half_opens"], told["closes"]), (state, *transitions.values()))
        self.assertEqual(self.breaker_metrics(), ([state], transitions))

    def assert_refused_and_reading(self, status):
        before = self.breaker()
        self.assert_problem(wait_until(self.refusal, "publishing is refused"), status)
        self.assertEqual(self.breaker()["state"] in ("open", "half_open"), True)
        self.assertEqual(self.server.get("/readyz").status, 503)
        self.assertEqual(self.server.get("/healthz").status, 200)
        self.assertEqual(seqs(self.server.everything()), list(range(1, self.accepted + 1)))
        wait_until(lambda: self.breaker()["half_opens"] > before["half_opens"] + 1, "it is probed, and was before")
        self.assert_problem(self.refusal(), status)  # the probe's reason
        # Nothing that was refused was delivered.
        self.reader.send({"op": "ping"})
        self.seen += seqs(self.reader.events(self.accepted - len(self.seen)))
        self.assertEqual(self.reader.receive()["op"], "pong")

    def assert_resumes(self):
        before = self.accepted
        wait_until(lambda: self.refusal() is None, "publishing resumes")
        self.assertEqual(self.accepted, before + 1)
        self.assertEqual(self.server.get("/readyz").status, 200)
        self.assertEqual(self.breaker()["state"], "closed")
        self.seen += seqs(self.reader.events(1))
        self.assertEqual(self.seen, list(range(1, self.accepted + 1)))
        self.assertEqual(seqs(self.server.everything()), self.seen)

    def end(self):
        self.server.stop()
        self.assertEqual(command("verify", self.server.data).returncode, 0)
        self.server.start()
        self.assertEqual(self.server.head(), self.accepted)

    def test_the_write_ahead_log(self):
        self.begin()
        for error, name, status in ERRORS:
            with self.subTest(name):
                self.faults.arm(CHANGING, times=0, error=error, place="tidemark.db-wal")
                self.assert_refused_and_reading(status)
                self.assertGreater(self.faults.disarm(), 0)
                self.assert_resumes()
        self.end()

    def test_only_the_sync(self):
        self.begin()
        for error, _, status in ERRORS:
            self.faults.arm(SYNC, times=0, error=error, place="tidemark.db")
            self.assert_refused_and_reading(status)
            waits = {int(self.refusal().headers["retry-after"]) for _ in range(40)}
            self.assertLessEqual(waits, set(range(1, 6) if status == 503 else range(5, 10)))
            self.assertGreater(len(waits), 1, "a herd must not come back at once")
            self.assertGreater(self.faults.disarm(), 0)
            self.assert_resumes()
        self.end()

    def test_each_state_of_the_breaker_is_told(self):
        """Half-open is for as long as a probe takes: here it waits for another program, which has the database locked."""
        self.begin()
        self.assert_breaker("closed", open=0, half_open=0, closed=0)
        self.faults.arm(SYNC, times=0, place="tidemark.db")
        wait_until(self.refusal, "publishing is refused")
        wait_until(lambda: self.breaker_metrics()[0] == ["open"] and self.breaker()["state"] == "open", "it is open")
        self.assertEqual(self.breaker_metrics()[1]["open"], 1)
        self.assertGreater(self.breaker()["failures"], 0)
        self.assertIn("tidemark.db-wal: Input/output error", self.breaker()["reason"])
        with contextlib.closing(sqlite3.connect(os.path.join(self.server.data, "tidemark.db"), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            self.faults.disarm()
            tries = self.breaker()["half_opens"] + 1  # what is being tried by now may still fail
            wait_until(lambda: self.breaker()["half_opens"] == tries, "it is tried again")
            self.assert_breaker("half_open", open=1, half_open=tries, closed=0)
            self.assert_problem(self.server.post({"data": 1}), 503)
            other.execute("ROLLBACK")
            wait_until(lambda: self.breaker()["state"] == "closed", "it is closed")
            self.assert_breaker("closed", open=1, half_open=tries, closed=1)
        self.assertEqual((self.breaker()["failures"], self.breaker()["reason"]), (0, ""))
        self.assert_resumes()
        self.end()

    def test_the_database(self):
        """What is committed is in the write-ahead log: only writing it back fails."""
        self.begin()
        for error, name, status in ERRORS:
            with self.subTest(name):
                self.faults.arm(CHANGING, times=0, error=error, place="tidemark.db")
                self.assert_refused_and_reading(status)
                self.assertGreater(self.faults.disarm(), 0)
                self.assert_resumes()
        self.end()

    def test_health_knows_what_cannot_be_written_back(self):
        """Commits go on, into a log that only grows. Shown to fail where only the breaker is asked (store_unhealthy)."""
        self.begin()
        storage = lambda: self.server.get("/health").json()["components"]["storage"]
        self.faults.arm(WRITE, times=0, place="tidemark.db$")
        self.assertEqual(self.server.request("POST", "/metrics/flush").status, 503)
        wait_until(lambda: self.server.post({"data": 1}).status == 201, "commits work")
        told = wait_until(lambda: (s := storage())["status"] == "degraded" and s, "health says so")
        self.assertIn("writing the log back", told["error"])
        self.assertNotIn(self.server.data, told["error"])
        self.assertEqual(self.server.get("/health").json()["status"], "degraded")
        self.faults.disarm()
        wait_until(lambda: storage()["status"] == "healthy", "it is written back")

    def test_the_index_of_the_write_ahead_log(self):
        self.begin()
        self.faults.arm(OPEN | MMAP | CHANGING, times=0, place="tidemark.db-shm")
        response = self.refusal()  # as long as it need not grow, it is not asked for
        self.faults.arm(OPEN | MMAP | CHANGING | READ, times=0, place="tidemark.db")
        self.assert_answers(response)
        wait_until(self.refusal, "publishing is refused")
        self.faults.disarm()
        self.assert_answers(self.refusal())
        wait_until(lambda: self.refusal() is None, "publishing resumes")
        self.seen += seqs(self.reader.events(self.accepted - len(self.seen)))
        self.assertEqual(self.seen, list(range(1, self.accepted + 1)))
        self.end()

    def assert_answers(self, response):
        if response is not None:
            self.assert_problem(response, response.status)
            self.assertEqual(response.status, 503)

    def test_reading(self):
        """Who reads is told, and reading works again when the file can be read."""
        self.begin("--ring", "1", "--cache", "1")
        self.server.restart("--ring", "1", "--cache", "1", "--disk-reserve", "0")
        self.faults.arm(READ | OPEN, times=0, place="tidemark.db")
        answers = [self.server.get("/v1/events", limit=1, after=i) for i in range(20)]
        self.assertGreater(self.faults.disarm(), 0)
        self.assertNotEqual({answer.status for answer in answers}, {200})
        for i, answer in enumerate(answers):
            if answer.status == 200:  # what SQLite has in its memory it need not read
                self.assertEqual(seqs(answer.json()["events"]), [i + 1])
            else:
                self.assert_problem(answer, 503, "cannot read", "tidemark.db: Input/output error")
        wait_until(lambda: self.server.get("/v1/events", limit=1).status == 200, "it can be read again")
        self.assertEqual(seqs(self.server.everything()), list(range(1, self.accepted + 1)))
        self.assertEqual(self.server.publish([{"data": 1}])["first"], self.accepted + 1)

    def test_archives(self):
        """What cannot be sealed stays in the log."""
        self.begin("--retain-events", "10")
        for kinds in (OPEN, WRITE, SYNC, RENAME):
            self.faults.arm(kinds, times=0, place="/archives")
            self.accepted = self.server.publish([{"data": i} for i in range(20)])["last"]
            self.seen += seqs(self.reader.events(20))
            wait_until(lambda: self.faults.hits() > 0, "it was tried")
            wait_until(lambda: self.server.get("/v1/stats").json()["retention"]["failed"] > 0, "it failed")
            self.assertEqual(seqs(self.server.everything()), list(range(1, self.accepted + 1)))
            self.faults.disarm()
            wait_until(self.few_are_left, "it works again", 120)
            self.assertEqual(seqs(self.server.everything()), list(range(1, self.accepted + 1)))
        self.end()

    def test_a_directory_of_archives_that_is_read_only_or_full(self):
        """Sealing says so and goes on when it can; publishing and reading see nothing of it."""
        self.begin("--retain-events", "10")
        for error, name in ((errno.EROFS, "the disk is read-only"), (errno.ENOSPC, "the disk is full")):
            for kinds in (CHANGES & ~OPEN, WRITE | SYNC, RENAME):  # what there is can be opened, and read
                with self.subTest(name, kinds=kinds):
                    self.faults.arm(kinds, times=0, error=error, place="/archives")
                    self.accepted = self.server.publish([{"data": i} for i in range(20)])["last"]
                    self.seen += seqs(self.reader.events(20))
                    wait_until(lambda: name in (self.server.get("/v1/stats").json()["retention"]["reason"] or ""),
                               "it says why", 60)
                    self.assertEqual(self.breaker()["state"], "closed")
                    self.assertEqual(self.server.publish([{"data": 1}])["last"], self.accepted + 1)
                    self.accepted += 1
                    self.seen += seqs(self.reader.events(1))
                    self.assertEqual(seqs(self.server.everything()), list(range(1, self.accepted + 1)))
                    self.assertGreater(self.faults.disarm(), 0)
                    wait_until(self.few_are_left, "it works again", 120)
                    self.assertEqual(seqs(self.server.everything()), list(range(1, self.accepted + 1)))
        self.end()

    def few_are_left(self):
        retention = self.server.get("/v1/stats").json()["retention"]
        return retention["reason"] in (None, "") and not retention["working"]

    def test_a_directory_that_goes_away_and_comes_back(self):
        """Without the look at the file's name after each commit, what is acknowledged would be in files that nobody can find."""
        self.begin()
        self.server.publish([{"data": "x" * 100000}])
        self.accepted += 1
        self.seen += seqs(self.reader.events(1))
        away = self.server.data + "-away"
        os.rename(self.server.data, away)
        response = wait_until(self.refusal, "publishing is refused")
        self.assertEqual(response.status, 503)
        self.assertIn(self.server.data, response.json()["detail"])
        self.assertEqual(self.server.get("/readyz").status, 503)
        for _ in range(3):
            self.assertIsNotNone(self.refusal())
        os.rename(away, self.server.data)
        self.assert_resumes()
        self.end()

    def test_a_directory_that_is_removed(self):
        self.begin()
        for name in os.listdir(self.server.data):
            if os.path.isfile(os.path.join(self.server.data, name)):
                os.unlink(os.path.join(self.server.data, name))
        os.rmdir(os.path.join(self.server.data, "archives")) if os.path.isdir(os.path.join(self.server.data, "archives")) else None
        os.rmdir(self.server.data)
        for _ in range(3):
            self.assertIsNotNone(wait_until(self.refusal, "publishing is refused"))
        self.assertEqual(self.server.get("/healthz").status, 200)


    def test_a_conflict_never_names_an_event_that_was_not_stored(self):
        """Requests of one commit see each other's events; when it fails, nobody may have heard of them.

        Shown to fail without the protection: with conflicts left as they are in fail_group (writer.c).
        """
        self.begin()
        last = self.server.publish({"stream": "s", "data": 0})["last"]
        publish = b'POST /v1/events%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n' \
                  b'Content-Length: 23\r\n\r\n{"stream":"s","data":1}'
        for _ in range(20):
            wires = [self.server.wire() for _ in range(40)]
            self.faults.arm(SYNC, times=0, place="-wal")
            self.server.process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, self.server.process.pid, os.WSTOPPED)
            for i, wire in enumerate(wires):
                wire.send(publish % (b"?expect=1000000" if i % 2 else b""))
            self.server.process.send_signal(signal.SIGCONT)
            for wire in wires:
                response = wire.response()
                if response.status == 409:
                    self.assertIn(f"is {last},", response.json()["detail"])
                else:
                    self.assert_problem(response, 503)
            self.faults.disarm()
            wait_until(lambda: self.breaker()["state"] == "closed", "publishing goes on")
            stored = self.server.lines(stream="s")
            last = json.loads(stored[-1])["seq"]


if __name__ == "__main__":
    unittest.main()
