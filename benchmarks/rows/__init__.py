"""The rows of the table, by number. Each is a function that measures and gives its lines."""

from rows import archives, delivery, history, publish, replay, space

ROWS = {
    1: publish.requests,
    2: publish.websocket,
    3: publish.single,
    4: delivery.beside_redis,
    5: delivery.beside_nchan,
    6: replay.one_reader,
    7: replay.herd,
    8: delivery.filtered,
    9: delivery.latency,
    10: history.queries,
    11: history.starting,
    12: space.memory,
    13: space.disk,
    14: archives.export,
    15: archives.replayed,
    16: archives.one_event,
    17: archives.imported,
    18: archives.backup,
    19: publish.fair,
    21: delivery.conditions,
    22: replay.paced,
}
