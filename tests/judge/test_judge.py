#!/usr/bin/env python3
"""The judge accepts what a store could have answered, and finds one planted error of each kind in it.

Histories come from a tiny model of a store, under clients whose requests overlap; what is random comes from a seed.
"""

import copy
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from history import PIECE, Event, Filter, Follow, Head, Publish, Read, Recorder, Row, digest, dump, load  # noqa: E402
from judge import judge  # noqa: E402

SEEDS = range(6)
SMALL = 1500  # histories of which all orders are tried
STREAMS = ("a1", "a2", "b1")
FILTERS = (Filter(), Filter(), Filter(("a*",)), Filter(("b1",), ("t1",)), Filter((), ("t0", "t2")))
STEP = 100  # between the moments at which two operations take effect; they begin and end up to three of them earlier and later


class Store:
    """The model: a log, ids, and operations that take effect one after another."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.log, self.ids, self.operations = [], {}, []
        self.now, self.made = 0, 0
        self.follows = [Follow(0, f"follower{i}", 0, None, [], [], 0, f) for i, f in enumerate(FILTERS)]

    def last(self, stream):
        return next((row.seq for row in reversed(self.log) if row.stream == stream), 0)

    def around(self, settled=False):
        """When the next operation begins and ends; a settled one overlaps with none."""
        self.now += STEP * (8 if settled else 1)
        reach = 1 if settled else STEP * 3
        return self.now - self.random.randint(1, reach), self.now + self.random.randint(1, reach)

    def add(self, kind, *arguments, settled=False, **members):
        begin, end = self.around(settled)
        operation = kind(len(self.operations) + 1, f"client{self.random.randrange(4)}", begin, end, *arguments, **members)
        self.operations.append(operation)
        self.now += STEP * 4 * settled
        return operation

    def event(self, stream=None, id_=""):
        """A new one; half of them have an id."""
        self.made += 1
        id_ = id_ or self.random.choice([None, f"n{self.made}"])
        return Event(stream or self.random.choice(STREAMS), self.random.choice(["t0", "t1", "t2"]), id_, f"d{self.made}")

    def store(self, events):
        """What the receipt says."""
        before, seqs, duplicates = len(self.log), [], 0
        for event in events:
            seq = self.ids.get((event.stream, event.id)) if event.id else None
            duplicates += seq is not None
            if seq is None:
                seq = len(self.log) + 1
                self.log.append(Row(seq, f"2026-01-01T00:00:{self.now // 1000:07d}Z", *event))
                if event.id:
                    self.ids[event.stream, event.id] = seq
            seqs.append(seq)
        count = len(self.log) - before
        first, last = (before + 1, len(self.log)) if count else (min(seqs), max(seqs))
        return {"first": first, "last": last, "count": count, "duplicates": duplicates, **({"seqs": seqs} if duplicates else {})}

    def undo(self, size):
        for row in self.log[-size:]:
            self.ids.pop((row.stream, row.id), None)
        del self.log[-size:]

    def publish(self, events=None, expect=None, outcome="answered", **members):
        events = events or [self.event() for _ in range(self.random.choice([1, 1, 2, 5]))]
        last = self.last(events[0].stream)
        publish = self.add(Publish, events, expect, **members)
        if outcome == "refused":
            publish.status, publish.reply = 503, {"status": 503}
        elif outcome == "lost":
            publish.end = None
        elif expect not in (None, last) and not all(e.id and (e.stream, e.id) in self.ids for e in events):
            publish.status, publish.reply = 409, {"expected": expect, "actual": last}
        else:
            publish.status, publish.reply = 201, self.store(events)
        if outcome == "unknown":
            publish.end, publish.status, publish.reply = None, None, {}
        return publish

    def read(self, after=0, before=None, limit=None, passing=Filter(), complete=True, settled=False):
        rows = [r for r in self.log if after < r.seq < (before or 1 << 60) and passing.passes(r)][:limit]
        if not complete:
            rows = rows[:self.random.randint(0, len(rows))]
        return self.add(Read, rows, after, before, limit, passing, complete, settled=settled)

    def head(self):
        return self.add(Head, len(self.log))

    def deliver(self):
        """Followers get on, each by some."""
        for follow in self.follows:
            seen = max([follow.through] + [r.seq for r in follow.rows])
            for row in self.log[seen:self.random.randint(seen, len(self.log))]:
                follow.through = row.seq
                if follow.filter.passes(row):
                    follow.rows.append(row)
                    follow.times.append(self.now + self.random.randint(1, 9))

    def step(self):
        pick = self.random.random()
        old = self.random.choice(self.log) if self.log else Row(0, "", *self.event(id_="old"))
        head = len(self.log)
        if pick < 0.35:
            self.publish(outcome=self.random.choice(["answered"] * 5 + ["refused", "lost", "unknown", "unknown"]))
        elif pick < 0.5:
            again = [old.event] if old.id else []
            self.publish(again + [self.event() for _ in range(self.random.randint(1 - len(again), 2))])
        elif pick < 0.7:
            stream = self.random.choice(STREAMS)
            expect = self.random.choice([self.last(stream), self.last(stream), old.seq])
            self.publish([self.event(stream) for _ in range(2)], expect)
        elif pick < 0.9:
            after = self.random.randint(0, head)
            self.read(after, self.random.choice([None, after + self.random.randint(2, 20)]), self.random.choice([None, 3, 10]),
                      self.random.choice(FILTERS), self.random.random() < 0.9)
        else:
            self.head()
        if self.random.random() < 0.3:
            self.deliver()

    def finish(self):
        """The whole history, which ends with a read of everything."""
        self.now += STEP * 8
        for follow in self.follows:
            follow.number, follow.end = len(self.operations) + 1, self.now
            self.operations.append(follow)
        self.whole = self.read(settled=True)
        return self


def random_store(seed, steps=150):
    store = Store(seed)
    for _ in range(steps):
        store.step()
    store.now += STEP * 4
    return store


class Judged(unittest.TestCase):

    def setUp(self):
        self.stores = [random_store(seed) for seed in SEEDS]

    def planted(self, plant):
        """Plants an error into each history. `plant(store, random)` returns what the message must say."""
        for seed, store in enumerate(self.stores):
            with self.subTest(seed=seed):
                legal = copy.deepcopy(store).finish()
                self.assertEqual(judge(legal.operations), [])
                words = plant(store, random.Random(seed))
                faults = judge(store.operations)
                self.assertTrue(any(all(str(w) in fault for w in words) for fault in faults), f"{words} not in {faults}")

    @staticmethod
    def some(store, choose, holds):
        """One of the operations that `holds`."""
        return choose.choice([o for o in store.operations if holds(o)])


def stored(operation):
    """An acknowledged request of new events only."""
    return isinstance(operation, Publish) and operation.status == 201 and not operation.reply["duplicates"]


def follower_of_all(operation):
    return isinstance(operation, Follow) and operation.filter == Filter() and len(operation.rows) >= 20


def filtered_reader(operation):
    return isinstance(operation, (Read, Follow)) and operation.filter != Filter() and len(operation.rows) >= 5


class Legal(Judged):

    def test_longer_histories_are_accepted(self):
        for seed in range(100, 104):
            store = random_store(seed, 600).finish()
            self.assertEqual(judge(store.operations), [])

    def test_every_prefix_of_a_record_is_accepted(self):
        store = random_store(7, 60).finish()
        for size in range(len(store.operations)):
            cut = copy.deepcopy(store.operations[:size])
            self.assertEqual(judge(cut), [], size)

    def test_a_history_is_the_same_after_a_file(self):
        store = random_store(8)
        store.publish([store.event() for _ in range(2 * PIECE)])
        store.finish()
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "history.ndjson")
            dump(store.operations, path)
            self.assertEqual([vars(o) for o in load(path)], [vars(o) for o in store.operations])
            self.assertEqual(self.run_judge(path), (0, f"{len(store.operations)} operations: one order explains them\n"))
            store.operations[-1].rows.pop()
            dump(store.operations, path)
            code, text = self.run_judge(path)
            self.assertEqual((code, text.splitlines()[:-1]), (1, judge(store.operations)))

    @staticmethod
    def run_judge(path):
        done = subprocess.run([sys.executable, "-B", os.path.join(HERE, "judge.py"), path], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    def test_a_recorder_takes_operations_from_many_threads(self):
        with tempfile.TemporaryDirectory() as directory:
            recorder = Recorder(os.path.join(directory, "history.ndjson"))
            log, lock = [], threading.Lock()

            def client(name):
                following = recorder.follow(name, 0)
                for i in range(50):
                    document = {"stream": name, "type": "t", "id": str(i), "data": {"i": i}}
                    begin = time.monotonic_ns()
                    pending = recorder.publish(name, [document])
                    with lock:
                        seq = len(log) + 1
                        log.append({**document, "seq": seq, "time": ""})
                        page = log[:]
                    if i % 5:
                        pending.answered(201, {"first": seq, "last": seq, "count": 1, "duplicates": 0})
                    recorder.read(name, begin, page)
                    recorder.head(name, begin, len(page))
                for row in log[:40]:
                    following.saw(row)
                following.end()

            threads = [threading.Thread(target=client, args=(f"client{i}",)) for i in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            recorder.flush()
            with open(recorder.path, "a", encoding="utf-8") as file:
                file.write('{"op":"read","num')  # somebody is writing
            operations = load(recorder.path)
            recorder.close()
        self.assertEqual(judge(operations), [])
        self.assertEqual(len(operations), 4 * 50 * 3 + 4)
        self.assertEqual(operations[0].events[0].data, digest({"i": 0}))


class Requests(Judged):

    def test_a_lost_acknowledged_event(self):
        def plant(store, _):
            publish = store.publish([store.event()], settled=True)
            store.finish().whole.rows.pop()
            return store.whole, "so the log had at most", publish, f"stored seq {publish.reply['first']}"
        self.planted(plant)

    def test_half_of_an_acknowledged_batch(self):
        def plant(store, _):
            publish = store.publish([store.event() for _ in range(3)], settled=True)
            store.finish().whole.rows.pop()
            return store.whole, f"ends at seq {publish.reply['first'] + 1}, with a part of the events of", publish
        self.planted(plant)

    def test_half_of_a_batch_of_unknown_outcome(self):
        def plant(store, _):
            publish = store.publish([store.event() for _ in range(4)], outcome="lost", settled=True)
            store.store(publish.events[:2])
            first = len(store.log) - 1
            store.finish()
            return publish, "outcome unknown", "is stored by half", f"2 of 4 events, under seq {first}, {first + 1}"
        self.planted(plant)

    def test_the_middle_of_a_batch_of_unknown_outcome_is_missing(self):
        def plant(store, _):
            publish = store.publish([store.event() for _ in range(3)], outcome="lost", settled=True)
            store.store([publish.events[0], publish.events[2]])
            store.publish(settled=True)
            store.finish()
            return publish, "is stored by half", publish.events[1].data if publish.events[1].id is None else publish.events[1].id
        self.planted(plant)

    def test_a_doubled_event(self):
        def plant(store, choose):
            row = choose.choice([r for r in store.log if r.id is None])
            store.store([row.event])
            store.finish()
            return row.data, "stored more often than it was published", f"seq {row.seq}, {len(store.log)}"
        self.planted(plant)

    def test_an_id_stored_twice(self):
        def plant(store, choose):
            row = choose.choice([r for r in store.log if r.id is not None])
            del store.ids[row.stream, row.id]
            publish = store.publish([row.event], settled=True)
            store.finish()
            return f"{row.stream}/{row.id} is stored twice, under seq {row.seq}", f"and seq {publish.reply['first']} ({publish})"
        self.planted(plant)

    def test_two_events_under_one_seq(self):
        def plant(store, choose):
            store.finish()
            follow = self.some(store, choose, follower_of_all)
            i = choose.randrange(10)
            follow.rows[i] = Row(*follow.rows[i][:2], *store.event())
            return f"two events under seq {follow.rows[i].seq}", follow, store.whole
        self.planted(plant)

    def test_two_requests_are_told_the_same_seq(self):
        def plant(store, choose):
            publish = self.some(store, choose, stored)
            other = store.add(Publish, [publish.events[0]], None, 201, {**publish.reply, "count": 1, "last": publish.reply["first"]})
            store.finish()
            return "two requests were told", f"seq {publish.reply['first']}", publish, other
        self.planted(plant)

    def test_a_batch_is_torn_apart(self):
        def plant(store, _):
            batch = store.publish([store.event() for _ in range(2)], outcome="lost")
            single = store.publish([store.event()], outcome="lost")
            store.store([batch.events[0], single.events[0], batch.events[1]])
            store.finish()
            last = len(store.log)
            return batch, "torn apart", f"seq {last - 2}, {last}"
        self.planted(plant)

    def test_an_acknowledged_batch_is_torn_apart(self):
        def plant(store, _):
            single = store.publish([store.event()], outcome="lost")
            batch = store.publish([store.event() for _ in range(2)], settled=True)
            head = len(store.log)
            store.undo(2)
            store.store([batch.events[0], single.events[0], batch.events[1]])
            store.finish()
            return batch, "torn apart", f"seq {head - 1}, {head + 1}"
        self.planted(plant)

    def test_a_batch_out_of_order(self):
        def plant(store, choose):
            outcome = choose.choice(["lost", "answered"])
            batch = store.publish([store.event() for _ in range(3)], outcome=outcome, settled=True)
            if outcome == "answered":
                store.undo(3)
            store.store(batch.events[::-1])
            store.finish()
            last = len(store.log)
            return batch, "out of order", f"seq {last}, {last - 1}, {last - 2}"
        self.planted(plant)

    def test_wrong_content(self):
        def plant(store, choose):
            publish = store.publish([store.event(id_=choose.choice(["", "named"])) for _ in range(1)], settled=True)
            store.log[-1] = store.log[-1]._replace(data="spoilt")
            store.finish()
            return publish, publish.reply["first"], "content" if publish.events[0].id else "is missing"
        self.planted(plant)

    def test_a_refused_event_is_stored(self):
        def plant(store, _):
            publish = store.publish([store.event()], outcome="refused")
            store.store(publish.events)
            store.finish()
            return publish, f"seq {len(store.log)}", "refused with 503"
        self.planted(plant)

    def test_an_event_that_nobody_published(self):
        def plant(store, _):
            store.store([store.event()])
            store.finish()
            return f"seq {len(store.log)} is", "which nobody published"
        self.planted(plant)

    def test_the_wrong_original_of_a_duplicate(self):
        def plant(store, choose):
            row = choose.choice([r for r in store.log if r.id is not None])
            other = choose.choice([r for r in store.log if r.seq != row.seq])
            publish = store.publish([row.event], settled=True)
            publish.reply.update(first=other.seq, last=other.seq, seqs=[other.seq])
            store.finish()
            return publish, f"is seq {other.seq}, and it is seq {row.seq}"
        self.planted(plant)

    def test_a_wrong_count(self):
        def plant(store, choose):
            old = choose.choice([r for r in store.log if r.id is not None])
            publish = store.publish([store.event(), old.event, store.event()], settled=True)
            change = choose.choice([{"count": 3, "duplicates": 0}, {"count": 1, "duplicates": 2}, {"count": 3}, {"last": old.seq}])
            publish.reply.update(change)
            store.finish()
            return publish, "numbers that do not agree"
        self.planted(plant)

    def test_both_of_two_requests_are_told_that_theirs_is_a_duplicate(self):
        def plant(store, _):
            event = store.event(id_="both")
            first, second = (store.publish([event], settled=True) for _ in range(2))
            first.reply = second.reply
            store.finish()
            return f"seq {len(store.log)} is {event.stream}/both, which nobody published",
        self.planted(plant)


class Expectations(Judged):

    def test_a_success_that_should_have_been_refused(self):
        def plant(store, choose):
            stream = choose.choice(STREAMS)
            last = store.last(stream)
            publish = store.publish([store.event(stream)], last, settled=True)
            publish.expect = choose.choice([last - 1, len(store.log), 0])
            store.finish()
            return publish, f"succeeded with expect={publish.expect}", f"the last seq of {stream} was {last}"
        self.planted(plant)

    def test_the_same_of_an_unknown_outcome(self):
        def plant(store, choose):
            stream = choose.choice(STREAMS)
            last = store.last(stream)
            publish = store.publish([store.event(stream)], last, outcome="unknown", settled=True)
            publish.expect = 0
            store.finish()
            return publish, f"expected 0 and the stream's last seq was {last}"
        self.planted(plant)

    def test_a_refusal_with_the_last_seq_of_another_moment(self):
        def plant(store, choose):
            stream = choose.choice(STREAMS)
            old = store.last(stream)
            newer = store.publish([store.event(stream)], settled=True)
            refused = store.publish([store.event(stream)], old, settled=True)
            refused.expect, refused.reply = old + 1, {"expected": old + 1, "actual": old}
            store.finish()
            return refused, f"{stream} ends at seq {old}", "before that was sent", newer
        self.planted(plant)

    def test_a_refusal_with_a_seq_of_another_stream(self):
        def plant(store, choose):
            other = choose.choice([r for r in store.log if r.stream != "a1"])
            refused = store.publish([store.event("a1")], 1 << 20, settled=True)
            refused.reply["actual"] = other.seq
            store.finish()
            return refused, f"actual {other.seq}", "no event of a1"
        self.planted(plant)

    def test_a_refusal_with_a_seq_that_was_never_stored(self):
        def plant(store, _):
            refused = store.publish([store.event("a1")], 1 << 20, settled=True)
            refused.reply["actual"] = len(store.log) + 1
            store.finish()
            return store.whole, "before that was sent", refused, f"a1 ends at seq {len(store.log) + 1}"
        self.planted(plant)

    def test_a_refusal_that_contradicts_itself(self):
        def plant(store, _):
            refused = store.publish([store.event("a1")], 1 << 20, settled=True)
            refused.reply["actual"] = refused.expect
            store.finish()
            return refused, "does not go with expect"
        self.planted(plant)

    def test_a_repetition_is_refused(self):
        def plant(store, _):
            event, last = store.event("a1", "once"), store.last("a1")
            store.publish([event], last, settled=True)
            again = store.add(Publish, [event], last, 409, {"expected": last, "actual": store.last("a1")})
            store.finish()
            return again, "though all of its events were stored"
        self.planted(plant)

    def test_a_success_against_real_time(self):
        def plant(store, _):
            publish = store.publish([store.event("a1")], store.last("a1"), settled=True)
            later = store.publish([store.event("b1")], settled=True)
            store.now += STEP
            publish.begin, publish.end = store.now, store.now + 1
            store.finish()
            return publish, f"stored seq {publish.reply['first']}", "before that was sent", later
        self.planted(plant)


class Readers(Judged):

    def test_a_reader_skips(self):
        def plant(store, choose):
            store.finish()
            follow = self.some(store, choose, follower_of_all)
            row = follow.rows.pop(choose.randrange(10))
            return follow, f"skips seq {row.seq}"
        self.planted(plant)

    def test_a_hole(self):
        def plant(store, _):
            unknown = store.publish([store.event()], outcome="unknown", settled=True)
            store.publish(settled=True)
            row = store.log.pop(next(i for i, r in enumerate(store.log) if r.event == unknown.events[0]))
            store.finish()
            return store.whole, f"there is no seq {row.seq}"
        self.planted(plant)

    def test_a_reader_repeats(self):
        def plant(store, choose):
            store.finish()
            follow = self.some(store, choose, follower_of_all)
            i = choose.randrange(10)
            follow.rows.insert(i + 1, follow.rows[i])
            follow.times.insert(i + 1, follow.times[i])
            return follow, f"sees seq {follow.rows[i].seq} again"
        self.planted(plant)

    def test_a_reader_sees_another_order(self):
        def plant(store, choose):
            store.finish()
            follow = self.some(store, choose, follower_of_all)
            i = choose.randrange(10)
            follow.rows[i:i + 2] = follow.rows[i + 1], follow.rows[i]
            return follow, "another order", follow.rows[i].seq, follow.rows[i + 1].seq
        self.planted(plant)

    def test_an_event_is_seen_and_lost(self):
        def plant(store, choose):
            store.deliver()
            lost = store.publish([store.event()], outcome="unknown", settled=True)
            while not store.follows[0].rows or store.follows[0].rows[-1].seq < len(store.log):
                store.deliver()
            store.finish().whole.rows.pop()
            return store.whole, "before that was sent", "follow", f"saw seq {store.log[-1].seq}"
        self.planted(plant)

    def test_a_filtered_reader_misses_one(self):
        def plant(store, choose):
            store.finish()
            reader = self.some(store, choose, filtered_reader)
            row = reader.rows.pop(choose.randrange(4))
            if isinstance(reader, Read) and reader.limit:
                reader.limit -= 1
            return reader, f"skips seq {row.seq}"
        self.planted(plant)

    def test_a_filtered_reader_misses_one_before_its_checkpoint(self):
        def plant(store, choose):
            store.finish()
            reader = self.some(store, choose, lambda o: isinstance(o, Follow) and o.filter != Filter() and o.rows)
            row = reader.rows.pop()
            return reader, f"skips seq {row.seq}"
        self.planted(plant)

    def test_a_filtered_reader_gets_a_foreign_one(self):
        def plant(store, choose):
            store.finish()
            reader = self.some(store, choose, filtered_reader)
            row = next(r for r in store.log[reader.rows[0].seq:] if not reader.filter.passes(r))
            reader.rows = sorted(reader.rows + [row])
            return reader, f"sees seq {row.seq}", "filter leaves out"
        self.planted(plant)

    def test_a_reader_gets_what_lies_before_its_position(self):
        def plant(store, _):
            read = store.read(after=10, settled=True)
            read.rows.insert(0, store.log[9])
            store.finish()
            return read, "sees seq 10, which it did not ask for"
        self.planted(plant)

    def test_time_decreases(self):
        def plant(store, choose):
            i = choose.randrange(5, len(store.log) - 5)
            store.log[i] = store.log[i]._replace(time="2025")
            for operation in store.operations + store.follows:
                if isinstance(operation, (Read, Follow)):
                    operation.rows = [store.log[r.seq - 1] for r in operation.rows]
            store.finish()
            return "time decreases", f"seq {i}", f"to 2025 at seq {i + 1}"
        self.planted(plant)

    def test_two_readers_see_different_times(self):
        def plant(store, choose):
            store.finish()
            follow = self.some(store, choose, follower_of_all)
            follow.rows[3] = follow.rows[3]._replace(time="2025")
            return follow, store.whole, "sees seq 4 at the time 2025"
        self.planted(plant)

    def test_readers_see_different_contents(self):
        def plant(store, choose):
            store.finish()
            follow = self.some(store, choose, follower_of_all)
            i = next(i for i, row in enumerate(follow.rows) if row.id)
            follow.rows[i] = follow.rows[i]._replace(data="spoilt")
            return follow, store.whole, f"under seq {i + 1} with another content"
        self.planted(plant)

    def test_a_stale_read(self):
        def plant(store, choose):
            publish = store.publish([Event("a1", "t0", None, "fresh")], settled=True)
            read = store.read(after=len(store.log) - choose.randint(3, 8), passing=choose.choice([Filter(), Filter(("a*",))]), settled=True)
            read.rows.pop()
            store.finish()
            return read, "so the log had at most", publish, "before that was sent"
        self.planted(plant)

    def test_the_head_goes_back(self):
        def plant(store, _):
            store.publish(outcome="unknown", settled=True)
            heads = [store.add(Head, len(store.log) - i, settled=True) for i in range(2)]
            store.finish()
            return f"{heads[1]} is {len(store.log) - 1}", f"{heads[0]} is {len(store.log)}"
        self.planted(plant)

    def test_the_head_is_within_a_batch(self):
        def plant(store, _):
            batch = store.publish([store.event() for _ in range(3)])
            head = store.add(Head, batch.reply["first"])
            head.begin = batch.begin
            store.finish()
            return head, "with a part of the events of", batch
        self.planted(plant)


class AllOrders(unittest.TestCase):
    """Small histories, legal or with anything in them changed, judged as by somebody who tries every order of their operations."""

    @staticmethod
    def follows(state, operation):
        """The states that come after a state, if an operation takes effect there and is answered as it was."""
        if not isinstance(operation, Publish):
            rows = [r[:1] + r[2:] for r in state.log if operation.filter.passes(r)] if isinstance(operation, Read) else None
            fine = rows == [r[:1] + r[2:] for r in operation.rows] if isinstance(operation, Read) else operation.seq == len(state.log)
            return [state] if fine else []
        events, last = operation.events, state.last(operation.events[0].stream)
        refused = operation.expect not in (None, last) and not all((e.stream, e.id) in state.ids for e in events)
        if operation.status == 503:
            return [state]
        if operation.status == 409:
            return [state] if refused and operation.reply == {"expected": operation.expect, "actual": last} else []
        after = Store(0)
        after.log, after.ids = state.log[:], dict(state.ids)
        reply = None if refused else after.store(events)
        if operation.status is None:
            return [state] if refused else [state, after]
        return [after] if reply == operation.reply else []

    def explained(self, state, left):
        """Is there an order of the operations that are left?"""
        first_end = min((o.end for o in left if o.end is not None), default=1 << 60)
        return not left or any(
            self.explained(after, [o for o in left if o is not operation])
            for operation in left if operation.begin <= first_end for after in self.follows(state, operation))

    @staticmethod
    def small(choose, seed):
        store = Store(seed)
        events = [Event(stream, "t0", id_, "d") for stream, id_ in (("a1", "1"), ("a1", "2"), ("b1", "1"))]
        for i in range(5):
            pick = choose.random()
            if pick < 0.7:
                fresh = [Event(choose.choice(("a1", "b1")), "t0", None, f"{i}.{k}") for k in (0, 1)]
                batch = choose.choice([events[:1], events[1:2], events[2:], fresh, [choose.choice(events)._replace(data=str(i)), fresh[0]]])
                expect = choose.choice([None, store.last(batch[0].stream), choose.randrange(5)])
                if len({e.stream for e in batch}) > 1:
                    expect = None
                store.publish(batch, expect, choose.choice(["answered"] * 3 + ["lost", "unknown"]))
            elif pick < 0.85:
                store.read(passing=choose.choice([Filter(), Filter(("a1",))]))
            else:
                store.head()
        store.now += STEP * 8
        store.read(settled=True)
        return store.operations

    @staticmethod
    def change(operations, choose):
        operation = choose.choice(operations[:-1])
        pick = choose.random()
        if pick < 0.4 and operation.end is not None:
            operation.begin += choose.choice([-300, 300])
            operation.end += choose.choice([0, 300]) if operation.begin < operation.end else 600
        elif isinstance(operation, Head):
            operation.seq = max(0, operation.seq + choose.choice([-1, 1]))
        elif isinstance(operation, Read):
            del operation.rows[-1:]
        elif operation.status == 409:
            operation.reply["actual"] = choose.randrange(6)
        elif operation.expect is not None:
            operation.expect = choose.randrange(6)
        elif operation.status == 201 and pick < 0.7:
            operation.status, operation.end, operation.reply = None, None, {}
        elif operation.status == 201 and not operation.reply["duplicates"]:
            operation.reply = {**operation.reply, "first": operation.reply["first"] + 1, "last": operation.reply["last"] + 1}
        del operations[-1].rows[len(operations[-1].rows) - (choose.random() < 0.1):]

    def test_the_judge_agrees_with_trying_all_orders(self):
        verdicts = []
        for seed in range(SMALL):
            choose = random.Random(seed)
            operations = self.small(choose, seed)
            for _ in range(choose.randrange(3)):
                self.change(operations, choose)
            faults = judge(operations)
            verdicts.append(not faults)
            self.assertEqual(not faults, self.explained(Store(0), operations), (seed, faults, [vars(o) for o in operations]))
        self.assertGreater(verdicts.count(False), SMALL // 5)
        self.assertGreater(verdicts.count(True), SMALL // 5)


if __name__ == "__main__":
    unittest.main()
