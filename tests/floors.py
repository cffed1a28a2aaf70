#!/usr/bin/env python3
"""Includes point down only, and each third-party header has one home (docs/architecture.md)."""

import pathlib
import re
import sys

FLOORS = ["base", "event", "store", "hub", "monitor", "net", "cli", "app"]
# What a public header speaks of decides which floor it belongs to.
PUBLIC = {"err": "base", "slice": "base", "event": "event", "filter": "event", "page": "store", "store": "store",
          "history": "store"}
HOMES = {"sqlite3.h": "store", "xxhash.h": "base", "zstd.h": "store", "zstd_errors.h": "store", "zlib.h": "store", "openssl/evp.h": "base", "openssl/crypto.h": "base", "openssl/ssl.h": "net", "openssl/err.h": "net", "seccomp.h": "app", "microhttpd.h": "net", "libwebsockets.h": "net", "ev.h": "net", "curl/curl.h": "cli"}


def floor_of(include, where):
    if include.startswith("tidemark/"):
        return PUBLIC.get(pathlib.Path(include).stem, where)
    return include.split("/")[0]


def main(root):
    faults = []
    files = [*root.glob("src/*/*.[ch]"), *root.glob("include/tidemark/*.h")]
    for path in files:
        where = PUBLIC[path.stem] if path.parts[-2] == "tidemark" else path.parts[-2]
        for line in path.read_text().splitlines():
            match = re.match(r'#include (["<])([^">]+)[">]', line)
            if not match:
                continue
            kind, include = match.groups()
            if include in HOMES and HOMES[include] != where:
                faults.append(f"{path}: {include} belongs to {HOMES[include]}/")
            if kind == '"' and FLOORS.index(floor_of(include, where)) > FLOORS.index(where):
                faults.append(f"{path}: {include} is on a higher floor")
    print("\n".join(faults) or f"{len(files)} files, every include points down")
    return 1 if faults or len(files) < 50 else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
