#!/usr/bin/env python3
"""Durable readers: what a session acknowledged outlives connections and crashes."""

import time
import unittest
from urllib.parse import quote

from harness import SCALE, TIME, TidemarkTest, seqs, wait_until
from wire import Refused

# "Durable within 1 s"; a slow build gets longer to keep the promise.
DURABLE_S = 1.0 if SCALE >= 1 else 5.0


class SessionTest(TidemarkTest):

    def setUp(self):
        self.server = self.serve()

    def fill(self, count=20):
        self.server.publish([{"stream": "ab"[i % 2], "data": i} for i in range(count)])

    def acknowledge(self, socket, seq):
        """Acknowledges, and returns when the server has taken it."""
        socket.send({"op": "ack", "seq": seq})
        socket.ping()

    def session(self, name="s"):
        response = self.server.get(f"/v1/sessions/{name}")
        self.assertEqual(response.status, 200, response)
        return response.json()

    def leave(self, socket, name="s"):
        """Closes cleanly, and returns when the session has no reader."""
        socket.leave()
        wait_until(lambda: not self.session(name)["connected"], "the session is disconnected")

    def put(self, name, body):
        return self.server.request("PUT", f"/v1/sessions/{name}", body,
                                   {"Content-Type": "application/json"})


class Resuming(SessionTest):

    def test_a_new_session_starts_at_the_head(self):
        self.fill()
        socket = self.server.reader(session="s")
        self.assertEqual((socket.hello["session"], socket.hello["after"]), ("s", 20))
        self.assertEqual(socket.receive(), {"op": "live", "seq": 20})

    def test_reading_starts_after_what_was_acknowledged(self):
        self.fill()
        socket = self.server.reader(session="s", after="first")
        self.assertEqual(seqs(socket.events(20)), list(range(1, 21)))
        self.acknowledge(socket, 12)
        socket.leave()
        again = self.server.reader(session="s")
        self.assertEqual(again.hello["after"], 12)
        self.assertEqual(seqs(again.events(8)), list(range(13, 21)))
        self.assertEqual(again.receive(), {"op": "live", "seq": 20})

    def test_after_wins_over_the_session(self):
        self.fill()
        socket = self.server.reader(session="s", after=3)
        self.assertEqual(socket.hello["after"], 3)
        self.acknowledge(socket, 12)
        socket.leave()
        self.assertEqual(seqs(self.server.reader(session="s", after=17).events(3)), [18, 19, 20])

    def test_a_clean_close_makes_the_ack_durable(self):
        self.fill()
        socket = self.server.reader(session="s", after="first")
        socket.send({"op": "ack", "seq": 7})
        socket.leave()
        self.server.kill()
        self.server.start()
        self.assertEqual(self.server.reader(session="s").hello["after"], 7)

    def test_an_ack_is_durable_within_a_second(self):
        self.fill()
        socket = self.server.reader(session="s", after="first")
        for seq in (5, 9, 14):
            self.acknowledge(socket, seq)
        time.sleep(DURABLE_S)
        self.server.kill()
        self.server.start()
        again = self.server.reader(session="s")
        self.assertEqual(again.hello["after"], 14)
        self.assertEqual(seqs(again.events(6)), list(range(15, 21)))

    def test_a_session_resumes_after_a_crash_from_the_store_into_live_events(self):
        self.server.restart("--ring", "64KiB")
        self.server.publish_lines({"data": "x" * 200} for _ in range(3000))
        socket = self.server.reader(session="s", after="first")
        socket.events(1500)
        self.acknowledge(socket, 1000)
        time.sleep(DURABLE_S)
        self.server.kill()
        self.server.start()
        again = self.server.reader(session="s")
        self.assertEqual(seqs(again.events(2000)), list(range(1001, 3001)))
        self.assertEqual(again.receive(), {"op": "live", "seq": 3000})
        self.fill(5)
        self.assertEqual(seqs(again.events(5)), list(range(3001, 3006)))

    def test_an_ack_survives_a_stop_without_a_close(self):
        self.fill()
        socket = self.server.reader(session="s", after="first")
        self.acknowledge(socket, 11)
        self.server.restart()
        self.assertEqual(self.server.reader(session="s").hello["after"], 11)

    def test_sessions_are_independent(self):
        self.fill()
        sockets = {name: self.server.reader(session=name, after="first") for name in ("x", "y", "z/é ?")}
        for seq, socket in enumerate(sockets.values(), 5):
            self.acknowledge(socket, seq)
            socket.leave()
        for seq, name in enumerate(sockets, 5):
            self.assertEqual(self.server.reader(session=name).hello["after"], seq)

    def test_a_session_may_filter(self):
        self.fill()
        socket = self.server.reader(session="s", after="first", stream="b")
        self.assertEqual(seqs(socket.events(3)), [2, 4, 6])
        self.acknowledge(socket, 4)
        socket.leave()
        self.assertEqual(seqs(self.server.reader(session="s", stream="b").events(2)), [6, 8])

    def test_another_epoch_is_a_gap(self):
        self.fill(5)
        socket = self.server.reader(session="s", after="first")
        self.acknowledge(socket, 3)
        socket.leave()
        again = self.server.reader(session="s", epoch="another")
        self.assert_gap(again.receive(), "epoch", first=1)
        self.assertEqual(seqs(again.events(5)), [1, 2, 3, 4, 5])


