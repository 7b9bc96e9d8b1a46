"""`audience_attributes`: one row per namespace and customer who can be reached, as things are on a day."""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import phonenumbers

from tests.crosscheck import purchases
from tests.crosscheck.documents import document
from tests.crosscheck.raw import Row, can_be, landed, lines
from tests.crosscheck.values import BLANKS, code, day, decimal, double, key, moment, text, truth, whole, word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.crosscheck.records import Records

SCORES = ("pclv", "discount_affinity", "likelihood_to_unsubscribe", "likelihood_to_click", "likelihood_to_open",
          "likelihood_to_convert")  # fmt: skip
AFFINITIES = ("channel_affinity_email", "channel_affinity_sms")
DASHES = re.compile("[\u2010-\u2013]")
BANDS = {("acme_outdoor", "pclv"): (40, 80)}
# A custom attribute: its type, the client that has it, its name there.
ATTRIBUTES = {
    "first_name": ("text", None, "first_name"),
    "last_name": ("text", None, "last_name"),
    "birthday_day": ("whole", None, "birthday_day"),
    "birthday_month": ("whole", None, "birthday_month"),
    "favourite_activity": ("text", "acme_outdoor", "favourite_activity"),
    "member_since": ("day", "acme_outdoor", "member_since"),
    "shoe_size": ("size", "acme_outdoor", "shoe_size"),
    "skin_type": ("text", "brightside_beauty", "skin_type"),
    "is_vip": ("truth", "brightside_beauty", "vip"),
    "genre": ("text", "nordlicht_books", "genre"),
}


def rows(folder: Path, records: Records, unsubscribed: set[tuple[str, str]], today: date) -> Iterator[Row]:
    """unsubscribed: namespace and address of those who may get no email."""
    scores, bought = _scores(folder, records), purchases.days(records, today)
    products = purchases.last_products(records, today)
    for (namespace, customer), row in records.customers.items():
        who = namespace, customer
        country = text(records.namespaces[namespace].get("default_country"))
        phone = _phone([row.get("phone"), *purchases.entries(row.get("phones"))], country)
        if not (row["address"] or phone):
            continue
        found: Row = {
            "namespace": namespace, "customer_id": customer, "email": row["address"], "phone": phone,
            "is_unsubscribed": (namespace, row["address"]) in unsubscribed,
            "email_consent": truth(row.get("email_consent")) is True,
            "sms_consent": truth(row.get("sms_consent")) is True,
            "lifecycle_stage": purchases.stage(bought.get(who, set()), today),
            "unique_key": key(namespace, customer),
        }  # fmt: skip
        own = _fields(row.get("attributes"))
        for name, (kind, client, field) in ATTRIBUTES.items():
            found[name] = typed(own.get(field), kind) if client in (None, namespace) else None
        for touch in ("viewed", "purchased"):
            product = products.get((who, touch))
            said = _fields(records.products.get((namespace, str(product)), {}).get("attributes"))
            found[f"last_{touch}_product_id"] = product
            found |= {f"last_{touch}_product_{name}": typed(said.get(name), "text") for name in ("name", "category")}
            found[f"last_{touch}_product_price"] = typed(said.get("price"), "price")
        yield found | _scored(namespace, scores.get(who, {}))


def typed(value: Any, kind: str) -> Any:
    """A value of a type; None for what is not of it."""
    if value is None:
        return None
    if kind == "text":
        return value if isinstance(value, str) else text(value)
    readers: dict[str, Any] = {"day": day, "truth": truth, "whole": whole}
    if kind in readers:
        return readers[kind](value)
    return decimal(value, *((3, 1) if kind == "size" else (10, 2)))


def _fields(said: Any) -> Row:
    """The fields of an object, also of one that is written as text."""
    if isinstance(said, str):
        with suppress(ValueError):
            said = document(said)
    return said if isinstance(said, dict) else {}


def _phone(given: list[Any], country: str | None) -> str | None:
    """The first that can be somebody's, in E.164."""
    for one in given:
        said = "".join(" " if sign in BLANKS else sign for sign in word(one) or "")
        said = DASHES.sub("-", said).replace("(0)", "")
        if not said.isascii() or any(sign.isalpha() for sign in said):
            continue
        with suppress(phonenumbers.NumberParseException):
            number = phonenumbers.parse(said, (country or "").upper() or None)
            possible = phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE
            if possible and not _begins_wrong(number):
                return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
    return None


def _begins_wrong(number: phonenumbers.PhoneNumber) -> bool:
    """Italy's numbers may begin with a nought; North America's with neither nought nor one."""
    first = phonenumbers.national_significant_number(number)[0]
    return number.country_code != 39 and first in ("01" if number.country_code == 1 else "0")


def _scores(folder: Path, records: Records) -> dict[tuple[str, str], dict[str, tuple[int, Any]]]:
    """Percentile and time of each customer's newest score of each name: of those with a lower one, among all others."""
    newest: dict[tuple[str, str, str], tuple[Any, float]] = {}
    for path, _, row in lines(folder / "data_science/scores"):
        if not isinstance(row, dict):
            continue
        who = str(word(row.get("namespace"))), str(word(row.get("customer_id")))
        name, at, raw = code(row.get("model")), moment(row.get("computed_at")), double(row.get("score"))
        if not at or not can_be(at, landed(path)):
            continue
        if who in records.customers and name in (*SCORES, *AFFINITIES) and raw is not None:
            before = newest.get((*who, name))
            newest[(*who, name)] = (at, raw) if before is None or at >= before[0] else before
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    for (namespace, _, name), (_, raw) in newest.items():
        groups[namespace, name].append(raw)
    lower: dict[tuple[str, str], dict[float, int]] = {}
    for group, raws in groups.items():
        raws.sort()
        lower[group] = {raw: place for place, raw in reversed(list(enumerate(raws)))}
    found: dict[tuple[str, str], dict[str, tuple[int, Any]]] = defaultdict(dict)
    for (namespace, customer, name), (at, raw) in newest.items():
        others = len(groups[namespace, name]) - 1
        found[namespace, customer][name] = (100 * lower[namespace, name][raw] // others if others else 0, at)
    return found


def _scored(namespace: str, scores: dict[str, tuple[int, Any]]) -> Row:
    found: Row = {"score_computed_at": min((at for _, at in scores.values()), default=None)}
    for name in (*SCORES, *AFFINITIES):
        percentile = scores[name][0] if name in scores else None
        found[name] = percentile
        if name in SCORES:
            medium, high = BANDS.get((namespace, name), (34, 67))
            band = (
                None
                if percentile is None
                else "high"
                if percentile >= high
                else "medium"
                if percentile >= medium
                else "low"
            )
            found[f"{name}_band"] = band
    return found
