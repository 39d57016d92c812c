"""How fast `kinelex prepare ntu60` is, and how much memory it takes, on generated files.

    python benchmarks/prepare.py [--files 1000] [--many 10000] [--folder DIR] [--out benchmarks/prepare.csv]

The files have 25 joints, 80 frames and by turns one and two bodies, with the digits of the official ones;
100 are different, the others are links to them. The plain way goes line by line and keeps a dictionary per
joint, as the preparation scripts in circulation do; its whole job makes the same clips, which is checked, and
saves each. "Per core" divides by the processor time of all processes together. Memory is that of all of them
together: their own, and with the pages of mapped files, which are the page cache's.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from kinelex.data import open_store
from kinelex.datasets.ntu import missing_skeletons
from kinelex.datasets.ntu_text import read_recording

DIFFERENT = 100
FRAMES, JOINTS = 80, 25
SAMPLED_EVERY = 0.05  # seconds
PLAIN_FILES = 100
FIELDS = ("x", "y", "z", "depthX", "depthY", "colorX", "colorY", "qw", "qx", "qy", "qz", "state")


def write_files(folder: Path, count: int) -> None:
    """Files with names of the data set; the 101st is a link to the first, and so on."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = (
        f"S{s:03d}C{c:03d}P{p:03d}R{r:03d}A{a:03d}"
        for s in range(1, 18)
        for p in range(1, 41)
        for c in (1, 2, 3)
        for r in (1, 2)
        for a in range(1, 61)
    )
    names = (name for name in names if name not in missing_skeletons())
    paths = [folder / f"{next(names)}.skeleton" for _ in range(count)]
    for i, path in enumerate(paths):
        if i < DIFFERENT:
            path.write_bytes(skeleton_text(rng, bodies=1 + i % 2))
        else:
            os.link(paths[i % DIFFERENT], path)


def skeleton_text(rng: np.random.Generator, bodies: int) -> bytes:
    """A file of bodies that stand and move a little."""
    values = rng.normal(0, 0.4, (FRAMES, bodies, JOINTS, 11))
    values[..., 0] = 0.25 * values[..., 0] + 0.8 * np.arange(bodies)[:, None]
    values[..., 2] += 3.5
    values[..., 3:7] = values[..., 3:7] * [40, 40, 150, 150] + [250, 200, 960, 540]
    lines = [str(FRAMES)]
    for frame in values:
        lines.append(str(bodies))
        for body, joints in enumerate(frame):
            lines += [f"{72057594037931101 + body} 0 1 1 1 1 0 0.02764709 0.05745083 2", str(JOINTS)]
            lines += [" ".join(f"{v:.7g}" for v in joint) + " 2" for joint in joints]
    return "".join(line + "\r\n" for line in lines).encode()


def read_plainly(path: Path) -> list[dict[str, list[dict[str, float]]]]:
    """Line by line, number by number: of each frame its bodies, of each body its joints."""
    frames = []
    with open(path) as file:
        for _ in range(int(file.readline())):
            bodies = {}
            for _ in range(int(file.readline())):
                body = file.readline().split()[0]
                joints = []
                for _ in range(int(file.readline())):
                    numbers = [float(token) for token in file.readline().split()]
                    joints.append(dict(zip(FIELDS, numbers, strict=True)))
                bodies[body] = joints
            frames.append(bodies)
    return frames


def prepare_plainly(path: Path) -> np.ndarray:
    """The clip (T, M, 25, 5) of a file in which nobody is lost: parsed, and cleaned frame by frame."""
    tracks: dict[str, list[list[list[float]]]] = {}
    for bodies in read_plainly(path):
        for body, joints in bodies.items():
            kept = [[joint[name] for name in ("x", "y", "z", "colorX", "colorY")] for joint in joints]
            tracks.setdefault(body, []).append(kept)
    arrays = [np.array(track, np.float32) for track in tracks.values()]
    if len(arrays) > 1:
        arrays = sorted(arrays, key=motion_plainly, reverse=True)
    return np.stack(arrays, axis=1)


def motion_plainly(track: np.ndarray) -> float:
    """How much a body moves in the frames in which it is not wider than it may be."""
    good = [frame for frame in track if np.ptp(frame[:, 0]) <= 0.8 * np.ptp(frame[:, 1])]
    if len(good) < (1 - 0.69754) * len(track):
        raise SystemExit("the generated bodies are to be no ghosts")
    whole = track[..., :3].reshape(-1, 3).astype(float).var(axis=0).sum()
    return min(whole, np.array(good)[..., :3].reshape(-1, 3).astype(float).var(axis=0).sum())


def plain_rates(folder: Path) -> dict[str, float]:
    """Files that the plain way does in a second of processor time; the whole job saves each clip too."""
    paths = sorted(folder.iterdir())[:PLAIN_FILES]
    start = time.process_time()
    for path in paths:
        read_plainly(path)
    parsed = time.process_time()
    with tempfile.TemporaryDirectory(dir=folder.parent) as out:
        for path in paths:
            np.save(Path(out, path.stem), prepare_plainly(path))
    return {
        "parsing only": len(paths) / (parsed - start),
        "whole job": len(paths) / (time.process_time() - parsed),
    }


