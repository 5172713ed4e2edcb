"""The row of the webhook: reviews of many pods at once, beside the same server with a handler that does nothing.

Clients are threads of this process that keep their connections open, as the API server does; they share the
cores with the server. CPU and memory are the server's alone.

Neighbours: ``admission_server.py`` is the server beside the real one.
"""

from __future__ import annotations

import http.client
import json
import os
import queue
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from benchmarks.measure import Cost, peak_rss
from benchmarks.outcome import Check, Outcome, median
from benchmarks.programs import OURS
from webhook.certificates import issue, make_authority

_HOST: Final = "127.0.0.1"
_CONNECTIONS: Final = 32
_START: Final = 30.0  # seconds
_LONGEST: Final = 60.0  # seconds for one answer
_TIMEOUT: Final = 5_000  # ms; what the chart has the API server wait for an answer
_PREFIX: Final = "data-sync.project-flotta.io"
SERVERS: Final = {
    f"{OURS}, no catalog": ["webhook"],
    f"{OURS}, catalog of 200 objects": ["benchmarks.admission_server", "catalog"],
    "handler that does nothing": ["benchmarks.admission_server", "nothing"],
}

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Burst:
    """What one burst took: the server's cost, ms of each answer, and how many answers were no 200."""

    cost: Cost
    latencies: list[float]
    refused: int


