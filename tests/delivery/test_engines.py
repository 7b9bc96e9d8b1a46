"""Engines that other distributions bring: really installed, and the same bytes as from DuckDB."""

from __future__ import annotations

import re
import tomllib
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import psycopg
import pytest
from projects import Copy
from small_project import CLIENTS, DAY, ROWS, make_postgres_project, make_project

from delivery.config.project import Project
from delivery.errors import ConfigError
from delivery.warehouse import find_engine

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = Path(__file__).parents[2] / "docs" / "engines.md"
# Rows of parquet files in any order: the engine promises neither order nor a snapshot.
TOY = """
from contextlib import contextmanager

import duckdb


class Toy:
    keeps_order = False
    is_snapshot = False

    def __init__(self, connection):
        self._connection = connection

    def table(self, sql):
        return self._connection.sql(sql).to_arrow_table()

    def stream(self, sql, *, sorts=False):
        yield from self._connection.sql(sql).to_arrow_reader(100)


@contextmanager
def open_toy(project):
    with duckdb.connect() as connection:
        connection.execute("attach ':memory:' as warehouse")
        for path in (project.root / project.profile["folder"]).glob("*.parquet"):
            connection.execute(f"create view warehouse.main.{path.stem} as from read_parquet('{path}')")
        yield Toy(connection)
"""


def install(site: Path, distribution: str, text: str, **engines: str) -> None:
    """Puts a distribution with one module on the way to being imported. engines: type of target, and its value."""
    site.mkdir(exist_ok=True)
    (site / f"{distribution.replace('-', '_')}.py").write_text(text)
    info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    lines = [f"{kind} = {value}" for kind, value in engines.items()]
    (info / "entry_points.txt").write_text("\n".join(["[delivery.engines]", *lines]) + "\n")


def use(copy: Copy, **profile: str) -> None:
    """Makes this the project's only target."""
    outputs = ", ".join(f'{key}: "{value}"' for key, value in profile.items())
    (copy.root / "profiles.yml").write_text(f"sweep: {{target: there, outputs: {{there: {{{outputs}}}}}}}\n")


def run(copy: Copy, *arguments: str, integrations: tuple[str, ...] = ()) -> tuple[int, str]:
    """`delivery run` of the day: exit code and what it said."""
    chosen = [f"--integration={name}" for name in integrations]
    done = copy.delivery(*arguments, "run", "--window", DAY, *chosen)
    return done.exit_code, done.output


SHARES = ("by_share", *(f"share_of_{client}" for client in CLIENTS[1:]))


def delivered(copy: Copy) -> dict[str, bytes]:
    """The file of each client, which has that client's rows of that day and no others."""
    found = {name.split("/")[0]: path.read_bytes() for name, path in copy.files().items() if name.endswith(".csv")}
    assert sorted(found) == sorted(CLIENTS)
    for client, content in found.items():
        assert content.count(f"\r\n{client},".encode()) == content.count(b"\r\n") - 1 == ROWS
    return found


@pytest.fixture
def by_duckdb(tmp_path: Path) -> Copy:
    """Delivered from DuckDB, beside rows of the days before and after."""
    copy = Copy(tmp_path / "duckdb")
    make_project(copy.root)
    code, said = run(copy, integrations=SHARES)
    assert code == 0, said
    return copy


