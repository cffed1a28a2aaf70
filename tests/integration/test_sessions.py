#!/usr/bin/env python3
"""Durable readers: what a session acknowledged outlives connections and crashes."""

import json
import time
import unittest
from urllib.parse import quote

from case import TidemarkTest
from command import command
from load import SCALE, scaled
from text import TIME, seqs
from waiting import wait_until
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
        self.assertEqual(self.server.get("/v1/sessions").json(), {"sessions": [], "next": None})

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


class Starting(SessionTest):

    def test_a_reader_learns_whether_its_session_was_known(self):
        self.fill()
        self.assertIs(self.server.reader(session="s").hello["resumed"], False)
        self.assertIs(self.server.reader(session="s").hello["resumed"], True)
        self.assertNotIn("resumed", self.server.reader().hello)
        self.server.request("DELETE", "/v1/sessions/s")
        self.assertIs(self.server.reader(session="s").hello["resumed"], False)

    def test_start_counts_only_while_the_session_is_new(self):
        self.fill()
        for name, start, after in (("f", "first", 0), ("h", "head", 20), ("n", 5, 5)):
            self.assertEqual(self.server.reader(session=name, start=start).hello["after"], after)
            self.assertEqual(self.server.reader(session=name, start=11).hello["after"], after)
        socket = self.server.reader(session="past", start=99)
        self.assert_gap(socket.receive(), "ahead", requested=99)
        self.assertEqual(self.session("past")["acked"], 20)

    def test_start_goes_with_a_session_and_without_a_position(self):
        for query in ({"start": 1}, {"start": 1, "session": "s", "after": 1},
                      {"start": 1, "session": "s", "since": "-1h"}, {"start": "x", "session": "s"}):
            with self.subTest(query):
                with self.assertRaises(Refused) as refused:
                    self.server.websocket(**query)
                self.assert_problem(refused.exception.response, 400, "start")
                with self.assertRaises(Refused) as refused:
                    self.server.sse(**query)
                self.assert_problem(refused.exception.response, 400, "start")

    def test_tail_begins_at_start_only_once(self):
        self.fill(5)
        for expected in (5, 0):
            done = command("tail", self.server.url, "--session", "m", "--start", "first", "--until-live")
            self.assertEqual((done.returncode, len(done.stdout.splitlines())), (0, expected), done)


class Moving(SessionTest):

    def test_a_connected_reader_goes_on_where_its_session_was_moved(self):
        self.fill()
        socket = self.server.reader(session="s", start="first")
        socket.events(20)
        self.acknowledge(socket, 20)
        for acked, expected in ((0, range(1, 21)), (17, range(18, 21)), (20, ())):
            self.assertEqual(self.put("s", '{"acked":%d}' % acked).json()["acked"], acked)
            self.assertEqual(socket.op("moved"), {"op": "moved", "after": acked})
            self.assertEqual(seqs(socket.events(len(expected))), list(expected))
        self.fill(2)
        self.assertEqual(seqs(socket.events(2)), [21, 22])

    def test_an_acknowledgement_from_before_the_move_does_not_undo_it(self):
        self.fill()
        socket = self.server.reader(session="s", start="first", stream="a")
        socket.events(10)
        self.put("s", '{"acked":0}')
        socket.op("moved")
        socket.events(10)
        self.assertEqual(self.session()["acked"], 0)
        self.server.publish([{"stream": "b", "data": i} for i in range(9)])
        self.put("s", '{"acked":29}')
        socket.op("moved")
        socket.send({"op": "ack", "seq": 19})
        socket.send({"op": "ping"})
        socket.op("pong")
        self.assertEqual(self.session()["acked"], 29)

    def test_a_filtered_reader_that_waits_is_moved_back(self):
        self.fill()
        socket = self.server.live_reader(session="s", stream="a")
        self.put("s", '{"acked":10}')
        self.assertEqual(socket.op("moved")["after"], 10)
        self.assertEqual(seqs(socket.events(5)), [11, 13, 15, 17, 19])

    def test_a_reader_in_the_middle_of_a_long_replay_is_moved(self):
        self.server.restart("--ring", "64KiB", "--cache", "64KiB")
        self.server.publish_lines({"data": "x" * 500} for _ in range(scaled(20000, 4000)))
        head = self.server.head()
        socket = self.server.reader(receive_buffer=4096, session="s", start="first")
        source = self.server.sse(receive_buffer=4096, session="t", start="first")
        socket.events(100)
        source.events(100)
        for name in "st":
            self.put(name, '{"acked":%d}' % (head - 10))
        while (document := socket.receive()).get("op") != "moved":
            pass
        while (message := source.message()).event != "moved":
            pass
        self.assertEqual(message.id, f"{head - 10}.{source.hello['epoch']}")
        self.assertEqual(seqs(socket.events(10)), list(range(head - 9, head + 1)))
        self.assertEqual(seqs(source.events(10)), list(range(head - 9, head + 1)))


