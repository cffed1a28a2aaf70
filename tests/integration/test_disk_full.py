#!/usr/bin/env python3
"""A full disk: publishing is refused, reading goes on, and it ends by itself.

Shown to fail without the protection: with SQLITE_FULL taken for any other failure (code_of, db_fault.c) publishers are told 503; with
check_disk answering 0 the reserve is used up.
"""

import contextlib
import os
import shutil
import subprocess
import unittest

from case import TidemarkTest
from load import MIB, scaled
from text import NDJSON, ndjson, seqs
from waiting import in_parallel, wait_until

# A small file system that only the server sees, over its data directory.
WITHIN = ["unshare", "-rm", "sh", "-c", 'mkdir -p "$4" && mount -t tmpfs -o size=%dm none "$4" && exec "$@"', "sh"]


def can_mount():
    if not shutil.which("unshare"):
        return False
    probe = ["unshare", "-rm", "mount", "-t", "tmpfs", "-o", "size=1m", "none", "/tmp"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


@unittest.skipUnless(can_mount(), "a file system of one's own needs user namespaces")
class DiskFull(TidemarkTest):

    BATCH = [{"data": "x" * 1000}] * 20

    def start_on_disk(self, megabytes, *options):
        within = [word % megabytes if "%d" in word else word for word in WITHIN]
        self.server = self.serve(*options, within=within)
        data = f"/proc/{self.server.process.pid}/root{self.server.data}"
        self.ballast = os.path.join(data, "ballast")
        self.assertTrue(os.path.exists(os.path.join(data, "tidemark.db")))

    def fill_disk(self, leave):
        """Takes what is free but for so many bytes."""
        disk = os.statvfs(os.path.dirname(self.ballast))
        with open(self.ballast, "ab") as file, contextlib.suppress(OSError):
            file.write(bytes(max(0, disk.f_bavail * disk.f_frsize - leave)))

    def free_disk(self):
        os.remove(self.ballast)

    def unready(self):
        """What /readyz answers, where it is 503."""
        response = self.server.get("/readyz")
        return response if response.status == 503 else None

    def publish_until_refused(self):
        """Returns the refusal; what was accepted before is in `accepted`."""
        while (response := self.server.post(ndjson(self.BATCH), NDJSON)).status == 201:
            self.accepted = response.json()["last"]
        return response

    def assert_only_reading(self, reader):
        """The state in which a store is that cannot commit."""
        self.assertEqual(self.server.get("/healthz").status, 200)
        ready = wait_until(self.unready, "it is not ready")
        self.assertNotEqual(ready.text, "")
        store = wait_until(lambda: (h := self.server.get("/health")).status == 503 and h.json()["components"]["storage"],
                           "its health says so")
        self.assertNotIn("not durable", store.get("error", ""))  # but the breaker's reason; below the reserve the disk says it
        self.assertEqual(self.server.head(), self.accepted)
        self.assertEqual(seqs(self.server.everything()), list(range(1, self.accepted + 1)))
        self.assertEqual(seqs(reader.events(self.accepted)), list(range(1, self.accepted + 1)))
        reader.send({"op": "ping"})
        self.assertEqual(reader.receive(), {"op": "pong", "head": self.accepted})
        reader.send({"op": "publish", "ref": 1, "events": self.BATCH})
        error = reader.op("error")
        self.assertEqual((error["status"], error["title"], error["ref"]), (507, "Insufficient Storage", 1))

    def assert_publishing_again(self, reader):
        """Without a restart, from the next seq."""
        wait_until(lambda: self.server.post({"data": "again"}).status == 201, "publishing resumes")
        self.assertEqual(self.server.head(), self.accepted + 1)
        self.assertEqual(reader.event()["seq"], self.accepted + 1)
        self.assertEqual(self.server.publish({"data": 1})["first"], self.accepted + 2)
        self.assertEqual(self.server.get("/readyz").status, 200)

    def test_a_full_disk_refuses_publishing_and_heals_without_a_restart(self):
        self.start_on_disk(24, "--disk-reserve", "0")
        reader = self.server.live_reader()
        self.accepted = self.server.publish(self.BATCH)["last"]
        self.fill_disk(leave=2 * MIB)
        response = self.publish_until_refused()
        self.fill_disk(leave=0)
        self.assert_problem(response, 507, "tidemark.db", "the disk is full", title="Insufficient Storage")
        self.assert_only_reading(reader)
        self.free_disk()
        self.assert_publishing_again(reader)

    def test_the_reserve_refuses_publishing_while_it_is_free(self):
        self.start_on_disk(40, "--disk-reserve", "16MiB")
        reader = self.server.live_reader()
        self.accepted = self.server.publish(self.BATCH)["last"]
        self.fill_disk(leave=10 * MIB)
        response = wait_until(self.refusal, "publishing is refused")
        self.assert_problem(response, 507)
        self.assert_only_reading(reader)
        disk = os.statvfs(os.path.dirname(self.ballast))
        self.assertGreater(disk.f_bavail * disk.f_frsize, 4 * MIB, "the reserve is kept")
        self.free_disk()
        self.assert_publishing_again(reader)

    def free(self):
        disk = os.statvfs(os.path.dirname(self.ballast))
        return disk.f_bavail * disk.f_frsize

    def test_the_reserve_is_free_whatever_is_published(self):
        """Shown to fail without the protection: with take_room (writer.c) finding room always, 13 MiB of the reserve are used."""
        cases = (("large requests", [{"data": "x" * 250000}] * 4, 1), ("many at a time", [{"data": "x" * 250000}] * 4, 8),
                 ("large events", [{"data": "x" * 900000}], 4), ("small events", [{"data": "x" * 100}] * 2000, 4),
                 ("half a page each", [{"data": "x" * 2100}] * 400, 4))
        for name, batch, publishers in cases[:scaled(len(cases), 2)]:
            with self.subTest(name):
                self.start_on_disk(56, "--disk-reserve", "16MiB")
                stored = []

                def publisher(batch=batch):
                    http = self.server.http()
                    while (answer := http.request("POST", "/v1/events", ndjson(batch), {"Content-Type": NDJSON})).status == 201:
                        stored.append(answer.json()["count"])
                    self.assert_problem(answer, 507, "reserve")

                in_parallel([publisher] * publishers)
                self.assertEqual(self.server.head(), sum(stored))
                self.assertGreater(len(stored), 10)
                left = [self.free()]
                wal = os.path.join(os.path.dirname(self.ballast), "tidemark.db-wal")
                wait_until(lambda: left.append(self.free()) or os.path.getsize(wal) == 0, "the log is written back")
                self.assertGreaterEqual(min(left), 16 * MIB)
                self.server.kill()

    def refusal(self):
        """The answer to one more request where it is refused."""
        response = self.server.post({"data": 1})
        if response.status == 201:
            self.accepted = response.json()["last"]
            return None
        return response

    def test_every_waiting_publisher_is_told_and_none_half_stored(self):
        self.start_on_disk(24, "--disk-reserve", "0")
        self.server.publish(self.BATCH)
        self.fill_disk(leave=2 * MIB)

        def publisher():
            http = self.server.http()
            return [http.request("POST", "/v1/events", ndjson(self.BATCH), {"Content-Type": NDJSON}).status
                    for _ in range(scaled(60, 20))]

        statuses = sum(in_parallel([publisher] * 6), [])
        self.assertEqual(set(statuses), {201, 507})
        head = self.server.head()
        self.assertEqual(head, 20 * (1 + statuses.count(201)))
        self.assertEqual(seqs(self.server.everything()), list(range(1, head + 1)))
        self.free_disk()
        wait_until(lambda: self.server.post({"data": "again"}).status == 201, "publishing resumes")
        self.assertEqual(self.server.head(), head + 1)


if __name__ == "__main__":
    unittest.main()
