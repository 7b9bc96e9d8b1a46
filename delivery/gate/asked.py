"""What the gate is asked about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from delivery.config.datasets import Dataset
    from delivery.windows import Window


@dataclass(frozen=True)
class Asked:
    """What is to leave. complete_at: what it is built from must have begun to be built then, or later.

    proven_with: unique ids of what it leaves with: an audience, entitlements.
    """

    dataset: Dataset
    window: Window | None
    namespace: str | None = None
    complete_at: datetime | None = None
    proven_with: tuple[str, ...] = ()
