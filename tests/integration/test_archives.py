#!/usr/bin/env python3
"""Retention and archives: what leaves the log is read from archives without a seam, or told as a gap."""

import hashlib
import http.client
import itertools
import json
import os
import subprocess
import threading
import time
import unittest

from case import TidemarkTest
from client import stored
from command import command
from load import memory, scaled
from store import edited
from text import JSON, NDJSON, ndjson, seqs
from waiting import Task, wait_until
from wire import Wire

ZSTD = "application/zstd"
LOST = (OSError, http.client.HTTPException)  # what a client of a killed server sees


def unzstd(packed):
    """What any reader of zstd makes of it."""
    done = subprocess.run(["zstd", "-dcq"], input=packed, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def zstd(plain, *options):
    return subprocess.run(["zstd", "-cq", *options], input=plain, capture_output=True, check=True).stdout


class ArchiveTest(TidemarkTest):

    STREAMS, TYPES = ("a", "b", "ü\"c"), ("x", "y")

    def batch(self, first, count, size=40):
        return [{"stream": self.STREAMS[n % 3], "type": self.TYPES[n % 2], "id": f"i{n}",
                 "data": {"n": n, "pad": f"{n * 7919 % 9973:05d}" * (size // 5)}}
                for n in range(first, first + count)]

    def archive_dir(self, server):
        return os.path.join(server.data, "archives")

    def archives(self, server):
        return server.get("/v1/archives").json()["archives"]

    def archived(self, server):
        """The last seq that is in an archive."""
        return max((m["last"] for m in self.archives(server)), default=0)

    def wait_archived(self, server, seq):
        return wait_until(lambda: self.archived(server) >= seq, f"event {seq} is archived")

    def grow(self, server, parts, per_part=60):
        """A store that has so many archives, and a little log; returns all lines as they were published."""
        head, lines = server.head(), []
        for _ in range(parts):
            server.publish_lines(self.batch(head, per_part))
            lines += server.lines(after=head)
            head += per_part
            made = stored(server.request("POST", "/v1/archives", after=head - per_part))
            self.assertEqual((made["first"], made["last"]), (head - per_part + 1, head))
        return lines


class Retention(ArchiveTest):

    def check_all_forms(self, server, lines):
        """Everything from the first event on, by every way to read."""
        events = [json.loads(line) for line in lines]
        head = len(events)
        self.assertEqual(seqs(events), list(range(1, head + 1)))
        self.assertEqual(server.lines(), lines)
        self.assertEqual(server.reader(after=0).events(head), events)
        self.assertEqual(server.sse(after=0).events(head), events)
        self.assertEqual(server.lines(order="desc"), lines[::-1])
        for order, own in (("asc", "after"), ("desc", "before")):
            pages, query = [], {}
            while query is not None:
                page = server.history(order=order, limit=97, **query)
                self.assertNotIn("gap", page)
                pages += page["events"]
                query = {own: page["next"]} if page["next"] else None
            self.assertEqual(pages, events if order == "asc" else events[::-1])
        for seq in range(1, head + 1, max(1, head // 40)):
            self.assertEqual(server.event_text(seq), lines[seq - 1])
        running = self.start("tail", server.url, "--after", "0")
        self.assertEqual(running.wait_lines(head), lines)

    def check_filters(self, server, lines):
        events = [json.loads(line) for line in lines]
        for stream, type_ in itertools.product([None, *self.STREAMS, "none"], [None, *self.TYPES]):
            query = {name: value for name, value in (("stream", stream), ("type", type_)) if value}
            wanted = [e for e in events if all(e[name] == value for name, value in query.items())]
            with self.subTest(query):
                self.assertEqual(server.lines(**query), [lines[s - 1] for s in seqs(wanted)])
                self.assertEqual(server.lines(order="desc", limit=5, **query),
                                 [lines[s - 1] for s in seqs(wanted)][::-1][:5])
                self.assertEqual(server.reader(after=0, **query).events(len(wanted)), wanted)
        middle = events[len(events) // 3]["time"]
        self.assertEqual(server.lines(since=middle), [l for l, e in zip(lines, events) if e["time"] >= middle])
        self.assertEqual(server.lines(until=middle), [l for l, e in zip(lines, events) if e["time"] < middle])
        for after, before in ((10, 20), (0, 2), (len(lines) - 2, len(lines) + 1), (5, len(lines))):
            self.assertEqual(server.lines(after=after, before=before), lines[after:before - 1])
            self.assertEqual(server.lines(after=after, before=before, order="desc"), lines[after:before - 1][::-1])

    def publish_all(self, server, count, size=100):
        for first in range(0, count, size):
            server.publish_lines(self.batch(first, size))

    def test_replay_crosses_from_archives_to_the_log_without_a_seam(self):
        server = self.serve("--retain-events", "150", "--ring", "64KiB")
        lines = []
        for part in range(6):
            server.publish_lines(self.batch(part * 200, 200))
            lines += server.lines(after=part * 200)
            self.wait_archived(server, part * 200 + 50)
        self.assertGreaterEqual(len(self.archives(server)), 6)
        self.check_all_forms(server, lines)
        self.check_filters(server, lines)
        server.restart()
        self.check_all_forms(server, lines)
        self.assertEqual(server.publish({"data": "next"})["first"], len(lines) + 1)

    def test_by_bytes(self):
        server = self.serve("--retain-bytes", "1MiB")
        lines = []
        for part in range(5):
            server.publish_lines(self.batch(part * 500, 500, size=2000))
            lines += server.lines(after=part * 500)
        self.wait_archived(server, 1000)
        self.assertEqual(server.lines(), lines)

    def one_between_others(self, *options):
        """The first part of the log leaves, and nothing is lost."""
        server = self.serve(*options)
        server.publish_lines([{"stream": "b", "data": i} for i in range(50)])
        server.publish_lines([{"stream": "a", "data": 50}])
        server.publish_lines([{"stream": "b", "data": i} for i in range(51, 60)])
        # The log is cut at one place: what `a` holds back stays.
        self.wait_archived(server, 50)
        server.publish({"stream": "b", "data": "last"})
        self.assertEqual([e["data"] for e in server.everything()][:60], list(range(60)))
        self.assertEqual(self.archived(server), 50)

    def test_by_age_and_by_stream(self):
        self.one_between_others("--retain-age", "1s", "--retain-stream", "a=1h")

    def test_by_stream_alone(self):
        self.one_between_others("--retain-stream", "b=1s")

    def test_ids_are_known_after_their_events_have_left(self):
        server = self.serve("--retain-events", "50")
        events = self.batch(0, 200)
        server.publish_lines(events)
        self.wait_archived(server, 140)
        for _ in range(2):
            again = server.publish_lines(events)
            self.assert_receipt(again, count=0, duplicates=200, first=1, last=200, seqs=list(range(1, 201)))
            mixed = server.publish_lines([events[3], {"data": "new"}, events[150]])
            self.assert_receipt(mixed, count=1, duplicates=2)
            self.assertEqual((mixed["seqs"][0], mixed["seqs"][2]), (4, 151))
            server.restart()
        self.assertEqual(server.head(), 202)

    def test_readers_that_are_connected_lose_and_repeat_nothing(self):
        server = self.serve("--retain-events", "300", "--ring", "64KiB")
        count, size = scaled(60, 12), 100
        readers = [server.reader(after=0) for _ in range(3)] + [server.sse(after=0) for _ in range(3)]
        readers += [server.reader(after=0, stream="a"), server.sse(after=0, type="x")]
        wanted = [list(range(1, count * size + 1))] * 6
        numbers = range(count * size)
        wanted += [[n + 1 for n in numbers if n % 3 == 0], [n + 1 for n in numbers if n % 2 == 0]]
        tasks = [Task(lambda r=r, w=w: seqs(r.events(len(w)))) for r, w in zip(readers, wanted)]
        self.publish_all(server, count * size, size)
        for task, own in zip(tasks, wanted):
            self.assertEqual(task.result(), own)
        self.wait_archived(server, 1)

    def test_a_store_that_was_retained_a_hundred_times_replays_from_its_first_event(self):
        server = self.serve("--retain-events", "20", "--ring", "64KiB")
        lines = self.grow(server, scaled(110, 25))
        self.assertGreaterEqual(len(self.archives(server)), scaled(110, 25))
        wait_until(lambda: server.get("/v1/events/1").status == 200, "it settles")
        self.check_all_forms(server, lines)
        server.restart()
        self.check_all_forms(server, lines)
        chained = sorted(self.archives(server), key=lambda m: (m["first"], m["last"]))
        self.assertEqual(chained[0]["previous"], "0" * 64)


class WithoutArchives(ArchiveTest):

    def test_what_is_gone_is_a_gap_and_figures_go_down(self):
        server = self.serve("--retain-events", "100", "--archive", "none", "--ring", "64KiB")
        count = 400
        server.publish_lines(self.batch(0, count))
        first = wait_until(lambda: (f := server.history(limit=1)["first"]) > count - 120 and f, "it is cut")
        self.assertEqual(self.archives(server), [])
        self.check_gaps(server, first, count)
        self.check_figures(server)
        server.publish_lines(self.batch(count, 20))
        server.restart()
        wait_until(lambda: server.history(limit=1)["first"] == first + 20, "it is cut again")
        self.check_gaps(server, first + 20, count + 20)
        self.check_figures(server)

    def check_gaps(self, server, first, head):
        kept = list(range(first, head + 1))
        gap = {"op": "gap", "requested": 0, "first": first, "reason": "retention"}
        lines = [json.loads(line) for line in server.lines(after=0)]
        self.assertEqual((lines[0], seqs(lines[1:])), (gap, kept))
        page = server.history(after=0, limit=10000)
        self.assertEqual((page["gap"], seqs(page["events"]), page["first"]), (gap, kept, first))
        socket = server.reader(after=0)
        self.assertEqual((socket.receive(), seqs(socket.events(len(kept)))), (gap, kept))
        source = server.sse(after=0)
        self.assertEqual(source.message()[::2], ("gap", json.dumps(gap, separators=(",", ":"))))
        self.assertEqual(seqs(source.events(len(kept))), kept)
        lines = [json.loads(line) for line in server.lines(order="desc")]
        self.assertEqual((seqs(lines[:-1]), lines[-1]), (kept[::-1], gap))
        self.assert_problem(server.get("/v1/events/1"), 410)
        self.assert_problem(server.get(f"/v1/events/{first - 1}"), 410)
        self.assertEqual(server.event(first)["seq"], first)
        self.assertEqual(server.get("/v1/export", after=0).status, 410)

    def check_figures(self, server):
        recount = {}
        for line in server.lines(after="first"):
            event = json.loads(line)
            data = line[line.index(',"data":') + 8:-1]
            own = recount.setdefault(event["stream"], {"first": event["seq"], "count": 0, "bytes": 0})
            own["last"] = event["seq"]
            own["count"] += 1
            own["bytes"] += len(data.encode())

        def figures():
            streams = server.get("/v1/streams").json()["streams"]
            return {s["name"]: {k: s[k] for k in ("first", "last", "count", "bytes")} for s in streams}

        # Readers are led past what leaves before its commit, and the figures follow it.
        wait_until(lambda: figures() == recount, f"the figures are {recount}")

    def test_a_reader_that_is_overtaken_is_told_once(self):
        server = self.serve("--retain-events", "50", "--archive", "none", "--ring", "64KiB")
        socket = server.reader(after=0, receive_buffer=4096)
        for part in range(scaled(20, 8)):
            server.publish_lines(self.batch(part * 100, 100, size=2000))
        head = server.head()
        wait_until(lambda: server.history(limit=1)["first"] > head - 60, "it is cut")
        at = 0
        while at < head:
            event = socket.receive()
            if event.get("op") == "gap":
                self.assertEqual(event["requested"], at)
                self.assertGreater(event["first"], at + 1)
                at = event["first"] - 1
            elif "op" not in event:
                self.assertEqual(event["seq"], at + 1)
                at += 1


class Crashes(ArchiveTest):

    def test_kill_9_under_retention_leaves_every_event_once(self):
        server = self.serve("--retain-events", "100", "--ring", "64KiB")
        acked, lock = [], threading.Lock()

        def publish(name):
            client, number = server.http(), 0
            try:
                while not stop.is_set():
                    events = [{"stream": name, "id": f"{round_}.{number}.{i}", "data": i} for i in range(25)]
                    receipt = stored(client.request("POST", "/v1/events", ndjson(events),
                                                    {"Content-Type": NDJSON}))
                    number += 1
                    with lock:
                        acked.append((receipt["first"], receipt["last"], name))
            except LOST:
                pass

        for round_ in range(scaled(8, 3)):
            stop, sealed = threading.Event(), len(self.archives(server))
            tasks = [Task(publish, f"p{i}") for i in range(2)]
            wait_until(lambda: len(self.archives(server)) > sealed, "something is sealed")
            server.kill()
            stop.set()
            for task in tasks:
                task.result()
            server.start()
            events = server.everything()
            self.assertEqual(seqs(events), list(range(1, len(events) + 1)))
            self.assertEqual(len({(e["stream"], e["id"]) for e in events}), len(events))
            for first, last, name in acked:
                self.assertEqual({e["stream"] for e in events[first - 1:last]}, {name})
        # One more may be made at the moment; what a killed server has left is gone.
        wait_until(lambda: not [name for name in os.listdir(self.archive_dir(server)) if name.endswith(".part")],
                   "nothing is left of an archive")


class ArchiveApi(ArchiveTest):

    def test_archives_are_made_listed_and_fetched(self):
        server = self.serve()
        self.assertEqual(self.archives(server), [])
        self.assert_problem(server.request("POST", "/v1/archives"), 404, "no events")
        server.publish_lines(self.batch(0, 300))
        response = server.request("POST", "/v1/archives", after=0, before=201)
        made = stored(response)
        self.assertEqual((made["first"], made["last"], made["count"]), (1, 200, 200))
        self.assertEqual(response.headers["location"], f"/v1/archives/{made['file']}")
        self.assertEqual(made["file"], "1-200.ndjson.zst")
        self.assertEqual(stored(server.request("POST", "/v1/archives", before=201)), made)
        rest = stored(server.request("POST", "/v1/archives", after=200))
        self.assertEqual((rest["first"], rest["last"], rest["previous"]), (201, 300, made["chain"]))
        self.assertEqual(self.archives(server), [made, rest])
        file = server.get(response.headers["location"])
        self.assertTrue(file.headers["content-type"].startswith(ZSTD))
        self.assertEqual(len(file.body), made["bytes"])
        self.assertEqual(file.headers["content-length"], str(made["bytes"]))
        self.assertEqual(unzstd(file.body).decode().splitlines(), server.lines(before=201))
        self.assertEqual({"name": made["file"], **server.get("/v1/archives/1-200.json").json()}, made)
        for name in ("1-199.ndjson.zst", "x", "..%2f..%2ftidemark.db", "1-200.ndjson.zst%00", "lock", "201-300"):
            self.assert_problem(server.get(f"/v1/archives/{name}"), 404)
        for query in ({"after": "x"}, {"stream": "a"}, {"limit": 1}):
            self.assertEqual(server.request("POST", "/v1/archives", **query).status, 400, query)
        for query in ({"after": 300}, {"after": "head"}, {"after": 500}, {"until": "-1h"}):
            self.assert_problem(server.request("POST", "/v1/archives", **query), 404)
        self.check_digests(made, file.body)
        self.check_digests(rest, server.get(f"/v1/archives/{rest['name']}").body)
        self.assert_problem(server.request("POST", "/v1/archives", b'{"after":0}', {"Content-Type": JSON}), 400)
        self.assertEqual(server.lines(), server.lines())

    def check_digests(self, manifest, archive):
        """As anybody may repeat them."""
        content = hashlib.sha256(unzstd(archive))
        self.assertEqual(manifest["sha256"], content.hexdigest())
        chain = hashlib.sha256(bytes.fromhex(manifest["previous"]) + content.digest())
        self.assertEqual(manifest["chain"], chain.hexdigest())
        frames = int.from_bytes(archive[-9:-5], "little")
        table = 8 + 12 * frames + 9
        size = int.from_bytes(archive[-9 - 12:-9 - 8], "little")  # of the last frame
        inside = archive[-table - size:-table]
        self.assertEqual(inside[:4], (0x184D2A5D).to_bytes(4, "little"))
        without = archive[:-table - size] + archive[-table:]
        self.assertEqual(manifest["packed_sha256"], hashlib.sha256(without).hexdigest())
        self.assertEqual({"name": manifest["name"], **json.loads(inside[8:])}, manifest)

    def delete(self, server, name):
        return server.request("DELETE", f"/v1/archives/{name}")

    def test_an_archive_is_deleted_unless_readers_need_it(self):
        server = self.serve()
        server.publish_lines(self.batch(0, 300))
        for before in (101, 201, 301):
            stored(server.request("POST", "/v1/archives", before=before))
        stored(server.request("POST", "/v1/archives", after=100, before=201))
        lines = server.lines()
        for name in ("1-99.ndjson.zst", "x", "lock", "..%2ftidemark.db", "1-100.json"):
            self.assert_problem(self.delete(server, name), 404)
        self.assert_problem(server.request("DELETE", "/v1/archives/1-100.ndjson.zst", force=1), 400)
        self.assertEqual(self.delete(server, "1-300.ndjson.zst").status, 204)  # all of it is in the log
        self.assert_problem(self.delete(server, "1-300.ndjson.zst"), 404)
        self.assertFalse([n for n in os.listdir(self.archive_dir(server)) if n.startswith("1-300.")])
        server.restart("--retain-events", "150")
        self.wait_archived(server, 150)
        wait_until(lambda: server.get("/v1/stats").json()["retention"]["log"]["first"] > 100, "events have left the log")
        for restarted in (False, True):
            names = [a["name"] for a in self.archives(server)]
            left = [name for name in names if self.delete(server, name).status == 204]
            self.assertEqual(bool(left), not restarted, "what overlaps is deleted until nothing does")
            self.assertEqual(server.lines(), lines)
            server.restart()
            self.assertEqual(server.lines(), lines)
            self.assertEqual([a["name"] for a in self.archives(server)], [n for n in names if n not in left])
        server.stop()
        done = command("verify", server.data)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_nothing_is_deleted_while_something_is_missing(self):
        server = self.serve("--retain-events", "100")
        server.publish_lines(self.batch(0, 300))
        self.wait_archived(server, 200)
        stored(server.request("POST", "/v1/archives", after=250))
        kept = self.archive_dir(server)
        server.stop()
        os.rename(os.path.join(kept, self.first_archive(kept)), os.path.join(server.data, "away"))
        server.start()
        self.assert_problem(self.delete(server, "251-300.ndjson.zst"), 409)

    def first_archive(self, directory):
        return min(name for name in os.listdir(directory) if name.startswith("1-") and name.endswith(".zst"))

    def test_an_export_over_what_was_removed_is_refused(self):
        server = self.serve("--archive", "none", "--retain-events", "60")
        self.grow(server, 1)
        server.publish_lines(self.batch(60, 100))
        wait_until(lambda: server.retention()["log"]["events"] <= 60, "some are gone")
        first = server.retention()["log"]["first"]
        self.assert_problem(server.get("/v1/export"), 410, f"event 61 was removed by retention: the next stored event is {first}")
        self.assertEqual(server.get("/v1/export", before=61).status, 200)

    def test_an_export_that_cannot_begin_says_why(self):
        server = self.serve()
        self.grow(server, 2)
        server.stop()
        with edited(server.data) as db:
            db.execute("DELETE FROM event WHERE seq = 3")
        server.start()
        self.assert_problem(server.get("/v1/export"), 500, "event 3 is missing")

    def test_no_more_exports_than_there_is_room_for(self):
        server = self.serve()
        for part in range(8):  # more than sockets take
            server.publish_lines({"data": os.urandom(40000).hex()} for _ in range(50))
        stalled = []
        for _ in range(8):  # half of all, which is what one client may have
            wire = server.keep(Wire(server.address, 4096))
            wire.send(b"GET /v1/export HTTP/1.1\r\nHost: %s\r\n\r\n" % ("%s:%d" % server.address).encode())
            wire.head(time.monotonic() + 30)
            stalled.append(wire)
        self.assert_problem(server.get("/v1/export"), 429, "exports")
        for wire in stalled:
            wire.close()
        wait_until(lambda: server.get("/v1/export").status == 200, "there is room again")

    def test_the_level_of_an_export_is_chosen(self):
        server = self.serve()
        server.publish_lines(self.batch(0, 300, size=400))
        small, large = (len(server.get("/v1/export", level=level).body) for level in (19, 1))
        self.assertLess(small, large)
        for level in 0, 20, "x":
            self.assert_problem(server.get("/v1/export", level=level), 400, "level")

    def test_export_is_an_archive_of_what_history_says(self):
        server = self.serve("--retain-events", "100")
        server.publish_lines(self.batch(0, 400))
        self.wait_archived(server, 290)
        names = set()
        for query in ({}, {"after": 10}, {"after": 10, "before": 15}, {"before": 380}, {"stream": "a"},
                      {"stream": ["a", "b"], "type": "x"}, {"after": 399}, {"since": "-1h"}, {"where": "/n=123"},
                      {"where": "/n=399"}, {"stream": "b", "before": 120}, {"stream": "c", "after": 395}):
            with self.subTest(query):
                response = server.get("/v1/export", **query)
                lines = server.lines(**query)
                if not lines:
                    self.assert_problem(response, 404, "no events")
                    continue
                self.assertEqual(response.status, 200, response)
                self.assertTrue(response.headers["content-type"].startswith(ZSTD))
                self.assertEqual(unzstd(response.body).decode(), "".join(l + "\n" for l in lines))
                held = [json.loads(l)["seq"] for l in (lines[0], lines[-1])]
                filtered = ".filtered" if {"stream", "type", "where"} & set(query) else ""
                name = f"{held[0]}-{held[1]}{filtered}.ndjson.zst"
                self.assertEqual(response.headers["content-disposition"], f'attachment; filename="{name}"')
                names.add(name)
        self.assertTrue({"1-400.ndjson.zst", "124-124.filtered.ndjson.zst", "400-400.ndjson.zst"} <= names, names)
        # Resumed: what came is whole up to some event, and the rest is asked for from there.
        whole = b"".join(unzstd(server.get("/v1/export", after=a, before=b).body)
                         for a, b in ((0, 77), (76, 301), (300, 401)))
        self.assertEqual(whole.decode().splitlines(), server.lines())
        for query, status in (({"after": 500}, 404), ({"stream": "none"}, 404), ({"after": "head"}, 404),
                              ({"until": "-1h"}, 404), ({"where": "/n=x"}, 404), ({"stream": "a", "after": 500}, 404),
                              ({"epoch": "0" * 16, "after": 3}, 410), ({"limit": 3}, 400),
                              ({"order": "desc"}, 400), ({"after": -1}, 400)):
            self.assert_problem(server.get("/v1/export", **query), status)


class Compression(ArchiveTest):

    def publish(self, client, body, kind=NDJSON, **headers):
        return client.request("POST", "/v1/events", body,
                            {"Content-Type": kind, "Content-Encoding": "zstd", **headers})

    def test_a_packed_body_is_stored_like_a_plain_one(self):
        server, head = self.serve(), 0
        client = server.http()
        for size in (1, 10, 3000):
            body = zstd(ndjson(self.batch(head, size)))
            self.assert_receipt(stored(self.publish(client, body)), first=head + 1, count=size)
            head += size
        one = zstd(b'{"data": 1}') + zstd(b"\n") + zstd(b'{"data":2}', "--no-check")
        self.assert_receipt(stored(self.publish(client, one)), count=2)
        array = zstd(b'[{"data":1},{"data":2}]', "-19")
        self.assert_receipt(stored(self.publish(client, array, "application/json")), count=2)

    def test_what_is_no_packed_body_is_refused_and_the_connection_goes_on(self):
        server = self.serve("--max-request", "1MiB")
        client = server.http()
        good = zstd(ndjson(self.batch(0, 50)))
        bomb = zstd(bytes(300 * 1024 * 1024))
        cases = [(b"", 400), (b"garbage", 400), (good[:-1], 400), (good[:20], 400), (good + b"x", 400),
                 (good[:30] + b"\xff\xff\xff" + good[33:], 400), (bomb, 413), (zstd(b"not json"), 400),
                 (zstd(b" " * 2 * 1024 * 1024), 413), (bytes(2 * 1024 * 1024), 413)]
        for body, status in cases:
            response = self.publish(client, body)
            self.assert_problem(response, status)
            if response.headers.get("connection") == "close":
                client.close()
        for coding in ("gzip", "br", "zstd, gzip"):  # what it is not, or nobody knows
            response = self.publish(client, good, **{"Content-Encoding": coding})
            self.assertIn(response.status, (400, 415))
        self.assertEqual(server.head(), 0)
        self.assert_receipt(stored(self.publish(client, good)), first=1, count=50)
        self.assertLess(server.rss(), memory(400))

    def test_lines_come_packed_where_that_is_asked_for(self):
        server = self.serve("--retain-events", "100")
        server.publish_lines(self.batch(0, 2000))
        self.wait_archived(server, 1000)
        plain = server.get("/v1/events", NDJSON)
        self.assertNotIn("content-encoding", plain.headers)
        for accepted in ("zstd", "gzip, zstd", "zstd;q=0.5"):
            headers = {"Accept": NDJSON, "Accept-Encoding": accepted}
            packed = server.request("GET", "/v1/events", headers=headers)
            self.assertEqual(packed.headers["content-encoding"], "zstd")
            self.assertEqual(unzstd(packed.body), plain.body)
            few = server.request("GET", "/v1/events", headers=headers, limit=3, order="desc")
            self.assertEqual(unzstd(few.body).decode().splitlines(), server.lines(limit=3, order="desc"))
        for refused in ("br", "zstd;q=0, gzip;q=0", ""):
            plainly = server.request("GET", "/v1/events",
                                     headers={"Accept": NDJSON, "Accept-Encoding": refused})
            self.assertNotIn("content-encoding", plainly.headers)
            self.assertEqual(plainly.body, plain.body)


if __name__ == "__main__":
    unittest.main()
