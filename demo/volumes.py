"""A pod's volumes as directories of this machine, filled as kubelet fills them.

A host path lies below a directory that stands for the node's root; everything else below one that
stands for kubelet's own. Files of projected and downward API volumes are published like kubelet's:
through ``..data``, so that a reader of that directory sees one consistent set.

It mounts nothing: ``mounts`` says which directory a path in a container means, and ``runner`` passes
that on. Not here: claims, tokens, and all other kinds; a pod that needs one is refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from demo.environment import expand
from demo.errors import NotRunnable
from demo.facts import Facts, Json

_GENERATION = "..generation-1"


@dataclass(frozen=True, slots=True)
class Volumes:
    """The directory behind each volume of a pod, by the volume's name."""

    directories: dict[str, Path]

    def mounts(self, container: Json, env: dict[str, str]) -> dict[PurePosixPath, Path]:
        """Directory of this machine by path in the container.

        Raises:
            NotRunnable: a mount names a volume that the pod does not have, or leaves its volume.
        """
        found: dict[PurePosixPath, Path] = {}
        for mount in container.get("volumeMounts") or []:
            where = f"container {container['name']}, mount {mount['mountPath']}"
            directory = self.directories.get(mount["name"])
            if directory is None:
                raise NotRunnable(f"{where}: the pod has no volume {mount['name']!r}")
            part = PurePosixPath(mount.get("subPath") or expand(mount.get("subPathExpr") or "", env))
            if part.is_absolute() or ".." in part.parts:
                raise NotRunnable(f"{where}: {str(part)!r} leads out of the volume")
            (directory / part).mkdir(parents=True, exist_ok=True)
            found[PurePosixPath(mount["mountPath"])] = directory / part
        return found


def located(mounts: dict[PurePosixPath, Path], path: str) -> Path | None:
    """What ``path`` in a container is on this machine, or None where no volume is mounted there."""
    wanted = PurePosixPath(path)
    for place in (wanted, *wanted.parents):  # the deepest mount wins
        if place in mounts:
            return mounts[place] / wanted.relative_to(place)
    return None


def make_volumes(pod: Json, facts: Facts, node_root: Path, kubelet_root: Path) -> Volumes:
    """Create every volume of ``pod``.

    Raises:
        NotRunnable: a volume's kind is not understood, or what it needs is not there.
    """
    directories = {}
    for volume in pod["spec"].get("volumes") or []:
        try:
            directories[volume["name"]] = _make(volume, pod, facts, node_root, kubelet_root / volume["name"])
        except NotRunnable as error:
            raise NotRunnable(f"volume {volume['name']!r}: {error}") from error
    return Volumes(directories)


def _make(volume: Json, pod: Json, facts: Facts, node_root: Path, own: Path) -> Path:
    kinds = [key for key in volume if key != "name"]
    match kinds:
        case ["hostPath"]:
            return _host_path(volume["hostPath"], node_root)
        case ["emptyDir"]:
            own.mkdir(parents=True)
            own.chmod(0o777)
        case ["projected"]:
            files: dict[str, str] = {}
            for source in volume["projected"].get("sources") or []:
                files |= _source(source, pod, facts)
            _publish(own, files)
        case ["downwardAPI"]:
            _publish(own, _source({"downwardAPI": volume["downwardAPI"]}, pod, facts))
        case _:
            raise NotRunnable(f"the kind {', '.join(kinds) or 'none'} is not understood here")
    return own


def _host_path(source: Json, node_root: Path) -> Path:
    directory = node_root / str(source["path"]).lstrip("/")
    if source.get("type") == "DirectoryOrCreate":
        directory.mkdir(parents=True, exist_ok=True, mode=0o755)
    if not directory.is_dir():
        raise NotRunnable(f"{source['path']} is not on the node, and type DirectoryOrCreate does not ask to make it")
    return directory


def _source(source: Json, pod: Json, facts: Facts) -> dict[str, str]:
    """Text by path in the volume."""
    kind, body = next(iter(source.items()))
    if kind == "downwardAPI":
        return {item["path"]: facts.field(pod, item["fieldRef"]["fieldPath"]) for item in body.get("items") or []}
    kinds = {"configMap": "ConfigMap", "secret": "Secret"}
    if kind not in kinds:
        raise NotRunnable(f"the source {kind!r} is not understood here")
    texts = facts.texts(kinds[kind], body["name"])
    optional = bool(body.get("optional"))
    if texts is None and not optional:
        raise NotRunnable(f"{kinds[kind]} {body['name']!r} does not exist, and is not optional")
    return _items(texts or {}, body.get("items"), optional, f"{kinds[kind]} {body['name']!r}")


def _items(texts: dict[str, str], items: list[Json] | None, optional: bool, subject: str) -> dict[str, str]:
    if items is None:
        return dict(texts)
    missing = [item["key"] for item in items if item["key"] not in texts]
    if missing and not optional:
        raise NotRunnable(f"{subject} has no key {missing[0]!r}, and is not optional")
    return {item["path"]: texts[item["key"]] for item in items if item["key"] in texts}


def _publish(directory: Path, files: dict[str, str]) -> None:
    generation = directory / _GENERATION
    generation.mkdir(parents=True)
    for path, text in files.items():
        target = generation / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    (directory / "..data").symlink_to(_GENERATION)
    for name in sorted({PurePosixPath(path).parts[0] for path in files}):
        (directory / name).symlink_to(f"..data/{name}")
