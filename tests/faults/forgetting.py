"""A real server that loses power: killed, and started again with its data as they were at an earlier moment.

What it had acknowledged in between is gone, as with a disk that lied about its cache. It sits behind a
proxy, so that its address stays while its ports change.
"""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from demo.s3server import S3Server
from tests.fakes.proxy import Proxy


class ForgetfulServer:
    """``with ForgetfulServer(directory) as server:``; :meth:`remember`, and later :meth:`lose_power`."""

    def __init__(self, directory: Path) -> None:
        self._data = directory / "server"
        self._remembered = directory / "remembered"
        self._server = S3Server(directory=str(self._data))

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._server)
            self._proxy = stack.enter_context(Proxy(self._server.port))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def storage_files(self, bucket: str) -> dict[str, str]:
        """The storage keys of ``bucket``; they stay good through a power cut."""
        return {**self._server.storage_files(bucket), "BUCKET_PORT": str(self._proxy.port)}

    def client(self) -> Any:
        """A client of its own for whoever looks from outside; another one after each power cut."""
        return self._server.client()

    def remember(self) -> None:
        """All that was stored until now is on its disk for good."""
        shutil.rmtree(self._remembered, ignore_errors=True)
        os.killpg(self._server.pid, signal.SIGSTOP)  # or the copy would be of many moments
        try:
            shutil.copytree(self._data / "data", self._remembered)
        finally:
            os.killpg(self._server.pid, signal.SIGCONT)

    def lose_power(self) -> None:
        """Everything since :meth:`remember` is gone. Nobody reaches the server before :meth:`come_back`."""
        self._proxy.upstream = 0
        self._server.stop()
        shutil.rmtree(self._data / "data")
        shutil.copytree(self._remembered, self._data / "data")
        self._server.start()

    def come_back(self) -> None:
        """It can be reached again."""
        self._proxy.upstream = self._server.port
