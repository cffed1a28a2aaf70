"""Delivery of what was stored."""

from figures import SECONDS, alternate, faster, finish, load, start
from rows.loads import HTTP, REPLAYED, stored
from servers import Nats, Tidemark, fresh


def restarted(store, work):
    """A side: a server started on what is stored, and work(server)."""

    def side():
        with Tidemark(store) as server:
            return work(server)

    return side


def replay(server):
    return load("catchup", server, head=REPLAYED)


def one_reader():
    """Replay after a restart, against JetStream"""
    path = fresh("nats")
    with Nats(path) as server:
        load("publish", server, program="bench_jetstream", events=REPLAYED)

    def jetstream():
        with Nats(path) as server:
            return load("replay", server, program="bench_jetstream", events=REPLAYED)

    ours, theirs = alternate(restarted(stored(REPLAYED), replay), jetstream)
    yield faster("6", f"replay of {REPLAYED:,} events to one WebSocket reader after a restart", ours, theirs,
                 "JetStream, ordered consumer, files", 4)


def herd():
    """A herd of late readers after a restart"""
    store = stored(REPLAYED)

    def alone(server):
        return load("publish", server, seconds=SECONDS, **HTTP)

    def come(server):
        return load("catchup", server, head=store.holds, readers=1000, behind=10000)

    def come_while_publishing(server):
        publisher = start("publish", server, **HTTP)
        figures = come(server)
        return figures | {"published": finish(publisher, server)["rate"]}

    one, publishing, quiet, busy = alternate(*(restarted(store, w) for w in (replay, alone, come, come_while_publishing)))
    yield faster("7", "herd: 1,000 readers, each missing 10,000 events, all at once after a restart, deliveries", quiet, one,
                 "replay to one reader", 1.5)
    yield faster("", "the same while two connections publish as in row 1, deliveries", busy, one, "replay to one reader", 1.5)
    yield faster("", "publishing meanwhile", busy | {"rate": busy["published"]}, publishing, "publishing alone", 0.5)
