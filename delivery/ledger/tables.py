"""The ledger's tables and their rows. A change here needs a new number in schema.py."""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple

import sqlalchemy as sa

METADATA = sa.MetaData()

deliveries = sa.Table(
    "deliveries",
    METADATA,
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
    sa.Column("asked_by", sa.Text),  # `schedule`, or `hand`
    sa.Column("corrects", sa.String(64)),  # the delivery whose rows changed since
    sa.Column("holder", sa.Text),  # the runner that has it in hand, until lease_until
    sa.Column("lease_until", sa.Text),
    sa.Column("fence", sa.Integer, nullable=False, server_default="0"),  # counts who had it in hand
    sa.Column("spooled_by", sa.Text),  # the runner whose disk has the spool
    sa.Column("layout", sa.Text),  # JSON: the columns of its files, and what kind of value each holds
    sa.Column("since", sa.String(64)),  # the delivery since which it tells the changes; NULL: it is whole
    sa.UniqueConstraint("campaign", "integration", "namespace", "slot", "window_start", "window_end", "revision"),
)
files = sa.Table(
    "files",
    METADATA,
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
    sa.Column("fence", sa.Integer, nullable=False, server_default="0"),  # in whose hand it was spooled
)
layouts = sa.Table(
    "layouts",
    METADATA,
    sa.Column("campaign", sa.Text, primary_key=True),
    sa.Column("integration", sa.Text, primary_key=True),
    sa.Column("columns", sa.Text, nullable=False),
    sa.Column("kinds", sa.Text),
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

probes = sa.Table(  # what each destination was seen to do; the newest replaces the one before
    "probes",
    METADATA,
    sa.Column("destination", sa.String(1024), primary_key=True),
    sa.Column("method", sa.Text),
    sa.Column("offers", sa.Text, nullable=False),
    sa.Column("software", sa.Text, nullable=False),
    sa.Column("probed_at", sa.Text, nullable=False),
)


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
    asked_by: str | None
    corrects: str | None
    holder: str | None
    lease_until: str | None
    fence: int
    spooled_by: str | None
    layout: str | None
    since: str | None

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
    fence: int


class Layout(NamedTuple):
    """The columns of a campaign's files for an integration, in order.

    kinds: what each holds (delivery/warehouse/kinds.py), None where it is not known; frozen_at: None before the first
    delivery.
    """

    columns: tuple[str, ...]
    kinds: tuple[str, ...] | None = None
    frozen_at: str | None = None


class Probe(NamedTuple):
    """One row of `probes`. method: how files are published there, None if no way is safe; offers: JSON."""

    destination: str
    method: str | None
    offers: str
    software: str
    probed_at: str


def delivery_id(campaign: str, integration: str, namespace: str, when: str, revision: int) -> str:
    """The key of a delivery: the same delivery has the same key wherever and whenever it is run.

    when: the window as `start/end`, or the schedule slot of a current-state dataset; never the time of the run.
    """
    return hashlib.sha256(json.dumps([campaign, integration, namespace, when, revision]).encode()).hexdigest()
