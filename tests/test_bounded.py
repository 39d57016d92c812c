"""Text that would cost more than its size, or that nothing can print, is refused in one place."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from kinelex.errors import InputError
from kinelex.files.bounded import bounded_text, safe_json, safe_yaml
from kinelex.files.npy import open_zip, read_member, read_npz
from kinelex.prompts.engines.texts import read_texts
from kinelex.skeleton import get_layout

BOMB = "\n".join(["a0: &a0 [1]", *(f"a{i}: &a{i} [{f'*a{i - 1}, ' * 9}]" for i in range(1, 9))])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100, "nested deeper than 40 levels"),
        ("a: 1\nb:\n  c: 2\n  c: 3\n", "the key 'c' is there twice \\(line 4\\)"),
        ("a: &a [*a]", "an alias holds itself"),
        (
            "\n".join(["a0: &a0 [1, 2]", *(f"a{i}: &a{i} [{f'*a{i - 1}, ' * 9}]" for i in range(1, 9))]),
            "aliases",
        ),
        ("a: !!binary aGVsbG8=", "expects plain data, got the type .*binary"),
        ("a: !!python/name:os.system x", "expects plain data"),
        ('a: "\\ud800"', "lone surrogate"),
        ("a: " + "9" * 5000, "digits"),
        ("# " + "x" * (8 << 20), "longer than"),
        ("a: [1", "expected"),
    ],
)
def test_yaml_that_is_refused(text: str, said: str) -> None:
    with pytest.raises(yaml.YAMLError, match=said):
        safe_yaml(text)


def test_yaml_that_is_read() -> None:
    assert safe_yaml("day: 2026-11-28\nbase: &b {x: 1}\nmore:\n  <<: *b\n  y: 2\n") == {
        "day": "2026-11-28",
        "base": {"x": 1},
        "more": {"x": 1, "y": 2},
    }


@pytest.mark.parametrize("text", ["[" * 100_000, '["\\ud800"]', b"\xff{}", "{", "9" * 5000])
def test_json_that_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        safe_json(text)
    assert safe_json('["\\ud83d\\ude00"]') == ["😀"]


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a\r\nb")
    assert bounded_text(tmp_path / "a.txt") == "a\nb"
    with pytest.raises(OSError, match=r"too large.*\(over 3 bytes\)"):
        bounded_text(tmp_path / "a.txt", most=3)


def test_archives_are_unpacked_within_bounds(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.zeros(1000), t=np.array(["a", "ä"]))
    assert {name: a.tolist() for name, a in read_npz(path).items()}["t"] == ["a", "ä"]
    with (
        open_zip(path) as archive,
        pytest.raises(InputError, match="x.npy: unpacks to 8128 bytes"),
    ):
        read_member(archive, "x", most=8000)
    with pytest.raises(InputError, match="unpacks to"):
        read_npz(path, most=8000)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("x.npy", b"x" * 100)
    with pytest.raises(InputError, match="packed by another method"):
        read_npz(path)
    with zipfile.ZipFile(tmp_path / "t.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", b" " * (257 << 20))
    with pytest.raises(InputError, match=r"a\.json: unpacks to"):
        read_texts(tmp_path / "t.zip")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name: \xff", "as text in UTF-8"),
        (b"name: a\njoints: {a: a, b: a, a: b}", "the key 'a' is there twice"),
        (b"name: a\njoints: " + b"[" * 5000, "nested deeper"),
        (b"name: 2026-11-28\njoints: {a: a, b: a, 2026-11-28: b, 2026-11-28: b}", "twice"),
    ],
)
def test_layouts_that_are_no_text_or_lose_joints(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "l.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said) as error:
        get_layout(path)
    assert str(path) in str(error.value)


def test_a_date_in_a_layout_is_a_name(tmp_path: Path) -> None:
    (tmp_path / "l.yaml").write_text("name: 2026-11-28\njoints: {a: a, b: a}")
    assert get_layout(tmp_path / "l.yaml").name == "2026-11-28"
