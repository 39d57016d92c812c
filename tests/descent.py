"""Steps of training without a trainer."""

import torch
import torch.distributed as dist


def descend(method, loss, world=1, rate=0.1):
    """A step of plain gradient descent; with the gradients averaged over the processes, as DDP does."""
    method.zero_grad()
    loss.backward()
    with torch.no_grad():
        for p in method.trained_parameters():
            if world > 1:
                dist.all_reduce(p.grad)
                p.grad /= world
            p -= rate * p.grad


def losses_of(method, x, steps=60):
    """The losses of some steps of AdamW on the same clips."""
    optimizer = torch.optim.AdamW(method.trained_parameters(), lr=1e-2)
    generator, losses = torch.Generator().manual_seed(0), []
    for _ in range(steps):
        out = method(x, generator=generator)
        optimizer.zero_grad()
        out.loss.backward()
        optimizer.step()
        losses.append(out.loss.item())
    return losses
