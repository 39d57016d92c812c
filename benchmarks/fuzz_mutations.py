"""What :mod:`fuzz` does to a file: each mutation takes content and a generator and gives other content."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

import numpy as np

Rng = np.random.Generator
_NUMBER = re.compile(rb"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_WORD = re.compile(rb"[A-Za-z_]\w+")
_NUMBERS = (
    b"-1",
    b"0",
    b"1e999",
    b"nan",
    b"inf",
    b"99999999999",
    b"4294967296",
    b"1e300",
    b"-0.0",
    b"1" * 5000,
    b"",
)
_TEXTS = (
    b"[" * 3000,
    b"{" * 3000,
    b"\\ud800",
    b"\xff\xfe",
    b"\x00",
    b"!!python/name:os.system",
    b"&a [*a]",
    b"2026-11-28",
)
_LENGTHS = (-1, 0, 1, 2**31 - 1, -(2**31), 2**16, 2**30, 2**20, 255)


def _place(content: bytes, rng: Rng) -> int:
    return int(rng.integers(len(content) + 1))


def _block(content: bytes, rng: Rng) -> tuple[int, int]:
    """Where a block begins and ends: mostly short, rarely most of the file."""
    size = int(len(content) * rng.uniform() ** 4) + 1
    start = int(rng.integers(max(1, len(content) - size + 1)))
    return start, start + size


def flip_bits(content: bytes, rng: Rng) -> bytes:
    """Up to eight bits turned over."""
    out = bytearray(content)
    for _ in range(int(rng.integers(1, 9)) if out else 0):
        position = int(rng.integers(8 * len(out)))
        out[position // 8] ^= 1 << position % 8
    return bytes(out)


def truncate(content: bytes, rng: Rng) -> bytes:
    """The end is missing."""
    return content[: _place(content, rng)]


def delete_block(content: bytes, rng: Rng) -> bytes:
    """A block is missing."""
    start, end = _block(content, rng)
    return content[:start] + content[end:]


def repeat_block(content: bytes, rng: Rng) -> bytes:
    """A block is there several times."""
    start, end = _block(content, rng)
    times = int(rng.integers(1, 4))
    return content[:end] + times * content[start:end] + content[end:]


def swap_blocks(content: bytes, rng: Rng) -> bytes:
    """Two neighbouring blocks have changed places."""
    a, b, c = sorted(_place(content, rng) for _ in range(3))
    return content[:a] + content[b:c] + content[a:b] + content[c:]


def zero_block(content: bytes, rng: Rng) -> bytes:
    """A block of zeros, as a disk leaves them after a crash."""
    start, end = _block(content, rng)
    return content[:start] + bytes(min(end, len(content)) - start) + content[end:]


def random_block(content: bytes, rng: Rng) -> bytes:
    """A block of noise, or some put in."""
    start, end = _block(content, rng)
    noise = rng.bytes(min(end - start, 64))
    return content[:start] + noise + content[start if rng.random() < 0.5 else end :]


def length_field(content: bytes, rng: Rng) -> bytes:
    """A binary number of two, four or eight bytes becomes an extreme one."""
    value, (kind, mask) = (
        int(rng.choice(_LENGTHS)),
        (("<H", 0xFFFF), ("<I", 2**32 - 1), ("<Q", 2**64 - 1))[int(rng.integers(3))],
    )
    packed = struct.pack(kind, value & mask)
    if rng.random() < 0.2:
        packed = packed[::-1]
    near = rng.random() < 0.5  # heads and directories are at the ends
    place = _place(content, rng)
    if near:
        place = place % 512 if rng.random() < 0.5 else max(0, len(content) - 1 - place % 512)
    return content[:place] + packed + content[place + len(packed) :]


def number_in_text(content: bytes, rng: Rng) -> bytes:
    """A number written in digits becomes another, a huge one, or none."""
    return _replaced(content, rng, _NUMBER, _NUMBERS)


def word_in_text(content: bytes, rng: Rng) -> bytes:
    """A word becomes something that a parser may stumble over, or another word of the file."""
    words = [match[0] for match in _WORD.finditer(content[:20_000])][:50]
    return _replaced(content, rng, _WORD, (*_TEXTS, *words))


def _replaced(content: bytes, rng: Rng, pattern: re.Pattern[bytes], by: tuple[bytes, ...]) -> bytes:
    found = list(pattern.finditer(content))
    if not found:
        return flip_bits(content, rng)
    match = found[int(rng.integers(len(found)))]
    return content[: match.start()] + by[int(rng.integers(len(by)))] + content[match.end() :]


def zip_directory(content: bytes, rng: Rng) -> bytes:
    """An entry of a zip's directory lies: about sizes, method, place or flags."""
    entries = [m.start() for m in re.finditer(rb"PK\x01\x02|PK\x03\x04|PK\x05\x06", content)]
    if not entries:
        return length_field(content, rng)
    place = entries[int(rng.integers(len(entries)))] + int(rng.integers(4, 46))
    value = struct.pack("<I", int(rng.choice(_LENGTHS)) & 0xFFFFFFFF)[: int(rng.choice([1, 2, 4]))]
    return content[:place] + value + content[place + len(value) :]


def lines(content: bytes, rng: Rng) -> bytes:
    """Lines are missing, doubled, or in another order."""
    rows = content.splitlines(keepends=True)
    if len(rows) < 2:
        return swap_blocks(content, rng)
    a, b = (int(n) for n in rng.integers(len(rows), size=2))
    how = int(rng.integers(3))
    if how == 0:
        del rows[a]
    elif how == 1:
        rows.insert(a, rows[b])
    else:
        rows[a], rows[b] = rows[b], rows[a]
    return b"".join(rows)


MUTATIONS: tuple[Callable[[bytes, Rng], bytes], ...] = (
    flip_bits,
    flip_bits,
    truncate,
    delete_block,
    repeat_block,
    swap_blocks,
    zero_block,
    random_block,
    length_field,
    length_field,
    number_in_text,
    number_in_text,
    word_in_text,
    zip_directory,
    lines,
)


def mutate(content: bytes, rng: Rng, strangers: list[bytes]) -> tuple[bytes, str]:
    """Content after one to three mutations, rarely that of another kind of file, and what was done."""
    done = []
    if rng.random() < 0.02:
        which = int(rng.integers(len(strangers)))
        content = strangers[which]
        done.append(f"stranger {which}")
        if rng.random() < 0.7:
            return content, done[0]
    for _ in range(int(rng.geometric(0.7))):
        mutation = MUTATIONS[int(rng.integers(len(MUTATIONS)))]
        content = mutation(content, rng)
        done.append(mutation.__name__)
    return content, ", ".join(done)
