#!/usr/bin/env python3
"""A replay that its reader steers: pause, resume, step, speed, seek."""

import json
import random
import time
import unittest

from case import TidemarkTest
from load import scaled
from text import seqs


def answer(socket, **op):
    """Sends an op that steers; returns what it is answered with. Events in between are in `socket.seen`."""
    socket.send(op)
    while (document := socket.receive()).get("op") != "replaying":
        socket.seen.append(document)
    return document


class Steering(TidemarkTest):

    HEAD = 200

    def setUp(self):
        self.server = self.serve("--ring", "64KiB")
        for part in range(4):  # some in memory, some only in the store
            self.server.publish([{"stream": f"s{i % 2}", "data": "x" * 500} for i in range(self.HEAD // 4)])

    def paused_reader(self, **query):
        """One that has stopped somewhere near its start."""
        socket = self.server.reader(speed=0.01, **query)
        socket.seen = []
        self.assertTrue(answer(socket, op="pause")["paused"])
        return socket

    def assert_silent(self, socket):
        """What was sent before has been handled, and nothing but the pong has come."""
        socket.send({"op": "ping"})
        self.assertEqual(socket.receive()["op"], "pong")

    def test_pause_and_step(self):
        socket = self.paused_reader(after="first")
        at = answer(socket, op="speed", speed=None)["after"]
        self.assertEqual(seqs(socket.seen), list(range(1, at + 1)))
        self.assert_silent(socket)
        self.assertEqual(answer(socket, op="step", n=3), {"op": "replaying", "after": at, "speed": None, "paused": True})
        self.assertEqual(seqs(socket.receive() for _ in range(3)), [at + 1, at + 2, at + 3])
        self.assert_silent(socket)
        self.assertEqual(answer(socket, op="step", ref=[1])["ref"], [1])  # one, unless it says how many
        self.assertEqual(socket.receive()["seq"], at + 4)
        self.assertEqual(answer(socket, op="resume"), {"op": "replaying", "after": at + 4, "speed": None, "paused": False})
        self.assertEqual(seqs(socket.events(self.HEAD - at - 4)), list(range(at + 5, self.HEAD + 1)))
        self.assertEqual(socket.receive(), {"op": "live", "seq": self.HEAD})

    def test_a_step_of_a_reader_that_runs_pauses_it(self):
        socket = self.server.live_reader(after="head")
        socket.seen = []
        self.assertTrue(answer(socket, op="step", n=2)["paused"])
        self.server.publish([{"data": i} for i in range(5)])
        self.assertEqual(seqs(socket.receive() for _ in range(2)), [self.HEAD + 1, self.HEAD + 2])
        self.assert_silent(socket)

    def test_a_live_reader_pauses_and_misses_nothing(self):
        socket = self.server.live_reader(after="head")
        socket.seen = []
        answer(socket, op="pause")
        for _ in range(20):
            self.server.publish({"data": "y"})
        self.assert_silent(socket)
        answer(socket, op="resume")
        self.assertEqual(seqs(socket.events(20)), list(range(self.HEAD + 1, self.HEAD + 21)))

    def test_seek_goes_back_and_forth(self):
        socket = self.server.reader(after=150)
        socket.seen = []
        for target, after in ((10, 10), (190, 190), (0, 0), ("first", 0), ("head", self.HEAD), (42, 42)):
            with self.subTest(target):
                told = answer(socket, op="seek", after=target, ref="r")
                self.assertEqual(told, {"op": "replaying", "after": after, "speed": None, "paused": False, "ref": "r"})
                left = min(5, self.HEAD - after)
                self.assertEqual(seqs(socket.events(left)), list(range(after + 1, after + left + 1)))
        self.assertEqual(seqs(socket.events(self.HEAD - 47)), list(range(48, self.HEAD + 1)))
        self.server.publish({"data": "live"})
        self.assertEqual(socket.event()["seq"], self.HEAD + 1)

    def test_a_seek_past_the_head_is_a_gap(self):
        socket = self.paused_reader(after="first")
        self.assertEqual(answer(socket, op="seek", after=1000)["after"], self.HEAD)
        answer(socket, op="resume")
        self.assert_gap(socket.receive(), "ahead", requested=1000, first=1)
        self.server.publish({"data": "next"})
        self.assertEqual(socket.event()["seq"], self.HEAD + 1)

    def test_a_filtered_reader_seeks(self):
        socket = self.server.reader(after="first", stream="s1")
        socket.seen = []
        self.assertEqual(answer(socket, op="seek", after=101)["after"], 101)
        self.assertEqual(seqs(socket.events(50)), list(range(102, 201, 2)))

    def test_at_random(self):
        """Whatever is said, each stretch between two seeks is without a hole, and the events are those of the log."""
        lines, rng = self.server.lines(), random.Random(7)
        socket = self.server.websocket(after="first")
        socket.receive()
        expected, wanted = 1, None
        for _ in range(scaled(300, 60)):
            op = rng.choice(["pause", "resume", "step", "speed", "seek", "seek"])
            say = {"op": op}
            if op == "step":
                say["n"] = rng.randrange(1, 9)
            elif op == "speed":
                say["speed"] = rng.choice([None, 10000])
            elif op == "seek":
                say["after"] = wanted = rng.randrange(self.HEAD + 1)
            socket.send(say)
            while json.loads(text := socket.text()).get("op") != "replaying":
                if text.startswith('{"seq"'):
                    self.assertEqual(text, lines[expected - 1])
                    expected += 1
            if op == "seek":
                expected = wanted + 1
            self.assertEqual(json.loads(text)["after"], expected - 1)
        socket.send({"op": "speed", "speed": None})
        socket.send({"op": "resume"})
        while expected <= self.HEAD:
            if (text := socket.text()).startswith('{"seq"'):
                self.assertEqual(text, lines[expected - 1])
                expected += 1

    def test_a_session_may_acknowledge_what_it_was_sent_before_it_went_back(self):
        socket = self.server.reader(session="s", start="first")
        socket.seen = []
        self.assertEqual(seqs(socket.events(100)), list(range(1, 101)))
        answer(socket, op="pause")
        answer(socket, op="seek", after=5)
        answer(socket, op="step", n=1)
        self.assertEqual(socket.receive()["seq"], 6)
        socket.send({"op": "ack", "seq": 100})
        socket.ping()
        self.assertEqual(self.server.get("/v1/sessions/s").json()["acked"], 100)
        answer(socket, op="seek", after=self.HEAD)
        self.server.publish({"data": "unseen"})
        socket.send({"op": "ack", "seq": self.HEAD + 1})
        self.assertEqual(socket.op("error")["status"], 400)

    def test_what_is_wrong_is_an_error_that_names_it(self):
        socket = self.server.live_reader(after="head")
        for op, mention in (({"op": "step", "n": 0}, "n:"), ({"op": "step", "n": -1}, "n:"), ({"op": "step", "n": "1"}, "n:"),
                            ({"op": "speed"}, "speed:"), ({"op": "speed", "speed": 0}, "speed:"),
                            ({"op": "speed", "speed": 20000}, "speed:"), ({"op": "speed", "speed": "1"}, "speed:"),
                            ({"op": "seek"}, "after:"), ({"op": "seek", "after": "last"}, "after:"),
                            ({"op": "seek", "after": -1}, "after:"), ({"op": "seek", "after": 1, "n": 1}, "n"),
                            ({"op": "pause", "speed": 1}, "speed"), ({"op": "resume", "after": 1}, "after")):
            with self.subTest(op):
                socket.send(op | {"ref": 9})
                error = socket.receive()
                self.assertEqual((error["op"], error["status"], error["ref"]), ("error", 400, 9))
                self.assertIn(mention, error["detail"])


class Timing(TidemarkTest):
    """Ten events, 300 ms apart."""

    @classmethod
    def setUpClass(cls):
        cls.apart = 0.3

    def setUp(self):
        self.server = self.serve()
        for i in range(10):
            self.server.publish({"data": i})
            time.sleep(self.apart)
        times = [json.loads(line)["time"] for line in self.server.lines()]
        self.span = (self.seconds(times[-1]) - self.seconds(times[0]))

    @staticmethod
    def seconds(text):
        hour, minute, second = text[11:-1].split(":")
        return int(hour) * 3600 + int(minute) * 60 + float(second)

    def test_nothing_comes_before_its_time(self):
        begin = time.monotonic()
        socket = self.server.reader(after="first", speed=3)
        socket.events(10)
        self.assertGreaterEqual(time.monotonic() - begin, self.span / 3 - 0.002 * 10)

    def test_a_change_of_speed_counts_from_where_the_replay_is(self):
        """Fails where the pace begins again: then the next event comes at once."""
        socket = self.server.reader(after="first", speed=0.01)
        socket.seen = []
        self.assertEqual(socket.event()["seq"], 1)
        begin = time.monotonic()
        self.assertEqual(answer(socket, op="speed", speed=1)["speed"], 1)
        socket.events(9)
        took = time.monotonic() - begin
        self.assertGreaterEqual(took, self.span * 0.8)  # what the slow pace has covered until then is next to nothing

    def test_the_time_of_a_pause_does_not_count(self):
        socket = self.server.reader(after="first", speed=1)
        socket.seen = []
        socket.event()
        answer(socket, op="pause")
        begin = time.monotonic()
        time.sleep(1)
        answer(socket, op="resume")
        socket.events(9 - len(socket.seen))
        self.assertGreaterEqual(time.monotonic() - begin, 1 + self.span - (len(socket.seen) + 1) * self.apart - 0.1)

    def test_a_seek_begins_anew(self):
        socket = self.server.reader(after="first", speed=0.01)
        socket.seen = []
        socket.event()
        answer(socket, op="seek", after=5)
        self.assertEqual(socket.event()["seq"], 6)  # at once, and not after 150 s


if __name__ == "__main__":
    unittest.main()
