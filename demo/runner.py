"""A small kubelet: runs a pod's containers as processes of this machine, from the pod alone.

What the pod does not say is not there: no variable, no file, no directory. Init containers run in
order, a native sidecar among them keeps running, then come the others. As there are no containers
here, paths inside them are told to our programs by the contract's own variables, computed from the
container's mounts: ``DATA_SYNC_EXPORT_DIR``, ``…_STORAGE_DIR``, ``…_PODINFO_DIR``, and
``DATA_SYNC_LISTEN`` gets a free port on loopback, since processes share the machine's.

Not here: images (a container of the user's gets a stand-in), probes, restarts, resources, users and
capabilities: everything runs as who started the demo.
"""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from contract import names
from demo.environment import command, environment
from demo.errors import NotRunnable
from demo.facts import Facts, Json
from demo.processes import Process, program
from demo.volumes import Volumes, located, make_volumes

_INIT_SECONDS = 30.0
_DIRECTORIES = {
    "DATA_SYNC_EXPORT_DIR": names.EXPORT_DIR,
    "DATA_SYNC_STORAGE_DIR": names.STORAGE_DIR,
    "DATA_SYNC_PODINFO_DIR": names.PODINFO_DIR,
}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A container ready to be started: what kubelet would hand to the runtime."""

    name: str
    command: list[str]
    env: dict[str, str]
    mounts: dict[PurePosixPath, Path]
    once: bool  # an init container that must end before the next one starts


class PodRunner:
    """One pod on this machine. ``state`` is an empty directory for all that belongs to it.

    ``stand_ins`` gives the words to run instead of an image's own program, by container; a word that
    is a path in the container is replaced by where that is here.
    """

    def __init__(self, pod: Json, facts: Facts, state: Path, stand_ins: Mapping[str, Sequence[str]]) -> None:
        self._pod = pod
        self._facts = facts
        self._state = state
        self._stand_ins = stand_ins
        self._port = 0
        self._finished: set[str] = set()  # init containers that did their work
        self.processes: dict[str, Process] = {}

    @property
    def address(self) -> str:
        """The sidecar's URL."""
        return f"http://127.0.0.1:{self._port}"

    def prepare(self) -> list[Prepared]:
        """Everything that can be known before something runs: volumes, mounts, variables, commands.

        Raises:
            NotRunnable: the pod lacks something; the sentence says what.
        """
        require_sidecar(self._pod)
        volumes = make_volumes(self._pod, self._facts, self._state / "node", self._state / "volumes")
        spec = self._pod["spec"]
        init = [
            self._prepare(c, volumes, once=c.get("restartPolicy") != "Always") for c in _list(spec, "initContainers")
        ]
        prepared = init + [self._prepare(c, volumes, once=False) for c in _list(spec, "containers")]
        require_shared_export(prepared)
        return prepared

    def start(self, prepared: Sequence[Prepared]) -> None:
        """Start the containers in their order; init containers have ended when this returns.

        Raises:
            NotRunnable: an init container failed, or a program cannot be started.
        """
        for container in prepared:
            self.start_one(container)

    def start_one(self, container: Prepared) -> None:
        """Start ``container``; one that runs once has ended well when this returns.

        Raises:
            NotRunnable: it failed, did not end, or cannot be started.
        """
        log = self._state / f"{container.name}.log"
        try:
            process = Process(container.name, container.command, container.env, log, self._state)
        except OSError as error:
            raise NotRunnable(f"container {container.name}: {container.command[0]}: {error.strerror}") from error
        self.processes[container.name] = process
        if not container.once:
            return
        self._finished.add(container.name)
        if (code := process.wait(_INIT_SECONDS)) != 0:
            how = f"ended with {code}" if code is not None else f"did not end within {_INIT_SECONDS:.0f} s"
            raise NotRunnable(f"init container {container.name} {how}", log)

    def ended(self) -> Process | None:
        """A container that should be running and is not."""
        running = (self.processes[name] for name in self.processes if name not in self._finished)
        return next((process for process in running if process.exit_code is not None), None)

    def stop(self, grace: float) -> dict[str, int]:
        """End what runs, the sidecar last, as kubelet does; exit codes by container. Again is fine."""
        order = sorted(self.processes, key=lambda name: name == names.SIDECAR_CONTAINER)
        return {name: self.processes[name].stop(grace) for name in order}

    def get(self, path: str) -> str:
        """The body of the sidecar's ``path``, whatever the status; empty where nobody listens."""
        try:
            with urllib.request.urlopen(self.address + path, timeout=5) as answer:  # noqa: S310 - our own http URL
                body: bytes = answer.read()
        except urllib.error.HTTPError as error:
            body = error.read()
            error.close()
        except OSError:
            return ""
        return body.decode()

    def _prepare(self, container: Json, volumes: Volumes, *, once: bool) -> Prepared:
        env = environment(container, self._pod, self._facts)
        mounts = volumes.mounts(container, env)
        name = container["name"]
        if name in self._stand_ins:
            words = [str(located(mounts, word) or word) for word in self._stand_ins[name]]
        elif name in (names.SIDECAR_CONTAINER, names.INIT_CONTAINER):
            words = command(container, env)
            env |= self._redirected(name, env, mounts)
        else:
            raise NotRunnable(f"container {name}: there are no images here, and no stand-in for this container")
        if not words:
            raise NotRunnable(f"container {name}: it has no command, and there is no image to have one")
        return Prepared(name, program(words), env, mounts, once)

    def _redirected(self, name: str, env: Mapping[str, str], mounts: dict[PurePosixPath, Path]) -> dict[str, str]:
        found = {}
        for variable, default in _DIRECTORIES.items():
            if name == names.INIT_CONTAINER and default != names.EXPORT_DIR:
                continue  # it reads neither storage keys nor podinfo
            path = env.get(variable, default)
            directory = located(mounts, path)
            if directory is None:
                raise NotRunnable(f"container {name}: no volume is mounted at {path}")
            found[variable] = str(directory)
        if name == names.SIDECAR_CONTAINER:
            found["DATA_SYNC_LOG_LEVEL"] = "DEBUG"  # idle cycles are shown here, too
            self._port = free_port()
            found["DATA_SYNC_LISTEN"] = f"127.0.0.1:{self._port}"
        return found


