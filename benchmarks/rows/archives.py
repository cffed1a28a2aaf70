"""Archives: made, read, restored; and backup."""

import json
import os
import random
import re
import subprocess
import time
from pathlib import Path

from figures import SECONDS, Line, alternate, faster, finish, load, load_alone, start
from rows.loads import HTTP, NAMES, REPLAYED, stored
from rows.replay import replay, restarted
from servers import BUILD, Store, Tidemark, fresh

ROOT = Path(__file__).resolve().parents[2]
TIDEMARK = BUILD / "tidemark"
ZSTD = "`zstd -3 -T2`"
GIB = 1 << 30


def logged(events):
    """A store of events like those of logs: names, words, numbers and ids."""
    words = re.findall(r"[a-z]{3,}", (ROOT / "docs/architecture.md").read_text())
    chance = random.Random(1)
    store = Store("logged")
    with Tidemark(store, verify=False) as server:
        url = f"http://127.0.0.1:{server.port}"
        publisher = subprocess.Popen([TIDEMARK, "publish", url, "--batch", "1000"], stdin=subprocess.PIPE,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
        for n in range(events):
            data = {"level": chance.choice(("info", "info", "info", "warn", "error")), "request": f"{chance.getrandbits(64):016x}",
                    "message": " ".join(chance.choices(words, k=chance.randint(4, 14))), "ms": round(chance.expovariate(0.05), 2),
                    "status": chance.choice((200, 200, 200, 304, 404, 500)), "user": chance.randint(1, 50000)}
            publisher.stdin.write(json.dumps({"stream": f"app{n % 12}", "type": "log", "data": data}) + "\n")
        publisher.stdin.close()
        if publisher.wait() != 0:
            raise SystemExit("tidemark publish failed")
    store.holds = events
    return store


def timed(*argv, **options):
    before = time.monotonic()
    subprocess.run([str(a) for a in argv], check=True, stderr=subprocess.DEVNULL, **options)
    return time.monotonic() - before


def export():
    """Export against zstd on the same lines"""
    store = logged(REPLAYED)
    path = fresh("export")
    lines = path / "lines.ndjson"
    with open(lines, "wb") as out:
        subprocess.run([TIDEMARK, "query", store.path], stdout=out, check=True)

    def ours():
        for old in path.glob("all.*"):
            old.unlink()
        seconds = timed(TIDEMARK, "export", store.path, "-o", path / "all.ndjson.zst", "--threads", 2)
        return {"rate": store.holds / seconds, "bytes": (path / "all.ndjson.zst").stat().st_size, "client_share": 0}

    def theirs():
        seconds = timed("zstd", "-3", "-T2", "-q", "-f", "-k", lines, "-o", path / "zstd.zst")
        return {"rate": store.holds / seconds, "bytes": (path / "zstd.zst").stat().st_size, "client_share": 0}

    export, zstd = alternate(ours, theirs)
    yield faster("14", f"export of {store.holds:,} events, 2 threads", export, zstd, ZSTD + " of the same lines", 0.8)
    ratio = export["bytes"] / zstd["bytes"]
    yield Line("", "size of the archive", f"{export['bytes'] / 1e6:.1f} MB", f"{ZSTD}: {zstd['bytes'] / 1e6:.1f} MB",
               f"{ratio:.3f} ×", "≤ 1.03 ×", ratio <= 1.03)


def archived(events):
    """A store whose events are in archives, but for the newest 1,000."""
    store = Store("archived")
    with Tidemark(store, verify=False) as server:
        load("publish", server, events=events, **HTTP, **NAMES)
    with Tidemark(store, options=["--retain-events", "1000"]):
        while sum(1 for _ in (store.path / "archives").glob("*.json")) == 0 or count(store) > 2000:
            time.sleep(0.2)
    return store


def count(store):
    said = subprocess.run(["python3", "-c", "import sqlite3, sys; print(sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', "
                           "uri=True).execute('SELECT count(*) FROM event').fetchone()[0])", store.path / "tidemark.db"],
                          capture_output=True, text=True, check=True)
    return int(said.stdout)


def replayed():
    """Replay out of archives"""
    cold = archived(REPLAYED)
    ours, hot = alternate(restarted(cold, replay), restarted(stored(REPLAYED), replay))
    yield faster("15", f"replay of {REPLAYED:,} events out of archives to one WebSocket reader", ours, hot,
                 "the same out of SQLite", 0.5)


def one_event():
    """One event out of a large archive"""
    store = Store("large")
    events = GIB // 750
    with Tidemark(store, verify=False) as server:
        load("publish", server, events=events, bytes=1000, **HTTP)
    path = fresh("large-archive") / "all.ndjson.zst"
    subprocess.run([TIDEMARK, "export", store.path, "-o", path], check=True, stderr=subprocess.DEVNULL)
    figures = load_alone("open", path=path, events=store.holds)
    size = os.path.getsize(path) / GIB
    yield Line("16", f"one event by its seq out of an archive of {size:.2f} GiB, opened anew, p99 (p50)",
               f"{figures['p99_us'] / 1000:.2f} ms ({figures['p50_us'] / 1000:.2f} ms)", "–", "–", "≤ 5 ms",
               figures["p99_us"] <= 5000)


def imported():
    """Import against publishing"""
    store = stored(REPLAYED)
    path = fresh("import")
    subprocess.run([TIDEMARK, "export", store.path, "-o", path / "all.ndjson.zst"], check=True, stderr=subprocess.DEVNULL)

    def ours():
        to = fresh("imported")
        return {"rate": store.holds / timed(TIDEMARK, "import", to, path / "all.ndjson.zst"), "client_share": 0}

    def publishing():
        with Tidemark() as server:
            return load("publish", server, events=store.holds, **HTTP, **NAMES)

    ours, publishing = alternate(ours, publishing)
    yield faster("17", f"import of {store.holds:,} events", ours, publishing, "publishing them as in row 1", 0.5)


def backup():
    """Publishing during a backup"""
    store = stored(REPLAYED)

    def alone(server):
        return load("publish", server, seconds=SECONDS, **HTTP, **NAMES)

    def beside(server):
        publisher = start("publish", server, seconds=SECONDS, **HTTP, **NAMES)
        time.sleep(0.2)
        copying = subprocess.Popen([TIDEMARK, "backup", store.path, fresh("backup") / "copy"], stderr=subprocess.DEVNULL)
        figures = parse_when_done(publisher, server)
        copying.terminate()
        copying.wait()
        return figures

    quiet, busy = alternate(restarted(store, alone), restarted(store, beside))
    yield faster("18", "publishing as in row 1 while a backup runs", busy, quiet, "publishing alone", 0.8)


def parse_when_done(process, server):
    process.wait()
    return finish(process, server)
