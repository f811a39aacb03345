"""The recorded scenario that the demo, the update command and the studies share: every camera hangs askew.

Both values are given; nothing selected them.
"""

from __future__ import annotations

DEGREES = 25.0
"""By how much every camera was turned, counter-clockwise."""
RATIO = 0.01
"""Updating ratio of the answer to it: changed trits over trits in stored groups."""
