"""dbt, told that the warehouse holds nothing: models are compiled as a first build would be. Nobody is connected to.

Runs in the environment of requirements/compile.lock, not in that of the product.

    python tests/compile/offline.py ADAPTER DBT_ARGUMENT…
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from dbt.adapters.base import BaseAdapter
from dbt.adapters.base.connections import BaseConnectionManager
from dbt.cli.main import dbtRunner
from dbt_common.exceptions import DbtRuntimeError


def main(adapter: str, arguments: list[str]) -> int:
    """Returns the exit code. What would be looked up at the server is found in dbt's cache, which is empty."""
    BaseAdapter._schema_is_cached = lambda *_: True

    def refuse(_: type, connection: Any) -> None:
        raise DbtRuntimeError(f"{connection.name} sends a query while it is compiled: guard it with `execute`.")

    import_module(f"dbt.adapters.{adapter}")  # so that its way of opening a connection is known
    for manager in _all(BaseConnectionManager):
        if "open" in vars(manager):
            manager.open = classmethod(refuse)
            manager.close = classmethod(lambda _, connection: connection)  # BigQuery's opens one to close it
    done = dbtRunner().invoke(arguments)
    if done.exception:
        print(done.exception)
    return 0 if done.success else 1


def _all(kind: type) -> list[type]:
    return [kind, *(one for below in kind.__subclasses__() for one in _all(below))]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
