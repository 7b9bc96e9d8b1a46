"""Places: no two may write one file, on whatever days; each such two are named before anything starts."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import campaign, dataset, integration, job
from pydantic import ValidationError

from delivery.config.datasets import Column
from delivery.config.project import Project
from delivery.config.templates import AnyDay, AnyNumber, can_meet, check_template
from delivery.errors import ConfigError, LeftOut
from delivery.schedule.names import Naming, file_name
from delivery.schedule.places import shared_places
from delivery.setup import open_place
from delivery.windows import Window

FIELDS = {"namespace": "text", "window": "date", "part": "number"}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIlOM4VJ6dIqWGYKzvYF8Jj0yD5T2i6yL7O5m0c7b9Xk"
SERVER = {"type": "sftp", "host": "sftp.example.com", "username": "acme", "private_key": "/k", "host_keys": [KEY]}
JUMP = {key: SERVER[key] for key in ("host", "username", "private_key", "host_keys")}


def told(found: dict[str, list[str]]) -> list[str]:
    return list(dict.fromkeys(line for lines in found.values() for line in lines))


def places(tmp_path: Path, one: dict[str, Any], other: dict[str, Any], **export: Any) -> str:
    """What is said of two integrations of one campaign; nothing when they have a place each."""
    project = Project(tmp_path, "t", {}, tmp_path / "state", tmp_path / "share", "")
    entries = {name: integration(**changes) for name, changes in (("acme", one), ("brightside", other))}
    both = replace(campaign(**export), integrations=("acme", "brightside"))
    return "\n".join(told(shared_places([both], entries, project)))


BRIGHTSIDE = {"namespace": "brightside_beauty"}
ALIKE = [
    ({"destination": SERVER}, {"destination": SERVER}),
    ({"destination": SERVER}, {"destination": SERVER, "existing": "replace"}),
    ({"destination": SERVER | {"port": 22}}, {"destination": SERVER | {"host": "SFTP.example.com."}}),
    ({"destination": SERVER | {"host": "2001:db8::1"}}, {"destination": SERVER | {"host": "2001:0DB8:0:0:0:0:0:1"}}),
    ({"destination": SERVER, "directory": "daily"}, {"destination": SERVER, "directory": "./daily/"}),
    ({"destination": SERVER | {"jump": JUMP}}, {"destination": SERVER | {"jump": JUMP | {"username": "other"}}}),
    ({"destination": SERVER, "directory": "."}, {"destination": SERVER, "directory": "./"}),
    ({"destination": SERVER, "directory": "//in"}, {"destination": SERVER, "directory": "/in"}),
    ({"directory": "/daily"}, {"namespace": "acme_outdoor", "directory": "daily"}),
    ({"directory": "/acme_outdoor/daily"}, {"namespace": "acme_outdoor", "directory": "daily/"}),
    ({"directory": "/acme_outdoor"}, {"namespace": "acme_outdoor", "directory": "/acme_outdoor/"}),
    ({"destination": SERVER, "directory": "/in//a"}, {"destination": SERVER, "directory": "/in/a/"}),
    ({"destination": {"type": "local"}, "directory": "out"}, {"destination": {"type": "local"}, "directory": "link"}),
    ({"destination": {"type": "local"}, "directory": "share/acme_outdoor/daily"}, {"namespace": "acme_outdoor"}),
    ({"file_name": "x_{window:%d}_1", "destination": SERVER}, {"file_name": "x_{window:%m}_1", "destination": SERVER}),
    ({"file_name": "x_{window:%Y%m%d}", "destination": SERVER}, {"file_name": "x_20261103", "destination": SERVER}),
    ({"file_name": "x_r1", "destination": SERVER}, {"file_name": "x", "destination": SERVER}),
    ({"file_name": "x_part{part:04}", "destination": SERVER}, {"file_name": "x_part12345", "destination": SERVER}),
    (
        {"destination": SERVER, "directory": "in/{window:%Y}/a", "file_name": "x"},
        {"destination": SERVER, "directory": "in/2026/a", "file_name": "x"},
    ),
    ({"file_name": "x.csv", "destination": SERVER}, {"file_name": "x.csv.manifest.json", "destination": SERVER}),
    (
        {"file_name": "x", "filename_timestamped": True, "destination": SERVER},
        {"file_name": "x_{window:%Y%m%d}000000", "destination": SERVER},
    ),
]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_two_that_might_write_one_file_are_named(tmp_path: Path, one: dict[str, Any], other: dict[str, Any]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "out")
    for first, second in ((one, BRIGHTSIDE | other), (BRIGHTSIDE | other, one)):
        said = places(tmp_path, first, second)
        assert "daily to acme (" in said
        assert "daily to brightside (" in said
        assert "\n" not in said, "each two once"


APART = [
    ({}, BRIGHTSIDE),  # the share has a folder for each
    ({"destination": SERVER}, {"destination": SERVER | {"port": 2222}}),
    ({"destination": SERVER}, {"destination": SERVER | {"username": "other"}}),
    ({"destination": SERVER}, {"destination": SERVER | {"jump": JUMP}}),
    ({"destination": SERVER | {"jump": JUMP}}, {"destination": SERVER | {"jump": JUMP | {"host": "b.example.com"}}}),
    ({"destination": SERVER, "directory": "in"}, {"destination": SERVER, "directory": "/in"}),
    ({"destination": SERVER, "directory": "in"}, {"destination": SERVER, "directory": "in/deeper"}),
    ({"destination": SERVER, "directory": "in"}, {"destination": SERVER, "directory": ".in"}),
    ({"destination": SERVER, "directory": "."}, {"destination": SERVER, "directory": "/"}),
    ({"file_name": "{namespace}_{window}", "destination": SERVER},) * 2,
    ({"file_name": "x_{window:%m}", "destination": SERVER}, {"file_name": "x_99", "destination": SERVER}),
    ({"file_name": "x_{window:%Y%m%d}", "destination": SERVER}, {"file_name": "x_2026-11-03", "destination": SERVER}),
    ({"compression": "gzip", "destination": SERVER}, {"destination": SERVER}),
    ({"file_name": "x_{part:04}", "destination": SERVER}, {"file_name": "x_012", "destination": SERVER}),
]


@pytest.mark.parametrize(("one", "other"), APART)
def test_two_places(tmp_path: Path, one: dict[str, Any], other: dict[str, Any]) -> None:
    assert places(tmp_path, one, BRIGHTSIDE | other) == ""


@pytest.mark.parametrize(
    ("directory", "lies_in"),
    [
        ("/acme_outdoor/daily", "daily"),
        ("/acme_outdoor", "."),
        ("acme_outdoor/daily", "acme_outdoor/daily"),
        ("/acme_outdoors/daily", "acme_outdoors/daily"),
        ("/acme_outdoor/{window:%Y}", "2026"),
    ],
)
def test_a_directory_of_the_share_may_begin_as_its_page_shows_it(tmp_path: Path, directory: str, lies_in: str) -> None:
    project = Project(tmp_path, "t", {}, tmp_path / "state", tmp_path / "share", "")
    place = open_place(project, "acme", integration(directory=directory), date(2026, 11, 3))
    assert place.describe() == str(tmp_path / "share" / "acme_outdoor" / lies_in)


def test_a_name_that_cannot_be_is_told_with_its_integration(tmp_path: Path) -> None:
    assert places(tmp_path, {"file_name": "x" * 250}, BRIGHTSIDE).startswith(
        "integrations.acme.file_name: file name longer than 219 bytes: 'xxx"
    )
    dated = places(tmp_path, {"file_name": "{window:%Y}" + "x" * 250}, BRIGHTSIDE)
    assert "bytes: '0000xxx" in dated, "a day as a name has it, in place of any day"


def by_kind(*kinds: str, **keys: Any) -> dict[str, Any]:
    return {"rows": {"event": [*kinds]}, "split": {"by": "event"}, "extension": False, **keys}


CORRECTED = dataset(columns=tuple(Column(name, "text", "file") for name in ("unique_key", "updated_at", "event")))
CHANGES = {"mode": "changes", "schedule": "0 5 * * 1", "of": dataset(window=None, key="email", contacts=("email",))}


@pytest.mark.parametrize(
    ("keys", "export", "name"),
    [
        (by_kind("open", "open.done", done_file=True), {}, "open.done"),
        (by_kind("open", "open.manifest.json"), {}, "open.manifest.json"),
        (by_kind("open", "open.done", done_file=True, file_name="x.{part}", extension=True), {}, "x.open.done"),
        (by_kind("open", "open.done", done_file=True, compression="gzip"), {}, ""),
        (by_kind("open", "open.done", done_file=True, extension=True), {}, ""),
        (by_kind("open", "open.done"), {}, ""),
        (by_kind("click", "open", "open.done", done_file=True), {}, ""),
        (by_kind("open", "open_entered"), CHANGES, ""),
        (by_kind("open", "all_withdrawn"), {}, ""),
        (by_kind("open", "all_withdrawn"), {"of": CORRECTED}, "all_withdrawn"),
    ],
)
def test_no_file_of_a_delivery_is_called_as_another_or_what_lies_beside_it(
    tmp_path: Path, keys: dict[str, Any], export: dict[str, Any], name: str
) -> None:
    """What lies beside is called after the first part. The neighbour has its files."""
    said = places(tmp_path, keys, BRIGHTSIDE | by_kind("open", "click"), **export)
    if name:
        assert said.startswith("integrations.acme.file_name: two files of one delivery would be called '")
        assert f"{name}'. Leave one of the values out" in said
    assert (said != "", "brightside" in said) == (name != "", False)


def test_two_campaigns_of_one_client_too(tmp_path: Path) -> None:
    project = Project(tmp_path, "t", {}, tmp_path / "state", tmp_path / "share", "")
    two = [replace(campaign(), name=name) for name in ("daily", "hourly")]
    assert not shared_places(two, {"acme": integration()}, project)
    of = {"acme": integration(file_name="events_{window:%d}", existing="replace"), "other": integration()}
    found = shared_places(two, of, project)
    assert list(found) == ["acme"]
    assert "daily to acme (acme_outdoor) and hourly to acme (acme_outdoor)" in found["acme"][0]


@pytest.mark.parametrize(("clients", "campaigns"), [(1, 7), (2, 5), (23, 2)])
def test_of_many_the_first_twenty_are_told(tmp_path: Path, clients: int, campaigns: int) -> None:
    """21, 20 and 23: each two campaigns of a client. None of them gets a file."""
    project = Project(tmp_path, "t", {}, tmp_path / "state", tmp_path / "share", "")
    of = {f"c{n}": integration(namespace=f"client{n}", file_name="x", directory="in") for n in range(clients)}
    all_of_them = [replace(campaign(), name=f"n{n}", integrations=tuple(of)) for n in range(campaigns)]
    found = shared_places(all_of_them, of, project)
    assert set(found) == set(of)
    lines = told(found)
    assert len(lines) == 20
    two = f"n0 to c0 (client0) and n1 to c0 (client0), in {tmp_path}/share/client0/in"
    assert lines[0].startswith(f"one file might be written by {two}: give each its own directory, or ")


def test_of_a_place_that_has_the_day_in_it_what_it_begins_with_is_shown(tmp_path: Path) -> None:
    said = places(tmp_path, *({"destination": SERVER, "directory": "in/{window:%Y}/a", "file_name": "x"},) * 2)
    assert "in sftp://acme@sftp.example.com:22/~/in/…: " in said


def test_ten_thousand_clients_are_looked_at_in_seconds(tmp_path: Path) -> None:
    """All to one directory, told apart by their names: none is compared with all."""
    project = Project(tmp_path, "t", {}, tmp_path / "state", tmp_path / "share", "")
    base = integration(destination=SERVER, file_name="{namespace}_{campaign}_{window:%Y-%m-%d}")
    many = {f"c{n}": base.model_copy(update={"namespace": f"client{n:05}"}) for n in range(10_000)}
    assert not shared_places([replace(campaign(), integrations=tuple(many))], many, project)
    many["c1"] = many["c1"].model_copy(update={"namespace": "client00002"})
    found = shared_places([replace(campaign(), integrations=tuple(many))], many, project)
    assert list(found) == ["c1", "c2"]
    assert "daily to c1 (client00002) and daily to c2 (client00002)" in found["c1"][0]


def test_names_are_made_once_for_all_that_are_named_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no folder is looked at twice: of 10,000 clients that took most of a run in which nothing was due."""
    made: list[Naming] = []
    looked: list[str] = []
    possible, is_link = Naming.possible, os.path.islink
    monkeypatch.setattr(Naming, "possible", lambda naming: made.append(naming) or possible(naming))  # type: ignore[func-returns-value]
    monkeypatch.setattr(os.path, "islink", lambda path: looked.append(path) or is_link(path))  # type: ignore[func-returns-value]
    project = Project(tmp_path, "t", {}, tmp_path / "state", tmp_path / "share", "")
    of = {f"c{n}": integration(namespace=f"client{n}", directory="in/daily") for n in range(50)}
    of["other"] = integration(namespace="other", compression="gzip")
    two = [replace(campaign(), name=name, integrations=tuple(of)) for name in ("daily", "hourly")]
    shared_places(two, of, project)
    assert len(made) == 4, "two campaigns, packed and not"
    assert len(looked) == len(set(looked))


