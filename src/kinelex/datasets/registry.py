"""The readers by name; the module of a built-in one is imported when it is asked for."""

from __future__ import annotations

import inspect
import typing
from importlib import import_module
from pathlib import Path
from typing import Any

from docstring_parser import parse as parse_docstring

from kinelex import plugins
from kinelex.datasets.policy import OPTIONS, Policy
from kinelex.datasets.reader import Item, Reader
from kinelex.errors import InputError, unknown_name

READERS: dict[str, tuple[str | type[Reader], str]] = {  # name: (where its reader is, what it is in words)
    "nw_ucla": ("nw_ucla:NwUclaReader", "Northwestern-UCLA Multiview Action 3D, JSON release"),
    "utd_mhad": ("utd_mhad:UtdMhadReader", "UTD-MHAD"),
    "ntu60": ("ntu:NtuReader60", "NTU RGB+D 60, .skeleton files"),
    "ntu120": ("ntu:NtuReader120", "NTU RGB+D 120, .skeleton files"),
    "pku1": ("pku:Pku1Reader", "PKU-MMD, part I"),
    "pku2": ("pku:Pku2Reader", "PKU-MMD, part II"),
    "sysu": ("sysu:SysuReader", "SYSU 3D Human-Object Interaction"),
    "sbu": ("sbu:SbuReader", "SBU Kinect Interaction, two persons"),
    "msr_action3d": ("msr_action3d:MsrAction3dReader", "MSR Action3D, skeletons in metres"),
    "utkinect": ("utkinect:UtKinectReader", "UT-Kinect Action3D"),
    "penn_action": ("penn_action:PennActionReader", "Penn Action, 2-D"),
    "jhmdb": ("jhmdb:JhmdbReader", "JHMDB, puppet joints, 2-D"),
    "text2action": ("text2action:Text2ActionReader", "Text2Action, upper bodies with human sentences"),
    "bandai_namco": ("bandai_namco:BandaiNamcoReader", "Bandai-Namco motion data set 1, actions in styles"),
    "pyskl": ("pyskl:PysklReader", "annotation pickle of PYSKL and MMAction2, 2-D or 3-D"),
    "ctrgcn_npz": ("ctrgcn_npz:CtrgcnNpzReader", "npz file of CTR-GCN's preparation"),
    "npy": ("npy:NpyReader", "padded arrays (N, C, T, V, M) with a label pickle, of CMD, AimCLR and others"),
    "folder": (
        "folder:FolderReader",
        "your own clips, also of pose estimators and motion capture: with a manifest.csv or in class folders",
    ),
}
Option = tuple[type, Any, str]  # type, default, description


def register(reader: type[Reader]) -> type[Reader]:
    """Decorator of a reader's class: ``prepare`` knows it by its attribute ``dataset``.

    What it is in words is the first line of its docstring.

    Raises:
        InputError: another data set has that name.
    """
    other = READERS.get(reader.dataset, (None, ""))[0]
    if reader.dataset == "actors" or isinstance(other, str):
        raise InputError(f"the data set {reader.dataset!r} is there already: choose another name")
    READERS[reader.dataset] = (reader, (inspect.getdoc(reader) or "").partition("\n")[0].rstrip("."))
    return reader


def reader_class(dataset: str) -> type[Reader]:
    """The reader of a data set.

    >>> reader_class("nw_ucla").expected
    'the files all_sqe/aXX_sYY_eZZ_vWW.json'
    """
    if dataset not in READERS:
        plugins.load_installed()
    if dataset not in READERS:
        raise unknown_name("data set", dataset, READERS)
    place = READERS[dataset][0]
    if not isinstance(place, str):
        return place
    module, name = place.split(":")
    return getattr(import_module(f"kinelex.datasets.{module}"), name)


def reader_options(dataset: str) -> dict[str, Option]:
    """The options of a reader: type, default and description of each, from its signature and docstring.

    Those of its base classes come first, where its own ``__init__`` hands on ``**options``.

    >>> list(reader_options("npy"))
    ['layout', 'classes', 'units', 'channels', 'axes']
    """
    found: dict[str, Option] = {}
    for base in reader_class(dataset).__mro__:
        if "__init__" in vars(base):
            found = {**_own_options(base), **found}
            parameters = inspect.signature(base.__init__).parameters.values()  # type: ignore[misc]
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                break
    return found


def _own_options(reader: type) -> dict[str, Option]:
    doc = parse_docstring(inspect.getdoc(reader) or "")
    texts = {p.arg_name: (p.description or "").replace("\n", " ") for p in doc.params}
    types = typing.get_type_hints(reader.__init__)  # type: ignore[misc]
    found: dict[str, Option] = {}
    for name, parameter in inspect.signature(reader.__init__).parameters.items():  # type: ignore[misc]
        if parameter.kind is parameter.KEYWORD_ONLY:
            members = typing.get_args(types[name]) or (types[name],)
            convert = next(t for t in members if t is not type(None))
            found[name] = (convert, parameter.default, texts.get(name, ""))
    return found


def make_reader(dataset: str, source: Path | None, options: dict[str, Any]) -> Reader:
    """The reader of a data set, bound to its source."""
    reader = reader_class(dataset)
    check_options(dataset, options, {**OPTIONS, **reader_options(dataset)})
    expected = reader.expected if reader.source_is_file else f"a folder with {reader.expected}"
    if source is None:
        raise InputError(f"{dataset} needs its raw files: expects {expected}")
    source = Path(source)
    if not source.exists():
        raise InputError(f"{source} does not exist: expects {expected}")
    if not source.is_dir() and not reader.source_is_file:
        raise InputError(f"{source} is a file: expects {expected}")
    shared = {name: value for name, value in options.items() if name in OPTIONS and value is not None}
    own = {name: value for name, value in options.items() if name not in OPTIONS}
    bound = reader(source, **own)
    bound.policy = Policy(**{"gaps": reader.gaps, **shared})
    return bound


def check_options(dataset: str, given: typing.Iterable[str], known: typing.Collection[str]) -> None:
    """Refuse options that a data set does not have.

    >>> check_options("nw_ucla", ["denoise"], [])
    Traceback (most recent call last):
    kinelex.errors.InputError: nw_ucla has no option 'denoise'; it has none
    """
    for name in given:
        if name not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise InputError(f"{dataset} has no option {name!r}; it has {listed}")


def find_items(reader: Reader) -> list[Item]:
    """The units of work of a source."""
    try:
        items = reader.items()
    except OSError as error:
        raise InputError(f"{reader.source}: cannot be read: {error}") from error
    if not items:
        kind = "" if reader.source_is_file else "a folder with "
        raise InputError(f"{reader.source} holds no clip: expects {kind}{reader.expected}")
    return items
