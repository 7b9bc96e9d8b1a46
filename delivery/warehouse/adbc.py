"""Servers that an ADBC driver reads: one connection, Arrow batches as the driver streams them, errors without secrets.

What a server needs is a Source, and a class below Adbc where it has its own way with SQL or types.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import pyarrow as pa
import pyarrow.types as pt

from delivery.errors import ConfigError, DeliveryError, EngineDown, WriteFailed, redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# ADBC's own names of what trying again does not mend; a network that fails is IO, TIMEOUT or UNKNOWN.
REFUSALS = {"INVALID_ARGUMENT", "NOT_FOUND", "NOT_IMPLEMENTED", "UNAUTHENTICATED", "UNAUTHORIZED"}


@dataclass(frozen=True)
class Source:
    """A server and how it is reached. Its options, and with them the secrets, are never shown.

    name, place: for messages. driver: a module; package: what pip installs it by. options: of the driver's database, by
    the driver's names. statement: options of each statement. settings: where the operator sets all that.
    """

    name: str
    place: str
    driver: str
    package: str
    settings: str
    uri: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    statement: Mapping[str, str | int] = field(default_factory=dict)

    def without_secrets(self, text: str) -> str:
        """The text with each secret, and what looks like an address, replaced."""
        for secret in sorted(filter(None, self.secrets), key=len, reverse=True):
            text = text.replace(secret, "<secret>")
        return redact(text)


class Adbc:
    """An open connection.

    opening: the statements that come first; they also show that the server answers. refusals: what a server that
    answers says of a wrong login or name. held: what it says of a table that somebody held for too long. by_bytes: how
    its text is ordered by bytes.
    """

    keeps_order = False
    is_snapshot: bool = False
    opening: tuple[str, ...] = ("select 1",)
    refusals: ClassVar[tuple[str, ...]] = ()
    held: ClassVar[str] = "\0"  # nothing
    by_bytes: ClassVar[str] = "Let the server compare text by bytes, without a collation; build again."

    def __init__(self, connection: Any, source: Source) -> None:
        self._connection = connection
        self._source = source

    def as_elsewhere(self, field: pa.Field) -> pa.Field:
        """A column as other engines give it: times are UTC in microseconds, without a zone."""
        return pa.field(field.name, pa.timestamp("us") if pt.is_timestamp(field.type) else field.type)

    def begin(self) -> None:
        """Sends the opening statements."""
        for sql in self.opening:
            with self._connection.cursor() as cursor:
                cursor.execute(sql)

    def table(self, sql: str) -> pa.Table:
        """A small result, whole."""
        return pa.Table.from_batches(list(self.stream(sql)))

    def stream(self, sql: str, *, sorts: bool = False) -> Iterator[pa.RecordBatch]:  # noqa: ARG002 - the server sorts
        """A result of any size, batch by batch; at least one, so that the columns are known.

        Raises EngineDown when the server went away, WriteFailed for all else.
        """
        from adbc_driver_manager import Error

        try:
            with self._connection.cursor() as cursor:
                cursor.adbc_statement.set_options(**self._source.statement)
                cursor.execute(sql)
                reader = cursor.fetch_record_batch()
                schema = pa.schema([self.as_elsewhere(field) for field in reader.schema])
                yield pa.RecordBatch.from_pylist([], schema=schema)
                for batch in reader:
                    yield batch.rename_columns(schema.names).cast(schema)
        except (Error, OSError, pa.ArrowException) as error:  # a stream that breaks off is an OSError of Arrow's
            raise self._failed(error) from None

    def _failed(self, error: Exception) -> DeliveryError:
        """What the error means: the transaction is over, and perhaps the server is, too."""
        from adbc_driver_manager import Error

        said = self._source.without_secrets(str(error).strip().splitlines()[0])
        try:
            self._connection.rollback()
            self.begin()
        except Error:
            return EngineDown(
                f"{self._source.name} at {self._source.place} went away while it was read: {said}",
                hint="See that the server is up, then run again: what was not finished is resumed.",
            )
        self.is_snapshot = False  # what is read from here on may be of a later state: the gate looks again
        is_held = self.held in said
        return WriteFailed(
            f"{self._source.name} could not be read: {said}",
            hint="Wait for who holds the table, or set DELIVERY_LOCK_WAIT (seconds)."
            if is_held
            else "Run `dbt build` with this target, then run again.",
        )


Kind = TypeVar("Kind", bound=Adbc)


@contextmanager
def open_adbc(source: Source, kind: type[Kind]) -> Iterator[Kind]:
    """The source, to be read. Raises EngineDown when nothing answers, ConfigError for all that is refused."""
    from adbc_driver_manager import Error

    with connected(source, kind.refusals, autocommit=not kind.is_snapshot) as connection:
        engine = kind(connection, source)
        try:
            engine.begin()
        except Error as error:
            raise _not_let_in(error, source, kind.refusals) from None
        _check_order(engine, source)
        yield engine


@contextmanager
def connected(source: Source, refusals: tuple[str, ...], *, autocommit: bool) -> Iterator[Any]:
    """A connection of the driver's. Raises as open_adbc does. refusals: as Adbc has them."""
    if find_spec(source.driver) is None:
        raise ConfigError(
            f"The target needs {source.driver}, which is not installed.", hint=f"pip install '{source.package}'."
        )
    driver = import_module(f"{source.driver}.dbapi")
    from adbc_driver_manager import Error

    place = {"uri": source.uri} if source.uri else {}
    try:
        connection = driver.connect(**place, db_kwargs=dict(source.options), autocommit=autocommit)
    except Error as error:
        raise _not_let_in(error, source, refusals) from None
    try:
        yield connection
    finally:
        with suppress(Error):  # the server may be gone
            connection.close()


def _not_let_in(error: Any, source: Source, refusals: tuple[str, ...]) -> DeliveryError:
    said = source.without_secrets(" ".join(str(error).split()))
    if error.status_code.name in REFUSALS or any(words in said for words in refusals):
        return ConfigError(
            f"{source.name} at {source.place} does not let us in: {said}", hint=f"See that {source.settings} are right."
        )
    return EngineDown(
        f"{source.name} at {source.place} cannot be reached: {said}",
        hint=f"See that the server is up, and {source.settings} are right; then run again.",
    )


def _check_order(engine: Adbc, source: Source) -> None:
    """Rows leave in the order of their bytes, and models choose among rows by it."""
    if engine.table("select 'a' < 'B' as by_language").column(0)[0].as_py():
        raise ConfigError(
            f"{source.name} at {source.place} orders text by a language, not by bytes.",
            hint=engine.by_bytes,
        )
