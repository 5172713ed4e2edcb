"""``python -m tests.torture.fuzz_reviews [--seconds N] [--seed N]``: reviews that coverage leads to.

Atheris (extra ``fuzz``) instruments ``webhook`` and ``contract`` and changes the golden pods' reviews byte by byte;
``reviews`` judges the answers. Without Atheris it says so and ends: ``reviews`` draws its own in any case.
A body that fails is left in ``build/torture``.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

_LEFT: Final = Path("build/torture")
_LONGEST: Final = 64 * 1024  # bytes of a body
_SLOWEST: Final = 30  # seconds for one answer


def main() -> int:
    """Fuzz in a process of its own: libFuzzer ends the one that it runs in."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture.fuzz_reviews", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed: no fuzzing by coverage (pip install -e '.[fuzz]' brings it)")
        return 0
    if asked.inside:
        _fuzz(asked.inside, asked.seconds, asked.seed)
        return 0
    _LEFT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="reviews-") as corpus:
        command = [sys.executable, "-m", "tests.torture.fuzz_reviews", "--inside", corpus]
        command += ["--seconds", str(asked.seconds), "--seed", str(asked.seed)]
        return subprocess.run(command, check=False).returncode


def _fuzz(corpus: str, seconds: int, seed: int) -> None:
    import atheris  # of the extra `fuzz`

    with atheris.instrument_imports(include=["webhook", "contract"]):
        from tests.torture import malformed, reviews
        from tests.webhook.processes import review

    for number, pod in enumerate(malformed.pods()):
        Path(corpus, str(number)).write_text(json.dumps(review(pod)))
    client = reviews.Asked()

    def ask(body: bytes) -> None:
        client.ask(body, malformed.JSON, len(body))

    options = [f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={_LONGEST}", f"-timeout={_SLOWEST}"]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={_LEFT}/", corpus], ask)
    atheris.Fuzz()


if __name__ == "__main__":
    raise SystemExit(main())
