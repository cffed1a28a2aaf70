"""The binary under test, which TIDEMARK_BIN names: where it is, how it was built, and the environment that it runs in."""

import functools
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("TIDEMARK_BIN", os.path.join(ROOT, "build", "release", "tidemark"))

SANITIZER_REPORT = re.compile(
    r"ERROR: AddressSanitizer|runtime error:|WARNING: ThreadSanitizer|LeakSanitizer")

if not os.access(BIN, os.X_OK):
    sys.exit(f"there is no server at {BIN}; build it, or set TIDEMARK_BIN")


@functools.cache
def is_sanitized():
    with open(BIN, "rb") as binary:
        content = binary.read()
    return b"__asan_init" in content or b"__tsan_init" in content


def environment(extra=None):
    """The environment of a child: this one without options for Tidemark."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")}
    own.setdefault("ASAN_OPTIONS", "quarantine_size_mb=16")
    own.update(extra or {})
    return own
