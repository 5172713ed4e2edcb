"""The arrows of docs/ARCHITECTURE.md: who may import whom, and the one place for each library.

A rule is a row: from these files, these modules and no others. Imports are read from the source, also
those inside functions.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("contract", "runtime", "webhook", "controller", "sidecar", "demo", "benchmarks", "release", "tests")

# Room (files by pattern, the first match counts) → modules of ours that it may import.
ARROWS: list[tuple[str, tuple[str, ...]]] = [
    ("contract/*", ("contract",)),
    ("runtime/*", ("runtime",)),
    ("webhook/__main__.py", ("contract", "runtime", "webhook")),
    ("webhook/*", ("contract", "runtime", "webhook")),
    ("controller/*", ("contract", "runtime", "controller")),
    ("sidecar/__main__.py", ("runtime.shutdown", "sidecar.program")),
    ("sidecar/tree.py", ()),
    ("sidecar/loop.py", ()),
    ("sidecar/errors.py", ()),
    ("sidecar/plan.py", ("sidecar.tree",)),
    ("sidecar/skim.py", ()),
    ("sidecar/local/*", ("contract", "runtime", "sidecar.errors", "sidecar.tree", "sidecar.local")),
    ("sidecar/remote/*", ("contract", "runtime", "sidecar.errors", "sidecar.tree", "sidecar.loop", "sidecar.remote")),
    ("sidecar/state/*", ("contract", "runtime", "sidecar.errors", "sidecar.tree", "sidecar.state")),
    ("sidecar/*", ("contract", "runtime", "sidecar")),
    ("demo/*", ("contract", "runtime", "demo", "webhook.certificates")),
    ("benchmarks/admission_server.py", ("runtime", "webhook")),
    ("benchmarks/*", ("contract", "demo.s3server", "webhook.certificates", "benchmarks")),
    ("release/*", ("release", "runtime")),
    ("tests/*", ROOMS),
]

# Within the controller: what decides does not know the cluster.
PURE_CONTROLLER = (
    "claims",
    "devices",
    "conditions",
    "pods",
    "resources",
    "errors",
    "workloads",
    "live",
    "directories",
    "drains",
    "credentials",
)

ACTING = (
    "controller.cluster",
    "controller.handlers",
    "controller.events",
    "controller.reconcile",
    "controller.metrics",
)

# Within the webhook: decisions do not know how they are asked for.
PURE_WEBHOOK = (
    "catalog",
    "decision",
    "devices",
    "facts",
    "injection_settings",
    "openshift",
    "owners",
    "resolution",
    "storage",
    "injection",
    "patch",
    "annotations",
    "containers",
    "volumes",
    "removal",
    "pods",
)
SERVING = ("webhook.server", "webhook.serving", "webhook.review", "webhook.metrics", "webhook.commands")

# Library → the only files that may import it.
ONE_PLACE: dict[str, tuple[str, ...]] = {
    "flask": ("webhook/server.py",),
    "gunicorn": ("webhook/serving.py", "webhook/worker.py"),
    "jsonpatch": ("webhook/patch.py", "demo/admission.py"),
    "cryptography": ("webhook/certificates.py",),
    "kubernetes": ("controller/cluster.py", "controller/handlers.py"),
    "kopf": ("controller/handlers.py",),
    "greenlet": ("sidecar/loop.py",),
    "inotify_simple": ("sidecar/local/watch.py",),
    "sqlite3": (
        "sidecar/state/index.py",
        "sidecar/state/index_file.py",
        "sidecar/state/index_reader.py",
        "sidecar/state/database.py",
        "benchmarks/prepared.py",
    ),
    # Only for the default chain of credentials: requests are our own.
    "boto3": ("demo/s3server.py", "demo/bucket.py"),
    "botocore": ("sidecar/remote/credentials.py", "demo/s3server.py", "demo/bucket.py"),
    "urllib3": ("controller/cluster.py",),
    # One place opens connections: no second client grows beside it.
    "ssl": (
        "sidecar/remote/dial.py",
        "sidecar/remote/wire.py",
        "runtime/tls.py",
        "webhook/*",
        "controller/*",
        "demo/*",
        "benchmarks/*",
    ),
}
# Room that both programs share → the only libraries it may import.
SHARED: dict[str, tuple[str, ...]] = {"contract": (), "runtime": ("prometheus_client",)}

# What a file that only decides may not touch.
IO = {
    "os",
    "io",
    "socket",
    "sqlite3",
    "subprocess",
    "threading",
    "logging",
    "time",
    "tempfile",
    "shutil",
    "ssl",
    "http",
}
PURE = (
    "sidecar/plan.py",
    "sidecar/skim.py",
    "sidecar/tree.py",
    "sidecar/reporting/status.py",
    "sidecar/reporting/tally.py",
    "sidecar/reporting/advice.py",
    "contract/*.py",
    *(f"webhook/{name}.py" for name in PURE_WEBHOOK),
    *(f"controller/{name}.py" for name in PURE_CONTROLLER),
)


@dataclass(frozen=True)
class Import:
    """``file`` imports ``module`` (dotted; with the name for ``from package import module``)."""

    file: str
    module: str

    def __str__(self) -> str:
        return f"{self.file} imports {self.module}"


def imports(root: Path, rooms: tuple[str, ...] = ROOMS) -> Iterator[Import]:
    for room in rooms:
        for path in sorted((root / room).rglob("*.py")):
            file = path.relative_to(root).as_posix()
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    yield from (Import(file, alias.name) for alias in node.names)
                elif isinstance(node, ast.ImportFrom):
                    assert not node.level, f"{file}: relative imports hide the arrows"
                    yield from (Import(file, f"{node.module}.{alias.name}") for alias in node.names)


def within(module: str, allowed: tuple[str, ...]) -> bool:
    return any(module == one or module.startswith(one + ".") for one in allowed)


def broken_arrows(found: list[Import]) -> list[str]:
    broken = []
    for one in found:
        if not within(one.module, ROOMS):
            continue
        allowed = next(allowed for pattern, allowed in ARROWS if fnmatch(one.file, pattern))
        if not within(one.module, allowed):
            broken.append(str(one))
    for one in found:
        stem = Path(one.file).stem
        if one.file.startswith("webhook/") and stem in PURE_WEBHOOK and within(one.module, SERVING):
            broken.append(str(one))
        if one.file.startswith("controller/") and stem in PURE_CONTROLLER and within(one.module, ACTING):
            broken.append(str(one))
    return broken


def misplaced_libraries(found: list[Import]) -> list[str]:
    broken = []
    for one in found:
        if one.file.startswith("tests/"):
            continue
        top = one.module.split(".", 1)[0]
        if top in ONE_PLACE:
            if not any(fnmatch(one.file, pattern) for pattern in ONE_PLACE[top]):
                broken.append(str(one))
            continue
        libraries = SHARED.get(one.file.split("/", 1)[0])
        ours = top in ROOMS or top in sys.stdlib_module_names
        if libraries is not None and not ours and top not in libraries:
            broken.append(str(one))
    return broken


def impure(found: list[Import]) -> list[str]:
    return [
        str(one)
        for one in found
        if any(fnmatch(one.file, pattern) for pattern in PURE) and one.module.split(".", 1)[0] in IO
    ]


def test_there_are_no_other_arrows_than_those_drawn() -> None:
    assert broken_arrows(list(imports(ROOT))) == []


def test_each_library_is_known_in_its_place_only() -> None:
    assert misplaced_libraries(list(imports(ROOT))) == []


def test_what_decides_does_no_io() -> None:
    assert impure(list(imports(ROOT))) == []


def test_no_file_has_grown_into_two() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for room in ROOMS
        if room != "tests"
        for path in (ROOT / room).rglob("*.py")
        if (count := len(path.read_text().splitlines())) > 350
    }
    assert long == {}


@pytest.mark.parametrize(
    ("file", "line", "check"),
    [
        ("contract/names.py", "import runtime.logs", broken_arrows),
        ("sidecar/plan.py", "from sidecar.state.index import Index", broken_arrows),
        ("sidecar/local/scan.py", "from sidecar.remote.store import ObjectStore", broken_arrows),
        ("sidecar/remote/s3.py", "import sidecar.local.files", broken_arrows),
        ("sidecar/state/index.py", "from sidecar.transfer.recorder import Recorder", broken_arrows),
        ("sidecar/engine.py", "from webhook.settings import Settings", broken_arrows),
        ("webhook/admit.py", "import sidecar", broken_arrows),
        ("webhook/decision.py", "from webhook.server import create_app", broken_arrows),
        ("runtime/logs.py", "from tests.fakes import store", broken_arrows),
        ("sidecar/engine.py", "def f():\n    import boto3", misplaced_libraries),
        ("sidecar/remote/s3.py", "import botocore.session", misplaced_libraries),
        ("webhook/admit.py", "from flask import Flask", misplaced_libraries),
        ("webhook/catalog.py", "import kubernetes.client", misplaced_libraries),
        ("sidecar/remote/keys.py", "import botocore.exceptions", misplaced_libraries),
        ("demo/story.py", "from sidecar.settings import Settings", broken_arrows),
        ("demo/story.py", "from webhook.admit import Admitter", broken_arrows),
        ("webhook/catalog.py", "from demo.bucket import Bucket", broken_arrows),
        ("runtime/shutdown.py", "from contract import names", broken_arrows),
        ("runtime/logs.py", "import structlog", misplaced_libraries),
        ("contract/spec.py", "import yaml", misplaced_libraries),
        ("contract/spec.py", "import prometheus_client", misplaced_libraries),
        ("sidecar/tree.py", "if True:\n    from logging import getLogger", impure),
        ("sidecar/plan.py", "import os.path", impure),
        ("webhook/decision.py", "from time import time", impure),
        ("controller/devices.py", "from controller.cluster import Cluster", broken_arrows),
        ("controller/devices.py", "from webhook.pods import Json", broken_arrows),
        ("controller/cluster.py", "import kopf", misplaced_libraries),
        ("controller/devices.py", "import time", impure),
    ],
)
def test_the_rules_catch_what_they_are_for(tmp_path: Path, file: str, line: str, check: object) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(line + "\n")
    assert callable(check)
    assert len(check(list(imports(tmp_path)))) == 1
