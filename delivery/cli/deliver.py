"""`run` and `plan`: deliver, and show what would be delivered."""

from __future__ import annotations

import functools
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from delivery import console
from delivery.cli.command import as_json, command, instant, project
from delivery.console import Hash, Table, View
from delivery.errors import ConfigError, CutOff, ExitCode, LeftOut, known, redact
from delivery.schedule.request import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from delivery.forecast import Forecast
    from delivery.gate.judge import Verdict
    from delivery.handing_over import Outcome
    from delivery.schedule.request import Request

FILE_FIELDS = ("name", "role", "state", "rows", "bytes", "sha256")


def _request_options(function: Callable[..., Any]) -> Callable[..., Any]:
    options = [
        click.option("--select", multiple=True, metavar="CAMPAIGN", help="Only this campaign; may be repeated."),
        click.option("--integration", multiple=True, metavar="NAME", help="Only this integration; may be repeated."),
        click.option("--window", metavar="DAY", help="The window that holds this day: YYYY-MM-DD or `yesterday`."),
        click.option("--from", "start", metavar="DAY", help="With --to: every window from this day on."),
        click.option("--to", "end", metavar="DAY", help="The day after the last one."),
        click.option("--due", is_flag=True, help="What the schedules say, missed and unfinished deliveries included."),
        click.option("--at", metavar="TIME", help="Act as at this time (UTC). [default: now]"),
        click.option(
            "--redeliver", is_flag=True, help="Send delivered windows again, as a new revision; needs --reason."
        ),
        click.option(
            "--ungated", is_flag=True, help="Send although the gate refuses; needs --reason, which is recorded."
        ),
        click.option("--reason", metavar="TEXT", help="Why, for the ledger; no addresses."),
    ]
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), function)


def _request(*, at: str | None, reason: str | None, integration: tuple[str, ...], **options: Any) -> Request:
    from delivery.schedule.request import Request

    chosen = [name for name in ("window", "start", "due") if options[name]]
    if len(chosen) > 1 or bool(options["start"]) != bool(options["end"]):
        raise ConfigError("Give one of --window, --from with --to, or --due.")
    if (options["redeliver"] or options["ungated"]) != bool(reason):
        raise ConfigError("--redeliver and --ungated need --reason, and --reason needs one of them.")
    return Request(at=instant(at), integrations=integration, reason=reason and redact(reason), **options)


@command(tables=True)
@_request_options
@click.option("--build", "build_first", is_flag=True, help="First build what is needed, under the same lock.")
@click.option(
    "--openlineage", type=click.Path(dir_okay=False, path_type=Path), help="Add the run's events to this file."
)
@click.option("--dry-run", is_flag=True, help="The same as `plan`.")
@click.option(
    "--deadline",
    type=click.FloatRange(min=0, min_open=True, max=7 * 86_400),  # no timer takes just any number
    default=DEADLINE,
    show_default=True,
    metavar="SECONDS",
    help="Then nothing more is begun; what is left is the next run's.",
)
def run(*, build_first: bool, dry_run: bool, deadline: float, openlineage: Path | None, **options: Any) -> View:
    """Deliver: gate, write, hand over, record. Running it again sends nothing twice."""
    if dry_run:
        return _plan(**options)
    from delivery import run as runner
    from delivery.cli.stopping import stoppable
    from delivery.operations.alerts import alert
    from delivery.progress import Watch

    asked, request, began = project(), _request(**options), datetime.now(UTC)
    left_out: LeftOut | None = None
    try:
        with stoppable():
            found = runner.run(asked, request, Watch(), build_first=build_first, deadline=deadline)
    except LeftOut as faults:
        found, left_out = list(faults.done), faults
    except CutOff:  # whoever sent the signal knows, and waits
        raise
    except Exception as error:
        for text in alert(asked, request, [], known(error)):
            console.say(text)
        raise
    view = outcomes(found, left_out, redelivers=options["redeliver"])
    unwritten: list[str] = []
    if openlineage:
        from delivery.operations.openlineage import append

        unwritten = append(openlineage, asked, found, began)
    beside = [*unwritten, *alert(asked, request, found, left_out)]
    for text in beside if as_json() else ():  # a document shows no parts
        console.say(text)
    return View(view.document, [*view.parts, *beside], view.code)


