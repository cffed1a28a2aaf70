"""Reverse proxies as Debian packages them, each in the foreground, without rights, in a folder of its own."""

import os
import shutil
import socket
import subprocess
import tempfile

from binary import ROOT
from waiting import wait_until

os.environ["PATH"] += ":/usr/sbin"  # where Debian has them


def packaged(name, *replacements):
    """A file of packaging/ with other addresses and files in it, and otherwise as it is."""
    with open(os.path.join(ROOT, "packaging", name), encoding="utf-8") as file:
        text = file.read()
    for what, by in replacements:
        assert what in text, what
        text = text.replace(what, by)
    return text


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Proxy:
    """Listens at `address`. The configuration is written once the port is known: {home} and {port} stand for what they say."""

    def __init__(self, test):
        self.test = test
        self.home = tempfile.mkdtemp(prefix="tidemark-proxy-")
        self.address = ("127.0.0.1", free_port())
        self.process = None
        test.addCleanup(shutil.rmtree, self.home, ignore_errors=True)

    def write(self, name, text):
        path = os.path.join(self.home, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace("{home}", self.home).replace("{port}", str(self.address[1])))
        return path

    def start(self, *command):
        nobody = {}
        if os.geteuid() == 0:
            nobody = {"user": "nobody", "group": "nogroup", "extra_groups": []}
            for folder, _, files in os.walk(self.home):
                for path in [folder, *(os.path.join(folder, file) for file in files)]:
                    shutil.chown(path, "nobody", "nogroup")
        with open(os.path.join(self.home, "output"), "wb") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.home, **nobody)
        self.test.addCleanup(self.end)
        wait_until(self.listens, f"{command[0]} listens")
        return self

    def listens(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.home, "output"), encoding="utf-8", errors="replace") as output:
                raise AssertionError(f"it ended: {output.read()}")
        try:
            socket.create_connection(self.address).close()
            return True
        except OSError:
            return False

    def end(self):
        self.process.terminate()
        self.process.wait()


def nginx(proxy, text):
    """`text` goes into http { … }."""
    temporary = "".join(f"{kind}_temp_path {{home}}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    conf = proxy.write("nginx.conf", "daemon off; master_process off; pid {home}/pid; error_log {home}/error.log;\n"
                       f"events {{}}\nhttp {{ access_log off; {temporary}\n{text}\n}}\n")
    return proxy.start("nginx", "-c", conf, "-e", f"{proxy.home}/error.log")


def haproxy(proxy, text):
    return proxy.start("haproxy", "-db", "-f", proxy.write("haproxy.cfg", text))


def apache(proxy, text):
    """`text` goes behind what every server needs."""
    modules = "".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"
                      for name in ("mpm_event", "authz_core", "proxy", "proxy_http"))
    conf = proxy.write("apache.conf", modules + "ServerRoot {home}\nServerName localhost\nDefaultRuntimeDir {home}\n"
                       "PidFile {home}/pid\nErrorLog {home}/error.log\nListen 127.0.0.1:{port}\n" + text)
    return proxy.start("apache2", "-f", conf, "-DFOREGROUND")


def varnish(proxy, text):
    vcl = proxy.write("proxy.vcl", text)
    return proxy.start("varnishd", "-F", "-f", vcl, "-a", "%s:%d" % proxy.address, "-n", os.path.join(proxy.home, "varnish"),
                       "-s", "malloc,64m", "-j", "none", "-T", "none")
