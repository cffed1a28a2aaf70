"""A TCP relay between a client and the server, whose connections a test cuts."""

import contextlib
import socket
import struct
import threading

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends an RST


class Connection:
    """A client's connection and the one to the server behind it."""

    def __init__(self, client, server):
        self.client, self.server = client, server
        self.sent = 0  # bytes to the client
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def end(self, reset=False):
        """Wakes the threads that relay it, which close it."""
        with contextlib.suppress(OSError):
            if reset:
                self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            else:
                self.client.shutdown(socket.SHUT_WR)
            self.client.shutdown(socket.SHUT_RD)
        with contextlib.suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)


class Cutter:
    """Listens at `port` of the loopback for as long as it lives, but not while it is `away()`."""

    def __init__(self, address):
        self.address = address
        self.port = 0
        self._lock = threading.Lock()
        self._connections = []
        self._cut_at = None
        self._listen()

    def _listen(self):
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
        self._accepting.start()

    def _stop_listening(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                client = listener.accept()[0]
                with contextlib.suppress(OSError):  # one that comes to nothing is no reason to let nobody in any more
                    connection = Connection(client, socket.create_connection(self.address))
                    with self._lock:
                        self._connections.append(connection)
                    threading.Thread(target=self._relay, args=(connection,), daemon=True).start()

    def _relay(self, connection):
        up = threading.Thread(target=self._pump, args=(connection, connection.client, connection.server), daemon=True)
        up.start()
        self._pump(connection, connection.server, connection.client)
        up.join()
        connection.client.close()
        connection.server.close()

    def _pump(self, connection, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if sink is connection.server:
                    sink.sendall(data)
                elif not self._send(connection, data):
                    break
        connection.end()

    def _send(self, connection, data):
        """To the client; false when the connection is to be cut there."""
        with self._lock:
            left = len(data) if self._cut_at is None else self._cut_at - connection.sent
            due = left < len(data)
            if due:
                self._cut_at = None
        connection.client.sendall(data[:max(0, left)])
        connection.sent += len(data)
        return not due

    def cut_after(self, size):
        """The next connection whose client was sent `size` bytes is cut there."""
        with self._lock:
            self._cut_at = size

    def has_cut(self):
        """Has `cut_after` done its work?"""
        with self._lock:
            return self._cut_at is None

    def cut(self, reset=False):
        """Ends all connections, with an RST for the client if `reset`."""
        with self._lock:
            connections, self._connections = self._connections, []
        for connection in connections:
            connection.end(reset)

    @contextlib.contextmanager
    def away(self, reset=False):
        """All connections are cut, and new ones refused meanwhile."""
        self._stop_listening()
        self.cut(reset)
        yield
        self._listen()

    def close(self):
        self._stop_listening()
        self.cut()
