"""The environment, all faults together; the storage files, one consistent set; podinfo, the last good one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from contract.storage import Storage
from runtime.environment import SettingsError
from sidecar.limits import Floor
from sidecar.mounted import Podinfo, StorageFiles, Waiting
from sidecar.settings import Settings

KEYS = {
    "BUCKET_NAME": "bucket",
    "BUCKET_HOST": "host",
    "AWS_ACCESS_KEY_ID": "access",
    "AWS_SECRET_ACCESS_KEY": "secret",
}
EGRESS = '[{"source": "stats", "target": "statistics"}]'


def place(directory: Path, texts: dict[str, str]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for key, text in texts.items():
        (directory / key).write_text(text)


def read(directory: Path, **env: str) -> Storage | Waiting:
    names = {"POD_NAMESPACE": "edge", "DATA_SYNC_STORAGE_DIR": str(directory)}
    return StorageFiles(Settings.from_env({**names, **env})).read()


def test_an_empty_environment_has_the_contracts_defaults() -> None:
    settings = Settings.from_env({})
    assert settings == Settings()
    assert (settings.export_dir, settings.state_dir) == ("/export", "/export/.data-sync")
    assert (settings.reconcile_interval, settings.rescan_interval, settings.grace_period) == (3600, 600, 25)
    assert settings.floor == Floor(256 * 2**20, 0.15)


def test_the_state_directory_follows_the_exported_one() -> None:
    assert Settings.from_env({"DATA_SYNC_EXPORT_DIR": "/data/"}).state_dir == "/data/.data-sync"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATA_SYNC_EGRESS", "["),
        ("DATA_SYNC_EGRESS", '[{"source": "a", "target": "$(POD_NAME)"}]'),
        ("DATA_SYNC_INTERVAL", "15"),
        ("DATA_SYNC_EXPORT_DIR", "export"),
        ("DATA_SYNC_STATE_DIR", "state"),
        ("DATA_SYNC_LISTEN", "9346"),
        ("DATA_SYNC_LISTEN", "host:99999"),
        ("DATA_SYNC_LISTEN_TLS_CERT", "/tls/tls.crt"),
        ("DATA_SYNC_LISTEN_TLS_KEY", "/tls/tls.key"),
        ("DATA_SYNC_STATUS_TOKEN_FILE", "token"),
        ("DATA_SYNC_SHOW_NAMES", "always"),
        ("DATA_SYNC_RECONCILE_INTERVAL", "hourly"),
        ("DATA_SYNC_RESCAN_INTERVAL", "-1s"),
        ("DATA_SYNC_INGRESS_MAX_BYTES", "lots"),
        ("DATA_SYNC_MIN_FREE", "101%"),
        ("DATA_SYNC_MIN_FREE", "some"),
        ("DATA_SYNC_BANDWIDTH", "1"),
        ("DATA_SYNC_GRACE_PERIOD", "25"),
        ("DATA_SYNC_LOG_LEVEL", "loud"),
        ("DATA_SYNC_CREDENTIALS", "role"),
    ],
)
def test_what_cannot_be_used_names_its_variable(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.from_env({variable: value})
    assert raised.value.faults[0].startswith(f"{variable}: ")


def test_all_faults_are_told_together() -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.from_env({"DATA_SYNC_EGRESS": "[", "DATA_SYNC_LISTEN": "x", "DATA_SYNC_BANDWIDTH": "x"})
    assert len(raised.value.faults) == 3


def test_secrets_in_the_environment_stay_out_of_its_repr() -> None:
    assert "planted-secret" not in repr(Settings.from_env({"AWS_SECRET_ACCESS_KEY": "planted-secret"}))


def test_a_complete_claim_goes_before_external(tmp_path: Path) -> None:
    place(tmp_path / "external", KEYS)
    place(tmp_path / "claim", {**KEYS, "BUCKET_NAME": "claimed"})
    found = read(tmp_path)
    assert isinstance(found, Storage)
    assert found.bucket == "claimed"


def test_a_half_bound_claim_gives_way_to_external_and_keys_never_mix(tmp_path: Path) -> None:
    place(tmp_path / "external", KEYS)
    place(tmp_path / "claim", {"BUCKET_NAME": "claimed", "BUCKET_HOST": "claimed-host"})
    found = read(tmp_path)
    assert isinstance(found, Storage)
    assert (found.bucket, found.host) == ("bucket", "host")


def test_what_an_administrator_says_of_all_claims_goes_before_what_one_says_and_touches_nothing_else(
    tmp_path: Path,
) -> None:
    overrides = '{"BUCKET_HOST": "route.example.org", "BUCKET_PORT": "8443", "BUCKET_SCHEME": "https"}'
    place(tmp_path / "external", KEYS)
    found = read(tmp_path, DATA_SYNC_STORAGE_CLAIM_OVERRIDES=overrides)
    assert isinstance(found, Storage)
    assert found.host == "host"
    place(tmp_path / "claim", {**KEYS, "BUCKET_NAME": "claimed", "BUCKET_PORT": "80"})
    found = read(tmp_path, DATA_SYNC_STORAGE_CLAIM_OVERRIDES=overrides)
    assert isinstance(found, Storage)
    assert (found.bucket, found.endpoint) == ("claimed", "https://route.example.org:8443")


def test_a_claim_that_is_not_bound_is_missing_all_of_it_whatever_is_said_of_all_claims(tmp_path: Path) -> None:
    found = read(
        tmp_path, DATA_SYNC_STORAGE_CLAIM="camera-1", DATA_SYNC_STORAGE_CLAIM_OVERRIDES='{"BUCKET_HOST": "route"}'
    )
    assert isinstance(found, Waiting)
    assert "Missing field BUCKET_HOST in resource edge/camera-1" in found.reason


def test_files_go_before_variables(tmp_path: Path) -> None:
    place(tmp_path, KEYS)
    found = read(tmp_path, **{**KEYS, "BUCKET_NAME": "variable"})
    assert isinstance(found, Storage)
    assert found.bucket == "bucket"


def test_variables_alone_will_do(tmp_path: Path) -> None:
    found = read(tmp_path / "missing", **KEYS)
    assert isinstance(found, Storage)
    assert found.bucket == "bucket"


def test_what_is_missing_is_said_with_the_resource(tmp_path: Path) -> None:
    place(tmp_path / "external", {"BUCKET_HOST": "host", "AWS_ACCESS_KEY_ID": "access"})
    found = read(tmp_path, DATA_SYNC_STORAGE_CONFIG_MAP="config", DATA_SYNC_STORAGE_SECRET="keys")
    assert found == Waiting(
        "Missing field BUCKET_NAME in resource edge/config; Missing field AWS_SECRET_ACCESS_KEY in resource edge/keys"
    )


def test_a_claim_that_is_not_there_yet_is_named(tmp_path: Path) -> None:
    found = read(tmp_path, DATA_SYNC_STORAGE_CLAIM="camera-1")
    assert isinstance(found, Waiting)
    assert found.reason.startswith("Missing field BUCKET_NAME in resource edge/camera-1; ")


def test_without_names_the_place_is_said(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert isinstance(found, Waiting)
    assert f"Missing field BUCKET_NAME in resource {tmp_path}" in found.reason


def test_a_value_that_cannot_be_used_is_said_with_its_place(tmp_path: Path) -> None:
    place(tmp_path / "external", {**KEYS, "BUCKET_PORT": "https"})
    found = read(tmp_path)
    assert found == Waiting(f"BUCKET_PORT is 'https', not a port number (in {tmp_path}/external)")


def test_one_version_of_a_projected_volume_is_read(tmp_path: Path) -> None:
    """Kubelet swaps ``..data`` as a whole; the links at the top are not to be trusted one by one."""
    for version in ("old", "new"):
        place(tmp_path / f"..{version}" / "external", {**KEYS, "BUCKET_NAME": version})
    (tmp_path / "..data").symlink_to("..old")
    (tmp_path / "external").symlink_to("..data/external")
    files = StorageFiles(Settings.from_env({"DATA_SYNC_STORAGE_DIR": str(tmp_path)}))
    first = files.read()
    os.symlink("..new", tmp_path / "..tmp")
    os.replace(tmp_path / "..tmp", tmp_path / "..data")
    second = files.read()
    assert isinstance(first, Storage)
    assert isinstance(second, Storage)
    assert (first.bucket, second.bucket) == ("old", "new")


def podinfo(directory: Path, text: str | None, **env: str) -> Podinfo:
    if text is not None:
        place(directory, {"mappings": text})
    return Podinfo(Settings.from_env({"DATA_SYNC_EGRESS": EGRESS, "DATA_SYNC_PODINFO_DIR": str(directory), **env}))


def test_podinfo_wins_over_the_environment(tmp_path: Path) -> None:
    info = podinfo(tmp_path, '{"egress": [{"source": "a", "target": "$(POD_NAME)"}], "ingress": []}', POD_NAME="p")
    assert info.refresh()
    assert [(mapping.source, mapping.target) for mapping in info.mappings] == [("a", "p")]
    assert not info.refresh(), "nothing changed since"


def test_without_podinfo_the_environment_holds(tmp_path: Path) -> None:
    info = podinfo(tmp_path / "missing", None)
    assert not info.refresh()
    assert [mapping.source for mapping in info.mappings] == ["stats"]


@pytest.mark.parametrize(
    "text",
    ["[", '{"egress": [{"source": "..", "target": "b"}]}', '{"egress": [{"source": "a", "target": "$(POD_NAME)"}]}'],
)
def test_a_bad_edit_keeps_the_last_good_mappings_and_says_so(tmp_path: Path, text: str) -> None:
    info = podinfo(tmp_path, text)
    assert not info.refresh()
    assert [mapping.source for mapping in info.mappings] == ["stats"]
    assert info.fault is not None
    assert "data-sync.project-flotta.io/mappings" in info.fault
    place(tmp_path, {"mappings": '{"egress": []}'})
    assert info.refresh()
    assert not info.fault
    assert not info.mappings
