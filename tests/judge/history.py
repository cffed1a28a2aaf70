"""What clients asked of a store and what they were answered: operations, recorded by many threads into one NDJSON file.

A publish is two lines, one before it is sent and one with its outcome; without the second its outcome is unknown. Everything else is
written when it is over, in one line but for long reads. So whatever has been written at any moment is a whole history: nobody has seen an
event whose publish is not there yet. Times are nanoseconds of the monotonic clock, and payloads are digests, so that a history stays
small.
"""

import hashlib
import json
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import count, islice
from sys import intern
from typing import NamedTuple, Optional

PIECE = 2000  # events that a reader has in one line


class Event(NamedTuple):
    """What a publisher sends; `data` is a digest."""

    stream: str
    type: str
    id: Optional[str]
    data: str


class Row(NamedTuple):
    """What a reader sees: an event with its place."""

    seq: int
    time: str
    stream: str
    type: str
    id: Optional[str]
    data: str

    @property
    def event(self):
        return Event(*self[2:])


class Filter(NamedTuple):
    """Streams and types, any of which will do; a trailing `*` makes a prefix. Nothing means everything."""

    streams: tuple = ()
    types: tuple = ()

    def passes(self, event):
        return self._any(self.streams, event.stream) and self._any(self.types, event.type)

    @staticmethod
    def _any(patterns, name):
        return not patterns or any(name.startswith(p[:-1]) if p.endswith("*") else name == p for p in patterns)


@dataclass(eq=False)
class Operation:
    number: int
    client: str
    begin: int
    end: Optional[int]

    def __str__(self):
        return f"{type(self).__name__.lower()} {self.number} of {self.client}"


@dataclass(eq=False)
class Publish(Operation):
    """`status` is 201 with the receipt in `reply`, that of a refusal with the problem in it, or None where nobody knows."""

    events: list
    expect: Optional[int] = None
    status: Optional[int] = None
    reply: dict = field(default_factory=dict)


@dataclass(eq=False)
class Read(Operation):
    """A page of history, or all of it (no `limit`). `complete`: the answer came to its end. `through`: it holds all up to there."""

    rows: list
    after: int = 0
    before: Optional[int] = None
    limit: Optional[int] = None
    filter: Filter = Filter()
    complete: bool = True
    through: int = 0


@dataclass(eq=False)
class Follow(Operation):
    """What a live reader got from one position on; `times` says when each event came."""

    rows: list
    times: list
    after: int = 0
    filter: Filter = Filter()
    through: int = 0


@dataclass(eq=False)
class Head(Operation):
    """The last seq of the store, as it was told."""

    seq: int


KINDS = {kind.__name__.lower(): kind for kind in (Publish, Read, Follow, Head)}


def digest(data):
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def event_of(document):
    return Event(document["stream"], document["type"], document.get("id"), digest(document["data"]))


def row_of(envelope):
    return Row(envelope["seq"], envelope["time"], *event_of(envelope))


class Recorder:
    """Appends operations to a file; any thread may call it."""

    def __init__(self, path):
        self.path = path
        self._file = open(path, "w", encoding="utf-8")
        self._lock = threading.Lock()
        self._numbers = count(1)

    def write(self, kind, number=None, **members):
        """Returns the operation's number."""
        with self._lock:
            number = number or next(self._numbers)
            self._file.write(json.dumps({"op": kind, "number": number, **members}, separators=(",", ":"), ensure_ascii=False) + "\n")
        return number

    def publish(self, client, documents, expect=None):
        """To be called before the request is sent; returns what is to be told the outcome."""
        events = [event_of(d) for d in documents]
        return Pending(self, self.write("publish", client=client, begin=time.monotonic_ns(), events=events, expect=expect))

    def read(self, client, begin, envelopes, **members):
        """An answer that has just come to its end; `begin` is the time before it was asked for."""
        self.write_read(begin=begin, end=time.monotonic_ns(), rows=map(row_of, envelopes), client=client, **members)

    def write_read(self, rows, number=None, **members):
        """A long one is written in pieces, of which the last is the operation."""
        rows = iter(rows)
        piece = list(islice(rows, PIECE))
        while len(piece) == PIECE:
            number = self.write("rows", number, rows=piece)
            piece = list(islice(rows, PIECE))
        self.write("read", number, rows=piece, **members)

    def head(self, client, begin, seq):
        self.write("head", client=client, begin=begin, end=time.monotonic_ns(), seq=seq)

    def follow(self, client, after, streams=(), types=()):
        return Following(self, client, after, Filter(streams, types))

    def flush(self):
        with self._lock:
            self._file.flush()

    def close(self):
        with self._lock:
            self._file.close()


class Pending:
    """A publish that was sent."""

    def __init__(self, recorder, number):
        self._recorder, self._number = recorder, number

    def answered(self, status, reply):
        self._recorder.write("outcome", self._number, end=time.monotonic_ns(), status=status, reply=reply)


class Following:
    """A live reader's connection, written in pieces, each of which begins where the one before it ended."""

    def __init__(self, recorder, client, after, passing):
        self._recorder, self._client, self._filter = recorder, client, passing
        self._begin_piece(after)

    def _begin_piece(self, after):
        self._after, self._through, self._begin, self._rows, self._times = after, 0, time.monotonic_ns(), [], []

    def saw(self, envelope):
        self._rows.append(row_of(envelope))
        self._times.append(time.monotonic_ns())
        if len(self._rows) == PIECE:
            self.end()

    def reached(self, seq):
        """It was told that it has seen all that matches up to `seq`."""
        self._through = seq

    def end(self):
        if self._rows or self._through:
            self._recorder.write("follow", client=self._client, begin=self._begin, end=time.monotonic_ns(), rows=self._rows,
                                 times=self._times, after=self._after, filter=self._filter, through=self._through)
            self._begin_piece(max(self._through, self._rows[-1].seq if self._rows else 0))


def dump(operations, path):
    """Writes a history as a recorder would have."""
    recorder = Recorder(path)
    for operation in operations:
        members = dict(vars(operation))
        outcome = {name: members.pop(name) for name in ("end", "status", "reply")} if isinstance(operation, Publish) else {}
        if isinstance(operation, Read):
            recorder.write_read(**members)
        else:
            recorder.write(type(operation).__name__.lower(), **members)
        if outcome.get("end") is not None:
            recorder.write("outcome", operation.number, **outcome)
    recorder.close()


def load(path):
    """The operations of a file. A last line that is still being written does not count."""
    operations, rows, same = {}, defaultdict(list), {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            if not line.endswith("\n"):
                break
            members = json.loads(line)
            kind, number = members.pop("op"), members["number"]
            if kind == "outcome":
                vars(operations[number]).update(members)
                continue
            if "events" in members:
                members["events"] = [Event(intern(stream), intern(type_), *rest) for stream, type_, *rest in members["events"]]
            if "rows" in members:  # many readers see the same: it is kept once
                rows[number] += [same.get(row) or same.setdefault(row, Row(row.seq, *map(intern, row[1:4]), *row[4:]))
                                 for row in map(Row._make, members["rows"])]
                if kind == "rows":
                    continue
                members["rows"] = rows.pop(number)
            if "filter" in members:
                members["filter"] = Filter(*map(tuple, members["filter"]))
            operations[number] = KINDS[kind](**{"end": None, **members})
    return list(operations.values())
