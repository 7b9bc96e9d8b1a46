"""YAML whose values may come from the environment: `{{ env_var('NAME') }}` or `{{ env_var('NAME', 'default') }}`."""

from __future__ import annotations

import ast
import functools
import itertools
import os
import re
from typing import TYPE_CHECKING, Any

import yaml

from delivery.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from jinja2.sandbox import SandboxedEnvironment

# A value that comes from the environment alone: nothing beside it, and no default that would stand in the file.
ONLY_ENV_VAR = r"^\{\{\s*env_var\(\s*(?:'[^']+'|\"[^\"]+\")\s*\)\s*\}\}$"


LARGEST, MOST_TIMES = 10_000, 100  # nodes, and how often one may stand for another on average: more is no configuration
DEEPEST = 100  # what is in what: libyaml itself knows no limit but the stack's end
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, where PyYAML was built with it


def _document(text: str) -> Any:
    """The content. Raises yaml.MarkedYAMLError also for aliases that make much of little, or of themselves."""
    _check_depth(text)
    loader = _LOADER(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        sizes: dict[int, int] = {}
        if _size(node, sizes) > LARGEST + MOST_TIMES * len(sizes):
            raise yaml.MarkedYAMLError(problem="its aliases stand for too much", problem_mark=node.start_mark)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                mark: Any = event.start_mark  # of either loader
                raise yaml.MarkedYAMLError(problem="it is nested too deeply", problem_mark=mark)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Of how many nodes it is made, with each alias written out. sizes: of those that were seen; 0 while it is open."""
    if (known := sizes.get(id(node))) is not None:
        if not known:
            raise yaml.MarkedYAMLError(problem="an alias stands for what it is part of", problem_mark=node.start_mark)
        return known
    if isinstance(node, yaml.ScalarNode):
        sizes[id(node)] = 1
        return 1
    sizes[id(node)] = 0
    parts = node.value
    if isinstance(node, yaml.MappingNode):
        _check_keys(node)
        parts = itertools.chain.from_iterable(parts)
    sizes[id(node)] = 1 + sum(_size(part, sizes) for part in parts)
    return sizes[id(node)]


def _check_keys(node: yaml.MappingNode) -> None:
    """Refuses a key that stands twice in one mapping; PyYAML would silently keep the last."""
    seen: dict[str, int] = {}
    for key, _ in node.value:
        name = str(key.value)
        if name in seen:
            raise yaml.MarkedYAMLError(
                problem=f"the key {name!r} stands in line {seen[name]} already", problem_mark=key.start_mark
            )
        seen[name] = key.start_mark.line + 1


def read_yaml(path: Path, *, hint: str = "") -> Any:
    """The document. Raises ConfigError with line and column. hint: what to do when there is no file."""
    try:
        return _document(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"No {path.name} in {path.parent}.", hint=hint) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(
            f"{path.name} is not valid YAML{where}: {error.problem}.", hint="Check indentation and quotes there."
        ) from None
    except (yaml.YAMLError, ValueError) as error:  # not text, or a date that is none
        raise ConfigError(f"{path.name} is not valid YAML: {str(error).splitlines()[0]}.") from None


class _Missing(Exception):
    """A variable that is not set."""


def _env_var(name: str, default: str | None = None) -> str:
    value = os.environ.get(name, default)
    if value is None:
        raise _Missing(name)
    return value


# What most templates are; they need no Jinja, which takes a tenth of what `delivery status` may.
_PLAIN = re.compile(r"\{\{\s*env_var\(\s*'([^'\\]+)'\s*(?:,\s*'([^'\\]*)'\s*)?\)\s*\}\}")
AS_NATIVE = re.compile(r"\|\s*as_native\s*\}\}\s*$")  # what the template renders is the literal of a mapping, say


@functools.cache
def _templates() -> SandboxedEnvironment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(undefined=StrictUndefined)
    environment.globals = {"env_var": _env_var, "dict": dict}
    # dbt's, for profiles.yml: they say which type a text is to become, which whoever reads it knows; but see AS_NATIVE.
    environment.filters |= dict.fromkeys(("as_bool", "as_native", "as_number", "as_text"), str)
    return environment


def _filled_in(text: str) -> Any:
    """Raises ValueError, saying what is wrong, or _Missing."""
    if plain := _PLAIN.fullmatch(text):
        return _env_var(*plain.groups())
    from jinja2 import TemplateError

    try:
        filled = _templates().from_string(text).render()
        return ast.literal_eval(filled.strip()) if AS_NATIVE.search(text) else filled
    except TemplateError as error:
        raise ValueError(error.message) from None
    except (TypeError, ValueError, SyntaxError, ArithmeticError, LookupError) as error:
        raise ValueError(type(error).__name__) from None


def render(node: Any, path: str, faults: dict[str, str], missing: dict[str, str]) -> Any:
    """The node with its templates filled in. faults, missing: gain a message by key path; there the text stays."""
    if isinstance(node, dict):
        return {key: render(value, f"{path}.{key}", faults, missing) for key, value in node.items()}
    if isinstance(node, list):
        return [render(value, f"{path}.{index}", faults, missing) for index, value in enumerate(node)]
    if not isinstance(node, str) or "{{" not in node:
        return node
    try:
        return _filled_in(node)
    except _Missing as error:
        missing[path] = f"the environment variable {error} is not set"
    except ValueError as error:
        faults[path] = f"the template cannot be read: {error}"
    return node


def is_secret_reference(value: object) -> bool:
    """Whether the value names an environment variable and holds nothing else."""
    return isinstance(value, str) and re.fullmatch(ONLY_ENV_VAR, value.strip()) is not None
