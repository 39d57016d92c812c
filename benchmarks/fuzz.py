"""Spoilt files: whatever kinelex reads must end in a result or in one message, never in a crash.

    python benchmarks/fuzz.py [--raw 100000] [--others 20000] [--seed 0] [--only NAME ...] [--keep FOLDER]

`--raw` mutated files are spread over all raw formats of `kinelex prepare`, `--others` over stores, prompt
stores, runs, checkpoints, score files, texts and YAML files. Each case draws from the seed, the kind and its
number alone. Cases run in forked processes, some hundred to each, with limits of memory and time. What comes
out is counted:

    accepted   read as if it were whole (damage that a format cannot tell, or none that matters)
    message    one `InputError`: exit status 2 of the command line
    traceback  any other exception
    signal     the process died
    memory     more than `--memory` bytes were needed beyond those at the start
    time       longer than `--seconds`

Inputs of the last four are kept under `--keep`, each in a folder of its own; exit status 1 where there are
any.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import shutil
import signal
import struct
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_mutations import mutate
from fuzz_others import OTHERS
from fuzz_seeds import RAW, Kind, bomb, missing

from kinelex.errors import InputError

OUTCOMES = ("accepted", "message", "traceback", "signal", "memory", "time")
PER_PROCESS = 200
_RECORD = struct.Struct("<IB")


class Cases:
    """The cases of one kind: seed files in memory, and what a number makes of them.

    Args:
        name: of the kind.
        kind: how its files are written and read.
        seed: of all random numbers.
        strangers: contents of files of other kinds, which may stand in the place of these.
        folder: where files are put.
    """

    def __init__(self, name: str, kind: Kind, seed: int, strangers: list[bytes], folder: Path) -> None:
        self.name, self.kind, self.seed, self.strangers, self.folder = name, kind, seed, strangers, folder
        home = folder / "seeds"
        home.mkdir(parents=True)
        chosen = kind.write(home)
        files = [path for path in sorted(home.rglob("*")) if path.is_file()]
        self.files = {path.relative_to(home): path.read_bytes() for path in files}
        self.spoilt = sorted(path.relative_to(home) for path in chosen or files)

    def write(self, number: int, folder: Path) -> str:
        """Put the files of a case into a folder; gives what was done."""
        rng = np.random.default_rng([self.seed, number, *self.name.encode()])
        which = self.spoilt[int(rng.integers(len(self.spoilt)))]
        content, done = mutate(self.files[which], rng, self.strangers)
        for path, whole in self.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content if path == which else whole)
        return f"{which}: {done}"

    def run(self, number: int) -> tuple[str, str]:
        """The outcome of a case, and what is to be said about it."""
        place = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            self.write(number, place)
            self.kind.read(place)
        except InputError:
            return "message", ""
        except MemoryError:
            return "memory", traceback.format_exc()
        except Exception:
            return "traceback", traceback.format_exc()
        finally:
            shutil.rmtree(place, ignore_errors=True)
        return "accepted", ""


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _work(cases: Cases, numbers: range, memory: int, pipe: int, notes: Path) -> None:
    """Cases one by one in a process of their own; the pipe hears of each before and after it."""
    with open("/proc/self/statm", encoding="ascii") as file:
        size = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (size + 4 * memory, size + 4 * memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    start = _peak()
    for number in numbers:
        os.write(pipe, _RECORD.pack(number, 255))
        outcome, note = cases.run(number)
        if _peak() - start > memory:
            outcome, note = "memory", note or f"{(_peak() - start) / 1e9:.1f} GB"
        if note:
            (notes / f"{number}.txt").write_text(note)
        os.write(pipe, _RECORD.pack(number, OUTCOMES.index(outcome)))
        if outcome == "memory":
            break  # the peak of a process never falls: the next cases need a fresh one
    os._exit(0)


def _chunk(
    cases: Cases, numbers: range, memory: int, seconds: float, notes: Path
) -> tuple[list[tuple[int, str]], int]:
    """Outcomes of some cases from a forked process, and the first number that is still to be done."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            _work(cases, numbers, memory, writing, notes)
        finally:
            os._exit(1)
    os.close(writing)
    found: list[tuple[int, str]] = []
    current, blame = numbers.start, "signal"
    while True:
        ready, _, _ = select.select([reading], [], [], seconds)
        if not ready:
            os.kill(child, signal.SIGKILL)
            blame = "time"
            break
        record = os.read(reading, _RECORD.size)
        if not record:
            break
        current, code = _RECORD.unpack(record)
        if code != 255:
            found.append((current, OUTCOMES[code]))
    os.close(reading)
    _, status = os.waitpid(child, 0)
    done = found[-1][0] + 1 if found else numbers.start
    if status and done < numbers.stop:
        found.append((current, blame))
        (notes / f"{current}.txt").write_text(f"the process ended with status {status}")
        done = current + 1
    return found, done


