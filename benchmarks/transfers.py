"""Rows in which a program is started, moves files and ends: first egress and ingress, mixed, large, 1 % changed.

One tree for all programs of a row, a bucket and (for ingress) a fresh directory for each. The order turns by
one with every round, so that no program always runs after the same other. What arrived is counted after
every run; a run that brought less is an error, not a figure.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import trees
from benchmarks.measure import Cost, run
from benchmarks.outcome import Check, Outcome, median
from benchmarks.programs import OURS, PROGRAMS, Job
from benchmarks.servers import FAR, NULL, WEED, WEED_TLS, NullServer, Server

BUCKET = "bench"
PEERS = ("s5cmd cp", "s5cmd sync", "rclone, best flags", "rclone, default")
SLOW_PEERS = (*PEERS, "aws s3 sync")
SYNC_PEERS = ("s5cmd sync", "rclone, best flags", "rclone, default")
Plant = Callable[[Path, int], int]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Transfer:
    """A row. ``size`` is how many files, of the large one its bytes; ``targets`` by what is compared."""

    row: str
    title: str
    server: str
    up: bool
    plant: Plant
    size: int
    quick: int
    targets: dict[str, float]
    peers: tuple[str, ...] = PEERS
    changed: bool = False

    def measure(self, server: Server, top: Path, *, quick: bool, repeat: int, say: Say) -> Outcome:
        """Run all programs ``repeat`` times."""
        return _Run(self, server, top, self.quick if quick else self.size, say).outcome(repeat)


FIRST = {"wall": 1.0}
TRANSFERS = [
    Transfer("egress-null", "first egress of files of 4 KiB", NULL, True, trees.small, 10_000, 2_000,
             {"wall": 0.9, "cpu": 0.75}, SLOW_PEERS),
    Transfer("egress-weed", "first egress of files of 4 KiB", WEED, True, trees.small, 10_000, 1_000,
             {"wall": 1.05, "cpu": 0.75}),
    Transfer("egress-far", "first egress of files of 4 KiB", FAR, True, trees.small, 10_000, 1_000, FIRST,
             ("s5cmd cp", "rclone, best flags")),
    Transfer("egress-tls", "first egress of files of 4 KiB", WEED_TLS, True, trees.small, 10_000, 1_000, FIRST,
             ("s5cmd cp", "rclone, best flags")),
    Transfer("ingress-null", "first ingress of files of 4 KiB", NULL, False, trees.small, 10_000, 2_000,
             {"wall": 1.0, "cpu": 0.9}, SLOW_PEERS),
    Transfer("ingress-weed", "first ingress of files of 4 KiB", WEED, False, trees.small, 10_000, 1_000,
             {"wall": 1.0, "cpu": 0.9}),
    Transfer("mixed-up", "mixed files of 1 KiB to 2 MiB, egress", NULL, True, trees.mixed, 2_000, 300, FIRST),
    Transfer("mixed-down", "mixed files of 1 KiB to 2 MiB, ingress", NULL, False, trees.mixed, 2_000, 300, FIRST),
    Transfer("huge-up", "one large file, egress", NULL, True, trees.huge, trees.GIB, trees.GIB // 8,
             {"wall": 1.1, "rss": 128}),
    Transfer("huge-down", "one large file, ingress", NULL, False, trees.huge, trees.GIB, trees.GIB // 8,
             {"wall": 1.1, "rss": 128}),
    Transfer("huge-weed-up", "one large file, egress", WEED, True, trees.huge, trees.GIB, trees.GIB // 8,
             {"wall": 1.1, "rss": 128}),
    Transfer("huge-weed-down", "one large file, ingress", WEED, False, trees.huge, trees.GIB, trees.GIB // 8,
             {"wall": 1.1, "rss": 128}),
    Transfer("changed", "1 % changed", NULL, True, trees.small, 10_000, 2_000,
             {"wall": 0.3}, SYNC_PEERS, changed=True),
]  # fmt: skip


class _Run:
    def __init__(self, transfer: Transfer, server: Server, top: Path, size: int, say: Say) -> None:
        self._transfer = transfer
        self._server = server
        self._top = top
        self._size = size
        self._say = say
        self._files = top / "tree"
        self._bytes = transfer.plant(self._files / "files", size)
        self._count, _ = trees.measure(self._files / "files")
        self._ready: set[str] = set()

    def outcome(self, repeat: int) -> Outcome:
        transfer = self._transfer
        names = [OURS, *transfer.peers]
        costs: dict[str, list[Cost]] = {name: [] for name in names}
        requests: dict[str, dict[str, int] | None] = {}
        if not transfer.up:
            self._seed()
        for number in range(repeat):
            for name in names[number % len(names) :] + names[: number % len(names)]:
                if name == "aws s3 sync" and costs[name]:
                    continue  # one run of it takes longer than all others together
                cost, requests[name] = self._once(name)
                costs[name].append(cost)
                self._say(f"{transfer.row} {name}: {cost.wall:.2f} s, {cost.cpu:.2f} s CPU, {cost.rss:.0f} MiB")
        outcome = Outcome(
            transfer.row,
            f"{transfer.title}; {transfer.server}; {self._size_in_words()}",
            time.strftime("%Y-%m-%d"),
            repeat,
        )
        outcome.figures = [median(name, costs[name], requests[name]) for name in names]
        self._check(outcome)
        self._clean_up()
        return outcome

    def _size_in_words(self) -> str:
        return f"{self._bytes >> 20:,} MiB" if self._count == 1 else f"{self._count:,} files, {self._bytes >> 20:,} MiB"

    def _once(self, name: str) -> tuple[Cost, dict[str, int] | None]:
        """One run of one program, and the requests that it sent."""
        bucket = f"{BUCKET}-{name.replace(',', '').replace(' ', '-')}" if self._transfer.up else BUCKET
        job = self._job(bucket)
        if self._transfer.changed:
            self._change(name, job)
        elif self._transfer.up:
            self._server.create_bucket(bucket)
        self._server.requests()
        cost = run(*PROGRAMS[name](job), self._top / "log")
        requests = self._server.requests()
        self._verify(name, job, bucket)
        if self._transfer.changed and (requests or {}).get("put") != len(range(0, self._size, 100)):
            raise RuntimeError(f"{self._transfer.row}: {name} sent {requests}, not the changed files")
        return cost, requests

    def _job(self, bucket: str) -> Job:
        directory = self._files if self._transfer.up else self._top / "down"
        if not self._transfer.changed:
            shutil.rmtree(directory / ".data-sync", ignore_errors=True)
        if not self._transfer.up:
            shutil.rmtree(directory, ignore_errors=True)
            (directory / "files").mkdir(parents=True)
        return self._new_job(directory, bucket, up=self._transfer.up)

    def _new_job(self, directory: Path, bucket: str, *, up: bool) -> Job:
        keys = self._server.storage_files(bucket)
        ca = self._top / "ca.pem" if "tls.crt" in keys else None
        if ca:
            ca.write_text(keys["tls.crt"])
        return Job(up, directory, self._server.storage(bucket), keys, ca)

    def _change(self, name: str, job: Job) -> None:
        """Bring both sides together, then change 1 %."""
        if name not in self._ready:
            self._ready.add(name)
            self._server.create_bucket(job.storage.bucket)
        run(*PROGRAMS[name](job), self._top / "log")
        time.sleep(1.1)  # peers compare times by the second: what changes now has to be newer
        trees.change(self._files / "files", self._size, time.monotonic_ns() // 1_000_000)

    def _seed(self) -> None:
        """Fill the bucket that ingress reads from, the quickest way; nothing of ours has touched it."""
        self._server.create_bucket(BUCKET)
        if isinstance(self._server, NullServer) and self._transfer.plant is not trees.mixed:
            whole = self._transfer.plant is trees.huge
            self._server.fill(BUCKET, self._count, self._size if whole else trees.SMALL)
            return
        run(*PROGRAMS["rclone, best flags"](self._new_job(self._files, BUCKET, up=True)), self._top / "log")

    def _verify(self, name: str, job: Job, bucket: str) -> None:
        if self._transfer.up and not self._transfer.changed:
            found = self._server.holds(bucket)
            self._server.delete_bucket(bucket)
        elif self._transfer.up:
            return
        else:
            found = trees.measure(job.directory / "files")
        wanted = (self._count, self._bytes)
        if found != wanted:
            raise RuntimeError(f"{self._transfer.row}: {name} brought {found} files and bytes of {wanted}")

    def _check(self, outcome: Outcome) -> None:
        for what, limit in self._transfer.targets.items():
            if what == "rss":
                outcome.checks.append(Check("peak MiB", outcome.ours().rss or 0.0, limit))
            else:
                outcome.check_ratio(what, limit)

    def _clean_up(self) -> None:
        for name in self._ready:
            self._server.delete_bucket(f"{BUCKET}-{name.replace(',', '').replace(' ', '-')}")
        if not self._transfer.up:
            self._server.delete_bucket(BUCKET)
        shutil.rmtree(self._top / "down", ignore_errors=True)
        shutil.rmtree(self._files)
