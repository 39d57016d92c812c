"""Multinomial logistic regression for one strength of the penalty after another, on the same rows."""

from __future__ import annotations

import numpy as np
import torch

_GRADIENT = 5e-4  # where L-BFGS ends; on whitened features scikit-learn's 1e-3 leaves twice to ten times more
_STEPS = 300  # are enough for a probe
_JITTER = 1e-6  # of the mean square of a row: rows may be copies of each other


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
        self._known = torch.from_numpy(known)[:, None]
        self._mean = torch.full((), 1 / rows)
        self.parameters = self._last = np.zeros((count, self._white.shape[1] + 1))

    def project(self, x: np.ndarray) -> torch.Tensor:
        """Standardised rows in the coordinates of the fit, for :meth:`scores`.

        Shape:
            - x: (N, F)
            - returns: (N, min(n, F))
        """
        turned = torch.from_numpy(np.ascontiguousarray(x, np.float32)).T
        if self._rotation is not None:
            products = self.x.double() @ turned.double()
            turned = torch.linalg.solve_triangular(self._rotation, products, upper=False).float()
        return torch.linalg.solve_triangular(self._factor, turned, upper=False).T.contiguous()

    def fit(self, strength: float) -> None:
        """Fit for a strength."""
        from scipy.optimize import minimize  # a quarter of a second that no one waits for who fits nothing

        start = 2 * self.parameters - self._last
        ratio = strength * self._twice / self._around
        options = {"gtol": _GRADIENT, "ftol": 1e-12, "maxiter": _STEPS}
        fitted = minimize(self._loss, start.ravel(), (ratio,), "L-BFGS-B", jac=True, options=options)
        self._last, self.parameters = self.parameters, fitted.x.reshape(start.shape)

    def scores(self, projected: torch.Tensor) -> np.ndarray:
        """Logits of rows that :meth:`project` gave, by ``classes``.

        Shape:
            - projected: (N, min(n, F))
            - returns: (N, classes)
        """
        weight, bias = self._tensors(self.parameters)
        return (projected @ weight.T + bias).numpy()

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights and biases on standardised features, by ``classes``.

        Shape:
            - returns: (classes, F) and (classes,) float32
        """
        weight, bias = self._tensors(self.parameters)
        weight = torch.linalg.solve_triangular(self._factor.T, weight.T, upper=True)
        if self._rotation is None:
            return weight.T.numpy(), bias.numpy()
        dual = torch.linalg.solve_triangular(self._rotation.T, weight.double(), upper=True)
        return (dual.T @ self.x.double()).float().numpy(), bias.numpy()

    def _tensors(self, parameters: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        both = torch.from_numpy(parameters.astype(np.float32))
        return both[:, :-1].contiguous(), both[:, -1].contiguous()

    def _loss(self, parameters: np.ndarray, ratio: float) -> tuple[float, np.ndarray]:
        """The loss and its gradient.

        The penalty needs no product: with V the weights of white features Z, |V|^2 is
        around * |W|^2 + curvature * |Z V|^2.
        """
        weight, bias = self._tensors(parameters.reshape(self.parameters.shape))
        linear = self._white @ weight.T  # (n, classes)
        logits = linear + bias
        total = torch.logsumexp(logits, dim=1, keepdim=True)
        loss = float((total - logits.gather(1, self._known)).sum(dtype=torch.float64)) * float(self._mean)
        squares = [float((part * part).sum(dtype=torch.float64)) for part in (weight, linear)]
        loss += ratio / 2 * (squares[0] - self._curvature * squares[1])
        error = torch.exp(logits - total).scatter_add_(1, self._known, -torch.ones_like(total)) * self._mean
        gradient = np.empty(self.parameters.shape)
        gradient[:, -1] = error.sum(dim=0).numpy()
        error -= ratio * self._curvature * linear
        gradient[:, :-1] = torch.addmm(weight, error.T, self._white, beta=ratio).numpy()
        return loss, gradient.ravel()


def _rotation(x: torch.Tensor) -> torch.Tensor:
    """Lower triangular, of the rows in as many coordinates as there are rows: x = R Q.

    Shape:
        - x: (n, F), n < F
        - returns: (n, n) float64
    """
    exact = x.double()
    products = exact @ exact.T
    products.diagonal().add_(_JITTER * float(products.diagonal().mean()) + 1e-12)
    return torch.linalg.cholesky(products)
