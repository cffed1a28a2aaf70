"""The server without any profile (TIDEMARK_PROFILES): what is left is whole, and nothing of a profile is.

Seen to fail: when api_publish.c called a function of the monitoring profile.
"""

import os
import subprocess
import sys
import unittest

import binary
from case import TidemarkTest

BARE = os.environ.get("TIDEMARK_BARE", os.path.join(os.path.dirname(binary.BIN), "tests", "tidemark-bare"))
ROOMS = os.path.join(binary.ROOT, "src", "profiles")


def functions_of_profiles():
    """The names of all global functions that the rooms of profiles define."""
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    import floors
    names = set()
    for folder, _, files in os.walk(ROOMS):
        for file in files:
            if file.endswith(".c"):
                with open(os.path.join(folder, file), encoding="utf-8") as source:
                    names.update(floors.FUNCTION.findall(floors.COMMENT.sub("", source.read())))
    return names


class WithoutProfiles(TidemarkTest):
    def setUp(self):
        self.binary, binary.BIN = binary.BIN, BARE
        self.addCleanup(setattr, binary, "BIN", self.binary)

    def test_no_function_of_a_profile_is_part_of_it(self):
        symbols = subprocess.run(["nm", "--defined-only", BARE], capture_output=True, text=True, check=True).stdout
        there = {line.split()[-1] for line in symbols.splitlines()}
        ours = functions_of_profiles()
        self.assertGreater(len(ours), 100)
        self.assertIn("store_append", there)
        self.assertEqual(ours & there, set())

    def test_events_are_published_and_read_in_every_way(self):
        server = self.serve()
        server.publish([{"stream": "kimi", "type": "x", "data": {"n": n}} for n in range(3)])
        self.assertEqual([e["seq"] for e in server.get("/v1/events", after=0).json()["events"]], [1, 2, 3])
        reader = server.reader(after=0)
        self.assertEqual([reader.receive()["seq"] for _ in range(3)], [1, 2, 3])

    def test_figures_and_health_are_the_servers_own(self):
        server = self.serve()
        self.assertEqual(server.get("/healthz").json()["status"], "healthy")
        self.assertNotIn("components", server.get("/healthz").json())
        self.assertEqual(server.get("/readyz").json(), {"status": "ready"})
        self.assertIn("websocket", server.get("/v1/stats").json())
        self.assertNotIn("observations", server.get("/v1/stats").json())
        self.assertIn("tidemark_head_seq", server.get("/metrics").text)

    def test_what_a_profile_adds_is_not_there(self):
        server = self.serve()
        for path in ("/health", "/status", "/v1/leases", "/api/metrics/current", "/ws", "/events"):
            self.assertEqual(server.get(path).status, 404, path)
        self.assertEqual(server.get("/v1/events", category="critical").status, 400)
        wrong = subprocess.run([BARE, "serve", "--lease-limit", "kimi=1"], capture_output=True, text=True, check=False)
        self.assertEqual((wrong.returncode, wrong.stdout), (2, ""))

    def test_a_store_of_the_whole_server_is_read(self):
        server = self.serve()
        server.publish([{"stream": "kimi", "data": {"type": "event"}}])
        server.stop()
        binary.BIN = self.binary
        server.start()
        self.assertEqual(server.get("/health").status, 200)
        server.publish([{"stream": "kimi", "data": {"type": "event"}}])
        server.stop()
        binary.BIN = BARE
        server.start()
        self.assertEqual(server.get("/v1/stats").json()["head"], 2)


if __name__ == "__main__":
    unittest.main()
