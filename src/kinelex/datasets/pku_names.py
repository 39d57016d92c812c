"""Names in PKU-MMD: videos, clips (the keys of the C2VL texts) and the lists of the splits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from kinelex.errors import InputError

NUM_CLASSES = 51
_VIEWS = "LMR"  # left, middle, right: views 1, 2, 3
_VIDEO = {
    1: re.compile(r"(?P<video>[0-9]{4})-(?P<view>[LMR])"),
    2: re.compile(r"A(?P<script>[0-9]{2})N(?P<subject>[0-9]{2})-(?P<view>[LMR])"),
}
_EXAMPLE = {1: "0002-L", 2: "A01N01-L"}
_KEY = re.compile(
    r"(?:A(?P<script>[0-9]{3})N(?P<subject>[0-9]{3})|F(?P<video>[0-9]{3}))"
    r"V(?P<view>[1-9][0-9]{2}|0[1-9][0-9]|00[1-9])C(?P<label>[0-9]{3})L(?P<line>[0-9]{3})"
)
_LIST = re.compile(r"cross[-_](?P<kind>subject|view)(_v2)?\.txt", re.IGNORECASE)
_PROTOCOLS = {"subject": "xsub", "view": "xview"}


@dataclass(frozen=True)
class Video:
    """What a video's name says."""

    name: str  # the name, ``0002-L`` (phase I) or ``A01N01-L`` (phase II)
    phase: int  # 1 or 2
    view: int  # 1 left, 2 middle, 3 right
    group: int  # the number of the recording (phase I), or of the list of actions that it shows (phase II)
    subject: int | None  # the person, or None in phase I, whose names do not tell it


@dataclass(frozen=True)
class PromptKey:
    """What a key of the C2VL texts says; it is also the clip's id."""

    video: str  # the video's name, for example ``A13N08-M``
    view: int  # 1 left, 2 middle, 3 right
    label: int  # class, from 0 as in a store
    line: int  # which line of the video's label file, from 1, blank lines not counted


def parse_video(name: str) -> Video | None:
    """A video's name in parts; None if it is none.

    >>> parse_video("A13N08-M")
    Video(name='A13N08-M', phase=2, view=2, group=13, subject=8)
    """
    for phase, pattern in _VIDEO.items():
        match = pattern.fullmatch(name)
        if match is not None:
            group = match["video"] if phase == 1 else match["script"]
            subject = None if phase == 1 else int(match["subject"])
            return Video(name, phase, _VIEWS.index(match["view"]) + 1, int(group), subject)
    return None


def clip_id(video: str, label: int, line: int) -> str:
    """The id of a clip, the form of the keys of the C2VL texts.

    Args:
        label: class, from 0.
        line: which line of the label file, from 1.

    >>> clip_id("A13N08-M", 47, 5), clip_id("0002-L", 0, 12)
    ('A013N008V002C048L005', 'F002V001C001L012')
    """
    parsed = parse_video(video)
    if parsed is None or not 0 <= label < NUM_CLASSES or not 1 <= line <= 999 or parsed.group > 999:
        raise InputError(
            f"no clip of PKU-MMD: video {video!r}, class {label}, line {line}; expects a video such as "
            f"{_EXAMPLE[2]} or {_EXAMPLE[1]}, a class from 0 to {NUM_CLASSES - 1} and a line from 1 to 999"
        )
    number = f"F{parsed.group:03}" if parsed.subject is None else f"A{parsed.group:03}N{parsed.subject:03}"
    return f"{number}V{parsed.view:03}C{label + 1:03}L{line:03}"


def parse_prompt_key(key: str) -> PromptKey:
    """Video, view, class and label line that a key of the C2VL texts names.

    >>> parse_prompt_key("A013N008V002C048L005")
    PromptKey(video='A13N08-M', view=2, label=47, line=5)
    """
    match = _KEY.fullmatch(key)
    wrong = InputError(
        f"{key!r} is no key of PKU-MMD: expects AaaaNnnnVvvvCcccLlll (or FfffVvvvCcccLlll) with a view from "
        f"1 to 3, a class from 1 to {NUM_CLASSES} and a line from 1, for example A013N008V002C048L005"
    )
    if match is None:
        raise wrong
    view, label, line = (int(match[name]) for name in ("view", "label", "line"))
    if view > len(_VIEWS) or not 1 <= label <= NUM_CLASSES or line < 1:
        raise wrong
    if match["video"] is not None:
        video = f"{int(match['video']):04}-{_VIEWS[view - 1]}"
    elif int(match["script"]) > 99 or int(match["subject"]) > 99:
        raise wrong
    else:
        video = f"A{int(match['script']):02}N{int(match['subject']):02}-{_VIEWS[view - 1]}"
    return PromptKey(video, view, label - 1, line)


def read_tags(texts: list[Path], phase: int) -> dict[str, tuple[str, ...]]:
    """The tags of every video in the lists ``cross_subject*.txt`` and ``cross_view*.txt`` among files.

    Args:
        texts: text files, of which those with the name of a list are read.
        phase: 1 or 2; lists of the other phase's videos are left out.

    Returns:
        For example ``{"A01N01-L": ("xsub:train", "xview:test")}``.
    """
    tags: dict[str, tuple[str, ...]] = {}
    seen: dict[str, Path] = {}
    for path in texts:
        match = _LIST.fullmatch(path.name)
        parts = _read_list(path, phase) if match else None
        if match is None or parts is None:
            continue
        protocol = _PROTOCOLS[match["kind"].lower()]
        if protocol in seen:
            raise InputError(f"{path} and {seen[protocol]} both are a {protocol} split: keep one of them")
        seen[protocol] = path
        for part, videos in parts.items():
            for video in videos:
                tags[video] = (*tags.get(video, ()), f"{protocol}:{part}")
    return {video: tuple(sorted(found)) for video, found in tags.items()}


def _read_list(path: Path, phase: int) -> dict[str, list[str]] | None:
    """Training and test videos of a list; None if it is of the other phase."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a text: {error}") from error
    if len(lines) < 4:
        raise InputError(
            f"{path}: expects 4 lines (a title, the training videos, a title, the validation videos), "
            f"got {len(lines)}"
        )
    parts = {part: [n.strip() for n in lines[i].split(",") if n.strip()] for part, i in _PARTS.items()}
    phases = {video.phase for names in parts.values() for n in names if (video := parse_video(n))}
    if phases == {3 - phase}:
        return None
    for part, names in parts.items():
        for name in names:
            video = parse_video(name)
            if video is None or video.phase != phase:
                raise InputError(
                    f"{path}: line {_PARTS[part] + 1}: {name!r} is no video, expects names such as "
                    f"{_EXAMPLE[phase]}, divided by commas"
                )
    both = sorted(set(parts["train"]) & set(parts["test"]))
    if both:
        raise InputError(f"{path}: {both[0]} is among the training and the validation videos")
    return {part: list(dict.fromkeys(names)) for part, names in parts.items()}


_PARTS = {"train": 1, "test": 3}  # part: index of its line
