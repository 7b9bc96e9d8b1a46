"""The ledger's tables: each column is declared once, in the row that it is part of.

A change here needs a new number: a ledger of another one is refused (decision 0030).
"""

from __future__ import annotations

import hashlib
import json
import secrets
from types import MappingProxyType, NoneType
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_args, get_type_hints

import sqlalchemy as sa

from delivery.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from delivery.ledger.storage import Storage

VERSION = 7
METADATA = sa.MetaData()


class Kind(NamedTuple):
    """How a column is stored, where that is more than text or a whole number."""

    type: sa.types.TypeEngine[Any]
    server_default: str | None = None


Hash = Annotated[str, Kind(sa.String(64))]
Place = Annotated[str, Kind(sa.String(1024))]
Count = Annotated[int, Kind(sa.BigInteger())]
Fence = Annotated[int, Kind(sa.Integer(), "0")]  # counts who had it in hand


class Delivery(NamedTuple):
    """One row of `deliveries`. Times are ISO 8601 in UTC; window_end is exclusive."""

    id: Hash
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
    rows: Count | None
    invocation_id: str | None
    reason: str | None
    created_at: str
    updated_at: str
    asked_by: str | None  # `schedule`, or `hand`
    corrects: Hash | None  # the delivery whose rows changed since
    holder: str | None  # the runner that has it in hand, until lease_until
    lease_until: str | None
    fence: Fence
    spooled_by: str | None  # the runner whose disk has the spool, and the receipt
    layout: str | None  # JSON: the columns of its files, and what kind of value each holds
    since: Hash | None  # the delivery since which it tells the changes; NULL: it is whole
    rejected: Count | None  # rows of the client and window that could not become rows of the dataset

    @property
    def title(self) -> str:
        """What people call it: campaign, integration, days and revision."""
        when = self.slot
        if self.window_start and self.window_end:
            when = f"[{self.window_start}, {self.window_end})"
        return f"{self.campaign} to {self.integration} {when}" + (f" r{self.revision}" if self.revision else "")


class Recorded(NamedTuple):
    """What is asked of thousands of deliveries: the columns of the same names, of a row of `deliveries`."""

    id: str
    integration: str
    namespace: str
    slot: str
    window_start: str | None
    window_end: str | None
    revision: int
    state: str
    note: str
    corrects: str | None
    updated_at: str
    spooled_by: str | None


class Past(NamedTuple):
    """What schedules ask of a delivery: of the columns of these names, those that many clients have alike."""

    slot: str
    window_start: str | None
    window_end: str | None
    revision: int
    state: str
    asked_by: str | None


class Ended(NamedTuple):
    """What corrections ask of a window's newest deliveries that ended, to whomever, by the runner that wrote them.

    first, last: of the times of their last steps.
    """

    window_start: str
    window_end: str
    spooled_by: str | None
    first: str
    last: str
    ids: list[str]


class File(NamedTuple):
    """One row of `files`. bytes and sha256 are of the file as it leaves, after compression."""

    delivery_id: Hash
    part: int
    role: str
    name: str
    spool: str
    state: str
    rows: Count | None
    bytes: Count
    sha256: Hash
    destination: str
    updated_at: str
    fence: Fence  # in whose hand it was spooled


class Layout(NamedTuple):
    """The columns of a campaign's files for an integration, in order.

    kinds: what each holds (delivery/warehouse/kinds.py), None where it is not known; frozen_at: None before the first
    delivery; labels: what each is called in the files, by their own names where it is None; rows: by column, the values
    whose rows are sent.
    """

    columns: tuple[str, ...]
    kinds: tuple[str, ...] | None = None
    frozen_at: str | None = None
    labels: tuple[str, ...] | None = None
    rows: Mapping[str, tuple[str, ...]] = MappingProxyType({})


class Probe(NamedTuple):
    """One row of `probes`: what a destination was last seen to do.

    method: how files are published there, None if no way is safe; offers: JSON.
    """

    destination: Place
    method: str | None
    offers: str
    software: str
    probed_at: str


