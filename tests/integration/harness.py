"""What the integration tests share: the server, its clients, the test case.

TIDEMARK_BIN names the binary; TIDEMARK_TEST_SCALE (1.0) shrinks the loads
where the binary is slow, as under sanitizers.
"""

import contextlib
import functools
import json
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from sse_client import EventSource
from websocket_client import WebSocket
from wire import DEADLINE_S, Http, Wire, target

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("TIDEMARK_BIN", os.path.join(ROOT, "build", "release", "tidemark"))
SCALE = float(os.environ.get("TIDEMARK_TEST_SCALE", "1"))

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
JSON, NDJSON, SSE = "application/json", "application/x-ndjson", "text/event-stream"
KIB, MIB = 1024, 1024 * 1024

NAME = r'"(?:[^"\\]|\\.)*"'
ENVELOPE = re.compile(rf'\{{"seq":(\d+),"time":"({TIME})","stream":({NAME}),"type":({NAME})'
                      rf'(?:,"id":({NAME}))?,"data":(.*)\}}', re.DOTALL)

SANITIZER_REPORT = re.compile(
    r"ERROR: AddressSanitizer|runtime error:|WARNING: ThreadSanitizer|LeakSanitizer")

if not os.access(BIN, os.X_OK):
    sys.exit(f"there is no server at {BIN}; build it, or set TIDEMARK_BIN")

# Tests with many connections need as many descriptors, here and in the server.
_hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (_hard, _hard))


def scaled(count, least=1):
    """A load, in proportion to TIDEMARK_TEST_SCALE."""
    return max(least, int(count * SCALE))


