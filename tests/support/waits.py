"""
How long a test waits for what ends by an event: never, on a machine that is busy with other things.
"""

from __future__ import annotations

from typing import Final

LONGEST_WAIT: Final = 60.0  # seconds; only what hangs comes near it, however busy the machine is
