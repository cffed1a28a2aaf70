#!/usr/bin/env python3
"""Everything at once, for as long as asked: `soak.py [SECONDS [SEED]]`, or `make soak` (ten minutes).

One server is published to over HTTP and WebSocket, followed over WebSocket and SSE, killed, stopped, starved of memory and of disk,
given a wrong clock, sealed, exported and backed up, in an order that a printed seed decides. All requests and answers are recorded, and
the judge (tests/judge) says from time to time, and at the end, whether one order of events explains them. Readers have to see the last
event, and a store restored from archives has to say the same.

Shown to fail without the protection: if requests are answered before they are committed (finish_group in writer.c), two are told the same
seq; if ids that are not indexed yet are not always looked for (find_id in store.c), they are stored twice.
"""

import collections
import errno
import http.client
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
JUDGE = os.path.join(HERE, "..", "judge")
sys.path[:0] = [os.path.join(HERE, "..", "integration"), os.path.join(HERE, "..", "fault"), JUDGE]

from command import command  # noqa: E402
from faults import MALLOC, OPEN, READ, SQLITE_MALLOC, SYNC, WRITE, Faults  # noqa: E402
from history import Filter, Recorder  # noqa: E402
from server import Server  # noqa: E402
from sse_client import EventSource  # noqa: E402
from text import NDJSON, ndjson  # noqa: E402
from waiting import wait_until  # noqa: E402
from websocket_client import Closed, WebSocket  # noqa: E402
from wire import DEADLINE_S, Http, Refused, TimedOut, target  # noqa: E402

LOST = (OSError, EOFError, Closed, Refused, TimedOut, http.client.HTTPException)
HOUR_MS = 3600 * 1000
OPTIONS = ("--disk-reserve", "0", "--ring", "256KiB", "--cache", "256KiB", "--ping-interval", "5s")
PATIENCE_S = 900  # with a command: a copy of millions of events is made beside a server that is busy, and after it
SHARED = "shared"  # the stream that all publishers compete for
RETENTIONS = ((), ("--retain-events", "2000"), ("--retain-bytes", "1MiB"), ("--retain-events", "500", "--archive-level", "1"))


class Publisher(threading.Thread):
    """Publishes batches, each until it knows what became of it: to a stream of its own, where some come again later, and to one that it
    shares, where it expects that nobody has come before it, or sends what others may have sent."""

    def __init__(self, soak, name, over):
        super().__init__(daemon=True)
        self.soak, self.name, self.over = soak, name, over
        self.random = random.Random(f"{soak.seed} {name}")
        self.made = 0
        self.old = []  # events that were acknowledged
        self.shared_last = 0  # as far as this publisher knows
        self.next_batch()

    def event(self, stream, id_, data):
        return {"stream": stream, "type": f"t{self.random.randrange(3)}", "id": id_, "data": data}

    def next_batch(self):
        self.made += 1
        self.expect = None
        kind = self.random.random()
        if kind < 0.1:
            self.batch = [self.event(SHARED, f"{self.name}.{self.made}.{i}", self.made) for i in range(self.random.choice([1, 3]))]
            self.expect = self.shared_last
        elif kind < 0.2:
            # Within the newest 1,000,000 ids, which are remembered: those of the last batches of whoever has made most.
            top = max((p.made for p in self.soak.publishers), default=0)
            ids = self.random.sample(range(max(0, top - 1500), top + 10), 3)
            self.batch = [self.event(SHARED, str(i), f"{self.name} {self.made}") for i in ids]
        else:
            size = self.random.choice([1, 1, 1, 3, 10, 50, 200])
            self.batch = [self.event(self.name, f"{self.made}.{i}", {"batch": self.made, "i": i, "pad": "x" * self.random.randrange(300)})
                          for i in range(size)]
            if self.old and kind < 0.3:
                self.batch.insert(self.random.randint(0, size), self.random.choice(self.old))

    def publish(self, send):
        """Sends the batch; `send(batch, expect)` returns the status and the reply."""
        pending = self.soak.history.publish(self.name, self.batch, self.expect)
        status, reply = send(self.batch, self.expect)
        pending.answered(status, reply)
        if status == 201:
            self.soak.count("requests acknowledged")
            self.soak.count("duplicates", reply["duplicates"])
            self.old = (self.old + self.batch[:1])[-1000:]
            if self.batch[0]["stream"] == SHARED:
                self.shared_last = reply["last"]
            self.next_batch()
        elif status == 409:
            self.soak.count("expectations that failed")
            self.shared_last = reply["actual"]
            self.next_batch()
        else:
            assert status in (500, 503, 507, 429) and reply["detail"], (status, reply)
            self.soak.count("refusals with a reason")
        time.sleep(self.random.uniform(0, 0.03))  # so that what is there can be looked at as a whole, again and again

    def over_http(self, address):
        connection = Http(address)

        def send(batch, expect):
            query = {} if expect is None else {"expect": expect}
            response = connection.request("POST", "/v1/events", ndjson(batch), {"Content-Type": NDJSON}, **query)
            return response.status, response.json()

        try:
            while not self.soak.resting.is_set():
                self.publish(send)
        finally:
            connection.close()

    def over_websocket(self, address):
        socket, refs = WebSocket(address, "/v1/ws?stream=nothing"), itertools.count(1)

        def send(batch, expect):
            ref = next(refs)
            only = {} if expect is None else {"expect": expect}
            socket.send({"op": "publish", "ref": ref, "events": batch, **only})
            while (frame := socket.receive(20)).get("ref") != ref:
                pass
            return 201 if frame["op"] == "published" else frame["status"], frame

        try:
            while not self.soak.resting.is_set():
                self.publish(send)
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
                self.soak.count("connections lost by publishers")
                time.sleep(0.02)
            except BaseException as error:  # pylint: disable=broad-except
                self.soak.failed(f"{self.name}: {error!r}")


