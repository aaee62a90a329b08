"""Array types shared by the engine."""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

POWER_TOLERANCE_KW = 1e-3
"""A power below this counts as zero."""

ENERGY_TOLERANCE_KWH = 0.01
"""Most that a plan may deliver above a need."""
