"""Writes raw data of any size, in the shapes and with the untidiness of the sample in `landing/`.

The events of a day are dealt from a deck of cards: a card is one event, and the deck holds a thousand emails with all
that happens to them, in realistic shares.
`generate.sql` turns a card and a number into a row; here is what is on the cards, and which file gets which rows.
The number of events is exact, and no more than one part of a day is ever held in memory.
"""

import json
import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path

import click
import duckdb
import pyarrow as pa

from benchmarks.processes import own_peak

EMAILS = 1000  # in the deck
PART = 250_000  # events in one file, which is what is sorted at once
PEOPLE = 125_000  # customers in one file
POST = 20  # events, at most, in one whole POST body
EVENTS_PER_HALT, EVENTS_PER_UNSUBSCRIBE, EVENTS_PER_CUSTOMER = 200, 400, 10
JSON = "format json"
TEXT = "format csv, header false, quote '', escape '', delimiter '\x01'"  # one column as it is
GZIP = ", compression gzip"
SOURCES = [
    "Manual",
    "List-Unsubscribe",
    "List-Unsubscribe-Header",
    "Pixel",
    "Spamreport",
    "Bounce/Bounce",
    "Bounce/Blocked",
    "Email File",
]
MODELS = [
    "pclv",
    "discount_affinity",
    "likelihood_to_unsubscribe",
    "likelihood_to_click",
    "likelihood_to_open",
    "likelihood_to_convert",
    "channel_affinity_email",
    "channel_affinity_sms",
]
WEBKIT, CHROME = "AppleWebKit/605.1.15 (KHTML, like Gecko)", "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0"
AGENTS = [
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) {WEBKIT} Version/18.5 Mobile/15E148 Safari/604.1",
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) {WEBKIT} Mobile/15E148",
    f"Mozilla/5.0 (Linux; Android 15; Pixel 9) {CHROME} Mobile Safari/537.36",
    f"Mozilla/5.0 (iPad; CPU OS 17_6 like Mac OS X) {WEBKIT} Version/17.6 Mobile/15E148 Safari/604.1",
    f"Mozilla/5.0 (Linux; Android 14; SM-X710) {CHROME} Safari/537.36",
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36",
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {WEBKIT} Version/18.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
]
PROXY = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"


@dataclass(frozen=True)
class Step:
    """One card: an event of one email.

    It happens `since` seconds after the email was processed (`by_clock`: after the midnight that the day of the send
    begins with), up to `within` seconds later, and is posted after up to 30 s more, or `again` seconds late. What is
    received on the day after the send is `carried`.
    """

    event: str
    since: int = 0
    within: int = 1
    detail: str = ""  # more of the payload, as JSON text that starts with a comma
    by_hand: bool = False  # has ip and user agent of a person
    by_clock: bool = False
    carried: bool = False
    again: int = 0
    twist: str = ""  # what is untidy about the payload; generate.sql knows the words


def step(event: str, since: int = 0, within: int = 1, /, **more: object) -> Step:
    """A step whose `more` are fields of the payload."""
    return Step(event, since, within, "".join(f",{json.dumps(k)}:{json.dumps(v)}" for k, v in more.items()))


def posted_again(first: Step, *, next_day: bool = False) -> list[Step]:
    """The event, and the very same event five minutes later."""
    return [first, replace(first, again=300, carried=next_day)]


SENT = [step("processed"), step("delivered", 3, 20, response="250 2.0.0 OK", tls=1)]
OPEN = replace(step("open", 60, 5300, sg_machine_open=False), by_hand=True)
CLICK = replace(step("click", 5400, 600), by_hand=True)
OPEN_LATER, CLICK_LATER = replace(OPEN, since=7000, within=7000), replace(CLICK, since=14000)
OPEN_NEXT_DAY = replace(OPEN, since=87000, within=36000, by_clock=True, carried=True)
CLICK_NEXT_DAY = replace(CLICK, since=123000, within=20000, by_clock=True, carried=True)
CLICK_AT_MIDNIGHT = replace(CLICK, since=86130, within=200, by_clock=True)
APPLE_OPEN = step("open", 30, 900, useragent="Mozilla/5.0", sg_machine_open=True)
GMAIL_OPEN = step("open", 30, 900, useragent=PROXY, sg_machine_open=True)
BOT = step("click", 25, 20, useragent="Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")
BLOCKED = step("bounce", 9, 40, type="blocked", status="4.2.2", reason='452 4.2.2 The mailbox is "full", try later')
BOUNCED = step("bounce", 9, 40, type="bounce", status="5.1.1", reason="550 5.1.1 The address does not exist")
DEFERRED = step("deferred", 60, 60, response="451 4.7.1 Greylisted, please try again", attempt="1")
LEFT = replace(step("unsubscribe", 6000, 900), by_hand=True)
GROUP_LEFT = replace(step("group_unsubscribe", 6000, 900, asm_group_id=77), by_hand=True)
GROUP_BACK = replace(step("group_resubscribe", 9000, 900, asm_group_id=77), by_hand=True)
STRANGE = step(
    "open", 60, 900, useragent="Mozilla/5.0", pool={"id": 7}, **{'a "new" key': [1, {"deep": None}], "tpl": "é|😀"}
)

