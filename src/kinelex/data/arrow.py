"""The two stores' files: Arrow IPC with a JSON header, whole or not at all.

The *index* is read when a store is opened; a digest of it and of the header stands with the last record
batch: the fingerprint. Columns that hold much are compared with a checksum per row when first read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from kinelex.data.content import CHECKSUM, ContentDigest, RowChecksums, fits_checksum
from kinelex.errors import InputError, one_line
from kinelex.files.atomic import beside, file_place, publish, remove_leftovers

_HEADER, _HEADER_SUM, _FINGERPRINT = b"kinelex", b"kinelex.checksum", b"kinelex.fingerprint"
_MOST_HEADER = 16 << 20  # bytes of JSON


@dataclass(frozen=True)
class StoreKind:
    """What a kind of store is made of."""

    name: str  # what it is called
    made_by: str  # the command that makes it
    versions: tuple[int, ...]  # format versions that can be read
    checked_from: int  # the first version with a fingerprint and checksums
    about: tuple[str, ...]  # entries of the header that count for the fingerprint
    checksums: Mapping[str, tuple[str, ...]]  # columns of checksums, each with the columns that it covers

    def index(self, schema: pa.Schema) -> list[str]:
        """The columns that are read when the store is opened: all that no checksum covers."""
        covered = {name for names in self.checksums.values() for name in names}
        return [name for name in schema.names if name not in covered]

    def facts(self, header: dict[str, Any]) -> bytes:
        """The part of the header that counts for the fingerprint."""
        return json.dumps([header[name] for name in self.about], sort_keys=True).encode()

    def row_check(self, column: str, names: list[str]) -> Callable[[pa.RecordBatch], Callable[[int], bool]]:
        """What :class:`RowChecks` needs to compare rows with one of the columns of checksums."""
        covered = [name for name in self.checksums[column] if name in names]
        return lambda batch: fits_checksum(batch, column, covered)

    def damaged(self, path: Path, what: str) -> InputError:
        """The error for a store that is not what was written."""
        return InputError(f"{path} is damaged: {what}; make it again with `{self.made_by}`")


@dataclass(frozen=True)
class ArrowStore:
    """A store that was opened: its parts, checked."""

    header: dict[str, Any]  # what it says about itself
    batches: list[pa.RecordBatch]  # its record batches, memory-mapped
    fingerprint: str | None  # the digest of header and index; None in versions that had none


def schema_with_header(fields: list[pa.Field], header: dict[str, Any]) -> pa.Schema:
    """A schema that carries ``header`` as JSON in its metadata."""
    text = json.dumps(header).encode()
    return pa.schema(fields, metadata={_HEADER: text, _HEADER_SUM: _sum_of(text)})


def _sum_of(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest()[:16].encode()


def read_header(schema: pa.Schema) -> dict[str, Any]:
    """The header of :func:`schema_with_header`; KeyError when there is none, ValueError for a damaged one."""
    metadata = schema.metadata or {}
    text = metadata[_HEADER]
    if len(text) > _MOST_HEADER or metadata.get(_HEADER_SUM, _sum_of(text)) != _sum_of(text):
        raise ValueError("the header does not fit its checksum")
    try:
        header = json.loads(text)
    except RecursionError as error:
        raise ValueError("the header is nested too deep") from error
    if not isinstance(header, dict):
        raise ValueError("the header is no JSON object")
    return header


def open_arrow(path: Path, kind: StoreKind, fields: Callable[[dict[str, Any]], list[pa.Field]]) -> ArrowStore:
    """Memory-map an Arrow IPC file, validate its structure and compare its index with its fingerprint."""
    if not path.exists():
        raise InputError(f"{path} does not exist; a {kind.name} is made by `{kind.made_by}`")
    if path.is_dir():
        raise InputError(f"{path} is a directory, expects a {kind.name} file made by `{kind.made_by}`")
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        header = read_header(reader.schema)
    except (pa.ArrowException, KeyError, ValueError, OSError) as error:
        raise InputError(
            f"{path} is no {kind.name} (or is damaged): make one with `{kind.made_by}`"
        ) from error
    if header.get("kind") != kind.name:
        found = header.get("kind", "file of another program")
        raise InputError(f"{path} is a {found}, expects a {kind.name}, made by `{kind.made_by}`")
    version = header.get("format_version")
    if version not in kind.versions:
        raise InputError(
            f"{path} has format version {version}, this kinelex reads version "
            f"{' and '.join(map(str, kind.versions))}: make it again with `{kind.made_by}`"
        )
    is_checked = version >= kind.checked_from
    try:
        batches, recorded = _batches(reader, fields(header), kind, is_checked)
        if not is_checked:
            return ArrowStore(header, batches, None)
        digest = ContentDigest(kind.index(reader.schema))
        for batch in batches:
            digest.update(batch)
        fingerprint = digest.hexdigest(kind.facts(header))
    except (pa.ArrowException, LookupError, TypeError, ValueError, OSError) as error:
        raise kind.damaged(path, one_line(error)) from error
    if fingerprint != recorded:
        raise kind.damaged(path, "its content does not fit the fingerprint that was written with it")
    return ArrowStore(header, batches, fingerprint)


def _batches(
    reader: pa.ipc.RecordBatchFileReader, fields: list[pa.Field], kind: StoreKind, is_checked: bool
) -> tuple[list[pa.RecordBatch], str | None]:
    """All record batches with their structure validated, and the fingerprint that stands with the last."""
    _check_schema(reader.schema, fields, kind if is_checked else None)
    batches, metadata = [], None
    for number in range(reader.num_record_batches):
        batch, metadata = reader.get_batch_with_custom_metadata(number)
        batch.validate(full=True)
        batches.append(batch)
    recorded = (metadata or {}).get(_FINGERPRINT)
    if sum(map(len, batches)) == 0:
        raise ValueError("it holds no clip")
    return batches, None if recorded is None else recorded.decode("ascii", "replace")


def _check_schema(schema: pa.Schema, fields: list[pa.Field], kind: StoreKind | None) -> None:
    sums = {} if kind is None else kind.checksums
    used = [name for name, columns in sums.items() if set(columns) & set(schema.names)]
    for field in [*fields, *(pa.field(name, CHECKSUM) for name in used)]:
        if schema.names.count(field.name) != 1 or schema.field(field.name).type != field.type:
            raise ValueError(f"expects one column {field.name} of {field.type}")


def kind_of(path: Path) -> str | None:
    """Which kind of store a file is; None when it is none of ours."""
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        return str(read_header(reader.schema)["kind"])
    except (pa.ArrowException, KeyError, ValueError, OSError):
        return None


class StoreWriter(ABC):
    """Writes a store by batches of rows to a temporary file that takes its name only when all are in.

    Used as a context manager; when the block fails or the process dies, the target is untouched.
    """

    def __init__(
        self, path: str | Path, kind: StoreKind, fields: list[pa.Field], header: dict[str, Any]
    ) -> None:
        self.path = file_place(Path(path))
        self._ids: set[str] = set()
        self._pending: list[Any] = []  # rows of the next batch
        names = {field.name for field in fields}
        covered = {name: [c for c in columns if c in names] for name, columns in kind.checksums.items()}
        self._covered = {name: columns for name, columns in covered.items() if columns}
        self._plain = pa.schema(fields)
        self._schema = schema_with_header([*fields, *(pa.field(n, CHECKSUM) for n in self._covered)], header)
        self._digest, self._facts = ContentDigest(kind.index(self._schema)), kind.facts(header)
        self._last: pa.RecordBatch | None = None  # waits: the very last one has the fingerprint
        self.path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self.path)
        self._temporary = beside(self.path)
        self._writer = pa.ipc.new_file(str(self._temporary), self._schema)

    @abstractmethod
    def _columns(self, rows: list[Any]) -> dict[str, pa.Array]:
        """The columns of some rows by name, in any order."""

    def __len__(self) -> int:
        return len(self._ids)

    def _put(self, row: Any) -> None:
        """Let a row, which has an id, wait for its batch."""
        if row.id in self._ids:
            raise InputError(f"two clips have the id {row.id}")
        self._ids.add(row.id)
        self._pending.append(row)

    def _flush(self) -> None:
        """Write the rows that wait as one batch."""
        if not self._pending:
            return
        columns, self._pending = self._columns(self._pending), []
        if self._last is not None:
            self._writer.write_batch(self._last)
        plain = pa.record_batch([columns[name] for name in self._plain.names], schema=self._plain)
        sums = [RowChecksums(plain, covered).column() for covered in self._covered.values()]
        self._last = pa.record_batch([*plain.columns, *sums], schema=self._schema)
        self._digest.update(self._last)

    def _commit(self) -> None:
        """Close the file, flush it to the disk and give it its name."""
        self._flush()
        if self._last is None:
            raise InputError(f"no clip to write: {self.path} was not made")
        fingerprint = self._digest.hexdigest(self._facts).encode()
        self._writer.write_batch(self._last, custom_metadata={_FINGERPRINT: fingerprint})
        self._writer.close()
        publish(self._temporary, self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._commit()
        finally:  # also of a disk that is full, which stays full while the file is there
            with contextlib.suppress(pa.ArrowException, OSError):
                self._writer.close()
            self._temporary.unlink(missing_ok=True)
