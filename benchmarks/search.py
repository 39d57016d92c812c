"""How long a query of `kinelex search` takes in an index of random features, once it is loaded.

python benchmarks/search.py [CLIPS ...]
"""

import sys
import time

import numpy as np

from kinelex.inference.vectors import NearestRows

QUERIES = 20


def main() -> None:
    """Print milliseconds of a query by number of clips and width of the features."""
    print("clips,width,ms_median,ms_worst")
    for clips in map(int, sys.argv[1:] or ("10000", "100000")):
        for width in (128, 256, 768):
            rng = np.random.default_rng(0)
            index = NearestRows(rng.normal(size=(clips, width)))
            spent = []
            for query in rng.normal(size=(QUERIES, width)):
                begin = time.perf_counter()
                index.nearest(query, 10)
                spent.append(1000 * (time.perf_counter() - begin))
            print(f"{clips},{width},{np.median(spent):.1f},{max(spent):.1f}", flush=True)


if __name__ == "__main__":
    main()
