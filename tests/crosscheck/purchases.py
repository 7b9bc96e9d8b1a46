"""What customers bought and looked at: their stage, and the products that they touched last."""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from typing import TYPE_CHECKING, Any

from tests.crosscheck.documents import document
from tests.crosscheck.values import moment, word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.crosscheck.raw import Row
    from tests.crosscheck.records import Records

BUYER_DAYS = 365
Customer = tuple[str, str]


def days(records: Records, today: date) -> dict[Customer, set[date]]:
    """The days on which each customer bought."""
    found: dict[Customer, set[date]] = {}
    for order in records.orders:
        if order["customer"] and order["at"].date() <= today:
            found.setdefault((order["namespace"], order["customer"]), set()).add(order["at"].date())
    return found


def stage(bought: set[date], today: date) -> str:
    """At risk: more than one and a half of the usual time between the customer's own purchases has passed."""
    if not bought:
        return "non_buyer"
    since = (today - max(bought)).days
    if since > BUYER_DAYS:
        return "lapsed_buyer"
    if len(bought) > 1 and since / ((max(bought) - min(bought)).days / (len(bought) - 1)) > 1.5:
        return "at_risk_buyer"
    return "active_buyer"


def last_products(records: Records, today: date) -> dict[tuple[Customer, str], str]:
    """By customer and touch: the first product of the last purchase, and the product viewed last."""
    found: dict[tuple[Customer, str], tuple[Any, str]] = {}
    touches = [
        ((one["namespace"], one["customer"]), "purchased", (one["at"], str(one["order_id"]), -number), line)
        for one in records.orders
        for number, line in _entries(one.get("lines"))
    ]
    for one in records.sessions:
        for number, line in _entries(one.get("views")):
            at = moment(line.get("viewed_at")) or one["at"]
            who = one["namespace"], word(one.get("customer_id"))
            touches.append((who, "viewed", (at, str(one["session_id"]), number), line))
    for who, touch, order, line in touches:
        name = word(line.get("product_id"))
        if who[1] and name and order[0].date() <= today:
            found[who, touch] = max(found.get((who, touch), (order, name)), (order, name), key=lambda one: one[0])
    return {key: name for key, (_, name) in found.items()}


def entries(listed: Any) -> list[Any]:
    """The entries of a list, also of one that is written as text."""
    if isinstance(listed, str) and listed.startswith("["):
        with suppress(ValueError):
            listed = document(listed)
    return listed if isinstance(listed, list) else []


def _entries(listed: Any) -> Iterator[tuple[int, Row]]:
    for number, entry in enumerate(entries(listed), 1):
        found = _object(entry)
        if found is not None:
            yield number, found


def _object(entry: Any) -> Row | None:
    if isinstance(entry, str) and entry.startswith("{"):
        with suppress(ValueError):
            entry = document(entry)
    return entry if isinstance(entry, dict) else None
