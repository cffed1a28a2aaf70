"""What a test asks of a server: clients of each kind that are closed when the test ends, and requests."""

import json

from sse_client import EventSource
from text import JSON, NDJSON, ndjson
from websocket_client import WebSocket
from wire import DEADLINE_S, Http, Wire, target


class Client:
    """Of the server at `address`, a pair of host and port."""

    def __init__(self):
        self.address = None
        self._clients = []

    # ---- connections

    def keep(self, client):
        self._clients.append(client)
        return client

    def http(self):
        return self.keep(Http(self.address))

    def wire(self):
        return self.keep(Wire(self.address))

    def websocket(self, receive_buffer=None, headers=None, **query):
        path = target("/v1/ws", query)
        return self.keep(WebSocket(self.address, path, receive_buffer, **(headers or {})))

    def reader(self, receive_buffer=None, **query):
        """A WebSocket past its `hello`, which is kept in `hello`."""
        socket = self.websocket(receive_buffer, **query)
        socket.hello = socket.receive()
        assert socket.hello["op"] == "hello", socket.hello
        return socket

    def live_reader(self, **query):
        """A WebSocket that has caught up with an empty replay."""
        socket = self.reader(**query)
        live = socket.receive()
        assert live["op"] == "live", live
        return socket

    def dashboard(self, receive_buffer=None, **query):
        """A reader of the monitoring profile past its `initial_stats`, kept in `initial`."""
        socket = self.keep(WebSocket(self.address, target("/ws", query), receive_buffer))
        socket.initial = socket.receive()
        assert socket.initial["type"] == "initial_stats", socket.initial
        return socket

    def ingest(self, receive_buffer=None):
        """A publisher of the monitoring profile."""
        return self.keep(WebSocket(self.address, "/events", receive_buffer))

    def sse(self, receive_buffer=None, headers=None, **query):
        path = target("/v1/events", query)
        return self.keep(EventSource(self.address, path, receive_buffer, **(headers or {})))

    def close_clients(self):
        for client in self._clients:
            client.close()

    # ---- requests

    def request(self, method, path, body=None, headers=None, **query):
        http = Http(self.address)
        try:
            return http.request(method, path, body, headers, **query)
        finally:
            http.close()

    def get(self, path, accept=None, **query):
        return self.request("GET", path, headers={"Accept": accept} if accept else None, **query)

    def post(self, body, content_type=JSON, **query):
        """POST /v1/events with a body as it is, or a document made JSON."""
        if not isinstance(body, (bytes, str)):
            body = json.dumps(body, ensure_ascii=False)
        if isinstance(body, str):
            body = body.encode("utf-8")
        return self.request("POST", "/v1/events", body, {"Content-Type": content_type}, **query)

    def publish(self, events, **query):
        """Publishes what must be stored; returns the receipt."""
        return stored(self.post(events, **query))

    def publish_lines(self, documents):
        return stored(self.post(ndjson(documents), NDJSON))

    def event_text(self, seq):
        """One envelope, byte for byte."""
        response = self.get(f"/v1/events/{seq}")
        assert response.status == 200, response
        return response.text.rstrip("\n")

    def event(self, seq):
        return json.loads(self.event_text(seq))

    def history(self, **query):
        """A page of history as JSON."""
        response = self.get("/v1/events", **query)
        assert response.status == 200, response
        assert response.headers["content-type"].startswith(JSON), response.headers
        return response.json()

    def lines(self, **query):
        """History as NDJSON, a list of texts."""
        response = self.get("/v1/events", NDJSON, **query)
        assert response.status == 200, response
        assert response.headers["content-type"].startswith(NDJSON), response.headers
        assert not response.body or response.body.endswith(b"\n"), response.body[-100:]
        return response.text.split("\n")[:-1]

    def everything(self):
        """All events there are, parsed."""
        return [json.loads(line) for line in self.lines()]

    def head(self):
        return self.history(after="head")["head"]

    def retention(self):
        return self.get("/v1/stats").json()["retention"]


def stored(response):
    assert response.status == 201, response
    return response.json()


def of_type(socket, kind, seconds=DEADLINE_S):
    """The next frame of a type of the monitoring profile; others are kept in `notices`."""
    while (document := socket.receive(seconds)).get("type") != kind:
        socket.notices.append(document)
    return document