def test_two_in_a_place_are_told_of_each_place(tmp_path: Path) -> None:
    """Also where those named alike were compared before, and where a place with a day in it may be another's."""
    project = Project(tmp_path, "t", {}, tmp_path / "state", tmp_path / "share", "")
    of = {f"c{n}": integration(destination=SERVER, directory=f"in{n}", file_name="x") for n in range(3)}
    of["c3"] = integration(destination=SERVER, directory="in{window:%d}", file_name="x")
    of["c4"] = integration(destination=SERVER, directory="in03", file_name="x")
    two = [replace(campaign(), name=name, integrations=tuple(of)) for name in ("daily", "hourly")]
    found = shared_places(two, of, project)
    alone = {f"daily to c{n} (acme_outdoor) and hourly to c{n} (acme_outdoor)" for n in range(5)}
    pairs = {line.removeprefix("one file might be written by ").rpartition(", in ")[0] for line in told(found)}
    both = {(a, b) for a in ("daily", "hourly") for b in ("daily", "hourly")}
    assert pairs == alone | {
        " and ".join(sorted([f"{a} to c3 (acme_outdoor)", f"{b} to c4 (acme_outdoor)"])) for a, b in both
    }


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"file_name": "{namespace}_{campaign}_{window:%y%j}.v{revision:02}", "compression": "gzip"},
        {"file_name": "a.{window:%Y}", "split": {"rows": 10}, "done_file": True},
        {"file_name": "x.{window:%d}y", "filename_timestamped": True, "manifest": False},
        {"file_name": "x.csv.gz", "compression": "gzip", "split": {"by": "day"}},
    ],
)
def test_each_name_is_among_those_that_are_possible(keys: dict[str, Any]) -> None:
    """Whatever day, revision and part it is of."""
    of = integration(**keys)
    patterns = list(Naming.of(campaign(), of).possible())
    for number in (0, 3, 40, 399):
        day = date(2026, 1, 31) + timedelta(days=number)
        for revision in (0, 1, 12):
            one = replace(job(days=Window(day, day + timedelta(days=1)), revision=revision), integration=of)
            name = file_name(one, one.slot, part=number + 1)
            assert any(can_meet(pattern, name) for pattern in patterns), name
            assert not any(can_meet(pattern, name + "x") for pattern in patterns)


