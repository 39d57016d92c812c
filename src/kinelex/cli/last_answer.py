"""What ``kinelex evaluate`` answered, given again at once where nothing has changed since.

The caches under ``evaluation/cache`` spare the work, but to read them takes the import of PyTorch. So the
verb leaves what it printed and its numbers beside them, with the state (inode, size, times) of every file of
the run, its store and its prompts. Where all of them are as they were, that is the answer; a file that was
touched, added or removed, another option, version or width of the terminal, and the whole way is gone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import yaml
from rich.console import Console

from kinelex import __version__, plugins
from kinelex.files.atomic import write_whole
from kinelex.files.bounded import bounded_text, safe_json, safe_yaml
from kinelex.inference.cache_version import VERSION

State = dict[str, list[int]]
_PAGES = "report."  # what evaluate itself writes into the run directory, with all of evaluation/


class LastAnswer:
    """The answer that ``evaluate`` gave to a question, and whether it still holds.

    Args:
        run: the run directory.
        asked: the verb's options by name.

    >>> LastAnswer(Path("no_run"), {}).read() is None
    True
    """

    def __init__(self, run: Path, asked: Mapping[str, Any]) -> None:
        self._run, self._text = run, _Copy(sys.stdout)
        self.console = Console(file=self._text)  # type: ignore[arg-type]
        terminal = (self.console.width, self.console.is_terminal, self.console.color_system)
        parts = (
            __version__,
            VERSION,
            str(Path.cwd()),
            str(run),
            dict(asked),
            terminal,
            self.console.encoding,
        )
        key = hashlib.sha256(repr(parts).encode()).hexdigest()[:20]
        self._file = run / "evaluation" / "cache" / f"answer-{key}.json"
        self._watched = _watched(run, asked)
        self._before = self._inputs()

    def read(self) -> dict[str, Any] | None:
        """Print the answer and give its numbers; None where it does not hold or there is none."""
        if self._watched is None:
            return None
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            content = safe_json(self._file.read_text(encoding="utf-8"))
            if content["states"] == {**self._before, **self._outputs()}:
                sys.stdout.write(content["text"])
                return dict(content["numbers"])
        return None

    def write(self, numbers: Mapping[str, Any]) -> None:
        """Keep the answer that the console has printed, unless a file was changed meanwhile."""
        if self._watched is None or self._inputs() != self._before:
            return
        lines = [line for line in self._text.lines() if not line.endswith(": cached\n")]
        text = "everything: cached\n" + "".join(lines)
        content = {"states": {**self._before, **self._outputs()}, "text": text, "numbers": numbers}
        with contextlib.suppress(OSError, TypeError):
            write_whole(self._file, json.dumps(content))

    def _inputs(self) -> State:
        return _states(path for path in self._files() if not self._is_output(path))

    def _outputs(self) -> State:
        return _states(path for path in self._files() if self._is_output(path))

    def _is_output(self, path: Path) -> bool:
        inside = path.parts[len(self._run.parts) :] if path.is_relative_to(self._run) else ()
        return "evaluation" in inside or path.name.startswith(_PAGES)

    def _files(self) -> Iterator[Path]:
        """All files that the answer depends on or consists of; caches are neither."""
        for place in self._watched or ():
            for folder, folders, names in os.walk(place):
                folders[:] = [name for name in folders if name != "cache"]
                yield from (Path(folder, name) for name in names if not name.endswith(".tmp"))
            if not place.is_dir():
                yield place
                beside = place.parent.iterdir() if place.parent.is_dir() else ()
                yield from (path for path in beside if path.name.startswith(place.name) and path.is_file())


def _watched(run: Path, asked: Mapping[str, Any]) -> list[Path] | None:
    """What must stay as it is; None where that cannot be said, for example with plugins."""
    try:
        config = safe_yaml(bounded_text(run / "config.yaml"))
        named = [asked.get(key) or config.get(key) for key in ("data", "prompts")]
        protocol = str(asked.get("protocol") or config.get("protocol"))
        options = [option.partition("=")[2] for option in asked.get("options", ())]
        if config.get("plugins") or plugins.load_installed():
            return None
    except (OSError, ValueError, AttributeError, yaml.YAMLError):
        return None
    if any(os.path.exists(part) for part in (*protocol.split(":"), *options)):
        return None  # a file that is read
    if not isinstance(named[0], str | Path) or not isinstance(named[1], str | Path | None):
        return None  # several stores
    return [run, *(Path(place) for place in (*named, asked.get("against")) if place is not None)]


def _states(paths: Iterator[Path]) -> State:
    """Inode, size and times of files, of a missing one nothing."""
    states: State = {}
    for path in paths:
        states[str(path)] = []
        with contextlib.suppress(OSError):
            found = path.stat()
            states[str(path)] = [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
    return states


class _Copy:
    """A stream that keeps what is written to it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._parts = stream, list[str]()

    def write(self, text: str) -> int:
        self._parts.append(text)
        return self._stream.write(text)

    def lines(self) -> list[str]:
        return "".join(self._parts).splitlines(keepends=True)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
