"""YAML with templates: every refusal with its place; profiles.yml as dbt fills it in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from delivery.config import yaml_file
from delivery.config.project import open_project
from delivery.config.yaml_file import is_secret_reference, read_yaml, render
from delivery.errors import ConfigError

ROOT = Path(__file__).parents[2]


def test_as_native_gives_what_the_literal_says() -> None:
    template = "{{\n  dict({'a': env_var('NO_SUCH', '7')}, **({} if true else {'b': 1})) | as_native\n}}\n"

    assert render({"x": template}, "p", {}, {}) == {"x": {"a": "7"}}


def test_what_is_no_literal_is_a_fault_that_names_the_key() -> None:
    faults: dict[str, str] = {}

    render({"x": "{{ 'a b' | as_native }}"}, "p", faults, {})

    assert list(faults) == ["p.x"]


@pytest.mark.parametrize("remote", [None, "sc://spark.example.com:15002"])
def test_spark_connect_gets_no_master(remote: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spark refuses a master beside SPARK_REMOTE; the runner needs the warehouse with both."""
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    monkeypatch.setenv("SPARK_WAREHOUSE", "/data/warehouse")
    if remote:
        monkeypatch.setenv("SPARK_REMOTE", remote)

    settings = open_project(ROOT, "spark", None).profile["server_side_parameters"]

    assert settings["spark.sql.warehouse.dir"] == "/data/warehouse"
    assert ("spark.master" in settings) == (remote is None)


def test_a_target_that_is_not_there_is_named_beside_those_that_are() -> None:
    with pytest.raises(ConfigError, match="Unknown target 'sprak'") as caught:
        open_project(ROOT, "sprak", None)

    assert "duckdb, postgres, spark" in caught.value.hint


