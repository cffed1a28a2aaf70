#!/usr/bin/env python3
"""Real records through the whole house: publish, read back, follow, crash, continue.

TIDEMARK_COMMITS names a file of commits as NDJSON; the package database and
plain log lines are on every Debian machine.
"""

import json
import os
import shutil
import subprocess
import time
import unittest

from binary import ROOT
from case import TidemarkTest
from command import command
from load import SCALE
from text import compact, data_text, ndjson, seqs

COMMITS = os.environ.get("TIDEMARK_COMMITS",
                         os.path.join(ROOT, "..", "shared", "data", "commits.ndjson"))
DURABLE_S = 1.0 if SCALE >= 1 else 5.0


class RealInput(TidemarkTest):

    def setUp(self):
        self.server = self.serve("--ring", "256KiB")

    def publish(self, text, *options):
        done = command("publish", self.server.url, *options, text=text)
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        return done

    def assert_stored(self, sent):
        """Each of `sent`, (stream, type, id, payload text), is there, in order."""
        lines = self.server.lines()
        self.assertEqual(len(lines), len(sent))
        for seq, (line, (stream, type_, id_, payload)) in enumerate(zip(lines, sent), 1):
            event = json.loads(line)
            if (data_text(line), event["seq"], event["stream"], event["type"], event.get("id")) != (
                    payload, seq, stream, type_, id_):
                self.fail(f"sent {(stream, type_, id_, payload)}, got {line}")
        return lines

    def assert_session_survives_a_crash(self, lines, acked):
        """Follows as a named session, and goes on after `acked` in a new life of the server."""
        total = len(lines)
        reader = self.server.reader(session="follower", after="first")
        self.assertEqual([reader.text() for _ in lines], lines)
        self.assertEqual(reader.receive(), {"op": "live", "seq": total})
        reader.send({"op": "ack", "seq": acked})
        reader.ping()
        time.sleep(DURABLE_S)
        self.server.kill()
        self.server.start()
        reader = self.server.reader(session="follower")
        self.assertEqual((reader.hello["after"], reader.hello["head"]), (acked, total))
        self.assertEqual([reader.text() for _ in lines[acked:]], lines[acked:])
        self.assertEqual(reader.receive(), {"op": "live", "seq": total})
        self.server.publish([{"data": "one more"}, {"data": "and another"}])
        self.assertEqual(seqs(reader.events(2)), [total + 1, total + 2])
        self.assertEqual(self.server.lines(before=total + 1), lines)

    @unittest.skipUnless(os.path.exists(COMMITS), f"{COMMITS} is not there")
    def test_the_commits_of_a_database(self):
        with open(COMMITS, encoding="utf-8") as file:
            text = file.read()
        sent = []
        for line in text.splitlines():
            commit = json.loads(line)
            payload = line[line.index('"data": ') + len('"data": '):-1]
            sent.append((commit["stream"], commit["type"], commit["id"], compact(payload)))
        self.publish(text)
        lines = self.assert_stored(sent)
        self.assertEqual(len(lines), 10_839)
        self.assertEqual({s["name"]: s["count"] for s in self.server.get("/v1/streams").json()["streams"]},
                         {name: sum(s == name for s, _, _, _ in sent) for name in {s for s, _, _, _ in sent}})
        self.publish(text)
        self.assertEqual(self.server.head(), 10_839, "a second time, all are duplicates")
        self.assert_session_survives_a_crash(lines, 4000)

    @unittest.skipUnless(shutil.which("dpkg-query"), "there is no dpkg-query")
    def test_the_package_database_as_flat_events(self):
        fields = ["Package", "Version", "Architecture", "Section", "Installed-Size", "Maintainer",
                  "Homepage", "Description"]
        output = subprocess.run(
            ["dpkg-query", "-W", "-f", "\x1f".join("${%s}" % field for field in fields) + "\x1e"],
            capture_output=True, check=True).stdout.decode("utf-8", "replace")
        records = [dict(zip(fields, record.split("\x1f"))) for record in output.split("\x1e") if record]
        self.assertGreater(len(records), 10)
        sent, documents = [], []
        for record in records:
            record = {"type": "package", "stream": record["Section"] or "none",
                      "id": f'{record["Package"]}:{record["Architecture"]}', **record}
            document = json.dumps(record, ensure_ascii=len(documents) % 2 == 0)
            documents.append(document)
            sent.append((record["stream"], "package", record["id"], compact(document)))
        self.publish(ndjson(documents).decode())
        lines = self.assert_stored(sent)
        self.assert_session_survives_a_crash(lines, len(lines) // 3)

    def test_plain_log_lines(self):
        log = "/var/log/dpkg.log"
        if os.path.exists(log) and os.access(log, os.R_OK) and os.path.getsize(log):
            with open(log, encoding="utf-8", errors="replace") as file:
                texts = [line.rstrip("\n") for line in file][:5000]
        else:
            texts = [f'Nov 22 18:{i % 60:02d}:00 host app[{i}]: "quoted" \\path\\{i} é\tdone'
                     for i in range(3000)]
        self.publish("".join(text + "\n" for text in texts), "--lines", "--stream", "dpkg", "--type", "log")
        events = self.server.everything()
        self.assertEqual([(e["stream"], e["type"], e["data"]) for e in events],
                         [("dpkg", "log", {"line": text}) for text in texts])
        self.assert_session_survives_a_crash(self.server.lines(), len(texts) // 3)


if __name__ == "__main__":
    unittest.main()
