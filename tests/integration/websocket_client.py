"""A WebSocket client that can also break every rule of RFC 6455."""

import base64
import hashlib
import json
import os
import time

from wire import DEADLINE_S, Refused, Response, TimedOut, Wire

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Closed(Exception):
    """The connection ended; `code` is None where no close frame was seen."""

    def __init__(self, code, reason=""):
        super().__init__(f"closed with {code} {reason!r}")
        self.code = code
        self.reason = reason


def handshake(path, host, key="dGhlIHNhbXBsZSBub25jZQ==", **headers):
    """The request that asks for a WebSocket; a header given as None is left out."""
    fields = {"Host": host, "Upgrade": "websocket", "Connection": "Upgrade",
              "Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13"}
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return (f"GET {path} HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode()


def frame(opcode, payload, fin=True, mask=b"\x5a\xc3\x0f\x96", reserved=0):
    """One frame; `mask=None` sends it unmasked, which a client must not do."""
    size = len(payload)
    head = bytearray([(0x80 if fin else 0) | reserved << 4 | opcode])
    masked = 0x80 if mask else 0
    if size < 126:
        head.append(masked | size)
    elif size < 1 << 16:
        head.append(masked | 126)
        head += size.to_bytes(2, "big")
    else:
        head.append(masked | 127)
        head += size.to_bytes(8, "big")
    if not mask:
        return bytes(head) + payload
    pad = (mask * (size // 4 + 1))[:size]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")
    return bytes(head) + mask + mixed.to_bytes(size, "big")


class WebSocket:
    """A connected reader and publisher.

    Pings are answered unless `answer_pings` is False; what came is in `pings`
    and `pongs`. Frames with an `op` that `event()` passes are in `notices`.
    `wire` is a connection that has had requests before.
    """

    def __init__(self, address, path, receive_buffer=None, tls=None, wire=None, **headers):
        self.wire = wire or Wire(address, receive_buffer, tls)
        self.pings, self.pongs, self.notices = [], [], []
        self.answer_pings = True
        self._at = 0  # where the next frame starts in the wire's buffer
        self._parts = None  # fragments of the message that is being received
        key = base64.b64encode(os.urandom(16))
        self.wire.send(handshake(path, "%s:%d" % address, key.decode(), **headers))
        deadline = time.monotonic() + DEADLINE_S
        status, fields = self.wire.head(deadline)
        if status != 101:
            body = self.wire.body(status, fields, deadline)
            if wire is None:
                self.wire.close()
            raise Refused(Response(status, fields, body))
        accept = base64.b64encode(hashlib.sha1(key + ACCEPT_GUID).digest()).decode()
        assert fields.get("sec-websocket-accept") == accept, fields
        assert fields.get("upgrade", "").lower() == "websocket", fields
        self.answer = fields

    # ---- sending

    def send(self, document):
        self.send_text(json.dumps(document, separators=(",", ":"), ensure_ascii=False))

    def send_text(self, text):
        self.send_frame(TEXT, text.encode("utf-8") if isinstance(text, str) else text)

    def send_frame(self, opcode, payload, **how):
        self.wire.send(frame(opcode, payload, **how))

    def publish(self, events, ref=None):
        """Publishes and returns the reply, which must be `published`."""
        self.send({"op": "publish", "ref": ref, "events": events})
        return self.op("published")

    def ping(self):
        """One round trip: all that was sent before has been handled."""
        self.send({"op": "ping"})
        return self.op("pong")

    # ---- receiving

    def _parse(self):
        """The next whole frame in the buffer as (first byte, payload), or None."""
        data, at = self.wire.buffer, self._at
        have = len(data) - at
        if have < 2:
            return None
        first, size = data[at], data[at + 1]
        assert size < 0x80, "a server must not mask its frames"
        at += 2
        if size == 126:
            if have < 4:
                return None
            size = int.from_bytes(data[at:at + 2], "big")
            at += 2
        elif size == 127:
            if have < 10:
                return None
            size = int.from_bytes(data[at:at + 8], "big")
            at += 8
        if len(data) < at + size:
            return None
        self._at = at + size
        return first, bytes(data[at:at + size])

    def frame(self, deadline):
        """The next frame as (opcode, is last, payload)."""
        while (found := self._parse()) is None:
            del self.wire.buffer[:self._at]
            self._at = 0
            if not self.wire.more(deadline):
                raise Closed(None, "no close frame")
        first, payload = found
        assert first & 0x70 == 0, "no extension was negotiated"
        return first & 0x0F, bool(first & 0x80), payload

    def text(self, seconds=DEADLINE_S):
        """The next message; control frames are handled on the way."""
        deadline = time.monotonic() + seconds
        while True:
            opcode, last, payload = self.frame(deadline)
            if opcode == PING:
                self.pings.append(payload)
                if self.answer_pings:
                    self.send_frame(PONG, payload)
            elif opcode == PONG:
                self.pongs.append(payload)
            elif opcode == CLOSE:
                code = int.from_bytes(payload[:2], "big") if payload else 1005
                raise Closed(code, payload[2:].decode("utf-8"))
            elif opcode == BINARY:
                raise AssertionError("the server promises text frames")
            else:
                assert (opcode == CONTINUATION) == (self._parts is not None), "fragments in order"
                self._parts = (self._parts or []) + [payload]
                if last:
                    whole, self._parts = b"".join(self._parts), None
                    return whole.decode("utf-8")

    def receive(self, seconds=DEADLINE_S):
        """The next JSON document, an event or a frame with an `op`."""
        return json.loads(self.text(seconds))

    def event(self, seconds=DEADLINE_S):
        """The next event; other frames are kept in `notices`."""
        while "op" in (document := self.receive(seconds)):
            self.notices.append(document)
        return document

    def events(self, count):
        return [self.event() for _ in range(count)]

    def op(self, name):
        """The next frame with an `op`, past events and `live`, which must be of that name."""
        while (document := self.receive()).get("op", "live") == "live":
            self.notices.append(document)
        assert document["op"] == name, f"expected {name}, got {document}"
        return document

    def closed(self, seconds=DEADLINE_S):
        """Reads on until the connection ends; returns how it did."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.text(deadline - time.monotonic())
            except Closed as end:
                return end
            except ConnectionError:
                return Closed(None, "reset")

    def silent(self, seconds):
        """True when no message comes for so long."""
        try:
            self.notices.append(self.receive(seconds))
            return False
        except TimedOut:
            return True

    # ---- ending

    def leave(self, code=1000):
        """The closing handshake, to the end of the connection."""
        self.send_frame(CLOSE, code.to_bytes(2, "big"))
        end = self.closed()
        self.wire.rest()
        self.close()
        return end

    def close(self):
        self.wire.close()
