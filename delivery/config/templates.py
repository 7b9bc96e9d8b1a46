"""Templates of names and directories: what may stand in them, and which names they can become.

A template is filled in with values, or with what stands for all of them: characters that no name has, each one for the
digits that may be at its place. So the same code that makes a name says what names there can be.
"""

from __future__ import annotations

import re
from functools import cache
from string import Formatter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DATE_LETTERS = "YmdHMSjy"
LETTERS_KNOWN = ", ".join(f"%{letter}" for letter in DATE_LETTERS)
WIDEST = 20  # digits of a number
_NUMBER = re.compile(r"(0?)(\d{0,4})d?")
DIGIT, MORE_DIGITS = "\ue000", "\ue005"
_CLASSES = {DIGIT: "0123456789", "\ue001": "01", "\ue002": "0123", "\ue003": "012", "\ue004": "012345"}
_SHORTEST = str.maketrans(dict.fromkeys(_CLASSES, "0") | {MORE_DIGITS: ""})
ANY = "\ue000-\ue005"  # as a range of a regular expression
_DATES = {"Y": DIGIT * 4, "m": "\ue001" + DIGIT, "d": "\ue002" + DIGIT, "H": "\ue003" + DIGIT, "M": "\ue004" + DIGIT,
          "S": "\ue004" + DIGIT, "j": "\ue002" + DIGIT * 2, "y": DIGIT * 2}  # fmt: skip


class AnyDay:
    """Stands for every day."""

    def __format__(self, spec: str) -> str:
        return _any_date(spec or "%Y-%m-%d")


@cache
def _any_date(spec: str) -> str:
    return re.sub("%(.)", lambda found: _DATES[found[1]], spec)


class AnyNumber:
    """Stands for every number from 0 on."""

    def __format__(self, spec: str) -> str:
        found = _NUMBER.fullmatch(spec)
        return DIGIT * max(1, int(found[2] or 0) if found else 1) + MORE_DIGITS


def check_template(text: str, fields: Mapping[str, str]) -> None:
    """Raises ValueError for what cannot be meant. fields: by name, of which kind each is: text, date or number."""
    for literal, name, spec, conversion in Formatter().parse(text):
        if "%" in literal:
            raise ValueError("'%' stands for itself outside of braces; write dates as {window:%Y-%m-%d}")
        if name is None:
            continue
        if name not in fields:
            raise ValueError(f"unknown {{{name}}}; known: {', '.join(fields)}")
        fault = "takes no '!'" if conversion else _KINDS[fields[name]](spec or "")
        if fault:
            raise ValueError(f"{{{name}{':' if spec else ''}{(spec or '')[:40]}}}: {fault}")


def _date_fault(spec: str) -> str | None:
    for found in re.finditer("%(.?)", spec):
        if found[1] not in DATE_LETTERS or not found[1]:
            return f"unknown %{found[1]}; known: {LETTERS_KNOWN}"
    return "must not hold braces" if {"{", "}"} & {*spec} else None


def _number_fault(spec: str) -> str | None:
    found = _NUMBER.fullmatch(spec)
    return None if found and int(found[2] or 0) <= WIDEST else f"must be a width of at most {WIDEST} digits, as in 04"


def _text_fault(spec: str) -> str | None:
    return "takes no format" if spec else None


_KINDS = {"date": _date_fault, "number": _number_fault, "text": _text_fault}


def fixed_start(pattern: str) -> str:
    """What all the names that a pattern stands for begin with."""
    return re.split(f"[{ANY}]", pattern, maxsplit=1)[0]


def shortest(pattern: str) -> str:
    """The shortest of the names that a pattern stands for, or one of them."""
    return pattern.translate(_SHORTEST)


def can_meet(one: str, other: str) -> bool:
    """Whether there is a name that both patterns stand for."""
    seen: set[tuple[int, int]] = set()
    todo = [(0, 0)]
    while todo:
        if (at := todo.pop()) in seen:
            continue
        seen.add(at)
        if at == (len(one), len(other)):
            return True
        todo += _steps(one, other, *at)
    return False


def _steps(one: str, other: str, i: int, j: int) -> Iterable[tuple[int, int]]:
    """Where two readers of one name may be after the next sign, or after a reader has left its further digits out."""
    a, b = one[i : i + 1], other[j : j + 1]
    if a == MORE_DIGITS:
        yield i + 1, j
    if b == MORE_DIGITS:
        yield i, j + 1
    if a and b and {*_signs(a)} & {*_signs(b)}:
        yield i + (a != MORE_DIGITS), j + (b != MORE_DIGITS)


def _signs(sign: str) -> str:
    return _CLASSES[DIGIT] if sign == MORE_DIGITS else _CLASSES.get(sign, sign)
