"""Ends of bootstrap intervals that hold what they say with few units, too."""

from __future__ import annotations

import math

from scipy.stats import norm, t

LEVEL = 0.95


def ends(units: int) -> tuple[float, float]:
    """Return the shares of the draws of so many `units` below and up to which they lie in the interval of `LEVEL`.

    Expanded percentiles (Hesterberg, What teachers should know about the bootstrap, 2015): few units vary less among
    themselves than those that were not drawn. Two or more are needed.
    """
    tail = float(norm.sf(math.sqrt(units / (units - 1)) * t.ppf((1 + LEVEL) / 2, units - 1)))
    return tail, 1 - tail
