"""Small real disks that go wrong: with a quota, or with blocks that cannot be written. They take root and loop devices.

btrfs has quotas in every kernel that has btrfs; ext4 and xfs only where they were compiled in. Its empty file
system is kept here as an image, so that no tool is needed to make one. A disk that fails is an ext4 on a loop
device over a sparse file on a tmpfs: when the tmpfs is full, blocks that were never written cannot be.
"""

from __future__ import annotations

import errno
import fcntl
import lzma
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path
from typing import Final, Self

import pytest

_IMAGE: Final = Path(__file__).parent / "images/btrfs.img.xz"  # 112 MiB, quotas switched on
_QGROUP_LIMIT: Final = 0x8030942B  # _IOR(0x94, 43, struct btrfs_ioctl_qgroup_limit_args)
_TOP: Final = 5  # the group of the top-level subvolume
_REFERENCED: Final = 1  # BTRFS_QGROUP_LIMIT_MAX_RFER
_NONE: Final = 2**64 - 1


def run(*command: str) -> None:
    """Run it; where that is refused, the test is skipped and says why."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip(f"there is no {command[0]} here")
    if done.returncode:
        pytest.skip(f"{command[0]} is refused here: {done.stderr.strip()}")


class Mounted:
    """A file system over ``path``; unmounted when the block is left."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.unmount()

    def mount(self, *arguments: str) -> None:
        """As mount(8), without the directory."""
        run("mount", *arguments, str(self.path))

    def unmount(self) -> None:
        """It is done even while somebody has files open on it."""
        subprocess.run(["umount", "--lazy", str(self.path)], capture_output=True, check=False)


class QuotaDisk(Mounted):
    """112 MiB of btrfs; its writers may have as much of it as :meth:`limit` says."""

    def begin(self, image: Path) -> None:
        """Mount a fresh one; ``image`` is where its file goes."""
        with lzma.open(_IMAGE) as packed, image.open("wb") as file:
            shutil.copyfileobj(packed, file)
        self.mount("-o", "loop", str(image))

    def limit(self, size: int = _NONE) -> None:
        """At most ``size`` bytes; statvfs goes on telling of the whole disk."""
        end = time.monotonic() + 60
        while not self._limited(size):  # to write down the new one may itself be too much for the old one
            assert time.monotonic() < end, "the quota cannot be changed"
            subprocess.run(["sync", "--file-system", str(self.path)], capture_output=True, check=False)

    def _limited(self, size: int) -> bool:
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _QGROUP_LIMIT, struct.pack("=6Q", _TOP, _REFERENCED, size, 0, 0, 0))
        except OSError as error:
            if error.errno != errno.EDQUOT:
                raise
            return False
        finally:
            os.close(fd)
        return True


class FailingDisk(Mounted):
    """48 MiB of ext4 of which only what was written before :meth:`break_down` can be written again."""

    def begin(self, below: Path) -> None:
        """Mount a fresh one; ``below`` is where the tmpfs goes."""
        self._below = Mounted(below)
        self._image = below / "image"
        self._below.mount("-t", "tmpfs", "-o", "size=64m", "tmpfs")
        with self._image.open("wb") as file:
            file.truncate(48 * 2**20)
        run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(self._image))
        self.mount("-o", "loop", str(self._image))

    def break_down(self) -> None:
        """From now on new blocks fail."""
        subprocess.run(["sync", "--file-system", str(self.path)], check=True)
        with (self._below.path / "filler").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 65_536)
            except OSError:
                return

    def repair(self) -> None:
        """Another cable, a check, and mounted again. Nobody may have files open on it."""
        (self._below.path / "filler").unlink()
        end = time.monotonic() + 60
        while subprocess.run(["umount", str(self.path)], capture_output=True, check=False).returncode:
            assert time.monotonic() < end, f"{self.path} is still in use"
            time.sleep(0.1)
        checked = subprocess.run(["fsck.ext4", "-fy", str(self._image)], capture_output=True, check=False)
        assert checked.returncode in (0, 1), checked.stdout  # 1: it mended something
        self.mount("-o", "loop", str(self._image))

    def __exit__(self, *_: object) -> None:
        self.unmount()
        if hasattr(self, "_below"):
            self._below.unmount()
