"""What is wrong with what people wrote, in words: gathered over all files and said at once."""

from __future__ import annotations

from difflib import get_close_matches
from inspect import isclass
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from delivery.config.values import SECRETS
from delivery.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic import ValidationError

# What a destination's faults may quote; the rest of it, as the template that it came from, may hold a secret.
QUOTED = ("host", "port", "username", "timeout", "deadline", "bucket", "region", "connections")
UNION_TAGS = ("union_tag_not_found", "union_tag_invalid")


def nearest(word: object, known: Iterable[str]) -> str:
    """What was probably meant, to stand after the known words; nothing when none is near."""
    found = get_close_matches(str(word), list(known), 1)
    return f" (did you mean {found[0]!r}?)" if found else ""


class Faults:
    """Faults under headings. `raise_any` says all of them in one ConfigError."""

    def __init__(self) -> None:
        self._found: list[tuple[str, list[str], str]] = []

    def add(self, heading: str, faults: Iterable[str], hint: str) -> None:
        """Keeps the faults, if there are any. hint: what to do about them."""
        if faults := list(faults):
            count = "one fault" if len(faults) == 1 else f"{len(faults)} faults"
            self._found.append((f"{heading} {count}:", faults, hint))

    def __bool__(self) -> bool:
        return bool(self._found)

    def raise_any(self) -> None:
        """Raises ConfigError if there are faults."""
        if self._found:
            lines = (line for heading, faults, _ in self._found for line in (heading, *(f"  {one}" for one in faults)))
            raise ConfigError("\n".join(lines), hint=" ".join(dict.fromkeys(hint for _, _, hint in self._found)))


def described(error: ValidationError, model: type[BaseModel], where: str) -> Iterator[tuple[str, str]]:
    """(key path, what is wrong) of each fault of a document that should have been a `model`. where: its own path."""
    for fault in error.errors():
        keys, inside, tags = _place(model, fault["loc"])
        path = ".".join([where, *keys])
        if fault["type"] == "extra_forbidden":
            yield path, f"unknown key; known: {', '.join(inside.model_fields)}{nearest(keys[-1], inside.model_fields)}"
        elif fault["type"] == "missing":
            yield path, "is required"
        elif fault["type"] in UNION_TAGS:
            seen = f"unknown {fault['ctx']['tag']!r}" if "tag" in fault["ctx"] else "is required"
            close = nearest(fault["ctx"]["tag"], tags) if "tag" in fault["ctx"] else ""
            yield f"{path}.type", f"{seen}; known: {', '.join(tags)}{close}"
        elif fault["type"] == "literal_error":
            known = _choices(inside, keys[-1])
            yield path, fault["msg"] + _seen(keys, fault.get("input")) + nearest(fault.get("input"), known)
        else:
            yield path, fault["msg"].removeprefix("Value error, ") + _seen(keys, fault.get("input"))


def _place(model: type[BaseModel], loc: Iterable[object]) -> tuple[list[str], type[BaseModel], dict[str, Any]]:
    """The keys to a fault, the model that has the last of them, and the models that may stand there, by their type."""
    keys: list[str] = []
    inside, choices = model, dict[str, type[BaseModel]]()
    for part in map(str, loc):
        if part in choices:  # pydantic puts the type of a destination between the keys
            inside, choices = choices[part], {}
            continue
        keys.append(part)
        field = inside.model_fields.get(part)
        found = list(_models(field.annotation)) if field else []
        if len(found) == 1:
            inside = found[0]
        choices = {get_args(one.model_fields["type"].annotation)[0]: one for one in found} if len(found) > 1 else {}
    return keys, inside, choices


def _choices(model: type[BaseModel], key: str) -> list[str]:
    """The words that a key may have."""
    field = model.model_fields.get(key)
    return [one for one in _flat(field.annotation) if isinstance(one, str)] if field else []


def _flat(annotation: Any) -> Iterator[Any]:
    for part in get_args(annotation):
        yield from _flat(part) if get_args(part) else (part,)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _seen(keys: list[str], value: object) -> str:
    if {*SECRETS, "private_key", "signature", "destination"} & {*keys} and keys[-1] not in QUOTED:
        return ""
    if keys[-1:] == ["host"] and "@" in str(value):  # a whole URL, in which a password may stand
        return ""
    return f" (seen: {value!r})" if isinstance(value, str | int | float) and len(str(value)) < 100 else ""
