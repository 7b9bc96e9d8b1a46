"""What a program works out once in its life, worked out once for all tests of a process."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from typing import Any

import pytest
import sqlalchemy as sa

from delivery.config import project


class Statements(dict[tuple[Any, ...], Any]):
    """Compiled statements by SQLAlchemy's key without the dialect's object: each ledger that is opened has its own."""

    def get(self, key: tuple[Any, ...], default: Any = None) -> Any:
        """As SQLAlchemy asks."""
        return super().get(key[1:], default)

    def __setitem__(self, key: tuple[Any, ...], compiled: Any) -> None:
        """As SQLAlchemy keeps it."""
        super().__setitem__(key[1:], compiled)


@pytest.fixture(scope="session", autouse=True)
def _once() -> None:
    statements: defaultdict[tuple[str, str], Statements] = defaultdict(Statements)

    def kept(connection: sa.Connection) -> None:
        of = connection.dialect.name, connection.dialect.driver
        connection.execution_options(compiled_cache=statements[of])

    sa.event.listen(sa.Engine, "engine_connect", kept)
    # Who changes what it holds, changes a copy.
    project.from_json = lru_cache(maxsize=4)(project.from_json)  # type: ignore[attr-defined,assignment]
    try:
        from streamlit.components.v2 import manifest_scanner as components
    except ModuleNotFoundError:
        return
    components.scan_component_manifests = lru_cache(components.scan_component_manifests)
