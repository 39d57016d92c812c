"""Multinomial logistic regression for one strength of the penalty after another, on the same rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

FINAL, SEARCH = 1e-4, 1e-3  # gradients where a fit ends, and one of many; scikit-learn's 1e-3 leaves more
_STEPS = 300  # are enough for a probe
_MEMORY = 10  # moves that the curvature is told by
_OVERSHOT = 0.8  # slope behind the least place, as a part of the slope before it, from which a step is cut
_JITTER = 1e-5  # of the mean square of a row: rows may be copies of each other


class LogisticPath:
    """Minimises the mean cross-entropy + strength / 2 * |W|^2 (not the bias), as scikit-learn does.

    What the fits have in common is made once: where there are more features than rows, a rotation to as many
    as there are rows, which the penalty does not see; then the Cholesky factor of the Hessian at W = 0, in
    whose coordinates L-BFGS takes few steps. A fit begins where the last two point to.

    Args:
        x: the rows, standardised.
        labels: their classes, two or more.
        around: the strength that the coordinates are made for.

    Shape:
        - x: (n, F); labels: (n,)

    >>> x = np.array([[-1.0], [-0.5], [0.5], [1.0]], np.float32)
    >>> path = LogisticPath(x, np.array([3, 3, 5, 5]))
    >>> path.fit(0.1)
    >>> path.classes.tolist(), path.classes[path.scores(path.project(x)).argmax(axis=1)].tolist()
    ([3, 5], [3, 3, 5, 5])
    """

    def __init__(self, x: np.ndarray, labels: np.ndarray, around: float = 0.1) -> None:
        self.classes, known = np.unique(labels, return_inverse=True)
        self.x = torch.from_numpy(np.ascontiguousarray(x, np.float32))
        rows, count = self.x.shape[0], len(self.classes)
        self._twice = 2 if count == 2 else 1  # two classes have one row of weights, whose square counts twice
        self._around, self._curvature = around * self._twice, 1 / (count * rows)
        self._rotation = _rotation(self.x) if self.x.shape[1] > rows else None
        turned = self.x if self._rotation is None else self._rotation.float()
        hessian = self._curvature * (turned.T @ turned)
        hessian.diagonal().add_(self._around)
        self._factor = torch.linalg.cholesky(hessian)
        self._white = torch.linalg.solve_triangular(self._factor, turned.T, upper=False).T.contiguous()
        self._known = torch.from_numpy(known)[None]
        self._missed = torch.full((1, rows), -1.0)
        self.parameters = self._last = torch.zeros(count, self._white.shape[1] + 1)

    def project(self, x: np.ndarray) -> Tensor:
        """Standardised rows in the coordinates of the fit, for :meth:`scores`.

        Shape:
            - x: (N, F)
            - returns: (N, min(n, F))
        """
        turned = torch.from_numpy(np.ascontiguousarray(x, np.float32)).T
        if self._rotation is not None:
            products = (self.x @ turned).double()
            turned = torch.linalg.solve_triangular(self._rotation, products, upper=False).float()
        return torch.linalg.solve_triangular(self._factor, turned, upper=False).T.contiguous()

    def fit(self, strength: float, gradient: float = FINAL) -> None:
        """Fit for a strength, until no part of the gradient is larger than ``gradient``."""
        ratio = strength * self._twice / self._around
        start = 2 * self.parameters - self._last
        self._last = self.parameters
        self.parameters = minimise(lambda p: self._gradient(p, ratio), start, gradient, _STEPS)

    def scores(self, projected: Tensor) -> np.ndarray:
        """Logits of rows that :meth:`project` gave, by ``classes``.

        Shape:
            - projected: (N, min(n, F))
            - returns: (N, classes)
        """
        weight, bias = self.parameters[:, :-1], self.parameters[:, -1]
        return (projected @ weight.T + bias).numpy()

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights and biases on standardised features, by ``classes``.

        Shape:
            - returns: (classes, F) and (classes,) float32
        """
        weight, bias = self.parameters[:, :-1], self.parameters[:, -1]
        weight = torch.linalg.solve_triangular(self._factor.T, weight.T, upper=True)
        if self._rotation is None:
            return weight.T.numpy(), bias.numpy()
        dual = torch.linalg.solve_triangular(self._rotation.T, weight.double(), upper=True)
        return (dual.T @ self.x.double()).float().numpy(), bias.numpy()

    def _gradient(self, parameters: Tensor, ratio: float) -> Tensor:
        """The gradient of the loss.

        The penalty needs no product: with V the weights of white features Z, |V|^2 is
        around * |W|^2 + curvature * |Z V|^2.
        """
        weight, bias = parameters[:, :-1], parameters[:, -1:]
        linear = weight @ self._white.T  # (classes, n)
        error = torch.softmax(linear + bias, dim=0).scatter_add_(0, self._known, self._missed)
        error /= self._known.shape[1]
        gradient = torch.empty_like(parameters)
        gradient[:, -1] = error.sum(dim=1)
        error.sub_(linear, alpha=ratio * self._curvature)
        gradient[:, :-1] = torch.addmm(weight, error, self._white, beta=ratio)
        return gradient


def _rotation(x: Tensor) -> Tensor:
    """Lower triangular, of the rows in as many coordinates as there are rows: x = R Q.

    Shape:
        - x: (n, F), n < F
        - returns: (n, n) float64
    """
    products = (x @ x.T).double()
    products.diagonal().add_(_JITTER * float(products.diagonal().mean()) + 1e-12)
    return torch.linalg.cholesky(products)


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