def test_a_toy_engine_delivers_the_same_bytes(by_duckdb: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = Copy(tmp_path / "toy")
    make_project(copy.root)
    (copy.root / "warehouse.duckdb").unlink()
    parts = copy.root / "parts"
    parts.mkdir()
    with duckdb.connect(str(by_duckdb.root / "warehouse.duckdb"), read_only=True) as connection:
        for name, order in (
            ("events", "order by md5(unique_key)"),
            ("build_log", ""),
            ("build_days", ""),
            ("build_failures", ""),
        ):
            connection.execute(f"copy (from {name} {order}) to '{parts / name}.parquet'")
    install(tmp_path / "site", "delivery-toy", TOY, toy="delivery_toy:open_toy")
    monkeypatch.syspath_prepend(tmp_path / "site")
    use(copy, type="toy", folder="parts")

    code, said = run(copy, integrations=SHARES)

    assert code == 0, said
    assert delivered(copy) == delivered(by_duckdb)
    assert "3 already delivered before" in run(copy, integrations=SHARES)[1]


def of_the_page() -> tuple[str, dict[str, str]]:
    """The module of the page, and its entry points."""
    text = PAGE.read_text(encoding="utf-8").split("## Bring another engine")[1]
    (module,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (table,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    return module, tomllib.loads(table)["project"]["entry-points"]["delivery.engines"]


def test_the_engine_of_the_page_delivers_the_same_bytes(
    by_duckdb: Copy, new_database: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Copy(tmp_path / "page")
    uri = new_database().replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(uri, autocommit=True) as server:
        make_postgres_project(copy.root, server)
    module, engines = of_the_page()
    install(tmp_path / "site", "delivery-mydb", module, **engines)
    monkeypatch.syspath_prepend(tmp_path / "site")
    use(copy, type="mydb", uri=uri, schema="delivery")

    code, said = run(copy)

    assert code == 0, said
    assert delivered(copy) == delivered(by_duckdb)


def project(folder: Path, kind: str) -> Project:
    return Project(folder, "there", {"type": kind}, folder, folder, "")


def refusal(folder: Path, kind: str) -> ConfigError:
    with pytest.raises(ConfigError) as refused:
        find_engine(project(folder, kind))
    return refused.value


def test_an_unknown_type_lists_what_is_built_in_and_what_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "zebra", "", zebra="zebra:x", ape="zebra:x")
    monkeypatch.syspath_prepend(tmp_path)

    assert refusal(tmp_path, "redshift").hint == "Known: duckdb, postgres, spark, ape, zebra."
    assert "'there' is of type 'redshift'" in refusal(tmp_path, "redshift").message


def test_a_type_that_two_distributions_claimed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kinds in (("first-claim", ["one", "both"]), ("second-claim", ["both"]), ("third-claim", ["duckdb"])):
        value = f"{name.replace('-', '_')}:open_it"
        install(tmp_path, name, "def open_it(project): ...", **dict.fromkeys(kinds, value))
    monkeypatch.syspath_prepend(tmp_path)

    for kind, both in (("both", {"first-claim", "second-claim"}), ("duckdb", {"delivery", "third-claim"})):
        said = refusal(tmp_path, kind)
        assert f"bring the engine of type {kind!r}: " in said.message
        assert set(re.findall(r"[\w-]+", said.message.split(": ")[1])) == both
    assert find_engine(project(tmp_path, "one")).__module__ == "first_claim"
    assert find_engine(project(tmp_path, "postgres")).__module__ == "delivery.warehouse.postgres"


@pytest.mark.parametrize(
    ("text", "value", "said"),
    [
        ("import no_such_module", "{}:open_it", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def open_it(:", "{}:open_it", "SyntaxError: "),
        ("1 / 0", "{}:open_it", "ZeroDivisionError: division by zero"),
        ("raise ValueError('jane@example.com')", "{}:open_it", "ValueError: <address>"),
        ("", "{}:open_it", "AttributeError: "),
        ("", "{}", "{} is no function."),
    ],
)
def test_a_broken_engine_is_named_with_its_distribution(
    text: str, value: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    name = f"broken_{zlib.crc32(request.node.name.encode())}"  # modules stay imported
    install(tmp_path, name, text, broken=value.format(name))
    monkeypatch.syspath_prepend(tmp_path)

    assert f"The engine 'broken' of {name} cannot be loaded: {said.format(name)}" in refusal(tmp_path, "broken").message


def test_a_broken_engine_ends_a_run_without_a_traceback_unless_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Copy(tmp_path / "project")
    make_project(copy.root)
    install(tmp_path / "site", "delivery-broken", "def deep():\n    1 / 0\ndeep()", broken="delivery_broken:open_it")
    monkeypatch.syspath_prepend(tmp_path / "site")
    use(copy, type="broken")

    code, said = run(copy, integrations=SHARES)
    assert code == 2
    assert "The engine 'broken' of delivery-broken cannot be loaded: ZeroDivisionError: division by zero" in said
    assert "Traceback" not in said
    assert copy.files() == {}
    assert "in deep" in run(copy, "--debug", integrations=SHARES)[1]
