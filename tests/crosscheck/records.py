"""What the platform, the shop and the scientists say, each record once: its newest version, or the run as it was."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.crosscheck.raw import CLOCKS, Row, can_be, landed, lines
from tests.crosscheck.values import address, amount, code, is_possible, joined, moment, text, truth, whole, word
from tests.crosscheck.words import NO_PURCHASES, digits

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN = ("campaign_id", "campaign_name", "campaign_classification", "campaign_run_time", "subject_line")
CURRENCY = re.compile("[A-Z]{3}")


@dataclass
class Records:
    """All of them, by namespace and id; of clients that the platform knows, but for runs and journeys.

    said: the newest version of each customer, also of one without an id. withdrawn: who withdrew consent, at which
    address, when, and when that was told: (namespace, customer, address, time, told at).
    """

    namespaces: dict[str, Row] = field(default_factory=dict)
    runs: dict[tuple[str, str], Row] = field(default_factory=dict)
    journeys: dict[tuple[str, str], list[tuple[datetime, str | None]]] = field(default_factory=dict)
    customers: dict[tuple[str, str], Row] = field(default_factory=dict)
    said: list[Row] = field(default_factory=list)
    withdrawn: list[tuple[str, str | None, str | None, datetime, datetime]] = field(default_factory=list)
    products: dict[tuple[str, str], Row] = field(default_factory=dict)
    orders: list[Row] = field(default_factory=list)
    sessions: list[Row] = field(default_factory=list)

    def journey(self, namespace: str, journey: str | None, ran: datetime) -> str | None:
        """The name of a journey when a run began; one that has one version always has it."""
        versions = sorted(self.journeys.get((namespace, str(journey)), []), key=lambda one: (one[0], one[1] or ""))
        name = versions[0][1] if versions else None
        for at, later in versions[1:]:
            name = later if ran >= at else name
        return name


def read(folder: Path) -> Records:
    """Of a landing folder."""
    found = Records()
    for row in newest(folder / "platform/namespaces", "updated_at", "namespace"):
        found.namespaces[row["namespace"]] = row
    found.runs = _runs(folder)
    for row in _records(folder / "platform/journeys", "updated_at", to_come=True):
        if (namespace := word(row.get("namespace"))) and (journey := word(row.get("journey_id"))):
            name = row.get("journey_name")
            version = (row["updated_at"], name if isinstance(name, str) else text(name))
            versions = found.journeys.setdefault((namespace, journey), [])
            versions.append(version) if version not in versions else None
    found.said = list(_customers(folder, found))
    found.withdrawn = list(_withdrawn(folder, found))
    found.customers = {(row["namespace"], row["customer_id"]): row for row in found.said if row["customer_id"]}
    for row in newest(folder / "commerce/products", "updated_at", "namespace", "product_id"):
        found.products[row["namespace"], row["product_id"]] = row
    found.orders = _orders(folder, found)
    found.sessions = [
        row | {"at": at}
        for row in newest(folder / "commerce/sessions", "updated_at", "namespace", "session_id", needs=("started_at",))
        if row["namespace"] in found.namespaces and (at := moment(row["started_at"]))
    ]
    return found


def _records(folder: Path, time: str, *, to_come: bool = False) -> Iterator[Row]:
    """The records of a folder that say when they were as they say, oldest first; of one time in the order of files.

    to_come: also those of a time after their file was written.
    """
    dated = [
        value | {time: at, "landed": landed(path)}
        for path, _, value in lines(folder)
        if isinstance(value, dict) and (at := moment(value.get(time))) and (to_come or can_be(at, landed(path)))
    ]
    yield from sorted(dated, key=lambda row: row[time])


def newest(folder: Path, time: str, *keys: str, needs: tuple[str, ...] = ()) -> list[Row]:
    """The newest version of each record that has all its keys, and the times that it needs."""
    found = {}
    for row in _records(folder, time):
        own = {name: word(row.get(name)) for name in keys}
        if None not in own.values() and all(
            (at := moment(row.get(name))) and can_be(at, row["landed"]) for name in needs
        ):
            found[tuple(own.values())] = row | own
    return list(found.values())


def _runs(folder: Path) -> dict[tuple[str, str], Row]:
    """Each campaign run as it ran: the first version that says all that its events need."""
    found: dict[tuple[str, str], Row] = {}
    for row in _records(folder / "platform/campaign_runs", "updated_at", to_come=True):
        namespace, name = word(row.get("namespace")), word(row.get("campaign_run_id"))
        if not (namespace and name):
            continue
        run = {
            "campaign_id": whole(row.get("campaign_id")),
            "campaign_run_time": moment(row.get("campaign_run_time")),
            "audience_id": joined(row.get("audience_id")),
            "journey_id": word(row.get("journey_id")),
            "updated_at": row["updated_at"],
            **{part: text(row.get(part)) if word(row.get(part)) else None for part in (*RUN[1:3], RUN[4])},
            "tracking_parameters": _said(row.get("tracking_parameters")),
        }
        run["is_complete"] = all(run[part] is not None for part in RUN)
        known = found.get((namespace, name))
        if known is None or (run["is_complete"] and not known["is_complete"]):
            found[namespace, name] = run | {"audience_id": run["audience_id"] or (known and known["audience_id"])}
        elif not known["audience_id"]:
            known["audience_id"] = run["audience_id"]
    return found


def _said(value: Any) -> str | None:
    """Text, also the empty one."""
    return "" if value == "" else text(value)


def _customers(folder: Path, known: Records) -> Iterator[Row]:
    """The newest version of each customer, with the last dated consent of all its versions."""
    people: dict[Any, list[Row]] = defaultdict(list)
    for number, row in enumerate(_records(folder / "platform/customers", "updated_at")):
        namespace, customer = word(row.get("namespace")), word(row.get("customer_id"))
        if namespace in known.namespaces:
            people[namespace, customer or number].append(row | {"namespace": namespace, "customer_id": customer})
    for versions in people.values():
        row = versions[-1]
        email = address(row.get("email"))
        consents = [
            (at, truth(one.get("email_consent")), one["landed"] + CLOCKS)
            for one in versions
            if (at := moment(one.get("email_consent_at")))
        ]
        yield row | {
            "address": email if email and is_possible(email) else None,
            "opted_in": max((at for at, said, end in consents if said is True and at < end), default=None),
        }


def _withdrawn(folder: Path, known: Records) -> Iterator[tuple[str, str | None, str | None, datetime, datetime]]:
    """Each withdrawal with a date, also one that cannot be read, of each record, also of one that has no time."""
    for path, _, row in lines(folder / "platform/customers"):
        if not isinstance(row, dict) or truth(row.get("email_consent")) is not False:
            continue
        written, told = landed(path), moment(row.get("updated_at"))
        if told is None or not can_be(told, written):
            told = written
        namespace, email = word(row.get("namespace")), address(row.get("email"))
        if namespace in known.namespaces and word(row.get("email_consent_at")):
            at = moment(row["email_consent_at"]) or told
            yield namespace, word(row.get("customer_id")), email if email and is_possible(email) else None, at, told


def _orders(folder: Path, known: Records) -> list[Row]:
    """Orders in their client's currency, with whose they are: by name, or by an address that only one customer has."""
    told = [
        row
        | {
            "namespace": word(row.get("namespace")),
            "order_id": word(row.get("order_id")),
            "at": at,
            "money": amount(row.get("total")),
            "currency": str(code(row.get("currency")) or "").upper(),
            "bought": re.sub("[_-]", " ", code(row.get("status")) or "") not in NO_PURCHASES,
        }
        for row in _records(folder / "commerce/orders", "updated_at")
        if (at := moment(row.get("ordered_at"))) and can_be(at, row["landed"])
    ]
    usual = _currencies(told, known)
    found: dict[Any, Row] = {}
    for row in told:
        namespace, number, money = row["namespace"], row["order_id"], row["money"]
        if namespace not in known.namespaces or number is None:
            continue
        if row["bought"]:
            currency = row["currency"] or usual[namespace]
            if money is None or currency != usual[namespace]:
                continue
            money = money.quantize(Decimal(1).scaleb(-digits(currency)), ROUND_HALF_UP)
        found[namespace, number] = row | {"money": money}
    owners: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (namespace, customer), row in known.customers.items():
        if row["address"]:
            owners[namespace, row["address"]].append(customer)
    for row in found.values():
        row["customer"], row["address"] = word(row.get("customer_id")), address(row.get("email"))
        alone = owners.get((row["namespace"], row["address"] or ""), [])
        if row["customer"] is None and len(alone) == 1:
            row["customer"] = alone[0]
    return [row for row in found.values() if row["bought"]]


def _currencies(told: list[Row], known: Records) -> dict[str, str]:
    """The currency that each client names (three letters), or that most orders have; of two as many, the first."""
    orders: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in told:
        if row["bought"] and row["currency"] and row["money"] is not None:
            orders[row["namespace"]][row["currency"]].add(row["order_id"])
    most = {name: min(used, key=lambda one, used=used: (-len(used[one]), one)) for name, used in orders.items()}
    return {
        name: named if CURRENCY.fullmatch(named := str(code(row.get("currency")) or "").upper()) else most.get(name, "")
        for name, row in known.namespaces.items()
    }
