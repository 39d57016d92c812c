"""YAML and JSON that cost no more than their size allows.

They raise what the plain readers raise, also for content that would send those into a recursion without end.
"""

from __future__ import annotations

import errno
import json
import os
import re
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from kinelex.errors import InputError, one_line, unknown_name

MOST_TEXT = 256 << 20  # bytes of a text file
_MOST_YAML = 8 << 20  # characters; PyYAML reads 1 MB in some seconds
_MOST_NODES = 1_000_000  # of a YAML document whose aliases are written out
_DEEPEST = 40
_PLAIN = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str", "seq", "map")}
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def bounded_bytes(path: Path, most: int = MOST_TEXT) -> bytes:
    """The content of a file.

    Raises:
        OSError: it cannot be read, or is larger than ``most`` bytes.
    """
    with open(path, "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"{os.strerror(errno.EFBIG)} (over {most} bytes)", str(path))
    return content


def bounded_text(path: Path, most: int = MOST_TEXT, encoding: str = "utf-8") -> str:
    """The text of a file.

    Raises:
        OSError: it cannot be read, or is larger than ``most`` bytes.
        UnicodeDecodeError: it is not in UTF-8.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.txt"
    >>> _ = path.write_text("twelve bytes")
    >>> bounded_text(path), len(bounded_text(path, 12))
    ('twelve bytes', 12)
    """
    return bounded_bytes(path, most).decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def read_bytes(path: Path) -> bytes:
    """The content of a file that a user named.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


def read_text(path: Path) -> str:
    """The text of a file that a user named, without the mark that some programs begin UTF-8 with.

    Raises:
        InputError: it cannot be read, or is not in UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


def safe_json(text: str | bytes, surrogates: bool = False) -> Any:
    """What a JSON text holds.

    Args:
        surrogates: let half a character (a lone surrogate) pass, for a caller that replaces it.

    Raises:
        ValueError: no JSON, nested too deep, or with half a character.

    >>> safe_json('{"a": [1]}')
    {'a': [1]}
    >>> safe_json("[" * 100_000)
    Traceback (most recent call last):
    ValueError: nested too deep
    """
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
    plain = text if isinstance(text, str) else text.decode("utf-8", "replace")
    if not surrogates and _SURROGATE.search(plain):
        json.dumps(content, ensure_ascii=False).encode()  # UnicodeEncodeError is a ValueError
    return content


def safe_yaml(text: str) -> Any:
    """What a YAML text holds: mappings, lists, texts, numbers, truth values and nothing; a date stays text.

    Raises:
        yaml.YAMLError: no YAML, a key twice, other types, nested too deep, or too much of it.

    >>> safe_yaml("{day: 2026-11-28, on: [1, 2.5]}")
    {'day': '2026-11-28', True: [1, 2.5]}
    >>> safe_yaml("{a: 1, a: 2}")
    Traceback (most recent call last):
    yaml.error.YAMLError: the key 'a' is there twice (line 1)
    """
    if len(text) > _MOST_YAML:
        raise yaml.YAMLError(f"the text is longer than {_MOST_YAML} characters")
    try:
        return yaml.load(text, Loader=_Loader)
    except (ValueError, OverflowError) as error:  # numbers of thousands of digits
        raise yaml.YAMLError(str(error)) from error


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without dates, with bounds, and with keys that are there once."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    _depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise yaml.YAMLError(f"nested deeper than {_DEEPEST} levels (line {self.line + 1})")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def get_single_node(self) -> Node | None:
        node = super().get_single_node()
        if node is not None and _size(node, {}) > _MOST_NODES:
            raise yaml.YAMLError("its aliases write out too much")
        return node


def named_yaml(given: str, what: str, expected: str) -> Any:
    """The content of a YAML file that a user named; ``what`` and ``expected`` say what it is to be.

    Raises:
        InputError: there is no such file, or it is no YAML.
    """
    path = Path(given)
    if not path.is_file():
        raise InputError(f"{what} {given} does not exist: expects {expected}")
    try:
        return safe_yaml(bounded_text(path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        said = one_line(error)
        raise InputError(f"{what} {given} cannot be read as YAML ({said}): expects {expected}") from error


def packaged_names(folder: Traversable) -> tuple[str, ...]:
    """Names of the YAML files in a folder of the package, without their ending, sorted."""
    return tuple(sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")))


def packaged_or_named_yaml(given: str, what: str, folder: Traversable, expected: str) -> Any:
    """The content of a YAML file of the package, by its name, or of one that a user named.

    Raises:
        InputError: neither a name nor a file, or a file that is no YAML.
    """
    if given in packaged_names(folder):
        return safe_yaml(folder.joinpath(f"{given}.yaml").read_text(encoding="utf-8"))
    if not Path(given).is_file() and Path(given).suffix not in (".yaml", ".yml"):
        raise InputError(f"{unknown_name(what, given, packaged_names(folder))}; or {expected}")
    return named_yaml(given, f"the {what}", expected)


def _size(node: Node, sizes: dict[int, int]) -> int:
    """How many nodes there are with all aliases written out; refuses what is no plain data."""
    if id(node) in sizes:
        if sizes[id(node)] == 0:
            raise yaml.YAMLError(f"an alias holds itself{_place(node)}")
        return sizes[id(node)]
    if node.tag not in _PLAIN and not node.tag.endswith((":merge", ":value")):
        raise yaml.YAMLError(f"expects plain data, got the type {node.tag}{_place(node)}")
    sizes[id(node)] = 0
    children: list[Node] = []
    if isinstance(node, SequenceNode):
        children = node.value
    elif isinstance(node, MappingNode):
        _check_keys(node)
        children = [child for pair in node.value for child in pair]
    elif any("\ud800" <= letter <= "\udfff" for letter in node.value):
        raise yaml.YAMLError(f"half a character (a lone surrogate){_place(node)}")
    sizes[id(node)] = 1 + sum(_size(child, sizes) for child in children)
    return sizes[id(node)]


def _check_keys(node: MappingNode) -> None:
    seen = set()
    for key, _ in node.value:
        if isinstance(key, ScalarNode) and not key.tag.endswith(":merge"):
            if (key.tag, key.value) in seen:
                raise yaml.YAMLError(f"the key {key.value!r} is there twice{_place(key)}")
            seen.add((key.tag, key.value))


def _place(node: Node) -> str:
    return "" if node.start_mark is None else f" (line {node.start_mark.line + 1})"