class Fetch(NamedTuple):
    """One row of `fetches`: a user was sent a file, or some of it. id: of the line of the log that says so.

    door: `page`, `sftp` or `check`; start: the first byte asked for; bytes: how many went; size: of the whole file.
    """

    id: Hash
    delivery_id: Hash
    part: int
    login: str
    door: str
    at: str
    start: Count
    bytes: Count
    size: Count


def _table(name: str, row: type, *constraints: sa.Constraint, key: tuple[str, ...]) -> sa.Table:
    """The table whose columns are the row's fields: nullable where a field may be None."""
    hints = get_type_hints(row, include_extras=True)
    columns = (_column(field, hints[field], is_key=field in key) for field in row.__annotations__)
    return sa.Table(name, METADATA, *columns, *constraints)


def _column(name: str, hint: Any, *, is_key: bool) -> sa.Column[Any]:
    may_be_null = NoneType in get_args(hint)
    declared = get_args(hint)[0] if may_be_null else hint
    _, kind = get_args(declared) or (declared, Kind(sa.Text() if declared is str else sa.Integer()))
    return sa.Column(name, kind.type, primary_key=is_key, nullable=may_be_null, server_default=kind.server_default)


deliveries = _table(
    "deliveries",
    Delivery,
    sa.UniqueConstraint("campaign", "integration", "namespace", "slot", "window_start", "window_end", "revision"),
    key=("id",),
)
sa.Index("deliveries_newest", deliveries.c.slot, deliveries.c.created_at)  # a ledger from before it is read without
files = _table("files", File, sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"]), key=("delivery_id", "part"))
fetches = _table("fetches", Fetch, sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"]), key=("id",))
probes = _table("probes", Probe, key=("destination",))
layouts = sa.Table(
    "layouts",
    METADATA,
    sa.Column("campaign", sa.Text, primary_key=True),
    sa.Column("integration", sa.Text, primary_key=True),
    sa.Column("columns", sa.Text, nullable=False),
    sa.Column("kinds", sa.Text),
    sa.Column("labels", sa.Text),
    sa.Column("rows", sa.Text),
    sa.Column("created_at", sa.Text, nullable=False),
)
steps = sa.Table(
    "steps",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("delivery_id", sa.String(64), sa.ForeignKey("deliveries.id"), nullable=False, index=True),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False, default=""),
)
meta = sa.Table("meta", METADATA, sa.Column("key", sa.Text, primary_key=True), sa.Column("value", sa.Text))


def prepare(storage: Storage) -> None:
    """Creates the tables of a new ledger. Raises ConfigError, and changes nothing, when its schema is another."""
    with storage.begin() as connection:
        storage.alone(connection)
        if not sa.inspect(connection).has_table("meta"):
            METADATA.create_all(connection)
            connection.execute(
                meta.insert(),
                [{"key": "schema_version", "value": str(VERSION)}, {"key": "id", "value": secrets.token_hex(8)}],
            )
            return
        _check_version(storage, connection)


def is_prepared(storage: Storage) -> bool:
    """Whether a ledger is there, of our schema; nothing is written. Raises ConfigError when it is of another."""
    with storage.begin() as connection:
        is_there = sa.inspect(connection).has_table("meta")
        if is_there:
            _check_version(storage, connection)
        return is_there


def _check_version(storage: Storage, connection: sa.Connection) -> None:
    found = connection.execute(sa.select(meta.c.value).where(meta.c.key == "schema_version")).scalar()
    if found != str(VERSION):
        raise ConfigError(
            f"The ledger {storage.describe()} has schema version {found or 'unknown'}; this program reads {VERSION}.",
            hint="Nothing was written or sent. Run the version of this program that wrote it, or name another ledger "
            "with --ledger; `delivery ledger adopt` then holds what that one does not know.",
        )


def delivery_id(campaign: str, integration: str, namespace: str, when: str, revision: int) -> str:
    """The key of a delivery: the same delivery has the same key wherever and whenever it is run.

    when: the window as `start/end`, or the schedule slot of a current-state dataset; never the time of the run.
    """
    return hashlib.sha256(json.dumps([campaign, integration, namespace, when, revision]).encode()).hexdigest()
