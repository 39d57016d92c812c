"""How often `kinelex count` is right on generated exercises whose tempo varies, and on what is no exercise.

    python benchmarks/count.py --exercises 500

Bodies of 12 joints do 2 to 12 repetitions of 0.7 to 2.6 s, at 12 to 60 frames per second, half of them
with pauses, a third of them in 2-D, with noise and a twentieth of the joints missing.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.ndimage import gaussian_filter1d

from kinelex.inference.repetitions import find_repetitions, posture_path


def exercise(phase: np.ndarray, rng: np.random.Generator, noise: float) -> np.ndarray:
    """(T, 12, 3): a posture that is left and come back to by another way as the phase goes round."""
    rest, way, sway = (rng.normal(size=(12, 3)) * size for size in (0.4, 0.15, 0.05))
    out = ((1 - np.cos(phase)) / 2)[:, None, None]
    x: np.ndarray = 3 + rest + out * way + np.sin(phase)[:, None, None] * out * sway
    return x + rng.normal(size=x.shape) * noise


def generated(seed: int) -> tuple[np.ndarray, float, int]:
    """A clip, its frame rate and its repetitions."""
    rng = np.random.default_rng(seed)
    times, fps = int(rng.integers(2, 13)), float(rng.choice([12, 25, 30, 60]))
    pauses, parts = rng.random() < 0.5, [np.zeros(int(rng.uniform(0, 2) * fps))]
    for number in range(times):
        seconds = rng.uniform(1, 2) * (1 + 0.3 * np.sin(number))
        parts.append(np.linspace(0, 2 * np.pi, int(seconds * fps), endpoint=False))
        parts.append(np.zeros(int(rng.uniform(0, 0.8) * fps) if pauses else 0))
    x = exercise(np.concatenate([*parts, np.zeros(int(rng.uniform(0, 2) * fps))]), rng, 0.02)
    x[rng.random(x.shape[:2]) < 0.05] = 0
    return (x[..., :2] if seed % 3 == 0 else x), fps, times


def main() -> None:
    """Print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--exercises", type=int, default=500)
    parser.add_argument(
        "--first-seed", type=int, default=200, help="seeds below 200 were used to choose settings"
    )
    given = parser.parse_args()
    seeds = range(given.first_seed, given.first_seed + given.exercises)
    clips = [generated(seed) for seed in seeds]
    errors = np.array([len(find_repetitions(posture_path(x), fps)) - times for x, fps, times in clips])
    few = np.array([times == 2 for _, _, times in clips])
    for name, rows in (("all", np.ones_like(few)), ("3 and more repetitions", ~few), ("2 repetitions", few)):
        wrong = np.abs(errors[rows])
        exact, near = (100 * (wrong <= most).mean() for most in (0, 1))
        print(f"{name}: {len(wrong)}, exact {exact:.1f} %, within 1 {near:.1f} %")
    wandering, once = 0, 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        x = (
            gaussian_filter1d(rng.normal(size=(300, 12, 3)), 12, axis=0) * 0.7
            + rng.normal(size=(12, 3)) * 0.4
            + 3
        )
        wandering += bool(find_repetitions(posture_path(x), 30))
        phase = np.clip((np.linspace(0, 1, 120) - 0.3) / 0.4, 0, 1) * np.pi * (1 + seed % 2)
        once += bool(find_repetitions(posture_path(exercise(phase, rng, 0.01)), 30))
    print(f"joints that wander: repetitions found in {wandering} of {len(seeds)}")
    print(f"a movement done once: repetitions found in {once} of {len(seeds)}")


if __name__ == "__main__":
    main()
