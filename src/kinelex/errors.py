"""The one exception for wrong input, and the helper that words it."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """The user's input cannot be used: says what was expected, what came and what to do.

    The command line prints the message without a traceback and ends with exit status 2.
    """


class DivergenceError(RuntimeError):
    """A training has no finite numbers any more: says from which epoch and step on, and in which loss.

    The command line prints the message without a traceback and ends with exit status 1.
    """


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
    hint = f"did you mean {close[0]!r}? " if close else ""
    return InputError(f"unknown {kind} {name!r}: {hint}Known: {', '.join(names) or 'none'}")
