"""The code lists say what clients were told: examples from their side, held against the rows of each seed.

What models make of event types, device and bot rules and phone numbers is in the models' unit tests.
"""

from __future__ import annotations

import csv
import fnmatch
from pathlib import Path

import pytest

SEEDS = Path(__file__).parents[2] / "seeds"
SCORES = ["discount_affinity", "likelihood_to_click", "likelihood_to_convert", "likelihood_to_open",
          "likelihood_to_unsubscribe", "pclv"]  # fmt: skip


def rows(seed: str) -> list[dict[str, str]]:
    """The rows of a seed."""
    with (SEEDS / f"{seed}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_events_are_spelled_as_the_specification_names_them() -> None:
    default = [
        "deliver",
        "open",
        "click",
        "unsubscribe",
        "soft_bounce",
        "hard_bounce",
        "halt",
        "spam_report",
        "dropped",
        "deferred",
    ]
    past = [
        "delivered",
        "opened",
        "clicked",
        "unsubscribed",
        "soft_bounced",
        "hard_bounced",
        "halted",
        "reported_spam",
        "dropped",
        "deferred",
    ]
    expected = [("default", event, event) for event in default]
    expected += [("past_tense", event, name) for event, name in zip(default, past, strict=True)]
    assert sorted((r["spelling"], r["event"], r["name"]) for r in rows("event_spellings")) == sorted(expected)


def test_each_event_type_has_its_consequences() -> None:
    """Which leave, which need a run, what an address is told by, and what they say of it."""
    listed = [r for r in rows("event_types") if r["source"] != "mailgun.events"]
    found = {(r["source"].split(".")[1], r["provider_event"], r["bounce_type"]): r for r in listed}
    said = (
        "delivered:deliver open:open click:click unsubscribe:unsubscribe group_unsubscribe:unsubscribe dropped:dropped"
    )
    said += " processed:send group_resubscribe:resubscribe deferred:deferred spamreport:spam_report"
    assert {key: r["event"] for key, r in found.items()} == {
        **{("events", *word.split(":")[:1], "any"): word.split(":")[1] for word in said.split()},
        ("events", "bounce", "bounce"): "hard_bounce",
        ("events", "bounce", "blocked"): "soft_bounce",
        ("halts", "halt", "any"): "halt",
        ("unsubscribes", "unsubscribe", "any"): "unsubscribe",
        ("unsubscribes", "unsubscribe outside a campaign", "any"): "unsubscribe",
    }
    systems = {"events": "sendgrid", "halts": "platform", "unsubscribes": "platform"}
    assert {r["source"] for r in listed} == {f"{system}.{name}" for name, system in systems.items()}
    outside = ("unsubscribes", "unsubscribe outside a campaign", "any")
    resubscribe = ("events", "group_resubscribe", "any")
    assert len(found) == len(listed) == 15
    assert {k for k, r in found.items() if r["is_exported"] == "false"} == {
        ("events", "processed", "any"), resubscribe, outside
    }  # fmt: skip
    assert {k for k, r in found.items() if r["needs_run"] == "false"} == {resubscribe, outside}
    assert {k: (r["signal"], r["unsubscribe_source"]) for k, r in found.items() if r["signal"]} == {
        ("events", "unsubscribe", "any"): ("unsubscribe", "List-Unsubscribe"),
        ("events", "group_unsubscribe", "any"): ("unsubscribe", "List-Unsubscribe"),
        resubscribe: ("opt_in", "Resubscribe"),
        ("events", "bounce", "bounce"): ("unsubscribe", "Bounce/Bounce"),
        ("events", "bounce", "blocked"): ("soft_bounce", "Bounce/Blocked"),
        ("events", "spamreport", "any"): ("unsubscribe", "Spamreport"),
        ("unsubscribes", "unsubscribe", "any"): ("unsubscribe", ""),
        outside: ("unsubscribe", ""),
    }


def test_what_a_provider_reports_has_the_consequences_that_it_has_of_another() -> None:
    """What an event of Mailgun's leaves as; all else follows from that, as of SendGrid's."""
    of = {name: [r for r in rows("event_types") if r["source"] == f"{name}.events"] for name in ("sendgrid", "mailgun")}
    assert {(r["provider_event"], r["bounce_type"]): r["event"] for r in of["mailgun"]} == {
        ("accepted", "any"): "send", ("delivered", "any"): "deliver", ("opened", "any"): "open",
        ("clicked", "any"): "click", ("unsubscribed", "any"): "unsubscribe", ("complained", "any"): "spam_report",
        ("permanent_fail", "bounce"): "hard_bounce", ("permanent_fail", "blocked"): "soft_bounce",
        ("temporary_fail", "any"): "deferred", ("suppressed", "any"): "dropped", ("rejected", "any"): "dropped",
        ("stored", "any"): "stored",
    }  # fmt: skip
    columns = ("event", "is_exported", "needs_run", "unsubscribe_source", "signal")
    said = {name: {tuple(r[column] for column in columns) for r in found} for name, found in of.items()}
    assert said["mailgun"] - said["sendgrid"] == {("stored", "false", "false", "", "")}


def test_how_people_unsubscribe_has_its_origin() -> None:
    assert {(r["unsubscribe_source"], r["origin"]) for r in rows("unsubscribe_sources")} == {
        ("List-Unsubscribe", "email"), ("List-Unsubscribe-Header", "email"), ("Pixel", "email"), ("Manual", "screen"),
        ("Email File", "file"), ("Spamreport", "automatic"), ("Bounce/Bounce", "automatic"),
        ("Bounce/Blocked", "automatic"),
    }  # fmt: skip


def test_rejected_events_count_for_an_address_that_is_known() -> None:
    """In the order in which reasons are looked for: from the first that knows namespace and address, all do."""
    assert [(r["reason"], r["knows_address"]) for r in rows("rejection_reasons")] == [
        ("malformed", "false"), ("no_namespace", "false"), ("no_email", "false"), ("impossible_address", "false"),
        ("unknown_type", "false"), ("unknown_namespace", "false"), ("no_time", "true"), ("unknown_run", "true"),
        ("incomplete_run", "true"), ("no_nqe", "true"), ("no_audience", "true"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", [*SCORES, *(f"{score}_band" for score in SCORES)])
def test_a_score_needs_its_contract_and_some_need_email(name: str) -> None:
    score = name.removesuffix("_band")
    expected = [(score, f"no contract for {score}")]
    if score in ("likelihood_to_unsubscribe", "likelihood_to_click", "likelihood_to_open"):
        expected.append(("email_campaigns", "needs email campaigns"))
    assert needs(name) == expected


@pytest.mark.parametrize("name", ["channel_affinity_email", "channel_affinity_sms"])
def test_a_channel_affinity_needs_both_channels(name: str) -> None:
    reason = "needs both email and SMS campaigns"
    assert needs(name) == [("email_campaigns", reason), ("sms_campaigns", reason)]


def test_every_definition_needs_the_contract_for_audiences() -> None:
    assert needs("every") == [("audiences", "no contract for audience exports")]
    assert len(rows("definition_needs")) == 1 + 2 * len(SCORES) + 2 * 3 + 2 * 2, "a need that no test knows"


def needs(definition: str) -> list[tuple[str, str]]:
    """What a definition needs and why not without, in the order in which it is said."""
    found = [r for r in rows("definition_needs") if r["definition"] == definition]
    found.sort(key=lambda r: int(r["priority"]))
    first = 1 if definition == "every" else 3 if definition.startswith("channel") else 2
    assert [int(r["priority"]) for r in found] == list(range(first, first + len(found)))
    return [(r["entitlement"], r["reason"]) for r in found]


def test_bands_are_thirds_but_for_one_client() -> None:
    expected = {("default", score, "34", "67") for score in SCORES} | {("acme_outdoor", "pclv", "40", "80")}
    assert {tuple(r.values()) for r in rows("score_bands")} == expected


def test_classifications_are_the_known_ones() -> None:
    known = ["Batch", "Promotional", "Transactional", "Triggered"]
    assert [r["campaign_classification"] for r in rows("campaign_classifications")] == known


def test_rates_are_what_clients_divide() -> None:
    """Each rate over what the specification says; the rest are counts, and money."""
    sent, delivered, clicks = "sent", "delivered", "clicks"
    assert {r["metric"]: (r["numerator"], r["denominator"]) for r in rows("metrics") if r["kind"] == "rate"} == {
        "delivered_rate": (delivered, sent),
        "hard_bounce_rate": ("hard_bounced", sent),
        "soft_bounce_rate": ("soft_bounced", sent),
        "unique_open_rate": ("unique_opens", delivered),
        "unique_click_rate": ("unique_clicks", delivered),
        "click_through_rate": (clicks, delivered),
        "click_to_open_rate": ("unique_clicks", "unique_opens"),
        "conversion_rate": ("conversions", delivered),
        "click_to_conversion_rate": ("conversions", clicks),
        "average_order_value": ("revenue", "conversions"),
        "revenue_per_email": ("revenue", delivered),
        "revenue_per_click": ("revenue", clicks),
        "unsubscribe_rate": ("unsubscribes", delivered),
        "spam_rate": ("spam_reports", delivered),
        "deferral_rate": ("deferred", sent),
        "identification_rate": ("identified_sessions", "sessions"),
    }
    assert {r["kind"] for r in rows("metrics")} == {"count", "money", "rate"}
    assert [r["metric"] for r in rows("metrics") if r["kind"] == "money"] == ["revenue", "revenue_year_before"]


def test_measures_are_of_their_datasets() -> None:
    """What a page offers for a dataset."""
    found: dict[str, list[str]] = {}
    for row in rows("metrics"):
        for dataset in row["datasets"].split("|"):
            found.setdefault(dataset, []).append(row["metric"])
    of_emails = [
        "sent",
        "hard_bounced",
        "soft_bounced",
        "delivered",
        "deferred",
        "opens",
        "unique_opens",
        "machine_opens",
        "clicks",
        "unique_clicks",
        "bot_clicks",
        "unsubscribes",
        "spam_reports",
        "dropped",
        "halted",
        "conversions",
        "revenue",
        "delivered_rate",
        "hard_bounce_rate",
        "soft_bounce_rate",
        "unique_open_rate",
        "unique_click_rate",
        "click_through_rate",
        "click_to_open_rate",
        "conversion_rate",
        "click_to_conversion_rate",
        "average_order_value",
        "revenue_per_email",
        "revenue_per_click",
        "unsubscribe_rate",
        "spam_rate",
        "deferral_rate",
    ]
    of_customers = [
        "buyers",
        "new_customers",
        "retained_customers",
        "reactivated_customers",
        "one_time_customers",
        "repeat_customers",
        "orders",
    ]
    assert found == {
        "performance": of_emails,
        "campaigns": of_emails,
        "customers": [
            "revenue",
            *of_customers,
            *(f"{name}_year_before" for name in of_customers),
            "revenue_year_before",
        ],
        "identification": ["sessions", "identified_sessions", "identification_rate"],
    }


AGENTS = {
    "%bot/%": "Mozilla/5.0 (compatible; bingbot/2.0)",
    "%crawler%": "ExampleCrawler/1.0",
    "%spider%": "Mozilla/5.0 (compatible; Baiduspider/2.0)",
    "%barracuda%": "BarracudaCentral/1.0",
    "%mimecast%": "Mimecast-Targeted-Threat-Protection",
    "%proofpoint%": "Proofpoint/2.1",
    "%urldefense%": "UrlDefense 3",
    "%safelinks%": "Microsoft SafeLinks",
    "%linkscan%": "LinkScanner Pro",
}
PEOPLE = [
    ("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", "unknown"),
    ("Mozilla/5.0 (X11; Linux x86_64) Image Proxy", "unknown"),
    ("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", "unknown"),
    ("Mozilla/5.0 (Linux; Android 12; CUBOT X50) Mobile Safari/537.36", "mobile"),
    ("Mozilla/5.0 (Linux; Android 11; Panasonic P55 Max) Mobile Safari/537.36", "mobile"),
    ("Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) Mobile/15E148", "tablet"),
    ("Mozilla/5.0 (Android 14; Tablet; rv:121.0) Gecko/121.0", "tablet"),
    ("Mozilla/5.0 (X11; U; Linux armv7l; en-US) Kindle/3.0 Mobile", "tablet"),
    ("Mozilla/5.0 (Linux; Android 9; KFMAWI) Silk/108.4 like Chrome Mobile", "tablet"),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X)", "mobile"),
    ("Mozilla/5.0 (iPod touch; CPU OS 12_0 like Mac OS X)", "mobile"),
    ("Mozilla/5.0 (Windows Phone 10.0; Android 6.0; Lumia 950)", "mobile"),
    ("Mozilla/5.0 (Linux; Android 15; Pixel 9) Mobile Safari/537.36", "mobile"),
    ("Mozilla/5.0 (Mobile; rv:48.0) Gecko/48.0", "mobile"),
    ("Mozilla/5.0 (Linux; Android 14; SM-X710) Safari/537.36", "tablet"),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64)", "desktop"),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)", "desktop"),
    ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0)", "desktop"),
    ("Mozilla/5.0 (X11; FreeBSD amd64; rv:121.0)", "desktop"),
    ("Mozilla/5.0 (Wayland; Linux x86_64)", "desktop"),
    ("nothing that anyone knows, made with java/ and curl/", None),
]