# How many of a thousand emails have which events. The rest is delivered and never opened.
DECK: list[tuple[int, list[Step]]] = [
    (100, [*SENT, APPLE_OPEN]),
    (50, [*SENT, GMAIL_OPEN]),
    (150, [*SENT, OPEN]),
    (25, [*SENT, OPEN_NEXT_DAY]),
    (60, [*SENT, OPEN, CLICK]),
    (15, [*SENT, OPEN, CLICK, OPEN_LATER, CLICK_LATER, OPEN_NEXT_DAY, CLICK_NEXT_DAY]),
    (6, [*SENT, BOT]),
    (6, [SENT[0], BOUNCED]),
    (8, [replace(SENT[0], twist="full"), replace(BLOCKED, twist="full")]),
    (5, [SENT[0], DEFERRED, replace(SENT[1], since=900)]),
    (4, [step("dropped", reason="Bounced Address", status="5.0.0")]),
    (1, [*SENT, step("spamreport", 6000, 900)]),
    (4, [*SENT, OPEN, LEFT]),
    (2, [*SENT, OPEN, GROUP_LEFT]),
    (1, [*SENT, OPEN, GROUP_LEFT, GROUP_BACK]),
    (10, [*SENT, *posted_again(OPEN)]),
    (3, [*SENT, *posted_again(CLICK_AT_MIDNIGHT, next_day=True)]),
    (1, [*SENT, *posted_again(replace(CLICK_AT_MIDNIGHT, twist="old"), next_day=True)]),
    (2, [SENT[0], CLICK, replace(OPEN, since=5400), replace(SENT[1], again=11000)]),  # each one before its cause
    (3, [*SENT, STRANGE]),
    *((2, [*SENT, replace(OPEN, twist=twist)]) for twist in ("old", "text", "number", "string", "upper", "spaces")),
    *((1, [*SENT, replace(OPEN, twist=twist)]) for twist in ("homeless", "ghost", "runless", "lost", "nobody")),
    (1, [replace(step("account_status_change"), twist="account")]),
    (1, [*SENT, step("amp_rendered", 60, 900)]),
]


def cards(seed: int) -> Iterator[dict[str, object]]:
    """The rows of the table `deck`: the shuffled deck for the first day (nothing is carried) and for the others."""
    emails = [steps for weight, steps in DECK for _ in range(weight)]
    emails += [SENT] * (EMAILS - len(emails))
    random.Random(seed).shuffle(emails)
    for opening in (True, False):
        card = 0
        for email, steps in enumerate(emails):
            happened = [(step.event, step.since) for step in steps]
            for now in steps:
                if not (opening and now.carried):
                    number = happened.index((now.event, now.since))  # what is posted again keeps its number
                    yield {"opening": opening, "card": card, "email": email, "step": number, **vars(now)}
                    card += 1


