"""The ledger: what was promised, how far it got, and what was handed over.

tables: what it holds. states: the words for how far it got. storage: where it lies. book: the steps of deliveries.
leases, lock: which of several runners has a delivery in hand. identity: whether this is the ledger that the state
directory knows. opened: all of it, as a run needs it. fetches: what clients took from the share.
"""

from delivery.ledger.book import Ledger
from delivery.ledger.states import ENDED, ENDED_WELL, NOT_LEFT, OPEN_STATES, AskedBy, FileState, Role, State
from delivery.ledger.tables import Delivery, Ended, Fetch, File, Layout, Past, Recorded, deliveries, delivery_id

__all__ = [
    "ENDED",
    "ENDED_WELL",
    "NOT_LEFT",
    "OPEN_STATES",
    "AskedBy",
    "Delivery",
    "Ended",
    "Fetch",
    "File",
    "FileState",
    "Layout",
    "Ledger",
    "Past",
    "Recorded",
    "Role",
    "State",
    "deliveries",
    "delivery_id",
]