def test_the_default_name_of_what_recurs_has_its_day() -> None:
    state = dataset(window=None, key="customer_id", contacts=("email",))
    for schedule, expected in (("10 5 * * 1", "daily_2026-11-04.csv"), ("once", "daily.csv")):
        one = job(campaign=campaign(schedule, of=state))
        assert file_name(one, one.slot) == expected


WRONG = {
    "x_%Y%m%d.csv": "'%' stands for itself outside of braces",
    "x_{window:%Q}": "unknown %Q; known: %Y, %m, %d, %H, %M, %S, %j, %y",
    "x_{window:%-d}": "unknown %-",
    "x_{window:%}": "unknown %;",
    "x_{window:%%}": "unknown %%",
    "x_{window!r}": "takes no '!'",
    "x_{window.year}": "unknown {window.year}",
    "x_{part:0999999999}": "must be a width of at most 20 digits",
    "x_{part:>4}": "must be a width",
    "x_{part:{part}}": "must be a width",
    "x_{namespace:999999999}": "takes no format",
    "x_{client}": "unknown {client}; known: namespace, window, part",
    "x_{": "Single '{' encountered",
    "x_{}": "unknown {}",
}


@pytest.mark.parametrize(("text", "why"), WRONG.items())
def test_templates_that_cannot_be_meant(text: str, why: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        check_template(text, FIELDS)
    assert why in str(caught.value)
    for key in ("file_name", "directory"):
        with pytest.raises(ValidationError):
            integration(**{key: text})


def test_what_stands_for_all_is_filled_in_as_they_are() -> None:
    for text, name, other in (
        ("{window}", "2026-11-03", "2026-41-03"),
        ("{window:%Y/%m}", "2026/12", "2026/22"),
        ("{part:03}", "1234", "12"),
        ("{part}", "0", ""),
    ):
        pattern = text.format(window=AnyDay(), part=AnyNumber())
        assert can_meet(pattern, name)
        assert not can_meet(pattern, other)


def test_of_a_run_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the other one's secrets are not set here."""
    from small_project import AT, DAY, make_project

    from delivery import run as runner
    from delivery.progress import Watch
    from delivery.schedule.request import Request

    make_project(tmp_path / "p")
    path = tmp_path / "p" / "integrations.yml"
    path.write_text(path.read_text().replace("directory: open", "directory: inbox"))
    project = Project(tmp_path / "p", "duckdb", {"type": "duckdb", "path": "warehouse.duckdb"}, tmp_path / "state",
                      tmp_path / "share", f"sqlite:///{tmp_path}/state/ledger.sqlite")  # fmt: skip
    both = r"daily to by_sftp .* and daily to without_rename "
    for name in ("SWEEP_PASSWORD", "SWEEP_PASSPHRASE"):
        monkeypatch.setenv(name, "not needed")
    with pytest.raises(ConfigError, match=both):
        runner.run(project, Request(at=AT, integrations=("by_sftp",), window=DAY), Watch())
    for name in ("SWEEP_PASSWORD", "SWEEP_PASSPHRASE"):
        monkeypatch.delenv(name)
    assert not (tmp_path / "share").exists()
    with pytest.raises(LeftOut, match=both) as left_out:
        runner.run(project, Request(at=AT, window=DAY), Watch())
    shares = ("by_share", "share_of_brightside_beauty", "share_of_cedar_books")
    assert {o.delivery.integration: str(o.state) for o in left_out.value.done} == dict.fromkeys(shares, "delivered")
    (again,) = runner.run(project, Request(at=AT, integrations=("by_share",), window=DAY), Watch())
    assert again.state == "already delivered", "to whom nobody else's files go"
