"""Private machinery of the cache: which source files a result depends on, found without importing any.

A module depends on itself and on the modules of its package that it imports, at the top or inside a function,
and on theirs. A name that a package only passes on (``from kinelex.data import open_store``) leads to the
module that defines it, not to all that the package has. Tables of ``"package.module:Name"`` count as imports.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable
from pathlib import Path

import kinelex

_FROM = re.compile(r"^[ \t]*from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)", re.MULTILINE)
_IMPORT = re.compile(r"^[ \t]*import[ \t]+([\w.]+)", re.MULTILINE)
_NAMED = re.compile(r"\"(\w+(?:\.\w+)+):\w+\"")
_NAME = re.compile(r"(\w+)(?:[ \t]+as[ \t]+(\w+))?")
_COMMENT = re.compile(r"#[^\n]*")
_DATA = re.compile(r"files\(\"([\w.]+)\"\)\.joinpath\(\"([\w.]+)\"")
# Modules that only know others by name. What a run uses of them stands in its own digest.
_REGISTRIES = {"kinelex.encoders": "kinelex.encoders.", "kinelex.training.recipe": "kinelex.methods."}

Import = tuple[str, str, str]  # module, name in it ("" is the module itself), what it is called here


class Sources:
    """The source files of modules and of all that they depend on; read once per object.

    Args:
        read: gives the content of a file.

    >>> found = Sources().closure("kinelex.evaluation.metrics")
    >>> sorted(found)
    ['kinelex.errors', 'kinelex.evaluation.metrics']
    """

    def __init__(self, read: Callable[[Path], bytes] = Path.read_bytes) -> None:
        self._read = read
        self._contents: dict[Path, bytes] = {}
        self._paths: dict[str, Path | None] = {}
        self._imports: dict[str, list[Import]] = {}
        self._needs: dict[str, set[str]] = {}
        self._digests: dict[tuple[str, ...], str] = {}

    def digest(self, *modules: str) -> str:
        """The SHA-256 of modules, of all that they depend on, and of the package data that these read."""
        if modules not in self._digests:
            total = hashlib.sha256(kinelex.__version__.encode())
            for path in sorted({path for name in self.closure(*modules) for path in self._files(name)}):
                total.update(hashlib.sha256(self._content(path)).digest())
            self._digests[modules] = total.hexdigest()
        return self._digests[modules]

    def closure(self, *modules: str) -> frozenset[str]:
        """The modules and all that they depend on; those without a file (a console's) are left out."""
        found: set[str] = set()
        waiting = list(modules)
        while waiting:
            name = waiting.pop()
            if name not in found and self._file(name) is not None:
                found.add(name)
                waiting += self._direct(name)
        return frozenset(found)

    def _direct(self, module: str) -> set[str]:
        """What a module itself imports."""
        if module not in self._needs:
            needs = {self._origin(package, name) for package, name, _ in self._imported(module)}
            listed = _REGISTRIES.get(module)
            self._needs[module] = {n for n in needs if listed is None or not n.startswith(listed)}
        return self._needs[module]

    def _origin(self, package: str, name: str) -> str:
        """The module that a name comes from."""
        if not name or self._file(f"{package}.{name}") is not None:
            return f"{package}.{name}".rstrip(".")
        path = self._file(package)
        if path is not None and path.name == "__init__.py":
            for origin, original, alias in self._imported(package):
                if alias == name and origin != package:
                    return self._origin(origin, original)
        return package

    def _imported(self, module: str) -> list[Import]:
        """The imports in a module of its own package and of ours."""
        path = self._file(module)
        if module in self._imports or path is None:
            return self._imports.get(module, [])
        text = self._content(path).decode(errors="replace")
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        found: list[Import] = [(name, "", name) for name in (*_IMPORT.findall(text), *_NAMED.findall(text))]
        for origin, names in _FROM.findall(text):
            level = len(origin) - len(origin.lstrip("."))
            above = package.rsplit(".", level - 1)[0] if level else ""
            origin = ".".join(filter(None, (above, origin.lstrip("."))))
            for name, alias in _NAME.findall(_COMMENT.sub("", names)):
                found.append((origin, name, alias or name))
        roots = {"kinelex", module.partition(".")[0]}
        self._imports[module] = [i for i in found if i[0].partition(".")[0] in roots and self._file(i[0])]
        return self._imports[module]

    def _file(self, module: str) -> Path | None:
        """The file of a module, which need not be imported; None where there is none."""
        if module not in self._paths:
            self._paths[module] = _file_of(module)
        return self._paths[module]

    def _files(self, module: str) -> list[Path]:
        """A module's file and the data of packages that it reads."""
        path = self._file(module)
        assert path is not None
        files = [path]
        for package, folder in _DATA.findall(self._content(path).decode(errors="replace")):
            home = self._file(package)
            if home is not None:
                data = home.parent / folder
                files += [f for f in data.rglob("*") if f.is_file()] if data.is_dir() else [data]
        return files

    def _content(self, path: Path) -> bytes:
        if path not in self._contents:
            self._contents[path] = self._read(path)
        return self._contents[path]


def _file_of(module: str) -> Path | None:
    root, _, rest = module.partition(".")
    top = sys.modules.get(root)
    if not rest:
        file = getattr(top, "__file__", None)
        return Path(file) if file else None
    for folder in getattr(top, "__path__", ()):
        base = Path(folder, *rest.split("."))
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.is_file():
                return path
    return None