def like(pattern: str, text: str) -> bool:
    """SQL's LIKE, on a text in lower case."""
    return fnmatch.fnmatchcase(text.lower(), pattern.replace("%", "*"))


def test_each_program_is_known_by_one_pattern_and_no_person_is_one() -> None:
    patterns = [r["user_agent_pattern"] for r in rows("bot_rules")]
    assert {agent: [p for p in patterns if like(p, agent)] for agent in AGENTS.values()} == {
        agent: [pattern] for pattern, agent in AGENTS.items()
    }
    assert len(patterns) == len(AGENTS)
    assert not [agent for agent, _ in PEOPLE if any(like(p, agent) for p in patterns)]


def test_devices_are_told_by_the_first_pattern_that_matches() -> None:
    rules = sorted(rows("device_rules"), key=lambda r: int(r["priority"]))
    for agent, expected in PEOPLE:
        found = [r for r in rules if like(r["user_agent_pattern"], agent)]
        assert (found[0]["device_type"] if found else None) == expected, agent
    first = {next((r["user_agent_pattern"] for r in rules if like(r["user_agent_pattern"], a)), "") for a, _ in PEOPLE}
    assert first == {"", *(r["user_agent_pattern"] for r in rules)}, "each is the first for one of them"
    assert [int(r["priority"]) for r in rules] == list(range(10, 10 * len(rules) + 1, 10))


