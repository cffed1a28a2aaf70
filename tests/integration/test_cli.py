#!/usr/bin/env python3
"""The command line: publish, tail, query, stats, verify, and how `serve` starts."""

import json
import os
import re
import signal
import subprocess
import time
import unittest

from binary import BIN
from case import TidemarkTest
from client import stored
from command import command
from load import KIB, MIB, SCALE, scaled
from store import edited
from text import JSON, NDJSON, compact, data_text, ndjson, seqs
from waiting import wait_until

COMMANDS = ("serve", "publish", "tail", "query", "stats", "verify")
NOBODY = "http://127.0.0.1:1"


class CommandTest(TidemarkTest):

    def run_ok(self, *arguments, **how):
        """Runs a command that must succeed; returns its standard output."""
        done = command(*arguments, **how)
        self.assertEqual(done.returncode, 0, done)
        return done.stdout

    def fill(self, server, count=60):
        server.publish([{"stream": f"s{i % 3}", "type": f"t{i % 4}", "id": f"i{i}",
                         "data": {"n": i, "é": "  kept  "}} for i in range(count)])


class Usage(CommandTest):

    def test_help_teaches_each_command(self):
        overview = self.run_ok("--help")
        for name in COMMANDS:
            with self.subTest(name):
                self.assertIn(name, overview)
                done = command(name, "--help")
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertIn(f"tidemark {name}", done.stdout)
        for option in ("--data", "--listen", "--durability", "--max-event", "--config"):
            self.assertIn(option, self.run_ok("serve", "--help"))
        for option in ("--lines", "--stream", "--type", "--batch"):
            self.assertIn(option, self.run_ok("publish", "--help"))
        for option in ("--after", "--session", "--stream", "--type"):
            self.assertIn(option, self.run_ok("tail", "--help"))
        for option in ("--after", "--before", "--since", "--until", "--order", "--limit"):
            self.assertIn(option, self.run_ok("query", "--help"))

    def test_wrong_usage_is_exit_2_and_a_word_on_stderr(self):
        for arguments in ([], ["surprise"], ["serve", "--surprise"], ["--surprise"], ["serve", "--data"],
                          ["serve", "--max-event", "many"], ["serve", "--listen", "nowhere"],
                          ["serve", "--durability", "perhaps"], ["serve", "--ping-interval", "5 parsecs"],
                          ["serve", "--retain-stream", "a"], ["serve", "--log-level", "loud"], ["serve", "--archive", "zip"],
                          ["serve", "a"], ["serve", "--lease-limit", "a"], ["serve", "--archive-dir", ""],
                          ["publish", "--batch", "x"], ["publish", "a", "b"], ["query"],
                          ["query", NOBODY, "--limit", "x"], ["query", NOBODY, "--order", "up"],
                          ["tail", "--after", "x"], ["stats"], ["verify"]):
            with self.subTest(arguments):
                done = command(*arguments, text="")
                self.assertEqual((done.returncode, done.stdout), (2, ""), done)
                self.assertNotEqual(done.stderr, "")

    def test_a_failure_is_exit_1_and_a_word_on_stderr(self):
        nowhere = os.path.join(self.prepare().home, "nowhere")
        for arguments in (["query", NOBODY], ["stats", NOBODY], ["query", nowhere], ["stats", nowhere],
                          ["verify", nowhere]):
            with self.subTest(arguments):
                done = command(*arguments)
                self.assertEqual((done.returncode, done.stdout), (1, ""), done)
                self.assertNotEqual(done.stderr, "")
        self.assertFalse(os.path.exists(nowhere), "a reader must not create a store")


