"""The documentation: what it names exists, and what exists is named."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.util
import json
import re
import shlex
import subprocess
import sys
from configparser import ConfigParser
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import click
import jsonschema
import pytest
import yaml
from cronsim import CronSim

from delivery.cli import cli
from delivery.cli.begin import QUESTIONS
from delivery.config.campaigns import Export, Layout
from delivery.config.integrations import Integration, SftpDestination, json_schema
from delivery.config.integrations_file import Integrations
from delivery.errors import ExitCode
from delivery.files.manifest import DeliveryManifest, ManifestFile
from delivery.ledger import FileState, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FOLDERS = ("docs", "landing", "tests", "benchmarks")
PAGES = sorted([*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))])
GOLDEN = Path(__file__).with_name("golden")


def page(name: str) -> str:
    """A page's text."""
    return (ROOT / name).read_text(encoding="utf-8")


def section(name: str, heading: str) -> str:
    """The text below a heading, up to the next one of its level or above."""
    level, found, fenced = len(heading.split(" ", 1)[0]), [], False
    lines = iter(page(name).splitlines(keepends=True))
    assert any(line.rstrip() == heading for line in lines), f"{name} has no heading {heading!r}"
    for line in lines:
        fenced ^= line.startswith("```")
        if not fenced and re.match(rf"#{{1,{level}}} ", line):
            break
        found.append(line)
    return "".join(found)


def spans(text: str) -> set[str]:
    """What stands in backquotes, outside of blocks."""
    return set(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)))


def words(text: str) -> set[str]:
    """The names in what stands in backquotes."""
    return {word for span in spans(text) for word in re.findall(r"[\w.-]+", span)}


class Block(NamedTuple):
    """A fenced block: where it is, its language, its text."""

    where: str
    language: str
    text: str


def blocks(*languages: str) -> list[Block]:
    """The fenced blocks of all pages in these languages."""
    found = []
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            line = text[: match.start()].count("\n") + 1
            found.append(Block(f"{path.relative_to(ROOT)}:{line}", match[1], match[2]))
    return [block for block in found if block.language in languages]


# Commands, options, exit codes


def options_of(command: click.Command) -> set[str]:
    """Every spelling of every option."""
    own = {name for p in command.params if isinstance(p, click.Option) for name in p.opts if name.startswith("--")}
    below = command.commands.values() if isinstance(command, click.Group) and command is not cli else ()
    return own.union(*map(options_of, below))


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_and_option_is_described(name: str) -> None:
    described = words(section("docs/commands.md", f"## delivery {name}"))
    command = cli.commands[name]
    assert options_of(command) - {"--json", "--full"} <= described
    for below in command.commands if isinstance(command, click.Group) else [""]:
        assert f"delivery {name} {below}".rstrip() in section("docs/commands.md", f"## delivery {name}")


def test_options_of_every_command_are_described() -> None:
    described = words(section("docs/commands.md", "## Every command"))
    assert options_of(cli) | {"--json", "--full", "--help", "-h"} <= described


def test_no_command_is_described_that_is_not_there() -> None:
    headings = re.findall(r"^## delivery (\S+)$", page("docs/commands.md"), re.MULTILINE)
    assert sorted(headings) == sorted(cli.commands)


