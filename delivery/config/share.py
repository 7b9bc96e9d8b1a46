"""The share's two doors, a page and SFTP: the key `share` of integrations.yml. Users are not in it (decision 0040)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from delivery.config.values import KeyFile

Port = Annotated[int, Field(ge=1, le=65535)]


# How the share's page tells the page of figures who is logged in, and that it is the one who says so.
USER_HEADER, SECRET_HEADER = "X-Share-User", "X-Share-Secret"
ANALYTICS = "analytics"  # the path of the page of figures, on the share's
UNPLAIN = frozenset("\"'\\$%*?[]{}<>#~\n\r\t")  # the servers' configuration has no sure way to quote these


def _plain_path(value: Path) -> Path:
    if UNPLAIN & set(str(value)):
        raise ValueError("must be a path without quotes, backslashes, wildcards and the like")
    return value


PlainPath = Annotated[KeyFile, AfterValidator(_plain_path)]


class Share(BaseModel):
    """What `delivery share config` writes the servers' configuration from. Paths: relative to integrations.yml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$", description="the name that clients type")
    vendor_name: str = Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]+$", description="whose page it is")
    certificate: PlainPath = Field(description="for TLS, with its chain")
    certificate_key: PlainPath
    folder: PlainPath = Field(default=Path(".share"), validate_default=True, description="users, keys and logs")
    view: PlainPath | None = Field(default=None, description="where the servers see the share, if mounted for them")
    web_port: Port = 443
    sftp_port: Port = 22
    proxy: IPv4Address | IPv6Address | None = Field(
        default=None, description="the reverse proxy in front, which says whose address a request comes from"
    )
    analytics_port: Port | None = Field(
        default=None, description="on loopback, where `delivery analytics --share` answers the page of the share"
    )

    @property
    def analytics_secret(self) -> Path:
        """What the share's page tells the page of figures, so that this believes it: a file that only they read."""
        return self.folder / "analytics.secret"
