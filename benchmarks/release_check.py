"""Build wheel and sdist, install the wheel outside the checkout, run the first commands of every page.

    python benchmarks/release_check.py --out NEW [--python python3.13] [--pages cmd,tasks/pyskl]

Commands run as typed, each page in an empty folder. A page whose commands install ``kinelex[extra]`` gets an
environment of its own, which sees the base installation alone, so that one which forgets an extra
fails. ``pip`` takes kinelex from the folder of the wheel. The table is in ``OUT/table.txt``, too.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
COMMAND = re.compile(r"^(kinelex|python|pip|make) ", re.MULTILINE)
NEEDS = {  # what cannot be had without somebody's permission or machine
    "datasets/ntu": "the files of NTU RGB+D",
    "datasets/pku": "the files of PKU-MMD",
    "datasets/sbu": "the files of SBU Kinect Interaction",
    "datasets/sysu": "the files of SYSU 3D HOI",
    "live": "a pose model's file, which is loaded where there is a network",
    "pose": "a video, and a pose model's file",
    "prompts_language": "NTU's videos, and a model of some gigabytes",
    "prompts_vision": "NTU's videos, and a model of some gigabytes",
    "reliability": "hours, and the checkout: it is a benchmark of the repository",
    "results": "the files of Northwestern-UCLA, and the checkout: benchmarks of the repository",
    "scale": "hours, and the checkout: it is a benchmark of the repository",
    "speed": "the repositories of the published code",
    "tasks/videos": "a video, and a pose model's file",
}


def pages() -> list[Path]:
    """README and the pages of the site, notebooks and the API left out."""
    apart = {"api", "gallery", "_build"}
    found = [p for p in sorted(DOCS.rglob("*.md")) if p.relative_to(DOCS).parts[0] not in apart]
    return [ROOT / "README.md", *found]


def name_of(page: Path) -> str:
    """``cmd``, ``tasks/own_clips``, ``README``."""
    base = DOCS if page.is_relative_to(DOCS) else ROOT
    return page.relative_to(base).with_suffix("").as_posix()


def first_commands(page: Path) -> str | None:
    """The first fence without a language that has a command in it, or None."""
    fences = re.findall(r"^```(.*?)\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return next((body for language, body in fences if not language and COMMAND.search(body)), None)


class Environments:
    """The base installation, and environments that add extras to it."""

    def __init__(self, out: Path, python: str) -> None:
        self.out, self.dist = out, out / "dist"
        self.base = out / "base"
        links = f"{os.environ.get('PIP_FIND_LINKS', '')} {self.dist}".strip()
        self.variables = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        self.variables |= {"PIP_FIND_LINKS": links, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        if (self.base / "bin" / "kinelex").exists():  # of a check that was interrupted
            return
        run([sys.executable, "-m", "build", "--outdir", str(self.dist), str(ROOT)])
        run([python, "-m", "venv", str(self.base)])
        constraints = ["-c", str(ROOT / "constraints.txt")] if python == sys.executable else []
        wheel = next(self.dist.glob("*.whl"))
        run([str(self.base / "bin" / "pip"), "install", "-q", *constraints, str(wheel)], env=self.variables)

    def for_page(self, name: str, commands: str) -> dict[str, str]:
        """The variables under which a page's commands run."""
        place = self.base
        if "pip install" in commands:
            place = self.out / "environments" / name.replace("/", "-")
            run([str(self.base / "bin" / "python"), "-m", "venv", "--clear", "--without-pip", str(place)])
            packages = next(place.glob("lib/python*/site-packages"))
            seen = next(self.base.glob("lib/python*/site-packages"))
            (packages / "base.pth").write_text(f"{seen}\n")
            for command, module in (("pip", "pip"), ("kinelex", "kinelex.cli")):
                script = place / "bin" / command
                script.write_text(f'#!/bin/sh\nexec "{place}/bin/python" -m {module} "$@"\n')
                script.chmod(0o755)
        return {**self.variables, "PATH": f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def run(command: list[str], env: dict[str, str] | None = None) -> None:
    """Run a step of the preparation; what fails ends the check."""
    print("$", " ".join(command), flush=True)
    subprocess.run(command, check=True, env=env, stdout=subprocess.DEVNULL)


def run_page(name: str, commands: str, folder: Path, env: dict[str, str], limit: float) -> str:
    """``works``, or how it failed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log = folder.with_suffix(".log")
    with log.open("w") as output:
        process = subprocess.Popen(
            ["bash", "-e", "-c", commands], cwd=folder, env=env, stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + limit
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.5)
    if process.poll() is None:
        os.killpg(process.pid, 9)
        return f"FAILS: not done after {limit:.0f} s, see {log.name}"
    return "works" if process.returncode == 0 else f"FAILS: exit status {process.returncode}, see {log.name}"


def main() -> None:
    """Build, install, run every page, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--out", type=Path, required=True, help="a folder outside the checkout; a check goes on in it"
    )
    parser.add_argument("--python", default=sys.executable, help="the Python of the environment")
    parser.add_argument("--pages", help="these alone, with commas between them")
    parser.add_argument("--limit", type=float, default=1800, help="seconds for a page")
    options = parser.parse_args()
    out = options.out.resolve()
    if out.is_relative_to(ROOT):
        parser.error("--out has to be outside the checkout")
    table = out / "table.txt"
    done = table.read_text().splitlines() if table.exists() else []
    lines = ["\n".join(pair) for pair in zip(done[::2], done[1::2], strict=True) if " works" in pair[0]]
    done = [line.split()[0] for line in lines]
    chosen = options.pages.split(",") if options.pages else [name_of(page) for page in pages()]
    environments = Environments(out, options.python)
    failed = 0
    for page in pages():
        name, commands = name_of(page), first_commands(page)
        if name not in chosen or name in done or commands is None:
            continue
        started, result = time.monotonic(), f"not run: needs {NEEDS.get(name)}"
        if name not in NEEDS:
            folder = out / "pages" / name.replace("/", "-")
            if name == "README":  # its commands are those of a checkout: the sdist stands for it
                folder.parent.mkdir(parents=True, exist_ok=True)
                with tarfile.open(next(environments.dist.glob("*.tar.gz"))) as sdist:
                    sdist.extractall(folder.parent, filter="data")
                commands = f"cd ../{next(folder.parent.glob('kinelex-*')).name}\nmake quickstart"
            result = run_page(name, commands, folder, environments.for_page(name, commands), options.limit)
        failed += result.startswith("FAILS")
        first = next(line for line in commands.splitlines() if COMMAND.match(line))
        lines.append(f"{name:24} {time.monotonic() - started:5.0f} s  {result}\n{'':34}{first}")
        print(lines[-1], flush=True)
        table.write_text("\n".join(lines) + "\n")
    shutil.rmtree(out / "environments", ignore_errors=True)
    print(f"{len(lines) - failed} pages, {failed} failed")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
