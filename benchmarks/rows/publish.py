"""Durable publishing."""

from figures import SECONDS, alternate, faster, finish, load, load_alone, slower, start
from rows.loads import HTTP, WS, against
from servers import Redis, Tidemark, fresh

XADD = "Redis `XADD`, fsync always, pipelined 1,000"


def publishing(server, **values):
    return against(server, "publish", seconds=SECONDS, **values)


def bare_loop():
    return load_alone("bare", db=fresh("bare") / "bare.db", seconds=SECONDS)


def requests():
    """Publishing, 1,000 events a request"""
    ours, redis, bare = alternate(
        publishing(Tidemark, **HTTP),
        publishing(Redis, protocol="redis-stream", connections=2, batch=1000),
        bare_loop)
    yield faster("1", "publish, NDJSON over HTTP, 1,000 a request, 2 connections", ours, redis, XADD, 2)
    yield faster("", "the same", ours, bare, "bare SQLite loop, 1,000 a commit, no index", 0.5)


def websocket():
    """Publishing over one WebSocket"""
    ours, redis = alternate(
        publishing(Tidemark, **WS),
        publishing(Redis, protocol="redis-stream", connections=2, batch=1000))
    yield faster("2", "publish, one WebSocket, batches of 100, 8 in flight", ours, redis, XADD, 1.5)


def single():
    """64 publishers, one event at a time"""
    http, websocket, redis = alternate(
        publishing(Tidemark, protocol="http", connections=64),
        publishing(Tidemark, protocol="ws", path="/v1/ws?stream=none", connections=64, window=1),
        publishing(Redis, protocol="redis-stream", connections=64))
    xadd = "Redis `XADD`, fsync always"
    yield faster("3", "64 publishers over WebSocket, each one event at a time", websocket, redis, xadd, 1.2)
    yield slower("", "until acknowledged, p99 (p50)", websocket, redis, "Redis", 1)
    yield faster("3", "the same over HTTP", http, redis, xadd, 1.2)
    yield slower("", "until acknowledged, p99 (p50)", http, redis, "Redis", 1)


# Who floods: connections, events a request, and over WebSocket how many of these wait at a time.
FLOODS = ((4, 1000, 0), (1, 1000, 0), (4, 100, 0), (1, 100, 0), (16, 1, 0), (4, 1000, 8), (4, 100, 8), (4, 16, 64), (4, 1, 64))


def fair():
    """A publisher of single events beside a flood"""

    def single(server):
        return load("publish", server, protocol="http", connections=1, seconds=SECONDS)

    def alone():
        with Tidemark() as server:
            return single(server)

    def beside(connections, batch, window):
        how = dict(protocol="ws", path="/v1/ws?stream=none", window=window) if window else dict(protocol="http")
        with Tidemark() as server:
            flood = start("publish", server, connections=connections, batch=batch, **how)
            figures = single(server)
            return figures | {"flood": finish(flood, server)["rate"]}

    *flooded, quiet = alternate(*((lambda f=f: beside(*f)) for f in FLOODS), alone)
    work = "one publisher over HTTP, one event at a time, until acknowledged, p99 (p50), beside {} × {:,} a request{} ({:,.0f}/s)"
    for (connections, batch, window), figures in zip(FLOODS, flooded):
        how = f", {window} at a time over WebSocket" if window else ""
        yield slower("19", work.format(connections, batch, how, figures["flood"]), figures, quiet, "without them", 3)