def wait_until(holds, what, seconds=DEADLINE_S):
    """Waits for `holds()` to be true, and returns what it returned."""
    deadline = time.monotonic() + seconds
    while not (result := holds()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain until {what}")
        time.sleep(0.01)
    return result


def compact(text):
    """JSON text without its insignificant white space, otherwise as it was."""
    return re.sub(r'("(?:[^"\\]|\\.)*")|[ \t\r\n]+', lambda m: m.group(1) or "", text)


def data_text(envelope):
    """The payload of an envelope, byte for byte."""
    found = ENVELOPE.fullmatch(envelope)
    assert found, f"not an envelope with its members in order: {envelope[:500]}"
    return found[6]


def ndjson(documents):
    """Documents (or ready-made lines) as an NDJSON body."""
    lines = (d if isinstance(d, str) else json.dumps(d, ensure_ascii=False) for d in documents)
    return "".join(line + "\n" for line in lines).encode()


@functools.cache
def is_sanitized():
    with open(BIN, "rb") as binary:
        content = binary.read()
    return b"__asan_init" in content or b"__tsan_init" in content


def memory(mib):
    """A bound on memory, in bytes. AddressSanitizer keeps what was freed for a while, and shadows of all."""
    return mib * MIB * (8 if is_sanitized() else 1)


def environment(extra=None):
    """The environment of a child: this one without options for Tidemark."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")}
    own.setdefault("ASAN_OPTIONS", "quarantine_size_mb=16")
    own.update(extra or {})
    return own


class Task(threading.Thread):
    """A call in a thread of its own, whose result or exception is fetched."""

    def __init__(self, call, *arguments, **named):
        super().__init__(daemon=True)
        self._call, self._arguments, self._named = call, arguments, named
        self._result = self._error = None
        self.start()

    def run(self):
        try:
            self._result = self._call(*self._arguments, **self._named)
        except BaseException as error:  # pylint: disable=broad-except
            self._error = error

    def result(self, seconds=DEADLINE_S):
        self.join(seconds)
        if self.is_alive():
            raise AssertionError("a thread did not finish in time")
        if self._error is not None:
            raise self._error
        return self._result


def in_parallel(calls):
    """Runs calls at the same time; returns their results in order."""
    tasks = [Task(call) for call in calls]
    return [task.result() for task in tasks]


class Server:
    """`tidemark serve` on a free port of the loopback and a directory of its own."""

    def __init__(self, *options, extra=None, within=()):
        self.options = options
        self.within = within  # a command that runs the server as its arguments, in its own process
        self.home = tempfile.mkdtemp(prefix="tidemark-test-")
        self.data = os.path.join(self.home, "data")
        self.extra = extra or {}  # more environment variables
        self.process = None
        self.address = None
        self.log = []
        self._clients = []
        self._reader = None
        self._ready = None
        self._listens = False

    # ---- life

    def start(self, *options, port=0):
        """Starts it (again, with `options` if given) and waits until it listens."""
        self.options = options or self.options
        self._ready = threading.Event()
        self._listens = False
        self.process = subprocess.Popen(
            [*self.within, BIN, "serve", "--data", self.data, "--listen", f"127.0.0.1:{port}",
             *self.options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=environment(self.extra))
        self._reader = Task(self._read_log, self.process, self._ready)
        if not self._ready.wait(DEADLINE_S) or not self._listens:
            raise AssertionError(f"the server did not start:\n{self.log_text()}")
        return self

    def _read_log(self, process, ready):
        for raw in process.stderr:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            self.log.append(line)
            found = re.search(r"^tidemark: listening on https?://([^:]+):(\d+)$", line)
            if found:
                self.address = (found[1], int(found[2]))
                self._listens = True
                ready.set()
        ready.set()

    def log_text(self):
        return "\n".join(self.log[-400:])

    @property
    def port(self):
        return self.address[1]

    @property
    def url(self):
        return "http://%s:%d" % self.address

    def is_alive(self):
        return self.process.poll() is None

    def kill(self):
        """As a power cut for the process: SIGKILL."""
        self.process.kill()
        self._ended()

    def stop(self, seconds=DEADLINE_S):
        """SIGTERM, after which it must exit 0."""
        self.process.send_signal(signal.SIGTERM)
        code = self._ended(seconds)
        assert code == 0, f"SIGTERM must end the server with 0, not {code}:\n{self.log_text()}"

    def _ended(self, seconds=DEADLINE_S):
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the server did not end:\n{self.log_text()}") from None
        self._reader.result()
        self.process.stderr.close()
        return code

    def restart(self, *options, same_port=False):
        """Stops it if it runs, and starts it on the same data directory."""
        if self.is_alive():
            self.stop()
        return self.start(*options, port=self.port if same_port else 0)

    def finish(self):
        """The end of a test: a clean stop, no sanitizer report, no files left."""
        try:
            for client in self._clients:
                client.close()
            if self.process is not None and not self.process.stderr.closed:
                self.stop()
            report = SANITIZER_REPORT.search("\n".join(self.log))
            assert not report, f"{report[0]} in the server's log"
        finally:
            shutil.rmtree(self.home, ignore_errors=True)

    def rss(self):
        """Resident memory in bytes."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) * KIB

    def descriptors(self):
        """How many files and connections it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    # ---- clients, closed when the test ends

    def keep(self, client):
        self._clients.append(client)
        return client

    def http(self):
        return self.keep(Http(self.address))

    def wire(self):
        return self.keep(Wire(self.address))

    def websocket(self, receive_buffer=None, headers=None, **query):
        path = target("/v1/ws", query)
        return self.keep(WebSocket(self.address, path, receive_buffer, **(headers or {})))

    def reader(self, receive_buffer=None, **query):
        """A WebSocket past its `hello`, which is kept in `hello`."""
        socket = self.websocket(receive_buffer, **query)
        socket.hello = socket.receive()
        assert socket.hello["op"] == "hello", socket.hello
        return socket

    def live_reader(self, **query):
        """A WebSocket that has caught up with an empty replay."""
        socket = self.reader(**query)
        live = socket.receive()
        assert live["op"] == "live", live
        return socket

    def dashboard(self, receive_buffer=None, **query):
        """A reader of the monitoring profile past its `initial_stats`, kept in `initial`."""
        socket = self.keep(WebSocket(self.address, target("/ws", query), receive_buffer))
        socket.initial = socket.receive()
        assert socket.initial["type"] == "initial_stats", socket.initial
        return socket

    def ingest(self, receive_buffer=None):
        """A publisher of the monitoring profile."""
        return self.keep(WebSocket(self.address, "/events", receive_buffer))

    def sse(self, receive_buffer=None, headers=None, **query):
        path = target("/v1/events", query)
        return self.keep(EventSource(self.address, path, receive_buffer, **(headers or {})))

    # ---- requests

    def request(self, method, path, body=None, headers=None, **query):
        http = Http(self.address)
        try:
            return http.request(method, path, body, headers, **query)
        finally:
            http.close()

    def get(self, path, accept=None, **query):
        return self.request("GET", path, headers={"Accept": accept} if accept else None, **query)

    def post(self, body, content_type=JSON, **query):
        """POST /v1/events with a body as it is, or a document made JSON."""
        if not isinstance(body, (bytes, str)):
            body = json.dumps(body, ensure_ascii=False)
        if isinstance(body, str):
            body = body.encode("utf-8")
        return self.request("POST", "/v1/events", body, {"Content-Type": content_type}, **query)

    def publish(self, events, **query):
        """Publishes what must be stored; returns the receipt."""
        return stored(self.post(events, **query))

    def publish_lines(self, documents):
        return stored(self.post(ndjson(documents), NDJSON))

    def event_text(self, seq):
        """One envelope, byte for byte."""
        response = self.get(f"/v1/events/{seq}")
        assert response.status == 200, response
        return response.text.rstrip("\n")

    def event(self, seq):
        return json.loads(self.event_text(seq))

    def history(self, **query):
        """A page of history as JSON."""
        response = self.get("/v1/events", **query)
        assert response.status == 200, response
        assert response.headers["content-type"].startswith(JSON), response.headers
        return response.json()

    def lines(self, **query):
        """History as NDJSON, a list of texts."""
        response = self.get("/v1/events", NDJSON, **query)
        assert response.status == 200, response
        assert response.headers["content-type"].startswith(NDJSON), response.headers
        assert not response.body or response.body.endswith(b"\n"), response.body[-100:]
        return response.text.split("\n")[:-1]

    def everything(self):
        """All events there are, parsed."""
        return [json.loads(line) for line in self.lines()]

    def head(self):
        return self.history(after="head")["head"]

    def retention(self):
        return self.get("/v1/stats").json()["retention"]


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


def stored(response):
    assert response.status == 201, response
    return response.json()


def command(*arguments, text=None, extra=None, seconds=DEADLINE_S):
    """Runs `tidemark ARGUMENTS` to its end."""
    done = subprocess.run([BIN, *arguments], input=text, capture_output=True, timeout=seconds,
                          encoding="utf-8", env=environment(extra), check=False)
    assert not SANITIZER_REPORT.search(done.stderr), done.stderr
    return done


class Running:
    """A `tidemark` command (or another `program`) at work: `lines` has what it printed so far."""

    def __init__(self, *arguments, program=BIN, extra=None, folder=None):
        self.lines = []
        self.errors = []
        self.process = subprocess.Popen(
            [program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=environment(extra), cwd=folder, process_group=0)
        self._readers = [Task(self._read, self.process.stdout, self.lines),
                         Task(self._read, self.process.stderr, self.errors)]

    def _read(self, pipe, lines):
        for raw in pipe:
            lines.append(raw.decode("utf-8").rstrip("\n"))

    def write(self, text):
        self.process.stdin.write(text.encode("utf-8"))
        self.process.stdin.flush()

    def wait_lines(self, count):
        """The first `count` lines, once there are as many."""
        wait_until(lambda: len(self.lines) >= count or self.process.poll() is not None,
                   f"{count} lines are printed")
        assert len(self.lines) >= count, (self.lines[-3:], self.errors)
        return self.lines[:count]

    def end_of_input(self):
        """Closes its standard input; returns its exit code."""
        self.process.stdin.close()
        return self._ended()

    def signal(self, number):
        self.process.send_signal(number)
        return self._ended()

    def _ended(self):
        code = self.process.wait(DEADLINE_S)
        for reader in self._readers:
            reader.result()
        report = SANITIZER_REPORT.search("\n".join(self.errors))
        assert not report, self.errors
        return code

    def close(self):
        """Ends it, if it still runs, with all processes that it has started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for reader in self._readers:
            reader.result()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                pipe.close()
            except BrokenPipeError:
                pass


class TidemarkTest(unittest.TestCase):
    """Starts servers, ends them, and shows their log where a test fails."""

    maxDiff = 4000

    def run(self, result=None):
        self._servers = []
        result = result or self.defaultTestResult()
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            for server in self._servers:
                print(f"---- log of the server of {self.id()}\n{server.log_text()}\n----",
                      file=sys.stderr)
        return result

    def prepare(self, *options, **how):
        """A server that is not started yet."""
        server = Server(*options, **how)
        self._servers.append(server)
        self.addCleanup(server.finish)
        return server

    def serve(self, *options, **how):
        return self.prepare(*options, **how).start()

    def serve_on(self, data, *options):
        """A server of a directory that there is already."""
        server = self.prepare(*options)
        server.data = data
        return server.start()

    def start(self, *arguments, **how):
        """A command that works beside the test."""
        running = Running(*arguments, **how)
        self.addCleanup(running.close)
        return running

    def assert_problem(self, response, status, *mentions, **members):
        """An RFC 9457 answer whose text mentions what is at fault."""
        self.assertEqual(response.status, status, response)
        self.assertTrue(response.headers["content-type"].startswith("application/problem+json"),
                        response.headers)
        problem = response.json()
        self.assertEqual(problem["status"], status)
        for member in ("type", "title", "detail"):
            self.assertIsInstance(problem[member], str)
            self.assertNotEqual(problem[member], "")
        for mention in mentions:
            self.assertIn(mention, problem["detail"])
        for member, value in members.items():
            self.assertEqual(problem.get(member), value, problem)

    def assert_receipt(self, receipt, **members):
        """The members of the answer to a publish request."""
        for member, value in members.items():
            self.assertEqual(receipt.get(member), value, receipt)

    def assert_gap(self, gap, reason, **members):
        self.assertEqual(gap["op"], "gap", gap)
        self.assertEqual(gap["reason"], reason, gap)
        self.assertEqual(set(gap), {"op", "requested", "first", "reason"})
        for member, value in members.items():
            self.assertEqual(gap[member], value, gap)


def of_type(socket, kind, seconds=DEADLINE_S):
    """The next frame of a type of the monitoring profile; others are kept in `notices`."""
    while (document := socket.receive(seconds)).get("type") != kind:
        socket.notices.append(document)
    return document


def seqs(events):
    return [event["seq"] for event in events]
