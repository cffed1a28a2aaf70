"""Delivery of what is being published."""

from figures import SECONDS, Line, alternate, faster, share, slower
from rows.loads import READERS, WS, against
from servers import Nats, Nginx, Redis, Tidemark


def beside_redis():
    """Fan-out against Redis pub/sub"""
    yield from fan_out("4", 1.2, Redis, "Redis pub/sub, in memory", protocol="redis-pubsub",
                       readers_protocol="redis-pubsub", target="events", batch=100, window=64,
                       lags={100: 1000, 1000: 300})


def beside_nchan():
    """Fan-out against nchan"""
    yield from fan_out("5", 20, Nginx, "nchan, WebSocket, in memory", protocol="nchan-ws", path="/publish",
                       readers_protocol="nchan-ws", target="/subscribe", batch=1,
                       lags={100: 200, 1000: 200})


def fan_out(row, goal, peer, peer_name, lags, **peer_values):
    """`lags`: for each number of readers, how far behind the peer may leave them; those it is fastest with."""
    for readers, lag in lags.items():
        ours, theirs = alternate(
            against(Tidemark, "fanout", seconds=SECONDS, readers=readers, **READERS, **WS),
            against(peer, "fanout", seconds=SECONDS, readers=readers, lag=lag, **peer_values))
        yield faster(row, f"fan-out to {readers:,} WebSocket readers while committing, deliveries", ours, theirs, peer_name,
                     goal)


def filtered():
    """A thousand filtered readers"""
    paced = dict(READERS, protocol="ws", path="/v1/ws", window=64, seconds=SECONDS)
    filtered = dict(paced, streams=1000, rate=100000, batch=100)
    plain = dict(paced, rate=100, batch=1)
    no_filtered, ours, no_plain, theirs = alternate(
        against(Tidemark, "fanout", readers=0, **filtered),
        against(Tidemark, "fanout", readers=1000, filter=1, **filtered),
        against(Tidemark, "fanout", readers=0, **plain),
        against(Tidemark, "fanout", readers=1000, **plain))
    costs = cost(ours, no_filtered), cost(theirs, no_plain)
    ratio = costs[0] / costs[1]
    said = [f"{c:.1f} µs ({s['rate']:,.0f}/s)" for c, s in zip(costs, (ours, theirs))]
    yield Line("8", "server's processor time per delivery, 1,000 streams with a filtered reader each, 100,000 events/s in all",
               said[0], f"1,000 unfiltered readers of 100 events/s: {said[1]}", f"{ratio:.2f} ×", "≤ 2 ×, 100,000/s",
               ratio <= 2 and ours["rate"] > 0.95 * filtered["rate"], share(ours, theirs))


def cost(some, none):
    """Microseconds of the server's processor time for each delivery, without what publishing as many events takes."""
    publishing = none["server"] / none["seconds"] * some["published"] / none["published"]
    return (some["server"] / some["seconds"] - publishing) / some["rate"] * 1e6


def conditions():
    """Readers with conditions on payloads"""
    paced = dict(READERS, protocol="ws", path="/v1/ws", window=64, seconds=SECONDS, rate=50000, batch=100)

    def side(readers, **values):
        return against(Tidemark, "fanout", readers=readers, **dict(paced, **values))

    idle, same, several = alternate(side(1000, silent=1, target="/v1/ws?after=head&stream=none"), side(1000, conditions=1),
                                    side(1000, conditions=100))
    base = event_cost(idle)
    for row, said, figures, goal in (("21", "one and the same condition", same, 1.1), ("", "100 different ones among them", several, 4)):
        cost = event_cost(figures)
        yield Line(row, "server's processor time per event of 200 bytes, 50,000 events/s, 1,000 readers whose condition on payloads "
                   f"(where) none fulfils: {said}", f"{cost:.2f} µs", f"1,000 readers of a stream without events: {base:.2f} µs",
                   f"{cost / base:.2f} ×", f"≤ {goal} ×", cost <= goal * base, share(figures, idle))


def event_cost(figures):
    """Microseconds of the server's processor time for each event that is published."""
    return figures["server"] / figures["seconds"] / figures["published"] * 1e6


def latency():
    """Latency of delivery, against NATS core"""
    paced = dict(seconds=SECONDS, readers=100, rate=2000, batch=1)
    ours, nats = alternate(
        against(Tidemark, "fanout", protocol="ws", path="/v1/ws", window=64, **READERS, **paced),
        against(Nats, "fanout", protocol="nats", readers_protocol="nats", target="events", **paced))
    yield slower("9", "2,000 events/s to 100 readers, from before sending to receipt, p99 (p50)", ours, nats,
                 "NATS core, in memory", 1)
