"""Bytes on a socket: deadlines, HTTP heads and bodies, and nothing hidden.

The WebSocket and SSE clients and the tests that send garbage stand on `Wire`;
everything that is plain HTTP uses `Http`, which is http.client.
"""

import http.client
import json
import os
import socket
import time
from urllib.parse import quote

# One generous deadline for everything that must happen; nothing waits this
# long unless it is broken.
DEADLINE_S = 60.0 if float(os.environ.get("TIDEMARK_TEST_SCALE", "1")) >= 1 else 180.0


class TimedOut(AssertionError):
    """What was waited for did not come in time."""


class Refused(Exception):
    """The server answered a handshake with an ordinary HTTP response."""

    def __init__(self, response):
        super().__init__(f"{response.status}: {response.body[:500]!r}")
        self.response = response


class Response:
    """A whole HTTP response; header names are lower case."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self):
        return self.body.decode("utf-8")

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:1000]!r}>"


def target(path, query):
    """The request target: `path` and the query, a list being a repeated name."""
    pairs = []
    for name, value in query.items():
        for one in value if isinstance(value, (list, tuple)) else [value]:
            pairs.append(f"{quote(name, safe='')}={quote(str(one), safe='')}")
    return path + ("?" + "&".join(pairs) if pairs else "")


class Http:
    """A kept-alive HTTP connection."""

    def __init__(self, address, tls=None):
        if tls is None:
            self.connection = http.client.HTTPConnection(*address, timeout=DEADLINE_S)
        else:
            self.connection = http.client.HTTPSConnection("localhost", address[1], timeout=DEADLINE_S, context=tls)

    def request(self, method, path, body=None, headers=None, **query):
        headers = headers or {}
        try:
            self.connection.request(method, target(path, query), body, headers,
                                    encode_chunked="Transfer-Encoding" in headers)
        except (BrokenPipeError, ConnectionResetError):
            if self.connection.sock is None:
                raise
            # Who is refused by the head of a request may find the other side closed before its body; the answer is there.
        response = self.connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return Response(response.status, fields, response.read())

    def close(self):
        self.connection.close()


class Wire:
    """A TCP connection with a read buffer; what was read waits in `buffer`."""

    def __init__(self, address, receive_buffer=None, tls=None):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(DEADLINE_S)
        try:
            self.sock.connect(address)
        except OSError:
            self.sock.close()
            raise
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")
        self.buffer = bytearray()

    def __del__(self):
        self.sock.close()  # where a client failed before it was whole

    def send(self, data):
        self.sock.settimeout(DEADLINE_S)
        self.sock.sendall(data)

    def more(self, deadline):
        """Reads what has come; False at the end of the connection."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimedOut(f"nothing came; read so far: {bytes(self.buffer[:500])!r}")
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(1 << 18)
        except TimeoutError:
            raise TimedOut(f"nothing came; read so far: {bytes(self.buffer[:500])!r}") from None
        except ConnectionResetError:
            return False
        self.buffer += data
        return bool(data)

    def take(self, size):
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def head(self, deadline):
        """The status and the headers of the response that comes next."""
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            if not self.more(deadline):
                raise ConnectionError(f"closed before an answer: {bytes(self.buffer)!r}")
        lines = self.take(end + 4).decode("latin-1").split("\r\n")
        headers = {}
        for line in filter(None, lines[1:]):
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return int(lines[0].split(" ")[1]), headers

    def body(self, status, headers, deadline):
        """The body that belongs to a head that was just read."""
        if status == 204 or 100 <= status < 200:
            return b""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            chunked, body = Chunked(), bytearray()
            while not chunked.ended:
                body += chunked.decode(self.buffer)
                if not chunked.ended and not self.more(deadline):
                    raise ConnectionError("closed within a chunked body")
            return bytes(body)
        if "content-length" in headers:
            size = int(headers["content-length"])
            while len(self.buffer) < size:
                if not self.more(deadline):
                    raise ConnectionError("closed within a body")
            return self.take(size)
        return self.rest(deadline)

    def response(self, seconds=DEADLINE_S):
        deadline = time.monotonic() + seconds
        status, headers = self.head(deadline)
        return Response(status, headers, self.body(status, headers, deadline))

    def rest(self, deadline=None):
        """Everything up to the end of the connection."""
        deadline = deadline or time.monotonic() + DEADLINE_S
        while self.more(deadline):
            pass
        return self.take(len(self.buffer))

    def close(self):
        self.sock.close()


class Chunked:
    """Decodes `Transfer-Encoding: chunked` piece by piece."""

    def __init__(self):
        self.ended = False
        self._left = 0  # bytes of the current chunk that are still to come
        self._tail = False  # the line end after a chunk is still to come

    def decode(self, raw):
        """Takes from the bytearray `raw` what is whole; returns the payload."""
        out = bytearray()
        at = 0
        while at < len(raw) and not self.ended:
            if self._left:
                piece = raw[at:at + self._left]
                out += piece
                at += len(piece)
                self._left -= len(piece)
                self._tail = self._left == 0
            elif self._tail:
                if len(raw) - at < 2:
                    break
                assert raw[at:at + 2] == b"\r\n", "a chunk must end with CRLF"
                at += 2
                self._tail = False
            else:
                end = raw.find(b"\r\n", at)
                if end < 0:
                    break
                size = int(raw[at:end].split(b";")[0], 16)
                if size == 0:
                    if len(raw) - end < 4:
                        break
                    at = end + 4
                    self.ended = True
                else:
                    self._left = size
                    at = end + 2
        del raw[:at]
        return out
