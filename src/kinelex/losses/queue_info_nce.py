"""InfoNCE against a queue of keys (MoCo), for several streams at once.

He et al., "Momentum Contrast for Unsupervised Visual Representation Learning", CVPR 2020. The streams'
queues are one tensor (S, D, K): slot k holds the same clip in all of them.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from kinelex.errors import InputError


def queue_similarities(query: Tensor, key: Tensor, queue: Tensor) -> tuple[Tensor, Tensor]:
    """Similarities of the queries to their own keys and to the queue's.

    Shape:
        - query, key: (S, N, D), of two views, L2-normalised; queue: (S, D, K)
        - returns: positive (S, N), negative (S, N, K).

    Raises:
        InputError: shapes that do not belong together.

    >>> query, queue = torch.nn.functional.normalize(torch.randn(2, 4, 8), dim=2), torch.zeros(2, 8, 16)
    >>> positive, negative = queue_similarities(query, query, queue)
    >>> bool((positive - 1 < 1e-5).all()), negative.shape
    (True, torch.Size([2, 4, 16]))
    """
    if query.shape != key.shape or query.ndim != 3 or queue.shape[:2] != (len(query), query.shape[2]):
        got = f"{tuple(query.shape)}, {tuple(key.shape)} and {tuple(queue.shape)}"
        raise InputError(f"expects query, key (S, N, D) and queue (S, D, K), got {got}")
    return (query * key).sum(dim=2), query @ queue


def queue_info_nce(
    positive: Tensor, negative: Tensor, temperature: float = 0.07, mined: Tensor | None = None
) -> Tensor:
    """Mean over the clips of -log softmax of the positive among positive and negatives.

    Args:
        mined: which of the queue are positives too; their chances are added to that of the own key.

    Shape:
        - positive: (S, N); negative: (S, N, K); mined: (S, N, K) bool; returns: (S,)

    Source: MoCo, equation 1; CMD, instance loss of each stream; AimCLR, nearest neighbours mining.

    >>> queue_info_nce(torch.ones(1, 4), torch.ones(1, 4, 7)).allclose(torch.tensor(8.0).log())
    True
    >>> halves = torch.tensor([True, True, True, False, False, False, False]).expand(1, 4, 7)
    >>> queue_info_nce(torch.ones(1, 4), torch.ones(1, 4, 7), mined=halves).allclose(torch.tensor(2.0).log())
    True
    """
    others = (negative / temperature).logsumexp(dim=2)
    own = positive / temperature
    sought = own
    if mined is not None:
        more = (negative / temperature).masked_fill(~mined, -torch.inf)
        sought = torch.cat([own[:, :, None], more], dim=2).logsumexp(dim=2)
    return (torch.logaddexp(own, others) - sought).mean(dim=1)


def queue_divergence(positive: Tensor, negative: Tensor, temperature: float = 0.07) -> Tensor:
    """How far views of a clip are from the first one in what they find similar: cross-entropies.

    Each view has a distribution over the own key and the queue, the softmax of its similarities. That of the
    first view is the target, without gradient; the mean over the clips is taken.

    Shape:
        - positive: (S, N), of S views; negative: (S, N, K); returns: (S - 1,), of the second view and on

    Source: AimCLR, dual distributional divergence minimization; each of its two terms.

    >>> queue_divergence(torch.ones(3, 4), torch.ones(3, 4, 7)).allclose(torch.tensor(8.0).log())
    True
    """
    logits = torch.cat([positive[:, :, None], negative], dim=2) / temperature  # (S, N, 1 + K)
    target = logits[0].detach().softmax(dim=1)
    return -(target * logits[1:].log_softmax(dim=2)).sum(dim=2).mean(dim=1)


def contrastive_accuracy(positive: Tensor, negative: Tensor) -> Tensor:
    """Share of the queries that are more similar to their own key than to any of the queue.

    Embeddings that have all become the same count as wrong.

    Shape:
        - positive: (S, N); negative: (S, N, K); returns: (S,)

    >>> contrastive_accuracy(torch.tensor([[0.9, 0.1]]), torch.tensor([[[0.5], [0.5]]])).tolist()
    [0.5]
    """
    return (positive > negative.amax(dim=2)).float().mean(dim=1)


def new_queue(streams: int, dim: int, size: int) -> Tensor:
    """Random directions, one queue per stream.

    Shape:
        - returns: (S, D, K), columns L2-normalised.

    >>> new_queue(streams=3, dim=8, size=16).shape
    torch.Size([3, 8, 16])
    """
    return F.normalize(torch.randn(streams, dim, size), dim=1)


def check_room(count: int, size: int) -> None:
    """Refuse a step of ``count`` clips for a queue of ``size`` slots that cannot hold their keys.

    Raises:
        InputError: more keys than slots.
    """
    if count > size:
        raise InputError(
            f"expects a queue of at least {count} keys, one for each clip of a step, got {size}: "
            "make the queue longer or the batch smaller"
        )


@torch.no_grad()
def enqueue(queue: Tensor, pointer: Tensor, keys: Tensor) -> None:
    """Write keys over the oldest ones and move the pointer, both in place and without waiting for a device.

    Shape:
        - queue: (S, D, K); pointer: () int64, the slot to write next
        - keys: (S, N, D), N up to K, in the same order of clips in all streams

    Raises:
        InputError: more keys than slots.

    >>> queue, pointer = torch.zeros(1, 1, 3), torch.tensor(2)
    >>> enqueue(queue, pointer, torch.tensor([[[5.0], [6.0]]]))
    >>> queue[0, 0].tolist(), pointer.item()
    ([6.0, 0.0, 5.0], 1)
    """
    count, size = keys.shape[1], queue.shape[2]
    check_room(count, size)
    slots = (pointer + torch.arange(count, device=queue.device)) % size
    queue.index_copy_(2, slots, keys.transpose(1, 2).to(queue.dtype))
    pointer.add_(count).remainder_(size)
