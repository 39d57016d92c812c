"""Private machinery of the two stores: atomic Arrow IPC files with a JSON header."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa

from kinelex._files import beside, check_target, publish, remove_leftovers
from kinelex.errors import InputError

_HEADER = b"kinelex"


def schema_with_header(fields: list[pa.Field], header: dict[str, Any]) -> pa.Schema:
    """A schema that carries ``header`` as JSON in its metadata."""
    return pa.schema(fields, metadata={_HEADER: json.dumps(header).encode()})


def read_header(schema: pa.Schema) -> dict[str, Any]:
    """The header of :func:`schema_with_header`; KeyError when there is none."""
    return json.loads((schema.metadata or {})[_HEADER])


def open_arrow(
    path: Path, kind: str, made_by: str, versions: tuple[int, ...]
) -> tuple[pa.ipc.RecordBatchFileReader, dict[str, Any]]:
    """Memory-map an Arrow IPC file and return its reader and header.

    Raises:
        InputError: no such file, not an Arrow file, a file of another kind or of another version.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist; a {kind} is made by `{made_by}`")
    if path.is_dir():
        raise InputError(f"{path} is a directory, expects a {kind} file made by `{made_by}`")
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        header = read_header(reader.schema)
    except (pa.ArrowException, KeyError, ValueError, OSError) as error:
        raise InputError(f"{path} is no {kind} (or is damaged); make one with `{made_by}`") from error
    if header.get("kind") != kind:
        found = header.get("kind", "file of another program")
        raise InputError(f"{path} is a {found}, expects a {kind}, made by `{made_by}`")
    if header.get("format_version") not in versions:
        raise InputError(
            f"{path} has format version {header.get('format_version')}, this kinelex reads version "
            f"{' and '.join(map(str, versions))}: make it again with `{made_by}`"
        )
    return reader, header


def kind_of(path: Path) -> str | None:
    """Which kind of store a file is; None when it is none of ours."""
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        return str(read_header(reader.schema)["kind"])
    except (pa.ArrowException, KeyError, ValueError, OSError):
        return None


class AtomicArrowWriter:
    """Writes record batches to a temporary file that takes its name only when it is whole.

    Used as a context manager; when the block fails or the process dies, the target is untouched.
    """

    def __init__(self, path: str | Path, schema: pa.Schema) -> None:
        self.path = Path(path)
        self.schema = schema
        check_target(self.path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self.path)
        self._temporary = beside(self.path)
        self._writer = pa.ipc.new_file(str(self._temporary), schema)

    def write(self, columns: dict[str, pa.Array]) -> None:
        """Write one record batch; columns by name, in any order."""
        arrays = [columns[name] for name in self.schema.names]
        self._writer.write_batch(pa.record_batch(arrays, schema=self.schema))

    def commit(self) -> None:
        """Close the file, flush it to the disk and give it its name."""
        try:
            self._writer.close()
            publish(self._temporary, self.path)
        except BaseException:  # a disk that is full stays full while the file is there
            self._temporary.unlink(missing_ok=True)
            raise

    def abort(self) -> None:
        """Close and delete the temporary file."""
        with contextlib.suppress(pa.ArrowException, OSError):
            self._writer.close()
        self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> AtomicArrowWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.abort()
