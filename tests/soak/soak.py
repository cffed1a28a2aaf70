#!/usr/bin/env python3
"""Everything at once, for as long as asked: `soak.py [SECONDS [SEED]]`, or `make soak` (ten minutes).

One server is published to over HTTP and WebSocket, followed over WebSocket and SSE, killed, stopped, starved of memory and of disk,
given a wrong clock, sealed, exported and backed up, in an order that a printed seed decides. A model knows what was acknowledged; what it
knows is compared all the time, and as a whole at the end: each event is there once, in order, with its contents, batches are whole, readers
saw all of it, and a store restored from archives says the same.

Shown to fail without the protection: answered before they are committed (finish_group in writer.c), batches are not there.
"""

import collections
import errno
import http.client
import json
import os
import random
import shutil
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "integration"), os.path.join(HERE, "..", "fault")]

from faults import MALLOC, Faults, OPEN, READ, SQLITE_MALLOC, SYNC, WRITE  # noqa: E402
from harness import NDJSON, Server, command, ndjson, wait_until  # noqa: E402
from sse_client import EventSource  # noqa: E402
from websocket_client import Closed, WebSocket  # noqa: E402
from wire import DEADLINE_S, Http, Refused, TimedOut  # noqa: E402

LOST = (OSError, EOFError, Closed, Refused, TimedOut, http.client.HTTPException)
HOUR_MS = 3600 * 1000
OPTIONS = ("--disk-reserve", "0", "--ring", "256KiB", "--cache", "256KiB", "--ping-interval", "5s")
RETENTIONS = ((), ("--retain-events", "2000"), ("--retain-bytes", "1MiB"), ("--retain-events", "500", "--archive-level", "1"))


class Publisher(threading.Thread):
    """Publishes numbered batches, each until it knows what became of it; the outcome is in `acked`."""

    def __init__(self, soak, name, over):
        super().__init__(daemon=True)
        self.soak, self.name, self.over = soak, name, over
        self.random = random.Random(f"{soak.seed} {name}")
        self.acked = []  # (first, size) by the number of the batch
        self.unsure = self.refused = 0
        self.pending = None

    def batch(self):
        if self.pending is None:
            number, size = len(self.acked), self.random.choice([1, 1, 1, 3, 10, 50, 200])
            self.pending = [{"stream": self.name, "type": f"t{number % 3}", "id": f"{number}.{i}",
                             "data": {"batch": number, "i": i, "of": size, "pad": "x" * self.random.randrange(300)}}
                            for i in range(size)]
        return self.pending

    def answered(self, first, last):
        assert last - first + 1 == len(self.pending), (self.name, first, last, len(self.pending))
        self.acked.append((first, len(self.pending)))
        self.pending = None
        self.soak.count("batches acknowledged")
        time.sleep(self.random.uniform(0, 0.03))  # so that what is there can be looked at as a whole, again and again

    def over_http(self, address):
        connection = Http(address)
        try:
            while not self.soak.resting.is_set():
                response = connection.request("POST", "/v1/events", ndjson(self.batch()), {"Content-Type": NDJSON})
                if response.status == 201:
                    self.answered(response.json()["first"], response.json()["last"])
                else:
                    assert response.status in (500, 503, 507, 429), response
                    assert response.json()["detail"], response
                    self.refused += 1
                    time.sleep(0.02)
        finally:
            connection.close()

    def over_websocket(self, address):
        socket = WebSocket(address, "/v1/ws?stream=nothing")
        try:
            while not self.soak.resting.is_set():
                socket.send({"op": "publish", "ref": 1, "events": self.batch()})
                while (frame := socket.receive(20)).get("op") in ("hello", "live", "checkpoint"):
                    pass
                if frame["op"] == "published":
                    self.answered(frame["first"], frame["last"])
                else:
                    assert frame["op"] == "error" and frame["status"] in (500, 503, 507, 429), frame
                    self.refused += 1
                    time.sleep(0.02)
        finally:
            socket.close()

    def run(self):
        while not self.soak.resting.is_set():
            address = self.soak.address()
            if address is None:
                time.sleep(0.01)
                continue
            try:
                (self.over_http if self.over == "http" else self.over_websocket)(address)
            except LOST:
                self.unsure += self.pending is not None
                time.sleep(0.02)
            except BaseException as error:  # pylint: disable=broad-except
                self.soak.failed(f"{self.name}: {error!r}")


