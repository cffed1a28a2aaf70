#!/usr/bin/env python3
"""Archives that are lost, or out of reach for a while: never told as removed by retention, and found by verify.

Shown to fail without the protection: with nothing expected in them (miss in store_archives.c) their events are told as gone.
"""

import glob
import os
import shutil
import tempfile
import unittest

from case import TidemarkTest
from command import command
from store import aged_store, edited
from text import JSON, NDJSON, seqs
from waiting import wait_until

HEAD, PART = 200, 40  # four archives, and the last part in the log


def batch(first, count):
    return [{"stream": f"s{n % 2}", "data": n + 1} for n in range(first, first + count)]


class LostArchives(TidemarkTest):

    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="tidemark-test-")
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        data, _ = aged_store(batch, HEAD // PART, PART)
        self.server = self.serve_on(shutil.copytree(data, os.path.join(self.home, "data")), "--retain-events", str(PART))
        self.archives = os.path.join(self.server.data, "archives")
        self.away = os.path.join(self.home, "away")

    def missing(self):
        return self.server.get("/v1/stats").json()["archives"]["missing"]

    def assert_out_of_reach(self, seq, *mentions):
        self.assert_problem(self.server.get(f"/v1/events/{seq}"), 503, f"event {seq} cannot be read", *mentions)
        for accept in (JSON, NDJSON):  # the status is known before anything is sent
            response = self.server.get("/v1/events", accept, after=seq - 1)
            self.assert_problem(response, 503, *mentions)
            self.assertIn("retry-after", response.headers)
        done = command("query", self.server.url, "--after", str(seq - 1))
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn(mentions[0], done.stderr)
        self.assertEqual(self.server.event(HEAD)["data"], HEAD)


class Serving(LostArchives):

    def test_a_directory_that_goes_away_and_comes_back(self):
        os.rename(self.archives, self.away)
        self.assert_out_of_reach(1, "does not exist any more")
        self.assertIn("does not exist any more", self.missing())
        os.rename(self.away, self.archives)
        wait_until(lambda: self.missing() == "", "it is found again")
        self.assertEqual(seqs(self.server.everything()), list(range(1, HEAD + 1)))

    def test_a_start_without_the_directory(self):
        self.server.stop()
        os.rename(self.archives, self.away)
        self.server.start()
        self.assertIn("in no archive that can be used", self.server.log_text())
        self.assert_out_of_reach(1, "no archive in", "1 to 160")
        os.rename(self.away, self.archives)
        wait_until(lambda: self.missing() == "", "it is found")
        self.assertEqual(seqs(self.server.everything()), list(range(1, HEAD + 1)))

    def test_a_start_that_has_to_count_them(self):
        """Without figures that were saved, they are counted from the log: what is out of reach is not."""
        self.server.publish([{"stream": "kimi", "type": "event", "data": {"n": 1}}])
        self.server.stop()
        with edited(self.server.data) as database:
            database.execute("DELETE FROM note")
        os.rename(self.archives, self.away)
        self.server.start()
        self.assertIn("archived events are not counted", self.server.log_text())
        dashboard = self.server.dashboard()
        self.assertEqual(dashboard.initial["stats"]["kimi"]["total_events"], 1)

    def test_a_start_with_a_damaged_manifest(self):
        self.server.stop()
        manifest = os.path.join(self.archives, "41-80.json")
        with open(manifest, "r+b") as file:
            file.write(b"[")
        self.server.start()
        self.assert_out_of_reach(50, "41-80.json", "damaged")
        self.assertEqual(self.server.event(40)["data"], 40)

    def test_what_came_since_may_be_in_an_archive_that_cannot_be_used(self):
        """With history_seek_since answering as history_seek_time does, it begins behind the archive, and nobody is told."""
        time = self.server.event(41)["time"]
        self.server.stop()
        os.unlink(os.path.join(self.archives, "41-80.json"))
        self.server.start()
        self.assert_problem(self.server.get("/v1/events", since=time), 503, "event 41 cannot be read")
        self.assert_problem(self.server.get("/v1/events", until=time, order="desc"), 503, "event 80 cannot be read")
        self.assertEqual(self.server.history(since=self.server.event(121)["time"])["events"][0]["seq"], 121)

    def health(self):
        """What /health says of the archives, and whether the whole is fine."""
        response = self.server.get("/health")
        return response.json()["components"]["archives"], response.status

    def test_one_that_is_damaged_spoils_what_needs_it_and_nothing_else(self):
        self.assertEqual(self.health()[0]["status"], "healthy")
        path = os.path.join(self.archives, "41-80.ndjson.zst")
        with open(path, "rb") as file:
            whole = file.read()
        with open(path, "r+b") as file:
            file.seek(whole.index(b"\x28\xb5\x2f\xfd") + 30)  # in the first frame of events
            file.write(bytes(40))
        for accept in (JSON, NDJSON):
            self.assert_problem(self.server.get("/v1/events", accept, after=50), 500, "41-80.ndjson.zst")
            self.assertEqual(len(self.server.get("/v1/events", accept, after=0, before=41, limit=100).text.split('"seq"')) - 1, 40)
            self.assertEqual(len(self.server.get("/v1/events", accept, after=80, limit=1000).text.split('"seq"')) - 1, 120)
        self.assertEqual(len(self.server.history(order="desc", limit=100)["events"]), 100)
        # A page ends before what cannot be read.
        for query, found in (({"after": 30}, list(range(31, 41))), ({"order": "desc", "before": 91}, list(range(90, 80, -1)))):
            page = self.server.history(limit=50, **query)
            self.assertEqual((seqs(page["events"]), page["next"]), (found, found[-1]))
        archives, status = self.health()
        self.assertEqual((archives["status"], status), ("degraded", 503))
        self.assertEqual(self.server.get("/health").json()["status"], "degraded")
        self.assertIn("41-80.ndjson.zst", archives["message"])
        self.assertNotIn(self.server.data, archives["message"])
        for part in ("/readyz", "/health/ready", "/health/live", "/healthz"):  # it serves
            self.assertEqual(self.server.get(part).status, 200, part)
        self.assertEqual(self.server.get("/healthz").json()["components"]["archives"],
                         {"status": "degraded", "message": "one is missing or damaged"})
        self.assertIn("41-80.ndjson.zst", self.missing())
        # In the middle of an answer: what comes before it is sent, and the reason is the last line.
        done = command("query", self.server.url)
        self.assertEqual(done.returncode, 1)
        self.assertIn("41-80.ndjson.zst", done.stderr)
        os.unlink(path)
        with open(path, "wb") as file:
            file.write(whole)
        self.assertEqual(len(self.server.history(after=40, before=81, limit=100)["events"]), 40)
        self.assertEqual((self.health()[0]["status"], self.health()[1], self.missing()), ("healthy", 200, ""))

    def test_a_loss_that_is_accepted_is_a_gap(self):
        self.server.stop()
        os.unlink(os.path.join(self.archives, "1-40.ndjson.zst"))
        self.server.start("--accept-loss")
        self.assert_problem(self.server.get("/v1/events/1"), 410)
        self.server.restart()
        self.assert_problem(self.server.get("/v1/events/40"), 410)
        self.assert_gap(self.server.history(after=10, limit=1)["gap"], "retention", requested=10, first=41)


class Verifying(LostArchives):

    def assert_found(self, says, *operands):
        done = command("verify", *(operands or (self.server.data,)))
        self.assertEqual(done.returncode, 1, done)
        self.assertRegex(done.stderr, says)

    def setUp(self):
        super().setUp()
        self.server.stop()
        shutil.copytree(self.server.data, self.away)
        done = command("verify", self.server.data)
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("200 events, seq 1 to 200: fine", done.stdout)

    def restore(self):
        shutil.rmtree(self.server.data)
        shutil.copytree(self.away, self.server.data)

    def test_archives_that_were_removed(self):
        for which, says in (("1-40", "1 to 40"), ("41-80", "41 to 80"), ("121-160", "121 to 160"), ("*", "1 to 160")):
            with self.subTest(which):
                for path in glob.glob(os.path.join(self.archives, which + ".*")):
                    os.unlink(path)
                self.assert_found(f"events {says} are missing")
                self.restore()

    def test_an_archive_without_its_manifest_is_named(self):
        os.unlink(os.path.join(self.archives, "81-120.json"))
        self.assert_found("81 to 120 are missing: .*81-120.ndjson.zst has no manifest")

    def test_a_lost_beginning_of_the_log(self):
        with edited(self.server.data) as db:
            db.execute("DELETE FROM event WHERE seq < 170")
        self.assert_found("events 161 to 169 are missing")

    def test_a_changed_note_of_the_chain(self):
        for change in ("'160:' || printf('%064d', 7)", "'120:' || substr(value, 5)", "'170:' || substr(value, 5)", "'160:77'"):
            with self.subTest(change):
                with edited(self.server.data) as db:
                    db.execute(f"UPDATE meta SET value = {change} WHERE key = 'chain'")
                self.assert_found("161|160|170|damaged")
                self.restore()

    def test_files_that_leave_one_out(self):
        files = [os.path.join(self.archives, f"{name}.ndjson.zst") for name in ("81-120", "1-40", "41-80")]
        self.assertEqual(command("verify", *files).returncode, 0)
        self.assert_found("events 41 to 80 are missing: they are between 1-40.* and 81-120", *files[:2])


class Discarded(TidemarkTest):

    def test_the_first_event_of_a_stream_may_be_in_an_archive(self):
        log = lambda: server.retention()["log"]
        firsts = lambda: {stream["name"]: stream["first"] for stream in server.get("/v1/streams").json()["streams"]}
        server = self.serve("--retain-events", "50")
        server.publish_lines({"stream": "old", "data": n} for n in range(200))
        wait_until(lambda: log()["events"] <= 57, "they are archived")
        server.restart("--retain-events", "50", "--archive", "none")
        server.publish_lines({"stream": ("old", "new")[n % 2], "data": n} for n in range(200))
        for _ in range(2):
            wait_until(lambda: log()["events"] <= 50 and firsts()["new"] >= log()["first"], "some are gone")
            self.assertEqual(firsts()["old"], 1)
            self.assertEqual(server.event(1)["stream"], "old")
            server.restart("--retain-events", "50", "--archive", "none")

    def test_what_was_discarded_is_not_missed(self):
        server = self.serve("--retain-events", "50", "--archive", "none")
        server.publish_lines({"data": n} for n in range(200))
        wait_until(lambda: server.retention()["log"]["events"] <= 50, "they are gone")
        server.stop()
        self.assertEqual(command("verify", server.data).returncode, 0)
        with edited(server.data) as db:
            db.execute("DELETE FROM event WHERE seq < 160")
        done = command("verify", server.data)
        self.assertEqual(done.returncode, 1, done)
        self.assertRegex(done.stderr, "events 151 to 159 are missing")


if __name__ == "__main__":
    unittest.main()
