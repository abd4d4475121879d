"""How far to go along a direction: a search for a point that meets the strong Wolfe conditions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, sqrt

from graphc.core.node import Array

DECREASE = 1e-4  # the part of the promised decrease that is asked for
CURVATURE = 0.9  # the part of the first slope that may be left
GROWTH = 4.0  # how much farther the next try is, while the loss still falls
MARGIN = 0.1  # how near to an end of the bracket a try may be, as a part of it


@dataclass(frozen=True)
class Point:
    """A distance along the direction, the loss there, its slope and its gradient."""

    distance: float
    value: float
    slope: float
    gradient: Array

    @property
    def usable(self) -> bool:
        return isfinite(self.value) and isfinite(self.slope)


def strong_wolfe(
    at: Callable[[float], Point], start: Point, first: float, tries: int = 25
) -> Point | None:
    """A point with less loss and less slope, or None where no point with less loss was found.

    ::

        f(t) <= f(0) + 1e-4 * t * f'(0)   and   |f'(t)| <= 0.9 * |f'(0)|

    Parameters
    ----------
    at : callable
        The point at a distance.
    start : Point
        That at distance 0; its slope is negative.
    first : float
        The distance to try first.
    tries : int
        How many points may be computed. The best one is returned if none fulfils both.

    References
    ----------
    Nocedal, Wright: Numerical optimization, 2nd edition, 2006, algorithms 3.5 and 3.6.
    """
    low, distance = start, first
    for used in range(1, tries + 1):
        new = at(distance)
        if not _decreases(start, new) or (used > 1 and new.value >= low.value):
            return _zoom(at, start, low, new, tries - used)
        if abs(new.slope) <= -CURVATURE * start.slope:
            return new
        if new.slope >= 0:
            return _zoom(at, start, new, low, tries - used)
        low, distance = new, distance * GROWTH
    return low if low is not start else None


def _zoom(
    at: Callable[[float], Point], start: Point, low: Point, high: Point, tries: int
) -> Point | None:
    """The search within a bracket; `low` is the end with less loss."""
    for _ in range(tries):
        if abs(high.distance - low.distance) <= 1e-14 * max(1.0, abs(low.distance)):
            break
        new = at(_between(low, high))
        if not _decreases(start, new) or new.value >= low.value:
            high = new
            continue
        if abs(new.slope) <= -CURVATURE * start.slope:
            return new
        if new.slope * (high.distance - low.distance) >= 0:
            high = low
        low = new
    return low if low is not start else None


def _decreases(start: Point, new: Point) -> bool:
    promised = start.value + DECREASE * new.distance * start.slope
    return new.usable and new.value <= promised


def _between(low: Point, high: Point) -> float:
    """The minimum of the cubic through both ends, kept away from them; else their middle."""
    width = high.distance - low.distance
    middle = low.distance + width / 2
    if not high.usable:
        return middle
    d1 = low.slope + high.slope - 3 * (high.value - low.value) / width
    inside = d1 * d1 - low.slope * high.slope
    if not inside >= 0:
        return middle
    d2 = sqrt(inside) if width > 0 else -sqrt(inside)
    bottom = high.slope - low.slope + 2 * d2
    if bottom == 0:
        return middle
    part = 1 - (high.slope + d2 - d1) / bottom
    return low.distance + width * min(max(part, MARGIN), 1 - MARGIN)
