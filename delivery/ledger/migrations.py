"""From each version of the ledger's schema to the next. New tables need nothing here: they are created when missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from alembic.operations import Operations


def to_2(op: Operations) -> None:
    """Corrections, several runners, and an identity of the ledger."""
    for name in ("asked_by", "holder", "lease_until", "spooled_by"):
        op.add_column("deliveries", sa.Column(name, sa.Text))
    op.add_column("deliveries", sa.Column("corrects", sa.String(64)))
    for table in ("deliveries", "files"):
        op.add_column(table, sa.Column("fence", sa.Integer, nullable=False, server_default="0"))


def to_3(op: Operations) -> None:
    """Kinds of values in layouts, and deliveries that tell changes."""
    op.add_column("deliveries", sa.Column("layout", sa.Text))
    op.add_column("deliveries", sa.Column("since", sa.String(64)))
    op.add_column("layouts", sa.Column("kinds", sa.Text))


STEPS = {2: to_2, 3: to_3}