class Acknowledging(SessionTest):

    def error(self, socket, document):
        socket.send(document)
        error = socket.op("error")
        self.assertEqual(error["status"], 400, error)
        self.assertEqual(socket.ping()["head"], self.server.head())

    def test_an_ack_at_or_below_the_acknowledged_changes_nothing(self):
        self.fill()
        socket = self.server.reader(session="s", after="first")
        socket.events(20)
        for seq in (12, 12, 5, 0):
            socket.send({"op": "ack", "seq": seq})
            self.assertEqual(socket.ping()["head"], 20)
        self.assertEqual(self.session()["acked"], 12)
        socket.leave()
        self.assertEqual(self.server.reader(session="s").hello["after"], 12)

    def test_an_ack_past_the_head_is_an_error(self):
        self.fill()
        socket = self.server.reader(session="s", after="first")
        self.acknowledge(socket, 3)
        self.error(socket, {"op": "ack", "seq": 21})
        self.error(socket, {"op": "ack", "seq": 9007199254740991})
        self.assertEqual(self.session()["acked"], 3)
        self.acknowledge(socket, 20)
        self.assertEqual(self.session()["acked"], 20)

    def test_an_ack_without_a_session_is_an_error(self):
        self.fill()
        self.error(self.server.live_reader(), {"op": "ack", "seq": 1})
        self.assertEqual(self.server.get("/v1/sessions").json(), {"sessions": []})

    def test_a_malformed_ack_is_an_error(self):
        self.fill()
        socket = self.server.reader(session="s", after="first")
        for seq in ("5", 1.5, None, [1], True, 1e300):
            with self.subTest(seq):
                self.error(socket, {"op": "ack", "seq": seq})
        self.error(socket, {"op": "ack"})


class TakeOver(SessionTest):

    def test_a_second_connection_takes_over_and_the_first_is_closed_with_4409(self):
        self.fill()
        first = self.server.reader(session="s", after="first")
        first.events(20)
        self.acknowledge(first, 8)
        second = self.server.reader(session="s")
        self.assertEqual(first.closed().code, 4409)
        self.assertEqual(second.hello["after"], 8)
        self.assertEqual(seqs(second.events(12)), list(range(9, 21)))
        self.acknowledge(second, 15)
        self.assertEqual((self.session()["acked"], self.session()["connected"]), (15, True))

    def test_take_overs_in_a_row_leave_one_reader(self):
        self.fill()
        readers = [self.server.reader(session="s", after="first") for _ in range(10)]
        for reader in readers[:-1]:
            self.assertEqual(reader.closed().code, 4409)
        self.assertEqual(seqs(readers[-1].events(20)), list(range(1, 21)))
        self.acknowledge(readers[-1], 20)

    def test_another_session_is_not_touched(self):
        other = self.server.live_reader(session="other")
        self.server.live_reader(session="s")
        self.server.live_reader(session="s")
        self.fill(3)
        self.assertEqual(seqs(other.events(3)), [1, 2, 3])


