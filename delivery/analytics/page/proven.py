"""The figures that the gate let out last, of each client and dataset: shown while newer ones are being checked."""

from __future__ import annotations

import io
import json
import threading
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from delivery.analytics.measures import Metric
from delivery.files.disk import replace_file, writing

if TYPE_CHECKING:
    from pathlib import Path

_ABOUT = "figures"  # the key of a Parquet file's own notes
_writing = threading.Lock()  # visitors come side by side


@dataclass(frozen=True)
class Figures:
    """Stored rows of a client's dataset, of the last two years, and what they are made of.

    built_at: when the dataset was built; data_until: what had landed by then is in it. Both UTC, without an offset.
    """

    rows: pl.DataFrame
    metrics: list[Metric]
    built_at: datetime
    data_until: datetime


def keep(path: Path, figures: Figures) -> None:
    """Keeps them in place of those that were kept, unless these are of the same build. Raises WriteFailed."""
    with _writing:
        before = kept(path)
        if before and before.data_until == figures.data_until:
            return
        about = {
            "metrics": [asdict(metric) for metric in figures.metrics],
            "built_at": figures.built_at.isoformat(),
            "data_until": figures.data_until.isoformat(),
        }
        buffer = io.BytesIO()
        figures.rows.write_parquet(buffer, metadata={_ABOUT: json.dumps(about)})
        with writing(path):
            for folder in (path.parent.parent, path.parent):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, buffer.getvalue())


def kept(path: Path) -> Figures | None:
    """What was kept there; None where nothing was, or what no version of this can read."""
    try:
        about = json.loads(pl.read_parquet_metadata(path)[_ABOUT])
        metrics = [Metric(**metric) for metric in about["metrics"]]
        times = (datetime.fromisoformat(about[name]) for name in ("built_at", "data_until"))
        return Figures(pl.read_parquet(path), metrics, *times)
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
        return None
