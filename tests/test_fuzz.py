"""The fuzzing script: every raw format has seed files, they are good, and a few spoilt ones are told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import fuzz_seeds  # noqa: E402 - it is no package
import numpy as np  # noqa: E402
from fuzz_mutations import MUTATIONS, mutate  # noqa: E402


def test_every_format_has_seed_files() -> None:
    assert fuzz_seeds.missing() == []


@pytest.mark.parametrize("name", fuzz_seeds.RAW)
def test_seed_files_are_read(name: str, tmp_path: Path) -> None:
    kind = fuzz_seeds.RAW[name]
    if name == "folder: c3d":
        pytest.importorskip("ezc3d")
    kind.write(tmp_path)
    assert kind.read(tmp_path).written > 0


def test_a_case_is_the_same_every_time() -> None:
    seeds = [np.random.default_rng([0, i]) for i in (1, 1, 2)]
    first, again, other = (mutate(b"a: 1\nb: 22\n" * 9, rng, [b"x"]) for rng in seeds)
    assert first == again != other
    assert all(mutation(b"", np.random.default_rng(0)) is not None for mutation in MUTATIONS)


def test_a_few_cases_end_in_a_result_or_a_message(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "fuzz.py"), "--raw", "20", "--others", "20"]
    command += ["--only", "nw_ucla", "layout", "store", "--keep", str(tmp_path / "keep")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| all |" in done.stdout
    assert not (tmp_path / "keep").exists()
