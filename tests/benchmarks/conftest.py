"""The C programs of the benchmarks, running; without a compiler their tests are skipped, with that reason."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.native import Native, NoCompiler, build
from benchmarks.servers import NullServer


@pytest.fixture(scope="session")
def compiled() -> None:
    """Both programs compile here."""
    try:
        build("null_server")
        build("delay_proxy")
    except NoCompiler as error:
        pytest.skip(str(error))


@pytest.fixture
def null_native(compiled: None) -> Iterator[Native]:
    """The null server's process."""
    with Native("null_server", "0") as native:
        yield native


@pytest.fixture
def null_server(null_native: Native) -> NullServer:
    """An empty null server."""
    return NullServer(null_native)
