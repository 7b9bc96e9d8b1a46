"""Odd records of the platform, of shops and of scientists: lines of files, by the file's path in a landing folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.nasty.odd_texts import (
    ATTRIBUTES,
    CAMPAIGNS,
    CONSENTS,
    DAY,
    LATER,
    NEARLY,
    PHONES,
    SCORES,
    SOURCES,
    TOTALS,
    TRACKING,
    as_json,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


def odd_records() -> dict[str, list[str]]:
    """All of them."""
    return {
        "platform/namespaces/odd.ndjson": list(_clients()),
        "platform/entitlements/odd.ndjson": [
            as_json(namespace="odd_store", entitlement="analytics"),
            as_json(namespace=" dinar_store", entitlement="Analytics "),
            as_json(namespace="unsaid_store", entitlement="analytics"),
        ],
        "platform/campaign_runs/odd.ndjson": list(_runs()),
        "platform/journeys/odd.ndjson": list(_journeys()),
        "platform/unsubscribes/odd.ndjson": list(_unsubscribes()),
        "platform/customers/odd.ndjson": list(_customers()),
        "commerce/orders/odd.ndjson": list(_orders()),
        "data_science/scores/odd.ndjson": list(_scores()),
    }


def _clients() -> Iterator[str]:
    odd = {"soft_bounce_limit": "2", "attribution_hours": 24, "default_country": " qa ", "currency": " jpy\n"}
    yield as_json(namespace="odd_store", name='Odd, "Ltd."', **odd, updated_at="2026-01-01T00:00:00Z")
    yield as_json(namespace="odd_store", soft_bounce_limit=5, updated_at="2025-01-01T00:00:00Z")
    yield as_json(namespace="\u00a0dinar_store ", name="Dinars", currency="KWD", updated_at="2026-01-01T00:00:00Z")
    yield as_json(namespace="unsaid_store", name="No currency", updated_at="2026-01-01T00:00:00Z")


def _runs() -> Iterator[str]:
    run = {
        "namespace": "acme_outdoor", "campaign_id": 1101, "campaign_run_time": f"{DAY}T08:00:00Z",
        "campaign_name": "Odd", "campaign_classification": "Batch", "subject_line": "S", "audience_id": [101, "102"],
        "updated_at": f"{DAY}T08:01:00Z",
    }  # fmt: skip
    for number, text in enumerate(TRACKING):
        yield as_json(**run | {"campaign_run_id": f"run-odd-{number}", "tracking_parameters": text.encode()})
    for number, text in enumerate(CAMPAIGNS):
        yield as_json(**run | {"campaign_run_id": f"run-id-{number}", "campaign_id": text.encode()})
    yield as_json(
        **run | {"campaign_run_id": "run-fixed", "campaign_name": "Fixed later", "updated_at": f"{DAY}T10:00:00Z"}
    )
    yield as_json(**run | {"campaign_run_id": "run-fixed", "campaign_name": "As it ran"})
    yield as_json(**run | {"campaign_run_id": "run-fixed", "campaign_name": None, "updated_at": f"{DAY}T07:00:00Z"})
    yield as_json(
        **run
        | {
            "campaign_run_id": "run-empty",
            "campaign_name": "",
            "subject_line": "",
            "audience_id": "",
            "journey_id": "jny-odd",
        }
    )
    # The audience is told later than all else, and blanks stand around names.
    for minute, audience in ((3, "8"), (2, None), (4, "9")):
        waits = {"campaign_run_id": (" run-waits", "run-waits ")[minute % 2], "audience_id": audience}
        yield as_json(**run | waits | {"updated_at": f"{DAY}T08:0{minute}:00Z", "journey_id": " jny-odd"})


def _journeys() -> Iterator[str]:
    for at, name in (
        ("2026-10-01", '"Caf\\u00e9 \\"odd\\""'),
        ("2026-11-02", '" renamed\\n"'),
        ("2026-12-01", '"not yet"'),
    ):
        yield as_json(
            namespace="brightside_beauty",
            journey_id="jny-odd",
            journey_name=name.encode(),
            updated_at=f"{at}T00:00:00Z",
        )
    yield as_json(namespace="acme_outdoor", journey_id="jny-odd", journey_name=b'""', updated_at="2026-12-01T00:00:00Z")
    yield as_json(
        namespace="acme_outdoor", journey_id="jny-21", journey_name=b"12.50", updated_at="2026-10-01T00:00:00+05:30"
    )
    yield as_json(namespace="acme_outdoor", journey_id="jny-late")


def _unsubscribes() -> Iterator[str]:
    for number, text in enumerate(SOURCES):
        own = {
            "unsubscribe_id": f"odd-{number}",
            "received_at": LATER,
            "email": f"source{number}@example.com",
            "source": text.encode(),
        }
        inside = {"campaign_run_id": "run-220103", "nqe": f"source-{number}"} if number % 3 else {"nqe": None}
        yield as_json(namespace="brightside_beauty", **own, **inside)
    for number, received in enumerate((None, "soon", "9999-01-01T00:00:00Z", "0001-01-01T00:00:00Z")):
        own = {"email": f"undated{number}@example.com", "source": "Manual", "unsubscribe_id": f"undated-{number // 2}"}
        yield as_json(namespace="brightside_beauty", received_at=received, **own)
    own = {"namespace": "acme_outdoor", "received_at": LATER, "email": "odd@example.com", "source": "Pixel"}
    for number in range(len(TRACKING)):  # each run has an event
        yield as_json(
            **own | {"unsubscribe_id": f"run-{number}", "campaign_run_id": f"run-odd-{number}", "nqe": number}
        )
    for name in ("run-fixed", "run-empty", "\trun-waits", *(f"run-id-{number}" for number in range(len(CAMPAIGNS)))):
        yield as_json(**own, unsubscribe_id=name, campaign_run_id=name, nqe=name)


def _customers() -> Iterator[str]:
    told = {"updated_at": "2026-11-02T09:00:00Z"}
    for field, texts in ATTRIBUTES.items():
        for number, text in enumerate(texts):
            client = "brightside_beauty" if field == "vip" else "acme_outdoor"
            own = {"customer_id": f"{field}-{number}", "email": f"{field}.{number}@example.com"}
            yield as_json(namespace=client, **own, attributes=as_json(**{field: text.encode()}).encode(), **told)
    for number, phone in enumerate(PHONES):
        yield as_json(
            namespace="acme_outdoor", customer_id=f"phone-{number}", phone=phone, phones=["+12025550199"], **told
        )
        yield as_json(namespace="odd_store", customer_id=f"phone-{number}", phones=[phone, None, 7], **told)
    for number, (said, at) in enumerate(CONSENTS):
        own = {
            "customer_id": f"consent-{number}",
            "email": f"Consent{number}@example.com",
            "sms_consent": said.encode(),
        }
        yield as_json(
            namespace="brightside_beauty", **own, email_consent=said.encode(), email_consent_at=at.encode(), **told
        )
    for said, at, told_at in (("true", "01", "03"), ("false", "02", "02"), ("null", "05", "04")):
        yield as_json(namespace="acme_outdoor", customer_id=7, email="seven@example.com", email_consent=said.encode(),
                    email_consent_at=f"2026-11-{at}T00:00:00Z", updated_at=f"2026-11-{told_at}T00:00:00Z")  # fmt: skip
    for told_at, email in (("2026-11-02", "now"), ("9999-01-01", "then")):
        yield as_json(namespace="acme_outdoor", customer_id="early", email=f"{email}@example.com", updated_at=told_at)
    for customer, email, said, at, told_at in (
        ("moved", "left", "false", "2026-11-01", "2026-11-01"), ("moved", "came", "null", "2026-11-01", "2026-11-02"),
        ("heir", "left", "true", "2026-10-01", "2026-11-02"), ("far", "far", "false", "2026-11-01", "9999-01-01"),
        ("heard", "heard", "true", "2026-10-01", "2026-11-01"), ("heard", "heard", "false", "soon", "never"),
    ):  # fmt: skip
        yield as_json(namespace="acme_outdoor", customer_id=customer, email=f"{email}@example.com",
                    email_consent=said.encode(), email_consent_at=at, updated_at=told_at)  # fmt: skip
    for text in ('"{\\"first_name\\": \\"In text\\"}"', '"{"', "[]", "7", '{"first_name": "a", "first_name": "b"}'):
        yield as_json(
            namespace="acme_outdoor",
            customer_id=f"attributes-{text[:3]}",
            email=b'" Attributes@Example.com "',
            attributes=text.encode(),
            **told,
        )
    for number, text in enumerate(NEARLY):
        own = {"customer_id": f"nearly-{number}", "email": f"nearly{number}@example.com"}
        yield as_json(namespace="odd_store", **own, phones=text, **told)
        yield as_json(namespace="acme_outdoor", **own, attributes=f'{{"first_name": {text}}}', **told)


def _orders() -> Iterator[str]:
    told = {"ordered_at": "2026-11-02T10:00:00Z", "updated_at": "2026-11-02T10:01:00Z"}
    for number, total in enumerate(TOTALS):
        status = ("placed", " PAID\n", "Refunded ", "no such status", None)[number % 5]
        own = {
            "order_id": f"odd-{number}",
            "customer_id": f"shoe_size-{number % 9}",
            "status": status,
            "total": total.encode(),
        }
        lines = (
            '[{"product_id": 7}, {"product_id": "boot-1"}]',
            '"[{\\"product_id\\": \\"lamp-4\\"}]"',
            '[{"product_id": "a\\u00e9"}]',
            "[null]",
        )[number % 4]
        yield as_json(
            namespace="acme_outdoor", **own, currency=(" usd ", "USD", None)[number % 3], lines=lines.encode(), **told
        )
        yield as_json(namespace="odd_store", **own, currency="JPY", lines=[], **told)
        yield as_json(namespace="odd_store", **own | {"order_id": f"unsaid-{number}"}, **told)
        yield as_json(namespace="dinar_store", **own, currency=("kwd", None)[number % 2], **told)
    for number, text in enumerate(NEARLY):
        own = {"order_id": f"nearly-{number}", "customer_id": "shoe_size-1", "status": "paid", "total": 1}
        yield as_json(namespace="acme_outdoor", **own, currency="USD", lines=text, **told)
    # Ids with blanks; orders that are cancelled without an amount, or in another currency; words of statuses.
    for number, status in enumerate(("Cancelled", "VOID", "Partially Refunded", "payment-failed", "on hold")):
        own = {"customer_id": " consent-1 ", "currency": "USD", "ordered_at": "2026-11-02T10:00:00Z", "lines": []}
        for order, later in (
            ("without", {"total": None}),
            ("other", {"currency": "GBP"}),
            ("spaced", {"order_id": f" spaced-{number} "}),
        ):
            first = {"order_id": f"{order}-{number}", "status": "placed", "total": 20.5}
            yield as_json(namespace=" brightside_beauty", **own | first, updated_at="2026-11-02T10:01:00Z")
            changed = own | first | {"status": status} | later
            yield as_json(namespace="brightside_beauty", **changed, updated_at="2026-11-03T10:01:00Z")
    # Versions of a time to come, which would be the newest for ever.
    for name in ("updated_at", "ordered_at"):
        own = {"order_id": f"early-{name}", "customer_id": "consent-1", "status": "paid", "currency": "USD", "total": 3}
        yield as_json(namespace="brightside_beauty", **own, **told)
        yield as_json(namespace="brightside_beauty", **own | {"total": 5}, **told | {name: "9999-12-31T23:59:59Z"})
    # Told three times, and cancelled, in another currency than two others.
    for order, status, currency in (
        *((1, "paid", "EUR"),) * 3, (2, "cancelled", "EUR"), (3, "paid", "USD"), (4, "paid", "USD"),
    ):  # fmt: skip
        own = {"order_id": f"coin-{order}", "customer_id": "consent-1", "status": status, "currency": currency}
        yield as_json(namespace="unsaid_store", **own, total=7.25, **told)


def _scores() -> Iterator[str]:
    for number, text in enumerate(SCORES):
        own = {"customer_id": f"consent-{number % 11}", "model": ("pclv", "likelihood_to_open")[number // 11]}
        yield as_json(namespace="brightside_beauty", **own, score=text.encode(), computed_at="2026-11-02T00:00:00Z")
    own = {"namespace": " brightside_beauty", "customer_id": "consent-2 ", "model": " PCLV\n"}
    yield as_json(**own, score=0.5, computed_at="2026-11-03T00:00:00Z")
    yield as_json(**own, score=0.9, computed_at="9999-01-01T00:00:00Z")
