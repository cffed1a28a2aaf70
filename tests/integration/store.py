"""Directories of stores that no server uses at the moment: changed, locked, or prepared once for many tests."""

import contextlib
import functools
import os
import shutil
import sqlite3
import unittest

from server import Server
from waiting import wait_until


@contextlib.contextmanager
def edited(data):
    """The database of a store that nobody uses, to be changed as by another program: its pages have no sums then."""
    path = os.path.join(data, "tidemark.db")
    database = sqlite3.connect(path)
    with database:
        yield database
    database.close()
    with open(path, "r+b") as file:
        pages = bytearray(file.read())
        assert pages[20] == 8, "8 bytes of each page are reserved"
        for end in range(4096, len(pages) + 1, 4096):
            pages[end - 8:end] = bytes(8)
        file.seek(0)
        file.write(pages)


@contextlib.contextmanager
def locked(data):
    """The store is locked by another program meanwhile: what is published waits, for as long as it may."""
    database = sqlite3.connect(os.path.join(data, "tidemark.db"), isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        database.execute("ROLLBACK")
        database.close()


@functools.cache
def aged_store(batch, parts, per_part):
    """The directory of a stopped server, to be copied, and its lines: all events but the newest part are in archives.

    `batch(first, count)` gives a part's events."""
    server = Server("--retain-events", str(per_part)).start()
    unittest.addModuleCleanup(shutil.rmtree, server.home, ignore_errors=True)
    for part in range(parts):
        server.publish_lines(batch(part * per_part, per_part))
        wait_until(lambda: server.retention()["log"]["events"] <= per_part * 9 // 8, "the log is within its limit")
    lines = server.lines()
    server.stop()
    assert len(lines) == parts * per_part
    return server.data, lines