class Configuration(CommandTest):

    def limit(self, *options, extra=None):
        """The --max-event in force, in KiB, of a server started so."""
        server = self.prepare(*options, extra=extra).start()
        for size in (1, 2, 4, 8, 1024):
            fits = server.post('{"data":"%s"}' % ("x" * (size * KIB - 2))).status == 201
            more = server.post('{"data":"%s"}' % ("x" * (size * KIB - 1))).status == 201
            if fits and not more:
                return size
        return None

    def test_a_wrong_value_is_told_by_the_name_of_the_option(self):
        for name in ("query", "tail"):
            ended = command(name, NOBODY, "--max-age", "soon")
            self.assertEqual((ended.returncode, ended.stderr.splitlines()[0]),
                             (2, "tidemark: --max-age: must be a duration such as 90s or 1h"))

    def test_the_command_line_wins_over_the_environment_and_that_over_the_file(self):
        path = os.path.join(self.prepare().home, "tidemark.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write("# a comment\n\nmax-event = 2KiB\n")
        flag, variable, file = ["--max-event", "8KiB"], {"TIDEMARK_MAX_EVENT": "4KiB"}, ["--config", path]
        self.assertEqual(self.limit(), 1024)
        self.assertEqual(self.limit(*file), 2)
        self.assertEqual(self.limit(extra=variable), 4)
        self.assertEqual(self.limit(*flag), 8)
        self.assertEqual(self.limit(*file, extra=variable), 4)
        self.assertEqual(self.limit(*flag, extra=variable), 8)
        self.assertEqual(self.limit(*file, *flag, extra=variable), 8)
        self.assertEqual(self.limit(extra={"TIDEMARK_CONFIG": path}), 2)

    def test_sizes_and_durations_have_units(self):
        for size, kib in (("2048", 2), ("2KiB", 2), ("1MiB", 1024)):
            self.assertEqual(self.limit("--max-event", size), kib, size)
        for duration in ("1500ms", "30s", "5m", "2h", "1d"):
            self.serve("--ping-interval", duration)
        self.serve("--ring", "1GiB", "--queue-bytes", "1GiB")

    def test_a_bad_file_is_refused(self):
        path = os.path.join(self.prepare().home, "tidemark.conf")
        for text in ("surprise = 1\n", "max-event = many\n", "nonsense\n"):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            done = command("serve", "--config", path, "--listen", "127.0.0.1:0",
                           "--data", os.path.join(os.path.dirname(path), "d"))
            self.assertIn(done.returncode, (1, 2), done)
            self.assertIn(path, done.stderr)
        done = command("serve", "--config", path + ".missing", "--listen", "127.0.0.1:0")
        self.assertIn(done.returncode, (1, 2), done)


class Publish(CommandTest):

    def setUp(self):
        self.server = self.serve()

    def test_documents_are_published_and_counted(self):
        texts = ['{"stream":"s","type":"t","id":"i","data":{"big":9007199254740993, "p":1.10}}',
                 '{"connection_type":"kimi","n":[1, 2]}', '{"data":"é€😀"}']
        done = command("publish", self.server.url, text="\n".join(texts))
        self.assertEqual(done.returncode, 0, done)
        self.assertRegex(done.stdout + done.stderr, r"\b3\b")
        first, second, third = self.server.lines()
        self.assertEqual(data_text(first), '{"big":9007199254740993,"p":1.10}')
        self.assertEqual(data_text(second), compact(texts[1]))
        self.assertEqual(data_text(third), '"é€😀"')
        events = self.server.everything()
        self.assertEqual([(e["stream"], e["type"]) for e in events],
                         [("s", "t"), ("kimi", "event"), ("default", "event")])

    def test_stream_and_type_name_what_has_no_name(self):
        self.run_ok("publish", self.server.url, "--stream", "app", "--type", "line",
                    text='{"data":1}\n{"n":2}\n')
        self.assertEqual([(e["stream"], e["type"], e["data"]) for e in self.server.everything()],
                         [("app", "line", 1), ("app", "line", {"n": 2})])

    def test_lines_may_be_any_text(self):
        lines = ['plain', '  spaces  around  ', 'a "quote" and a \\ backslash', '\ttabs\tand\x01control\x1b[0m',
                 'é€😀', '{"looks":"like json"}', 'x' * 100_000, "a\u2028b", "-"]
        self.run_ok("publish", self.server.url, "--lines", "--stream", "app", "--type", "line",
                    text="\n".join(lines) + "\n")
        events = self.server.everything()
        self.assertEqual([e["data"] for e in events], [{"line": line} for line in lines])
        self.assertEqual({(e["stream"], e["type"]) for e in events}, {("app", "line")})
        for text in self.server.lines():
            self.assertTrue(data_text(text).startswith('{"line":"'))

    def test_what_a_store_prints_is_published_as_it_was(self):
        """Shown to fail without: each event became the payload of another."""
        events = [{"stream": "a", "type": "t", "id": "i", "data": {"n": 1.10}}, {"stream": "b", "data": [1]}, {"n": 2}]
        self.server.publish_lines(events)
        other = self.serve()
        self.run_ok("publish", other.url, text=self.run_ok("query", self.server.url))
        again = self.serve()
        self.assert_receipt(stored(again.request("POST", "/v1/events", self.run_ok("query", self.server.url).encode(),
                                                 {"Content-Type": NDJSON})), first=1, count=3)
        for server in (other, again):
            got = [json.loads(line) for line in server.lines()]
            for event, original in zip(got, self.server.everything(), strict=True):
                self.assertEqual({**event, "time": ""} | ({} if "id" in original else {"id": None}),
                                 {**original, "time": ""} | ({} if "id" in original else {"id": None}))
        self.assertEqual(len(json.loads(other.lines()[1])["id"]), len(json.loads(other.lines()[2])["id"]))
        wrong = json.dumps({"seq": 1, "time": "2026-11-22T18:00:00.123Z", "data": 1, "stram": "x"})
        self.assert_problem(again.request("POST", "/v1/events", wrong, {"Content-Type": JSON}), 400, 'unknown member "stram"')
        done = command("publish", other.url, text="{}\n" + wrong)
        self.assertEqual((done.returncode, other.head()), (1, 4))
        self.assertIn("line 2: unknown member", done.stderr)

    def test_crlf_and_a_byte_order_mark_are_no_part_of_a_line(self):
        mark = "\ufeff"
        self.run_ok("publish", self.server.url, "--lines", text=f"{mark}one\r\n\r\ntwo\r three\r\n{mark}four{mark}\r\nfive")
        self.assertEqual([e["data"]["line"] for e in self.server.everything()],
                         ["one", "", "two\r three", f"four{mark}", "five"])
        self.run_ok("publish", self.server.url, text=f'{mark}{{"data":6}}\r\n\r\n{mark}{{"data":7}}\r\n')
        for kind, body in ((JSON, '{"data":8}'), (JSON, '[{"data":9}]'), (NDJSON, '{"data":10}\r\n')):
            stored(self.server.request("POST", "/v1/events", (mark + body).encode(), {"Content-Type": kind}))
        self.assertEqual([e["data"] for e in self.server.everything()[5:]], [6, 7, 8, 9, 10])

    def test_a_line_that_is_too_long_is_told_of_and_passed_over(self):
        """Shown to fail without: it ended with the first of them, and what came behind was not read."""
        server = self.serve("--max-event", "1KiB")
        lines = ["a", "x" * 2000, "b", "c", "d", "e", "y" * 5_000_000, "z" * 1100, "f", "w" * 3000]
        done = command("publish", server.url, "--lines", "--json", text="\n".join(lines) + "\n")
        self.assertEqual(done.returncode, 1, done)
        self.assertEqual([e["data"]["line"] for e in server.everything()], list("abcdef"))
        for number in (2, 7, 8, 10):
            self.assertRegex(done.stderr, rf"line {number} skipped: .*(limit|larger)")
        self.assertIn("6 events stored", done.stderr)
        self.assertIn("4 lines were too long", done.stderr)
        self.assertEqual(json.loads(done.stdout)["skipped"], 4)
        # A document is an event of the publisher's: it ends there, as it did.
        done = command("publish", server.url, text="".join(f'{{"data":"{line}"}}\n' for line in lines))
        self.assertEqual((done.returncode, server.head()), (1, 7))
        self.assertIn("line 2: ", done.stderr)

    @unittest.skipIf(SCALE < 1, "takes too long where it is slow")
    def test_a_line_without_end_is_told_of_and_passed_over(self):
        lines = ["a", "x" * (130 * MIB), "b", "y" * (140 * MIB)]
        done = command("publish", self.server.url, "--lines", text="\n".join(lines), seconds=100)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual([e["data"]["line"] for e in self.server.everything()], ["a", "b"])
        for number in (2, 4):
            self.assertIn(f"line {number} skipped: the line is longer than 128 MiB", done.stderr)

    def test_lines_are_published_one_by_one_at_once(self):
        publish = self.start("publish", self.server.url, "--lines", "--stream", "app")
        for count in range(1, 6):
            publish.write(f"line {count}\n")
            wait_until(lambda wanted=count: self.server.head() == wanted, "the line is stored")
            self.assertEqual(self.server.event(count)["data"], {"line": f"line {count}"})
        self.assertEqual(publish.end_of_input(), 0)

    def test_a_last_line_without_its_end_is_published_too(self):
        self.run_ok("publish", self.server.url, "--lines", text="one\ntwo")
        self.assertEqual([e["data"]["line"] for e in self.server.everything()], ["one", "two"])

    def test_many_lines_in_batches(self):
        count = scaled(20_000, 2000)
        for batch in ("1000", "7"):
            before = self.server.head()
            total = count if batch == "1000" else count // 20
            self.run_ok("publish", self.server.url, "--lines", "--batch", batch,
                        text="".join(f"line {i}\n" for i in range(total)))
            lines = [json.loads(line)["data"]["line"] for line in self.server.lines(after=before)]
            self.assertEqual(lines, [f"line {i}" for i in range(total)])

    def test_a_document_that_is_none_fails_and_is_named(self):
        done = command("publish", self.server.url, text='{"data":1}\n{"data":2}\n{bad\n')
        self.assertEqual(done.returncode, 1, done)
        self.assertRegex(done.stderr, r"\b3\b")
        self.assertNotIn(3, seqs(self.server.everything()))

    def test_a_document_too_large_fails_and_is_named(self):
        done = command("publish", self.server.url, text='{"data":1}\n{"data":"%s"}\n' % ("x" * 2 * MIB))
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, r"\b2\b")
        self.assertLessEqual(self.server.head(), 1)

    def test_documents_with_ids_may_be_published_again(self):
        text = ndjson({"id": f"i{i}", "data": i} for i in range(500)).decode()
        for _ in range(3):
            self.run_ok("publish", self.server.url, text=text)
        self.assertEqual(self.server.head(), 500)

    def test_a_crash_of_the_server_loses_and_repeats_no_line(self):
        publish = self.start("publish", self.server.url, "--lines", "--batch", "10")
        total = scaled(2000, 400)
        for i in range(total):
            publish.write(f"line {i}\n")
            if i in (total // 3, total // 2):
                wait_until(lambda: self.server.head() > 0, "something is stored")
                self.server.kill()
                self.server.start(port=self.server.port)
        self.assertEqual(publish.end_of_input(), 0, publish.errors)
        lines = [e["data"]["line"] for e in self.server.everything()]
        self.assertEqual(lines, [f"line {i}" for i in range(total)])


class Tail(CommandTest):

    def setUp(self):
        self.server = self.serve()

    def following(self, *options):
        """A tail that has begun to print; what is published from now on, it prints."""
        tail = self.start("tail", self.server.url, *options)
        while not tail.lines:
            assert tail.process.poll() is None, tail.errors
            self.server.publish({"data": "probe"})
            time.sleep(0.02)
        return tail

    def seqs(self, tail):
        return [json.loads(line)["seq"] for line in tail.lines]

    def wait_seq(self, tail, seq):
        wait_until(lambda: tail.lines and self.seqs(tail)[-1] >= seq, f"event {seq} is printed")

    def test_tail_prints_one_envelope_a_line_and_follows(self):
        self.fill(self.server)
        tail = self.start("tail", self.server.url, "--after", "10")
        self.assertEqual(tail.wait_lines(50), self.server.lines(after=10))
        self.server.publish({"data": {"live": "é\n"}})
        tail.wait_lines(51)
        self.assertEqual(tail.lines, self.server.lines(after=10))
        tail.signal(signal.SIGTERM)

    def test_tail_begins_at_the_head(self):
        self.fill(self.server)
        tail = self.following()
        self.assertGreater(self.seqs(tail)[0], 60)

    def test_tail_filters(self):
        self.fill(self.server)
        tail = self.start("tail", self.server.url, "--after", "0", "--stream", "s1", "--stream", "s2",
                          "--type", "t1")
        expected = self.server.lines(stream=["s1", "s2"], type="t1")
        self.assertEqual(tail.wait_lines(len(expected)), expected)
        self.server.publish({"stream": "s0", "type": "t1", "data": "no match"})
        self.server.publish({"stream": "s2", "type": "t1", "data": "match"})
        tail.wait_lines(len(expected) + 1)
        self.assertEqual(tail.lines, self.server.lines(stream=["s1", "s2"], type="t1"))

    def test_tail_comes_back_after_a_crash_without_loss_or_repeat(self):
        tail = self.start("tail", self.server.url, "--after", "0")
        for _ in range(3):
            self.fill_plain(200)
            self.wait_seq(tail, self.server.head() - 50)
            self.server.kill()
            self.server.start(port=self.server.port)
        self.fill_plain(10)
        self.wait_seq(tail, 610)
        self.assertEqual(tail.lines, self.server.lines())

    def fill_plain(self, count):
        self.server.publish([{"data": i} for i in range(count)])

    def test_tail_waits_for_a_server_that_is_away(self):
        self.fill(self.server)
        self.server.stop()
        tail = self.start("tail", self.server.url, "--after", "0")
        wait_until(lambda: tail.errors, "it says that there is no server")
        self.assertIsNone(tail.process.poll())
        self.server.start(port=self.server.port)
        tail.wait_lines(60)
        self.assertEqual(tail.lines, self.server.lines())

    def test_a_session_goes_on_where_it_was_left(self):
        tail = self.following("--session", "reader")
        self.fill_plain(300)
        self.wait_seq(tail, self.server.head())
        self.server.kill()
        self.server.start(port=self.server.port)
        self.fill_plain(300)
        self.wait_seq(tail, self.server.head())
        self.server.kill()
        tail.signal(signal.SIGTERM)
        first = self.seqs(tail)
        self.assertEqual(first, list(range(first[0], first[-1] + 1)))

    def test_a_session_goes_on_in_another_tail_without_loss_or_repeat(self):
        tail = self.following("--session", "reader")
        self.fill_plain(300)
        self.wait_seq(tail, self.server.head())
        tail.signal(signal.SIGTERM)
        self.fill_plain(50)
        self.server.kill()
        self.server.start(port=self.server.port)
        again = self.start("tail", self.server.url, "--session", "reader")
        again.wait_lines(50)
        self.fill_plain(50)
        again.wait_lines(100)
        seen = self.seqs(tail) + self.seqs(again)
        self.assertEqual(seen, list(range(seen[0], self.server.head() + 1)))

    def test_a_session_whose_tail_was_killed_loses_nothing(self):
        tail = self.following("--session", "reader")
        self.fill_plain(300)
        self.wait_seq(tail, self.server.head())
        tail.signal(signal.SIGKILL)
        self.fill_plain(50)
        again = self.start("tail", self.server.url, "--session", "reader")
        self.wait_seq(again, self.server.head())
        second = self.seqs(again)
        self.assertEqual(second, list(range(second[0], self.server.head() + 1)))
        self.assertLessEqual(second[0], self.seqs(tail)[-1] + 1)


    def test_tail_tells_of_another_store_and_starts_at_its_first_event(self):
        self.fill_plain(10)
        tail = self.start("tail", self.server.url, "--after", "0")
        tail.wait_lines(10)
        self.server.kill()
        other = self.prepare()
        other.start(port=self.server.port)
        other.publish([{"data": "other"}] * 5)
        tail.wait_lines(15)
        self.assertEqual(tail.lines[10:], other.lines())
        wait_until(lambda: re.search("(?i)gap|epoch|another", "\n".join(tail.errors)), "it says so")
        other.stop()
        self.server.start()


class Query(CommandTest):

    QUERIES = [
        [], ["--after", "10"], ["--before", "10"], ["--after", "10", "--before", "20"],
        ["--stream", "s1"], ["--stream", "s0", "--stream", "s2"], ["--type", "t3", "--stream", "s1"],
        ["--limit", "7"], ["--limit", "7", "--order", "desc"], ["--order", "desc"], ["--since", "-1h"],
        ["--until", "-1h"], ["--since", "2020-01-01T00:00:00Z", "--limit", "3"], ["--stream", "none"],
        ["--after", "first", "--limit", "2"], ["--after", "head"],
    ]

    def test_a_directory_and_a_server_agree(self):
        server = self.serve()
        self.fill(server)
        by_url = []
        for arguments in self.QUERIES:
            with self.subTest(arguments):
                query = {}
                for name, value in zip(arguments[::2], arguments[1::2]):
                    query.setdefault(name[2:], []).append(value)
                lines = self.run_ok("query", server.url, *arguments).split("\n")[:-1]
                self.assertEqual(lines, server.lines(**query))
                self.assertEqual(self.run_ok("query", server.data, *arguments).split("\n")[:-1], lines,
                                 "while the server runs")
                by_url.append(lines)
        server.stop()
        for arguments, lines in zip(self.QUERIES, by_url, strict=True):
            with self.subTest(arguments):
                self.assertEqual(self.run_ok("query", server.data, *arguments).split("\n")[:-1], lines)
        server.start()

    def test_a_directory_without_a_store_is_a_failure_and_stays_empty(self):
        empty = self.prepare().home
        for name in ("query", "stats", "verify"):
            done = command(name, empty)
            self.assertEqual((done.returncode, done.stdout), (1, ""), done)
            self.assertNotEqual(done.stderr, "")
            self.assertEqual(os.listdir(empty), [])

    def test_a_store_whose_server_was_killed_can_be_queried(self):
        server = self.serve()
        self.fill(server)
        lines = server.lines()
        server.kill()
        self.assertEqual(self.run_ok("query", server.data).split("\n")[:-1], lines)
        server.start()


class Stats(CommandTest):

    def test_stats_are_for_people_or_for_programs(self):
        server = self.serve()
        self.fill(server)
        for where in (server.url, server.data):
            with self.subTest(where):
                self.assertRegex(self.run_ok("stats", where), r"\b60\b")
                document = json.loads(self.run_ok("stats", where, "--json"))
                self.assertIn('"head":60', json.dumps(document, separators=(",", ":")))
        server.stop()
        self.assertRegex(self.run_ok("stats", server.data), r"\b60\b")
        server.start()


class Documents(CommandTest):
    """--json: one document on standard output, everything else on standard error."""

    def one(self, status, *arguments):
        done = command(*arguments, "--json")
        self.assertEqual(done.returncode, status, done)
        self.assertEqual(done.stdout.count("\n"), 1, done)
        return json.loads(done.stdout)

    def test_a_directory_says_what_a_server_says(self):
        server = self.serve("--retain-events", "20")
        self.fill(server)
        wait_until(lambda: server.retention()["log"]["events"] <= 20, "the rest is in archives")

        def compare(ours, theirs, path):
            for name, value in ours.items():
                with self.subTest(name=f"{path}{name}"):
                    self.assertIn(name, theirs)
                    if isinstance(value, dict):
                        compare(value, theirs[name], f"{path}{name}.")
                    elif path + name not in ("bytes.disk_free", "bytes.db", "bytes.wal", "retention.log.bytes"):
                        self.assertEqual(value, theirs[name])

        beside = self.one(0, "stats", server.data)
        compare(beside, self.one(0, "stats", server.url), "")
        self.assertEqual(sorted(beside), ["archives", "bytes", "epoch", "events", "first", "head", "lineage", "retention",
                                          "streams"])
        self.assertGreater(beside["archives"]["count"], 0)
        server.stop()
        compare(self.one(0, "stats", server.data), beside, "")

    def test_what_is_done_is_a_document(self):
        server = self.serve()
        self.fill(server)
        server.stop()
        copy, file = os.path.join(server.home, "copy"), os.path.join(server.home, "all.ndjson.zst")
        self.assertEqual(self.one(0, "backup", server.data, copy),
                         {"ok": True, "events": 60, "archives": 0, "first": 1, "head": 60})
        self.run_ok("export", server.data, "-o", file)
        self.assertEqual(self.one(0, "import", os.path.join(server.home, "again"), file),
                         {"ok": True, "restored": 60, "archived": 0, "known": 0, "first": 1, "head": 60})
        self.assertEqual(self.one(0, "verify", copy, file), {"ok": True, "checked": [
            {"path": copy, "events": 60, "first": 1, "last": 60},
            {"path": file, "events": 60, "first": 1, "last": 60, "manifest": True}]})

    def test_what_fails_is_a_document(self):
        home = self.prepare().home
        nowhere, url = os.path.join(home, "nowh\"ere\n"), "http://127.0.0.1:1"
        for arguments in (["verify", nowhere], ["verify", nowhere, nowhere], ["verify", url], ["backup", nowhere, home],
                          ["backup", url, home], ["import", os.path.join(home, "new"), nowhere], ["import", url, nowhere],
                          ["stats", nowhere], ["stats", url], ["token", "list", "--tokens", nowhere]):
            with self.subTest(arguments):
                document = self.one(1, *arguments)
                self.assertEqual(set(document), {"ok", "fault"})
                self.assertIs(document["ok"], False)
                self.assertTrue(document["fault"])
        done = subprocess.run([BIN, "verify", "--json", os.fsencode(home) + b"/\xff"], capture_output=True, check=False)
        self.assertEqual((done.returncode, json.loads(done.stdout.decode())["ok"]), (1, False))
        done = command("verify", nowhere)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertNotEqual(done.stderr, "")
        self.assertEqual((command("verify", "--json").returncode, command("verify", "--json").stdout), (2, ""))


class Verify(CommandTest):

    def damaged(self, *statements):
        """A stopped store to which something was done; returns its directory."""
        server = self.serve()
        server.publish([{"stream": f"s{i % 3}", "data": {"mark": f"original {i}"}} for i in range(100)])
        server.stop()
        with edited(server.data) as database:
            for statement, values in statements:
                database.execute(statement, values)
        return server.data

    def test_a_sound_store_passes(self):
        data = self.damaged()
        self.run_ok("verify", data)

    def test_a_changed_byte_is_found_and_named(self):
        data = self.damaged()
        with edited(data) as database:
            (kept,) = database.execute("SELECT data FROM event WHERE seq = 42").fetchone()
            bad = kept.replace("original", "0riginal")
            self.assertNotEqual(kept, bad)
            database.execute("UPDATE event SET data = ? WHERE seq = 42", (bad,))
        done = command("verify", data)
        self.assertEqual(done.returncode, 1, done)
        self.assertRegex(done.stdout + done.stderr, r"\b42\b")

    def test_the_event_of_a_flipped_byte_is_named(self):
        """Shown to fail where the page alone is named, whose sum is wrong."""
        server = self.serve()
        server.publish([{"stream": "s", "data": {"mark": f"original {i:04}"}} for i in range(1, 501)])
        server.stop()
        path = os.path.join(server.data, "tidemark.db")
        with open(path, "rb") as file:
            whole = file.read()
        for seq in (1, 317, 500):
            at = whole.index(f"original {seq:04}".encode())
            with open(path, "r+b") as file:
                file.seek(at)
                file.write(b"O")
            done = command("verify", server.data)
            self.assertEqual(done.returncode, 1, done)
            self.assertRegex(done.stdout + done.stderr, rf"(?s)event {seq} is damaged: .*[Pp]age \d")
            with open(path, "r+b") as file:
                file.seek(at)
                file.write(b"o")
        self.run_ok("verify", server.data)

    def test_a_missing_event_is_found_and_named(self):
        data = self.damaged(("DELETE FROM event WHERE seq = ?", (57,)))
        done = command("verify", data)
        self.assertEqual(done.returncode, 1, done)
        self.assertRegex(done.stdout + done.stderr, r"\b5[78]\b")

    def test_a_torn_page_is_found(self):
        data = self.damaged()
        with open(os.path.join(data, "tidemark.db"), "r+b") as file:
            file.seek(0, os.SEEK_END)
            file.seek(file.tell() // 2 // 4096 * 4096)  # a page, from its header on
            file.write(b"\xa5" * 2000)
        self.assertEqual(command("verify", data).returncode, 1)


class OneStore(CommandTest):

    def test_a_second_server_on_the_same_directory_is_refused(self):
        server = self.serve()
        server.publish({"data": 1})
        done = command("serve", "--data", server.data, "--listen", "127.0.0.1:0")
        self.assertEqual(done.returncode, 1, done)
        self.assertIn(server.data, done.stderr)
        self.assertRegex(done.stderr, "(?i)in use|another|lock|already")
        self.assertEqual(server.publish({"data": 2})["first"], 2)
        server.kill()
        server.start()

    def test_a_store_of_a_newer_version_is_refused(self):
        server = self.serve()
        server.publish({"data": 1})
        server.stop()
        with edited(server.data) as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            self.assertGreater(version, 0)
            database.execute("PRAGMA user_version = 1000000")
        for arguments in (["serve", "--data", server.data, "--listen", "127.0.0.1:0"],
                          ["query", server.data], ["stats", server.data], ["verify", server.data]):
            with self.subTest(arguments):
                done = command(*arguments)
                self.assertEqual((done.returncode, done.stdout), (1, ""), done)
                self.assertTrue(re.search("newer", done.stderr), done.stderr)
                self.assertIn("1000000", done.stderr)
        with edited(server.data) as database:
            database.execute(f"PRAGMA user_version = {version}")
        server.start()
        self.assertEqual(server.head(), 1)


if __name__ == "__main__":
    unittest.main()
