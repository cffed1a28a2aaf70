"""The server's process and its life: started, watched, killed, stopped."""

import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import threading

import binary
from binary import SANITIZER_REPORT, environment
from client import Client
from load import KIB
from waiting import Task
from wire import DEADLINE_S

# Tests with many connections need as many descriptors, here and in the server.
_hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (_hard, _hard))


class Server(Client):
    """`tidemark serve` on a free port of the loopback and a directory of its own."""

    def __init__(self, *options, extra=None, within=()):
        super().__init__()
        self.options = options
        self.within = within  # a command that runs the server as its arguments, in its own process
        self.home = tempfile.mkdtemp(prefix="tidemark-test-")
        self.data = os.path.join(self.home, "data")
        self.extra = extra or {}  # more environment variables
        self.process = None
        self.log = []
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
            [*self.within, binary.BIN, "serve", "--data", self.data, "--listen", f"127.0.0.1:{port}",
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
            self.close_clients()
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
