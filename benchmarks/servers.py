"""Servers on loopback: Tidemark, and the peers that it is compared with."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build/release"
WORK = Path(os.environ.get("BENCH_DIR", ROOT / "build/bench"))
READY_SECONDS = 60
os.environ["PATH"] += ":/usr/sbin"  # nginx, nats-server


def fresh(name):
    """An empty directory of that name."""
    path = WORK / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A running process that listens on self.port; used as a context manager."""

    configuration = ""

    def __init__(self, argv, port=None):
        self.port = port or free_port()
        self.argv = [str(a).replace("PORT", str(self.port)) for a in argv]

    def __enter__(self):
        self.log = open(WORK / f"{type(self).__name__.lower()}.log", "w+")
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)
        self.await_ready()
        return self

    def await_ready(self):
        for _ in range(READY_SECONDS * 100):
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise SystemExit(f"{self.argv[0]} did not start:\n{Path(self.log.name).read_text()}")

    def __exit__(self, kind, *_):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait()
        self.log.close()
        if kind is None:
            self.stopped(status)

    def stopped(self, status):
        pass

    @property
    def pid(self):
        """All its processes, with commas between."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return ",".join([str(self.process.pid), *children])

    def memory(self):
        """Bytes that no other process shares, or its part of those that are shared."""
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return 1024 * int(re.search(r"^Pss: +(\d+)", text, re.M)[1])


class Store:
    """A data directory, empty at first, and how many events it must hold."""

    def __init__(self, name):
        self.path = fresh(name)
        self.holds = 0

    def bytes(self):
        return sum(f.stat().st_size for f in self.path.rglob("*") if f.is_file())

    def verify(self):
        said = subprocess.run([BUILD / "tidemark", "verify", self.path], capture_output=True, text=True)
        if said.returncode != 0 or f": {self.holds} events" not in said.stdout:
            raise SystemExit(f"{self.holds} events were acknowledged; verify says: {said.stdout}{said.stderr}")


class Tidemark(Server):
    """When it has stopped, its store must hold exactly what was acknowledged (self.store.holds)."""

    configuration = "tidemark serve --data DIR --listen 127.0.0.1:PORT   # all defaults: fsync before acknowledging"

    def __init__(self, store=None, verify=True, options=()):
        self.store = store or Store("tidemark")
        self.verify = verify
        super().__init__([BUILD / "tidemark", "serve", "--data", self.store.path, "--listen", "127.0.0.1:0",
                          "--log-level", "warn", *options])

    def await_ready(self):
        """Until it says where it listens; self.ready_seconds is how long that took."""
        start = time.monotonic()
        while not (said := re.search(r"listening on http://127.0.0.1:(\d+)\n", Path(self.log.name).read_text())):
            if self.process.poll() is not None or time.monotonic() > start + READY_SECONDS:
                raise SystemExit(f"tidemark did not start:\n{Path(self.log.name).read_text()}")
            time.sleep(0.0005)
        self.ready_seconds = time.monotonic() - start
        self.port = int(said[1])

    def stopped(self, status):
        if status != 0:
            raise SystemExit(f"tidemark ended with {status}")
        if self.verify:
            self.store.verify()


class Redis(Server):
    FILE = """bind 127.0.0.1
port PORT
save ""
appendonly yes
appendfsync always
auto-aof-rewrite-percentage 0
client-output-buffer-limit pubsub 0 0 0
"""
    configuration = FILE

    def __init__(self):
        path = fresh("redis")
        port = free_port()
        (path / "redis.conf").write_text(self.FILE.replace("PORT", str(port)))
        super().__init__(["redis-server", path / "redis.conf", "--dir", path], port)

    def __exit__(self, *exception):
        self.process.kill()  # nothing of it is used again; what it would rewrite takes long
        super().__exit__(*exception)


class Nats(Server):
    FILE = """listen: "127.0.0.1:PORT"
jetstream: { store_dir: "DIR", max_file_store: 20G, max_memory_store: 1G }
max_pending: 1073741824
write_deadline: "60s"
"""
    configuration = FILE

    def __init__(self, path=None):
        path = path or fresh("nats")
        port = free_port()
        (path / "nats.conf").write_text(self.FILE.replace("PORT", str(port)).replace("DIR", str(path)))
        super().__init__(["nats-server", "-c", path / "nats.conf"], port)
        self.path = path


class Nginx(Server):
    """nchan, with a worker for each of two cores."""

    FILE = """load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
daemon off;
worker_processes 2;
worker_rlimit_nofile 16384;
error_log DIR/error.log error;
pid DIR/pid;
events { worker_connections 8192; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path DIR; proxy_temp_path DIR; fastcgi_temp_path DIR; uwsgi_temp_path DIR; scgi_temp_path DIR;
  nchan_shared_memory_size 1G;
  nchan_message_buffer_length 20000;
  nchan_message_timeout 1m;
  server {
    listen 127.0.0.1:PORT;
    location = /publish { nchan_publisher http websocket; nchan_channel_id events; nchan_channel_group bench; }
    location = /subscribe {
      nchan_subscriber websocket; nchan_channel_id events; nchan_channel_group bench;
      nchan_subscriber_first_message newest;
    }
  }
}
"""
    configuration = FILE

    def __init__(self):
        path = fresh("nginx")
        port = free_port()
        (path / "nginx.conf").write_text(self.FILE.replace("PORT", str(port)).replace("DIR", str(path)))
        super().__init__(["nginx", "-p", path, "-c", path / "nginx.conf"], port)

    def await_ready(self):
        super().await_ready()
        while self.pid.count(",") < 2:  # its workers
            time.sleep(0.01)
