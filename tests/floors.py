#!/usr/bin/env python3
"""The rules of the house (CONTRIBUTING.md): who may include whom, where third-party headers are at home, how large a room is.

    floors.py ROOT

A room is a folder of src/. ROOMS is their order: a file includes headers of its own room and of rooms before it. Files of a room that
call each other in a circle are one file that was cut in the wrong place. A profile is named by its own room and by app/ only.
"""

import collections
import pathlib
import re
import sys

ROOMS = """
base base/system base/data json event
store/sqlite store/archive store/archives store/index store/log store/open store/read store/transfer store/repair library
engine/work engine/read engine/write engine/retention
server/message server/access server/http server/stream server/ws/metrics server/ws server/listen server/api
profiles profiles/monitoring/event profiles/monitoring/state profiles/monitoring/leases profiles/monitoring/services
profiles/monitoring/ws profiles/monitoring/routes profiles/monitoring
cli cli/client cli/commands app
""".split()
# The rooms that may know a library, through headers of ours as well.
HOMES = {
    "sqlite3.h": "store", "zstd.h": ("store", "server/message"), "zstd_errors.h": ("store", "server/message"), "zlib.h": "server/message",
    "xxhash.h": "base/data", "openssl/evp.h": "base/data", "openssl/crypto.h": "base/data", "openssl/ssl.h": "server/listen",
    "openssl/err.h": "server/listen", "cjson/cJSON.h": "json", "seccomp.h": "app", "microhttpd.h": "server/http", "libwebsockets.h": ("server/ws", "cli/client"),
    "ev.h": "server/ws", "curl/curl.h": "cli/client",
}
PROFILES = "profiles/"
FILES_MAX = 20  # of a room
LINES_MAX = 500  # of a file; a table or a parser may be longer where splitting it would hide it:
LONG = {"json/json.c"}
# Parts of a WebSocket connection (server/ws/ws_conn.h), and the only files that use them.
PARTS = {
    "incoming": {"ws_receive.c"}, "reading": {"ws_reader.c", "ws_replay.c", "catchup_scheduler.c"},
    "publishing": {"ws_publisher.c"}, "unread_reply": {"reply_budget.c"}, "alive": {"ws_liveness.c"},
}

INCLUDE = re.compile(r'^#include (["<])([^">]+)[">]', re.M)
COMMENT = re.compile(r"/\*.*?\*/", re.S)
STRING = re.compile(r'"(?:\\.|[^"\\\n])*"')
FUNCTION = re.compile(r"^(?!static|typedef|#|\s)[a-z_][^;{}()=]*?\b(\w+)\([^;{}]*\)\s*\{", re.M)


def within(room, home):
    return any(room == h or room.startswith(h + "/") for h in ([home] if isinstance(home, str) else home))


class House:
    def __init__(self, root):
        src = root / "src"
        self.text = {str(p.relative_to(src)): p.read_text() for p in src.rglob("*.[ch]")}
        self.includes = {name: INCLUDE.findall(text) for name, text in self.text.items()}
        self.rooms = collections.defaultdict(list)
        for path in src.rglob("*"):
            if path.is_file():
                self.rooms[str(path.parent.relative_to(src))].append(path.name)

    def room_of(self, name):
        return name.rpartition("/")[0]

    def reached(self, name, seen):
        """Every third-party header that comes with a file, and the header of ours that it comes through."""
        for kind, include in self.includes[name]:
            if kind == "<":
                yield include, name
            elif include in self.includes and include not in seen:
                seen.add(include)
                yield from self.reached(include, seen)

    def faults(self):
        yield from self.rooms_faults()
        for name in sorted(self.text):
            yield from self.include_faults(name)
            lines = self.text[name].count("\n")
            if lines > LINES_MAX and name not in LONG:
                yield f"{name}: {lines} lines; a file has {LINES_MAX} at most"
            yield from self.part_faults(name)
        yield from self.circle_faults()

    def part_faults(self, name):
        room, _, file = name.rpartition("/")
        if "ws_conn.h" not in {include.rpartition("/")[2] for _, include in self.includes[name]}:
            return
        for part, files in PARTS.items():
            if (room != "server/ws" or file not in files) and re.search(rf"\bc->{part}\b", self.text[name]):
                yield f"{name}: c->{part} is for {', '.join(sorted(files))}"

    def rooms_faults(self):
        for room, files in sorted(self.rooms.items()):
            if room != "." and any(f.endswith((".c", ".h")) for f in files):
                if room not in ROOMS:
                    yield f"{room}: not in the list of rooms"
                if "README.md" not in files:
                    yield f"{room}: has no README.md"
            if len(files) > FILES_MAX:
                yield f"{room}: {len(files)} files; a room has {FILES_MAX} at most"
        yield from (f"{room}: is in the list of rooms, and has no files" for room in ROOMS if room not in self.rooms)

    def include_faults(self, name):
        room = self.room_of(name)
        for kind, include in self.includes[name]:
            if kind != '"':
                continue
            if include == "tidemark/tidemark.h" and room == "library":
                continue
            if include not in self.text:
                yield f"{name}: {include} is not a header of src/"
                continue
            other = self.room_of(include)
            if room in ROOMS and other in ROOMS and ROOMS.index(other) > ROOMS.index(room):
                yield f"{name}: {include} is in a room above"
            if other.startswith(PROFILES) and other.count("/") > 0 and not room.startswith("app") and other.split("/")[:2] != room.split("/")[:2]:
                yield f"{name}: {include} is of a profile"
        for header, through in self.reached(name, {name}):
            if header in HOMES and not within(room, HOMES[header]):
                yield f"{name}: {header} is at home in {HOMES[header]}" + ("" if through == name else f" (through {through})")

    def circle_faults(self):
        code = {n: STRING.sub('""', COMMENT.sub("", t)) for n, t in self.text.items() if n.endswith(".c")}
        owner = {function: name for name, text in code.items() for function in FUNCTION.findall(text)}
        calls = {
            name: {owner[word] for word in set(re.findall(r"\w+", text)) if word in owner} - {name} for name, text in code.items()
        }
        for circle in circles(calls):
            yield "these call each other in a circle: " + ", ".join(sorted(circle))


def circles(calls):
    """The strongly connected parts of more than one node (Tarjan)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in calls[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            part = stack[stack.index(node):]
            del stack[stack.index(node):]
            if len(part) > 1:
                found.append(part)

    for node in calls:
        if node not in index:
            visit(node)
    return found


def main(root):
    sys.setrecursionlimit(10000)
    house = House(root)
    faults = sorted(set(house.faults()))
    print("\n".join(faults) or f"{len(house.text)} files in {len(ROOMS)} rooms, every include points down")
    return 1 if faults or len(house.text) < 50 else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
