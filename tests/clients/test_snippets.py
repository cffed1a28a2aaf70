#!/usr/bin/env python3
"""The programs of docs/clients.md do what it says of them."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from binary import ROOT
from loop import HERE, NODE, PYTHON, LoopTest, event, seq
from waiting import wait_until
from wire import DEADLINE_S

DEBIAN_NODE = "/usr/bin/node"  # the oldest that the document speaks of
GO = shutil.which("gccgo-12")

with open(os.path.join(ROOT, "docs", "clients.md"), encoding="utf-8") as document:
    BLOCKS = re.findall(r"^( *)```\w+\n(.*?)^ *```$", document.read(), re.DOTALL | re.MULTILINE)
PROGRAMS = {name[1]: text for _, text in BLOCKS if (name := re.match(r"(?:#|//|<!--) (\w+\.\w+)[ :]", text))}
PAGE = [NODE, os.path.join(HERE, "page.mjs")]
STOP_RETURNING = next(text for indent, text in BLOCKS if indent)


def seqs(program):
    return [seq(line) for line in program.lines]


class SnippetTest(LoopTest):

    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="tidemark-client-")
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        for name, text in PROGRAMS.items():
            self.write(name, text)

    def write(self, name, text):
        with open(os.path.join(self.home, name), "w", encoding="utf-8") as file:
            file.write(text)

    def head(self):
        return self.server.head()

    def wait_handled(self, program):
        head = self.head()
        wait_until(lambda: head in seqs(program), f"{head} is printed")


class Language:
    """What the programs of each language have to do; `command(name)` runs one."""

    def command(self, name):
        raise NotImplementedError

    def run_snippet(self, name, *arguments):
        return self.run_reader(self.command(name), *arguments, folder=self.home)

    def publish_snippet(self, documents):
        text = "".join(json.dumps(document) + "\n" for document in documents)
        return subprocess.run([*self.command("publish"), self.url], input=text, cwd=self.home, capture_output=True,
                              encoding="utf-8", timeout=DEADLINE_S, check=False)

    repeats = True  # publish does so by itself

    def test_publish_stores_once_what_it_repeats(self):
        self.prepare_loop()
        documents = [event(number) for number in range(20)]
        self.cutter.cut_after(0)
        done = self.publish_snippet(documents)
        self.assertTrue(self.cutter.has_cut())
        if not self.repeats:
            self.assertNotEqual(done.returncode, 0)
            done = self.publish_snippet(documents)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["duplicates"], 20)
        self.assertEqual([e["data"] for e in self.server.everything()], [d["data"] for d in documents])

    def test_publish_gives_up_where_an_event_is_wrong(self):
        self.prepare_loop()
        done = self.publish_snippet([event(1), {"stream": "", "data": 1}])
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("stream", done.stdout + done.stderr)

    def test_follow(self):
        program = self.loop(self.command("follow"), folder=self.home)
        position = os.path.join(self.home, "position")

        def is_kept():
            with open(position, encoding="utf-8") as file:
                return file.read().startswith(f"{self.head()}.")

        wait_until(is_kept, "its position is kept")
        program.close()
        head = self.head()
        self.publish()
        program = self.run_snippet("follow", self.url)
        self.assert_seen(program, head)

    def test_gaps_are_reported(self):
        self.prepare_loop()
        self.publish()
        self.write("position", "5.anotherstore")
        program = self.run_snippet("follow", self.url)
        self.assert_seen(program)
        wait_until(lambda: any('"reason":"epoch"' in line for line in program.errors), "the gap is reported")

    def session_arguments(self, name):
        return [name, self.url]

    def test_session(self):
        self.prepare_loop()
        self.publish(50)
        program = self.run_snippet("session", *self.session_arguments("s"))
        self.assert_seen(program)
        self.outages(self.wait_handled, program)
        self.assertEqual(sorted(set(seqs(program))), list(range(1, self.head() + 1)))
        wait_until(lambda: self.server.get("/v1/sessions/s").json()["acked"] == self.head(), "all is acknowledged")
        program.close()
        self.publish()
        head = self.head()
        program = self.run_snippet("session", *self.session_arguments("s"))
        self.wait_handled(program)
        self.assertEqual(seqs(program), list(range(head - 9, head + 1)))

    def test_a_session_that_is_taken_is_not_taken_back(self):
        self.prepare_loop()
        self.publish()
        first = self.run_snippet("session", *self.session_arguments("s"))
        self.assert_seen(first)
        second = self.run_snippet("session", *self.session_arguments("s"))
        wait_until(lambda: first.process.poll() is not None, "the first reader ends")
        self.publish()
        self.wait_handled(second)
        self.assertIsNone(second.process.poll())


class Shell(Language, SnippetTest):

    repeats = False  # curl repeats only what it could not send

    def command(self, name):
        return ["/bin/sh", f"{name}.sh"]


class Python(Language, SnippetTest):

    def command(self, name):
        return [PYTHON, f"{name}.py"]


@unittest.skipUnless(GO, "no gccgo-12 to compile the programs with")
class Go(Language, SnippetTest):

    def command(self, name):
        name = "follow" if name == "session" else name
        binary = os.path.join(self.home, name)
        if not os.path.exists(binary):
            subprocess.run([GO, "-o", binary, f"{name}.go"], cwd=self.home, check=True)
        return [binary]

    def session_arguments(self, name):
        return [self.url, name]

    def test_is_formatted(self):
        for name in PROGRAMS:
            if name.endswith(".go"):
                done = subprocess.run(["gofmt-12", "-l", name], cwd=self.home, capture_output=True, check=True)
                self.assertEqual(done.stdout, b"")


class Node(Language, SnippetTest):

    def command(self, name):
        return [DEBIAN_NODE, f"{name}.mjs"]

    test_session = test_a_session_that_is_taken_is_not_taken_back = None  # in a browser


class Browser(SnippetTest):

    def setUp(self):
        super().setUp()
        self.static = ("--static", self.home)

    def open(self, name):
        return self.run_reader(PAGE, self.url, name)

    def test_follow(self):
        program = self.loop(PAGE, "follow.html", options=self.static)
        program.write("reload\n")  # what a page logs while it goes may be lost
        program.write("console.warn('loaded again')\n")
        wait_until(lambda: "loaded again" in program.errors, "the page is loaded again")
        self.publish()
        self.assert_seen(program)

    def test_follow_comes_back_after_a_503(self):
        self.prepare_loop(*self.static)
        self.publish()
        program = self.open("follow.html")
        self.assert_seen(program)
        with self.cutter.away():
            self.publish()
            self.server.restart(*self.static, "--max-connections", "2", "--handshake-timeout", "10m", same_port=True)
            held = [self.server.wire() for _ in range(2)]
            for wire in held:  # without a request they would make room
                wire.send(b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                          b"Content-Length: 10\r\n\r\n")
        wait_until(lambda: any("503" in line for line in program.errors), "the browser is refused")
        for wire in held:
            wire.close()
        wait_until(lambda: len(program.lines) >= 20, "the page is back")
        self.assert_seen(program)

    def test_session(self):
        self.prepare_loop(*self.static)
        self.publish(50)
        first = self.open("session.html")
        self.assert_seen(first)
        self.outages(self.wait_handled, first)
        first.write("publish({ id: 'from the page', data: 1 })\n")
        self.published += 1
        wait_until(lambda: self.head() == self.published, "the page's event is stored")
        self.wait_handled(first)
        self.assertEqual(sorted(set(seqs(first))), list(range(1, self.published + 1)))
        wait_until(lambda: self.server.get("/v1/sessions/page").json()["acked"] == self.published, "all is acknowledged")
        second = self.open("session.html")
        wait_until(lambda: any("taken over" in line for line in first.errors), "the first page has lost it")
        self.publish()
        self.wait_handled(second)
        self.assertEqual(seqs(second), list(range(self.published - 9, self.published + 1)))

    def test_reconnecting_websocket_does_not_take_a_session_back(self):
        self.prepare_loop()
        self.write("program.mjs", f"""
            import ReconnectingWebSocket from 'reconnecting-websocket';
            import WebSocket from 'ws';
            const address = process.argv[2].replace('http', 'ws') + '/v1/ws?session=s&start=first';
            const socket = new ReconnectingWebSocket(address, [], {{ WebSocket }});
            socket.onmessage = ({{ data }}) => data.startsWith('{{"seq"') && console.log(data);
            {STOP_RETURNING}""")
        os.symlink(os.path.join(HERE, "node_modules"), os.path.join(self.home, "node_modules"))
        program = [NODE, os.path.join(self.home, "program.mjs")]
        self.publish()
        first = self.run_reader(program, self.url)
        self.assert_seen(first)
        second = self.run_reader(program, self.url)
        wait_until(lambda: first.process.poll() is not None, "the first has nothing to wait for any more")
        self.assert_seen(second)
        with self.cutter.away():
            self.publish()
        self.wait_handled(second)
        self.server.request("DELETE", "/v1/sessions/s")
        wait_until(lambda: second.process.poll() is not None, "the second has nothing to wait for any more")


if __name__ == "__main__":
    unittest.main()
