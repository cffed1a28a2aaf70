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
    """A connected reader; `hello`, `retry`, `comments` and `checkpoints` tell what else came."""

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
        self._event, self._id, self._data, self._id_is_new = None, None, [], False
        self.first_line = None
        self.retry = None
        self.comments = []
        self.checkpoints = []
        self.ids = 0
        first = self.message()
        assert first.event == "hello", first
        self.hello = first.json()
        assert first.id == f"{self.hello['after']}.{self.hello['epoch']}", first

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

    @property
    def last_id(self):
        """What a browser would come back with, unless it is inside a block."""
        return self._id

    @property
    def inside(self):
        """Has a block begun that is not whole yet?"""
        return bool(self._event or self._data or self._id_is_new)

    def line(self, seconds=DEADLINE_S):
        """Takes one more line; the message that it ends, but for checkpoints, which are kept aside."""
        line = self._line(time.monotonic() + seconds)
        if line.startswith(":"):
            self.comments.append(line[1:])
            return None
        if line:
            self._field(*line.partition(":")[::2])
            return None
        event, data = self._event, self._data
        self._event, self._data, self._id_is_new = None, [], False
        assert data, "a block without data"
        message = Message(event, self._id, "\n".join(data))
        if event == "checkpoint":
            self.checkpoints.append(message)
            return None
        return message

    def message(self, seconds=DEADLINE_S):
        """The next dispatched event but for checkpoints; raises EOFError where the stream ends."""
        deadline = time.monotonic() + seconds
        while (message := self.line(deadline - time.monotonic())) is None:
            pass
        return message

    def _field(self, name, value):
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "id":
            self._id = value
            self._id_is_new = True
            self.ids += 1
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
        assert message.id == f"{envelope['seq']}.{self.hello['epoch']}", message
        return envelope

    def events(self, count):
        return [self.event() for _ in range(count)]

    def comment(self):
        """Waits for one more comment line."""
        deadline = time.monotonic() + DEADLINE_S
        while not (line := self._line(deadline)).startswith(":"):
            if line:
                self._field(*line.partition(":")[::2])
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