def parse_rate(folder: Path) -> float:
    """Files that our parser alone reads in a second of processor time."""
    paths = sorted(folder.iterdir())
    start = time.process_time()
    for path in paths:
        read_recording(path)
    return len(paths) / (time.process_time() - start)


def check_same(folder: Path, store: Path) -> None:
    """Both ways make the same clips."""
    clips = open_store(store)
    for row, path in enumerate(sorted(folder.iterdir())[:PLAIN_FILES]):
        both = np.concatenate([clips.sequence(row), clips.image_coordinates(row)], axis=-1)
        if clips.ids[row] != path.stem or not np.array_equal(both, prepare_plainly(path)):
            raise SystemExit(f"{path.stem}: the two ways differ")


def prepare_here(source: str, out: str, workers: int) -> None:
    """One preparation in this process; prints seconds by the clock and of the processors."""
    from kinelex.datasets import prepare

    start, cpu = time.perf_counter(), cpu_seconds()
    summary = prepare("ntu60", Path(source), Path(out), progress=False, workers=workers)
    result = {"wall": time.perf_counter() - start, "cpu": cpu_seconds() - cpu, "written": summary.written}
    print(json.dumps(result))


def cpu_seconds() -> float:
    """Processor time of this process and of the ones that it began and that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def prepare_apart(source: Path, workers: int) -> dict[str, float]:
    """A preparation in a process of its own, and the peak of its memory, its workers' included."""
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        command = [sys.executable, __file__, "--here", str(source), f"{folder}/s.arrow", str(workers)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        peak = np.zeros(2)
        while process.poll() is None:
            peak = np.maximum(peak, sum(resident_bytes(pid) for pid in family(process.pid)))
            time.sleep(SAMPLED_EVERY)
        assert process.stdout is not None
        if process.returncode:
            raise SystemExit(f"prepare ended with exit status {process.returncode}")
        own, resident = peak / 1e6
        check_same(source, Path(folder, "s.arrow"))
        return {**json.loads(process.stdout.read()), "own": own, "resident": resident}


def family(pid: int) -> list[int]:
    """A process and all that came from it."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(c) for thread in threads for c in (thread / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(p for child in children for p in family(child))]


def resident_bytes(pid: int) -> np.ndarray:
    """Memory of a process: its own, and with the mapped and shared pages."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return np.zeros(2)
    resident, shared = int(fields[1]), int(fields[2])
    return np.array([resident - shared, resident]) * os.sysconf("SC_PAGE_SIZE")


def hardware() -> str:
    """Processor and cores of this machine."""
    found = [line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    return f"{found[0] if found else platform.machine()}, {os.cpu_count()} cores"


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def commit() -> str:
    """The commit that is checked out; with + when files have been changed."""
    folder = Path(__file__).parent
    name = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=folder, capture_output=True, text=True)
    changed = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "../src"], cwd=folder).returncode
    return name.stdout.strip() + ("+" if changed else "")


def write_table(out: Path, rows: list[dict[str, object]], columns: list[str], **more: str) -> None:
    """Write rows as CSV, each with date, hardware and commit (and ``more``), and print them."""
    about = {"date": datetime.date.today().isoformat(), "hardware": hardware(), "commit": commit(), **more}
    with open(out, "w", newline="") as file:
        writer = csv.DictWriter(file, [*columns, *about], restval="")
        writer.writeheader()
        writer.writerows({**row, **about} for row in rows)
    print(", ".join(about.values()))
    for row in rows:
        print("; ".join(f"{name} {value}" for name, value in row.items()).removeprefix("what "))


def measure(folder: Path, files: int, many: int) -> list[dict[str, object]]:
    """All rows of the table."""
    few_folder, many_folder = folder / "few", folder / "many"
    write_files(few_folder, files)
    plain, parsing = plain_rates(few_folder), parse_rate(few_folder)
    rows: list[dict[str, object]] = [
        {"what": f"plain way, {name}", "files/s per core": round(rate, 1)} for name, rate in plain.items()
    ]
    rows.append(
        {
            "what": "our parser, parsing only",
            "files/s per core": round(parsing, 1),
            "times plain": round(parsing / plain["parsing only"], 1),
        }
    )
    few: dict[int, dict[str, float]] = {}
    write_files(many_folder, many)
    for source, count, workers in ((few_folder, files, 1), (few_folder, files, 2), (many_folder, many, 2)):
        found = prepare_apart(source, workers)
        if found["written"] != count:
            raise SystemExit(f"{found['written']} of {count} files were written")
        before = few.setdefault(workers, found)
        rate = count / found["cpu"]
        rows.append(
            {
                "what": f"prepare, {count} files, {workers} worker{'s' * (workers > 1)}",
                "files/s": round(count / found["wall"], 1),
                "files/s per core": round(rate, 1),
                "times plain": round(rate / plain["whole job"], 1),
                "own MB": round(found["own"]),
                "own MB over few": round(found["own"] - before["own"]),
                "resident MB": round(found["resident"]),
                "resident MB over few": round(found["resident"] - before["resident"]),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--many", type=int, default=10000, help="files of the run that shows the memory")
    parser.add_argument("--folder", type=Path, help="where files and stores are put for the time being")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    parser.add_argument("--here", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        prepare_here(options.here[0], options.here[1], int(options.here[2]))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rows = measure(Path(folder), options.files, options.many)
    write_table(options.out, rows, list(rows[-1]))


if __name__ == "__main__":
    main()
