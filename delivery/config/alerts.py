"""Whom to tell when something needs a person: the key `alerts` of integrations.yml."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from delivery.config.values import KeyFile, Secret  # noqa: TC001 - pydantic reads it

Event = Literal["refused", "limit", "failed", "late", "held", "gap", "not_fetched"]
EVENTS: tuple[Event, ...] = get_args(Event)


class Sink(BaseModel):
    """One place that is told, as a URL of Apprise's: mail, chat, a webhook. It holds secrets, so it is never shown."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Secret | None = None
    url_file: KeyFile | None = Field(default=None, description="a file that holds the URL, instead of `url`")
    events: tuple[Event, ...] = Field(default=EVENTS, min_length=1, description="what it is told of")

    @model_validator(mode="after")
    def _is_one(self) -> Sink:
        if (self.url is None) == (self.url_file is None):
            raise ValueError("needs one of url and url_file")
        return self

    def address(self) -> str:
        """The URL. Raises OSError, or ValueError for a file that is no text."""
        if self.url or not self.url_file:
            return self.url.get_secret_value() if self.url else ""
        if not self.url_file.is_file():  # of a pipe nobody waits for the other end
            raise OSError
        return self.url_file.read_text().strip()