class EventStreams(SessionTest):

    def ack(self, seq, name="s"):
        return self.server.request("POST", f"/v1/sessions/{name}/ack", json.dumps({"seq": seq}),
                                   {"Content-Type": "application/json"})

    def test_a_session_is_read_and_acknowledged(self):
        self.fill()
        source = self.server.sse(session="s", start="first")
        self.assertEqual((source.hello["session"], source.hello["resumed"]), ("s", False))
        source.events(20)
        self.assertEqual(self.ack(12).json()["acked"], 12)
        self.assertEqual(self.ack(7).json()["acked"], 12, "what is below changes nothing")
        self.server.kill()
        self.server.start()
        source = self.server.sse(session="s")
        self.assertEqual((source.hello["after"], source.hello["resumed"]), (12, True))
        self.assertEqual(seqs(source.events(8)), list(range(13, 21)))

    def test_the_last_event_id_comes_before_what_was_acknowledged(self):
        self.fill()
        self.server.sse(session="s", start="first").events(20)
        self.ack(5)
        source = self.server.sse(headers={"Last-Event-ID": "15"}, session="s", start="first")
        self.assertEqual(source.event()["seq"], 16)

    def test_a_stream_that_lost_its_session_ends(self):
        self.fill()
        first = self.server.sse(session="s", start="first")
        first.events(20)
        second = self.server.live_reader(session="s", after=20)
        self.assertTrue(first.ended())
        third = self.server.sse(session="s")
        self.assertEqual(second.closed().code, 4409)
        self.server.request("DELETE", "/v1/sessions/s")
        self.assertTrue(third.ended())

    def test_a_stream_is_moved(self):
        self.fill()
        source = self.server.sse(session="s")
        self.put("s", '{"acked":18}')
        message = source.message()
        self.assertEqual((message.event, message.json()), ("moved", {"op": "moved", "after": 18}))
        self.assertEqual(message.id, f"18.{source.hello['epoch']}")
        self.assertEqual(seqs(source.events(2)), [19, 20])

    def test_no_more_is_acknowledged_than_was_sent(self):
        self.fill()
        source = self.server.sse(session="s", after=5)
        source.events(15)
        self.fill(1)
        source.event()
        self.assert_problem(self.ack(22), 400, "head")
        self.server.sse(headers={"Last-Event-ID": "7"}, session="s", stream="none")
        self.assert_problem(self.ack(21), 400, "sent")
        self.assertEqual(self.ack(7).status, 200)
        self.assert_problem(self.ack(1, "nobody"), 404)
        for body in ("", "{}", '{"seq":1,"seq":2}', '{"seq":1,"x":2}', '{"seq":"1"}', "[1]"):
            response = self.server.request("POST", "/v1/sessions/s/ack", body, {"Content-Type": "application/json"})
            self.assert_problem(response, 400)


