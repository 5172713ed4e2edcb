"""``python -m tests.torture [--seed N] [--minutes M]``: the long form; exits 1 when a promise was broken.

Every run leaves its ledger and the sidecars' logs in ``build/torture/<seed>-<time>`` when it fails.
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import time
from pathlib import Path

from demo.s3server import S3Server
from tests.torture.run import run

ROUND_SECONDS = 60.0


def main() -> int:
    """Runs of a minute each, with seeds that follow from the first, until the time is over."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--without", nargs="*", default=[], help="actors that stay away")
    asked = parser.parse_args()
    end, seed, failed = time.monotonic() + asked.minutes * 60, asked.seed, False
    with S3Server() as server:
        while (left := end - time.monotonic()) > 0:
            directory = Path("build/torture") / f"{seed}-{time.strftime('%H%M%S')}"
            directory.mkdir(parents=True)
            verdict = run(server, directory.resolve(), seed, min(left, ROUND_SECONDS), tuple(asked.without))
            print(verdict, flush=True)
            failed = failed or bool(verdict.faults)
            if not verdict.faults:
                shutil.rmtree(directory)
            seed += 1
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
