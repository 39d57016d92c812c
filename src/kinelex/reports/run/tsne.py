"""t-SNE of some hundred points, exact: all pairs in products of matrices, which beats trees there."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from kinelex.inference.threads import one_thread

_EXAGGERATED, _STEPS = 250, 500  # steps in which points attract each other 12 times as much, and all
_EXAGGERATION = 12.0


def principal_components(x: np.ndarray, size: int) -> np.ndarray:
    """Points on the axes of their largest variance, each with its largest part positive.

    Shape:
        - x: (N, F), N and F of ``size`` or more
        - returns: (N, size) float64

    >>> principal_components(np.array([[0.0, 1.0], [0.0, 4.0], [0.0, 1.0]]), 1).ravel().round(6).tolist()
    [-1.0, 2.0, -1.0]
    """
    x = np.asarray(x, np.float64)
    x = x - x.mean(axis=0)
    products = x @ x.T if len(x) < x.shape[1] else x.T @ x
    values, vectors = (found[..., ::-1][..., :size] for found in np.linalg.eigh(products))
    places = vectors * np.sqrt(values.clip(0)) if len(x) < x.shape[1] else x @ vectors
    largest = places[np.abs(places).argmax(axis=0), np.arange(size)]
    return places * np.where(largest < 0, -1.0, 1.0)


def tsne(x: np.ndarray, perplexity: float) -> np.ndarray:
    """Places in two dimensions whose neighbours are those of ``x``, found from the first two columns on.

    Shape:
        - x: (N, F) principal components, F of 2 or more
        - returns: (N, 2) float32

    Source: van der Maaten and Hinton, "Visualizing Data using t-SNE", JMLR 2008; the start and the rate as
    Kobak and Berens advise, "The art of using t-SNE for single-cell transcriptomics", 2019.

    >>> places = tsne(np.repeat(np.eye(4, 2) * 9, 5, axis=0) + np.arange(20)[:, None] / 99, 3.0)
    >>> places.shape
    (20, 2)
    """
    with one_thread(), torch.inference_mode():
        near = _affinities(torch.from_numpy(np.asarray(x, np.float64)), perplexity).float()
        places = torch.from_numpy(np.asarray(x[:, :2].T, np.float32)).contiguous()  # (2, N)
        places *= 1e-4 / places[0].std().clamp(min=1e-12)
        rate = max(len(x) / _EXAGGERATION / 4, 50.0)
        speed, gains = torch.zeros_like(places), torch.ones_like(places)
        near *= _EXAGGERATION
        for step in range(_STEPS):
            if step == _EXAGGERATED:
                near /= _EXAGGERATION
            slope = _slope(places, near)
            gains = torch.where(slope * speed < 0, gains + 0.2, gains * 0.8).clamp_(min=0.01)
            speed = (0.5 if step < _EXAGGERATED else 0.8) * speed - rate * gains * slope
            places += speed
            places -= places.mean(dim=1, keepdim=True)
        return places.T.numpy().copy()


def _affinities(x: Tensor, perplexity: float) -> Tensor:
    """How near points are to each other, (N, N), sum 1: Gaussians as wide as the perplexity asks for."""
    squares = torch.cdist(x, x).square_()
    squares.fill_diagonal_(torch.inf)
    squares = (squares - squares.amin(dim=1, keepdim=True)).float()
    finite = squares.clone().fill_diagonal_(0)
    least, most = (torch.full((len(x), 1), end) for end in (0.0, torch.inf))
    narrow = 1 / finite.mean(dim=1, keepdim=True).clamp(min=1e-12)
    for _ in range(50):
        shares = torch.exp(-squares * narrow)
        total = shares.sum(dim=1, keepdim=True)
        entropy = total.log() + narrow * (shares * finite).sum(dim=1, keepdim=True) / total
        wide = entropy > np.log(perplexity)
        if float((entropy - np.log(perplexity)).abs().max()) < 1e-4:
            break
        least, most = torch.where(wide, narrow, least), torch.where(wide, most, narrow)
        narrow = torch.where(most.isinf(), 2 * narrow, (least + most) / 2)
    shares /= total
    shares = shares + shares.T
    return shares / shares.sum()


def _slope(places: Tensor, near: Tensor) -> Tensor:
    """The gradient of the divergence, (2, N): 4 · Σ_j (p - q / Σ q) · q · (y_i - y_j), q = 1 / (1 + d²)."""
    squares, ones = places.square().sum(dim=0), torch.ones(places.shape[1])
    q = torch.stack([*(-2 * places), squares + 1, ones]).T @ torch.stack([*places, ones, squares])
    q.reciprocal_()
    pull = torch.sub(near, q, alpha=1 / (float(q.sum()) - len(ones))).mul_(q)
    pulled = torch.cat([places, ones[None]]) @ pull  # the diagonal pulls a point to itself
    return 4 * (places * pulled[2] - pulled[:2])