class Lag(SessionTest):

    def lag(self, name="s"):
        return self.session(name)["lag"]

    def test_lag_counts_what_passes_the_filter_and_is_not_acknowledged(self):
        socket = self.server.live_reader(session="s", stream="b")
        self.fill(20)
        socket.events(10)
        self.assertEqual(self.lag(), 10)
        self.acknowledge(socket, 10)
        self.assertEqual(self.lag(), 5)
        self.acknowledge(socket, 20)
        self.assertEqual(self.lag(), 0)
        self.server.publish([{"stream": "a", "data": i} for i in range(50)])
        self.assertEqual(self.lag(), 0, "what does not pass is no lag")
        self.leave(socket)
        self.fill(6)
        self.assertEqual(self.lag(), 3)
        self.server.kill()
        self.server.start()
        self.assertEqual(self.lag(), 3, "the filter is remembered")
        self.assertIn('tidemark_session_lag{session="s"} 3\n', self.server.get("/metrics").text)

    def test_lag_reaches_into_archives(self):
        self.server.restart("--retain-events", "500")
        socket = self.server.live_reader(session="s", stream="a")
        socket.leave()
        self.put("t", '{"acked":0}')
        for _ in range(20):
            self.fill(1000)
        wait_until(lambda: self.fill(2) or self.server.retention()["log"]["first"] > 5000, "there are archives")
        head = self.server.head()
        self.assertEqual((self.lag(), self.lag("t")), (head // 2, head))
        for acked in (4000, 9000, 100, head - 10):
            self.put("s", '{"acked":%d}' % acked)
            self.assertEqual(self.lag(), (head - acked) // 2)


    def test_what_was_removed_is_no_lag(self):
        self.server.restart("--retain-events", "500", "--archive", "none")
        self.put("t", '{"acked":0}')
        socket = self.server.live_reader(session="s", stream="a")
        for _ in range(10):
            self.fill(1000)
            self.lag()
        wait_until(lambda: self.fill(2) or self.server.retention()["log"]["first"] > 5000, "events were removed")
        socket.leave()
        wait_until(lambda: self.lag() == len(self.server.lines(stream="a", after="first")), "what is left is the lag")
        wait_until(lambda: self.lag("t") == len(self.server.lines()), "of everything")
        head = self.server.head()
        self.put("s", '{"acked":%d}' % (head - 4))
        self.assertEqual(self.lag(), 2)


class Expiring(SessionTest):

    def test_sessions_that_nobody_uses_expire(self):
        self.server.restart("--session-expiry", "2s")
        connected = self.server.live_reader(session="connected")
        self.put("idle", '{"acked":0}')
        wait_until(lambda: self.server.get("/v1/sessions/idle").status == 404, "it has expired")
        self.assertTrue(self.session("connected")["connected"])
        connected.leave()
        wait_until(lambda: self.server.get("/v1/sessions").json()["sessions"] == [], "the other, too")
        self.server.restart()
        self.assertEqual(self.server.get("/v1/sessions").json()["sessions"], [])


class Resource(SessionTest):

    def test_the_list_has_pages(self):
        names = sorted(f"{prefix}{i:02}" for prefix in ("a", "b/é", "c ") for i in range(7))
        for name in names:
            self.put(quote(name, safe=""), '{"acked":0}')
        for query, expected in (({}, names), ({"prefix": "b/é"}, names[7:14])):
            seen, after = [], {}
            while True:
                page = self.server.get("/v1/sessions", **query, **after, limit=3).json()
                self.assertLessEqual(len(page["sessions"]), 3)
                seen += [session["name"] for session in page["sessions"]]
                if page["next"] is None:
                    break
                after = {"after": page["next"]}
            self.assertEqual(seen, expected)
        for query in ({"limit": 0}, {"limit": 10001}, {"after": ""}, {"prefix": "\n"}, {"stream": "x"}):
            self.assert_problem(self.server.get("/v1/sessions", **query), 400, list(query)[0])

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
        self.assertEqual(self.server.get("/v1/sessions").json(), {"sessions": [], "next": None})
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
        self.assertEqual(socket.closed().code, 4404)
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
