"""How many threads small computations take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits


@contextmanager
def one_thread(small: bool = True) -> Iterator[None]:
    """Compute in one thread: of small products the others only wait, and what waits for them uses a core.

    Args:
        small: whether to; False leaves all threads.

    >>> with one_thread():
    ...     torch.get_num_threads()
    1
    """
    threads = torch.get_num_threads()  # threadpoolctl does not see the library of products inside torch
    with threadpool_limits(1 if small else None):
        torch.set_num_threads(1 if small else threads)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
