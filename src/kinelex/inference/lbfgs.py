"""L-BFGS for strictly convex functions, by gradients alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor

_MEMORY = 10  # moves that the curvature is told by
_OVERSHOT = 0.8  # slope behind the least place, as a part of the slope before it, from which a step is cut


def minimise(gradient: Callable[[Tensor], Tensor], start: Tensor, tolerance: float, steps: int) -> Tensor:
    """The place where a smooth, strictly convex function is least.

    Steps have length 1, and are cut while they end far behind the least place along them: for a convex
    function its slope tells that better than its value, which float32 rounds off near the optimum.

    Args:
        gradient: the function's gradient at a place, of the same shape.
        start: where to begin.
        tolerance: the search ends where no part of the gradient is larger.
        steps: the most steps.

    Source: Nocedal and Wright, "Numerical Optimization", algorithm 7.4.

    >>> minimise(lambda x: torch.exp(x) - 2, torch.zeros(1), 1e-6, 100).exp()
    tensor([2.])
    """
    place, slope = start, gradient(start)
    moves: deque[tuple[Tensor, Tensor, float]] = deque(maxlen=_MEMORY)
    for _ in range(steps):
        if float(slope.abs().max()) <= tolerance:
            break
        direction = _direction(slope, moves)
        before = float(torch.sum(slope * direction))
        length = 1.0
        while True:
            there = torch.add(place, direction, alpha=length)
            new = gradient(there)
            behind = float(torch.sum(new * direction))
            if not behind > -_OVERSHOT * before or length < 1e-6:
                break
            length *= before / (before - behind)
        move, change = (there - place).flatten(), (new - slope).flatten()
        product = float(move @ change)
        if product > 0:
            moves.append((move, change, product))
        place, slope = there, new
    return place


def _direction(slope: Tensor, moves: deque[tuple[Tensor, Tensor, float]]) -> Tensor:
    """Where to go by the slope and what the last moves changed of it: the two loops of algorithm 7.4."""
    way, parts = -slope.flatten(), []
    for move, change, product in reversed(moves):
        parts.append(float(move @ way) / product)
        way.sub_(change, alpha=parts[-1])
    if moves:
        _, change, product = moves[-1]
        way *= product / float(change @ change)
    for (move, change, product), part in zip(moves, reversed(parts), strict=True):
        way.add_(move, alpha=part - float(change @ way) / product)
    return way.view_as(slope)
