"""What a run works with: what people wrote, and which deliveries it means now."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from delivery.config.buckets import BucketDestination
from delivery.config.campaigns import read_campaigns
from delivery.config.datasets import relation_of
from delivery.errors import ConfigError, DestinationFailed, LoginRefused, NothingDue
from delivery.files.corrections import outdated
from delivery.schedule.jobs import Job, jobs
from delivery.schedule.names import directory, file_name
from delivery.schedule.places import shared_places
from delivery.sftp.kept import Kept
from delivery.transfer import open_destination
from delivery.transfer.descriptions import describe

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping
    from datetime import date

    from delivery.config.campaigns import Campaign
    from delivery.config.datasets import Manifest
    from delivery.config.integrations import Integration
    from delivery.config.integrations_file import Integrations
    from delivery.config.project import Project
    from delivery.errors import DeliveryError, LeftOut
    from delivery.ledger import Ledger
    from delivery.schedule.request import Request
    from delivery.transfer import Destination
    from delivery.warehouse import Engine


T = TypeVar("T")
SHOWN = 20  # clients in a hint
AT_ONE_PLACE = 4  # deliveries to a directory of this machine


@dataclass(frozen=True)
class Setup:
    """The configuration of one run, validated.

    left_out: what is wrong with integrations, of which no delivery is looked at; lacking: of others, by integration,
    why nothing can go there now; alike: by delivery, why it cannot go beside the others.
    """

    project: Project
    manifest: Manifest
    campaigns: dict[str, Campaign]
    integrations: dict[str, Integration]
    left_out: LeftOut | None = None
    lacking: dict[str, ConfigError] = field(default_factory=dict)
    has_page: bool = False  # which shows the share
    alike: dict[str, ConfigError] = field(default_factory=dict)
    kept: Kept = field(default_factory=Kept)
    _given_up: dict[tuple[object, ...], DeliveryError] = field(default_factory=dict)

    def place(self, job: Job) -> tuple[tuple[object, ...], int]:
        """Where the job's files go, as one account on one server, and how many deliveries may go there at once."""
        target = job.integration.destination
        if target.type == "sftp":
            return (target.server,), target.connections
        if isinstance(target, BucketDestination):
            return (target.url, job.integration_name), target.connections  # whose credentials are its own
        return (target.type, job.integration_name if target.type == "local" else ""), AT_ONE_PLACE

    @contextmanager
    def login(self, job: Job) -> Iterator[None]:
        """Around all that logs in. In one run, an account that was refused is not tried again, which might lock it.

        Nor is one whose server did not answer in time: it would be waited for once more for each delivery.
        """
        account, _ = self.place(job)
        if account in self._given_up:
            raise self._given_up[account]
        try:
            yield
        except LoginRefused as error:
            self._given_up[account] = error
            raise
        except DestinationFailed as error:
            if error.late:
                text = f"{account[0]} did not answer in time, and was not tried again in this run."
                self._given_up[account] = DestinationFailed(text, step=error.step, late=True)
            raise

    def destination(self, job: Job) -> Destination:
        """The job's destination, not yet connected."""
        return open_place(self.project, job.integration_name, job.integration, job.day, self.kept)

    def describe(self, job: Job) -> None:
        """Has the share's page say what it shows where the job's files lie, if they lie there."""
        if self.has_page and job.integration.destination.type == "hosted":
            describe(Path(self.destination(job).describe()), self.project.share, self.integrations)

    def wanted(self, request: Request, ledger: Ledger, *, keep: bool) -> list[Job]:
        """The deliveries that the request means now, corrections last. Raises NothingDue, ConfigError.

        Of two that would write one file the second is refused. keep: whether what was seen of windows that were
        delivered is remembered.
        """
        wanted = jobs(request, self.campaigns, self.integrations, ledger)
        wanted += outdated(request, self.campaigns, self.integrations, self.project, ledger, keep=keep)
        if not wanted:
            raise self.left_out or NothingDue(
                "Nothing is due.", hint="`delivery plan` shows the schedules; `delivery status` what was done."
            )
        places: dict[tuple[str, str], Job] = {}
        for job in wanted:
            place = (self.destination(job).describe(), file_name(job, request.at))
            other = places.setdefault(place, job)
            if other is not job and job.integration.existing != "replace":
                self.alike[job.key] = ConfigError(
                    f"{place[1]} in {place[0]} would be written by {other.campaign.name} for {other.when} "
                    f"and by {job.campaign.name} for {job.when}.",
                    hint="Put {campaign} and {window:%Y-%m-%d} into file_name.",
                )
        return wanted

    def done(self, found: list[T]) -> list[T]:
        """What was found, of all. Raises LeftOut with it when integrations were left out."""
        if self.left_out:
            self.left_out.done = found
            raise self.left_out
        return found

    def lack(self, job: Job) -> ConfigError | None:
        """Why the job cannot go in this run, as things are written."""
        return self.lacking.get(job.integration_name) or self.alike.get(job.key)


def namespaces(manifest: Manifest, engine: Engine) -> frozenset[str] | None:
    """The clients that the warehouse knows; None where the project keeps no list of them."""
    relation = relation_of(manifest, "namespaces")
    if relation is None:
        return None
    return frozenset(engine.table(f"select namespace from {relation}")["namespace"].to_pylist())


def check_namespace(name: str, integration: Integration, known: frozenset[str] | None) -> None:
    """Raises ConfigError when an integration is of a client that the warehouse does not know."""
    if known is not None and integration.namespace not in known:
        shown = f"{', '.join(sorted(known)[:SHOWN])}{', …' if len(known) > SHOWN else ''}"
        raise ConfigError(
            f"integrations.{name}.namespace: unknown namespace {integration.namespace!r}.",
            hint=f"Correct it, or add the client to the platform's namespaces and run `dbt build`. Known: {shown}.",
        )


def open_place(
    project: Project, name: str, integration: Integration, day: date, kept: Kept | None = None
) -> Destination:
    """The directory of an integration to which the files of a day go, not yet connected."""
    dated = integration.model_copy(update={"directory": directory(integration, day)})
    start, brace, _ = integration.directory.partition("{")
    there = start.rpartition("/")[0] or ("/" if start.startswith("/") else ".") if brace else None
    return open_destination(name, dated, project, there=there, kept=kept)


def load(project: Project, declared: Integrations, needed: tuple[str, ...] = (), select: tuple[str, ...] = ()) -> Setup:
    """Reads and checks campaigns and their integrations. Raises ConfigError for faults that are not one integration's.

    needed: integrations that were named, whose faults are raised too. Where none was, one with faults is left out, and
    what this machine lacks of one is told of its deliveries. select: campaigns that were named; of others' integrations
    nothing is said.
    """
    manifest = project.manifest()
    known, wrong = read_campaigns(manifest, declared, needed)
    for name, lines in shared_places(known.values(), _without(declared.possible, wrong), project).items():
        wrong.setdefault(name, []).extend(lines)
    served = [name for one in select if one in known for name in known[one].integrations]
    left_out = declared.left_out({name: wrong[name] for name in needed or served or declared.names if name in wrong})
    if needed and left_out:
        raise left_out
    lacking = {} if needed else _without(declared.lacking, wrong)
    able = {**declared.loaded, **{name: declared.possible[name] for name in lacking}}
    has_page = declared.share is not None
    return Setup(project, manifest, known, _without(able, wrong), left_out, lacking, has_page)


def _without(of: Mapping[str, T], wrong: Container[str]) -> dict[str, T]:
    return {name: one for name, one in of.items() if name not in wrong}
