#!/usr/bin/env python3
"""The index of the write-ahead log, which is mapped into memory, cannot be written: an error that names the file, and no SIGBUS.

Shown to fail without the protection: with on_shm_lock (db_file.c) asking for nothing the server dies where the file is immutable;
without bus_error_explain in main it and `query` die of SIGBUS where the file was cut; with shm_ended (shim.c) passing on what
SQLite says, a full disk is an "unable to open database file".
"""

import os
import subprocess
import unittest

from binary import BIN, environment
from case import TidemarkTest
from command import command
from test_disk_full import can_mount
from text import seqs
from waiting import wait_until


def is_immutable_possible(folder):
    """File systems and users differ in this."""
    path = os.path.join(folder, "immutable")
    with open(path, "w", encoding="ascii"):
        pass
    possible = subprocess.run(["chattr", "+i", path], capture_output=True, check=False).returncode == 0
    subprocess.run(["chattr", "-i", path], capture_output=True, check=False)
    os.unlink(path)
    return possible


class MappedIndex(TidemarkTest):

    def begin(self, *options):
        self.server = self.serve(*options)
        self.index = os.path.join(self.server.data, "tidemark.db-shm")
        self.server.publish([{"data": i} for i in range(20)])

    def test_publishing_is_refused_while_it_cannot_be_written_and_reads_go_on(self):
        self.begin("--ring", "1", "--cache", "1")
        if not is_immutable_possible(self.server.data):
            self.skipTest("needs chattr +i")
        os.sync()  # a page that is on the disk is asked for again before it is written
        subprocess.run(["chattr", "+i", self.index], check=True)
        try:
            for _ in range(3):
                self.assert_problem(self.server.post({"data": 1}), 503, self.index)
                self.assertEqual(seqs(self.server.everything()), list(range(1, 21)))
            wait_until(lambda: "tidemark.db-shm" in self.server.get("/readyz").text, "the server says why")
        finally:
            subprocess.run(["chattr", "-i", self.index], check=True)
        wait_until(lambda: self.server.post({"data": 1}).status == 201, "publishing goes on")
        self.assertEqual(seqs(self.server.everything()), list(range(1, 22)))

    def test_a_server_says_that_it_was_cut(self):
        self.begin()
        os.truncate(self.index, 0)
        with self.assertRaises(OSError):
            self.server.post({"data": 1})
        self.assertEqual(self.server.process.wait(), 1)
        wait_until(lambda: f"tidemark: {self.index} cannot be used: it was cut short" in self.server.log_text(), "it says why")
        self.server.start()
        self.assertIn(seqs(self.server.everything())[-1], (20, 21))
        self.server.stop()
        self.assertEqual(command("verify", self.server.data).returncode, 0)

    def test_a_command_says_that_it_was_cut(self):
        self.begin("--cache", "1")
        self.server.publish_lines([{"data": "x" * 1000}] * 5000)
        query = subprocess.Popen([BIN, "query", self.server.data], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 env=environment())
        query.stdout.readline()  # it waits in the midst of the rest
        os.truncate(self.index, 0)
        _, errors = query.communicate()
        self.assertEqual(query.returncode, 1)
        self.assertIn(f"tidemark: {self.index} cannot be used: it was cut short", errors.decode())
        self.server.kill()

    @unittest.skipUnless(can_mount(), "a file system of one's own needs user namespaces")
    def test_a_full_disk(self):
        self.begin()
        self.server.kill()
        script = ('mount -t tmpfs -o size=1m none "$2" && cp -r "$1" "$2/data" && rm "$2/data/tidemark.db-shm" && '
                  '{ cat /dev/zero > "$2/ballast" || exec "$3" query "$2/data"; }')
        disk = os.path.join(self.server.home, "disk")
        os.mkdir(disk)
        done = subprocess.run(["unshare", "-rm", "sh", "-c", script, "sh", self.server.data, disk, BIN],
                              capture_output=True, encoding="utf-8", env=environment(), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"{disk}/data/tidemark.db-shm: the disk is full, 0 KiB are free", done.stderr)


if __name__ == "__main__":
    unittest.main()
