"""Errors: exit codes as drawn, and no address in what is said."""

from __future__ import annotations

import time

import pytest

from delivery import errors
from delivery.errors import DeliveryError, ExitCode, redact

CODES = {
    "ConfigError": 2,
    "LeftOut": 2,
    "GateRefused": 3,
    "NotRead": 3,
    "DestinationRefused": 4,
    "HostKeyRefused": 4,
    "LoginRefused": 4,
    "DestinationFailed": 1,
    "NameTaken": 1,
    "Held": 1,
    "Busy": 1,
    "WriteFailed": 1,
    "EngineDown": 1,
    "CutOff": 1,
    "NothingDue": 5,
}


def kinds(of: type[DeliveryError] = DeliveryError) -> dict[str, type[DeliveryError]]:
    return {name: kind for one in of.__subclasses__() for name, kind in {one.__name__: one, **kinds(one)}.items()}


def test_every_error_has_its_exit_code() -> None:
    assert {name: int(kind.exit_code) for name, kind in kinds().items()} == CODES


def test_the_tree_at_the_top_is_the_tree() -> None:
    drawn = {line.strip("├│└─ ").split()[0]: line for line in (errors.__doc__ or "").splitlines() if "──" in line}
    assert drawn.keys() == CODES.keys()
    for name, line in drawn.items():
        assert f"exit {CODES[name]}" in line or name in ("LeftOut", "HostKeyRefused", "LoginRefused", "NotRead")


def test_codes_are_those_of_the_specification() -> None:
    assert [(code.name, int(code)) for code in ExitCode] == [
        ("DONE", 0),
        ("FAILED", 1),
        ("USAGE", 2),
        ("GATE", 3),
        ("DESTINATION", 4),
        ("NOTHING_DUE", 5),
    ]


def test_an_error_says_what_and_what_next() -> None:
    failed = errors.DestinationFailed("cut", step="write")
    assert (str(failed), failed.message, failed.step) == ("cut", "cut", "write")
    assert failed.hint.startswith("Run again")


JANE = "jane.doe+tag@mail.example.com"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (JANE, "<address>"),
        (f"Jane Doe <{JANE}>", "Jane Doe <<address>>"),
        (f"'{JANE}'", "'<address>'"),
        (f'{{"email": "{JANE}", "n": 1}}', '{"email": "<address>", "n": 1}'),
        (f'{{\\"email\\": \\"{JANE}\\"}}', '{\\"email\\": \\"<address>\\"}'),
        (f"Key (email)=({JANE}) already exists.", "Key (email)=(<address>) already exists."),
        (f"acme|{JANE}|open", "acme|<address>|open"),
        (f"{JANE},{JANE};{JANE}\t{JANE}", "<address>,<address>;<address>\t<address>"),
        (f"[{JANE}]", "[<address>]"),
        (f"mailto:{JANE}?subject=hi", "mailto:<address>"),
        ("JANE@EXAMPLE.COM", "<address>"),
        ("jane@localhost", "<address>"),
        ("jane@[192.0.2.1]", "<address>"),
        ("jane@[IPv6:2001:db8::1]", "<address>"),
        ("o'brien@example.com", "<address>"),
        ("'o''brien@example.com'", "'<address>'"),
        ('"jane doe"@example.com', "<address>"),
        ("jürgen@exämple.com", "<address>"),
        ("用户@例子.example", "<address>"),
        ("jane%40example.com", "<address>"),
        ("jane\\u0040example.com", "<address>"),
        ("jane&#64;example.com", "<address>"),
        ("jane\uff20example.com", "<address>"),
        (f"u={JANE}&v=1", "<address>"),
        (f"https://example.com/u?email={JANE}", "https:<address>"),
        (f"https://example.com/{'x' * 1000}/{JANE}", "https:<address>"),
        ("x" * 1000 + "@example.com", "<address>"),
        (f"line one\n{JANE}\nline three", "line one\n<address>\nline three"),
        (f"{JANE}, the second of {JANE}.", "<address>, the second of <address>"),
    ],
)
def test_addresses_are_replaced(text: str, expected: str) -> None:
    assert redact(text) == expected


@pytest.mark.parametrize(
    "local", ["jane", "j", "jane.doe", "o'brien", "jane+x", "a_b-c", "x=y", "a/b", "a?b", "$a%b*c!d#e^f`g~h&i"]
)
@pytest.mark.parametrize("around", ["{}", "'{}'", '"{}"', "({})", "[{}]", "<{}>", "x {} y", "k='{}'", "k: {},", "`{}`"])
def test_no_part_of_an_address_passes(local: str, around: str) -> None:
    shown = redact(around.format(f"{local}@secret.example"))
    assert "<address>" in shown
    assert "secret" not in shown
    assert local not in shown.replace("address", "").replace("k", "").replace("x", "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The table has 5 rows, 4 were written and 5 read back.",
        "esp_events: not_null_esp_events_email failed (3 rows)",
        "100% at 5 @ noon",
        "@daily is not a schedule",
        "https://docs.example.com/a?b=c#d",
        'Binder Error: column email_address not found in table "main"."esp_events"',
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI+/=",
        "2026-11-03T05:00:00Z [2026-11-03, 2026-11-04) r1",
        "C:\\Users\\x {a} [b] <c>",
    ],
)
def test_plain_text_stays(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    "text",
    ["a" * 500_000, "a'" * 200_000, '"a' * 200_000, "@" * 200_000, "a@" * 100_000, "%4" * 200_000, "{'" * 100_000],
)
def test_long_text_is_no_trouble(text: str) -> None:
    start = time.process_time()
    redact(text)
    assert time.process_time() - start < 5


def test_an_error_that_nobody_foresaw_is_told_by_its_place_and_not_by_its_text() -> None:
    def fails() -> None:
        raise ValueError(f"row 3: {JANE}")

    with pytest.raises(ValueError, match="row 3") as unforeseen:
        fails()
    told = errors.known(unforeseen.value)
    line = unforeseen.traceback[-1].lineno + 1
    assert told.message == f"Unexpected ValueError in fails, line {line} of test_errors.py."
    assert "`--debug`" in told.hint
    assert told.exit_code == 1
    ours = errors.Busy("Another runner is at work.")
    assert errors.known(ours) is ours
