"""How much load a test makes: TIDEMARK_TEST_SCALE (1.0) shrinks it where the binary is slow, as under sanitizers."""

import os

from binary import is_sanitized

SCALE = float(os.environ.get("TIDEMARK_TEST_SCALE", "1"))
KIB, MIB = 1024, 1024 * 1024


def scaled(count, least=1):
    """A load, in proportion to TIDEMARK_TEST_SCALE."""
    return max(least, int(count * SCALE))


def memory(mib):
    """A bound on memory, in bytes. AddressSanitizer keeps what was freed for a while, and shadows of all."""
    return mib * MIB * (8 if is_sanitized() else 1)
