"""docs/CONTRACT.md and the code hold the same names, both ways; links lead somewhere; files name no machine.

The code is asked, not read: settings are made from an environment that notes what is looked up, metrics
are collected from their registries. What is promised and not there stands below "Not built yet".
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

import sidecar
from contract import mapping, names
from contract.options import OPTIONS
from contract.storage import STORAGE_KEYS
from controller import metrics as controller_metrics
from controller.settings import Settings as ControllerSettings
from release import logs_table
from runtime.environment import SettingsError
from sidecar.errors import SyncError
from sidecar.local.notices import Passed
from sidecar.reporting import metrics as sidecar_metrics
from sidecar.reporting.advice import ADVICE, advice
from sidecar.reporting.progress import Progress
from sidecar.settings import Settings as SidecarSettings
from webhook import metrics as webhook_metrics
from webhook import settings as webhook_settings

ROOT = Path(__file__).resolve().parents[1]
BUILT, _, NOT_BUILT = (ROOT / "docs" / "CONTRACT.md").read_text().partition("\n## Not built yet\n")

ANNOTATION = re.compile(rf"{re.escape(names.PREFIX)}/[a-z0-9-]+")
VARIABLE = re.compile(
    r"\b(?:(?:DATA_SYNC|WEBHOOK|CONTROLLER|BUCKET|AWS)_[A-Z0-9_]*[A-Z]|(?:POD|NODE)_NAME(?:SPACE)?|DEVICE_ID)\b"
)
METRIC = re.compile(r"\bdata_sync_[a-z0-9_]+(?:\{[a-z,]+\})?")
MAKE = re.compile(r"`make ([a-z]+)|^\$ make ([a-z]+)", re.MULTILINE)
MAPPING_KEY = re.compile(r"^\| `([a-zA-Z]+)` \| (?:ingress|egress|both) \|", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
# A package index, or where somebody keeps a checkout; built so that this file does not match itself.
INDEX = re.compile(
    r"https?://[^/\s]*(?:pypi|pythonhosted|npmjs)|https?://\S+/simple\b|(?<!no-emit)-index[-]url|_INDEX[_]URL"
)
MACHINE = re.compile(r"(?<![\w.<>}$~-])/(?:work|home|root|Users)/\w")


class Asked(Mapping[str, str]):
    """An empty environment that notes which variables it was asked for."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def variables() -> set[str]:
    asked = Asked()
    for read in (SidecarSettings.from_env, webhook_settings.Settings.from_env, ControllerSettings.from_env):
        with suppress(SettingsError):
            read(asked)
    return asked.names


def described(registry: CollectorRegistry) -> set[str]:
    """Each metric as the contract writes it: name, and its labels in order."""
    found = set()
    for family in registry.collect():
        labels = {tuple(label for label in sample.labels if label != "le") for sample in family.samples}
        assert len(labels) == 1, f"{family.name}: the same labels on each sample, and at least one sample"
        name = family.name + ("_total" if family.type == "counter" else "")
        found.add(name + "".join(f"{{{','.join(one)}}}" for one in labels if one))
    return found


def metrics() -> set[str]:
    webhook = webhook_metrics.Metrics()
    webhook.answered("injected", "none", 0)
    webhook.certificate(datetime.now(UTC))
    webhook.catalog(lambda: 0.0)
    controller = controller_metrics.Metrics()
    controller.reconciled("EdgeDevice", "ok")
    return described(_sidecar_registry()) | described(webhook.registry) | described(controller.registry)


def _sidecar_registry() -> CollectorRegistry:
    """Every gauge known: one mapping each way, a pass over each begun and ended."""
    progress = Progress()
    progress.lock_held, progress.free_bytes, progress.watcher_degraded = True, 1, False
    both = tuple(mapping.Mapping(direction, "a", "b") for direction in mapping.Direction)
    progress.set_mappings(both)
    for one in both:
        progress.begin(one)
        progress.end(one)
    found = sidecar_metrics.Metrics(progress)
    found.on_skew(0.0)
    return found.registry


def reasons() -> set[str]:
    """Every word that can say why a file was not synced."""
    for module in pkgutil.walk_packages(sidecar.__path__, "sidecar."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, todo = {kind.value for kind in Passed}, [SyncError]
    while todo:
        kind = todo.pop()
        found.add(kind.reason)
        todo += [one for one in kind.__subclasses__() if one.__module__.startswith("sidecar.")]
    return found


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


def named_targets(text: str) -> set[str]:
    listed = re.search(r"`make` targets: (.+)", text)
    words = re.findall(r"`([a-z]+)`", listed[1]) if listed else []
    return {*words, *(first or second for first, second in MAKE.findall(text))}


def constants() -> dict[str, str]:
    found = {name: value for name, value in vars(names).items() if name.isupper() and not name.startswith("_")}
    return {name: str(value) for name, value in found.items() if isinstance(value, str | int)}


def test_every_shared_name_is_in_the_contract() -> None:
    assert {name: value for name, value in constants().items() if value not in BUILT + NOT_BUILT} == {}


def test_labels_and_annotations_are_those_of_the_code() -> None:
    known = {names.INJECT, *names.USER_ANNOTATIONS, *names.WRITTEN_ANNOTATIONS}
    known |= {
        names.DEVICE_FINALIZER,
        names.CLAIM_KEPT,
        names.WORKLOAD_FINALIZER,
        names.RUN,
        names.TEMPLATE,
        names.DRAIN,
    }
    assert set(ANNOTATION.findall(BUILT)) == known


def test_variables_are_those_that_are_read() -> None:
    assert set(VARIABLE.findall(BUILT)) | {"tls.crt"} == variables() | set(STORAGE_KEYS)


def test_storage_keys_are_named() -> None:
    assert [key for key in STORAGE_KEYS if f"`{key}`" not in BUILT] == []


def test_metrics_and_their_labels_are_those_that_are_registered() -> None:
    assert set(METRIC.findall(BUILT)) == metrics()


def test_every_reason_is_explained_to_a_person_in_sidecar_advice() -> None:
    assert reasons() ^ (set(ADVICE) | {"error"}) == set()
    assert advice("something new") == ADVICE["error"]
    for said in ADVICE.values():
        assert said.words[0].isupper()
        assert not said.words.endswith(".")
        assert said.action.endswith(".")


def test_every_log_line_is_in_the_table_with_its_fields() -> None:
    ((path, text),) = logs_table.render().items()
    assert path.read_text() == text, "run `make logs`"


def test_mapping_keys_are_those_that_are_parsed() -> None:
    assert set(MAPPING_KEY.findall(BUILT)) == set(OPTIONS)


def rows(page: str) -> list[list[str]]:
    """The rows of all tables, cells stripped."""
    lines = (ROOT / "docs" / page).read_text().splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]


