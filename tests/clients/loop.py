"""The loop that every reader has to pass: replay, live, its connection cut, the server killed and restarted, resume.

A reader is a program. It is started with the server's URL and where to begin (`first` or `head`), and prints each event as it came,
on a line of its own, and `hello` on stderr when it has a position."""

import json
import os
import random

from case import TidemarkTest
from command import Running
from cutter import Cutter
from waiting import wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
NODE = os.environ["TIDEMARK_NODE"]
PYTHON = "/usr/bin/python3"  # Debian's, which has Debian's packages

SMALL, LARGE = 150, 200_000


def event(number):
    return {"stream": f"s{number % 3}", "id": str(number), "data": {"number": number, "text": "naïve € 😀" * 5}}


def seq(line):
    return json.loads(line)["seq"]


def interpreted(path):
    """The command that runs a program."""
    return [NODE if path.endswith(".mjs") else PYTHON, path]


class LoopTest(TidemarkTest):

    def prepare_loop(self, *options):
        self.server = self.serve(*options)
        self.cutter = Cutter(self.server.address)
        self.addCleanup(self.cutter.close)
        self.published = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.cutter.port}"

    def publish(self, count=10):
        """More events, behind the relay's back."""
        self.server.publish([event(self.published + i) for i in range(count)])
        self.published += count

    def run_reader(self, command, *arguments, **how):
        program = Running(*command[1:], *arguments, program=command[0], **how)
        self.addCleanup(program.close)
        return program

    def assert_seen(self, program, start=0):
        """It has printed what was published, all of it, in order and byte for byte."""
        count = self.published - start
        wait_until(lambda: len(program.lines) >= count or program.process.poll() is not None, f"{count} events are printed")
        there = self.server.lines(after=start)
        context = program.errors[-20:]
        self.assertEqual([seq(line) for line in program.lines], [seq(line) for line in there], context)
        self.assertTrue(program.lines == there, context)

    def restart(self):
        self.server.kill()
        self.server.start(port=self.server.port)

    def outages(self, check, program):
        """The connection is away while events are published, then the server restarts; `check(program)` after each."""
        with self.cutter.away():
            self.publish()
        check(program)
        with self.cutter.away(reset=True):
            self.restart()
            self.publish()
        check(program)

    def loop(self, command, *arguments, folder=None, options=()):
        """From the first event. The connection is cut inside of an event first. `options` are the server's."""
        self.prepare_loop(*options)
        self.publish(SMALL)
        self.server.publish({"data": random.Random(1).randbytes(LARGE).hex()})  # which is as large when it is packed
        self.published += 1
        self.publish(SMALL)
        self.cutter.cut_after(LARGE)
        program = self.run_reader(command, self.url, *arguments, folder=folder)
        self.assert_seen(program)
        self.assertTrue(self.cutter.has_cut())
        self.publish()
        self.assert_seen(program)
        self.outages(self.assert_seen, program)
        self.publish()
        self.assert_seen(program)
        return program

    def loop_at_head(self, command, *arguments):
        """A reader that begins at the head, and is cut off before its first event."""
        self.prepare_loop()
        self.publish()
        program = self.run_reader(command, self.url, *arguments)
        wait_until(lambda: "hello" in program.errors, "it knows where it is")
        with self.cutter.away():
            self.publish()
        self.assert_seen(program, 10)
        return program
