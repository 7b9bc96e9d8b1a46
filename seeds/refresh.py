"""`make lists`: the code lists that other people keep, written anew from their packages as they are installed.

calling_codes: the numbering plans of every region, from `phonenumbers` (Google's libphonenumber).
known_bots: programs by their user agents, from `crawler-user-agents`, as patterns for LIKE.
New versions come with `make lock`; tests/dbt/test_lists.py says when a seed is not what the installed package says.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import crawleruseragents
import phonenumbers
import regex
from phonenumbers.phonemetadata import PhoneMetadata

if TYPE_CHECKING:
    from collections.abc import Iterable

SEEDS = Path(__file__).parent
DIGITS = "0123456789"
# Where several prefixes lead abroad, the first of these that does.
ABROAD = ("001", "002", "009", "000", "00", "010", "011", "810", "119", "0")
START = "\0"
PLAN = (
    "country",
    "calling_code",
    "trunk_prefix",
    "international_prefix",
    "min_length",
    "max_length",
    "not_first",
)


def calling_codes() -> list[tuple[object, ...]]:
    """A row for each region. Regions with one calling code have one plan: a number alone does not say whose it is."""
    regions = {code: PhoneMetadata.metadata_for_region(code) for code in sorted(phonenumbers.SUPPORTED_REGIONS)}
    lines, others = defaultdict(list), defaultdict(list)
    for region in regions.values():
        lines[region.country_code] += [region.fixed_line, region.mobile]
        others[region.country_code] += [region.voip, region.personal_number, region.uan]
    rows: list[tuple[object, ...]] = []
    for code, region in regions.items():
        kinds = lines[region.country_code]
        lengths = sorted({length for kind in kinds if kind for length in kind.possible_length if length > 0})
        patterns = [kind.national_number_pattern for kind in kinds + others[region.country_code] if kind]
        begins = [regex.compile(f"(?:{pattern})") for pattern in patterns if pattern]
        never = "".join(d for d in DIGITS if not any(begin.fullmatch(d, partial=True) for begin in begins))
        rows.append((code, region.country_code, _trunk(region), _abroad(region), lengths[0], lengths[-1], never))
    return rows


def _trunk(region: PhoneMetadata) -> str:
    """What is written before a national number: in Belarus 80, where the prefix itself is 8."""
    prefix: str = region.national_prefix or ""
    rules = [form.national_prefix_formatting_rule or "" for form in region.number_format if prefix]
    found = {re.sub(r"\D", "", rule.partition("\\1")[0]) for rule in rules}
    return max((one for one in found if one.startswith(prefix)), key=len, default=prefix)


def _abroad(region: PhoneMetadata) -> str:
    preferred: str = region.preferred_international_prefix or ""
    if preferred.isdigit():
        return preferred
    known = regex.compile(f"(?:{region.international_prefix})")
    whole = [prefix for prefix in ABROAD if known.fullmatch(prefix)]
    return (whole or [prefix for prefix in ABROAD if known.fullmatch(prefix, partial=True)])[0]


def known_bots() -> list[tuple[str, str]]:
    """Pattern and kind, sorted. LIKE says a little more than the regular expressions: what is open there is % here."""
    rows = {}
    for bot in crawleruseragents.CRAWLER_USER_AGENTS_DATA:
        for text in _texts(re._parser.parse(bot["pattern"])):  # type: ignore[attr-defined]
            like = text.removeprefix(START) if text.startswith(START) else "%" + text
            rows[re.sub("%+", "%", like + "%")] = bot["tags"][0]
    return sorted(rows.items())


def _texts(parsed: Iterable[tuple[Any, Any]]) -> list[str]:
    """What a parsed regular expression stands for."""
    found = [""]
    for kind, value in parsed:
        match str(kind):
            case "LITERAL":
                parts = [chr(value)]
            case "IN" if all(str(one) == "LITERAL" for one, _ in value):
                parts = [chr(one) for _, one in value]
            case "SUBPATTERN":
                parts = _texts(value[3])
            case "BRANCH":
                parts = [text for branch in value[1] for text in _texts(branch)]
            case "AT":
                parts = [START if "BEGINNING" in str(value) else ""]
            case _:
                parts = ["%"]
        found = [one + part for one in found for part in parts]
    return found


def written(header: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    """As CSV."""
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def lists() -> dict[str, str]:
    """The text of each seed, by its name."""
    return {
        "calling_codes": written(PLAN, calling_codes()),
        "known_bots": written(("user_agent_pattern", "kind"), list(known_bots())),
    }


if __name__ == "__main__":
    for name, text in lists().items():
        (SEEDS / f"{name}.csv").write_text(text, encoding="utf-8")
