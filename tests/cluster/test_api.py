"""The fake's promises, on a real API server: where both pass, the fake behaves as the real one does."""

from __future__ import annotations

from tests.scenarios.test_api import *  # noqa: F403 - each promise is written once
