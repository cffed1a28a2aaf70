"""A Server-Sent Events client: an incremental parser over a raw connection."""

import json
import time
from typing import NamedTuple, Optional

from wire import DEADLINE_S, Chunked, Refused, Response, Wire


class Message(NamedTuple):
    """A dispatched event; `event` is None where there was no such field."""

    event: Optional[str]
    id: Optional[str]
    data: str

    def json(self):
        return json.loads(self.data)


class EventSource:
    """A connected reader; `retry`, `comments` and `lines` tell what else came."""

    def __init__(self, address, path, receive_buffer=None, tls=None, **headers):
        self.wire = Wire(address, receive_buffer, tls)
        fields = {"Host": "%s:%d" % address, "Accept": "text/event-stream"}
        fields.update({name.replace("_", "-"): value for name, value in headers.items()})
        lines = [f"{name}: {value}" for name, value in fields.items()]
        self.wire.send((f"GET {path} HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode())
        deadline = time.monotonic() + DEADLINE_S
        self.status, self.headers = self.wire.head(deadline)
        if self.status != 200:
            body = self.wire.body(self.status, self.headers, deadline)
            self.wire.close()
            raise Refused(Response(self.status, self.headers, body))
        chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        self._chunked = Chunked() if chunked else None
        self._text = bytearray()
        self._at = 0
        self._event, self._id, self._data = None, None, []
        self.first_line = None
        self.retry = None
        self.comments = []

    def _more(self, deadline):
        """Reads on; False at the end of the stream."""
        del self._text[:self._at]
        self._at = 0
        if self._chunked is None:
            open_ = self.wire.more(deadline)
            self._text += self.wire.take(len(self.wire.buffer))
            return open_
        if not self.wire.buffer or not (decoded := self._chunked.decode(self.wire.buffer)):
            if self._chunked.ended or not self.wire.more(deadline):
                return False
            decoded = self._chunked.decode(self.wire.buffer)
        self._text += decoded
        return True

    def _line(self, deadline):
        while (end := self._text.find(b"\n", self._at)) < 0:
            if not self._more(deadline):
                raise EOFError("the stream ended")
        line = self._text[self._at:end].rstrip(b"\r").decode("utf-8")
        self._at = end + 1
        if self.first_line is None:
            self.first_line = line
        return line

    def message(self, seconds=DEADLINE_S):
        """The next dispatched event; raises EOFError where the stream ends."""
        deadline = time.monotonic() + seconds
        while True:
            line = self._line(deadline)
            if line.startswith(":"):
                self.comments.append(line[1:])
                continue
            if line:
                self._field(*line.partition(":")[::2])
                continue
            event, data = self._event, self._data
            self._event, self._data = None, []
            if data:
                return Message(event, self._id, "\n".join(data))

    def _field(self, name, value):
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "id":
            self._id = value
        elif name == "event":
            self._event = value
        elif name == "retry":
            self.retry = int(value)
        else:
            raise AssertionError(f"unknown field {name!r}")

    def event(self):
        """The next message as the envelope it must be."""
        message = self.message()
        assert message.event is None, f"expected an event, got {message}"
        envelope = message.json()
        assert message.id == str(envelope["seq"]), message
        return envelope

    def events(self, count):
        return [self.event() for _ in range(count)]

    def comment(self):
        """Waits for one more comment line."""
        deadline = time.monotonic() + DEADLINE_S
        while not (line := self._line(deadline)).startswith(":"):
            assert line == "" or line.startswith("retry:"), line
        return line

    def ended(self):
        """Reads on until the server ends the stream."""
        try:
            while True:
                self.message()
        except (EOFError, ConnectionError):
            return True

    def close(self):
        self.wire.close()