def fuzz(cases: Cases, count: int, options: argparse.Namespace) -> Counter[str]:
    """Run the cases of a kind and keep the inputs that failed."""
    notes = cases.folder / "notes"
    notes.mkdir()
    total: Counter[str] = Counter()
    number = options.first
    while number < options.first + count:
        stop = min(number + PER_PROCESS, options.first + count)
        found, number = _chunk(cases, range(number, stop), options.memory, options.seconds, notes)
        for case, outcome in found:
            total[outcome] += 1
            if outcome not in ("accepted", "message"):
                _keep(cases, case, outcome, notes, options.keep)
    return total


def _keep(cases: Cases, number: int, outcome: str, notes: Path, keep: Path) -> None:
    folder = keep / f"{cases.name.replace(': ', '-').replace(' ', '_')}-{outcome}-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    done = cases.write(number, folder)
    note = notes / f"{number}.txt"
    (folder / "NOTE.txt").write_text(done + "\n\n" + (note.read_text() if note.is_file() else ""))


def _table(counts: dict[str, Counter[str]]) -> str:
    lines = ["| kind | files | " + " | ".join(OUTCOMES) + " |", "|---|" + "---:|" * (1 + len(OUTCOMES))]
    for name, found in counts.items():
        cells = [name, str(sum(found.values())), *(str(found[outcome]) for outcome in OUTCOMES)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Read the arguments, run all cases, print the table of counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--raw", type=int, default=100_000, help="files over all raw formats")
    parser.add_argument("--others", type=int, default=20_000, help="files over all other kinds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case of each kind")
    parser.add_argument("--only", nargs="*", help="names of kinds, all where it is left out")
    parser.add_argument("--memory", type=int, default=1 << 30, help="bytes beyond those at the start")
    parser.add_argument("--seconds", type=float, default=20.0, help="per file")
    parser.add_argument("--keep", type=Path, default=Path("fuzz_failures"))
    parser.add_argument("--json", type=Path, help="also write the counts to this file")
    options = parser.parse_args()
    if missing():
        sys.exit(f"no seed files for {', '.join(missing())}: add them to benchmarks/fuzz_seeds.py")
    os.fsync = lambda _: None  # type: ignore[assignment]  # nothing here must outlive a crash of the machine
    counts: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        every: list[tuple[str, Kind, int]] = []
        for kinds, files in ((RAW, options.raw), (OTHERS, options.others)):
            chosen = [name for name in kinds if not options.only or name in options.only]
            every += [(name, kinds[name], -(-files // len(kinds))) for name in chosen if files]
        strangers = _strangers(Path(scratch))
        for place, (name, kind, count) in enumerate(every):
            cases = Cases(name, kind, options.seed, strangers, Path(scratch) / str(place))
            counts[name] = fuzz(cases, count, options)
            print(name, dict(counts[name]), flush=True)
            shutil.rmtree(cases.folder)
    together = sum(counts.values(), Counter())
    print(_table({**counts, "all": together}))
    if options.json:
        options.json.write_text(json.dumps(counts, indent=1))
    sys.exit(any(together[outcome] for outcome in OUTCOMES[2:]))


def _strangers(scratch: Path) -> list[bytes]:
    """One file of each kind, and archives that unpack to gigabytes."""
    found: list[bytes] = []
    kinds: dict[str, Any] = {**RAW, **OTHERS}
    for number, kind in enumerate(kinds.values()):
        folder = scratch / f"stranger{number}"
        folder.mkdir()
        kind.write(folder)
        found += [max(path.read_bytes() for path in folder.rglob("*") if path.is_file())]
        shutil.rmtree(folder)
    return [*found, bomb("coordinates.npy"), bomb("a.json")]


if __name__ == "__main__":
    main()