class Follower(threading.Thread):
    """Reads on from where it was, over all that happens."""

    def __init__(self, soak, over, stream=None):
        super().__init__(daemon=True)
        self.soak, self.over = soak, over
        self.name = f"follower {over} {stream or ''}".rstrip()
        self.query = {"stream": stream} if stream else {"session": "soak"} if over == "websocket" else {}
        self.filter = Filter((stream,) if stream else ())
        self.last = 0

    def saw(self, following, envelope):
        following.saw(envelope)
        self.last = envelope["seq"]

    def reached(self, following, seq):
        following.reached(seq)
        self.last = max(self.last, seq)

    def over_websocket(self, address, following):
        socket = WebSocket(address, target("/v1/ws", {"after": self.last, **self.query}))
        try:
            while not self.soak.ended.is_set():
                frame = socket.receive(5)
                if "op" not in frame:
                    self.saw(following, frame)
                    if self.last % 50 == 0 and "session" in self.query:
                        socket.send({"op": "ack", "seq": self.last})
                elif frame["op"] in ("live", "checkpoint"):
                    self.reached(following, frame["seq"])
                else:
                    assert frame["op"] == "hello" or frame.get("status") == 503, frame
        finally:
            socket.close()

    def over_sse(self, address, following):
        source = EventSource(address, target("/v1/events", {"after": self.last, **self.query}))
        try:
            while not self.soak.ended.is_set():
                message = source.message(20)
                assert message.event is None, message
                self.saw(following, message.json())
        finally:
            source.close()

    def run(self):
        while not self.soak.ended.is_set():
            address = self.soak.address()
            if address is not None:
                following = self.soak.history.follow(self.name, self.last, *self.filter)
                try:
                    (self.over_websocket if self.over == "websocket" else self.over_sse)(address, following)
                except LOST:
                    pass
                except BaseException as error:  # pylint: disable=broad-except
                    self.soak.failed(f"{self.name}: {error!r}")
                following.end()
            time.sleep(0.02)


