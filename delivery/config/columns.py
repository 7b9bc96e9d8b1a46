"""What an integration asks of its campaigns' columns and rows, and what they cannot give it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from delivery.config.faults import nearest
from delivery.config.values import CONTROL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from delivery.config.campaigns import Campaign
    from delivery.config.integrations import Integration

TEXT = ("string", "text", "varchar")  # types of a contract whose values `rows` may choose


def _labels(value: object) -> object:
    """Label by name, in the order of the file, from a list of names and of `name: label`."""
    if not isinstance(value, list) or not value:
        raise ValueError("must be a list of columns, each a name or `name: label`")
    labels: dict[str, str] = {}
    for entry in value:
        pair = {entry: entry} if isinstance(entry, str) else entry
        if not isinstance(pair, dict) or len(pair) != 1 or not all(isinstance(x, str) for x in (*pair, *pair.values())):
            raise ValueError(f"must be a name or `name: label`, both text: {entry!r}")
        ((name, label),) = pair.items()
        if name in labels:
            raise ValueError(f"{name!r} is there twice")
        if not label.strip() or CONTROL.search(label) or label.startswith("\ufeff"):  # which readers take for a mark
            raise ValueError(f"{name!r} needs a label that is not blank, without control characters")
        if label.casefold() in {known.casefold() for known in labels.values()}:
            raise ValueError(f"two columns are called {label!r}, but for upper and lower case")
        labels[name] = label
    return labels


_NAMES = {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "uniqueItems": True}
_LABELLED = {
    "type": "object", "additionalProperties": {"type": "string", "minLength": 1}, "minProperties": 1, "maxProperties": 1
}  # fmt: skip
Columns = Annotated[
    dict[str, str],
    BeforeValidator(_labels),
    WithJsonSchema({"type": "array", "items": {"anyOf": [{"type": "string"}, _LABELLED]}, "minItems": 1}),
]
Chosen = Annotated[
    dict[str, Annotated[tuple[str, ...], Field(min_length=1)]],
    WithJsonSchema({"type": "object", "additionalProperties": _NAMES}),
]


def misfits(chosen: Mapping[str, Campaign], integrations: Mapping[str, Integration]) -> dict[str, list[str]]:
    """By integration what it asks that a campaign which serves it does not have, or cannot do.

    A campaign tells rows apart for the client by some columns: corrections by unique_key, changes by the contacts.
    """
    found: dict[str, list[str]] = {}
    for campaign in chosen.values():
        for name in dict.fromkeys(campaign.integrations):
            if (one := integrations.get(name)) is not None:
                asked = (*_columns(campaign, one), *_rows(campaign, one), *_files(campaign, one))
                lines = [f"integrations.{name}.{fault} ({campaign.name})" for fault in asked]
                found.setdefault(name, []).extend(lines)
    return found


def _columns(campaign: Campaign, integration: Integration) -> Iterator[str]:
    if integration.columns is None:
        return
    dataset = campaign.dataset
    known = [column.name for column in dataset.columns if column.layout != "internal"]
    for name in integration.columns:
        if name not in known:
            shown = f"; known: {', '.join(known)}{nearest(name, known)}"
            yield f"columns: {name!r} is no column of {dataset.name}{shown}"
    for name in campaign.keys(replaces=integration.existing == "replace"):
        if name not in integration.columns:
            yield f"columns: leaves out {name}, by which the client applies what is sent later of the same rows"


def _rows(campaign: Campaign, integration: Integration) -> Iterator[str]:
    if not integration.rows:
        return
    known = [column.name for column in campaign.dataset.columns if column.data_type.lower() in TEXT]
    for name in integration.rows:
        if name not in known:
            shown = f"; known: {', '.join(known)}{nearest(name, known)}"
            yield f"rows: {name!r} is no column of text of {campaign.dataset.name}{shown}"


def _files(campaign: Campaign, integration: Integration) -> Iterator[str]:
    if integration.split and integration.split.by == "day" and campaign.dataset.window is None:
        yield f"split: {campaign.dataset.name} has no days to split by; split by rows or bytes"
    if integration.existing == "replace" and campaign.export.mode == "changes":
        yield (
            "existing: replace would overwrite changes not loaded yet; "
            "put {window:%Y-%m-%d} into file_name, or set filename_timestamped, with existing: hold"
        )
