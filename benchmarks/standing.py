"""Rows in which our sidecar stands by as a daemon: idle cycles, rescans, rest, and a few changed files.

A peer has no daemon: its idle cycle is one whole run that finds nothing to do, as a timer would start it.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import prepared, trees
from benchmarks.daemon import Daemon
from benchmarks.measure import Cost, run
from benchmarks.outcome import Check, Figures, Outcome, median
from benchmarks.programs import OURS, PROGRAMS, Job
from benchmarks.servers import NULL, NullServer
from benchmarks.transfers import BUCKET, Transfer

Say = Callable[[str], None]
DAEMON = f"{OURS}, a cycle of the daemon"
RESCAN = f"{OURS}, a cycle that walks all"
# s5cmd holds every name several times over: 1.6 GB for 100,000.
_MOST_FOR_S5CMD = 100_000
# Sending a million takes longer than everything that is measured then.
_MOST_TO_SEND = 100_000
_RCLONE = "rclone, best flags"


def _outcome(row: str, title: str, repeat: int) -> Outcome:
    return Outcome(row, f"{title}; {NULL}", time.strftime("%Y-%m-%d"), repeat)


def _job(server: NullServer, top: Path, *, up: bool) -> Job:
    (top / "tree" / "files").mkdir(parents=True, exist_ok=True)
    return Job(up, top / "tree", server.storage(BUCKET), server.storage_files(BUCKET))


def _per_cycle(requests: dict[str, int] | None, cycles: int) -> dict[str, int]:
    return {name: -(-count // cycles) for name, count in (requests or {}).items()}


def _peers(outcome: Outcome, server: NullServer, job: Job, log: Path, names: tuple[str, ...], say: Say) -> None:
    for name in names:
        server.requests()
        cost = run(*PROGRAMS[name](job), log)
        outcome.figures.append(Figures(name, cost.wall, cost.cpu, cost.rss, server.requests()))
        say(f"{outcome.row} {name}: {cost.wall:.2f} s, {cost.cpu:.2f} s CPU, {cost.rss:.0f} MiB")


@dataclass(frozen=True, slots=True)
class IdleEgress:
    """Nothing changes below ``count`` files: a cycle while the watcher holds, and one that walks all."""

    row: str
    count: int
    server: str = NULL

    def measure(self, server: NullServer, top: Path, *, quick: bool, repeat: int, say: Say) -> list[Outcome]:
        """Idle cycles, then cycles that walk everything, beside ``find`` over the same tree."""
        del quick
        job = _job(server, top, up=True)
        if self.count > _MOST_TO_SEND:
            prepared.synced(server, BUCKET, job, self.count, top / "log")
        else:
            trees.small(job.directory / "files", self.count, 1)
        return [self._idle(server, job, top / "log", repeat, say), self._rescan(job, top / "log", repeat, say)]

    def _idle(self, server: NullServer, job: Job, log: Path, repeat: int, say: Say) -> Outcome:
        outcome = _outcome(self.row, f"idle egress cycle, {self.count:,} files", repeat)
        with Daemon(job, log, "1s", DATA_SYNC_RESCAN_INTERVAL="6h") as daemon:
            outcome.note = f"{self._first} by the daemon: {daemon.seconds_to_first_cycle:.1f} s."
            daemon.cycles(2)
            server.requests()
            cpu, wall = daemon.cycles(5 * repeat)
            requests = server.requests() or {}
            outcome.figures.append(Figures(DAEMON, wall, cpu, daemon.rss(), requests))
            say(f"{self.row}: {cpu * 1000:.2f} ms CPU a cycle, {daemon.rss():.0f} MiB, {requests}; {outcome.note}")
        names = ("s5cmd sync", _RCLONE) if self.count <= _MOST_FOR_S5CMD else (_RCLONE,)
        _peers(outcome, server, job, log, names, say)
        outcome.check_ratio("cpu", 0.01)
        outcome.checks.append(Check("requests", sum(requests.values()), 0))
        return outcome

    @property
    def _first(self) -> str:
        return "first reconcile of a tree synced before" if self.count > _MOST_TO_SEND else "first egress"

    def _rescan(self, job: Job, log: Path, repeat: int, say: Say) -> Outcome:
        row = self.row.replace("idle", "rescan")
        outcome = _outcome(row, f"full rescan of {self.count:,} files", repeat)
        with Daemon(job, log, "500ms", DATA_SYNC_RESCAN_INTERVAL="100ms") as daemon:
            daemon.settle()
            daemon.forget_peak()
            cpu, wall = daemon.cycles(repeat)
            outcome.figures.append(Figures(RESCAN, wall, cpu, daemon.peak()))
            outcome.note = (
                f"started on the synced tree: {daemon.seconds_to_first_cycle:.2f} s to the first cycle's end."
            )
        find = ["find", job.local, "-printf", r"%p %s %T@ %C@ %i\n"]
        costs = [run(find, {}, log.with_name("found")) for _ in range(repeat)]
        outcome.figures.append(median("find -printf", costs))
        say(f"{row}: {cpu:.2f} s CPU, {outcome.figures[0].rss:.0f} MiB; find {outcome.figures[1].cpu:.2f} s")
        outcome.check_ratio("cpu", 2.5)
        outcome.checks[0] = dataclasses.replace(outcome.checks[0], what="cpu ÷ find")
        outcome.checks.append(Check("peak MiB", outcome.figures[0].rss or 0.0, 150))
        return outcome


@dataclass(frozen=True, slots=True)
class IdleIngress:
    """Nothing changes among ``count`` objects: a cycle lists them."""

    row: str
    count: int
    server: str = NULL

    def measure(self, server: NullServer, top: Path, *, quick: bool, repeat: int, say: Say) -> list[Outcome]:
        """Cycles of the daemon, and one run of each peer over the same objects and files."""
        count = self.count // 10 if quick else self.count
        server.fill(BUCKET, count, 1)
        job = _job(server, top, up=False)
        outcome = _outcome(self.row, f"idle ingress cycle, {count:,} objects", repeat)
        with Daemon(job, top / "log", "1s") as daemon:
            outcome.note = f"first ingress by the daemon: {daemon.seconds_to_first_cycle:.1f} s."
            daemon.cycles(1)
            daemon.forget_peak()
            server.requests()
            first = daemon.status()["cycle"]
            cpu, wall = daemon.cycles(repeat)
            requests = _per_cycle(server.requests(), daemon.status()["cycle"] - first)
            outcome.figures.append(Figures(DAEMON, wall, cpu, daemon.peak(), requests))
            say(f"{self.row}: {cpu:.2f} s CPU a cycle, {requests}; {outcome.note}")
        _peers(outcome, server, job, top / "log", ("s5cmd sync", _RCLONE), say)
        outcome.check_ratio("cpu", 0.5)
        others = sum(number for name, number in requests.items() if name != "list")
        outcome.checks += [
            Check("LIST pages", requests.get("list", 0), count / 1000 + 1),
            Check("other requests", others, 0),
        ]
        return [outcome]


@dataclass(frozen=True, slots=True)
class Resting:
    """Memory of the whole sidecar at rest, and how soon it is there."""

    row: str
    count: int
    server: str = NULL

    def measure(self, server: NullServer, top: Path, *, quick: bool, repeat: int, say: Say) -> list[Outcome]:
        """On a synced tree: with static keys, then with a chain that refreshes."""
        del quick
        job = _job(server, top, up=True)
        trees.small(job.directory / "files", self.count)
        run(*PROGRAMS[OURS](job), top / "log")
        outcome = _outcome(self.row, f"at rest, {self.count:,} files synced", repeat)
        keys = self._rest(f"{OURS}, static keys", job, top / "log", repeat, {})
        chain = self._rest(f"{OURS}, refreshed chain", job, top / "log", repeat, _chain(top))
        outcome.figures = [keys, chain]
        outcome.note = "Wall and CPU: from the start to the end of the first cycle. Memory: after three cycles."
        say(f"{self.row}: {keys.rss:.1f} MiB, {keys.wall:.2f} s to first cycle; chain {chain.rss:.1f} MiB")
        outcome.checks = [
            Check("MiB at rest", keys.rss or 0.0, 48),
            Check("s to first cycle", keys.wall or 0.0, 1),
            Check("MiB at rest, chain", chain.rss or 0.0, 90),
        ]
        return [outcome]

    def _rest(self, name: str, job: Job, log: Path, repeat: int, env: dict[str, str]) -> Figures:
        costs = []
        for _ in range(repeat):
            with Daemon(job, log, "500ms", **env) as daemon:
                cpu = daemon.cpu()
                daemon.cycles(3)
                costs.append(Cost(daemon.seconds_to_first_cycle, cpu, daemon.rss()))
        return median(name, costs)


@dataclass(frozen=True, slots=True)
class Changed:
    """1 % of the files change under the running daemon; ``transfer`` is the same for programs started anew."""

    row: str
    transfer: Transfer
    server: str = NULL

    def measure(self, server: NullServer, top: Path, *, quick: bool, repeat: int, say: Say) -> list[Outcome]:
        """The peers and ours started anew, then ours as the daemon that it is."""
        outcome = self.transfer.measure(server, top, quick=quick, repeat=repeat, say=say)
        count = self.transfer.quick if quick else self.transfer.size
        job = _job(server, top, up=True)
        trees.small(job.directory / "files", count)
        with Daemon(job, top / "log", "1s") as daemon:
            daemon.cycles(1)
            found = [self._change(daemon, server, job, count) for _ in range(repeat)]
        figures = median(DAEMON, [cost for cost, _ in found])
        requests = found[-1][1]
        outcome.figures.insert(0, dataclasses.replace(figures, requests=requests))
        outcome.checks.clear()
        outcome.check_ratio("wall", 0.3)
        others = sum(requests.values()) - requests.get("put", 0)
        outcome.checks += [
            Check("requests a changed file", requests.get("put", 0) / (count // 100), 1),
            Check("other requests", others, 0),
        ]
        outcome.note = "The daemon's wall is the time within its cycles, without the wait for the next one."
        say(f"{self.row} daemon: {figures.wall:.3f} s, {figures.cpu:.3f} s CPU, {requests}")
        shutil.rmtree(job.directory)
        return [outcome]

    def _change(self, daemon: Daemon, server: NullServer, job: Job, count: int) -> tuple[Cost, dict[str, int]]:
        sent = 'files_transferred_total{direction="egress"}'
        before, cpu, wall = daemon.metric(sent), daemon.cpu(), daemon.in_cycles()
        server.requests()
        changed = trees.change(job.directory / "files", count, time.monotonic_ns() // 1_000_000)
        daemon.wait_for_sent(int(before) + changed)
        return Cost(daemon.in_cycles() - wall, daemon.cpu() - cpu, daemon.rss()), server.requests() or {}


def _chain(top: Path) -> dict[str, str]:
    """A chain whose keys come from a program and run out, so that they are fetched again."""
    keys, config = top / "keys.json", top / "aws.ini"
    keys.write_text(
        '{"Version": 1, "AccessKeyId": "AK", "SecretAccessKey": "SK", "SessionToken": "T",'
        ' "Expiration": "2099-01-01T00:00:00Z"}'
    )
    config.write_text(f"[default]\ncredential_process = cat {keys}\n")
    return {"DATA_SYNC_CREDENTIALS": "chain", "AWS_CONFIG_FILE": str(config), "AWS_EC2_METADATA_DISABLED": "true"}