@command(tables=True)
@_request_options
def plan(**options: Any) -> View:
    """Show what `run` would do, with gate verdicts and layout differences; touches nothing."""
    return _plan(**options)


def _plan(**options: Any) -> View:
    from delivery import forecast

    try:
        return forecasts(forecast.plan(project(), _request(**options)))
    except LeftOut as faults:
        return forecasts(list(faults.done), faults)


def outcomes(found: list[Outcome], left_out: LeftOut | None = None, *, redelivers: bool = False) -> View:
    """The table of a run, and below it what did not go well; as JSON one object a delivery, with its files."""
    code = exit_code(found, left_out)
    table = Table(
        ["client", "file", "#rows", "#bytes", "state", "+SHA-256", "+where"],
        [
            [
                o.delivery.namespace,
                (data[0].name + (f" and {len(data) - 1} more" if data[1:] else "")) if data else o.delivery.title,
                o.delivery.rows,
                sum(file.bytes for file in data) if data else None,
                o.state,
                Hash(data[0].sha256 if len(data) == 1 else ""),  # `--json` and `status` have each part's
                o.delivery.destination,
            ]
            for o in found
            for data in [[file for file in o.files if file.role == "data"]]
        ],
    )
    failures = [f"\n{', '.join(titles)}:\n{message}" for message, titles in _grouped(found).items()]
    warned: dict[str, list[str]] = {}
    for o in found:
        for warning in dict.fromkeys(o.warnings):
            warned.setdefault(warning, []).append(o.delivery.title)
    before = _sent_before(found) if redelivers else []
    changes = [f"{o.delivery.title}: {change}" for o in found for change in o.layout_changes]
    changes += [f"{o.delivery.title}: {o.rejected}." for o in found if o.rejected and not o.message]
    changes += [f"{', '.join(titles)}: {warning}." for warning, titles in warned.items()]
    documents = [
        {
            **o.delivery._asdict(),
            "outcome": o.state,
            "message": o.message,
            "hint": o.hint,
            "layout_changes": o.layout_changes,
            "rejected_by_reason": o.rejected,
            "warnings": o.warnings,
            "files": [{field: getattr(file, field) for field in FILE_FIELDS} for file in o.files],
        }
        for o in found
    ]
    return View(
        {"exit_code": int(code), "deliveries": documents, "left_out": left_out and left_out.message},
        [table, *failures, *changes, *before, _summary(found), *_late(found), *_said(left_out)],
        code,
    )


def exit_code(found: Iterable[Outcome], left_out: LeftOut | None = None) -> ExitCode:
    """The code that asks most: destination before gate before another try."""
    return _foremost({*(outcome.code for outcome in found), *((left_out.exit_code,) if left_out else ())})


def _said(left_out: LeftOut | None) -> list[str]:
    return [f"\n{console.said(left_out)}"] if left_out else []


def _foremost(codes: set[ExitCode]) -> ExitCode:
    order = (ExitCode.DESTINATION, ExitCode.GATE, ExitCode.USAGE, ExitCode.FAILED)
    return next((code for code in order if code in codes), ExitCode.DONE)


def _sent_before(found: list[Outcome]) -> list[str]:
    """Of a redelivery that is run again, as it is when it did not end well for all."""
    again = [o.delivery.title for o in found if o.delivery.revision and o.state.startswith("already")]
    if not again:
        return []
    return [f"Sent again before, for the same --reason: {', '.join(again)}. With another reason it is sent once more."]


