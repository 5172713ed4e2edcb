"""Where the real programs are that these tests run: Debian's own, never a service.

Missing on a developer's machine, a test skips and says so; in CI it fails, since there they are installed.
"""

from __future__ import annotations

import os
import shutil


def tool(name: str) -> str | None:
    """Path of ``name``; None where it is absent locally. With CI set its absence is an error."""
    found = shutil.which(name)
    if found is None and os.environ.get("CI"):
        raise AssertionError(f"{name} is not installed; .ci/run does that")
    return found