def files(start: date, days: int, events: int, customers: int) -> Iterator[tuple[str, str, str]]:
    """Every file of the folder: its path, the query for what it holds, and the options of DuckDB's COPY."""
    for entity in ("namespaces", "campaigns", "audiences", "journeys", "entitlements"):
        yield f"platform/{entity}/{entity}.ndjson", f"from {entity}()", JSON
    yield "commerce/products/products.ndjson", "from products()", JSON
    for path in ("platform/customers", "commerce/orders", "commerce/sessions", "data_science/scores"):
        for first in range(0, customers, PEOPLE):
            rows = f"{Path(path).name}({first}, {min(first + PEOPLE, customers)})"
            yield f"{path}/{first // PEOPLE:03}.ndjson", f"from {rows}", JSON
    for day in range(days):
        name = start + timedelta(days=day)
        count = events // days + (day < events % days)
        halts, unsubscribes, emails = (-(-count // each) for each in (EVENTS_PER_HALT, EVENTS_PER_UNSUBSCRIBE, 3))
        yield f"platform/campaign_runs/{name}.ndjson", f"from campaign_runs({day})", JSON
        yield f"platform/halts/{name}.ndjson", f"from halts({day}, {halts})", JSON
        rows = f"unsubscribes({day}, {unsubscribes}, {emails})"
        yield f"platform/unsubscribes/{name}.ndjson.gz", f"from {rows}", JSON + GZIP

        # Once a week the last events of a day come as whole POST bodies, in three shapes.
        post = min(POST, count // 8) if day % 7 == 0 else 0
        singles = count - 3 * post
        for first in range(0, singles, PART):
            rows = f"events({day}, {first}, {min(first + PART, singles)})"
            yield f"sendgrid/{name}-{first // PART:03}.ndjson", f"select line(received, payload) from {rows}", TEXT
        bodies = {
            f"sendgrid/{name}-posts.ndjson": (f"line('{name}T23:59:59Z', body(received, payload))", TEXT),
            f"sendgrid/posts/{name:%Y%m%d}T235959Z-1.json": ("body(received, payload)", TEXT),
            f"sendgrid/posts/{name:%Y%m%d}T235959Z-2.json.gz": ("body(received, payload)", TEXT + GZIP),
        }
        for number, (path, (body, how)) in enumerate(bodies.items() if post else ()):
            first = singles + number * post
            yield path, f"select {body} from events({day}, {first}, {first + post})", how


def generate(
    out: Path,
    *,
    events: int,
    days: int,
    namespaces: int,
    seed: int,
    start: date,
    customers: int | None = None,
    largest: float | None = None,
) -> None:
    """Fill the folder `out` (layout: landing/README.md) with exactly `events` SendGrid events and what goes with them.

    An event that is posted twice counts twice. Every day has the same share, by when the events are received.
    customers: in all, each client with the same number; None for one to ten events.
    largest: the share of the emails that the first client has, less than 1; None for what a square gives.
    """
    people = max(40, (events // EVENTS_PER_CUSTOMER if customers is None else customers) // namespaces)
    con = duckdb.connect(config={"threads": 1})  # a file is written by one thread, in order, holding little of it
    settings = {
        "seed": seed,
        "days": days,
        "clients": namespaces,
        "largest": "null" if largest is None else largest,
        "people": people,
        "emails": EMAILS,
        "first_day": f"date '{start}'",
        "agents": AGENTS,
        "sources": SOURCES,
        "models": MODELS,
    }
    for name, value in settings.items():
        con.execute(f"create macro {name}() as {value}")
    con.register("deck_rows", pa.Table.from_pylist(list(cards(seed))))
    con.execute("create table deck as from deck_rows")
    con.execute(Path(__file__).with_suffix(".sql").read_text("utf-8"))

    def write(file: tuple[str, str, str]) -> None:
        path, query, how = file
        target = out / path
        target.parent.mkdir(parents=True, exist_ok=True)
        con.cursor().execute(f"copy ({query}) to $path ({how})", {"path": str(target)})

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(write, files(start, days, events, people * namespaces)):
            pass


@click.command(context_settings={"show_default": True, "help_option_names": ["-h", "--help"]})
@click.option("--events", type=click.IntRange(min=1), required=True, help="SendGrid events in all, as posted.")
@click.option("--days", type=click.IntRange(1, 3650), default=1, help="Days that they are received on.")
@click.option("--namespaces", type=click.IntRange(1, 100_000), default=3, help="Clients.")
@click.option("--customers", type=click.IntRange(min=1), help="Customers in all; one to ten events unless said.")
@click.option("--seed", type=click.IntRange(min=0, max=2**32), default=1, help="The same seed gives the same bytes.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="A new or empty folder.")
@click.option("--start", type=click.DateTime(["%Y-%m-%d"]), default="2026-11-01", help="The first day.")
def main(events: int, days: int, namespaces: int, customers: int | None, seed: int, out: Path, start: datetime) -> None:
    """Write raw data of any size into a folder that LANDING_DIR can point to; the figures go to stdout as JSON."""
    if out.exists() and any(out.iterdir()):
        raise click.UsageError(f"--out {out} is not empty: name a new folder, or empty this one.")
    began = time.perf_counter()
    click.echo(f"writing {events:,} events of {days} days and {namespaces} namespaces to {out}", err=True)
    try:
        generate(
            out, events=events, days=days, namespaces=namespaces, customers=customers, seed=seed, start=start.date()
        )
    except (OSError, duckdb.IOException) as error:  # the disk is full, or the folder is not ours
        raise click.ClickException(str(error)) from error
    seconds = time.perf_counter() - began
    files = [path for path in out.rglob("*") if path.is_file()]
    figures = {
        "events": events,
        "files": len(files),
        "bytes": sum(path.stat().st_size for path in files),
        "seconds": round(seconds, 2),
        "events_per_second": round(events / seconds),
        "peak_memory_mb": own_peak(),
    }
    click.echo(json.dumps(figures))


if __name__ == "__main__":
    main()
