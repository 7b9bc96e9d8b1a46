"""What the ledger says, as Prometheus reads it: for a collector of text files, such as node_exporter's."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from delivery.config.integrations_file import Integrations
from delivery.ledger import Ledger, State
from delivery.schedule.gaps import gaps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from delivery.config.project import Project

LABELS = ("client", "campaign", "integration")
ABOUT = {
    "delivery_deliveries": "Deliveries on record, by state.",
    "delivery_last_delivered_timestamp_seconds": "When the last delivery ended well, in seconds since 1970.",
    "delivery_gaps": "What should have gone by the schedules and did not.",
}


class Sample(NamedTuple):
    """One value of a metric. labels: those of LABELS, and state where the metric is by state."""

    metric: str
    labels: dict[str, str]
    value: int


def samples(project: Project, at: datetime) -> list[Sample]:
    """All values of all metrics, metric by metric, in order of their labels; none where there is no ledger.

    Raises ConfigError as `status --gaps` does.
    """
    with closing(Ledger.to_read(project.ledger_url)) as ledger:
        counted = ledger.counted()
    if not counted:  # a lost ledger is not made anew by looking
        return []
    missing = Counter(
        (gap.namespace, gap.campaign, gap.integration)
        for gap in gaps(project, Integrations(project.integrations_file), at, None, None, None)
    )
    deliveries, delivered, unsent = ABOUT
    return [
        *(Sample(deliveries, _labels(key) | {"state": state}, n) for *key, state, n, _ in counted),
        *(
            Sample(delivered, _labels(key), int(datetime.fromisoformat(last).timestamp()))
            for *key, state, _, last in counted
            if state == State.DELIVERED
        ),
        *(Sample(unsent, _labels(key), missing[key]) for key in sorted({row[:3] for row in counted} | missing.keys())),
    ]


def exposition(found: list[Sample]) -> str:
    """Prometheus' text format, each metric with its help and type."""
    lines = []
    for metric, about in ABOUT.items():
        lines += [f"# HELP {metric} {about}", f"# TYPE {metric} gauge"]
        for sample in found:
            if sample.metric == metric:
                labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels.items())
                lines.append(f"{metric}{{{labels}}} {sample.value}")
    return "".join(f"{line}\n" for line in lines)


def _labels(key: Sequence[str]) -> dict[str, str]:
    return dict(zip(LABELS, key, strict=False))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
