"""The data dictionary: every dataset and column that a client may get, as dbt's manifest describes them.

One page for people: Markdown for the docs, or an HTML file that needs nothing else, to be sent to a client's IT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from delivery.config.datasets import column_meta, datasets

if TYPE_CHECKING:
    from delivery.config.datasets import Manifest

TYPES = {
    "string": "text", "varchar": "text", "text": "text", "bigint": "integer", "integer": "integer",
    "boolean": "true or false", "date": "date", "timestamp": "time, UTC",
}  # fmt: skip
IN_FILE = {"file": "always", "optional": "if the campaign asks for it"}
SOURCES = {
    "customer_attribute": "the customer's attribute `{attribute}`",
    "product_attribute": "attribute `{attribute}` of the product {product}",
}


class Entry(NamedTuple):
    """One column. nullable: whether it may be empty; in_file: when it is in a file; source: of a definition."""

    name: str
    type: str
    nullable: bool
    in_file: str
    source: str
    description: str


class Page(NamedTuple):
    """One dataset."""

    name: str
    description: str
    by_day: bool
    columns: tuple[Entry, ...]


def dictionary(manifest: Manifest, namespace: str | None = None) -> list[Page]:
    """Every dataset with its columns, without those that are in no file, or not for the namespace if one is given."""
    pages = []
    for dataset in sorted(datasets(manifest).values(), key=lambda one: one.name):
        node = manifest["nodes"][dataset.unique_id]
        columns = node["columns"].values()
        entries = tuple(_entry(column) for column in columns if _is_for(column, namespace))
        pages.append(Page(dataset.name, _line(node["description"]), dataset.window is not None, entries))
    return pages


def render(pages: list[Page], form: Literal["markdown", "html"]) -> str:
    """The pages as one text."""
    environment = Environment(
        loader=PackageLoader("delivery", "pages"),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    name = "dictionary.html" if form == "html" else "dictionary.md"
    text: str = environment.get_template(name).render(pages=pages)
    return text


def _is_for(column: dict[str, Any], namespace: str | None) -> bool:
    meta = column_meta(column)
    only_for = (meta.get("definition") or {}).get("namespaces") or [namespace]
    return meta.get("layout") != "internal" and (namespace is None or namespace in only_for)


def _entry(column: dict[str, Any]) -> Entry:
    meta = column_meta(column)
    definition = meta.get("definition")
    data_type = (column.get("data_type") or "").lower()
    required = any(rule["type"] == "not_null" for rule in column.get("constraints") or [])
    return Entry(
        column["name"],
        TYPES.get(data_type, data_type),
        not required,
        "if the integration asks for it" if definition else IN_FILE[meta.get("layout", "file")],
        _source(column["name"], definition) if definition else "",
        _line(column["description"]),
    )


def _source(name: str, definition: dict[str, Any]) -> str:
    kind = definition["kind"]
    text: str = SOURCES.get(kind, kind.replace("_", " "))
    product = str(definition.get("product", "")).replace("_", " ")
    text = text.format(attribute=definition.get("attribute", name), product=product)
    only_for = definition.get("namespaces")
    return text + (f"; only {', '.join(only_for)}" if only_for else "")


def _line(text: str) -> str:
    return " ".join(text.split())
