"""Leases: never more than the limit, however many ask at once, and over a restart."""

import json
import time
import unittest

from case import TidemarkTest
from load import scaled
from waiting import in_parallel, wait_until


class Leases(TidemarkTest):
    def acquire(self, server, name="kimi", holder="me", **fields):
        return server.request("POST", "/v1/leases", json.dumps({"name": name, "holder": holder, **fields}))

    def held(self, server, **fields):
        response = self.acquire(server, **fields)
        self.assertEqual(response.status, 201, response)
        return response.json()["id"]

    def release(self, server, lease, holder="me"):
        return server.request("DELETE", f"/v1/leases/{lease}", holder=holder)

    def active(self, server):
        return len(server.get("/v1/leases").json()["leases"])

    def test_the_life_of_a_lease(self):
        server = self.serve()
        response = self.acquire(server, "KIMI", "w1", session="s", conversation="c")
        self.assertEqual(response.status, 201)
        lease = response.json()
        self.assertEqual(set(lease), {"id", "name", "holder", "session", "conversation", "acquired_at", "renewed_at",
                                      "expires_at"})
        self.assertEqual((lease["name"], lease["holder"], lease["session"], lease["conversation"]), ("kimi", "w1", "s", "c"))
        path = f"/v1/leases/{lease['id']}"
        self.assertEqual(server.get(path).json()["id"], lease["id"])
        self.assert_problem(server.request("PUT", path, json.dumps({"holder": "w2"})), 409, "another holder")
        self.assert_problem(self.release(server, lease["id"], "w2"), 409, "another holder")
        self.assertEqual(server.request("PUT", path, json.dumps({"holder": "w1"})).status, 200)
        self.assertEqual(self.release(server, lease["id"], "w1").status, 204)
        self.assert_problem(server.get(path), 404)
        self.assert_problem(self.release(server, lease["id"], "w1"), 404)
        self.assert_problem(server.request("PUT", path, holder="w1"), 404)

    def test_limits(self):
        server = self.serve("--lease-limit", "global=9", "--lease-limit", "other=2")
        conversation = [self.held(server, conversation="c")]
        self.assert_problem(self.acquire(server, conversation="c"), 409, "conversation: the only lease is taken")
        for _ in range(5):
            self.held(server)
        self.assert_problem(self.acquire(server), 409, "kimi", "6")
        self.held(server, name="other")
        self.held(server, name="OTHER")
        self.assert_problem(self.acquire(server, "other"), 409, "other")
        self.held(server, name="global")
        self.assert_problem(self.acquire(server, "glm"), 409, "global", "9")
        self.release(server, conversation[0])
        self.held(server, conversation="c")

    def test_a_session_has_its_own(self):
        server = self.serve("--lease-limit", "session=2")
        for _ in range(2):
            self.held(server, name="global", session="a")
        self.assert_problem(self.acquire(server, "global", session="a"), 409, "session")
        self.held(server, name="global", session="b")

    def test_they_are_counted_by_name(self):
        server = self.serve("--lease-limit", "other=2")
        names = {"global": 0, "kimi": 0, "glm": 0, "other": 0}
        self.assertEqual(server.get("/v1/leases").json()["by_name"], names)
        for name, count in (("global", 3), ("kimi", 2), ("other", 1)):
            for _ in range(count):
                self.held(server, name=name)
            names[name] = count
        for again in (lambda: None, server.restart):
            again()
            answer = server.get("/v1/leases").json()
            self.assertEqual((answer["by_name"], answer["total_active"]), (names, 6))
            self.assertEqual(answer["oldest"]["name"], "global")

    def test_what_is_wrong_is_said(self):
        server = self.serve()
        for body, word in (("{}", "holder"), ('{"holder":""}', "holder"), ('{"holder":5}', "holder"), ("[1]", "object"),
                           ("nope", "object"), ('{"holder":"x","name":"nobody"}', "nobody"),
                           ('{"holder":"%s"}' % ("x" * 300), "holder"), ('{"holder":"a\\u0000"}', "holder"),
                           ('{"holder":"x","session":[]}', "session")):
            self.assert_problem(server.request("POST", "/v1/leases", body), 400, word)
        self.assert_problem(server.request("DELETE", "/v1/leases/x"), 400, "holder")
        self.assertEqual(self.active(server), 0)

    def test_two_hundred_at_once_never_exceed_the_limit(self):
        server = self.serve()
        seen = []

        def call(k):
            taken = 0
            http = server.http()
            for _ in range(scaled(10, 2)):
                response = http.request("POST", "/v1/leases", json.dumps({"name": ["kimi", "glm", "global"][k % 3],
                                                                          "holder": str(k)}))
                if response.status == 201:
                    taken += 1
                    seen.append(server.get("/health/semaphores").json())
                    lease = response.json()["id"]
                    self.assertEqual(http.request("DELETE", f"/v1/leases/{lease}", holder=str(k)).status, 204)
                else:
                    self.assertEqual(response.status, 409, response)
            return taken
        taken = sum(in_parallel([lambda k=k: call(k) for k in range(200)]))
        self.assertGreater(taken, 24)
        for health in seen:
            for item in (health["global"], *health["providers"].values()):
                self.assertGreaterEqual(item["current"], 0)
        self.assertEqual(self.active(server), 0)
        # All at once and none given back: exactly the limit.
        results = in_parallel([lambda k=k: self.acquire(server, "kimi", str(k)).status for k in range(200)])
        self.assertEqual((results.count(201), results.count(409)), (6, 194))
        results = in_parallel([lambda k=k: self.acquire(server, "global", str(k)).status for k in range(200)])
        self.assertEqual(results.count(201), 18)
        server.kill()
        server.start()
        self.assertEqual(self.active(server), 24)
        self.assert_problem(self.acquire(server, "global"), 409)

    def test_a_silent_holder_loses_it(self):
        server = self.serve("--lease-timeout", "1500ms")
        kept, lost = self.held(server, holder="kept"), self.held(server, holder="lost")
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline:
            self.assertEqual(server.request("PUT", f"/v1/leases/{kept}", holder="kept").status, 200)
            time.sleep(0.2)
        self.assertEqual(server.get(f"/v1/leases/{lost}").status, 404)
        self.assertEqual(server.get("/v1/leases").json()["total_leaks_detected"], 1)
        server.restart()
        self.assertEqual(server.get("/v1/leases").json()["total_leaks_detected"], 1)

    def test_everything_shows_them(self):
        server = self.serve("--lease-timeout", "2s")
        for _ in range(4):
            self.held(server, name="glm")
        health = server.get("/health/semaphores")
        self.assertEqual(health.status, 503)
        document = health.json()
        self.assertEqual(document["status"], "critical")
        self.assertEqual(document["providers"]["glm"], {"current": 0, "expected": 4, "utilization": 1.0, "status": "exhausted"})
        self.assertEqual(document["global"], {"current": 20, "expected": 24, "utilization": 0.1667, "status": "healthy"})
        metrics = server.dashboard().initial["semaphore_metrics"]
        port = server.port
        self.assertEqual(metrics["ports"][f"{port}"], {"current": 4, "limit": 24, "available": 20, "usage_percent": 16})
        self.assertEqual(metrics["providers"][f"{port}_GLM"], {"current": 4, "limit": 4, "available": 0, "usage_percent": 100})
        self.assertEqual(metrics["providers"][f"{port}_KIMI"]["current"], 0)
        wait_until(lambda: self.active(server) == 0, "they are taken back")
        self.assertEqual(server.get("/health/semaphores").json()["providers"]["glm"]["status"], "leak_detected")
        health = server.get("/health")  # only where everything is healthy it says so
        self.assertEqual((health.status, health.json()["components"]["semaphores"]["status"]), (503, "degraded"))
        self.assertNotEqual(health.json()["status"], "healthy")

    def test_names_are_for_who_has_a_token(self):
        server = self.serve("--lease-limit", "secret-project=3")
        self.assertIn("secret-project", server.get("/health/live").json()["components"]["semaphores"]["providers"])
        for path in ("/healthz", "/readyz"):
            self.assertNotIn("secret-project", server.get(path).text)
        semaphores = server.get("/healthz").json()["components"]["semaphores"]
        self.assertEqual((semaphores["status"], semaphores["global"]["status"], semaphores["providers"]), ("healthy", "healthy", {}))

    def test_a_restart_keeps_them(self):
        server = self.serve()
        leases = {self.held(server, holder=str(k), conversation=f"\"c{k}\\") for k in range(6)}
        for end in (server.kill, server.stop):
            end()
            server.start()
            self.assertEqual({lease["id"] for lease in server.get("/v1/leases").json()["leases"]}, leases)
            self.assert_problem(self.acquire(server), 409)
        lease = server.get("/v1/leases").json()["leases"][0]
        self.assertEqual(self.release(server, lease["id"], lease["holder"]).status, 204)
        server.kill()
        server.start()
        self.assertEqual(self.active(server), 5)


if __name__ == "__main__":
    unittest.main()
