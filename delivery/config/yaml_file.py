"""YAML whose values may come from the environment: `{{ env_var('NAME') }}` or `{{ env_var('NAME', 'default') }}`."""

from __future__ import annotations

import ast
import functools
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
WIDEST = 1024  # bits of a number: Python refuses to write very long ones out, and no setting is one
DEEPEST = 100  # what is in what: libyaml itself knows no limit but the stack's end
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, where PyYAML was built with it
_TEXT, _MERGE, _INT, *_COLLECTIONS = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "merge", "int", "map", "seq"))


class _Document:
    """A document, made as it is parsed: nodes in between would cost more than all else that reads thousands of clients.

    Raises yaml.MarkedYAMLError also for a key that stands twice in one mapping, of which PyYAML would keep the last,
    for what is too deep, and for aliases that make much of little, or of themselves.
    """

    def __init__(self, loader: Any) -> None:
        self._loader, self._next = loader, loader.get_event
        self._nodes = self._written_out = 0  # with each alias written out
        self._anchors: dict[str, tuple[Any, int] | None] = {}  # with how many nodes there are; None while it is open
        self._merges: list[tuple[dict[Any, Any], Any, Any]] = []

    def read(self) -> Any:
        self._next()  # the stream begins
        if isinstance(begun := self._next(), yaml.StreamEndEvent):
            return None
        content = self._node(self._next(), 0)
        self._next()  # the document ends
        if not isinstance(more := self._next(), yaml.StreamEndEvent):
            raise _fault("a second document begins", more)
        if self._written_out > LARGEST + MOST_TIMES * self._nodes:
            raise _fault("its aliases stand for too much", begun)
        for mapping, merged, event in self._merges:
            _merge(mapping, merged, event)
        return content

    def _node(self, event: Any, depth: int) -> Any:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        self._nodes += 1
        self._written_out += 1
        if event.anchor:
            self._anchors[event.anchor], before = None, self._written_out
        if isinstance(event, yaml.ScalarEvent):
            made = self._scalar(event)
        elif depth == DEEPEST:
            raise _fault("it is nested too deeply", event)
        elif event.tag not in (None, "!", *_COLLECTIONS):
            raise _fault(f"could not determine what {event.tag!r} means", event)
        elif isinstance(event, yaml.MappingStartEvent):
            made = self._mapping(depth + 1)
        else:
            made = []
            while not isinstance(part := self._next(), yaml.SequenceEndEvent):
                made.append(self._node(part, depth + 1))
        if event.anchor:
            self._anchors[event.anchor] = made, self._written_out - before + 1
        return made

    def _alias(self, event: Any) -> Any:
        if event.anchor not in self._anchors:
            raise _fault(f"nothing is called {event.anchor!r} before it", event)
        if (known := self._anchors[event.anchor]) is None:
            raise _fault("an alias stands for what it is part of", event)
        self._written_out += known[1]
        return known[0]

    def _scalar(self, event: Any) -> Any:
        value, tag, loader = event.value, event.tag, self._loader
        if tag in (None, "!"):
            if not event.implicit[0] or value[:1] not in loader.yaml_implicit_resolvers:
                return value
            tag = loader.resolve(yaml.ScalarNode, value, event.implicit)
        if tag in (_TEXT, _MERGE):
            return value
        try:
            made = loader.construct_object(yaml.ScalarNode(tag, value, event.start_mark, event.end_mark))
        except (AttributeError, LookupError, ValueError):
            if event.tag not in (None, "!"):
                raise _fault(f"this cannot be read as {tag!r}", event) from None
            if tag != _INT:
                raise
            return value  # a number that is too long stays text, of which only its own key complains
        return value if isinstance(made, int) and made.bit_length() > WIDEST else made

    def _mapping(self, depth: int) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._node(event, depth)
            name = getattr(event, "value", None) or str(key)
            if name in lines:
                raise _fault(f"the key {name!r} stands in line {lines[name]} already", event)
            lines[name] = event.start_mark.line + 1
            value = self._node(self._next(), depth)
            if name == "<<" and isinstance(event, yaml.ScalarEvent) and event.implicit[0]:
                self._merges.append((found, value, event))
                continue
            try:
                found[key] = value
            except TypeError:
                raise _fault("a list or a mapping cannot be a key", event) from None
        return found


def _merge(mapping: dict[Any, Any], merged: Any, event: Any) -> None:
    """Adds what `<<` names, the first of several first; what the mapping has itself stays. Applied when all is read."""
    others = merged if isinstance(merged, list) else [merged]
    if not all(isinstance(other, dict) for other in others):
        raise _fault("<< must name a mapping, or a list of them", event)
    own = dict(mapping)
    mapping.clear()
    for other in (*reversed(others), own):
        mapping.update(other)


def _fault(problem: str, event: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


def read_yaml(path: Path, *, hint: str = "") -> Any:
    """The document. Raises ConfigError with line and column. hint: what to do when there is no file."""
    try:
        loader = _LOADER(path.read_text(encoding="utf-8"))
        try:
            return _Document(loader).read()
        finally:
            loader.dispose()
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


def _as_text(value: str) -> str:
    """Raises UnicodeEncodeError for bytes of the environment that are no UTF-8: no name and no file could hold them."""
    value.encode()
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
        return _as_text(_env_var(*plain.groups()))
    from jinja2 import TemplateError

    try:
        filled = _templates().from_string(text).render()
        return ast.literal_eval(filled.strip()) if AS_NATIVE.search(text) else _as_text(filled)
    except TemplateError as error:
        raise ValueError(error.message) from None
    except (_Missing, UnicodeEncodeError):
        raise
    except Exception as error:  # noqa: BLE001 - Jinja's filters raise anything, and it concerns this value alone
        raise ValueError(type(error).__name__) from None


def render(node: Any, path: str, faults: dict[str, str], missing: dict[str, str]) -> Any:
    """The node with its templates filled in. faults, missing: gain a message by key path; there the text stays."""
    if isinstance(node, str) and "{{" not in node:  # most are
        return node
    if isinstance(node, dict):
        return {key: render(value, f"{path}.{key}", faults, missing) for key, value in node.items()}
    if isinstance(node, list):
        return [render(value, f"{path}.{index}", faults, missing) for index, value in enumerate(node)]
    if not isinstance(node, str):
        return node
    try:
        return _filled_in(node)
    except UnicodeEncodeError:
        faults[path] = "the template holds what is no UTF-8"
    except _Missing as error:
        missing[path] = f"the environment variable {error} is not set"
    except ValueError as error:
        faults[path] = f"the template cannot be read: {error}"
    return node


def is_secret_reference(value: object) -> bool:
    """Whether the value names an environment variable and holds nothing else."""
    return isinstance(value, str) and re.fullmatch(ONLY_ENV_VAR, value.strip()) is not None