# Reading


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some.yml"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1\n", "some.yml is not valid YAML at line 2, column 1: "),
        ("b: 0\na: 1\na: 2\n", "some.yml is not valid YAML at line 3, column 1: the key 'a' stands in line 2 already."),
        ("x:\n  - {a: 1, a: 2}\n", "some.yml is not valid YAML at line 2, column 12: the key 'a' stands in line 2"),
        ("1: a\n'1': b\n", "the key '1' stands in line 1 already"),
        ("!!python/object/apply:os.getcwd []", "some.yml is not valid YAML at line 1, column 1: could not determine"),
        ("day: 2026-02-30\n", "some.yml is not valid YAML: day is out of range for month."),
        ("a: !!int hunter2\n", "some.yml is not valid YAML at line 1, column 4: this cannot be read as 'tag:yaml.org,"),
        ("a: !!timestamp x\n", "some.yml is not valid YAML at line 1, column 4: this cannot be read as 'tag:yaml.org,"),
        ("a: \x01", "some.yml is not valid YAML: unacceptable character"),
    ],
)
def test_what_is_no_yaml_is_said_with_its_place(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        read_yaml(file)
    assert message in refused.value.message
    assert len(refused.value.message.splitlines()) == 1


def test_what_cannot_be_read_is_said(file: Path) -> None:
    with pytest.raises(ConfigError, match=rf"^No some.yml in {file.parent}\.$") as refused:
        read_yaml(file, hint="Create it.")
    assert refused.value.hint == "Create it."
    file.mkdir()
    with pytest.raises(ConfigError, match=r"some.yml cannot be read: Is a directory\.$"):
        read_yaml(file)
    file.rmdir()
    file.write_bytes(b"a: \xff")
    with pytest.raises(ConfigError, match=r"some.yml is not valid YAML: .*utf-8"):
        read_yaml(file)


def test_what_is_read_is_the_document(file: Path) -> None:
    file.write_text("a: {b: 1, c: 'Grüße'}\nd: [1, x]\ne: &e {f: 1}\ng: {<<: *e}\n", encoding="utf-8")
    assert read_yaml(file) == {"a": {"b": 1, "c": "Grüße"}, "d": [1, "x"], "e": {"f": 1}, "g": {"f": 1}}


# Templates


def filled(node: Any) -> tuple[Any, dict[str, str], dict[str, str]]:
    faults, missing = dict[str, str](), dict[str, str]()
    return render(node, "at", faults, missing), faults, missing


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SET", "a 'value' {{ 1 }}")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("UNSET", raising=False)


TEMPLATES = [
    "{{ env_var('SET') }}", "{{env_var('SET')}}", "{{ env_var( 'UNSET' , 'x y' ) }}", "{{ env_var('UNSET', '') }}",
    "{{ env_var('EMPTY', 'x') }}", "{{ env_var('SET', 'x') }}", "{{\n env_var('SET')\n}}", "{{ env_var('UNSET') }}",
]  # fmt: skip


@pytest.mark.parametrize("text", TEMPLATES)
def test_plain_templates_are_what_jinja_makes_of_them(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert yaml_file._PLAIN.fullmatch(text)
    plainly = filled(text)
    monkeypatch.setattr(yaml_file, "_PLAIN", yaml_file.re.compile("(?!)"))
    assert filled(text) == plainly
    assert bool(plainly[2]) == (text == "{{ env_var('UNSET') }}")


@pytest.mark.parametrize(
    "text", ["x{{ env_var('SET') }}", "{{ env_var('SET') }} ", "{{ env_var('SET') ~ 'x' }}", "{{ env_var('a\\nb') }}"]
)
def test_what_is_more_than_one_variable_is_jinjas(text: str) -> None:
    assert not yaml_file._PLAIN.fullmatch(text)


def test_templates_are_filled_in_wherever_they_stand() -> None:
    node = {"a": ["{{ env_var('EMPTY') }}", 5, None], "b": {"c": "no template"}, "d": "x-{{ env_var('UNSET', 'y') }}"}
    assert filled(node) == ({"a": ["", 5, None], "b": {"c": "no template"}, "d": "x-y"}, {}, {})


def test_what_is_missing_is_told_from_what_is_wrong_and_the_text_stays() -> None:
    node = {"a": ["{{ env_var('UNSET') }}"], "b": "{{ nothing }}", "c": "{{ env_var('SET' }}", "d": "{{ 1 / 0 }}"}
    rendered, faults, missing = filled(node)
    assert rendered == node
    assert missing == {"at.a.0": "the environment variable UNSET is not set"}
    assert faults == {
        "at.b": "the template cannot be read: 'nothing' is undefined",
        "at.c": "the template cannot be read: unexpected '}', expected ')'",
        "at.d": "the template cannot be read: ZeroDivisionError",
    }


@pytest.mark.parametrize("text", ["{{ ''.__class__ }}", "{{ dict.__subclasses__() }}", "{{ env_var.__globals__ }}"])
def test_templates_reach_nothing_but_the_environment(text: str) -> None:
    rendered, faults, _ = filled(text)
    assert (rendered, list(faults)) == (text, ["at"])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{{ env_var('SET') }}", True), (" {{env_var(\"SET\")}}\n", True), ("{{ env_var('SET', 'x') }}", False),
        ("x{{ env_var('SET') }}", False), ("{{ env_var('SET') }}x", False), ("{{ 'x' }}", False), (5, False),
        (None, False),
    ],
)  # fmt: skip
def test_a_secret_names_its_variable_and_nothing_else(value: object, expected: bool) -> None:
    assert is_secret_reference(value) is expected


# Little that makes much


def aliases(levels: int, each: int) -> str:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * each)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (aliases(9, 9), "its aliases stand for too much"),
        (aliases(40, 2), "its aliases stand for too much"),
        (
            "a0: &a0 {x: 1}\n" + "\n".join(f"a{n}: &a{n} {{p: *a{n - 1}, q: *a{n - 1}}}" for n in range(1, 30)),
            "too much",
        ),
        ("a: &a [*a]", "an alias stands for what it is part of"),
        ("a: &a {b: {c: *a}}", "an alias stands for what it is part of"),
        ("[" * 101 + "]" * 101, "line 1, column 101: it is nested too deeply"),
        ("- " * 200_000, "nested too deeply"),
    ],
    ids=["aliases of aliases", "many levels", "mappings", "a list in itself", "a mapping in itself", "depth", "deeper"],
)
def test_what_would_grow_without_end_is_refused(file: Path, text: str, problem: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError, match=problem):
        read_yaml(file)


