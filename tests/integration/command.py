"""Commands of the binary: run to their end, or at work beside the test."""

import os
import signal
import subprocess

import binary
from binary import SANITIZER_REPORT, environment
from waiting import Task, wait_until
from wire import DEADLINE_S


def command(*arguments, text=None, extra=None, seconds=DEADLINE_S):
    """Runs `tidemark ARGUMENTS` to its end."""
    done = subprocess.run([binary.BIN, *arguments], input=text, capture_output=True, timeout=seconds,
                          encoding="utf-8", env=environment(extra), check=False)
    assert not SANITIZER_REPORT.search(done.stderr), done.stderr
    return done


class Running:
    """A `tidemark` command (or another `program`) at work: `lines` has what it printed so far."""

    def __init__(self, *arguments, program=None, extra=None, folder=None):
        self.lines = []
        self.errors = []
        self.process = subprocess.Popen(
            [program or binary.BIN, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
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
