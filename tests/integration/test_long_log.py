#!/usr/bin/env python3
"""A program that reads the database in one transaction keeps the write-ahead log from being written back: the server says so, and
commands that read for long do not do it.

Shown to fail without the protection: without tell_long_log (store_upkeep.c) the log says nothing; without wait_for_log
(verify_structure.c) `verify` checks the structure of the tables in one transaction each.
"""

import contextlib
import os
import re
import sqlite3
import unittest

from case import TidemarkTest
from command import command
from load import MIB
from waiting import wait_until

LONG = 128 * MIB


class LongLog(TidemarkTest):

    def log_bytes(self):
        return os.path.getsize(os.path.join(self.server.data, "tidemark.db-wal"))

    def test_a_reader_that_does_not_end_is_told(self):
        self.server = self.serve()
        self.server.publish({"data": 0})
        database = os.path.join(self.server.data, "tidemark.db")
        with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM event").fetchone()
            while "one long read transaction" not in self.server.log_text():
                self.server.publish_lines([{"data": "x" * 100000}] * 100)
                self.assertLess(self.log_bytes(), 2 * LONG, "the server's log says so")
            self.assertGreater(self.server.get("/v1/stats").json()["bytes"]["wal"], LONG)
            told = re.search(r"^tidemark_wal_bytes (\d+)$", self.server.get("/metrics").text, re.MULTILINE)
            self.assertGreater(int(told[1]), LONG)
            done = command("verify", self.server.data)
            self.assertEqual(done.returncode, 0)
            self.assertIn(f"{self.server.head()} events", done.stdout)
            self.assertIn("the structure of the tables sqlite_schema, meta", done.stderr)
        wait_until(lambda: self.log_bytes() == 0, "it is written back once the reader has gone")
        done = command("verify", self.server.data)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()
