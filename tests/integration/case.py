"""The test case: servers and commands that end with the test, and assertions about answers."""

import sys
import unittest

from command import Running
from server import Server


class TidemarkTest(unittest.TestCase):
    """Starts servers, ends them, and shows their log where a test fails."""

    maxDiff = 4000

    def run(self, result=None):
        self._servers = []
        result = result or self.defaultTestResult()
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            for server in self._servers:
                print(f"---- log of the server of {self.id()}\n{server.log_text()}\n----",
                      file=sys.stderr)
        return result

    def prepare(self, *options, **how):
        """A server that is not started yet."""
        server = Server(*options, **how)
        self._servers.append(server)
        self.addCleanup(server.finish)
        return server

    def serve(self, *options, **how):
        return self.prepare(*options, **how).start()

    def serve_on(self, data, *options):
        """A server of a directory that there is already."""
        server = self.prepare(*options)
        server.data = data
        return server.start()

    def start(self, *arguments, **how):
        """A command that works beside the test."""
        running = Running(*arguments, **how)
        self.addCleanup(running.close)
        return running

    def assert_problem(self, response, status, *mentions, **members):
        """An RFC 9457 answer whose text mentions what is at fault."""
        self.assertEqual(response.status, status, response)
        self.assertTrue(response.headers["content-type"].startswith("application/problem+json"),
                        response.headers)
        problem = response.json()
        self.assertEqual(problem["status"], status)
        for member in ("type", "title", "detail"):
            self.assertIsInstance(problem[member], str)
            self.assertNotEqual(problem[member], "")
        for mention in mentions:
            self.assertIn(mention, problem["detail"])
        for member, value in members.items():
            self.assertEqual(problem.get(member), value, problem)

    def assert_receipt(self, receipt, **members):
        """The members of the answer to a publish request."""
        for member, value in members.items():
            self.assertEqual(receipt.get(member), value, receipt)

    def assert_gap(self, gap, reason, **members):
        self.assertEqual(gap["op"], "gap", gap)
        self.assertEqual(gap["reason"], reason, gap)
        self.assertEqual(set(gap), {"op", "requested", "first", "reason"})
        for member, value in members.items():
            self.assertEqual(gap[member], value, gap)
