#!/usr/bin/env python3
"""No silent loss: who asks for events that are no longer there is told so."""

import json
import unittest

from harness import TidemarkTest, edited, seqs


class Removed(TidemarkTest):
    """A store of 100 events whose first 40 were removed, as retention would."""

    FIRST = 41

    def setUp(self):
        self.server = self.serve()
        self.server.publish([{"stream": f"s{i % 2}", "type": "t", "data": i + 1} for i in range(100)])
        self.server.stop()
        with edited(self.server.data) as db:
            db.execute("DELETE FROM event WHERE seq < ?", (self.FIRST,))
            db.execute("UPDATE meta SET value = '1-40' WHERE key = 'gone'")
        self.server.start()

    def test_a_removed_event_is_410_and_one_that_never_was_is_404(self):
        self.assert_problem(self.server.get("/v1/events/1"), 410)
        self.assert_problem(self.server.get("/v1/events/40"), 410)
        self.assertEqual(self.server.event(41)["data"], 41)
        self.assert_problem(self.server.get("/v1/events/101"), 404)

    def test_a_history_that_starts_before_the_first_event_has_a_gap(self):
        document = self.server.history(after=10)
        self.assertEqual((document["first"], document["head"]), (41, 100))
        self.assert_gap(document["gap"], "retention", requested=10, first=41)
        self.assertEqual(seqs(document["events"]), list(range(41, 101)))
        lines = [json.loads(line) for line in self.server.lines(after=10)]
        self.assert_gap(lines[0], "retention", requested=10, first=41)
        self.assertEqual(lines[1:], document["events"])

    def test_a_history_from_the_first_event_that_is_there_has_none(self):
        for after in ("first", 40, 41, 99):
            with self.subTest(after):
                document = self.server.history(after=after)
                self.assertNotIn("gap", document)
                self.assertEqual(document["events"][-1]["seq"], 100)
        self.assertNotIn("gap", self.server.history())
        self.assertEqual(seqs(self.server.everything()), list(range(41, 101)))

    def test_a_websocket_is_told_before_the_first_event(self):
        for after in (0, 10, 39):
            socket = self.server.reader(after=after)
            self.assertEqual((socket.hello["first"], socket.hello["head"]), (41, 100))
            self.assert_gap(socket.receive(), "retention", requested=after, first=41)
            self.assertEqual(seqs(socket.receive() for _ in range(60)), list(range(41, 101)))
            self.assertEqual(socket.receive(), {"op": "live", "seq": 100})
        for after in ("first", 40):
            self.assertEqual(self.server.reader(after=after).receive()["seq"], 41)

    def test_an_event_source_is_told_before_the_first_event(self):
        for source in (self.server.sse(after=10), self.server.sse(headers={"Last-Event-ID": "10"})):
            message = source.message()
            self.assertEqual(message.event, "gap")
            self.assert_gap(message.json(), "retention", requested=10, first=41)
            self.assertEqual(seqs(source.events(60)), list(range(41, 101)))
        self.assertEqual(self.server.sse(after="first").event()["seq"], 41)

    def test_a_session_that_is_too_late_is_told(self):
        response = self.server.request("PUT", "/v1/sessions/s", b'{"acked":5}')
        if response.status == 404:  # a session is made by its first connection
            self.server.reader(session="s").leave()
            response = self.server.request("PUT", "/v1/sessions/s", b'{"acked":5}')
        self.assertEqual(response.status, 200, response)
        socket = self.server.reader(session="s")
        self.assert_gap(socket.receive(), "retention", requested=5, first=41)
        self.assertEqual(socket.receive()["seq"], 41)

    def test_an_emptied_store_goes_on_counting(self):
        self.server.stop()
        with edited(self.server.data) as db:
            db.execute("DELETE FROM event")
            db.execute("UPDATE meta SET value = '1-100' WHERE key = 'gone'")
        self.server.start()
        self.assertEqual(self.server.head(), 100)
        self.assertEqual(self.server.everything(), [])
        self.assert_problem(self.server.get("/v1/events/100"), 410)
        self.assertEqual(self.server.publish({"data": "next"})["first"], 101)
        self.assertEqual(seqs(self.server.everything()), [101])


if __name__ == "__main__":
    unittest.main()
