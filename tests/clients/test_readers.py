#!/usr/bin/env python3
"""A reader passes the loop: `test_readers.py PROGRAM`. Each program in readers/ is what its client's own documentation suggests: for a
client that comes back by itself nothing more than its constructor, for others the few lines that keep a position."""

import os
import sys
import unittest

from loop import LoopTest, interpreted

READER = os.path.abspath(sys.argv.pop())


class Reader(LoopTest):

    def test_from_the_first_event(self):
        self.loop(interpreted(READER), "first")

    def test_cut_off_before_its_first_event(self):
        self.loop_at_head(interpreted(READER), "head")


if __name__ == "__main__":
    unittest.main()
