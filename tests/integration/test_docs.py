#!/usr/bin/env python3
"""The manual page and the README speak of everything that --help does, and of nothing else."""

import os
import re
import unittest

from binary import ROOT
from command import command

COMMANDS = ("serve", "publish", "tail", "query", "stats", "token", "export", "import", "verify", "backup")


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def options(text):
    return set(re.findall(r"(?<![\w-])--([a-z][a-z-]+)", text))


class Docs(unittest.TestCase):

    def setUp(self):
        self.help = {name: command(name, "--help").stdout for name in COMMANDS}
        self.all = set().union(*map(options, self.help.values())) | {"help"}

    def test_the_manual_page_has_every_option_and_no_other(self):
        manual = options(read("docs", "man", "tidemark.1").replace("\\-", "-"))
        self.assertEqual(self.all - manual, set(), "missing")
        self.assertEqual(manual - self.all, set(), "no such option")

    def test_the_readme_names_only_what_there_is(self):
        # Options of curl, jq and others that its examples use.
        self.assertEqual(options(read("README.md")) - self.all - {"json"}, set())

    def test_every_command_is_in_the_help_of_all(self):
        text = command("--help").stdout
        for name in COMMANDS:
            self.assertRegex(text, rf"\n  {name} ")
            self.assertIn(name, read("README.md"))


if __name__ == "__main__":
    unittest.main()
