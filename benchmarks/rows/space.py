"""Memory and disk."""

from figures import Line, alternate, load, start
from rows.loads import HTTP
from servers import Tidemark

DISK_EVENTS = 1000000
DISK_BYTES = 250


def memory():
    """Memory of idle readers"""
    for protocol, name, readers, goal in ("ws", "WebSocket", 10000, 8), ("sse", "SSE", 1000, 10):
        (figures,) = alternate(lambda: idle(protocol, readers))
        kib = figures["bytes"] / readers / 1024
        yield Line("12", f"memory per idle {name} reader, of {readers:,}", f"{kib:.1f} KiB", "–", "–", f"≤ {goal} KiB",
                   kib <= goal)


def idle(protocol, readers):
    with Tidemark() as server:
        before = server.memory()
        process = start("idle", server, protocol=protocol, readers=readers)
        process.stdout.readline()  # all are connected
        bytes = server.memory() - before
        process.communicate()  # … and leave
        return {"bytes": bytes}


def disk():
    """Disk space"""
    with Tidemark() as server:
        load("publish", server, events=DISK_EVENTS, bytes=DISK_BYTES, **HTTP)
    each = server.store.bytes() / server.store.holds
    ratio = each / DISK_BYTES
    yield Line("13", f"bytes on disk per event of {DISK_BYTES} bytes payload, of {server.store.holds:,}, after a stop",
               f"{each:.0f}", f"payload: {DISK_BYTES}", f"{ratio:.2f} ×", "≤ 1.35 ×", ratio <= 1.35)
