"""``python -m sidecar``: holds SIGTERM back, then runs :mod:`sidecar.program`, which says what there is to run.

A container's first process loses a signal for which it has no handler yet, and a Job whose application
ends at once has its sidecar told to stop while that still imports its modules: it would run on until it
is killed, and the Job with it. A signal that is blocked waits instead.
"""

from __future__ import annotations

import sys

from runtime.shutdown import hold_signals

if __name__ == "__main__":
    hold_signals()
    from sidecar.program import main

    sys.exit(main())
