"""Each export of a target, whole."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from delivery.config.project import open_project
from delivery.sql import identifier
from delivery.warehouse import open_engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from delivery.config.datasets import Manifest


def exports(target: str, root: Path) -> Iterator[tuple[str, str]]:
    """Name and SHA-256 of each export, row by row in its own order."""
    project = open_project(root, target, None)
    with open_engine(project) as engine:
        for name, relation, keys in _whole(project.manifest()):
            columns = sorted(engine.table(f"select * from {relation} limit 0").schema.names)
            select = ", ".join(f"cast({identifier(c)} as varchar) as {identifier(c)}" for c in columns)
            digest = hashlib.sha256()
            order = ", ".join(f"whole.{identifier(key)}" for key in keys)
            for batch in engine.stream(f"select {select} from {relation} as whole order by {order}", sorts=True):
                for row in batch.to_pylist():
                    digest.update(repr(row).encode())
            yield f"{name} (whole table)", digest.hexdigest()


def _whole(manifest: Manifest) -> Iterator[tuple[str, str, list[str]]]:
    """Name, relation and order of each export; those that are no dataset (what was rejected) by their key."""
    for node in manifest["nodes"].values():
        if node["resource_type"] == "model" and node["fqn"][1] == "exports":
            asked = (node["config"].get("meta") or {}).get("dataset") or {"order_by": ["unique_key"]}
            window = [asked["window"]] if asked.get("window") else []
            yield node["name"], node["relation_name"], [*window, "namespace", *asked["order_by"]]
