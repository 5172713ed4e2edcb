"""What can go wrong in the demo::

DemoFault
├── WebhookDidNotStart   python -m webhook ended, or never became ready
├── NotAdmitted          the webhook refused the pod, or its answer is none for an API server
├── NotRunnable          the patched pod lacks something
├── CycleDidNotCome      a container ended, or the sidecar did not do in time what was waited for
└── NotWell              a check of contents, metrics or exit codes failed
"""

from __future__ import annotations

from pathlib import Path


class DemoFault(Exception):
    """The message says what is wrong; ``log`` is the file whose end shows more, where one does."""

    def __init__(self, message: str, log: Path | None = None) -> None:
        super().__init__(message)
        self.log = log


class WebhookDidNotStart(DemoFault):
    """Nothing is left running."""


class NotAdmitted(DemoFault):
    """The message is the webhook's own where it gave one."""


class NotRunnable(DemoFault):
    """The message says which container, volume or variable lacks what."""


class CycleDidNotCome(DemoFault):
    """The message says what was waited for."""


class NotWell(DemoFault):
    """The message says which check."""
