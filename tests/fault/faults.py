"""Telling a server what is to go wrong, while it runs (faults.c has the other end)."""

import errno
import mmap
import os
import struct
import tempfile

MALLOC, SQLITE_MALLOC, OPEN, READ, WRITE, SYNC, TRUNCATE, RENAME, REMOVE, MKDIR, MMAP, ACCEPT, EPOLL, THREAD = (
    1 << i for i in range(14))
FILES = OPEN | READ | WRITE | SYNC | TRUNCATE | RENAME | REMOVE | MKDIR | MMAP
CHANGES = OPEN | WRITE | SYNC | TRUNCATE | RENAME | REMOVE | MKDIR  # what a crash can come between
NAMES = {MALLOC: "malloc", SQLITE_MALLOC: "malloc of SQLite", OPEN: "open", READ: "read", WRITE: "write", SYNC: "fsync",
         TRUNCATE: "truncate", RENAME: "rename", REMOVE: "unlink", MKDIR: "mkdir", MMAP: "mmap", ACCEPT: "accept",
         EPOLL: "epoll", THREAD: "pthread_create"}
FAIL, KILL, TEAR = range(3)

_ARMED, _AFTER, _TIMES, _ACTION, _ERROR, _SEEN, _HITS, _WALL_MS, _PROCESSORS = range(0, 72, 8)
_PLACE, _PLACE_LEN = 72, 192


class Faults:
    """What a server is told; `environment` is for the server to find it."""

    def __init__(self):
        fd, self.path = tempfile.mkstemp(prefix="tidemark-faults-")
        os.ftruncate(fd, mmap.PAGESIZE)
        self._memory = mmap.mmap(fd, mmap.PAGESIZE)
        os.close(fd)
        self.environment = {"TIDEMARK_FAULTS": self.path}

    def _put(self, at, value):
        struct.pack_into("=q", self._memory, at, value)

    def _get(self, at):
        return struct.unpack_from("=q", self._memory, at)[0]

    def arm(self, calls, after=1, times=1, action=FAIL, error=errno.EIO, place=""):
        """From the `after`-th of these calls on, so many go wrong; 0: all until `disarm`."""
        self.disarm()
        self._memory[_PLACE:_PLACE + _PLACE_LEN] = place.encode().ljust(_PLACE_LEN, b"\0")
        for at, value in ((_AFTER, after), (_TIMES, times), (_ACTION, action), (_ERROR, error), (_SEEN, 0), (_HITS, 0)):
            self._put(at, value)
        self._put(_ARMED, calls)

    def disarm(self):
        """Returns how many calls went wrong since it was armed."""
        self._put(_ARMED, 0)
        return self.hits()

    def hits(self):
        return self._get(_HITS)

    def seen(self):
        """How many such calls there were."""
        return self._get(_SEEN)

    def set_clock(self, milliseconds):
        """The wall clock is wrong by so much from now on."""
        self._put(_WALL_MS, milliseconds)

    def set_processors(self, count):
        """The machine has so many processors from now on."""
        self._put(_PROCESSORS, count)

    def close(self):
        self._memory.close()
        os.unlink(self.path)
