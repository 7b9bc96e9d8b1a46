"""The data dictionary: what the models say, nothing internal, and one page that needs nothing else."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from projects import Copy

ROOT = Path(__file__).parents[2]


def written(project: Copy, *options: str) -> str:
    done = project.delivery("dictionary", *options)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_the_page_is_fresh(built: Copy) -> None:
    assert (ROOT / "docs" / "data-dictionary.md").read_text("utf-8") == written(built), "make dictionary"


def test_every_column_that_may_leave_is_there(built: Copy) -> None:
    manifest = json.loads((built.root / "target" / "manifest.json").read_bytes())
    pages = {page["name"]: page for page in json.loads(written(built, "--json"))["datasets"]}
    for node in manifest["nodes"].values():
        if not (node["config"].get("meta") or {}).get("dataset"):
            continue
        metas = {name: column["config"].get("meta") or {} for name, column in node["columns"].items()}
        wanted = [name for name, meta in metas.items() if meta.get("layout") != "internal"]
        found = pages.pop(node["name"])["columns"]
        assert [column["name"] for column in found] == wanted
        assert all(column["description"] and column["type"] for column in found)
        for column in found:
            definition = metas[column["name"]].get("definition") or {}
            assert bool(column["source"]) == bool(definition)
            assert str(definition.get("attribute", "")) in column["source"]
            assert all(name in column["source"] for name in definition.get("namespaces", ()))
    assert pages == {}


def test_a_client_is_not_told_of_what_others_have(built: Copy) -> None:
    everybody, acme = written(built), written(built, "--namespace", "acme_outdoor")
    assert "`skin_type`" in everybody
    assert "`skin_type`" not in acme
    assert "brightside_beauty" not in acme
    assert "`favourite_activity`" in acme


@pytest.mark.parametrize("name", ["page.html"])
def test_the_html_page_needs_nothing_else(built: Copy, tmp_path: Path, name: str) -> None:
    assert written(built, "--html", "-o", str(tmp_path / name)) == ""
    text = (tmp_path / name).read_text("utf-8")
    seen: list[tuple[str, dict[str, Any]]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.append((tag, dict(attrs)))

    Reader().feed(text)
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in seen}
    assert not any(key in ("src", "href") for _, attributes in seen for key in attributes)
    assert "<td>favourite_activity</td>" in text
    assert "&#39;" in text, "values are escaped"