def test_what_a_bounce_is_told_by() -> None:
    assert {(r["evidence"], r["value"]): r["bounce_type"] for r in rows("bounce_evidence")} == {
        **dict.fromkeys([("type", word) for word in ("bounce", "bounced", "hard", "permanent")], "bounce"),
        **dict.fromkeys(
            [("type", word) for word in ("blocked", "block", "expired", "soft", "old", "espblock")], "blocked"
        ),
        ("classification", "invalid address"): "bounce",
        ("classification", "content"): "blocked",
        ("classification", "reputation"): "blocked",
        ("classification", "frequency or volume too high"): "blocked",
        ("classification", "technical failure"): "blocked",
        ("classification", "mailbox unavailable"): "",
        ("classification", "unclassified"): "",
        ("reply", "5"): "bounce",
        ("reply", "4"): "blocked",
    }
    assert len(rows("bounce_evidence")) == 19


def test_an_order_counts_from_the_time_it_is_placed_until_all_of_it_goes_back() -> None:
    found = {r["status"]: r["is_purchase"] for r in rows("order_statuses")}
    counts = "placed pending open authorized paid processing confirmed fulfilled shipped delivered complete completed"
    waits = "awaiting_payment pending_payment payment_review awaiting_fulfillment awaiting_shipment awaiting_pickup"
    in_part = "partially_refunded partially_paid partially_shipped partially_fulfilled unfulfilled"
    not_ = "cancelled canceled refunded returned failed declined voided expired abandoned draft void denied rejected"
    not_ += " chargeback charged_back reversed fraud payment_failed error incomplete checkout_draft trash deleted"
    words = f"{counts} {waits} {in_part} closed on_hold holded disputed"
    expected = dict.fromkeys(words.split(), "true")
    assert found == expected | dict.fromkeys(not_.split(), "false")
    assert len(rows("order_statuses")) == len(found)


def test_currencies_that_have_no_cents_or_thousandths() -> None:
    """ISO 4217; all others have two digits."""
    none = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
    three = "BHD IQD JOD KWD LYD OMR TND"
    assert [(r["currency"], r["digits"]) for r in rows("currency_digits")] == [
        *((name, "0") for name in none.split()), *((name, "3") for name in three.split()),
    ]  # fmt: skip


def test_records_and_contacts_are_rejected_for_these_reasons() -> None:
    of_all = "malformed no_namespace unknown_namespace no_id no_time"
    of_records = "unknown_score unknown_customer no_number no_amount another_currency another_type"
    of_contacts = "impossible_address not_a_number no_country unknown_country wrong_length wrong_start no_contact"
    assert [r["reason"] for r in rows("record_rejections")] == f"{of_all} {of_records} {of_contacts}".split()


def test_a_dataset_needs_its_own_contract_and_analytics_one_for_all() -> None:
    of_analytics = [f"analytics_{name}" for name in ("campaigns", "customers", "identification", "performance")]
    assert {r["dataset"]: r["entitlement"] for r in rows("dataset_needs")} == {
        **{name: name for name in ("esp_events", "email_unsubscribes")},
        **dict.fromkeys(of_analytics, "analytics"),
    }
