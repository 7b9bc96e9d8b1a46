"""docs/your-own-project.md, done as it says: a strange project of one model, the wheel in an environment of its own."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import sysconfig
import zipfile
from email import message_from_string
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest
from asyncssh_here import running
from servers import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "your-own-project.md").read_text(encoding="utf-8")
PROFILES = """
shop:
  target: duckdb
  outputs:
    duckdb: {{type: duckdb, path: shop.duckdb, schema: dev_me}}
    prod: {{type: duckdb, path: prod.duckdb, schema: analytics}}
    postgres: {{type: postgres, host: {host}, port: 5432, user: delivery, password: "", dbname: {name}, schema: dev_me}}
"""
ORDERS = """
select namespace, order_id, cast(amount as numeric(8, 2)) as amount from (
    values ('acme', 'o1', 10.50), ('acme', {second}, 7.25), ('other', {third}, 3.00)
) as raw (namespace, order_id, amount)
"""
SCHEMAS = """
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name if target.name == 'prod' else target.schema ~ '_' ~ custom_schema_name }}
{%- endmacro %}
"""


def blocks(language: str) -> list[str]:
    """The page's fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, as flit builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = f"from flit_core.buildapi import build_wheel; build_wheel({str(folder)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `delivery` and `dbt` in an environment with the wheel, which finds all else where it is here."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    packages = next(environment.glob("lib/python*/site-packages"))
    with zipfile.ZipFile(wheel) as content:
        content.extractall(packages)
    (packages / "beside.pth").write_text(sysconfig.get_path("purelib"))
    for name, module in (("delivery", "delivery.cli import main"), ("dbt", "dbt.cli.main import cli as main")):
        program = environment / "bin" / name
        program.write_text(f"#!{environment}/bin/python\nfrom {module}\nmain()\n")
        program.chmod(0o755)
    return environment / "bin"


def test_the_wheel_forces_no_adapter_on_anybody_and_brings_the_dbt_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        names = content.namelist()
        metadata = message_from_string(content.read(next(n for n in names if n.endswith("METADATA"))).decode())
    requires = metadata.get_all("Requires-Dist") or []
    adapters = {line for line in requires if re.match(r"dbt-(duckdb|postgres|spark)", line)}
    assert {re.search(r'extra == "(\w+)"', line)[1] for line in adapters} == {"duckdb", "postgres", "spark"}  # type: ignore[index]
    assert not [line for line in adapters if "extra" not in line]
    assert [line for line in requires if "==" in line.partition(";")[0]] == ["paramiko==5.1.0"]
    package = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "delivery/dbt_package").rglob("*") if path.is_file()
    }
    assert package <= {*names}


class Shop:
    """The page's project in a folder, and its shell."""

    def __init__(self, root: Path, programs: Path, server: str, key: str, profiles: str) -> None:
        self.root, self._server, self._key = root, server, key
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("DBT_", "DELIVERY_", "WAREHOUSE"))}
        self.env = kept | {"PATH": f"{programs}:{os.environ['PATH']}", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
        self.env["HOME"] = str(root.parent)
        (root.parent / ".dbt").mkdir(parents=True)
        (root.parent / ".dbt" / "profiles.yml").write_text(profiles)
        for text in blocks("yml"):
            path = root / re.match(r"# (\S+)\n", text)[1]  # type: ignore[index]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        project = root / "dbt_project.yml"
        project.write_text(project.read_text().replace("    +post-hook", "    +schema: exports\n    +post-hook", 1))
        (root / "macros").mkdir()
        (root / "macros" / "schemas.sql").write_text(SCHEMAS)
        self.orders("'o2'", "'o9'")

    def orders(self, second: str, third: str) -> None:
        """Writes the model, with the keys of a client's second row and of another client's."""
        (self.root / "models" / "orders.sql").write_text(ORDERS.format(second=second, third=third))

    def shell(self, text: str) -> str:
        """What a block of the page says."""
        text = text.replace("sftp.example.com:22", self._server).replace("--username platform", "--username acme")
        text = re.sub(r'"ssh-ed25519 \S+"', f'"{self._key}"', text)
        done = subprocess.run(
            ["bash", "-euc", text], cwd=self.root, env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (text, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def run(self, command: str, **more: str) -> tuple[int, str]:
        """Exit code and all that a command says."""
        done = subprocess.run(
            shlex.split(command), cwd=self.root, env=self.env | more, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_the_page_leads_to_a_first_file(tmp_path: Path, programs: Path, new_database: Callable[[], str]) -> None:
    name, host = new_database().split("@/")[1].split("?host=")
    shell = blocks("bash")
    (tmp_path / "server").mkdir()
    with running(tmp_path / "server", [], asks=False) as (target, _):
        home = tmp_path / "server" / "home"
        (home / "incoming").mkdir()
        shop = Shop(
            tmp_path / "user" / "shop", programs, f"127.0.0.1:{target.port}", target.host_keys[0],
            PROFILES.format(host=host, name=name),
        )  # fmt: skip
        assert shlex.split(shell[0])[:4] == ["python3", "-m", "pip", "install"]
        assert "Next:" in shop.shell(shell[1])
        assert (shop.root / "packages.yml").read_text().endswith("site-packages/delivery/dbt_package\n")
        for text in shell[2:]:
            shop.shell(text)

        (sent,) = (home / "incoming").glob("orders_to_acme_*.csv")
        assert sent.read_bytes() == b"namespace,order_id,amount\r\nacme,o1,10.50\r\nacme,o2,7.25\r\n"
        assert shop.run(f"delivery verify {home}")[0] == 0
        shop.env["SFTP_PASSWORD_ACME"] = PASSWORD
        assert shop.run("delivery run --due")[0] == 5
        with duckdb.connect(str(shop.root / "shop.duckdb")) as warehouse:
            tables = warehouse.execute("select table_schema, table_name from information_schema.tables").fetchall()
        logs = [("dev_me", f"build_{name}") for name in ("days", "failures", "log")]
        assert sorted(tables) == [*logs, ("dev_me_exports", "orders")]

        # Each target on its own: another ledger, and a database of another kind with the same bytes.
        for number, to in enumerate(("prod", "postgres")):
            env = {"DELIVERY_STATE": f".{to}"}
            (home / "incoming").rename(home / f"before_{number}")
            (home / "incoming").mkdir()
            code, said = shop.run(f"delivery --target {to} run --due --build", **env)
            assert code == 0, said
            assert (home / "incoming" / sent.name).read_bytes() == (home / "before_0" / sent.name).read_bytes()

        # A row that cannot be told apart, and one without a key: nothing leaves, and each is said.
        shop.orders("'o1'", "null")
        shop.run("dbt -q build --target prod")
        code, said = shop.run("delivery --target prod run --redeliver --reason again", DELIVERY_STATE=".prod")
        assert (code, "unique_orders_order_id" in said, "not_null_orders_order_id" in said) == (3, True, True), said

        # Without its hook a table of PostgreSQL is not built; without the package nothing is proven. Both are said.
        project = shop.root / "dbt_project.yml"
        project.write_text(re.sub(r".*post-hook.*\n", "", project.read_text()))
        code, said = shop.run("dbt -q build --target postgres")
        assert (code, "Without one: orders. Nothing was built." in said) == (2, True), said
        (shop.root / "packages.yml").unlink()
        (shop.root / "dbt_packages" / "dbt_delivery").unlink()
        shop.orders("'o2'", "'o9'")
        shop.run("dbt -q build --target prod")
        code, said = shop.run("delivery --target prod plan", DELIVERY_STATE=".none")
        assert (code, "the dbt package dbt_delivery writes it" in said) == (3, True), said
