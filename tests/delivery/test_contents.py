"""Contents: what a delivery's files hold, and when there is nothing to send."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders import job

from delivery.files.contents import Content
from delivery.files.manifest import Changes, Correction

WHOLE, CORRECTION = {"is_judged": True}, {"is_judged": False}


@pytest.mark.parametrize(
    ("content", "skipped_with"),
    [
        # a first delivery: empty or not
        ({"rows": 3}, []),
        ({"rows": 0}, ["skip"]),
        # the whole window again, where something differs or nothing does
        ({"rows": 3, "differs": True}, []),
        ({"rows": 3, "differs": False}, ["header", "skip", "fail"]),
        ({"rows": 0, "differs": True}, ["skip"]),
        ({"rows": 0, "differs": False}, ["header", "skip", "fail"]),
        # what changed of a window; without rows of its own, it lists what is gone
        ({"rows": 2, "is_judged": False, "differs": True}, []),
        ({"rows": 0, "is_judged": False, "differs": True}, []),
        ({"rows": 0, "is_judged": False, "differs": False}, ["header", "skip", "fail"]),
        # changes of an audience
        ({"rows": 3, "since": "before", "differs": True}, []),
        ({"rows": 0, "since": "before", "differs": True}, []),
        ({"rows": 3, "since": "before", "differs": False}, ["skip"]),
        ({"rows": 0, "since": "before", "differs": False}, ["skip"]),
    ],
    ids=str,
)
def test_what_there_is_nothing_to_send_of(content: dict[str, Any], skipped_with: list[str]) -> None:
    found = Content(selections={}, **content)
    assert [empty for empty in ("header", "skip", "fail") if found.is_skipped(empty)] == skipped_with


@pytest.mark.parametrize(
    ("is_judged", "names", "scope", "withdrawn"),
    [
        (True, {"": ["a.csv"]}, "whole", None),
        (False, {"": ["a.csv"]}, "changes", None),
        (False, {"": ["a.csv"], "withdrawn": ["gone.csv"]}, "changes", "gone.csv"),
    ],
)
def test_a_correction_says_of_what_and_how_much(
    is_judged: bool, names: dict[str, list[str]], scope: str, withdrawn: str | None
) -> None:
    content = Content(3, {}, is_judged=is_judged)
    assert content.correction(replace(job(), corrects="first"), names) == Correction(
        corrects="first", scope=scope, withdrawn=withdrawn
    )
    assert content.correction(job(), names) is None


def test_changes_say_since_when_and_in_which_files() -> None:
    names = {"entered": ["e1", "e2"], "changed": ["c"], "left": ["l"]}
    assert Content(3, {}, since="before").changes(names) == Changes(
        since="before", entered=["e1", "e2"], changed=["c"], left=["l"]
    )
    assert Content(3, {}).changes({"": ["a"]}) is None
