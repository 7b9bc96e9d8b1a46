"""What dbt-duckdb calls when it opens its connection: extensions from the Python environment, and the lake attached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbt.adapters.duckdb.plugins import BasePlugin
from dbt_common.exceptions import DbtRuntimeError

from delivery.engines import identifier
from delivery.engines.lake import GROUP_ROWS, attach, load_extensions
from delivery.errors import ConfigError

if TYPE_CHECKING:
    import duckdb


class Plugin(BasePlugin):
    """Named under `plugins` in profiles.yml. The runner never imports this module, as dbt takes seconds."""

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """The connection that all others of this dbt command are copies of.

        dbt-duckdb would attach right after this, and would say what fails with a traceback that quotes the login.
        """
        try:
            load_extensions(conn)
            for entry in (self.creds and self.creds.attach) or ():
                attach(conn, entry.path, entry.to_sql())
                conn.execute(f"call {identifier(str(entry.alias))}.set_option('parquet_row_group_size', {GROUP_ROWS})")
        except ConfigError as error:
            raise DbtRuntimeError(f"{error.message}\n{error.hint}") from None