def test_every_environment_variable_is_described() -> None:
    sources = [*(ROOT / "delivery").rglob("*.py"), *(ROOT / "macros").rglob("*.sql"), ROOT / "profiles.yml"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    used = set(re.findall(r"""(?:env_var\(|environ\.get\(|envvar=)["']([A-Z_]+)["']""", text)) - {"NAME"}
    described = set(re.findall(r"^\| `([A-Z_]+)`", section("docs/commands.md", "## Environment"), re.MULTILINE))
    assert used == described


def test_every_make_target_is_described() -> None:
    described = set(re.findall(r"^\| `make (\w+)`", section("docs/commands.md", "## make"), re.MULTILINE))
    assert make_targets() - {"stamp"} == described


def make_targets() -> set[str]:
    """The targets that people call."""
    (phony,) = re.findall(r"^\.PHONY: (.*)$", page("Makefile"), re.MULTILINE)
    return set(phony.split())


def test_every_exit_code_says_what_it_asks() -> None:
    rows = dict(re.findall(r"^\| (\d) \| `(\w+)` \|", page("docs/exit-codes.md"), re.MULTILINE))
    assert rows == {str(int(code)): code.name for code in ExitCode}
    help_text = cli.get_help(click.Context(cli, **cli.context_settings))
    assert all(re.search(rf"^ +{int(code)} ", help_text, re.MULTILINE) for code in ExitCode)


@dataclass(frozen=True)
class Call:
    """One command in a shell example."""

    where: str
    program: str
    arguments: tuple[str, ...]


def calls(where: str, text: str) -> Iterator[Call]:
    """The commands of a shell text, one for each part of a pipe or list."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&<>")
        lexer.whitespace_split = True
        part: list[str] = []
        for token in [*lexer, ";"]:
            if not set(token) <= set(";|&"):
                part.append(token)
                continue
            while part and re.match(r"\w+=|(\[|do|then|echo|cd|export)$", part[0]):
                part = part[1:] if "=" in part[0] else []
            if part:
                yield Call(where, part[0].removeprefix(".venv/bin/"), tuple(part[1:]))
            part = []


SHELL = [call for block in blocks("bash", "sh") for call in calls(block.where, block.text)]


def parse(group: click.Command, arguments: tuple[str, ...], name: str) -> None:
    """Parses a command line as the program would, without running it or converting values."""
    command, rest = group, list(arguments)
    while True:
        context = click.Context(command, info_name=name, **command.context_settings)
        context.allow_interspersed_args = not isinstance(command, click.Group)
        _, rest, _ = command.make_parser(context).parse_args(rest)
        if not isinstance(command, click.Group):
            break
        if not rest:
            return
        found = command.get_command(context, rest[0])
        assert found, f"{name} has no command {rest[0]!r}"
        command, name, rest = found, rest[0], rest[1:]
    wanted = [p for p in command.params if isinstance(p, click.Argument)]
    assert not rest or any(p.nargs == -1 for p in wanted), f"{name} does not take {rest}"


@pytest.mark.parametrize("call", SHELL, ids=lambda call: call.where)
def test_shell_examples_call_what_is_there(call: Call) -> None:
    if call.program == "delivery":
        parse(cli, call.arguments, "delivery")
    elif call.program == "dbt":
        from dbt.cli.main import cli as dbt

        parse(dbt, call.arguments, "dbt")
    elif call.program == "make":
        assert set(call.arguments) <= make_targets()
    else:
        assert call.program in {"python3", "sha256sum", "jq", "createdb"}, (
            "an example calls something that is not checked"
        )


def test_there_are_shell_examples_to_check() -> None:
    assert len([call for call in SHELL if call.program == "delivery"]) > 30


def test_campaigns_and_integrations_named_in_examples_exist() -> None:
    campaigns, integrations = set(exposures()), set(yaml.safe_load(page("integrations.yml"))["integrations"])
    for block in blocks("yaml"):
        integrations |= set((yaml.safe_load(block.text) or {}).get("integrations", {}))
    for call in SHELL:
        named = dict(zip(call.arguments, call.arguments[1:], strict=False))
        assert named.get("--select", "daily_esp_events") in campaigns or call.program == "dbt", call
        assert named.get("--integration", "acme_share") in integrations, call


# Configuration


def keys(*models: type[BaseModel]) -> set[str]:
    """The fields of models."""
    return {name for model in models for name in model.model_fields}


def table_keys(text: str) -> list[str]:
    """The first column of tables whose cells are names."""
    return re.findall(r"^\| `([\w.]+)` \|", text, re.MULTILINE)


def test_every_key_of_an_integration_is_described_with_its_default() -> None:
    text = section("docs/configure-a-client.md", "## An integration").split("### Destinations")[0]
    assert table_keys(text) == list(Integration.model_fields)
    for name, kind in Integration.model_fields.items():
        (row,) = re.findall(rf"^\| `{name}` \| (.*) \|$", text, re.MULTILINE)
        values, default = re.split(r"(?<!\\) \| ", row)[:2]
        if kind.is_required():
            assert default == "required", name
        elif isinstance(kind.default, bool):
            assert (values, default) == ("true, false", str(kind.default).lower()), name
        elif isinstance(kind.default, str) and kind.default:
            assert default == f"`{kind.default}`", name
        choices = [v for v in get_args(kind.annotation) if isinstance(v, str)]
        for choice in choices:
            assert repr(choice).strip("'") in values.replace("\\|", "|"), name


def test_every_key_of_a_destination_is_described_with_its_default() -> None:
    text = section("docs/configure-a-client.md", "### Destinations")
    everywhere = ["publish", "file_mode", "temporary_name", "verify"]
    own = sorted((n for n in SftpDestination.model_fields if n not in everywhere), key=lambda n: n != "type")
    assert table_keys(text) == own + everywhere
    for name, kind in SftpDestination.model_fields.items():
        default = re.findall(rf"^\| `{name}` \| .*? \| (.*?) \|", text, re.MULTILINE)[0]
        if kind.is_required():
            assert default == "required", name
        elif isinstance(kind.default, str):
            assert default == f"`{kind.default}`", name
        elif name == "file_mode":
            assert int(default, 8) == kind.default
        elif kind.default:
            assert float(default) == float(kind.default), name
    for kind in ("hosted", "local"):
        assert f"`type: {kind}`" in text


def test_every_key_of_an_export_is_described() -> None:
    described = table_keys(section("docs/configure-a-client.md", "## A campaign"))
    wanted = keys(Export) - {"layout"} | {f"layout.{name}" for name in keys(Layout)}
    assert sorted(described) == sorted(wanted)


def exposures() -> dict[str, Any]:
    """The campaigns of the project."""
    documents = [yaml.safe_load(p.read_text(encoding="utf-8")) for p in (ROOT / "models" / "campaigns").glob("*.yml")]
    return {e["name"]: e for document in documents for e in document["exposures"]}


@pytest.mark.parametrize("name", ["README.md", "docs/configure-a-client.md"])
def test_every_campaign_is_named(name: str) -> None:
    assert exposures()
    assert set(exposures()) <= words(page(name))


@pytest.mark.parametrize("block", blocks("yaml"), ids=lambda block: block.where)
def test_yaml_examples_are_valid(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in re.findall(r"env_var\('(\w+)'\)", block.text):
        monkeypatch.setenv(name, "value")
    document = yaml.safe_load(block.text)
    if "integrations" in document:
        jsonschema.validate(document, json_schema())
        (tmp_path / "integrations.yml").write_text(block.text, encoding="utf-8")
        assert set(Integrations(tmp_path / "integrations.yml").usable(secrets=False)) == set(document["integrations"])
        return
    for exposure in document["exposures"]:
        export = Export.model_validate(exposure["config"]["meta"]["export"])
        assert f"ref('{export.dataset}')" in exposure["depends_on"]


def test_the_schema_for_editors_is_fresh() -> None:
    assert json.loads(page("docs/integrations.schema.json")) == json_schema(), "make schema"


def test_the_schema_accepts_the_project_and_refuses_unknown_keys() -> None:
    document = yaml.safe_load(page("integrations.yml"))
    jsonschema.validate(document, json_schema())
    next(iter(document["integrations"].values()))["vendor"] = "x"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, json_schema())


def test_every_requirement_has_its_reason() -> None:
    asked = {
        re.split(r"[<>=\s\[]", line)[0]
        for name in ("run.in", "dev.in", "spark.in")
        for line in page(f"requirements/{name}").splitlines()
        if line and line[0] not in "#-"
    }
    rows = re.findall(r"^\| (`.*?`) \|", page("docs/decisions/0002-dependencies.md"), re.MULTILINE)
    assert asked == {name for row in rows for name in re.findall(r"`([\w-]+)`", row)}


# Datasets and files


def exported() -> list[tuple[str, list[str], bool]]:
    """The models in exports: name, columns, and whether the data dictionary, which is made of the models, has it."""
    documents = [yaml.safe_load(path.read_text("utf-8")) for path in (ROOT / "models" / "exports").glob("*.yml")]
    models = [model for document in documents for model in document["models"]]
    return [
        (m["name"], [c["name"] for c in m["columns"]], "dataset" in m.get("config", {}).get("meta", {})) for m in models
    ]


def test_a_column_of_a_dataset_is_described_in_its_yml_only() -> None:
    """And so in the data dictionary, which is made of it: see test_dictionary.py."""
    columns = {column for _, columns, is_dataset in exported() if is_dataset for column in columns}
    assert len(columns) > 50
    assert len(columns & set(table_keys(page("docs/data-dictionary.md")))) > 50
    assert columns & set(table_keys(page("docs/datasets.md"))) == set()


def test_every_column_of_what_is_for_us_is_named_in_order() -> None:
    others = [(name, columns) for name, columns, is_dataset in exported() if not is_dataset]
    assert others
    for name, columns in others:
        text = section("docs/datasets.md", f"## {name}")
        named = re.findall(r"`(\w+)`", text[text.index("Columns") :])
        assert [word for word in named if word in columns][: len(columns)] == columns, name


def test_the_number_of_columns_in_the_readme_is_right() -> None:
    for campaign, export in exposures().items():
        dataset = export["config"]["meta"]["export"]["dataset"]
        if dataset == "audience_attributes":  # as many as the integration asks for
            continue
        document = yaml.safe_load(page(f"models/exports/{dataset}.yml"))
        plain = [c for c in document["models"][0]["columns"] if "layout" not in c.get("config", {}).get("meta", {})]
        assert re.search(rf"^\| `{campaign}` \|.*\b{len(plain)} columns \|$", page("README.md"), re.MULTILINE), campaign


def test_every_field_of_the_manifest_is_described() -> None:
    assert keys(DeliveryManifest, ManifestFile) <= words(section("docs/files.md", "## The manifest"))


def test_every_state_is_described() -> None:
    used = {*State, *FileState}
    assert used == set(table_keys(page("docs/delivery-states.md")))


def test_a_file_can_be_checked_without_this_program(tmp_path: Path) -> None:
    (block,) = [b for b in blocks("bash") if "python3 -c" in b.text]
    (name,) = re.findall(r"(\S+)\.manifest\.json", block.text)
    content = b"namespace\r\nacme_outdoor\r\n"
    entry = {"name": name, "sha256": hashlib.sha256(content).hexdigest()}
    (tmp_path / f"{name}.manifest.json").write_text(json.dumps({"files": [entry]}))
    for text, code in [(content, 0), (content[:-1], 1)]:
        (tmp_path / name).write_bytes(text)
        done = subprocess.run(["bash", "-c", "set -o pipefail\n" + block.text], cwd=tmp_path, capture_output=True)
        assert done.returncode == code, done.stderr
        assert (f"{name}: OK" in done.stdout.decode()) == (code == 0)


# The README's row and figures


def test_the_row_of_the_readme_is_the_samples() -> None:
    (block,) = [b for b in blocks("csv") if b.where.startswith("README.md")]
    (name,) = re.findall(r"renamed to `([^`]+)`", page("README.md"))
    (file,) = GOLDEN.rglob(name)
    assert block.text.rstrip("\n").encode() + b"\r\n" in file.read_bytes().splitlines(keepends=True)

    raw = (ROOT / "landing/sendgrid/2026-11-03.ndjson").read_text(encoding="utf-8").splitlines()[3]
    assert json.loads(raw)["payload"]["sg_event_id"] == "TCGMW8gtPh0tmgEeRseLew"
    assert "TCGMW8gtPh0tmgEeRseLew" in page("README.md")


def test_the_output_in_the_readme_is_the_samples() -> None:
    files = [path for path in GOLDEN.rglob("*") if path.is_file()]
    assert files
    for path in files:
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        assert f"\n{digest}  {path.name}\n" in page("README.md"), path.name
        assert re.search(rf"{re.escape(path.name)} .* {len(content)} +delivered\n", page("README.md")), path.name


# Tests that the docs name


def known_tests() -> set[str]:
    """Every test that the docs may name: pytest's, dbt's unit tests, generic and singular tests."""
    found = {"unique", "not_null", "accepted_values", "relationships", "contract"}
    for path in (ROOT / "tests").rglob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                names += [f"{node.name}::{n.name}" for n in node.body if isinstance(n, ast.FunctionDef)]
        found |= {f"{path.name}::{name}" for name in names if "test_" in name}
    for path in (ROOT / "models").rglob("*.yml"):
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        found |= {test["name"] for test in document.get("unit_tests", [])}
    for path in (ROOT / "tests" / "dbt").rglob("*.sql"):
        found.add(path.stem)
    return found


def generic_tests() -> set[str]:
    """Our own generic tests."""
    return {path.stem for path in (ROOT / "tests" / "dbt" / "generic").glob("*.sql")}


def test_every_clause_names_tests_that_exist() -> None:
    text = page("docs/evidence/spec-to-tests.md").split("## The generic tests")[0]
    rows = re.findall(r"^\| (?!clause|---)(.*?) \| (.*) \|$", text, re.MULTILINE)
    known = known_tests()
    assert len(rows) > 40
    for clause, proof in rows:
        named = spans(proof)
        assert named or "not in this version" in proof, clause
        assert named <= known, (clause, sorted(named - known))


def test_every_integrity_and_unit_test_proves_some_clause() -> None:
    named = spans(page("docs/evidence/spec-to-tests.md"))
    ours = {name for name in known_tests() if "::" not in name}
    assert ours - {"relationships", "contract"} - generic_tests() <= named | {"unique", "not_null", "accepted_values"}


# Schedulers


def load_dags(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Runs the Airflow file with stand-ins for Airflow's classes: each DAG's arguments and its tasks'."""
    dags: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []

    @contextlib.contextmanager
    def dag(name: str, **arguments: Any) -> Iterator[None]:
        dags.append(({"dag_id": name, **arguments}, []))
        yield

    airflow, bash = ModuleType("airflow"), ModuleType("bash")
    airflow.DAG = dag  # type: ignore[attr-defined]
    bash.BashOperator = lambda **arguments: dags[-1][1].append(arguments)  # type: ignore[attr-defined]
    for name in ("providers", "providers.standard", "providers.standard.operators"):
        monkeypatch.setitem(sys.modules, f"airflow.{name}", ModuleType(name))
    monkeypatch.setitem(sys.modules, "airflow", airflow)
    monkeypatch.setitem(sys.modules, "airflow.providers.standard.operators.bash", bash)
    spec = importlib.util.spec_from_file_location("airflow_dag", DOCS / "examples" / "airflow_dag.py")
    assert spec
    assert spec.loader
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    return dags


def test_airflow_calls_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    dags = load_dags(monkeypatch)
    assert [d["dag_id"] for d, _ in dags] == ["daily_exports", "daily_exports_again", "daily_exports_kept"]
    for dag, tasks in dags:
        assert not dag["catchup"]
        assert dag["max_active_runs"] == 1
        (task,) = tasks
        assert task["skip_on_exit_code"] == ExitCode.NOTHING_DUE
        (call,) = calls("airflow_dag.py", task["bash_command"].split("&& ")[1])
        assert call.program == "delivery"
        parse(cli, call.arguments, "delivery")
        assert ("--due" in call.arguments) == (call.arguments[0] == "run")
    assert (dags[-1][0]["schedule"], call.arguments) == ("35 13 * * *", ("prune",))


def test_where_a_login_of_sftp_is_asked_for_it_is_said_whose() -> None:
    (row,) = re.findall(r"^\| `username` \|.*$", page("docs/configure-a-client.md"), re.MULTILINE)
    for told in (row, QUESTIONS["username"], page("docs/share.md")):
        assert "service account" in told
        assert "not a person's" in told


def test_systemd_calls_what_is_there() -> None:
    service, timer = ConfigParser(interpolation=None), ConfigParser(interpolation=None)
    for parser, name in [(service, "delivery.service"), (timer, "delivery.timer")]:
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read(DOCS / "examples" / name)
    program, *arguments = shlex.split(service["Service"]["ExecStart"])
    assert program.endswith("/.venv/bin/delivery")
    parse(cli, tuple(arguments), "delivery")
    assert service["Service"]["SuccessExitStatus"] == str(int(ExitCode.NOTHING_DUE))
    final = {ExitCode.USAGE, ExitCode.GATE, ExitCode.DESTINATION}
    assert set(map(int, service["Service"]["RestartPreventExitStatus"].split())) == final
    assert timer["Timer"]["OnCalendar"].endswith("UTC")


def test_cron_calls_what_is_there() -> None:
    (block,) = blocks("crontab")
    lines = [line for line in block.text.splitlines() if "=" not in line.split()[0]]
    assert lines
    for line in lines:
        *when, command = line.split(None, 5)
        CronSim(" ".join(when), datetime(2026, 11, 3, tzinfo=UTC))
        found = [c for c in calls("cron", command.split(">>")[0]) if c.program == "delivery"]
        assert len(found) == 1
        parse(cli, found[0].arguments, "delivery")


def test_the_schedulers_come_after_the_campaigns() -> None:
    """The hours that run-daily.md gives for the campaigns are theirs, and the examples call later."""
    text = page("docs/run-daily.md")
    for exposure in exposures().values():
        schedule = exposure["config"]["meta"]["export"]["schedule"]
        if schedule == "once":
            continue
        minute, hour, *_ = schedule.split()
        assert f"{int(hour):02}:{int(minute):02}" in text
        assert (int(hour), int(minute)) < (5, 35)


# Links and paths


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", path.read_text(encoding="utf-8")):
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


def test_every_page_is_linked() -> None:
    linked = {
        (path.parent / target.partition("#")[0]).resolve()
        for path in PAGES
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", path.read_text(encoding="utf-8"))
    }
    apart = {ROOT / "README.md", ROOT / "CHANGELOG.md", DOCS / "decisions" / "README.md"}
    assert {path for path in PAGES if path.resolve() not in linked} <= apart
    assert (DOCS / "decisions").resolve() in linked


def test_the_index_has_every_page_and_there_are_not_too_many() -> None:
    """One page a task, beside decisions and evidence."""
    linked = [(DOCS / target).resolve() for target in re.findall(r"\]\(([^)\s#]+)\)", page("docs/README.md"))]
    pages = [path.resolve() for folder in (DOCS, DOCS / "evidence") for path in folder.glob("*.md")]
    assert {path for path in pages if path.name != "README.md"} <= set(linked)
    assert len(list(DOCS.glob("*.md"))) <= 25


def test_figures_of_how_fast_it_is_are_those_that_were_measured() -> None:
    measured, text = json.loads(page("docs/evidence/performance.json")), page("docs/evidence/performance.md")
    assert f"{measured['events']:,} events" in text
    for name, of in {**measured["medians"], **measured["ratios"]}.items():
        figures = [f"{of['seconds']:.2f}", f"{of['cpu']:.2f}", *([f"{of['peak_mb']:.0f}"] if "peak_mb" in of else [])]
        assert f"| {name} | {' | '.join(figures)} |" in text


def test_pages_named_in_code_exist() -> None:
    texts = {p: p.read_text(encoding="utf-8") for f in ("delivery", "macros", "models", "requirements", "tests")
             for p in (ROOT / f).rglob("*") if p.suffix in {".py", ".sql", ".yml", ".in"}}  # fmt: skip
    texts[ROOT / "integrations.yml"] = page("integrations.yml")
    for path, text in texts.items():
        for name in re.findall(r"\bdocs/[\w/.-]+\.(?:md|json)\b", text):
            assert (ROOT / name).exists(), f"{path.relative_to(ROOT)} names {name}"


def test_decisions_are_numbered_once() -> None:
    numbers = [path.name[:4] for path in (DOCS / "decisions").glob("0*.md")]
    assert len(set(numbers)) == len(numbers)


ELSEWHERE = re.compile(r"(?<![\w.])/(?:work|home|root|tmp|Users|mnt|private)/|\bfile://|\blocalhost:\d")


EXAMPLES = sorted(path for path in (DOCS / "examples").iterdir() if path.is_file())


@pytest.mark.parametrize("path", [*PAGES, *EXAMPLES], ids=lambda path: path.name)
def test_no_path_of_some_machine(path: Path) -> None:
    assert not ELSEWHERE.search(path.read_text(encoding="utf-8"))


def test_addresses_are_examples() -> None:
    for path in PAGES:
        text = re.sub(r"\S+@(openssh|libssh)\.com", "", path.read_text(encoding="utf-8"))
        for domain in re.findall(r"[\w.+-]+@([\w-]+(?:\.[\w-]+)+)", text):
            assert re.search(r"(^|\.)example\.(com|org|net)$", domain), f"{path.name}: {domain}"
