"""The ledger: what was promised, how far it got, and what was handed over. SQLite by default, any SQLAlchemy URL.

A delivery moves planned → spooled → delivered, each of its files spooled → uploaded → publishing → published; only
forward, each step one transaction that names the state it leaves (compare-and-set), so that two runners cannot both
take it. `held` waits for a person. The ledger holds names, counts and hashes: no row of data, no secret.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from delivery.errors import Busy, ConfigError, WriteFailed, redact

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA_VERSION = 1
_METADATA = sa.MetaData()

deliveries = sa.Table(
    "deliveries",
    _METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("campaign", sa.Text, nullable=False),
    sa.Column("integration", sa.Text, nullable=False),
    sa.Column("namespace", sa.Text, nullable=False),
    sa.Column("dataset", sa.Text, nullable=False),
    sa.Column("slot", sa.Text, nullable=False),
    sa.Column("window_start", sa.Text),
    sa.Column("window_end", sa.Text),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False, default=""),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("rows", sa.BigInteger),
    sa.Column("invocation_id", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("updated_at", sa.Text, nullable=False),
    sa.UniqueConstraint("campaign", "integration", "namespace", "slot", "window_start", "window_end", "revision"),
)
files = sa.Table(
    "files",
    _METADATA,
    sa.Column("delivery_id", sa.String(64), sa.ForeignKey("deliveries.id"), primary_key=True),
    sa.Column("part", sa.Integer, primary_key=True),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("spool", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("rows", sa.BigInteger),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("updated_at", sa.Text, nullable=False),
)
layouts = sa.Table(
    "layouts",
    _METADATA,
    sa.Column("campaign", sa.Text, primary_key=True),
    sa.Column("integration", sa.Text, primary_key=True),
    sa.Column("columns", sa.Text, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
)
steps = sa.Table(
    "steps",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("delivery_id", sa.String(64), sa.ForeignKey("deliveries.id"), nullable=False, index=True),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False, default=""),
)
meta = sa.Table("meta", _METADATA, sa.Column("key", sa.Text, primary_key=True), sa.Column("value", sa.Text))

OPEN_STATES = ("planned", "spooled")


class Delivery(NamedTuple):
    """One row of `deliveries`. Times are ISO 8601 in UTC; window_end is exclusive."""

    id: str
    campaign: str
    integration: str
    namespace: str
    dataset: str
    slot: str
    window_start: str | None
    window_end: str | None
    revision: int
    state: str
    note: str
    destination: str
    rows: int | None
    invocation_id: str | None
    reason: str | None
    created_at: str
    updated_at: str

    @property
    def title(self) -> str:
        """What people call it: campaign, integration, days and revision."""
        when = self.slot
        if self.window_start and self.window_end:
            when = f"[{self.window_start}, {self.window_end})"
        return f"{self.campaign} to {self.integration} {when}" + (f" r{self.revision}" if self.revision else "")


class File(NamedTuple):
    """One row of `files`. bytes and sha256 are of the file as it leaves, after compression."""

    delivery_id: str
    part: int
    role: str
    name: str
    spool: str
    state: str
    rows: int | None
    bytes: int
    sha256: str
    destination: str
    updated_at: str


def delivery_id(campaign: str, integration: str, namespace: str, when: str, revision: int) -> str:
    """The key of a delivery: the same delivery has the same key wherever and whenever it is run.

    when: the window as `start/end`, or the schedule slot of a current-state dataset; never the time of the run.
    """
    return hashlib.sha256(json.dumps([campaign, integration, namespace, when, revision]).encode()).hexdigest()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Ledger:
    """An open ledger. Every method is one transaction; SQLAlchemy's errors become WriteFailed."""

    def __init__(self, url: str) -> None:
        self._url = _parsed(url)
        if self._url.get_backend_name() == "sqlite":
            _create_private(self._url.database)
        self._engine = _engine(self._url)
        with self._begin() as connection:
            _METADATA.create_all(connection)
            self._check_version(connection)

    def _check_version(self, connection: sa.Connection) -> None:
        version = connection.execute(sa.select(meta.c.value).where(meta.c.key == "schema_version")).scalar()
        if version is None:
            connection.execute(meta.insert().values(key="schema_version", value=str(SCHEMA_VERSION)))
        elif version != str(SCHEMA_VERSION):
            raise WriteFailed(
                f"The ledger has schema version {version}; this program knows {SCHEMA_VERSION}.",
                hint="Use the program's version that wrote it, or a newer one.",
            )

    @contextmanager
    def _begin(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            cause = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise WriteFailed(
                f"The ledger {self._url.set(query={}).render_as_string(hide_password=True)} failed: {redact(cause)}",
                hint="Nothing more was sent. Mend the ledger's storage and run again.",
            ) from None

    def close(self) -> None:
        """Closes all connections."""
        self._engine.dispose()

    def plan(self, **values: Any) -> Delivery:
        """The delivery with that id, recorded as planned unless it is known."""
        now = _now()
        with self._begin() as connection:
            known = connection.execute(sa.select(deliveries).where(deliveries.c.id == values["id"])).first()
            if known is None:
                row = {"state": "planned", "note": "", "created_at": now, "updated_at": now, **values}
                connection.execute(deliveries.insert().values(row))
                _log(connection, values["id"], "planned", values.get("reason") or "")
        return self.delivery(values["id"])

    def delivery(self, key: str) -> Delivery:
        """One delivery; KeyError if it is unknown."""
        found = self.find(deliveries.c.id == key)
        if not found:
            raise KeyError(key)
        return found[0]

    def find(self, *conditions: sa.ColumnElement[bool]) -> list[Delivery]:
        """Deliveries that meet all the conditions, oldest first."""
        query = sa.select(deliveries).where(*conditions).order_by(deliveries.c.slot, deliveries.c.created_at)
        with self._begin() as connection:
            return [Delivery._make(row) for row in connection.execute(query)]

    def files(self, key: str) -> list[File]:
        """The files of a delivery, in the order in which they are handed over."""
        query = sa.select(files).where(files.c.delivery_id == key).order_by(files.c.part)
        with self._begin() as connection:
            return [File._make(row) for row in connection.execute(query)]

    def holder_of(self, destination: str, name: str, sha256: str) -> File | None:
        """The published file with that name and hash at that destination, if it is ours."""
        query = sa.select(files).where(
            files.c.destination == destination,
            files.c.name == name,
            files.c.sha256 == sha256,
            files.c.state == "published",
        )
        with self._begin() as connection:
            row = connection.execute(query).first()
        return File._make(row) if row else None

    def spooled(self, key: str, written: list[dict[str, Any]], **values: Any) -> None:
        """Records the spooled files of a planned delivery, all at once."""
        now = _now()
        with self._begin() as connection:
            self._advance(connection, key, "planned", "spooled", now, values)
            connection.execute(files.delete().where(files.c.delivery_id == key))
            for row in written:
                connection.execute(files.insert().values(delivery_id=key, state="spooled", updated_at=now, **row))

    def resend(self, key: str, *, anew: bool, note: str) -> None:
        """Puts a held delivery back: its unpublished files to `spooled`, or itself to `planned` to be written anew."""
        with self._begin() as connection:
            self._advance(connection, key, "held", "planned" if anew else "spooled", _now(), {"note": note})
            connection.execute(
                files.update()
                .where(files.c.delivery_id == key, files.c.state != "published")
                .values(state="spooled", updated_at=_now())
            )

    def advance(self, key: str, before: str, after: str, **values: Any) -> None:
        """Moves a delivery from one state to the next. Raises Busy when it is no longer in `before`."""
        with self._begin() as connection:
            self._advance(connection, key, before, after, _now(), values)

    def _advance(
        self, connection: sa.Connection, key: str, before: str, after: str, now: str, values: dict[str, Any]
    ) -> None:
        changed = connection.execute(
            deliveries.update()
            .where(deliveries.c.id == key, deliveries.c.state == before)
            .values(state=after, updated_at=now, **{"note": "", **values})
        )
        if changed.rowcount != 1:
            raise Busy(
                f"Delivery {key[:12]} is no longer {before}: another runner took it.",
                hint="Wait for the other runner, then `delivery status`.",
            )
        _log(connection, key, after, str(values.get("note", "")))

    def advance_file(self, file: File, after: str) -> File:
        """Moves a file to its next state. Raises Busy when it is no longer in the state that `file` has."""
        now = _now()
        with self._begin() as connection:
            changed = connection.execute(
                files.update()
                .where(files.c.delivery_id == file.delivery_id, files.c.part == file.part, files.c.state == file.state)
                .values(state=after, updated_at=now)
            )
            if changed.rowcount != 1:
                raise Busy(
                    f"{file.name} is no longer {file.state}: another runner took it.",
                    hint="Wait for the other runner, then `delivery status`.",
                )
            _log(connection, file.delivery_id, after, file.name)
        return file._replace(state=after, updated_at=now)

    def note(self, key: str, text: str) -> None:
        """Leaves a remark on a delivery without moving it; text is already free of addresses."""
        with self._begin() as connection:
            connection.execute(deliveries.update().where(deliveries.c.id == key).values(note=text, updated_at=_now()))
            _log(connection, key, "note", text)

    def steps(self, key: str) -> list[tuple[str, str, str]]:
        """(time, step, note) of a delivery, in order."""
        query = sa.select(steps.c.at, steps.c.step, steps.c.note).where(steps.c.delivery_id == key).order_by(steps.c.id)
        with self._begin() as connection:
            return [(row.at, row.step, row.note) for row in connection.execute(query)]

    def all_files(self) -> list[File]:
        """The files of every delivery."""
        with self._begin() as connection:
            return [File._make(row) for row in connection.execute(sa.select(files).order_by(files.c.delivery_id))]

    def times(self) -> list[datetime]:
        """When the ledger was written to, step by step, and when `prune` ran; in order."""
        with self._begin() as connection:
            found = {row.at for row in connection.execute(sa.select(steps.c.at).distinct())}
            ticks = connection.execute(sa.select(meta.c.value).where(meta.c.key.startswith("pruned ")))
            return sorted(datetime.fromisoformat(at) for at in found | {row.value for row in ticks})

    def tick(self, at: datetime) -> None:
        """Records that time passed until then; one entry a day is kept."""
        day, value = f"pruned {at:%Y-%m-%d}", at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        with self._begin() as connection:
            if not connection.execute(meta.update().where(meta.c.key == day).values(value=value)).rowcount:
                connection.execute(meta.insert().values(key=day, value=value))

    def layout(self, campaign: str, integration: str) -> tuple[str, ...] | None:
        """The columns that the campaign's first delivery to the integration had."""
        query = sa.select(layouts.c.columns).where(layouts.c.campaign == campaign, layouts.c.integration == integration)
        with self._begin() as connection:
            columns = connection.execute(query).scalar()
        return tuple(json.loads(columns)) if columns else None

    def freeze_layout(self, campaign: str, integration: str, columns: tuple[str, ...]) -> None:
        """Keeps the columns of the first delivery; a later call changes nothing."""
        with self._begin() as connection:
            row = {"campaign": campaign, "integration": integration}
            if connection.execute(sa.select(layouts).filter_by(**row)).first() is None:
                connection.execute(layouts.insert().values(**row, columns=json.dumps(columns), created_at=_now()))


def _log(connection: sa.Connection, key: str, step: str, note: str) -> None:
    connection.execute(steps.insert().values(delivery_id=key, at=_now(), step=step, note=note))


def _parsed(url: str) -> sa.URL:
    try:
        return sa.make_url(url)
    except (ArgumentError, ValueError):  # which may show parts of it
        raise ConfigError(
            "The ledger's URL is not one.", hint="Write it as sqlite:////path/to/ledger.sqlite."
        ) from None


def _engine(url: sa.URL) -> sa.Engine:
    is_sqlite = url.get_backend_name() == "sqlite"
    patient = is_sqlite and "timeout" not in url.query
    try:
        engine = sa.create_engine(url, connect_args={"timeout": 30} if patient else {})
    except (NoSuchModuleError, ModuleNotFoundError):
        raise ConfigError(
            f"There is no driver for a ledger of {url.drivername}.", hint="Install it beside this program."
        ) from None
    if is_sqlite:
        sa.event.listen(engine, "connect", _durable)
        sa.event.listen(engine, "begin", _exclusive)
    return engine


def _create_private(database: str | None) -> None:
    if not database or database == ":memory:":
        return
    path = Path(database)
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
    # A step that was recorded must survive a power cut: WAL syncs at commit only with synchronous=FULL.
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma synchronous=full")
    connection.execute("pragma foreign_keys=on")


def _exclusive(connection: sa.Connection) -> None:
    connection.exec_driver_sql("begin immediate")