@dataclass(frozen=True, slots=True)
class Admission:
    """``count`` pods are created at once."""

    row: str
    count: int
    server: str = ""  # it needs no object storage

    def measure(self, server: object, top: Path, *, quick: bool, repeat: int, say: Say) -> list[Outcome]:
        """Bursts against each server in turn, the order turning with every round."""
        del server
        bodies = [_review(number) for number in range(self.count // 10 if quick else self.count)]
        title = (
            f"{len(bodies):,} pods created at once, {_CONNECTIONS} connections over TLS; the peer is the same server"
        )
        outcome = Outcome(self.row, title, time.strftime("%Y-%m-%d"), repeat)
        found: dict[str, list[Burst]] = {name: [] for name in SERVERS}
        with ExitStack() as stack:
            running = {name: stack.enter_context(_Server(module, top)) for name, module in SERVERS.items()}
            for one in running.values():
                one.burst(bodies[: _CONNECTIONS * 2])
            names = list(running)
            for number in range(repeat):
                for name in names[number % len(names) :] + names[: number % len(names)]:
                    found[name].append(running[name].burst(bodies))
        _conclude(outcome, found)
        say(f"{self.row}: {outcome.note}")
        return [outcome]


def _conclude(outcome: Outcome, found: dict[str, list[Burst]]) -> None:
    told = []
    for name, bursts in found.items():
        outcome.figures.append(median(name, [burst.cost for burst in bursts]))
        p50, p99 = (statistics.median(_quantile(burst, share) for burst in bursts) for share in (50, 99))
        rate = statistics.median(len(burst.latencies) / burst.cost.wall for burst in bursts)
        told.append(f"{name}: p50 {p50:.0f} ms, p99 {p99:.0f} ms, {rate:.0f} reviews a second")
        if name.startswith(OURS):
            outcome.checks.append(Check(f"p99 ms, {name.removeprefix(f'{OURS}, ')}", p99, _TIMEOUT))
    refused = sum(burst.refused for bursts in found.values() for burst in bursts)
    outcome.checks.append(Check("answers other than 200", refused, 0))
    outcome.note = "; ".join(told) + "."


def _quantile(burst: Burst, share: int) -> float:
    return statistics.quantiles(burst.latencies, n=100)[share - 1]


class _Server:
    """A webhook as a process of its own; leaving the context ends it."""

    def __init__(self, module: list[str], top: Path) -> None:
        top.mkdir(parents=True, exist_ok=True)
        authority = make_authority("benchmark authority", timedelta(days=1))
        pair = issue(authority, [_HOST], timedelta(days=1))
        self._context = ssl.create_default_context(cadata=authority.certificate_pem.decode())
        self._port = _free_port()
        certificate, key = top / f"{self._port}.crt", top / f"{self._port}.key"
        certificate.write_bytes(pair.certificate_pem)
        key.write_bytes(pair.key_pem)
        self._log = top / f"{self._port}.log"
        self._command = [sys.executable, "-m", *module]
        self._env = {
            "PATH": os.environ["PATH"],
            "WEBHOOK_CATALOG": "none",
            "WEBHOOK_LISTEN": f"{_HOST}:{self._port}",
            "WEBHOOK_METRICS_LISTEN": f"{_HOST}:0",
            "WEBHOOK_TLS_CERT": str(certificate),
            "WEBHOOK_TLS_KEY": str(key),
        }

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, env=self._env, stdout=log, stderr=log)
        end = time.monotonic() + _START
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > end:
                self._process.kill()
                raise RuntimeError(f"{self._command} did not start: {self._log.read_text()[-2000:]}")
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(_START)

    def burst(self, bodies: list[bytes]) -> Burst:
        """Send all ``bodies``, as fast as they are answered, on connections that are open already."""
        waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        for body in bodies:
            waiting.put(body)
        connections = [self._used(bodies[0]) for _ in range(_CONNECTIONS)]
        answers: list[tuple[int, float]] = []
        threads = [threading.Thread(target=_send, args=(one, waiting, answers)) for one in connections]
        cpu, started = self._cpu(), time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        cost = Cost(time.monotonic() - started, self._cpu() - cpu, sum(map(peak_rss, self._pids())))
        for one in connections:
            one.close()
        if len(answers) != len(bodies):
            raise RuntimeError(
                f"{len(answers)} of {len(bodies)} reviews were answered: {self._log.read_text()[-2000:]}"
            )
        return Burst(cost, [taken for _, taken in answers], sum(status != 200 for status, _ in answers))

    def _connect(self) -> http.client.HTTPSConnection:
        connection = http.client.HTTPSConnection(_HOST, self._port, context=self._context, timeout=_LONGEST)
        connection.connect()
        return connection

    def _used(self, body: bytes) -> http.client.HTTPSConnection:
        """A connection with one review behind it: a new one holds a thread of the server until it has asked."""
        connection = self._connect()
        _ask(connection, body)
        return connection

    def _listens(self) -> bool:
        try:
            self._connect().close()
        except OSError:
            return False
        return True

    def _pids(self) -> list[int]:
        """gunicorn's master and its worker."""
        master = self._process.pid
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        return [master, *map(int, children)]

    def _cpu(self) -> float:
        ticks = 0
        for pid in self._pids():
            found = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(found[11]) + int(found[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def _send(
    connection: http.client.HTTPSConnection, waiting: queue.SimpleQueue[bytes], answers: list[tuple[int, float]]
) -> None:
    while True:
        try:
            body = waiting.get_nowait()
        except queue.Empty:
            return
        started = time.monotonic()
        status = _ask(connection, body)
        answers.append((status, (time.monotonic() - started) * 1000))


def _ask(connection: http.client.HTTPSConnection, body: bytes) -> int:
    connection.request("POST", "/mutate", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _review(number: int) -> bytes:
    """The review of one pod of its own, of a workload of its own; all of them are injected."""
    metadata: dict[str, Any] = {
        "name": f"app-{number}",
        "labels": {f"{_PREFIX}/inject": "enabled", "app": f"app-{number}"},
        "annotations": {
            f"{_PREFIX}/s3-config-map": "config",
            f"{_PREFIX}/s3-secret": "secret",
            f"{_PREFIX}/egress": f"[{{source: stats, target: statistics-{number}}}]",
        },
    }
    env = [{"name": f"VARIABLE_{place}", "value": f"value {place} of {number}"} for place in range(20)]
    mounts = [{"name": "config", "mountPath": "/etc/app"}]
    container = {"name": "app", "image": f"registry.example/app:{number}", "env": env, "volumeMounts": mounts}
    spec = {"containers": [container], "volumes": [{"name": "config", "configMap": {"name": "app"}}]}
    request = {
        "uid": f"705ab4f5-6393-11e8-b7cc-{number:012d}",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "namespace": "edge",
        "name": metadata["name"],
        "operation": "CREATE",
        "object": {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
    }
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()
