"""Carrying out a plan: one action (``apply``), many at once (``transfer``), and what came of each (``recorder``)."""