def test_the_configuration_page_has_every_mapping_key_with_its_direction() -> None:
    listed = {row[0].strip("`"): row[1] for row in rows("CONFIGURATION.md") if row[1] in ("both", "egress", "ingress")}
    known = {key: option.directions[0] if len(option.directions) == 1 else "both" for key, option in OPTIONS.items()}
    assert listed == {"source": "both", "target": "both", **known}


@pytest.mark.parametrize("prefix", ["DATA_SYNC_", "WEBHOOK_"])
def test_the_configuration_page_has_every_variable_once(prefix: str) -> None:
    named = [name for row in rows("CONFIGURATION.md") for name in VARIABLE.findall(row[0])]
    assert sorted(name for name in named if name.startswith(prefix)) == sorted(
        name for name in variables() if name.startswith(prefix)
    )


def test_the_configuration_page_and_the_contract_give_the_same_defaults() -> None:
    contract = {row[0]: row[2] for row in rows("CONTRACT.md") if len(row) == 3 and "`DATA_SYNC" in row[0]}
    page = {row[0]: row[1] for row in rows("CONFIGURATION.md") if "`DATA_SYNC" in row[0]}
    quoted = re.compile(r"`[^`]+`")
    different = {
        name: (default, page[name])
        for name, default in contract.items()
        if name in page and quoted.findall(default) != quoted.findall(page[name])
    }
    assert different == {}


def test_make_targets_are_there() -> None:
    assert named_targets(BUILT) - make_targets() == set()
    readme = (ROOT / "README.md").read_text() + (ROOT / "CONTRIBUTING.md").read_text()
    assert named_targets(readme) - make_targets() == set()


@pytest.mark.parametrize(
    "target", ["setup", "demo", "test", "check", "bench", "torture", "soak", "images", "manifests"]
)
def test_a_promised_target_is_built_or_said_to_be_missing(target: str) -> None:
    assert target in named_targets(BUILT if target in make_targets() else NOT_BUILT)


def test_what_is_said_to_be_missing_is_missing() -> None:
    assert named_targets(NOT_BUILT) & make_targets() == set()
    assert set(METRIC.findall(NOT_BUILT)) & {name.partition("{")[0] for name in metrics()} == set()


def tracked() -> list[Path]:
    git = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=False, capture_output=True, text=True)
    if git.returncode:
        pytest.skip("not a git checkout")
    return [path for path in (ROOT / name for name in git.stdout.split("\0") if name) if path.is_file()]


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    broken = []
    for link in LINK.findall(page.read_text()):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            broken.append(link)
    return broken


def test_links_lead_somewhere() -> None:
    pages = [path for path in tracked() if path.suffix == ".md"]
    assert {page.name: broken for page in pages if (broken := broken_links(page))} == {}


def test_no_file_holds_the_marks_of_a_merge() -> None:
    marks = re.compile(r"^(<{7}|>{7}) ", re.MULTILINE)
    assert [str(path) for path in tracked() if marks.search(path.read_text(errors="replace"))] == []


def test_no_file_names_a_package_index_or_a_path_of_this_machine() -> None:
    found = {}
    for path in tracked():
        text = path.read_text(errors="replace")
        if match := INDEX.search(text) or MACHINE.search(text) or re.search(re.escape(f"{ROOT}/"), text):
            found[str(path.relative_to(ROOT))] = match[0]
    assert found == {}


@pytest.mark.parametrize(
    ("find", "text"),
    [
        pytest.param(ANNOTATION.findall, "`data-sync.project-flotta.io/new-one`", id="an annotation"),
        pytest.param(VARIABLE.findall, "| `DATA_SYNC_NEW_ONE` | new |", id="a variable"),
        pytest.param(METRIC.findall, "`data_sync_new_seconds{direction}`", id="a metric with labels"),
        pytest.param(MAPPING_KEY.findall, "| `newKey` | both | new | `1` |", id="a mapping's key"),
        pytest.param(named_targets, "`make` targets: `setup`", id="a target in the list"),
        pytest.param(named_targets, "```console\n$ make all\n```", id="a target in an example"),
        pytest.param(INDEX.findall, "pip install --index" + "-url x", id="an index by option"),
        pytest.param(INDEX.findall, "http" + "://cache.example/root/simple", id="an index by its path"),
        pytest.param(MACHINE.findall, "see /ho" + "me/me/flotta", id="a path of a machine"),
    ],
)
def test_the_patterns_find_what_they_are_for(find: Callable[[str], object], text: str) -> None:
    assert find(text)


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Here, and there\n[a](#here-and-there) [b](gone.md) [c](page.md#nowhere) [d](https://host/)\n")
    assert broken_links(page) == ["gone.md", "page.md#nowhere"]