class Follower(threading.Thread):
    """Sees every event once and in order, over all that happens."""

    def __init__(self, soak, over):
        super().__init__(daemon=True)
        self.soak, self.over = soak, over
        self.name = f"follower {over}"
        self.last = 0

    def saw(self, seq):
        assert seq == self.last + 1, f"{self.name} saw {seq} after {self.last}"
        self.last = seq

    def over_websocket(self, address):
        socket = WebSocket(address, f"/v1/ws?after={self.last}&session=soak")
        try:
            while not self.soak.ended.is_set():
                frame = socket.receive(5)
                if "op" not in frame:
                    self.saw(frame["seq"])
                    if self.last % 50 == 0:
                        socket.send({"op": "ack", "seq": self.last})
                else:
                    assert frame["op"] in ("hello", "live") or frame.get("status") == 503, frame
        finally:
            socket.close()

    def over_sse(self, address):
        source = EventSource(address, f"/v1/events?after={self.last}")
        try:
            while not self.soak.ended.is_set():
                message = source.message(20)
                assert message.event is None, message
                self.saw(message.json()["seq"])
        finally:
            source.close()

    def run(self):
        while not self.soak.ended.is_set():
            address = self.soak.address()
            try:
                if address is not None:
                    (self.over_websocket if self.over == "websocket" else self.over_sse)(address)
            except TimedOut:
                pass
            except LOST:
                pass
            except BaseException as error:  # pylint: disable=broad-except
                self.soak.failed(f"{self.name}: {error!r}")
            time.sleep(0.02)


