"""The story that the demo tells, step by step: from a pod's manifest to files in a bucket and back.

Every step acts on real parts and raises when something is not as it should be. Neighbours:
``__main__`` starts it and turns its end into an exit code.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from contract import names
from contract.storage import storage_from
from demo.admission import admit, difference
from demo.board import Board, size
from demo.bucket import Bucket, differences, files
from demo.errors import NotWell
from demo.facts import Facts, Json
from demo.observer import Observer, moved
from demo.runner import PodRunner, Prepared
from demo.s3server import S3Server
from demo.sample import load_pod, storage_manifests
from demo.screen import Screen
from demo.volumes import located
from demo.webhook import WebhookServer

NODE = "device-1"
BUCKET = "device-bucket-6"
STATS, STATISTICS = "stats", "statistics/"  # egress: directory and prefix
DOWNLOADS, REMOTE = "local/download/data", "remote/data/"  # ingress: directory and prefix
STAND_INS = {
    "stats-collector": ["python", "-P", str(Path(__file__).parent / "collector.py"), f"{names.EXPORT_DIR}/{STATS}"]
}
GRACE = 30.0  # seconds, Kubernetes' default
PATIENCE = 45.0  # seconds: three intervals of the contract's default
AT_MOST = 110.0  # seconds for the whole story: it has to be over within two minutes


@dataclass
class Story:
    """What the steps hand on to each other; ``stack`` ends it all in reverse order."""

    state: Path
    screen: Screen
    board: Board
    stack: ExitStack
    began: float = field(default_factory=time.monotonic)
    server: S3Server = field(init=False)
    webhook: WebhookServer = field(init=False)
    runner: PodRunner = field(init=False)
    bucket: Bucket = field(init=False)
    observer: Observer = field(init=False)
    export: Path = field(init=False)
    texts: dict[str, str] = field(init=False)

    def tell(self, *, keep: bool) -> str:
        """All of it; returns the sentence that sums it up.

        Raises:
            NotWell, NotRunnable, NotAdmitted, CycleDidNotCome, ...: saying what is wrong.
        """
        self.start_storage()
        pod = self.admit_pod()
        self.bucket.put(f"{REMOTE}greeting.txt", b"Hello from the bucket.\n")
        self.start_pod(pod)
        before = self.see_first_download()
        self.change_object()
        self.see_cycles()
        self.show_metrics(before)
        if not keep:
            self.end_pod()
        return self.summary(time.monotonic() - self.began)

    def start_storage(self) -> None:
        """A real S3 server with credentials, and an empty bucket."""
        self.screen.step("A real S3 server starts on loopback, credentials on")
        directory = self.state / "s3"
        directory.mkdir()
        self.server = self.stack.enter_context(S3Server(directory=str(directory)))
        self.server.create_bucket(BUCKET)
        self.texts = self.server.storage_files(BUCKET)
        self.bucket = self.stack.enter_context(closing(Bucket(storage_from(self.texts))))
        self.screen.say(f"SeaweedFS at {self.server.endpoint}, bucket {BUCKET}, empty")

    def admit_pod(self) -> Json:
        """The webhook patches the pod as an API server would have it do."""
        self.screen.step("The webhook starts with a fresh certificate, and admits the pod os-stats")
        directory = self.state / "webhook"
        directory.mkdir()
        self.webhook = self.stack.enter_context(WebhookServer(directory))
        pod = load_pod()
        admitted = admit(pod, pod["metadata"]["namespace"], self.webhook.port, self.webhook.ca_pem)
        self.screen.say(f"POST https://localhost:{self.webhook.port}/mutate: allowed, {admitted.operations} operations")
        for warning in admitted.warnings:
            self.screen.say(f"Warning: {warning}")
        self.screen.diff(difference(pod, admitted.pod))
        return admitted.pod

    def start_pod(self, pod: Json) -> None:
        """Run what the patched pod prescribes."""
        self.screen.step("The patched pod runs: its own variables, mounts and files, and nothing else")
        directory = self.state / "pod"
        directory.mkdir()
        facts = Facts(NODE, storage_manifests(pod, self.texts))
        self.runner = PodRunner(pod, facts, directory, STAND_INS)
        prepared = self.runner.prepare()
        self.stack.callback(self.runner.stop, GRACE)
        self.export = find_export(prepared)
        for container in prepared:
            self.runner.start_one(container)
            self.screen.say(f"{container.name}: {told(container)}")
            if container.name == names.SIDECAR_CONTAINER:
                self._observe()
        if os.geteuid() != 0:
            self.screen.say("Not run as root: users and capabilities of the containers are not shown here.")

    def _observe(self) -> None:
        self.observer = self.stack.enter_context(Observer(self.runner, self.board, self.screen))

    def see_first_download(self) -> str:
        """What lay in the bucket before the pod started arrives; returns the sidecar's metrics at that moment."""
        self.screen.step(f"{REMOTE}greeting.txt was in the bucket already: the first cycle fetches it")
        self._wait_for_cycles("ingress", 1)
        self._same(self.bucket.contents(REMOTE), files(self.export / DOWNLOADS), "on the device")
        return self.runner.get("/metrics")

    def change_object(self) -> None:
        """A new object, and a second later another version of it."""
        self.screen.step(f"{REMOTE}settings.json is put into the bucket, and changed a second later")
        self.bucket.put(f"{REMOTE}settings.json", b'{"rate": 1}\n')
        self.screen.say('{"rate": 1}')
        time.sleep(1.0)  # the story's own pace, nothing is waited for
        self.bucket.put(f"{REMOTE}settings.json", b'{"rate": 2, "verbose": true}\n')
        self.screen.say('{"rate": 2, "verbose": true}')

    def see_cycles(self) -> None:
        """Two egress cycles that sent files, and an ingress cycle after the change."""
        self.screen.step("stats-collector writes every second; the sidecar syncs every interval")
        fetched = len(self.observer.cycles("ingress"))
        self._wait_for_cycles("ingress", fetched + 1)
        written = files(self.export / STATS).keys()
        self.observer.wait_for("a second egress cycle with files", lambda: self._sent() >= 2, self._patience())
        self._wait_for_cycles("ingress", len(self.observer.cycles("ingress")) + 1)
        self.screen.step("Both sides are compared byte by byte, by another client than the sidecar's")
        # Read again: the newest of them may have been looked at before it was written to its end.
        here = {path: body for path, body in files(self.export / STATS).items() if path in written}
        self._same(here, self.bucket.contents(STATISTICS), "in the bucket")
        self._same(self.bucket.contents(REMOTE), files(self.export / DOWNLOADS), "on the device")

    def show_metrics(self, before: str) -> None:
        """The counters that the cycles moved."""
        self.screen.step("The metrics that moved since the first cycle")
        changed = moved(before, self.runner.get("/metrics"))
        width = max((len(name) for name, _, _ in changed), default=0)
        for name, old, new in changed:
            self.screen.say(f"{name:{width}}  {old:g} → {new:g}")
        if not any(name.startswith("data_sync_bytes_transferred_total") for name, _, _ in changed):
            raise NotWell("data_sync_bytes_transferred_total did not move")

    def end_pod(self) -> None:
        """The pod is deleted: the workload ends, then the sidecar sends what is left."""
        self.screen.step("The pod is deleted: a last file is written, SIGTERM, and the sidecar sends it before it ends")
        for name in self.runner.processes:
            if name not in (names.SIDECAR_CONTAINER, names.INIT_CONTAINER):
                self.runner.processes[name].stop(GRACE)
        (self.export / STATS / "last-words.txt").write_text("Written just before the end.\n")
        code = self.runner.processes[names.SIDECAR_CONTAINER].stop(GRACE)
        if code != 0:
            raise NotWell(f"the sidecar ended with {code} after SIGTERM, not with 0")
        here, there = files(self.export / STATS), self.bucket.contents(STATISTICS)
        self._same(here, there, "in the bucket")
        self._same(there, here, "on the device")
        self.screen.say(f"{STATISTICS}last-words.txt is in the bucket: {there['last-words.txt'].decode().strip()!r}")

    def summary(self, seconds: float) -> str:
        """How much there is on both sides, as the bucket says."""
        sent, fetched = self.bucket.sizes(STATISTICS), self.bucket.sizes(REMOTE)
        return (
            f"All is well: {len(sent)} files ({size(sum(sent.values()))}) went up, {len(fetched)} "
            f"({size(sum(fetched.values()))}) came down, equal on both sides, in {seconds:.0f} s."
        )

    def _patience(self) -> float:
        return min(PATIENCE, AT_MOST - (time.monotonic() - self.began))

    def _sent(self) -> int:
        return sum(1 for line in self.observer.cycles("egress") if line["files"])

    def _wait_for_cycles(self, direction: str, count: int) -> None:
        self.observer.wait_for(
            f"{direction} cycle {count}", lambda: len(self.observer.cycles(direction)) >= count, self._patience()
        )

    def _same(self, wanted: dict[str, bytes], there: dict[str, bytes], where: str) -> None:
        found = differences(wanted, there, where)
        if found:
            raise NotWell("; ".join(found))
        total = size(sum(map(len, wanted.values())))
        self.screen.say(f"{len(wanted)} files, {total}: every one is {where}, byte for byte")


def told(container: Prepared) -> str:
    """What runs in ``container``, and whether it has ended."""
    if container.name in STAND_INS:
        return "demo/collector.py stands in for its image"
    return " ".join(container.command[1:]) + (" (done)" if container.once else "")


def find_export(prepared: list[Prepared]) -> Path:
    """Where ``/export`` of the pod is on this machine."""
    sidecar = next(container for container in prepared if container.name == names.SIDECAR_CONTAINER)
    directory = located(sidecar.mounts, names.EXPORT_DIR)
    if directory is None:
        raise NotWell(f"the sidecar has nothing at {names.EXPORT_DIR}")
    return directory
