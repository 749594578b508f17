"""How long somebody waits for memory that is read back from swap: what PSI would count."""

from __future__ import annotations

from typing import Final

import numpy as np

from barostat.simulator.trace import Floats
from barostat.units import MIB

__all__ = ["stalled_ratio"]

SWAP_BYTES_S: Final = 36.0 * MIB
"""What a guest of 256 MiB read back a second while it did nothing else (measured on KVM)."""


def stalled_ratio(read_bytes_s: Floats) -> Floats:
    """Turn bytes read back a second into the share of time in which somebody waits for them."""
    ratio: Floats = np.minimum(1.0, read_bytes_s / SWAP_BYTES_S)
    return ratio