def _summary(found: list[Outcome]) -> str:
    done = sum(o.state == "delivered" for o in found)
    before = sum(o.state.startswith("already") for o in found)
    rest = len(found) - done - before
    return (
        f"\n{done} delivered now, {before} already delivered before (nothing was sent twice)"
        + (f", {rest} not delivered" if rest else "")
        + ". `--full` shows hashes and places."
    )


def _late(found: list[Outcome]) -> list[str]:
    """Whose servers did not answer in time."""
    counts = Counter(o.delivery.integration for o in found if o.late)
    named = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
    return [f"Late, and left for the next run: {named}."] if counts else []


def _grouped(found: list[Outcome]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for outcome in found:
        if outcome.message and outcome.code != ExitCode.DONE:
            text = outcome.message + (f"\nNext: {outcome.hint}" if outcome.hint else "")
            groups.setdefault(text, []).append(outcome.delivery.title)
    return groups


def forecasts(found: list[Forecast], left_out: LeftOut | None = None) -> View:
    """The table of a plan, then what the gate says, layout changes and refusals."""
    table = Table(
        ["delivery", "state", "gate", "#rows", "+file", "+where", "+publish"],
        [
            [
                f.title,
                f.state,
                _passes(f),
                f.rows,
                f.file,
                f.destination,
                f.publish or "not probed yet",
            ]
            for f in found
        ],
    )
    said = list(_verdicts(found))
    refused: dict[str, list[str]] = {}
    for f in found:
        if f.refusal:
            refused.setdefault(f"{f.refusal}\nNext: {f.hint}" if f.hint else f.refusal, []).append(f.title)
        said += [f"{f.title}: {one}" for one in (*f.layout_changes, f.taken) if one]
        if f.verdict and f.verdict.rejected and not f.refusal:
            said.append(f"{f.title}: {f.verdict.rejected}.")
    said += [f"{', '.join(titles)}: {refusal}" for refusal, titles in refused.items()]
    codes = {f.code for f in found}
    codes |= {ExitCode.FAILED for f in found if f.taken} | ({left_out.exit_code} if left_out else set())
    documents = [
        {name: value for name, value in vars(f).items() if name not in ("verdict", "code")}
        | {
            "publish": f.publish or None,
            "refusal": f.refusal or None,
            "hint": f.hint or None,
            "taken": f.taken or None,
            "gate": _gate(f.verdict),
        }
        for f in found
    ]
    return View(
        {"deliveries": documents, "left_out": left_out and left_out.message},
        [table, *said, *_said(left_out)],
        _foremost(codes),
    )


def _passes(forecast: Forecast) -> str:
    if forecast.verdict is None:
        return ""
    if forecast.verdict.passed and not forecast.refusal:
        return "passes"
    return "refuses" if forecast.code else "overridden"


def _gate(verdict: Verdict | None) -> dict[str, Any] | None:
    if verdict is None:
        return None
    return {
        "passed": verdict.passed,
        "reasons": verdict.reasons,
        "warnings": verdict.warnings,
        "built_at": verdict.built_at,
        "data_until": verdict.data_until,
        "rejected": verdict.rejected,
    }


def _verdicts(found: list[Forecast]) -> Iterator[str]:
    """What the gate said, each once: of a dataset, or of the deliveries that it concerns when others may leave."""
    said: dict[tuple[str, str], list[str]] = {}
    for f in found:
        if f.verdict:
            for text in (*f.verdict.reasons, *(f"{warning} (it may leave)" for warning in f.verdict.warnings)):
                said.setdefault((f.verdict.dataset, text), []).append(f.title)
    for (dataset, text), titles in said.items():
        judged = [f.title for f in found if f.verdict and f.verdict.dataset == dataset]
        yield f"{dataset if titles == judged else ', '.join(titles)}: {text}"
    for verdict in {f.verdict.dataset: f.verdict for f in found if f.verdict}.values():
        if verdict.built_at and verdict.data_until:
            yield (
                f"{verdict.dataset}: built at {verdict.built_at:%Y-%m-%d %H:%M} UTC,"
                f" data until {verdict.data_until:%Y-%m-%d %H:%M}"
            )
