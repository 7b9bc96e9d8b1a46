"""What `share check` says of servers that are set up wrongly, each in one way: real Apache and ProFTPD."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from share_world import PASSWORDS, call, world_of
from small_project import CLIENTS

from delivery.share import check, config

if TYPE_CHECKING:
    from collections.abc import Callable

    from share_world import World

ACME, BRIGHT = CLIENTS[:2]
# For each fault: what is put in whose place, in the servers' configuration; and what is said of acme's user.
FAULTS: dict[str, tuple[dict[str, str], set[tuple[str, str]]]] = {
    "another's folder on the page": (
        {f"Require group {BRIGHT}": "Require valid-user"},
        {("page", "own folders"), ("page", "nothing of others")},
    ),
    "another's folder by SFTP": (
        {f"<IfGroup {BRIGHT}>": f"<IfGroup {ACME}>"},
        {("sftp", "own folders"), ("sftp", "nothing of others")},
    ),
    "the own folder can be written to": (
        {"SITE_CHGRP READLINK>\n  DenyAll": "SITE_CHGRP READLINK>\n  AllowAll"},
        {("sftp", "no change")},
    ),
    "the root lists others on the page": (
        {"IndexOptions FancyIndexing": "IndexOptions ShowForbidden FancyIndexing"},
        {("page", "own folders")},
    ),
    "the root is the machine's by SFTP": (
        {"DefaultRoot ~\n": ""},
        {("sftp", "own folders"), ("sftp", "own files whole")},
    ),
    "no TLS": ({"SSLEngine on": "SSLEngine off"}, {("page", "log in")}),
    "hidden names on the page": (
        {
            "IndexIgnore .??* *.part": "IndexIgnoreReset ON",
            '<LocationMatch "(^|/)\\.(?!page/)|\\.part(/|$)">': '<LocationMatch "^x">',
        },
        {("page", "nothing hidden")},
    ),
    "hidden names by SFTP": (
        {'HideFiles "(^\\\\.|\\\\.part$)"': "HideFiles none", "PathDenyFilter ": "#"},
        {("sftp", "nothing hidden")},
    ),
    "no log of the page": ({"CustomLog ": "# "}, {("page", "in the log")}),
    "no log of SFTP": ({"TransferLog ": "TransferLog none # "}, {("sftp", "in the log")}),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_of_the_servers_is_said(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the user, the door and what was tried; the other users' proofs are of no matter here."""
    changes, expected = FAULTS[fault]
    monkeypatch.setattr(config, "_filled", changed(config._filled, changes))
    monkeypatch.setattr(check, "LOG_SECONDS", 1)
    with world_of() as world:
        for path in world.file(ACME).parent.parent.rglob("*") if "written" in fault else ():
            path.chmod(0o2770 if path.is_dir() else 0o660)
        assert said_of(world, "acme_it") == expected


def changed(filled: Callable[[str, dict[str, Any]], str], changes: dict[str, str]) -> Callable[..., str]:
    """What writes a file of the configuration, with something in the place of something else."""

    def changing(template: str, fields: dict[str, Any]) -> str:
        text = filled(template, fields)
        if template.endswith(".conf"):
            found = [old for old in changes if old in text]
            assert len(found) in (0, len(changes)), (template, found)
            for old in found:
                text = text.replace(old, changes[old])
        return text

    return changing


def said_of(world: World, user: str) -> set[tuple[str, str]]:
    typed = "".join(f"{PASSWORDS[name]}\n" for name in sorted(PASSWORDS) if PASSWORDS[name])
    proofs = json.loads(call(world.project, "check", "--json", typed=typed).stdout)["proofs"]
    return {(one["door"], one["what"]) for one in proofs if one["problem"] and one["user"] == user}
