#!/usr/bin/env python3
"""Is there one order of events that explains a history? `judge.py HISTORY.ndjson` prints what none explains, and exits with 1 then.

It knows what clients sent and what they were answered (history.py), and nothing of the server. The order is given: it is the log, by
seq, put together from everything that readers saw and publishers were told. Four questions remain.

- Do readers agree with it, event by event, with their filters applied?
- Does each request explain its part of it, as a whole and once? A request whose outcome is unknown may have a part or none.
- Did ids and `expect` mean at their place in the log what they should?
- Does the log agree with real time? Every answer says something about how long the log was at one moment between a request's begin
  and its end: a stored event that it ended just there, a 409 that the stream's last event was in it and the next was not yet, a page
  that it had what is in the page and not what is missing. Going through all begins and ends in order of time with the shortest
  length that is possible finds a contradiction wherever there is one.
"""

import gc
import sys
from bisect import bisect_left, bisect_right
from collections import defaultdict
from math import inf
from operator import itemgetter

from history import Filter, Follow, Head, Publish, Read, Row, load

FAULTS_MAX = 100  # more of them are not told


class Moment:
    """What an answer says: that the log was `low` to `high` events long at one moment, and `stored` events after it if it stored any."""

    def __init__(self, operation, low, high, text, stored=0):
        self.operation, self.low, self.high, self.stored = operation, low, high, stored
        self.text = f"{operation} {text}"


def name(event):
    return f"{event.stream}/{event.id}" if event.id is not None else f"{event.stream}/({event.type} {event.data})"


def listed(seqs):
    return ", ".join(map(str, seqs[:10])) + (", …" if len(seqs) > 10 else "")


def following(seqs, seq):
    i = bisect_right(seqs, seq)
    return seqs[i] if i < len(seqs) else inf


def ends_at(operation):
    """How long the log was, if a reader has been told so: by a head, or by a page of everything that came to its end."""
    if isinstance(operation, Head):
        return operation.seq
    if not isinstance(operation, Read) or not reads_on(operation) or operation.before is not None or operation.filter != Filter():
        return None
    return operation.rows[-1].seq if operation.rows else 0 if operation.after == 0 else None


def reads_on(read):
    """Would it have held the next event, had there been one?"""
    return read.complete and len(read.rows) != read.limit


