"""PEM files that change under a listener: one pair or the other, never half of each, and said once."""

from __future__ import annotations

import logging
import os
from datetime import timedelta
from pathlib import Path

import pytest

from runtime.tls import TlsFiles
from tests.fakes.pem import PemFiles
from webhook.certificates import KeyPair, issue, make_authority

AUTHORITY = make_authority("files that change", timedelta(hours=1))


def leaf() -> KeyPair:
    return issue(AUTHORITY, ["localhost"], timedelta(hours=1))


class Files(PemFiles):
    """Two files, and what was loaded from them."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.loaded: list[bytes] = []
        self.tls = TlsFiles(str(self.certificate), str(self.key), self.loaded.append)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def written_while_read(files: Files, pair: KeyPair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate is looked at by stat once; then ``pair`` is written, before anything is read again."""
    real = os.stat
    looked: list[object] = []

    def stat(path: str) -> os.stat_result:
        found = real(path)
        looked.append(path)
        if len(looked) == 2:
            files.write(pair)
        return found

    monkeypatch.setattr("runtime.tls.os.stat", stat)


def test_a_pair_that_is_written_while_it_is_read_is_read_again(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = leaf(), leaf()
    files.write(first)
    before = files.tls.context()
    files.write(leaf())
    with monkeypatch.context() as patch:
        written_while_read(files, second, patch)
        assert files.tls.context() is before, "what was read may be half of each"
    assert files.tls.context() is not before
    assert files.loaded == [first.certificate_pem, second.certificate_pem]


def test_at_the_start_there_is_no_old_pair_to_keep(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write(leaf())
    with monkeypatch.context() as patch:
        written_while_read(files, leaf(), patch)
        with pytest.raises(ValueError, match="changing"):
            files.tls.context()
    files.tls.context()


def test_a_broken_pair_is_said_once_and_one_that_is_mended_is_taken(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    files.write(leaf())
    before = files.tls.context()
    renewed = leaf()
    files.write_certificate(renewed.certificate_pem)
    with caplog.at_level(logging.WARNING):
        assert [files.tls.context() is before for _ in range(3)] == [True] * 3
    assert len(caplog.records) == 1
    files.write_key(renewed.key_pem)
    assert files.tls.context() is not before


def test_a_certificate_that_is_refused_changes_nothing(tmp_path: Path) -> None:
    refused: list[bytes] = []

    def loaded(certificate: bytes) -> None:
        if certificate in refused:
            raise ValueError("not this one")

    files = Files(tmp_path)
    tls = TlsFiles(str(files.certificate), str(files.key), loaded)
    files.write(leaf())
    before, second = tls.context(), leaf()
    refused.append(second.certificate_pem)
    files.write(second)
    assert tls.context() is before
