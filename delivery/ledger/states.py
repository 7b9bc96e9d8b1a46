"""The words that the ledger has for how far things got; what is stored and shown is their text."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Of a delivery."""

    PLANNED = "planned"
    SPOOLED = "spooled"
    DELIVERED = "delivered"
    SKIPPED = "skipped"  # there was nothing to send
    HELD = "held"  # a person decides
    CANCELLED = "cancelled"


class FileState(StrEnum):
    """Of one file; see transfer/protocol.py."""

    SPOOLED = "spooled"
    UPLOADED = "uploaded"
    PUBLISHING = "publishing"
    OPENING = "opening"
    PUBLISHED = "published"
    UNCONFIRMED = "unconfirmed"
    PRUNED = "pruned"


class Role(StrEnum):
    """What a file is for."""

    DATA = "data"
    MANIFEST = "manifest"
    DONE = "done"


class AskedBy(StrEnum):
    """Who wanted a delivery."""

    SCHEDULE = "schedule"
    HAND = "hand"


OPEN_STATES = (State.PLANNED, State.SPOOLED)
ENDED_WELL = (State.DELIVERED, State.SKIPPED)
ENDED = (*ENDED_WELL, State.CANCELLED)
NOT_LEFT = (FileState.SPOOLED, FileState.UPLOADED)  # under no name that a client looks for
