"""Shared by all tests: a parallel test process keeps to one thread, so that two do not fight over the cores.

No test is timed: on a busy machine a deadline tells nothing.
"""

from __future__ import annotations

import os

from hypothesis import settings

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
