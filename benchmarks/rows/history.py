"""A large store: queries, and starting with it."""

import sqlite3
from contextlib import closing

from figures import SECONDS, Line, alternate, finish, load, load_alone, rate, slower, start
from rows.loads import EVENTS, HTTP, NAMES, stored
from servers import Store, Tidemark, fresh

QUERIES = 50  # a second


def bare_copy(store):
    """The events of a store in a bare table with a full index."""
    path = fresh("bare") / "bare.db"
    load_alone("bare", db=path, seconds=0)  # makes the table
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA synchronous=OFF")
        db.execute("ATTACH ? AS store", (str(next(store.path.glob("*.db"))),))
        db.execute("DELETE FROM main.event")
        db.execute("INSERT INTO main.event SELECT seq, time, topic, id, data, sum FROM store.event")
        db.execute("CREATE INDEX event_topic ON event(topic, seq)")
        db.commit()
    return path


def queries():
    """Queries by stream and type while publishing"""
    store = stored(EVENTS)
    bare = bare_copy(store)
    published = []  # a second, in each round

    def quiet():
        with Tidemark(store, verify=False) as server:
            return load("publish", server, seconds=SECONDS, **HTTP, **NAMES)

    def busy():
        with Tidemark(store) as server:
            publisher = start("publish", server, **HTTP, **NAMES)
            asked = load("query", server, seconds=SECONDS, rate=QUERIES, events=EVENTS, **NAMES)
            published.append(finish(publisher, server)["rate"])
            return asked | {"rate": published[-1]}

    def bare_busy():
        return load_alone("bare", db=bare, seconds=SECONDS, rate=int(published[-1]), query_rate=QUERIES, **NAMES)

    alone, ours, theirs = alternate(quiet, busy, bare_busy)
    yield slower("10", f"{QUERIES} queries/s by stream and type, pages of 100, on {EVENTS:,} events while publishing as in "
                 "row 1, p99 (p50)", ours, theirs, f"bare table, full index, {rate(theirs['rate'])} inserted", 3)
    ratio = ours["rate"] / alone["rate"]
    yield Line("", "publishing meanwhile", rate(ours["rate"]), f"without queries: {rate(alone['rate'])}", f"{ratio:.2f} ×",
               "≥ 0.9 ×", ratio >= 0.9)


def starting():
    """Time to start"""

    def timed(store):
        with Tidemark(store or Store("empty"), verify=False) as server:
            return {"ms": server.ready_seconds * 1000}

    store = stored(EVENTS)
    full, empty = alternate(lambda: timed(store), lambda: timed(None))
    more = full["ms"] - empty["ms"]
    yield Line("11", f"start with {store.holds:,} events, until it listens", f"{full['ms']:.0f} ms",
               f"an empty store: {empty['ms']:.0f} ms", f"{more:+.0f} ms", "≤ +200 ms", more <= 200)
