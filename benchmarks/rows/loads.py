"""Loads that several rows share."""

import os

from figures import load
from servers import Store, Tidemark

HTTP = dict(protocol="http", connections=2, batch=1000)
WS = dict(protocol="ws", path="/v1/ws", batch=100, window=8)
READERS = dict(readers_protocol="ws", target="/v1/ws?after=head")

REPLAYED = 1000000
EVENTS = int(os.environ.get("EVENTS", 10000000))
NAMES = dict(streams=50, types=4)
_stores = {}


def against(server, command, **values):
    """A side: a fresh server, and this load on it."""

    def side():
        with server() as s:
            return load(command, s, **values)

    return side


def stored(events):
    """A store of so many events or more, made once in a run."""
    if events not in _stores:
        _stores[events] = Store(f"stored-{events}")
        with Tidemark(_stores[events]) as server:
            load("publish", server, events=events, **HTTP, **NAMES)
    return _stores[events]