class Soak:

    def __init__(self, seconds, seed):
        self.seconds, self.seed = seconds, seed
        self.random = random.Random(seed)
        self.totals = collections.Counter()
        self.lock = threading.Lock()
        self.ended, self.resting = threading.Event(), threading.Event()
        self.problems = []
        self.faults = Faults()
        self.server = Server(*OPTIONS, extra=self.faults.environment)
        self.up = False
        self.publishers = ([Publisher(self, f"http{i}", "http") for i in range(3)]
                           + [Publisher(self, f"ws{i}", "websocket") for i in range(2)])
        self.followers = [Follower(self, "websocket"), Follower(self, "sse")]

    def count(self, what, n=1):
        with self.lock:
            self.totals[what] += n

    def failed(self, what):
        with self.lock:
            self.problems.append(what)
        self.end()

    def end(self):
        self.resting.set()
        self.ended.set()

    def check(self, holds, what):
        self.count("checks")
        if not holds:
            self.failed(what)
            raise AssertionError(what)

    def address(self):
        return self.server.address if self.up else None

    def path(self, name):
        return os.path.join(self.server.home, name)

    # ---- what happens

    def start(self):
        self.server.start(*OPTIONS, *self.random.choice(RETENTIONS))
        self.up = True

    def kill(self):
        self.up = False
        self.server.kill()
        self.count("fault: kill -9")
        self.start()

    def stop(self):
        self.up = False
        self.server.stop()
        self.count("clean stops under load")
        self.start()

    def files_fail(self):
        kinds, error, name = self.random.choice([
            (WRITE, errno.ENOSPC, "disk full"), (WRITE | SYNC, errno.EIO, "I/O errors"), (SYNC, errno.EIO, "failing fsync"),
            (WRITE | OPEN, errno.EROFS, "read-only"), (READ, errno.EIO, "failing reads")])
        self.faults.arm(kinds, times=0, error=error, place=self.random.choice(["tidemark.db", "-wal", "archives", ""]) or
                        self.server.home)
        time.sleep(self.random.uniform(0.05, 0.6))
        self.count(f"fault: {name}")
        self.count("failed calls", self.faults.disarm())

    def memory_fails(self):
        for _ in range(20):
            self.faults.arm(self.random.choice([MALLOC, SQLITE_MALLOC]), after=self.random.randrange(1, 400), error=errno.ENOMEM)
            time.sleep(0.02)
            self.count("fault: no memory", self.faults.disarm())

    def clock_jumps(self):
        self.faults.set_clock(self.random.choice([0, 3, -3, 26, -26, 800]) * HOUR_MS)
        self.count("fault: clock jump")

    def look(self):
        """Any part of the past is as it should be."""
        head = self.server.head()
        after = self.random.randrange(max(1, head))
        page = self.server.history(after=after, limit=500)["events"]
        wanted = list(range(after + 1, min(head, after + 500) + 1))
        self.check([e["seq"] for e in page][:len(wanted)] == wanted, f"a page after {after}")
        for event in page:
            self.check_event(event)

    def check_event(self, event):
        number, i = map(int, event["id"].split("."))
        data = event["data"]
        self.check((data["batch"], data["i"]) == (number, i), f"event {event['seq']} is another one")

    def archive(self):
        head = self.server.head()
        response = self.server.request("POST", "/v1/archives", after=max(0, head - 100), before=head + 1)
        self.count("archives asked for")
        self.check(response.status in (201, 400, 409, 500, 503, 507), f"an archive: {response}")
        if response.status == 201 and self.random.random() < 0.5:
            done = self.server.request("DELETE", response.headers["location"])
            self.check(done.status in (204, 409, 503), f"an archive is deleted: {done}")

    def export(self):
        out = self.path(f"export-{self.totals['exports']}.ndjson.zst")
        source = self.random.choice([self.server.url, self.server.data])
        done = command("export", source, "-o", out, seconds=120)
        self.check(done.returncode == 0, f"export {source}: {done.stderr}")
        done = command("verify", out, seconds=120)
        self.check(done.returncode == 0, f"verify of an export: {done.stderr}")
        self.count("exports")
        os.unlink(out)

    def backup(self):
        done = command("backup", self.server.data, self.path("backup"), seconds=120)
        self.check(done.returncode == 0, f"backup: {done.stderr}")
        self.count("backups")

    def verify(self):
        done = command("verify", self.server.data, seconds=120)
        self.check(done.returncode == 0, f"verify of the store in use: {done.stderr}")
        self.count("verifications")

    def step(self):
        what = self.random.choices(
            [self.kill, self.stop, self.files_fail, self.memory_fails, self.clock_jumps, self.look, self.archive, self.export,
             self.backup, self.verify], [4, 1, 5, 3, 3, 8, 2, 1, 2, 2])[0]
        try:
            what()
        except LOST:
            self.check(self.server.is_alive(), f"the server has died in {what.__name__}")

    # ---- the end

    def settle(self):
        """Every publisher stops, and learns what became of its last batch."""
        self.faults.disarm()
        self.faults.set_clock(0)
        self.resting.set()
        wait_until(lambda: self.server.get("/readyz").status == 200, "it is ready", 60)
        for publisher in self.publishers:
            publisher.join(2 * DEADLINE_S)  # it may still be waiting for an answer, which is its own to count
            self.check(not publisher.is_alive(), f"{publisher.name} has stopped")
            if publisher.pending is not None:
                response = self.server.post(ndjson(publisher.pending), NDJSON)
                self.check(response.status == 201, f"the last batch: {response}")
                publisher.answered(response.json()["first"], response.json()["last"])

    def compare(self):
        lines = self.server.lines()
        events = [json.loads(line) for line in lines]
        self.check([e["seq"] for e in events] == list(range(1, len(events) + 1)), "seqs from 1 without a hole")
        times = [e["time"] for e in events]
        self.check(times == sorted(times), "times never decrease")
        for publisher in self.publishers:
            own = [e for e in events if e["stream"] == publisher.name]
            wanted = [f"{n}.{i}" for n, (_, size) in enumerate(publisher.acked) for i in range(size)]
            self.check([e["id"] for e in own] == wanted, f"{publisher.name}: each event once, in order")
            for number, (first, size) in enumerate(publisher.acked):
                batch = events[first - 1:first - 1 + size]
                self.check([(e["stream"], e["data"]["batch"], e["data"]["i"]) for e in batch]
                           == [(publisher.name, number, i) for i in range(size)], f"{publisher.name}: batch {number} is whole")
        for follower in self.followers:
            wait_until(lambda f=follower: f.last >= len(events) or self.problems, f"{follower.name} has seen all", 120)
        return lines

    def restore(self, lines):
        out, restored = self.path("all.ndjson.zst"), self.path("restored")
        for arguments in (["verify", self.server.data], ["export", self.server.data, "-o", out], ["import", restored, out],
                          ["verify", restored]):
            done = command(*arguments, seconds=300)
            self.check(done.returncode == 0, f"{arguments[0]}: {done.stderr}")
        self.check(command("query", restored, seconds=300).stdout.splitlines() == lines, "restored elsewhere it is the same")

    def run(self):
        print(f"soak: {self.seconds} s, seed {self.seed}", flush=True)
        self.start()
        for thread in self.publishers + self.followers:
            thread.start()
        wait_until(lambda: self.server.head() > 0, "something is stored")  # an export of nothing is an error
        until = time.monotonic() + self.seconds
        try:
            while time.monotonic() < until and not self.problems:
                self.step()
                time.sleep(self.random.uniform(0, 0.2))
            if not self.problems:
                self.settle()
                lines = self.compare()
                self.end()
                self.up = False
                self.server.stop()
                self.restore(lines)
                self.totals["events"] = len(lines)
        finally:
            self.end()
        self.totals["retries after an unknown outcome"] = sum(p.unsure for p in self.publishers)
        self.totals["refusals with a reason"] = sum(p.refused for p in self.publishers)

    def close(self):
        try:
            self.server.finish()
        finally:
            self.faults.close()
            shutil.rmtree(self.server.home, ignore_errors=True)


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 32)
    soak = Soak(seconds, seed)
    try:
        soak.run()
    except BaseException as error:  # pylint: disable=broad-except
        soak.problems.append(repr(error))
    if soak.problems:
        print(soak.server.log_text(), file=sys.stderr)
    for what, n in sorted(soak.totals.items()):
        print(f"  {n:>9}  {what}")
    for problem in soak.problems:
        print(f"soak: {problem}")
    try:
        soak.close()
    except AssertionError as error:
        soak.problems.append(str(error))
        print(soak.server.log_text(), file=sys.stderr)
        print(error)
    print(f"soak: {'failed' if soak.problems else 'fine'}, seed {seed}")
    return 1 if soak.problems else 0


if __name__ == "__main__":
    sys.exit(main())
