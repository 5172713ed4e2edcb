"""The documentation's manifests on a real API server, which knows schemas and rules."""

from __future__ import annotations

from tests.scenarios.test_samples import *  # noqa: F403 - each is written once
