"""What applications do with the exported directory: each actor a thread, each choice from the seed.

Actors on ``out`` (egress) own their files: what they destroy there, they destroy. The editor works on
``in`` (ingress) by exchanging names, so that it knows exactly what it got rid of, whatever the
sidecar did a microsecond before.
"""

from __future__ import annotations

import mmap
import os
import random
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from sidecar.local.syscalls import exchange
from tests.torture import contents
from tests.torture.ledger import Ledger

NAMES: Final = ("a", "b", "c d", "ü", "deep/er/x", "deep/y", "a.b", "a-b", "zz/%41", "new\nline", "file..txt")
LARGE: Final = 9 * 2**20  # bytes: goes by multipart
STAMP_CELLS: Final = 40_000


class Workload:
    """The actors of one run over one exported directory. ``held`` is how long a replaced file is kept, seconds."""

    def __init__(self, export: Path, ledger: Ledger, held: float) -> None:
        self._out = export / "out"
        self._in = export / "in"
        self._scratch = export / "scratch"  # same file system, never synced
        self._ledger = ledger
        self._held = held
        for directory in (self._out / "moving/one", self._in, self._scratch):
            directory.mkdir(parents=True, exist_ok=True)
        self._version = 0
        self._log = ["log-0", "0"]

    def actors(self) -> dict[str, tuple[Callable[[random.Random], None], float]]:
        """One act of each, and the mean of seconds between two."""
        return {
            "replace": (self.replace, 0.05),
            "replace_large": (self.replace_large, 3.0),
            "come_and_go": (self.come_and_go, 0.05),
            "append": (self.append, 0.04),
            "rewrite": (self.rewrite, 0.3),
            "start_over": (self.start_over, 0.1),
            "move": (self.move, 0.2),
            "map": (self.map, 0.3),
            "edit": (self.edit, 0.08),
        }

    def replace(self, rng: random.Random) -> None:
        """Write beside, rename over: the good citizen."""
        self._put_in_place(rng, self._out / "whole" / rng.choice(NAMES), rng.choice((10, 4_000, 200_000)))

    def replace_large(self, rng: random.Random) -> None:
        """The same, with a body that goes by multipart."""
        self._put_in_place(rng, self._out / "whole" / f"large{rng.randrange(2)}", LARGE + rng.randrange(1000))

    def come_and_go(self, rng: random.Random) -> None:
        """New files, links and directories, and some of them gone again."""
        target = self._out / "whole/coming" / str(rng.randrange(30)) / str(rng.randrange(3))
        if rng.random() < 0.4:
            with suppress(FileNotFoundError):
                target.unlink()
            if rng.random() < 0.3:
                shutil.rmtree(target.parent, ignore_errors=True)
        else:
            self._put_in_place(rng, target, rng.randrange(2000))

    def append(self, rng: random.Random) -> None:
        """A log, and its rotation."""
        log = self._out / "streams/app.log"
        log.parent.mkdir(exist_ok=True)
        name, size = self._log[0], int(self._log[1])
        piece = contents.stream(name, size, rng.randrange(1, 3000))
        with log.open("ab") as file:
            file.write(piece)
        self._log[1] = str(size + len(piece))
        if rng.random() < 0.02:
            log.rename(log.with_name(f"app.log.{name}"))
            self._log = [self._ledger.name("log"), "0"]

    def rewrite(self, rng: random.Random) -> None:
        """In place, front to back, never truncated."""
        path = self._out / f"stamps/{rng.randrange(2)}"
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            self._install(path, contents.stamps(0, STAMP_CELLS))
        version = int.from_bytes(path.read_bytes()[:8], "little") + 1
        with path.open("r+b", buffering=0) as file:
            body, offset = contents.stamps(version, STAMP_CELLS), 0
            while offset < len(body):
                offset += file.write(body[offset : offset + 32_768])
                time.sleep(rng.random() * 0.004)

    def start_over(self, rng: random.Random) -> None:
        """Truncate to nothing, then write piece by piece; sometimes cut it short afterwards."""
        path = self._out / f"beginnings/{rng.randrange(4)}"
        path.parent.mkdir(exist_ok=True)
        body = contents.whole(self._ledger.name("over"), rng.randrange(100_000))
        with path.open("wb", buffering=0) as file:
            for start in range(0, len(body), 30_000):
                file.write(body[start : start + 30_000])
                time.sleep(rng.random() * 0.01)
            if rng.random() < 0.3:
                file.truncate(rng.randrange(len(body)))

    def move(self, rng: random.Random) -> None:
        """Directories change places, with all that is in them."""
        moving = self._out / "moving"
        present = sorted(path.name for path in moving.iterdir())
        source = moving / rng.choice(present)
        self._put_in_place(rng, source / str(rng.randrange(5)), 300)
        target = moving / rng.choice(("one", "two", "three"))
        if not target.exists():
            source.rename(target)

    def map(self, rng: random.Random) -> None:
        """Write through a mapping that is closed at the end."""
        path = self._out / "mapped/file"
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            self._install(path, contents.stamps(0, STAMP_CELLS))
        self._version += 1
        with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as area:
            body = contents.stamps(self._version, STAMP_CELLS)
            middle = rng.randrange(len(body) // 8) * 8
            area[:middle] = body[:middle]
            time.sleep(rng.random() * 0.1)
            area[middle:] = body[middle:]

    def edit(self, rng: random.Random) -> None:
        """Something to a file that came by ingress."""
        found = [path for path in sorted(self._in.rglob("*")) if path.is_file() and ".conflict-" not in path.name]
        if found:
            rng.choice((self._exchange, self._exchange, self._write_late, self._remove))(rng, rng.choice(found))

    def _exchange(self, rng: random.Random, path: Path) -> None:
        name = self._ledger.name("edit")
        beside = self._scratch / name
        beside.write_bytes(contents.whole(name, rng.choice((10, 5_000))))
        self._ledger.wrote(name, str(path))
        try:
            exchange(-100, str(beside), -100, str(path))
        except FileNotFoundError:
            self._ledger.destroyed([name], "the name went before the edit")
        self._got_rid_of(beside, f"exchanged out of {path}")

    def _remove(self, _rng: random.Random, path: Path) -> None:
        away = self._scratch / self._ledger.name("removed")
        with suppress(FileNotFoundError):
            path.rename(away)
            self._got_rid_of(away, f"removed from {path}")

    def _write_late(self, rng: random.Random, path: Path) -> None:
        """Through a descriptor that was opened before; the file may have been replaced in between."""
        name = self._ledger.name("late")
        opened = time.monotonic()
        with suppress(FileNotFoundError):
            fd = os.open(path, os.O_WRONLY | os.O_APPEND)
            try:
                time.sleep(rng.random() * self._held / 2)
                os.write(fd, contents.note(name))
                linked = os.fstat(fd).st_nlink > 0
            finally:
                os.close(fd)
            if linked and time.monotonic() - opened < self._held:
                self._ledger.wrote(name, str(path))

    def _got_rid_of(self, path: Path, how: str) -> None:
        found = contents.read_whole(path.read_bytes())
        if found is None:
            self._ledger.violated(f"torn: {how}")
        else:
            self._ledger.destroyed([found.name, *found.notes], how)
        path.unlink()

    def _put_in_place(self, rng: random.Random, target: Path, size: int) -> None:
        with suppress(FileNotFoundError):  # another actor moved the directory away
            target.parent.mkdir(parents=True, exist_ok=True)
            self._install(target, contents.whole(self._ledger.name("own"), size + rng.randrange(50)))

    def _install(self, target: Path, body: bytes) -> None:
        beside = self._scratch / self._ledger.name("tmp")
        beside.write_bytes(body)
        beside.rename(target)
