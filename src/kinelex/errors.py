"""The one exception for wrong input, and the helper that words it."""

import difflib
import re
from collections.abc import Collection, Iterable

_KEY_IN_ADDRESS = re.compile(r"(?i)([?&;](?:api[-_]?)?(?:key|token|secret|password|sig)=)[^&\s'\"]+")


class InputError(ValueError):
    """The user's input cannot be used: says what was expected, what came and what to do.

    The command line prints the message without a traceback and ends with exit status 2.
    """


class DivergenceError(RuntimeError):
    """A training has no finite numbers any more: says from which epoch and step on, and in which loss.

    The command line prints the message without a traceback and ends with exit status 1.
    """


class StoppedError(RuntimeError):
    """A training was asked by a signal to make room: it has written a checkpoint, ``--resume`` goes on.

    The command line prints the message without a traceback and ends with exit status 75, which a job script
    takes for "start me again".
    """


def without_secrets(text: str) -> str:
    """A text in which no address shows its password or key.

    >>> without_secrets("http://me:secret@host/v1?api_key=abc failed")
    'http://***@host/v1?api_key=*** failed'
    """
    text = re.sub(r"(?<=://)[^/\s@]*(?:@[^/\s@]*)*@", "***@", text)
    return _KEY_IN_ADDRESS.sub(r"\1***", text)


def one_line(error: BaseException) -> str:
    """What an error says, without line breaks: for use inside a message.

    >>> one_line(ValueError(chr(10).join(["first", "  second"])))
    'first second'
    """
    return " ".join(str(error).split())


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Word the error for a name that is not among the known ones, with the closest match.

    >>> str(unknown_name("layout", "ntu52", ["ntu25", "coco17"]))
    "unknown layout 'ntu52': did you mean 'ntu25'? Known: coco17, ntu25"
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f": did you mean {close[0]!r}?" if close else "."
    return InputError(f"unknown {kind} {name!r}{hint} Known: {', '.join(names) or 'none'}")


def check_name(kind: str, name: str, known: Collection[str]) -> None:
    """Raise the error of :func:`unknown_name` for a name that is not among the known ones."""
    if name not in known:
        raise unknown_name(kind, name, known)