class Judge:

    def __init__(self, operations):
        self.faults = []
        self.publishes = [o for o in operations if isinstance(o, Publish)]
        self.readers = [o for o in operations if isinstance(o, (Read, Follow))]
        self.heads = [o for o in operations if isinstance(o, Head)]
        self.log = {}  # row by seq
        self.owner = {}  # the publish that stored it, by seq
        self.new, self.seqs = {}, {}  # by the number of an acknowledged publish: its new seqs, and the seq of each of its events
        self.last = {}  # the last seq that a publish stored
        self.moments = []
        self.chosen = {}  # seqs by filter

        self.gather()
        self.acknowledgements()
        self.index()
        self.contents()
        self.explain()
        for publish in self.publishes:
            self.expectation(publish)
        for reader in self.readers:
            self.reader(reader)
        self.real_time()

    def fault(self, text):
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(text)

    # ---- the log

    def gather(self):
        """The log as readers saw it. If two disagree, the last that read all of it is right."""
        whole = [r for r in self.readers if isinstance(r, Read) and ends_at(r) is not None and r.after == 0]
        readers = whole[-1:] + self.readers
        for reader in readers:
            for row in reader.rows:
                known = self.log.setdefault(row.seq, row)
                if known != row and len(self.faults) < FAULTS_MAX:
                    self.contradiction(reader, row, known, next((r for r in readers if r is not reader and known in r.rows), reader))

    def contradiction(self, reader, row, known, other):
        if known.event == row.event:
            self.fault(f"{reader} sees seq {row.seq} at the time {row.time}, {other} at {known.time}")
        elif (known.stream, known.id) == (row.stream, row.id) and row.id is not None:
            self.fault(f"{reader} sees {name(row)} under seq {row.seq} with another content than {other}: "
                       f"{row.event} and {known.event}")
        else:
            self.fault(f"two events under seq {row.seq}: {reader} sees {name(row)} there, {other} sees {name(known)}")

    def acknowledgements(self):
        """What publishers were told is the log, too, if nobody has read that far."""
        self.misplaced = {}  # publishes, as keys
        clashes = set()
        for publish in self.publishes:
            if publish.status != 201 or not self.receipt(publish):
                continue
            for event, seq in zip(publish.events, self.seqs[publish.number]):
                if seq not in self.new[publish.number] or self.owner.get(seq) is publish:
                    continue  # a duplicate
                if seq in self.owner and (publish, self.owner[seq]) not in clashes:
                    clashes.add((publish, self.owner[seq]))
                    self.fault(f"two requests were told that seq {seq} is theirs: {self.owner[seq]} and {publish}")
                self.owner[seq] = publish
                if self.log.setdefault(seq, Row(seq, "", *event)).event != event:
                    self.misplaced[publish] = True

    def receipt(self, publish):
        """Takes a receipt apart; False if it contradicts itself."""
        reply, size = publish.reply, len(publish.events)
        first, last, count = reply["first"], reply["last"], reply["count"]
        seqs = reply.get("seqs") or range(first, first + size)
        new = range(first, last + 1) if count else range(0)
        agree = (count + reply["duplicates"] == size == len(seqs) and len(new) == count
                 and (reply["duplicates"] > 0) == ("seqs" in reply)
                 and [s for s in dict.fromkeys(seqs) if s in new] == list(new)
                 and (max(seqs) == last if count else (first, last) == (min(seqs), max(seqs))))
        if agree:
            self.new[publish.number], self.seqs[publish.number] = new, seqs
            self.last[publish] = last
        else:
            self.fault(f"{publish} of {size} events was answered with numbers that do not agree: count {count}, duplicates "
                       f"{reply['duplicates']}, first {first}, last {last}, seqs {listed(seqs)}")
        return agree

    def index(self):
        """Where streams, ids and events without an id are; how far the log is known without a hole."""
        self.order = sorted(self.log)
        self.streams, self.ids, self.nameless = defaultdict(list), {}, defaultdict(list)
        newest = None
        for seq in self.order:
            row = self.log[seq]
            self.streams[row.stream].append(seq)
            if row.id is None:
                self.nameless[row.event].append(seq)
            elif (first := self.ids.setdefault((row.stream, row.id), seq)) != seq:
                self.fault(f"{name(row)} is stored twice, under seq {first}{self.by(first)} and seq {seq}{self.by(seq)}")
                self.owner.setdefault(seq, self.owner.get(first))
            if row.time:
                if newest and row.time < newest.time:
                    self.fault(f"time decreases from {newest.time} at seq {newest.seq} to {row.time} at seq {seq}")
                newest = row
        self.known = 0
        while self.known + 1 in self.log:
            self.known += 1
        self.ends = {end: r for r in self.readers if (end := ends_at(r)) is not None}
        self.ends.update((h.seq, h) for h in self.heads)

    def by(self, seq):
        return f" ({self.owner[seq]})" if self.owner.get(seq) else ""

    def last_before(self, stream, seq):
        seqs = self.streams.get(stream, ())
        i = bisect_left(seqs, seq)
        return seqs[i - 1] if i else 0

    def next_after(self, stream, seq):
        return following(self.streams.get(stream, ()), seq)

    def where(self, event):
        """The seqs at which an event is, be it once, never or more often."""
        if event.id is None:
            return self.nameless.get(event, [])
        return [self.ids[event.stream, event.id]] if (event.stream, event.id) in self.ids else []

    # ---- requests and their parts of the log

    def contents(self):
        """Each event of an acknowledged publish is where its publisher was told."""
        for publish in self.misplaced:
            self.not_whole(publish)
        for publish in self.publishes:
            for event, seq in zip(publish.events, self.seqs.get(publish.number, ())):
                if seq in self.new[publish.number]:
                    continue
                original = self.ids.get((event.stream, event.id), seq)
                if event.id is None:
                    self.fault(f"{publish} was told that {name(event)}, which has no id, is a duplicate of seq {seq}")
                elif original != seq:
                    self.fault(f"{publish} was told that {name(event)} is seq {seq}, and it is seq {original}{self.by(original)}")
                elif seq in self.log and (self.log[seq].stream, self.log[seq].id) != (event.stream, event.id):
                    self.fault(f"{publish} was told that {name(event)} is seq {seq}, and that is {name(self.log[seq])}")

    def not_whole(self, publish):
        """What is wrong with the events of a request, which should be one after another in the log."""
        told, new = self.seqs.get(publish.number), self.new.get(publish.number)
        events = [e for e, s in zip(publish.events, told) if s in new] if told else publish.events
        places = [min(self.where(e), key=lambda s: (self.owner.get(s) not in (publish, None), s), default=None) for e in events]
        there = [s for s in places if s is not None]
        for seq in there:
            self.owner.setdefault(seq, publish)
        text = f"{publish} ({f'told that it is seq {new[0]} to {new[-1]}' if told else 'outcome unknown'})"
        changed = [s for s, e in zip(places, events) if s is not None and self.log[s].event != e]
        if changed:
            self.fault(f"{text}: seq {listed(changed)} has another content than {name(self.log[changed[0]])} was sent with")
        elif len(there) < len(places):
            missing = events[places.index(None)]
            self.fault(f"{text} is stored by half: {len(there)} of {len(places)} events, under seq {listed(there)}; "
                       f"{name(missing)} is missing")
        elif there != sorted(there):
            self.fault(f"{text}: its events are out of order, under seq {listed(there)}")
        elif there[-1] - there[0] != len(there) - 1:
            self.fault(f"{text}: its events are torn apart, under seq {listed(there)}")
        elif told:
            self.fault(f"{text} is under seq {listed(there)}")
        elif cut := next((s for s in there[:-1] if s in self.ends), None):
            self.fault(f"{self.ends[cut]} ends at seq {cut}, with a part of the events of {publish}, which go on to seq {there[-1]}")
        else:
            self.fault(f"{text} is under seq {listed(there)}, though it expected {publish.expect} and the stream's last seq was "
                       f"{self.last_before(publish.events[0].stream, there[0])}")

    def explain(self):
        """Finds the request of an unknown outcome behind each event that was acknowledged to nobody: where several would do, that which
        began first, as it leaves real time the least to object to. (Such requests may be repetitions of one another; if they share an
        event in different company, with the same content, one may be taken for the other.)"""
        unowned = [s for s in self.order if s not in self.owner]
        wanted = {self.key(self.log[s]) for s in unowned}
        able = defaultdict(list)
        for publish in sorted((p for p in self.publishes if wanted and p.number not in self.new), key=lambda p: p.begin):
            for key in {self.key(e) for e in publish.events} & wanted:
                able[key].append(publish)
        for seq in unowned:
            if seq in self.owner:
                continue
            found = [p for p in able[self.key(self.log[seq])] if p not in self.last]
            unknown = [p for p in found if p.status in (None, 201)]
            for publish in unknown:
                if last := self.fits(publish, seq):
                    self.last[publish] = last
                    self.owner.update((s, publish) for s in range(seq, last + 1))
                    self.moments.append(Moment(publish, 0, seq - 1, f"stored seq {seq} to {last}", last))
                    break
            else:
                if seq <= self.known:  # events that lie before it and that nobody has read yet may belong to its request
                    self.unexplained(seq, unknown, found)

    @staticmethod
    def key(event):
        return (event.stream, event.id) if event.id is not None else (event.stream, event.type, event.id, event.data)

    def fits(self, publish, first):
        """The last seq of a request that may have been stored from `first` on, None if it cannot have been."""
        seq, own = first, set()
        for event in publish.events:
            if event.id is not None and ((event.stream, event.id) in own or self.ids.get((event.stream, event.id), inf) < first):
                continue  # a duplicate
            own.add((event.stream, event.id))
            row = self.log.get(seq)
            if seq > first and seq - 1 in self.ends:
                return None
            if row is None and seq > self.known:
                break  # nobody has looked at the rest yet
            if row is None or row.event != event or seq in self.owner:
                return None
            seq += 1
        if publish.expect not in (None, self.last_before(publish.events[0].stream, first)) and first - 1 <= self.known:
            return None
        return seq - 1

    def unexplained(self, seq, unknown, refused):
        row = self.log[seq]
        if unknown:
            self.not_whole(unknown[0])
        elif refused:
            self.fault(f"seq {seq} is {name(row)} of {refused[0]}, which was refused with {refused[0].status}")
        elif len(self.where(row.event)) > 1:
            self.fault(f"{name(row)} is stored more often than it was published: under seq {listed(self.where(row.event))}")
        else:
            self.fault(f"seq {seq} is {name(row)}, which nobody published")

    def expectation(self, publish):
        """`expect` of an acknowledged request held at its place, that of a refused one did not hold at some moment."""
        stream = publish.events[0].stream
        if publish.number in self.new:
            new, seqs = self.new[publish.number], self.seqs[publish.number]
            if not new:
                self.moments.append(Moment(publish, max(seqs), inf, f"was told of seq {max(seqs)} as a duplicate"))
                return
            self.moments.append(Moment(publish, 0, new[0] - 1, f"stored seq {new[0]} to {new[-1]}", new[-1]))
            last = self.last_before(stream, new[0])
            if publish.expect not in (None, last) and new[0] - 1 <= self.known:
                self.fault(f"{publish} succeeded with expect={publish.expect} at seq {new[0]}, where the last seq of {stream} was {last}")
        elif publish.status == 409:
            self.conflict(publish, stream, publish.reply.get("expected"), publish.reply.get("actual"))

    def conflict(self, publish, stream, expected, actual):
        told = f"{publish} was refused with expected {expected}, actual {actual}"
        if expected != publish.expect or actual is None or actual == expected:
            self.fault(f"{told}, which does not go with expect={publish.expect}")
            return
        if actual and actual in self.log and self.log[actual].stream != stream:
            self.fault(f"{told}, and that is no event of {stream}, but {name(self.log[actual])}")
            return
        stored = [self.ids.get((e.stream, e.id), inf) for e in publish.events]  # with all of them stored it would be a mere repetition
        until = min(self.next_after(stream, actual), max(stored))
        if until <= actual:
            self.fault(f"{told}, though all of its events were stored by then, up to seq {max(stored)}")
            return
        self.moments.append(Moment(publish, actual, until - 1, f"was told that {stream} ends at seq {actual}"))

    # ---- readers

    def matching(self, passing, after, through):
        """The seqs in a part of the log that pass a filter."""
        if passing == Filter():
            return range(after + 1, through + 1)
        seqs = self.all_matching(passing)
        return seqs[bisect_right(seqs, after):bisect_right(seqs, through)]

    def all_matching(self, passing):
        if passing not in self.chosen:
            self.chosen[passing] = [s for s in self.order if passing.passes(self.log[s])]
        return self.chosen[passing]

    def next_match(self, passing, after):
        return after + 1 if passing == Filter() else following(self.all_matching(passing), after)

    def reader(self, reader):
        """What a reader saw is all that it should have seen up to there, in order."""
        seqs = [row.seq for row in reader.rows]
        before = getattr(reader, "before", None) or inf
        last = max(seqs, default=reader.after)
        wanted = self.matching(reader.filter, reader.after, min(max(last, reader.through), before - 1))
        if seqs != list(wanted):
            self.other_sequence(reader, seqs, wanted)
        if isinstance(reader, Read):
            next_seq = self.next_match(reader.filter, last)
            low = max(seqs + [reader.through])
            high = next_seq - 1 if reads_on(reader) and next_seq < before else inf
            self.moments.append(Moment(reader, low, max(low, high), f"ends at seq {last}"))

    def other_sequence(self, reader, seqs, wanted):
        """Names the first difference."""
        i = next((i for i, (a, b) in enumerate(zip(seqs, wanted)) if a != b), min(len(seqs), len(wanted)))
        seen = seqs[i] if i < len(seqs) else None
        if seen in seqs[:i]:
            self.fault(f"{reader} sees seq {seen} again, after seq {seqs[i - 1]}")
        elif seen is not None and not reader.filter.passes(self.log[seen]):
            self.fault(f"{reader} sees seq {seen}, {name(self.log[seen])}, which its filter leaves out")
        elif seen is not None and seen not in wanted:
            self.fault(f"{reader} sees seq {seen}, which it did not ask for")
        elif wanted[i] in seqs:
            self.fault(f"{reader} sees another order: seq {seen} before seq {wanted[i]}")
        elif wanted[i] not in self.log:
            self.fault(f"{reader} sees a hole: there is no seq {wanted[i]}")
        else:
            self.fault(f"{reader} skips seq {wanted[i]}, {name(self.log[wanted[i]])}{self.by(wanted[i])}")

    # ---- time

    def whole(self, length):
        """The least length of a log that ends with no part of a request and has this length at least."""
        return max(length, self.last.get(self.owner.get(length), 0))

    def real_time(self):
        """Whatever was answered before a request was sent is true for it."""
        self.moments += [Moment(h, h.seq, h.seq, f"is {h.seq}") for h in self.heads]
        points = [(m.operation.begin, 0, m, 0) for m in self.moments]
        points += [(m.operation.end, 1, m, 0) for m in self.moments if m.operation.end is not None]
        points += [(at, 2, f, row.seq) for f in self.readers if isinstance(f, Follow) for at, row in zip(f.times, f.rows)]
        points += [(f.end, 2, f, f.through) for f in self.readers if isinstance(f, Follow)]
        points.sort(key=itemgetter(0, 1))
        length, known_by = 0, ""
        for _, kind, what, seq in points:
            if kind == 0:
                whole = self.whole(what.low)
                if whole > what.high:
                    self.fault(f"{what.text}, with a part of the events of {self.owner[what.low]}, which go on to seq {whole}")
                if length > what.high:
                    self.fault(f"{what.text}, so the log had at most {what.high} events; but before that was sent, {known_by}")
                what.low = max(whole, length)
            else:
                reached = self.whole(seq) if kind == 2 else what.stored or what.low
                if reached > length:
                    length = reached
                    known_by = f"{what} saw seq {seq}" if kind == 2 else what.text


def judge(operations):
    """The faults of a history, one sentence each."""
    return Judge(operations).faults


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: judge.py HISTORY.ndjson")
    gc.disable()  # millions of tuples and no cycles
    operations = load(sys.argv[1])
    faults = judge(operations)
    for fault in faults:
        print(fault)
    print(f"{len(operations)} operations: " + (f"{len(faults)} faults" if faults else "one order explains them"))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
