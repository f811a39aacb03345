"""What the files of a run folder are called; the network exported into it is called as everywhere, ``NETWORK_FILE``."""

from __future__ import annotations

CHECKPOINT_FILE = "checkpoint.pt"
LOG_FILE = "log.csv"
RECIPE_FILE = "recipe.toml"
SECONDS_FILE = "seconds.txt"
"""Seconds that a run of an experiment has taken, all pieces of it together."""
LOCK_FILE = ".lock"
