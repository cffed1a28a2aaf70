"""Waiting with a deadline, and calls that run at the same time."""

import threading
import time

from wire import DEADLINE_S


def wait_until(holds, what, seconds=DEADLINE_S):
    """Waits for `holds()` to be true, and returns what it returned."""
    deadline = time.monotonic() + seconds
    while not (result := holds()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain until {what}")
        time.sleep(0.01)
    return result


class Task(threading.Thread):
    """A call in a thread of its own, whose result or exception is fetched."""

    def __init__(self, call, *arguments, **named):
        super().__init__(daemon=True)
        self._call, self._arguments, self._named = call, arguments, named
        self._result = self._error = None
        self.start()

    def run(self):
        try:
            self._result = self._call(*self._arguments, **self._named)
        except BaseException as error:  # pylint: disable=broad-except
            self._error = error

    def result(self, seconds=DEADLINE_S):
        self.join(seconds)
        if self.is_alive():
            raise AssertionError("a thread did not finish in time")
        if self._error is not None:
            raise self._error
        return self._result


def in_parallel(calls):
    """Runs calls at the same time; returns their results in order."""
    tasks = [Task(call) for call in calls]
    return [task.result() for task in tasks]
