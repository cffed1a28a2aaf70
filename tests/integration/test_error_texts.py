#!/usr/bin/env python3
"""Errors of the store name the file and what is wrong with it, in plain words.

Shown to fail without the protection: with db_fault (db_fault.c) saying what SQLite says, each of these.
"""

import contextlib
import os
import subprocess
import unittest

from case import TidemarkTest
from command import command
from store import edited, locked
from test_mapped_index import is_immutable_possible


class ErrorTexts(TidemarkTest):

    def setUp(self):
        self.server = self.serve()
        self.server.publish({"data": 1})
        self.database = os.path.join(self.server.data, "tidemark.db")

    def refused(self, *arguments):
        """What a command says that must fail."""
        done = command(*arguments)
        self.assertEqual(done.returncode, 1)
        self.assertNotIn("PRAGMA", done.stderr)
        self.assertNotIn("CREATE TABLE", done.stderr)
        return done.stderr

    def test_another_program_has_locked_it(self):
        with locked(self.server.data):
            self.assert_problem(self.server.post({"data": 1}), 503, f"another program has locked {self.database}")

    def test_it_is_no_database(self):
        self.server.stop()
        with open(self.database, "r+b") as file:
            file.write(b"SQLite format 4".ljust(4096, b"\0"))
        for words in (["verify", self.server.data], ["serve", "--data", self.server.data, "--listen", "127.0.0.1:0"]):
            self.assertIn(f"{self.database} is not a database", self.refused(*words))

    def test_a_migration_fails(self):
        self.server.stop()
        with edited(self.server.data) as database:
            database.execute("PRAGMA user_version = 1")  # what the second migration makes is there already
        self.assertRegex(self.refused("serve", "--data", self.server.data, "--listen", "127.0.0.1:0"),
                         rf"cannot migrate the store to schema 2: {self.database}: table \w+ already exists")

    def test_it_may_not_be_written(self):
        self.server.stop()
        if not is_immutable_possible(self.server.data):
            self.skipTest("needs chattr +i")
        subprocess.run(["chattr", "+i", self.database], check=True)
        try:
            self.assertIn(f"cannot write {self.database}: Operation not permitted",
                          self.refused("serve", "--data", self.server.data, "--listen", "127.0.0.1:0"))
        finally:
            subprocess.run(["chattr", "-i", self.database], check=True)

    def test_it_cannot_be_opened(self):
        self.server.stop()
        os.unlink(self.database)
        os.mkdir(self.database)
        self.assertIn(f"cannot read {self.database}: Is a directory", self.refused("query", self.server.data))
        with contextlib.suppress(OSError):
            os.rmdir(self.database)


if __name__ == "__main__":
    unittest.main()
