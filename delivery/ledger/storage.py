"""Where the ledger lies: a private SQLite file, or any database that SQLAlchemy reaches; its errors become ours."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import StaticPool
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from delivery.errors import ConfigError, WriteFailed, redact

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK = 5_217_803  # any number, the same for all runners
TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
WAL_SECONDS = 5


class Storage:
    """One database. `begin` is one transaction."""

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        self.url = _parsed(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.path and not read_only:
            _create_private(self.path)
        self.engine = _engine(self.url, is_sqlite=self.is_sqlite, read_only=read_only)
        # SQLite takes one transaction at a time, and lets whoever has to wait sleep for longer than one takes.
        self._turn = threading.RLock() if self.is_sqlite else nullcontext()

    @property
    def path(self) -> Path | None:
        """The file of a SQLite ledger; None in memory and elsewhere."""
        database = self.url.database if self.is_sqlite else None
        return None if database in {None, "", ":memory:"} else Path(str(database))

    def describe(self) -> str:
        """The URL without secrets."""
        return self.url.set(query={}).render_as_string(hide_password=True)

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """One transaction. Raises WriteFailed."""
        with self._translated(), self._turn, self.engine.begin() as connection:
            yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error) as error:
            cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise WriteFailed(
                f"The ledger {self.describe()} failed: {redact(cause)}",
                hint="Nothing more was sent. Mend the ledger's storage and run again; `delivery ledger check` looks.",
            ) from None

    def copy_to(self, target: Path) -> None:
        """A whole copy of a SQLite ledger, as of one moment, private; replaces an older copy at once."""
        unfinished = target.with_name(f".{target.name}.part")
        unfinished.unlink(missing_ok=True)
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # SQLite would make it 0644
        # Outside of any transaction, or SQLite does not do it.
        with self._translated(), closing(self.engine.raw_connection()) as raw:
            cast("sqlite3.Connection", raw.driver_connection).execute("vacuum into ?", (str(unfinished),))
        with unfinished.open("rb") as copied:
            os.fsync(copied.fileno())
        unfinished.replace(target)

    def alone(self, connection: sa.Connection) -> None:
        """Lets no other transaction that says so begin before this one ends; those of SQLite exclude each other."""
        if self.url.get_backend_name() == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))

    def now(self, connection: sa.Connection) -> datetime:
        """The one clock that all runners share: the database's, where it has one of its own."""
        if self.is_sqlite:
            return datetime.now(UTC)
        there: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return there.astimezone(UTC)


def now() -> str:
    """The time as the ledger writes it."""
    return datetime.now(UTC).strftime(TIME)


def _parsed(url: str) -> sa.URL:
    try:
        return sa.make_url(url)
    except (ArgumentError, ValueError):  # which may show parts of it
        raise ConfigError(
            "The ledger's URL is not one.",
            hint="Write it as sqlite:////path/to/ledger.sqlite or postgresql+psycopg://user@host/database.",
        ) from None


def _engine(url: sa.URL, *, is_sqlite: bool, read_only: bool) -> sa.Engine:
    patient = is_sqlite and "timeout" not in url.query
    options: dict[str, Any] = {"connect_args": {"timeout": 30}} if patient else {}
    if is_sqlite and url.database in {None, "", ":memory:"}:  # one for all threads
        options = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
    try:
        # An upload may take an hour, and servers close what is idle so long.
        engine = sa.create_engine(url, **options, pool_pre_ping=not is_sqlite)
    except (NoSuchModuleError, ModuleNotFoundError):
        raise ConfigError(
            f"There is no driver for a ledger of {url.drivername}.",
            hint="Install it beside this program: `pip install 'dbt-delivery[postgres]'` for postgresql+psycopg.",
        ) from None
    if read_only:
        if is_sqlite:
            sa.event.listen(engine, "connect", _reading)
            return engine
        return engine.execution_options(postgresql_readonly=True)
    if is_sqlite:
        sa.event.listen(engine, "connect", _durable)
        sa.event.listen(engine, "begin", _exclusive)
    return engine


def _create_private(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise WriteFailed(
            f"The ledger {path} cannot be opened: {error.strerror}.",
            hint="Free the path, or name another with --ledger.",
        ) from None


def _durable(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver would begin at the first write: what was read before may be stale
    # SQLite does not wait with the change to WAL while another first runner makes it.
    for attempt in Retrying(
        retry=retry_if_exception_type(sqlite3.OperationalError),
        wait=wait_fixed(0.05),
        stop=stop_after_delay(WAL_SECONDS),
        reraise=True,
    ):
        with attempt:
            connection.execute("pragma journal_mode=wal")
    # A step that was recorded must survive a power cut: WAL syncs at commit only with synchronous=FULL.
    connection.execute("pragma synchronous=full")
    connection.execute("pragma foreign_keys=on")


def _reading(connection: Any, _record: Any) -> None:
    connection.execute("pragma query_only=on")


def _exclusive(connection: sa.Connection) -> None:
    connection.exec_driver_sql("begin immediate")
