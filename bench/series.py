"""A row of measured numbers and the few numbers that stand for it. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of them lie, interpolated; of one or more."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * share
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def summary(values: Sequence[float]) -> dict[str, float]:
    """p50, p95, least and most, to a hundredth."""
    return {
        "p50": round(quantile(values, 0.5), 2),
        "p95": round(quantile(values, 0.95), 2),
        "min": round(min(values), 2),
        "max": round(max(values), 2),
    }


def median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 2)


def slope(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Least squares of y over x, and its standard error; of three points or more."""
    count = len(points)
    middle_x = sum(x for x, _ in points) / count
    middle_y = sum(y for _, y in points) / count
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    found = sum((x - middle_x) * (y - middle_y) for x, y in points) / spread
    left = sum((y - middle_y - found * (x - middle_x)) ** 2 for x, y in points)
    return found, (left / (count - 2) / spread) ** 0.5