class Resource(SessionTest):

    def test_a_session_tells_its_state(self):
        self.fill()
        socket = self.server.reader(session="s", after="first")
        self.acknowledge(socket, 12)
        session = self.session()
        self.assertEqual(set(session), {"name", "acked", "lag", "connected", "updated"})
        self.assertEqual((session["name"], session["acked"], session["lag"], session["connected"]),
                         ("s", 12, 8, True))
        self.assertRegex(session["updated"], f"^{TIME}$")
        self.leave(socket)
        self.fill(2)
        session = self.session()
        self.assertEqual((session["acked"], session["lag"], session["connected"]), (12, 10, False))

    def test_all_sessions_are_listed_and_outlive_a_restart(self):
        self.fill()
        self.assertEqual(self.server.get("/v1/sessions").json(), {"sessions": []})
        for seq, name in enumerate(("a", "b", "c/d"), 4):
            socket = self.server.reader(session=name, after="first")
            self.acknowledge(socket, seq)
            self.leave(socket, quote(name, safe=""))
        for _ in range(2):
            sessions = self.server.get("/v1/sessions").json()["sessions"]
            self.assertEqual({s["name"]: (s["acked"], s["lag"], s["connected"]) for s in sessions},
                             {"a": (4, 16, False), "b": (5, 15, False), "c/d": (6, 14, False)})
            self.assertEqual(self.session("c%2Fd"), next(s for s in sessions if s["name"] == "c/d"))
            self.server.restart()

    def test_an_unknown_session_is_404(self):
        self.assert_problem(self.server.get("/v1/sessions/none"), 404)
        self.assert_problem(self.server.request("DELETE", "/v1/sessions/none"), 404)

    def test_put_moves_a_session_back_and_forth(self):
        self.fill()
        socket = self.server.reader(session="s", after="first")
        self.acknowledge(socket, 12)
        socket.leave()
        for acked in (3, 19, 0, 20):
            response = self.put("s", '{"acked":%d}' % acked)
            self.assertEqual(response.status, 200, response)
            self.assertEqual(self.session()["acked"], acked)
            self.server.kill()
            self.server.start()
            self.assertEqual(self.server.websocket(session="s").receive()["after"], acked)

    def test_a_bad_put_is_400_and_changes_nothing(self):
        self.fill()
        socket = self.server.reader(session="s", after="first")
        self.acknowledge(socket, 12)
        for body in ("", "{}", "[]", "5", '{"acked":"5"}', '{"acked":-1}', '{"acked":1.5}',
                     '{"acked":21}', '{"acked":null}', '{"acked":5', "x"):
            with self.subTest(body):
                self.assert_problem(self.put("s", body), 400)
        self.assertEqual(self.session()["acked"], 12)

    def test_delete_removes_a_session_and_closes_its_reader(self):
        self.fill()
        socket = self.server.reader(session="s", after="first")
        self.acknowledge(socket, 12)
        self.assertIn(self.server.request("DELETE", "/v1/sessions/s").status, (200, 204))
        self.assertEqual(socket.closed().code, 4409)
        self.assert_problem(self.server.get("/v1/sessions/s"), 404)
        self.server.kill()
        self.server.start()
        self.assert_problem(self.server.get("/v1/sessions/s"), 404)
        self.assertEqual(self.server.reader(session="s").hello["after"], 20)

    def test_bad_names_are_400(self):
        for name in ("", "n" * 256, "a\nb", "a\0b", "\x7f"):
            with self.subTest(name):
                with self.assertRaises(Refused) as refused:
                    self.server.websocket(session=name)
                self.assert_problem(refused.exception.response, 400, "session")
        with self.assertRaises(Refused) as refused:
            self.server.websocket(session=["a", "b"])
        self.assert_problem(refused.exception.response, 400, "session")


if __name__ == "__main__":
    unittest.main()
