"""Figures of the load generators: one run, medians of several, and the table."""

import os
import statistics
import subprocess
import sys
from dataclasses import dataclass

from servers import BUILD, Tidemark

SECONDS = int(os.environ.get("SECONDS_EACH", 4))
ROUNDS = int(os.environ.get("ROUNDS", 3))


def argv(command, program, **values):
    return [str(BUILD / "benchmarks" / program), command, *(f"{name}={value}" for name, value in values.items())]


def parse(text):
    f = {name: float(value) for name, value in (line.split() for line in text.splitlines())}
    if "client" in f:
        f["client_share"] = f["client"] / f["seconds"]
    return f


def load_alone(command, program="bench", **values):
    """Runs a load generator that needs no server."""
    done = subprocess.run(argv(command, program, **values), stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"failed: {' '.join(done.args)}")
    return parse(done.stdout)


def load(command, server, **values):
    """Runs a load generator against the server; what was acknowledged is counted."""
    return counted(server, load_alone(command, port=server.port, pid=server.pid, **values))


def start(command, server, **values):
    """A load generator that runs until finish()."""
    return subprocess.Popen(argv(command, "bench", port=server.port, pid=server.pid, **values), stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)


def finish(process, server):
    process.terminate()
    said = process.communicate()[0]
    if process.returncode != 0:
        raise SystemExit(f"failed: {process.args}")
    return counted(server, parse(said))


def counted(server, figures):
    if isinstance(server, Tidemark):
        server.store.holds += int(figures.get("events", 0))
    return figures


def alternate(*sides):
    """Each side in turn, ROUNDS times; for each side the median of each figure."""
    samples = [[] for _ in sides]
    for n in range(ROUNDS):
        for taken, side in zip(samples, sides):
            taken.append(side())
        said = (f"{s[-1]['rate']:,.0f}/s" if "rate" in s[-1] else "" for s in samples)
        print(f"  round {n + 1}:", *said, file=sys.stderr, flush=True)
    return [{name: statistics.median(s[name] for s in taken) for name in taken[0]} for taken in samples]


@dataclass
class Line:
    """One line of the table. `ratio` and `met` as text and truth; `shares` of one core, the load generator's."""

    row: str
    work: str
    ours: str
    peer: str
    ratio: str
    goal: str
    met: bool
    shares: str = "–"


def share(*sides):
    return " / ".join(f"{s['client_share']:.0%}".replace("%", " %") if s else "–" for s in sides)


def rate(value):
    return f"{value / 1e6:.2f} M/s" if value >= 1e6 else f"{value:,.0f}/s"


def faster(row, work, ours, peer, peer_name, goal):
    """A line about which side is faster."""
    ratio = ours["rate"] / peer["rate"]
    return Line(row, work, rate(ours["rate"]), f"{peer_name}: {rate(peer['rate'])}", f"{ratio:.2f} ×",
                f"≥ {goal} ×", ratio >= goal, share(ours, peer))


def slower(row, work, ours, peer, peer_name, goal, name="p99_us"):
    """A line about whose latency is higher."""
    ratio = ours[name] / peer[name]
    times = [f"{s[name] / 1000:.2f} ms ({s['p50_us'] / 1000:.2f} ms)" for s in (ours, peer)]
    return Line(row, work, times[0], f"{peer_name}: {times[1]}", f"{ratio:.2f} ×", f"≤ {goal} ×", ratio <= goal,
                share(ours, peer))


HEADER = "| # | work | Tidemark | against | ratio | goal | met | load generator, of a core |\n" + "|---" * 8 + "|"


def markdown(line):
    met = "yes" if line.met else "**no**"
    return (f"| {line.row} | {line.work} | {line.ours} | {line.peer} | {line.ratio} | {line.goal} | {met} "
            f"| {line.shares} |")
