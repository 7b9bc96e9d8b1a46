"""What a run works with: what people wrote, and which deliveries it means now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from delivery.config.campaigns import read_campaigns
from delivery.config.datasets import relation_of
from delivery.errors import ConfigError, NothingDue
from delivery.files import receipts
from delivery.schedule.jobs import Job, jobs, sent
from delivery.schedule.names import file_name
from delivery.transfer import open_destination

if TYPE_CHECKING:
    from collections.abc import Iterable

    from delivery.config.campaigns import Campaign
    from delivery.config.datasets import Manifest
    from delivery.config.integrations import Integration
    from delivery.config.integrations_file import Integrations
    from delivery.config.project import Project
    from delivery.ledger import Ledger
    from delivery.schedule.request import Request
    from delivery.transfer import Destination
    from delivery.warehouse import Engine


@dataclass(frozen=True)
class Setup:
    """The configuration of one run, validated."""

    project: Project
    manifest: Manifest
    campaigns: dict[str, Campaign]
    integrations: dict[str, Integration]

    def destination(self, job: Job) -> Destination:
        """The job's destination, not yet connected."""
        return open_destination(job.integration_name, job.integration, share=self.project.share, root=self.project.root)

    def wanted(self, request: Request, ledger: Ledger) -> list[Job]:
        """The deliveries that the request means now, corrections last. Raises NothingDue, ConfigError."""
        wanted = jobs(request, self.campaigns, self.integrations, ledger)
        wanted += receipts.outdated(sent(request, self.campaigns, self.integrations, ledger), self.project)
        if not wanted:
            raise NothingDue(
                "Nothing is due.", hint="`delivery plan` shows the schedules; `delivery status` what was done."
            )
        places: dict[tuple[str, str], Job] = {}
        for job in wanted:
            place = (self.destination(job).describe(), file_name(job, request.at))
            other = places.setdefault(place, job)
            if other is not job and job.integration.existing != "replace":
                raise ConfigError(
                    f"{place[1]} in {place[0]} would be written by {other.campaign.name} for {other.when} "
                    f"and by {job.campaign.name} for {job.when}.",
                    hint="Put {campaign} and {window:%Y-%m-%d} into file_name.",
                )
        return wanted

    def check_namespaces(self, wanted: Iterable[Job], engine: Engine) -> None:
        """Raises ConfigError when the warehouse knows no such client."""
        relation = relation_of(self.manifest, "namespaces")
        if relation is None:
            return
        known = set(engine.table(f"select namespace from {relation}")["namespace"].to_pylist())
        unknown = {
            job.integration_name: job.integration.namespace for job in wanted if job.integration.namespace not in known
        }
        if unknown:
            raise ConfigError(
                "\n".join(f"integrations.{name}.namespace: unknown namespace {one!r}" for name, one in unknown.items()),
                hint=f"Known: {', '.join(sorted(known))}.",
            )


def load(project: Project, declared: Integrations, needed: tuple[str, ...] = ()) -> Setup:
    """Reads and checks campaigns and their integrations. Raises ConfigError with every fault."""
    manifest = project.manifest()
    return Setup(project, manifest, *read_campaigns(manifest, declared, needed or None))
