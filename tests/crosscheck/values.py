"""What a field of a record says: text, a code, a time, a number, an address."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from hashlib import md5
from typing import Any
from unicodedata import category

from tests.crosscheck.documents import document

UNSEEN = ("Cc", "Cf")  # signs of control and of form
# Signs without a shape that Unicode counts among letters and marks, or has not given out.
SHAPELESS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
BLANKS = "".join(
    map(
        chr,
        (*range(9, 14), 32, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200C), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000, 0xFEFF),
    )
)
TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ]((?:[01]\d|2[0-3]):[0-5]\d)(:[0-5]\d)?(\.\d+)?(Z|[+-](?:0\d|1[0-5])(?::?[0-5]\d)?)?)?",
    re.ASCII,
)
ESCAPE = re.compile(r"(\\\\)|\\u([0-9a-f]{4})")  # what json.dumps leaves of them: a backslash, and signs of control
PLAIN = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
NUMBER = re.compile(PLAIN.pattern + r"([eE][+-]?\d{1,2})?", re.ASCII)
POSSIBLE = re.compile(
    r'[^@\s"(),:;<>\[\]]{1,64}@([^@\s"(),:;<>\[\].]{1,63}\.)+[^@\s"(),:;<>\[\].\d][^@\s"(),:;<>\[\].]{1,62}'
)
LAST_SECOND = 253_402_300_799  # of the year 9999


def text(value: Any) -> str | None:
    """Text as it is, all else as JSON without blanks, its escapes with capitals; None for nothing."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    written = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return ESCAPE.sub(lambda found: found[1] or f"\\u{found[2].upper()}", written)


def word(value: Any) -> str | None:
    """Text without the blanks around it."""
    return (text(value) or "").strip(BLANKS) or None


def named(value: Any) -> str | None:
    """The id of an event: nothing, in whatever form, is none."""
    return None if (found := word(value)) in ("[]", "{}") else found


def code(value: Any) -> str | None:
    """A word of a list: neither case nor blanks count."""
    return lower(found) if (found := word(value)) else None


def lower(said: str) -> str:
    """Each letter by itself, whatever stands beside it."""
    return "".join(small if len(small := sign.lower()) == 1 else small[0] for sign in said)


def joined(value: Any) -> str | None:
    """One value, or the values of a list joined by a pipe."""
    if isinstance(value, str) and value.startswith("["):
        with suppress(ValueError):
            value = document(value)
    if not isinstance(value, list):
        return word(value)
    return word("|".join(one if isinstance(one, str) else str(text(one)) for one in value if one is not None))


def address(value: Any) -> str | None:
    """An address out of its brackets, trimmed and in lower case."""
    said = text(value) or ""
    if "<" in said and ">" in said[said.index("<") :]:
        said = said[said.index("<") + 1 : said.rindex(">")]
    return lower(said.strip(BLANKS)) or None


def is_possible(email: str) -> bool:
    """Whether mail could reach the address, by its look."""
    local, _, host = email.partition("@")
    odd = local.startswith(".") or local.endswith(".") or ".." in email
    odd = odd or any(label.startswith("-") or label.endswith("-") for label in host.split(".")[:-1])
    odd = odd or ".-" in email or any(sign in BLANKS or category(sign) in UNSEEN for sign in email)
    odd = odd or bool(SHAPELESS.search(email))
    return bool(POSSIBLE.fullmatch(email)) and not odd and len(email) <= 254


def moment(value: Any) -> datetime | None:
    """A time as UTC without a zone, to the microsecond below; None for what is none."""
    found = TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None or (found[4] and not found[3]):
        return None
    day, clock, seconds, fraction, zone = found.groups()
    zone = {None: "+00:00", "Z": "+00:00"}.get(zone) or f"{zone[:3]}:{zone[-2:] if len(zone) > 3 else '00'}"
    with suppress(ValueError, OverflowError):
        micros = f"{(fraction or '.')[1:7]:0<6}"
        at = datetime.fromisoformat(f"{day}T{clock or '00:00'}{seconds or ':00'}.{micros}{zone}")
        return at.astimezone(UTC).replace(tzinfo=None)
    return None


def happened(value: Any) -> datetime | None:
    """The provider's time of an event: seconds since 1970, as a number or as text, or a time as text."""
    said = word(value) or ""
    if NUMBER.fullmatch(said):
        seconds = Decimal(said)
        if not 0 <= seconds <= LAST_SECOND:
            return None
        micros = int((seconds * 1_000_000).quantize(Decimal(1), ROUND_HALF_UP))
        return datetime(1970, 1, 1) + timedelta(microseconds=micros)
    return moment(said)


def day(value: Any) -> date | None:
    """A day as YYYY-MM-DD."""
    with suppress(ValueError):
        return date.fromisoformat(value) if re.fullmatch(r"\d{4}-\d\d-\d\d", str(value), re.ASCII) else None
    return None


def whole(value: Any) -> int | None:
    """A whole number of at most eighteen digits; some programs write 7 as 7.0."""
    found = re.fullmatch(r"(-?\d{1,18})(\.0+)?", word(value) or "", re.ASCII)
    return int(found[1]) if found else None


def decimal(value: Any, digits: int, places: int) -> Decimal | None:
    """A number of so many digits before the point, and after it, at most; zeros at its end are none."""
    found = re.fullmatch(rf"-?\d{{1,{digits}}}(\.\d{{1,{places}}}0{{0,18}})?", word(value) or "", re.ASCII)
    return Decimal(found[0]) if found else None


def amount(value: Any) -> Decimal | None:
    """Money, unrounded; no signs of currency or of thousands."""
    said = word(value) or ""
    number = Decimal(said) if PLAIN.fullmatch(said) else None
    return number if number is not None and abs(number) < 10**14 else None


def double(value: Any) -> float | None:
    """A number as scientists' programs have it."""
    said = word(value) or ""
    return float(said) if NUMBER.fullmatch(said) else None


def truth(value: Any) -> bool | None:
    """Yes or no, as JSON or as text; None for anything else."""
    return {"true": True, "false": False}.get(code(value) or "")


def key(*parts: Any) -> str:
    """A key of many parts, by which a row is known for ever."""
    return md5("|".join(map(_part, parts)).encode()).hexdigest()


def _part(value: Any) -> str:
    if isinstance(value, datetime) and value.microsecond:
        return str(value).rstrip("0")
    return "(null)" if value is None else str(value)
