"""Telling people what a command left for them: one message for each sink, without any row, and never twice the same."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import closing
from datetime import timedelta
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from delivery.config.integrations import kept_days
from delivery.config.integrations_file import Integrations
from delivery.errors import ConfigError, DeliveryError, LeftOut, NothingDue, redact
from delivery.fetched import fetched
from delivery.handing_over import Ended
from delivery.ledger import FileState, Ledger, State, deliveries
from delivery.ledger.tables import files
from delivery.ledger.told import keep_told, last_told
from delivery.schedule.gaps import gaps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime
    from types import ModuleType

    from delivery.config.alerts import Event, Sink
    from delivery.config.project import Project
    from delivery.handing_over import Outcome
    from delivery.schedule.request import Request

SECONDS = 10.0  # that all sinks together may take
LINES = 50  # of a message
LETTERS = 200  # of a line
BEFORE = timedelta(days=1)  # so long before `prune` may take a file that nobody fetched


class Alert(NamedTuple):
    """What a person has to look at. what: the delivery that it is about; why: in words, which may differ each run."""

    event: Event
    what: str
    why: str

    @property
    def key(self) -> str:
        """What makes it the same alert in the next run."""
        return f"{self.event} {self.what}"


def alert(project: Project, request: Request, found: Sequence[Outcome], error: DeliveryError | None) -> list[str]:
    """Tells each sink of integrations.yml what is new to it. Returns which sinks could not be told, and why.

    found, error: how a run ended. Nothing that goes wrong here is more than said.
    """
    return _alert(project, lambda declared, ledger: _of_run(project, declared, request, ledger, found, error))


def alert_before_prune(project: Project, at: datetime) -> list[str]:
    """The same, of what nobody has fetched and `prune` is about to take, or may take within a day."""
    return _alert(project, lambda declared, ledger: {"not_fetched": list(_unfetched(project, declared, ledger, at))})


def alert_of(project: Project, command: str, error: DeliveryError | None) -> list[str]:
    """The same, of a command that a timer runs, and how it ended."""
    return _alert(project, lambda *_: {command: list(_failed(command, error))})


def _alert(project: Project, found: Callable[[Integrations, Ledger], Mapping[str, list[Alert]]]) -> list[str]:
    """found: what there is to say, by topic. Of other topics it is still known who was told."""
    try:
        if b"alerts" not in project.integrations_file.read_bytes():  # most have none, and some are long
            return []
        declared = Integrations(project.integrations_file)
        if not declared.alerts:
            return []
        # A run that did not begin may have no ledger, and none is made: a lost one would look like a new one.
        with closing(Ledger.to_read(project.ledger_url)) as ledger:
            topics = found(declared, ledger)
            before = {name: last_told(ledger, name, topics) for name in declared.alerts}
            is_there = ledger.storage.engine.url.database is not None
        said, told = _tell(declared.alerts, [one for some in topics.values() for one in some], before)
        if is_there and told != before:
            with closing(Ledger(project.ledger_url)) as ledger:
                for topic, some in topics.items():
                    keys = {one.key for one in some}
                    keep_told(ledger, topic, {name: known & keys for name, known in told.items()})
    except Exception as failure:  # noqa: BLE001 - whatever it is, the command has ended as it has
        return [f"Somebody may not know of this: telling it ended with {type(failure).__name__}."]
    else:
        return said


def _of_run(
    project: Project,
    declared: Integrations,
    request: Request,
    ledger: Ledger,
    found: Sequence[Outcome],
    error: DeliveryError | None,
) -> dict[str, list[Alert]]:
    ended = [Alert(event, o.delivery.title, o.message) for o in found if (event := _event(o))]
    topics = {"run": [*_failed("the run", error), *ended]}
    if not request.due or (isinstance(error, ConfigError) and not isinstance(error, LeftOut)):
        return topics
    seen = {(o.delivery.campaign, o.delivery.integration, o.delivery.slot) for o in found}
    topics["gap"] = [
        Alert("gap", f"{gap.campaign} to {gap.integration} {gap.when}", gap.note or gap.state)
        for gap in gaps(project, declared, request.at, None, None, None)
        if (gap.campaign, gap.integration, gap.due) not in seen
    ]
    longest = timedelta(days=max(map(kept_days, declared.possible.values()), default=0))
    since = request.at - longest - BEFORE  # what is older was said before, or `prune` says it
    topics["not_fetched"] = list(_unfetched(project, declared, ledger, request.at, since.isoformat()))
    return topics


def _failed(command: str, error: DeliveryError | None) -> Iterator[Alert]:
    if error and not isinstance(error, NothingDue):
        yield Alert("failed", f"{command}, exit code {int(error.exit_code)}", error.message)


def _unfetched(
    project: Project, declared: Integrations, ledger: Ledger, at: datetime, since: str = ""
) -> Iterator[Alert]:
    """Of what was published on the share since then, as far as `delivery share log` has read."""
    shortest = timedelta(days=min(map(kept_days, declared.possible.values()), default=0))
    last = (at + 2 * BEFORE - shortest).isoformat()  # whole days count
    there = sa.select(files.c.delivery_id).where(
        files.c.state == FileState.PUBLISHED,
        files.c.destination.startswith(f"{project.share}/", autoescape=True),
        files.c.updated_at.between(since, last),
    )
    rows = ledger.find(deliveries.c.state == State.DELIVERED, deliveries.c.id.in_(there))
    titles = {row.id: row.title for row in rows}
    for key, taken in fetched(project, ledger, rows, declared).items():
        if not taken.users and taken.goes_on and taken.goes_on <= f"{at + BEFORE:%Y-%m-%d}":
            yield Alert("not_fetched", titles[key], taken.text)


def _event(outcome: Outcome) -> Event | None:
    if outcome.state == Ended.REFUSED:
        return "limit" if outcome.rejected else "refused"
    if outcome.state == Ended.FAILED:
        return "late" if outcome.late else "failed"
    return "held" if outcome.state == Ended.HELD else None


def _tell(
    sinks: Mapping[str, Sink], alerts: list[Alert], before: Mapping[str, frozenset[str]]
) -> tuple[list[str], dict[str, frozenset[str]]]:
    """Tells all sinks at once, each what it asks for. Returns who could not be told, and what each knows now."""
    asked = {name: [one for one in alerts if one.event in sink.events] for name, sink in sinks.items()}
    new = {name: [one for one in asked[name] if one.key not in before[name]] for name in sinks}
    failed = _send({name: (sinks[name], *_message(some)) for name, some in new.items() if some})
    unheard = {name: {one.key for one in new[name]} if name in failed else set() for name in sinks}
    told = {name: frozenset(one.key for one in asked[name]) - unheard[name] for name in sinks}
    return [f"alerts.{name}: not told of {len(new[name])}: {why}." for name, why in failed.items()], told


def _message(alerts: list[Alert]) -> tuple[str, str]:
    counts = Counter(one.event for one in alerts)
    lines = [f"{one.event}: {one.what}: {redact(one.why).partition(chr(10))[0]}"[:LETTERS] for one in alerts[:LINES]]
    more = [f"and {len(alerts) - LINES} more"] if len(alerts) > LINES else []
    return (
        "delivery: " + ", ".join(f"{number} {event}" for event, number in counts.items()),
        "\n".join([*lines, *more, "What to do: `delivery status`, `delivery plan`."]),
    )


def _send(messages: Mapping[str, tuple[Sink, str, str]]) -> dict[str, str]:
    """Sends them side by side; returns why not, by sink. One that does not answer in time is left behind."""
    if not messages:
        return {}
    try:
        import apprise
    except ImportError:
        return dict.fromkeys(messages, "Apprise is not installed; pip install 'dbt-delivery[alerts]'")
    logging.getLogger("apprise").disabled = True  # it would show URLs
    failed = dict.fromkeys(messages, "its URL cannot be read, or is none that Apprise knows")
    found = {name: _opened(apprise, sink) for name, (sink, _, _) in messages.items()}
    failed |= {name: f"no answer within {SECONDS:.0f} s" for name, one in found.items() if one}

    def send(name: str) -> None:
        _, title, body = messages[name]
        try:
            if found[name].notify(title=title, body=body):
                del failed[name]
            else:
                failed[name] = "it did not take the message"
        except Exception as error:  # noqa: BLE001 - its text may hold the URL
            failed[name] = type(error).__name__

    threads = [Thread(target=send, args=(name,), daemon=True) for name, one in found.items() if one]
    for thread in threads:
        thread.start()
    end = monotonic() + SECONDS
    for thread in threads:
        thread.join(max(0.0, end - monotonic()))
    return dict(failed)


def _opened(apprise: ModuleType, sink: Sink) -> Any:
    """What Apprise sends by; None where the URL cannot be read or means nothing."""
    try:
        return apprise.Apprise.instantiate(sink.address(), asset=apprise.AppriseAsset(async_mode=False))
    except Exception:  # noqa: BLE001 - its text may hold the URL
        return None
