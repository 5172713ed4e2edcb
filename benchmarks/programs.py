"""The programs that are measured: ours as a user runs it, and its peers with default and best flags.

Each turns a job (which way, between which directory and prefix) into a command and an environment.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contract.storage import Storage

_BIN: Final = Path(sys.executable).parent
# Found best for many small files; the defaults are measured beside them.
_RCLONE_BEST: Final = (
    "--transfers 32 --checkers 32 --fast-list --s3-no-head --s3-no-check-bucket --update --use-server-modtime"
)


@dataclass(frozen=True, slots=True)
class Job:
    """Sync ``directory``/files with ``prefix`` of the bucket; ``up`` from the device to the bucket."""

    up: bool
    directory: Path
    prefix: str
    storage: Storage
    files: dict[str, str]  # the storage files of the sidecar


Command = tuple[list[str], dict[str, str]]
Program = Callable[[Job], Command]


def data_sync(job: Job) -> Command:
    """Ours: hashing, index, fsync and conditional requests included."""
    storage = job.directory / "storage"
    storage.mkdir(exist_ok=True)
    for key, text in job.files.items():
        (storage / key).write_text(text)
    mapping = [{"source": "files", "target": job.prefix} if job.up else {"source": job.prefix, "target": "files"}]
    env = {
        "DATA_SYNC_EGRESS" if job.up else "DATA_SYNC_INGRESS": json.dumps(mapping),
        "DATA_SYNC_EXPORT_DIR": str(job.directory),
        "DATA_SYNC_STORAGE_DIR": str(storage),
        "DATA_SYNC_MIN_FREE": "1Mi",
    }
    return [sys.executable, "-m", "sidecar", "--once"], env


def rclone(job: Job, flags: str = "") -> Command:
    """rclone copy."""
    remote = f":s3:{job.storage.bucket}/{job.prefix}"
    local = str(job.directory / "files")
    ends = [local, remote] if job.up else [remote, local]
    options = ["--config=", "--s3-provider=Other", f"--s3-endpoint={job.storage.endpoint}"]
    keys = {
        "RCLONE_S3_ACCESS_KEY_ID": job.storage.access_key_id or "",
        "RCLONE_S3_SECRET_ACCESS_KEY": job.storage.secret_access_key or "",
    }
    return [str(_BIN / "rclone"), "copy", *ends, *options, *flags.split()], keys


def rclone_best(job: Job) -> Command:
    """rclone copy with its best flags for this."""
    return rclone(job, _RCLONE_BEST)


def s5cmd(job: Job) -> Command:
    """s5cmd sync."""
    remote, local = f"s3://{job.storage.bucket}/{job.prefix}/", f"{job.directory}/files/"
    ends = [local, remote] if job.up else [f"{remote}*", local]
    keys = {
        "AWS_ACCESS_KEY_ID": job.storage.access_key_id or "",
        "AWS_SECRET_ACCESS_KEY": job.storage.secret_access_key or "",
        "AWS_REGION": job.storage.region,
    }
    command = [str(_BIN / "s5cmd"), "--endpoint-url", job.storage.endpoint, "--log", "error", "sync", *ends]
    return command, keys


PROGRAMS: Final[dict[str, Program]] = {
    "data-sync": data_sync,
    "s5cmd sync": s5cmd,
    "rclone, best flags": rclone_best,
    "rclone, default": rclone,
}
