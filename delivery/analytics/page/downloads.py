"""The rows that the page shows, as a file: an address of its own, which answers only who may see the client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast, get_args
from urllib.parse import urlencode

from delivery.analytics import export, measures
from delivery.analytics.page import reading
from delivery.analytics.page.served import current, looks, told
from delivery.config.share import ANALYTICS, USER_HEADER
from delivery.errors import ConfigError
from delivery.windows import DAY, Window, parse_day

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from starlette.requests import Request
    from starlette.responses import Response

    from delivery.analytics.export import Format
    from delivery.analytics.measures import Grain

PATH = "/rows"
TYPES = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "json": "application/json",
}


@dataclass(frozen=True)
class Rows:
    """Which rows: of a client's dataset, of the days of a window, summed by a grain."""

    namespace: str
    dataset: str
    window: Window
    grain: Grain
    campaign_id: int | None

    def url(self, kind: Format) -> str:
        """Where a browser gets them."""
        asked = {"namespace": self.namespace, "dataset": self.dataset, "grain": self.grain, "format": kind}
        days = {"from": self.window.start, "to": self.window.end}
        campaign = {} if self.campaign_id is None else {"campaign_id": self.campaign_id}
        return f"{base()}{PATH}?{urlencode({**asked, **days, **campaign})}"

    @classmethod
    def asked(cls, query: Mapping[str, str]) -> Self:
        """From an address. Raises ConfigError for one that `url` does not give."""
        grain, campaign = query.get("grain", ""), query.get("campaign_id")
        known = grain in get_args(measures.Grain) and query.get("dataset") in reading.DATASETS
        if not known or not (campaign or "0").isdecimal():
            raise ConfigError("This is no address of rows.", hint="Choose on the page, and download there.")
        now = current().now()
        window = Window(parse_day(query.get("from", ""), now), parse_day(query.get("to", ""), now))
        number = None if campaign is None else int(campaign)
        return cls(query.get("namespace", ""), query["dataset"], window, cast("Grain", grain), number)

    def file(self, kind: Format) -> bytes:
        """What `delivery export` writes. Raises ConfigError, GateRefused."""
        found = reading.answer(self.namespace, self.dataset, self.window, self.grain, self.campaign_id)
        if not found.metrics:
            raise ConfigError("These figures are being checked.", hint="Try again later.")
        return export.encode(found.frame, kind, f"{measures.PREFIX}{self.dataset}")

    def name(self, kind: Format) -> str:
        """Of the file."""
        days = f"{self.window.start}_{self.window.end - DAY}"
        return f"{measures.PREFIX}{self.dataset}_{self.namespace}_{days}_{self.grain}.{kind}"


def base() -> str:
    """The path of the page: behind the share's login it has one of its own."""
    return f"/{ANALYTICS}" if current().door else ""


def answer(request: Request) -> Response:
    """The file, or why there is none."""
    from starlette.responses import PlainTextResponse, Response

    looks(request.headers.get(USER_HEADER, ""))
    try:
        rows, kind = Rows.asked(request.query_params), export.format_of("", request.query_params.get("format"))
        content = rows.file(kind)
    except Exception as error:  # noqa: BLE001 - shown here or nowhere: a raw traceback may quote the data
        return PlainTextResponse(f"{told(error)}\n", 404)
    disposition = {"Content-Disposition": f'attachment; filename="{rows.name(kind)}"', "Cache-Control": "no-store"}
    return Response(content, media_type=TYPES[kind], headers=disposition)
