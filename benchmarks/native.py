"""The two C programs of the benchmarks, compiled when they are first needed, and run.

Compiled into ``build/native`` under the hash of the source, so that an edit is never missed. Without a C
compiler :class:`NoCompiler` says so; the rows that need them are then left out, visibly.

Neighbours: ``servers.py`` makes S3 servers of them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_HERE: Final = Path(__file__).resolve().parent
_BUILD: Final = _HERE.parent / "build" / "native"


class NoCompiler(RuntimeError):
    """There is no ``cc`` on this machine."""


def build(name: str) -> Path:
    """The program made of ``benchmarks/<name>/<name>.c``.

    Raises:
        NoCompiler: nothing to compile it with.
        RuntimeError: it does not compile; the message holds what the compiler said.
    """
    source = _HERE / name / f"{name}.c"
    target = _BUILD / f"{name}-{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}"
    if target.exists():
        return target
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NoCompiler(f"{name} needs a C compiler (cc), and there is none")
    _BUILD.mkdir(parents=True, exist_ok=True)
    fresh = target.with_suffix(f".{os.getpid()}")
    done = subprocess.run(
        [compiler, "-O2", "-o", str(fresh), str(source), "-lm"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{name}.c does not compile:\n{done.stderr}")
    fresh.replace(target)
    return target


class Native:
    """One of the programs, running; ``port`` is where it listens on loopback."""

    def __init__(self, name: str, *arguments: str) -> None:
        self._command = [str(build(name)), *arguments]
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.strip():
            raise RuntimeError(f"{self._command[0]} ended with {self._process.wait()} before it listened")
        self.port = int(line)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    @property
    def pid(self) -> int:
        """The running process."""
        assert self._process is not None
        return self._process.pid
