"""Prefixes that are apart as written and one when their variables are filled in."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.environment import SettingsError
from sidecar.mounted import Podinfo
from sidecar.settings import Settings

TWO = '[{"source": "a", "target": "logs/$(POD_NAME)"}, {"source": "b", "target": "logs/os-stats"}]'


def test_two_sources_that_would_write_one_key_are_refused_at_the_start() -> None:
    with pytest.raises(SettingsError, match=r"DATA_SYNC_EGRESS: .* overlap"):
        Settings.from_env({"DATA_SYNC_EGRESS": TWO, "POD_NAME": "os-stats"})
    assert len(Settings.from_env({"DATA_SYNC_EGRESS": TWO, "POD_NAME": "other"}).spec.egress) == 2


def test_an_edit_that_would_make_them_one_keeps_the_last_good_mappings(tmp_path: Path) -> None:
    env = {"DATA_SYNC_EGRESS": '[{"source": "a", "target": "b"}]', "POD_NAME": "os-stats"}
    podinfo = Podinfo(Settings.from_env({**env, "DATA_SYNC_PODINFO_DIR": str(tmp_path)}))
    good = podinfo.mappings
    for text in (f'{{"egress": {TWO}}}', "[" * 100_000):
        (tmp_path / "mappings").write_text(text)
        assert not podinfo.refresh()
        assert podinfo.mappings == good
        assert podinfo.fault is not None
        podinfo.fault = None
