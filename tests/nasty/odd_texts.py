"""JSON that a field of a raw row may hold, written out where its spelling is what is odd."""

from __future__ import annotations

import json
from typing import Any

DAY = "2026-11-03"
LATER = f"{DAY}T23:00:00Z"
BLANKS = " \t\r\n\v\f\x85\xa0\u1680\u2003\u2007\u200b\u2028\u202f\u205f\u3000\ufeff"
# Lists and objects written as text, of which a reader may take too much.
NEARLY = (
    '["\\ud83d"]', '["\\u0000"]', '["+12025550198",]', "[NaN]", '[{"product_id": "\\ud83d"}]',
    '[{"product_id": "\\u0000"}]', '["{\\"product_id\\": \\"\\\\u0000\\"}"]', '[{"product_id": "p-9"}]',
)  # fmt: skip
# A field of an event, and JSON that it may hold.
FIELDS = {
    "timestamp": (
        "1793700000", "1793700000.5", "1793700000.25e0", "1.7937e9", "17937E5", "0", "-1", "99999999999",
        "1793700000123",
        '"1793700000"', '" 1793700000 "', '"1793700000.123456"', '"+1793700000"', '"1793700000,5"', '"1_793_700_000"',
        '"0x6AEA1A20"', '"2026-11-03T10:00:00Z"', '"2026-11-03 10:00:00"', '"2026-11-03T10:00:00+02:00"',
        '"2026-11-03T10:00:00-0330"', '"2026-11-03T10:00:00+05"', '"2026-11-03T10:00:00.5Z"', '"2026-11-03T10:00Z"',
        '"2026-11-03T10:00:00.123456789Z"', '"2026-11-03"', '"2026-11-03T24:00:00Z"', '"2026-11-03T10:60:00Z"',
        '"2026-11-03T23:59:60Z"', '"2026-02-30T10:00:00Z"', '"2026-11-3T10:00:00Z"', '"2026-11-03t10:00:00z"',
        '"2026-11-03 10:00:00 UTC"', '"2026-11-03 10:00:00 Europe/Berlin"', '"20261103T100000Z"', '" 2026-11-03"',
        '"2026-11-03\\n"', '"03/11/2026"', '"infinity"', '"now"', '"today"', '"epoch"', '"soon"', '""', "null",
        "true",
        "[1793700000]", '{"at": 1793700000}',
    ),
    "event": ('"OPEN"', '" open "', '"open\\n"', '"\\u00a0Open\\u3000"', '"op\\u0065n"', '"\u0130pen"'),
    "nqe": (
        "12345", "1.5", "2.50", "12345678901234567890123", "true", '" odd nqe "', '"\xe4\xd6\u0130"', '"e\\u0301"',
        '"a\\/b"',
    ),
    "variant_id": (
        "1", "1.50", "1e3", "0.001", "1E2", "false", '"A"', '" A "', '"\\u0041"', '"\\\\"', "[]", "{}", '["A", "B"]',
        "-0.0", "-0", '["\\u001f\\u000b\\\\u001f"]',
        '{"a": [1, 2.0, "x y"], "b": {"c": null}}', '{ "a" : "caf\\u00e9 \\ud83d\\ude00", "b": "\\/ \\" \\\\ \\t" }',
    ),
    "audience_id": (
        "[]", "[101]", '["101", "102"]', '[101, "102", null]', '[ "a b" , "c|d" ]', '[["x", 1], {"a": "b c"}]', "101",
        '" 101 "',
        '"[101"', '"[101, 102]"', '"[\\"a\\"]"', '"[]"', '""', "null", "true", "[null]", '[""]', "[true, 1.5]",
        '"[101,]"', '"[NaN]"', '"[-inf, 1]"', '"[\\"a,]: NaN\\", 1]"', '"[\\"\\\\u0000\\"]"', '"[\\"\\\\ud83d\\"]"',
        '"[\\"\\\\ude00 \\\\ud83d\\"]"', '"[\\"\\\\ud83d\\\\ude00\\"]"', '"[\\"\\\\\\\\u0000\\"]"',
        '["\\u0000"]', '["\\ud83d"]',
    ),
    "email": (
        '"ODD.CASE@Example.COM"', '"odd.\xc9\xd6\xdc@example.com"', '"\u0130stanbul@example.com"',
        '"\u039f\u0394\u039f\u03a3@example.com"',
        '"K\u212a@example.com"', '"stra\xdfe@example.com"', '"odd@ex\xe4mple.com"', '"Odd <odd1@example.com>"',
        '"<odd2@example.com>"', '"\\"a>b\\" <odd3@example.com> (office)"', '"odd4@example.com,"',
        '"mailto:odd5@example.com"',
        '"odd6@example.com."', '"od\\u200bd7@example.com"', '"odd8@example.c"', '["odd9@example.com"]', '"a<b"',
        '"a>b<c"',
        *(json.dumps(f"{blank}odd{ord(blank)}@example.com{blank}") for blank in BLANKS),
    ),
    "useragent": (
        '"Mozilla/5.0 (\u0130PHONE)"', '"MOZILLA (WINDOWS NT 10.0)"', '"Cubot Phone Android Mobile"',
        '"Mozilla (compatible; GoogleImageProxy) Windows NT"',
        '"line\\nbreak\\r\\n\\ttab"', '" "', '"\\u0001\\u001f\\u007f"', '"\\u2028\\u2029\\u0085\\ufeff"',
        json.dumps("x" * 70_000), "7", "[1, 2]", '"C:\\\\u0000"',
        '"Windows NT\\nAndroid"', '"100% _ \\\\%"', '"\U0001f600\u200d\\ud83d\\ude00"', '"e\\u0301\xe9"',
    ),
    "sg_machine_open": ("true", "false", '"true"', '"TRUE"', "1", "null", '" true"'),
    "journey_id": ('"jny-odd"', '"jny-21"', "21", '""', '"jny-late"'),
    "sg_event_id": ("7", '" odd id "', '""', "null", "[1]"),
    "reason": ('" padded "', "550", '{"code": 5.50, "text": "caf\\u00e9"}'),
}  # fmt: skip
BOUNCES = (
    {}, {"type": "bounce"}, {"type": " BOUNCE "}, {"type": "\xa0Bounced\n"}, {"type": "expired"}, {"type": "blocked"},
    {"type": "new word", "bounce_classification": "Invalid Address"}, {"type": "new word", "reason": "550 no"},
    {"bounce_classification": " content\t"}, {"bounce_classification": "Mailbox Unavailable", "status": "5.2.2"},
    {"bounce_classification": "Unclassified", "reason": " 452 full"}, {"status": "\u2003 5.1.1"},
    {"status": "\uff15.1.1"},
    {"status": 550}, {"status": 5.5}, {"reason": "unknown"}, {"type": ""}, {"type": ["bounce"]},
)  # fmt: skip
TRACKING = (
    '"text"', '""', "12", "1.50", "[]", "{}", "true", '{"a": "x  y", "b":[ 1 , 2 ]}',
    '{"a": "caf\\u00e9", "b": "\\u2028", "c": "\\/"}',
    '{"n": 10.50, "m": -0.5, "k": 12345678901234567890}', '{"t": "\\t\\n\\r\\b\\f\\\\\\""}',
    '{"deep": [[[{"a": {}}]]]}', "null", '{"signs": ["\U0001f600 \\ud83c\\udf42", "\\\\ud83d\\\\ude00"]}',
    '{"B": 1, "a": 2, "A": 3}',
)  # fmt: skip
TOTALS = (
    "12.5", "12", "1e2", "1.25E2", "12345678.9", "0.1", "0.30000000000000004", "12.3449", "12.345", "12.344999999",
    "-5", "0",
    '"12.50"', '" 12.5 "', '"12,50"', '"1,234.50"', '"$5.00"', '"5."', '".5"', '"+5"', '"1e2"', '"NaN"', '"Infinity"',
    '"0x10"',
    '"1_000"', '"99999999999999.99"', '"999999999999999"', '"\\u00a07.25"', '"\uff17"', '""', "null", "true", "[5]",
    "1e15", "1e-7",
)  # fmt: skip
ATTRIBUTES = {
    "birthday_day": (
        "7", '"07"', "7.0", '" 7"', "7e0", '"seven"', "true", "123456789012345678", "1234567890123456789", "-7",
        '"\u0667"',
    ),
    "shoe_size": (
        "42.5", "42.50", '"42.5"', '"42,5"', "4.25e1", "042", '"042.5"', "1000", "999.9", "42.55", '"42.5 "', "-1.5",
        '"1e1"',
    ),
    "member_since": (
        '"2026-02-28"', '"2026-02-30"', '"2026-2-3"', '"2026-11-03T00:00:00Z"', '" 2026-02-28"', "20260228",
        '"0000-01-01"', '"9999-12-31"', '"2026-02-28\\n"', '"infinity"',
    ),
    "vip": ("true", "false", '"TRUE"', '"False"', "1", '"yes"', '" true "', "null"),
    "first_name": ('"\xe9 \\u00e9"', '""', '" "', "7", "7.50", '["a"]', '{"a": 1.0}', '"\\ud83d\\ude00"'),
}  # fmt: skip
PHONES = (
    "+12025550177", " +1 202 555 0178 ", "(202) 555-0179", "001 44 20 7946 0958", "011442079460959", "2025550180",
    "+44 (0)20 7946 0960",
    "\u20032025550181", "202\u2011555\u20110182", "+1-202-555-0183 ext 4", "tel:+12025550184", "12", "", " ",
    "+999123456789", "\uff0b12025550185",
    "\u0662\u0660\u0662", "+1 102 555 0186", "+4930123456", "00",
)  # fmt: skip
CONSENTS = (
    ("true", '"2026-11-01T10:00:00Z"'), ('"true"', '"2026-11-02T10:00:00Z"'), ('" TRUE "',
    '"2026-11-02T11:00:00+01:00"'),
    ("false", '"2026-11-02T12:00:00Z"'), ('"False"', '"2026-11-02T13:00:00Z"'), ("null", '"2026-11-02T14:00:00Z"'),
    ("1", '"2026-11-02T15:00:00Z"'),
    ("true", "null"), ("true", '"soon"'), ("true", '"2026-11-02"'), ("true", "1793700000"),
    ("true", '"2031-01-01T00:00:00Z"'), ("false", '"2031-01-01T00:00:00Z"'), ("false", '"2026-11-02 10:00:00 UTC"'),
    ("false", "1793700000"), ("false", '" "'), ("false", "null"),
)  # fmt: skip
SOURCES = (
    '"list-unsubscribe"',
    '" PIXEL\\n"',
    '"\\u00a0Manual "',
    '"EMAIL FILE"',
    '"One-Click"',
    "null",
    '""',
    '" "',
    "7",
    '["Manual"]',
)
RECEIVED = (
    f'"{DAY}T12:00:00Z"', f'"{DAY} 12:00:01"', f'"{DAY}T14:00:02+02:00"', f'"{DAY}T12:00:03.123456789Z"',
    f'"{DAY}T12:00"', f'"{DAY}"',
    f'"{DAY}T12:00:04.5"', f'"{DAY}T12:00:05+0200"', f'"{DAY}T24:00:00Z"', f'" {DAY}T12:00:00Z"',
    f'"{DAY}t12:00:00z"', '"1793700000"',
    f'"{DAY}T12:00:00 UTC"',
)  # fmt: skip
CAMPAIGNS = (
    '"1101"', '" 1101 "', "1101.0", "1.101e3", '"+1101"', '"1_101"', '"MMCI"', "null", "true", "123456789012345678",
    '"1234567890123456789"',
)  # fmt: skip
SCORES = (
    "1", "1.0", "1e0", "0.1e1", '"1"', "1e-3", "-2.5E+3", "0", '"+1"', '" 1"', '"1e400"', '"NaN"', '"0x1"', "true",
    "123456789012345678", "0.50",
)  # fmt: skip


def as_json(**fields: Any) -> str:
    """A record; bytes are JSON as it is."""
    return "{" + ", ".join(
        f"{json.dumps(name)}: {value.decode() if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False)}"
        for name, value in fields.items()
    ) + "}"  # fmt: skip
