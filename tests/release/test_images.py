"""Building images: what the builder is told, what is said of the result, and what failing looks like."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from release import images


def archive(path: Path, *layers: dict[str, bytes]) -> Path:
    """A saved image, as ``podman save`` writes it, with these files in its layers."""
    with tarfile.open(path, "w") as image:
        names = [f"{number}.tar" for number in range(len(layers))]
        for name, files in zip(names, layers, strict=True):
            content = io.BytesIO()
            with tarfile.open(fileobj=content, mode="w") as layer:
                for file, text in files.items():
                    add(layer, file, text)
            add(image, name, content.getvalue())
        add(image, "manifest.json", json.dumps([{"Layers": names}]).encode())
    return path


def add(into: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    into.addfile(entry, io.BytesIO(content))


def test_bytes_are_counted_by_place_over_all_layers(tmp_path: Path) -> None:
    saved = archive(
        tmp_path / "i.tar", {"./usr/local/lib/a": b"aaaa", "usr/local/bin/b": b"b"}, {"usr/local/lib/c": b"cc"}
    )
    assert images.weigh(saved) == {"usr/local/lib": 6, "usr/local/bin": 1}


def test_the_report_names_size_places_and_kinds_of_packages(tmp_path: Path) -> None:
    saved = archive(tmp_path / "i.tar", {"app/venv/lib/x": bytes(2 * images.MB)})
    bill = tmp_path / "sidecar.cdx.json"
    components = [{"purl": "pkg:pypi/boto3@1"}, {"purl": "pkg:deb/debian/bash@5"}, {"type": "operating-system"}]
    bill.write_text(json.dumps({"components": components}))
    assert list(images.report("data-sync-sidecar:dev", saved, bill)) == [
        "data-sync-sidecar:dev: 2 MB unpacked; sidecar.cdx.json names 1 deb, 1 pypi",
        "     2.0 MB  /app/venv/lib",
    ]


@pytest.mark.parametrize(
    ("builder", "expected"),
    [
        ("podman", ["--format=docker", "--timestamp=7"]),
        ("/usr/bin/podman", ["--format=docker", "--timestamp=7"]),
        ("docker", ["--build-arg=SOURCE_DATE_EPOCH=7"]),
    ],
)
def test_each_builder_is_told_the_time_of_the_commit(
    builder: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "commit", lambda: (7, "abc"))
    command = images.build_command(builder, "sidecar", "data-sync-sidecar:dev", ["--pull=never"])
    assert command[:4] == [builder, "build", "--file=Dockerfile.sidecar", "--tag=data-sync-sidecar:dev"]
    assert "--build-arg=REVISION=abc" in command
    assert command[6:] == [*expected, "--pull=never", str(images.ROOT)]


def test_a_tree_without_git_has_a_time_all_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(images, "ROOT", tmp_path)
    assert images.commit() == (0, "unknown")


def test_a_missing_builder_is_named_with_the_way_out(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert images.main(["--builder", "no-such-builder", "--output", str(tmp_path)]) == 1
    assert "no-such-builder is not installed; name another builder with BUILDER=" in capsys.readouterr().err


def test_a_failing_build_ends_with_status_1_and_names_the_step(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert images.main(["--builder", "false", "--output", str(tmp_path)]) == 1
    assert "release.images: false build ended with status 1" in capsys.readouterr().err


def test_without_syft_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path: None)
    with pytest.raises(images.Failed, match=r"syft is not installed: pip install '\.\[images\]'"):
        images.write_bill(tmp_path / "a.tar", tmp_path / "b.json")


def test_the_commit_is_the_last_one_of_this_tree() -> None:
    if subprocess.run(["git", "-C", str(images.ROOT), "rev-parse"], capture_output=True, check=False).returncode:
        pytest.skip("this tree is not a git checkout")
    time, name = images.commit()
    assert time > 1_700_000_000
    assert len(name) == 40