def require_sidecar(pod: Json) -> None:
    """Refuse a pod that was not injected.

    Raises:
        NotRunnable: there is no ``data-sync`` container.
    """
    found = [c["name"] for key in ("initContainers", "containers") for c in _list(pod["spec"], key)]
    if names.SIDECAR_CONTAINER not in found:
        raise NotRunnable(f"the pod has no container {names.SIDECAR_CONTAINER}, only {', '.join(found)}")


def require_shared_export(prepared: Sequence[Prepared]) -> None:
    """Refuse a pod whose containers do not share ``/export``, or see what is ours in it.

    Raises:
        NotRunnable: naming the container.
    """
    own = f"{names.EXPORT_DIR}/{names.OWN_DIR}"
    sidecar = next(c for c in prepared if c.name == names.SIDECAR_CONTAINER)
    shared = located(sidecar.mounts, names.EXPORT_DIR)
    for container in prepared:
        here = located(container.mounts, names.EXPORT_DIR)
        if here is None:
            raise NotRunnable(f"container {container.name}: no volume is mounted at {names.EXPORT_DIR}")
        if here != shared:
            raise NotRunnable(f"container {container.name}: its {names.EXPORT_DIR} is not the one that is synced")
        ours = container.name in (names.SIDECAR_CONTAINER, names.INIT_CONTAINER)
        if not ours and located(container.mounts, own) == here / names.OWN_DIR:
            raise NotRunnable(f"container {container.name}: it sees {own}, no mask is mounted over it")


def free_port() -> int:
    """A port of loopback that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _list(spec: Json, key: str) -> list[Json]:
    return spec.get(key) or []
