"""How the package is made: rules of the project that no linter has."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "delivery"
# What comes with another that is declared, and is a part of how that one is used: it, and why.
BROUGHT = {
    "adbc-driver-manager": "adbc-driver-postgresql is a driver for it",
    "altair": "streamlit draws its charts",
    "pydantic-core": "pydantic's own errors and links",
    "starlette": "streamlit's server is made of it",
    "uvicorn": "streamlit's server runs in it",
}
# What changes while it is used.
CHANGED = {"Log", "Tally", "_Answers", "_Place"}


def calls(name: str) -> list[tuple[str, dict[str, object]]]:
    """Each call of that name: what it decorates or belongs to, and its keywords."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        for owner in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(owner, ast.ClassDef):
                parts = [*owner.decorator_list, *(line.value for line in owner.body if isinstance(line, ast.Assign))]
                for part in parts:
                    said = {k.arg: ast.literal_eval(k.value) for k in getattr(part, "keywords", ())}
                    if name == ast.unparse(getattr(part, "func", part)):
                        found.append((owner.name, said))
    return found


def test_a_value_is_not_changed_by_whoever_has_it() -> None:
    classes = calls("dataclass")
    assert len(classes) > 40
    assert {name for name, said in classes if not said.get("frozen")} == CHANGED


def test_what_is_configured_has_no_unknown_key_and_stays_as_it_is() -> None:
    models = calls("ConfigDict")
    assert len(models) > 10
    assert [name for name, said in models if not (said.get("frozen") and said.get("extra") == "forbid")] == []


def test_a_template_that_names_what_is_not_there_is_an_error_and_no_gap() -> None:
    made = [
        {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        for path in PACKAGE.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("Environment")
    ]
    assert len(made) > 2
    assert {said.get("undefined") for said in made} == {"StrictUndefined"}


def test_everything_that_is_imported_is_declared() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(name for names in project["optional-dependencies"].values() for name in names)]
    declared = {re.split(r"[<>=\[]", name)[0] for name in asked}
    names = {
        name.split(".")[0]
        for path in PACKAGE.rglob("*.py")
        for line in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in line.names]
            if isinstance(line, ast.Import)
            else [line.module or ""]
            if isinstance(line, ast.ImportFrom)
            else []
        )
    } - {*sys.stdlib_module_names, "delivery"}
    brings = packages_distributions()
    used = {name: {found.lower().replace("_", "-") for found in brings.get(name, [name])} for name in names}
    assert {name for name, ways in used.items() if not ways & {*declared, *BROUGHT}} == set()
    assert set(BROUGHT) <= {way for ways in used.values() for way in ways}
