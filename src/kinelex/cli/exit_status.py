"""How a verb ends, in an exit status and one message."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable

from kinelex.errors import DivergenceError, InputError, StoppedError, without_secrets
from kinelex.files.atomic import NO_ROOM

TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h
_LONGEST = 4000  # characters of a message
# A full or read-only disk, a name that is too long, a file that may not be read: the machine's, not ours.
_NAMES = ("EROFS", "EIO", "EACCES", "EPERM", "ENAMETOOLONG", "ELOOP", "ESTALE", "EMFILE", "ENFILE")
_OF_THE_MACHINE = NO_ROOM | {getattr(errno, name) for name in _NAMES if hasattr(errno, name)}


def run_verb(action: Callable[[], None]) -> int:
    """Run a verb and turn its end into an exit status.

    Returns:
        0 done, 2 wrong input or no room for what is made, 1 our fault or a training that diverged, 75 a
        training that was asked to make room, 130 by Ctrl-C, 141 when nobody reads the output any more.
    """
    try:
        action()
        sys.stdout.flush()
    except InputError as error:
        return _failed(str(error), 2)
    except DivergenceError as error:
        return _failed(str(error), 1)
    except StoppedError as error:
        return _failed(str(error), TRY_AGAIN)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        return 141
    except OSError as error:
        if error.errno not in _OF_THE_MACHINE:
            return _fault()
        place = "" if error.filename is None else f"{_shown(error.filename)}: "
        advice = "; make room and start again, what was finished is kept" if error.errno in NO_ROOM else ""
        return _failed(f"{place}{error.strerror}{advice}", 2)
    except KeyboardInterrupt:
        print("kinelex: interrupted", file=sys.stderr)
        return 130
    except Exception:
        return _fault()
    return 0


def _failed(message: str, status: int) -> int:
    print(f"kinelex: error: {_shown(message)}", file=sys.stderr)
    return status


def _fault() -> int:
    traceback.print_exc()
    print("kinelex: this is a fault of kinelex, please report it with the lines above", file=sys.stderr)
    return 1


def _shown(text: str | bytes) -> str:
    """A message as one line that any terminal can show, whatever names of files stand in it.

    >>> _shown("nix\\n.arrow"), _shown("\\udcff")
    ('nix\\\\n.arrow', '\\\\udcff')
    """
    text = without_secrets(os.fsdecode(text))
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