def test_what_is_deep_but_not_too_deep_is_read(file: Path) -> None:
    file.write_text("[" * 100 + "]" * 100 + "\n")
    assert str(read_yaml(file)) == "[" * 100 + "]" * 100


def test_aliases_that_save_writing_are_read(file: Path) -> None:
    clients = "\n".join(f"c{n}:\n  <<: *base\n  namespace: c{n}" for n in range(300))
    file.write_text("base: &base\n" + "".join(f"  k{n}: {n}\n" for n in range(30)) + clients)
    document = read_yaml(file)
    assert document["c299"] == {**document["base"], "namespace": "c299"}
    file.write_text("")
    assert read_yaml(file) is None


DOCUMENTS = [
    "a: 1\nb: 1.5\nc: yes\nd: null\ne: ~\nf:\ng: 0640\nh: 2026-11-03\ni: 2026-11-03T04:05:06Z\nj: .inf\nk: 1_000\n",
    "a: '1'\nb: \"2\"\nc: !!str 3\nd: !!int '4'\ne: ! 5\nf: |\n  x\n  y\ng: >-\n  x\n  y\nh: ''\n? 7\n: eight\n",
    "- [a, [b, {c: d}], {}]\n- []\n- !!map {a: b}\n- !!seq [a]\n",
    "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3, z: 4}\nc: {y: 5, <<: *a}\nd: {<<: [{x: 6}, *a], w: 7}\ne: [*a, '<<']\n",
    "a: &a {x: 1}\nb: &b {<<: *a, y: 2}\nc: {<<: *b, z: 3}\n",
    "--- a\n...\n",
    "# nothing\n",
    "'<<': {a: 1}\n",
]  # fmt: skip


@pytest.mark.parametrize("text", DOCUMENTS)
def test_a_document_is_what_another_reader_makes_of_it(file: Path, text: str) -> None:
    file.write_text(text)
    made, expected = read_yaml(file), yaml.safe_load(text)
    assert made == expected
    assert repr(made) == repr(expected), "types and order, too"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: *b\n", "line 1, column 4: nothing is called 'b' before it"),
        ("a: 1\n---\nb: 2\n", "line 2, column 1: a second document begins"),
        ("a: {<<: 1}\n", "line 1, column 5: << must name a mapping, or a list of them"),
        ("a: {<<: [{b: 1}, 2]}\n", "<< must name a mapping, or a list of them"),
        ("? [a]\n: b\n", "line 1, column 3: a list or a mapping cannot be a key"),
        ("a: !!set {b, c}\n", "line 1, column 4: could not determine what 'tag:yaml.org,2002:set' means"),
        ("a: &a {x: 1}\n" + "b: {<<: *a}\n" * 2, "the key 'b' stands in line 2 already"),
    ],
)
def test_what_means_nothing_is_said_with_its_place(file: Path, text: str, problem: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        read_yaml(file)
    assert problem in refused.value.message


def test_a_bomb_of_merges_is_refused_before_one_is_made(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_file, "_merge", lambda *_: pytest.fail("it was merged"))
    keys = ", ".join(f"k{n}: 1" for n in range(2_000))
    file.write_text(f"a: &a {{{keys}}}\n" + "".join(f"b{n}: {{<<: *a}}\n" for n in range(1_000)))
    with pytest.raises(ConfigError, match="its aliases stand for too much"):
        read_yaml(file)


def test_no_nodes_are_made_of_what_is_text(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """10,000 clients have 150,000: PyYAML's nodes and constructors took four times as long as all the rest."""
    made: list[Any] = []

    class Counting(yaml_file._LOADER):  # type: ignore[misc]
        def construct_object(self, node: Any, deep: bool = False) -> Any:
            made.append(node.value)
            return super().construct_object(node, deep)

    monkeypatch.setattr(yaml_file, "_LOADER", Counting)
    file.write_text("".join(f"c{n}: {{directory: in, names: [a, b], port: {n}}}\n" for n in range(3)))
    assert len(read_yaml(file)) == 3
    assert made == ["0", "1", "2"], "what is no text alone"