class Soak:

    def __init__(self, seconds, seed):
        self.seconds, self.seed = seconds, seed
        self.random = random.Random(seed)
        self.totals = collections.Counter()
        self.lock = threading.Lock()
        self.ended, self.resting = threading.Event(), threading.Event()
        self.problems = []
        self.history = Recorder(os.path.join(tempfile.mkdtemp(prefix="tidemark-soak-"), "history.ndjson"))
        self.judged = 0  # bytes of it
        self.faults = Faults()
        self.server = Server(*OPTIONS, extra=self.faults.environment)
        self.up = False
        self.publishers = []
        self.publishers = ([Publisher(self, f"http{i}", "http") for i in range(3)]
                           + [Publisher(self, f"ws{i}", "websocket") for i in range(2)])
        self.followers = [Follower(self, "websocket"), Follower(self, "sse"), Follower(self, "websocket", SHARED)]

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

    def head(self):
        begin = time.monotonic_ns()
        head = self.server.head()
        self.history.head("soak", begin, head)
        return head

    def look(self):
        """Reads any part of the past."""
        after = self.random.randrange(max(1, self.head()))
        passing = self.random.choice([Filter(), Filter(), Filter((SHARED,)), Filter(("http*", "ws0"), ("t1",))])
        begin = time.monotonic_ns()
        page = self.server.history(after=after, limit=500, stream=passing.streams, type=passing.types)
        self.history.read("soak", begin, page["events"], after=after, limit=500, filter=passing, through=page["checkpoint"])
        self.count("pages read")

    def read_all(self):
        begin = time.monotonic_ns()
        lines = self.server.lines()
        self.history.read("soak", begin, map(json.loads, lines))
        return lines

    def ask_judge(self):
        self.history.flush()
        self.judged = os.path.getsize(self.history.path)
        done = subprocess.run([sys.executable, "-B", os.path.join(JUDGE, "judge.py"), self.history.path], capture_output=True, text=True,
                              check=False)
        self.check(done.returncode == 0, f"the judge of {self.history.path} says:\n{done.stdout}{done.stderr}")
        self.count("judgements")

    def judge(self):
        """Once in a while: the history has to be read as a whole."""
        self.history.flush()
        if os.path.getsize(self.history.path) > 2 * self.judged:
            self.read_all()
            self.ask_judge()

    def archive(self):
        head = self.head()
        response = self.server.request("POST", "/v1/archives", after=max(0, head - 100), before=head + 1)
        self.count("archives asked for")
        self.check(response.status in (201, 400, 409, 500, 503, 507), f"an archive: {response}")
        if response.status == 201 and self.random.random() < 0.5:
            done = self.server.request("DELETE", response.headers["location"])
            self.check(done.status in (204, 409, 503), f"an archive is deleted: {done}")

    def export(self):
        out = self.path(f"export-{self.totals['exports']}.ndjson.zst")
        source = self.random.choice([self.server.url, self.server.data])
        done = command("export", source, "-o", out, seconds=PATIENCE_S)
        self.check(done.returncode == 0, f"export {source}: {done.stderr}")
        done = command("verify", out, seconds=PATIENCE_S)
        self.check(done.returncode == 0, f"verify of an export: {done.stderr}")
        self.count("exports")
        os.unlink(out)

    def backup(self):
        done = command("backup", self.server.data, self.path("backup"), seconds=PATIENCE_S)
        self.check(done.returncode == 0, f"backup: {done.stderr}")
        self.count("backups")

    def verify(self):
        done = command("verify", self.server.data, seconds=PATIENCE_S)
        self.check(done.returncode == 0, f"verify of the store in use: {done.stderr}")
        self.count("verifications")

    def step(self):
        what = self.random.choices(
            [self.kill, self.stop, self.files_fail, self.memory_fails, self.clock_jumps, self.look, self.archive, self.export,
             self.backup, self.verify, self.judge], [4, 1, 5, 3, 3, 8, 2, 1, 2, 2, 2])[0]
        try:
            what()
        except LOST:
            self.check(self.server.is_alive(), f"the server has died in {what.__name__}")

    # ---- the end

    def settle(self):
        """Every publisher stops, and every follower comes to the end."""
        self.faults.disarm()
        self.faults.set_clock(0)
        self.resting.set()
        wait_until(lambda: self.server.get("/readyz").status == 200, "it is ready", 60)
        for publisher in self.publishers:
            publisher.join(2 * DEADLINE_S)  # it may still be waiting for an answer
            self.check(not publisher.is_alive(), f"{publisher.name} has stopped")
        lines = self.read_all()
        for follower in self.followers:
            wait_until(lambda f=follower: f.last >= len(lines) or self.problems, f"{follower.name} has seen all", 120)
        self.end()
        for follower in self.followers:
            follower.join(2 * DEADLINE_S)
        self.ask_judge()
        return lines

    def restore(self, lines):
        out, restored = self.path("all.ndjson.zst"), self.path("restored")
        for arguments in (["verify", self.server.data], ["export", self.server.data, "-o", out], ["import", restored, out],
                          ["verify", restored]):
            done = command(*arguments, seconds=PATIENCE_S)
            self.check(done.returncode == 0, f"{arguments[0]}: {done.stderr}")
        self.check(command("query", restored, seconds=PATIENCE_S).stdout.splitlines() == lines, "restored elsewhere it is the same")

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
                lines = self.settle()
                self.up = False
                self.server.stop()
                self.restore(lines)
                self.totals["events"] = len(lines)
        finally:
            self.end()

    def close(self):
        try:
            self.server.finish()
        finally:
            self.faults.close()
            self.history.close()
            if not self.problems:
                shutil.rmtree(os.path.dirname(self.history.path))
            shutil.rmtree(self.server.home, ignore_errors=True)


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 32)
    soak = Soak(seconds, seed)
    try:
        soak.run()
    except BaseException as error:  # pylint: disable=broad-except
        if str(error) not in soak.problems:
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
