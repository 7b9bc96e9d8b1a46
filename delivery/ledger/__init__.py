"""The ledger: what was promised, how far it got, and what was handed over.

tables: what it holds. storage, schema: where it lies. book: the steps of deliveries. leases: which of
several runners has a delivery in hand. identity: whether this is the ledger that the state directory knows. health:
looking for what must not be. opened: all of it, as a run needs it.
"""

from delivery.ledger.book import Ledger
from delivery.ledger.tables import OPEN_STATES, Delivery, File, Layout, deliveries, delivery_id

__all__ = ["OPEN_STATES", "Delivery", "File", "Layout", "Ledger", "deliveries", "delivery_id"]
