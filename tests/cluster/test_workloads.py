"""The scenarios of workloads, on a real API server, with the rights that the chart grants."""

from __future__ import annotations

from tests.scenarios.test_workloads import *  # noqa: F403 - each scenario is told once
