"""CONTROLLER_* variables: defaults, values, and all faults at once."""

from __future__ import annotations

import pytest

from controller.__main__ import main
from controller.settings import Settings, StorageSettings
from runtime.environment import SettingsError


def test_an_empty_environment_means_the_defaults() -> None:
    assert Settings.from_env({}) == Settings()


def test_every_variable_is_read() -> None:
    env = {
        "CONTROLLER_METRICS_LISTEN": "127.0.0.1:1",
        "CONTROLLER_LOG_LEVEL": "debug",
        "CONTROLLER_WORKERS": "2",
        "CONTROLLER_RESYNC_INTERVAL": "90s",
        "CONTROLLER_LEASE_NAME": "lease",
        "CONTROLLER_LEASE_NAMESPACE": "ns",
        "CONTROLLER_OBC_AUTO_CREATE": "false",
        "CONTROLLER_OBC_STORAGE_CLASS": "class.example",
        "CONTROLLER_OBC_RECLAIM_POLICY": "Retain",
        "CONTROLLER_RELEASE_LIMIT": "1m",
        "POD_NAME": "pod-0",
    }
    assert Settings.from_env(env) == Settings(
        storage=StorageSettings(False, "class.example", "Retain", 60.0),
        metrics_listen="127.0.0.1:1",
        log_level="DEBUG",
        workers=2,
        resync_interval=90.0,
        lease_name="lease",
        lease_namespace="ns",
        identity="pod-0",
    )


def test_all_faults_are_told_together(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    env = {
        "CONTROLLER_METRICS_LISTEN": "nowhere",
        "CONTROLLER_LOG_LEVEL": "LOUD",
        "CONTROLLER_WORKERS": "0",
        "CONTROLLER_RESYNC_INTERVAL": "1ms",
        "CONTROLLER_LEASE_NAME": "No",
        "CONTROLLER_LEASE_NAMESPACE": "No.",
        "CONTROLLER_OBC_AUTO_CREATE": "yes",
        "CONTROLLER_OBC_STORAGE_CLASS": "a b",
        "CONTROLLER_OBC_RECLAIM_POLICY": "delete",
        "CONTROLLER_RELEASE_LIMIT": "soon",
    }
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(env)
    assert [fault.partition(":")[0] for fault in sorted(caught.value.faults)] == sorted(env)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert main([]) == 2
    assert "CONTROLLER_WORKERS" in capsys.readouterr().err
