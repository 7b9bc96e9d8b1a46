"""Handing over: from every state, whatever lies there, wherever the last run died: once and whole, or held."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from builders import job

from delivery.errors import DestinationFailed, Held, NameTaken
from delivery.ledger import Ledger
from delivery.transfer.local_directory import LocalDirectory
from delivery.transfer.protocol import hand_over, temp_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from delivery.ledger import File

OURS, OLDER, STRANGE = b"a,b\r\n1,2\r\n", b"a,b\r\n0,0\r\n", b"somebody else's"
NAME = "daily.csv"
STATES = ("spooled", "uploaded", "publishing", "published")
OPERATIONS = ("look", "hash", "upload", "create", "publish", "replace", "remove")


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


class Steps:
    """Counts the steps of destination and ledger, and does something at one of them."""

    def __init__(self, fail_at: int = -1, when: str = "before", error: BaseException | None = None) -> None:
        self.names: list[str] = []
        self._fail_at, self._when, self._error = fail_at, when, error or Killed()

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            here = len(self.names) == self._fail_at
            self.names.append(name)
            if here and self._when == "before":
                raise self._error
            result = function(*arguments, **options)
            if here and self._when == "after":
                raise self._error
            return result

        return step


class Wrapped:
    """An object some of whose methods are replaced."""

    def __init__(self, of: Any, **methods: Callable[..., Any]) -> None:
        self.__dict__.update(methods)
        self._of = of

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of, name)


@dataclass
class Case:
    """One spooled file of one delivery, and the directory where it belongs."""

    ledger: Ledger
    directory: Path
    spool: Path
    replace: bool = False
    revision: int = 0
    method: Any = "rename"
    role: str = "data"

    def __post_init__(self) -> None:
        self.directory.mkdir(exist_ok=True)
        self.key = self._record(self.revision, self.spool.read_bytes())

    def another(self, number: int) -> Case:
        """The same in another directory."""
        return Case(
            self.ledger,
            self.directory.parent / f"there{number}",
            self.spool,
            self.replace,
            number,
            self.method,
            self.role,
        )

    def _record(self, revision: int, content: bytes) -> str:
        key = self.ledger.plan(**job(revision=revision).record(str(self.directory), None)).id
        self.ledger.spooled(key, [row(self.directory, self.spool, content) | {"role": self.role}])
        return key

    @property
    def file(self) -> File:
        """As the ledger has it now."""
        return self.ledger.files(self.key)[0]

    @property
    def final(self) -> Path:
        return self.directory / NAME

    @property
    def temp(self) -> Path:
        return self.directory / temp_name(self.file, LocalDirectory(self.directory))

    def reach(self, state: str) -> None:
        """Moves the file to the state in the ledger alone."""
        for step in STATES[1 : STATES.index(state) + 1]:
            self.ledger.advance_file(self.file, step)

    def run(self, destination: Any = None, ledger: Any = None) -> File:
        """One run of hand_over, from the recorded state."""
        with LocalDirectory(self.directory, looks=self.method == "look-and-rename") as opened:
            chosen = destination(opened) if destination else opened
            return hand_over(self.file, chosen, ledger or self.ledger, replace=self.replace, method=self.method)

    def run_with(self, steps: Steps) -> File:
        ledger = Wrapped(self.ledger, advance_file=steps.wrap("record", self.ledger.advance_file))
        return self.run(
            lambda opened: Wrapped(opened, **{name: steps.wrap(name, getattr(opened, name)) for name in OPERATIONS}),
            ledger,
        )

    def known_older_file(self) -> None:
        """A file of ours from an earlier delivery lies under the final name."""
        self.final.write_bytes(OLDER)
        earlier = self._record(self.revision + 100_000, OLDER)
        self.ledger.advance_file(self.ledger.files(earlier)[0], "published")

    def assert_delivered(self) -> None:
        """Once, whole, private, and nothing beside it."""
        assert self.file.state == "published"
        assert self.final.read_bytes() == OURS
        assert [path.name for path in self.directory.iterdir()] == [NAME]


def row(directory: Path, spool: Path, content: bytes) -> dict[str, Any]:
    return {
        "part": 0,
        "role": "data",
        "name": NAME,
        "spool": str(spool),
        "rows": 1,
        "bytes": len(content),
        "sha256": sha256(content).hexdigest(),
        "destination": str(directory),
    }


@pytest.fixture(params=["hold", "replace"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    spool = tmp_path / "spool.csv"
    spool.write_bytes(OURS)
    with closing(Ledger("sqlite://")) as ledger:
        yield Case(ledger, tmp_path / "there", spool, request.param == "replace")


def test_a_file_goes_all_the_way(case: Case) -> None:
    seen: list[int] = []
    with LocalDirectory(case.directory) as destination:
        done = hand_over(case.file, destination, case.ledger, replace=case.replace, progress=seen.append)
    assert done == case.file
    assert seen[-1] == len(OURS)
    case.assert_delivered()
    case.run()
    case.assert_delivered()


# Every state, and what may lie at the destination


def nothing(case: Case) -> None:
    pass


def temp_whole(case: Case) -> None:
    case.temp.write_bytes(OURS)


def temp_partial(case: Case) -> None:
    case.temp.write_bytes(OURS[:4])


def temp_other(case: Case) -> None:
    case.temp.write_bytes(STRANGE[: len(OURS)])


def final_ours(case: Case) -> None:
    case.final.write_bytes(OURS)


def final_ours_temp_whole(case: Case) -> None:
    case.final.write_bytes(OURS)
    case.temp.write_bytes(OURS)


def final_linked_to_temp(case: Case) -> None:
    case.temp.write_bytes(OURS)
    case.final.hardlink_to(case.temp)


def final_other(case: Case) -> None:
    case.final.write_bytes(STRANGE)


def final_other_temp_whole(case: Case) -> None:
    case.final.write_bytes(STRANGE)
    case.temp.write_bytes(OURS)


def final_same_size(case: Case) -> None:
    case.final.write_bytes(STRANGE[: len(OURS)])


def final_symlink(case: Case) -> None:
    """To our very bytes."""
    target = case.directory.parent / "target"
    target.write_bytes(OURS)
    case.final.symlink_to(target)


def final_directory(case: Case) -> None:
    case.final.mkdir()


def final_older_of_ours(case: Case) -> None:
    case.known_older_file()


def final_older_temp_whole(case: Case) -> None:
    case.known_older_file()
    case.temp.write_bytes(OURS)


ONCE, HELD = "once", "held"
# What lies there: the outcome from spooled, uploaded, publishing and published; `x/y`: with hold / with replace.
TABLE: list[tuple[Callable[[Case], None], str, str, str, str]] = [
    (nothing, ONCE, ONCE, HELD, "collected"),
    (temp_whole, ONCE, ONCE, ONCE, HELD),
    (temp_partial, ONCE, ONCE, HELD, HELD),
    (temp_other, ONCE, ONCE, HELD, HELD),
    (final_ours, HELD, HELD, ONCE, ONCE),
    (final_ours_temp_whole, HELD, HELD, ONCE, ONCE),
    (final_linked_to_temp, HELD, HELD, ONCE, ONCE),
    (final_other, HELD, HELD, HELD, HELD),
    (final_other_temp_whole, HELD, HELD, HELD, HELD),
    (final_same_size, HELD, HELD, HELD, HELD),
    (final_symlink, HELD, HELD, HELD, HELD),
    (final_directory, HELD, HELD, HELD, HELD),
    (final_older_of_ours, "held/once", "held/once", HELD, HELD),
    (final_older_temp_whole, "held/once", "held/once", "held/once", HELD),
]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("there", TABLE, ids=[there.__name__ for there, *_ in TABLE])
def test_resuming_by_looking(case: Case, there: tuple[Any, ...], state: str) -> None:
    arrange, *outcomes = there
    case.reach(state)
    arrange(case)
    before = case.final.read_bytes() if case.final.is_file() else None
    expected = outcomes[STATES.index(state)]
    if "/" in expected:
        expected = expected.split("/")[case.replace]
    if expected == HELD:
        with pytest.raises(Held) as held:
            case.run()
        assert held.value.hint
        assert (case.final.read_bytes() if case.final.is_file() else None) == before, "not ours to touch"
        assert case.file.state != "published", "nothing is taken for delivered that was not seen"
    elif expected == "collected":
        assert case.run().state == "published"
    else:
        case.run()
        case.assert_delivered()


def test_a_taken_name_is_noticed_before_anything_is_sent(case: Case) -> None:
    case.final.write_bytes(STRANGE)
    steps = Steps()
    with pytest.raises(Held, match="already lies in"):
        case.run_with(steps)
    assert "upload" not in steps.names


# Dying at every step; the steps are found by counting a run that goes well


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("older", [False, True], ids=["free", "older of ours"])
def test_dying_at_every_step_delivers_once(case: Case, when: str, older: bool) -> None:
    case.replace |= older  # with hold, a taken name is held
    steps = Steps()
    if older:
        case.known_older_file()
    case.run_with(steps)
    case.assert_delivered()
    assert steps.names.count("record") == 3
    assert ("replace" in steps.names) is older
    for number in range(len(steps.names)):
        again = case.another(number + 1)
        if older:
            again.known_older_file()
        with pytest.raises(Killed):
            again.run_with(Steps(number, when))
        again.run()
        again.assert_delivered()


def test_dying_twice_delivers_once(case: Case) -> None:
    """The second death is in the run that resumes, at every other of its steps."""
    steps = Steps()
    case.run_with(steps)
    number = 1
    for first in range(len(steps.names)):
        for second in range(first % 2, len(steps.names), 2):
            again = case.another(number)
            number += 1
            with pytest.raises(Killed):
                again.run_with(Steps(first, "after"))
            with suppress(Killed):
                again.run_with(Steps(second, "before"))
            again.run()
            again.assert_delivered()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_destination_that_fails_at_a_step_is_tried_again(case: Case, when: str) -> None:
    """As the runner does it: in the same run, from the state as recorded."""
    steps = Steps()
    case.run_with(steps)
    for number in range(len(steps.names)):
        again = case.another(number + 1)
        with pytest.raises(DestinationFailed):
            again.run_with(Steps(number, when, DestinationFailed("cut", step="x")))
        again.run()
        again.assert_delivered()


# What a destination may do to us


def test_wrong_bytes_at_the_destination_are_not_published(case: Case) -> None:
    def flipping(opened: LocalDirectory) -> Any:
        def upload(spool: Path, temp: str, progress: Any = None) -> None:
            opened.upload(spool, temp, progress)
            (case.directory / temp).write_bytes(OURS.replace(b"1", b"7"))

        return Wrapped(opened, upload=upload)

    with pytest.raises(DestinationFailed, match="other bytes than were sent"):
        case.run(flipping)
    assert (case.file.state, list(case.directory.iterdir())) == ("spooled", [])
    case.run()
    case.assert_delivered()


def test_an_upload_that_does_nothing_is_not_published(case: Case) -> None:
    with pytest.raises(DestinationFailed, match="No such file"):
        case.run(lambda opened: Wrapped(opened, upload=lambda *_: None))
    assert case.file.state == "spooled"


def test_a_rename_that_is_only_said_is_held(case: Case) -> None:
    with pytest.raises(Held, match=r"said that daily\.csv was renamed, and it was not"):
        case.run(lambda opened: Wrapped(opened, publish=lambda *_: None))
    assert case.file.state == "unconfirmed"
    case.run()
    case.assert_delivered()


def test_a_rename_that_is_only_said_is_held_by_the_next_run_too(case: Case) -> None:
    """The first died between recording the answer and looking."""
    case.temp.write_bytes(OURS)
    case.reach("published")
    with pytest.raises(Held, match="was renamed, and it was not"):
        case.run()
    assert case.file.state == "unconfirmed"


def test_a_replacement_that_is_only_said_is_held(case: Case) -> None:
    case.replace = True
    case.known_older_file()
    with pytest.raises(Held, match="was renamed, and it was not"):
        case.run(lambda opened: Wrapped(opened, replace=lambda *_: None))
    assert (case.file.state, case.final.read_bytes()) == ("unconfirmed", OLDER)
    case.run()
    case.assert_delivered()


def test_a_file_that_is_collected_at_once_was_delivered(case: Case) -> None:
    def collecting(opened: LocalDirectory) -> Any:
        def publish(temp: str, final: str) -> None:
            opened.publish(temp, final)
            case.final.rename(case.directory.parent / "collected")

        return Wrapped(opened, publish=publish)

    case.run(collecting)
    assert case.file.state == "published"
    assert (case.directory.parent / "collected").read_bytes() == OURS
    case.run()
    assert list(case.directory.iterdir()) == [], "never sent again"


def test_collected_but_the_answer_lost_is_held(case: Case) -> None:
    """The one case that looking cannot decide."""

    def losing(opened: LocalDirectory) -> Any:
        def publish(temp: str, final: str) -> None:
            opened.publish(temp, final)
            case.final.unlink()
            raise Killed

        return Wrapped(opened, publish=publish)

    with pytest.raises(Killed):
        case.run(losing)
    with pytest.raises(Held, match="neither it nor its temporary file") as held:
        case.run()
    assert "collected" in held.value.hint
    assert list(case.directory.iterdir()) == []


def test_a_file_that_appears_during_the_upload_is_not_overwritten(case: Case) -> None:
    def racing(opened: LocalDirectory) -> Any:
        def publish(temp: str, final: str) -> None:
            case.final.write_bytes(STRANGE)
            opened.publish(temp, final)

        return Wrapped(opened, publish=publish)

    with pytest.raises(Held, match="appeared in"):
        case.run(racing)
    assert case.final.read_bytes() == STRANGE
    with pytest.raises(
        Held, match="something else lies under its name" if not case.replace else "does not know as ours"
    ):
        case.run()
    assert case.final.read_bytes() == STRANGE


def test_a_temp_that_is_removed_midway_is_uploaded_again(case: Case) -> None:
    def tidying(opened: LocalDirectory) -> Any:
        def publish(temp: str, final: str) -> None:
            (case.directory / temp).unlink()
            opened.publish(temp, final)

        return Wrapped(opened, publish=publish)

    with pytest.raises(DestinationFailed):
        case.run(tidying)
    with pytest.raises(Held, match="neither it nor its temporary file"):
        case.run()
    case.ledger.advance(case.file.delivery_id, "spooled", "held")
    case.ledger.resend(case.file.delivery_id, anew=False, note="released")
    case.run()
    case.assert_delivered()


def test_another_runners_upload_is_not_taken_over(case: Case) -> None:
    with pytest.raises(NameTaken):
        case.run(lambda opened: Wrapped(opened, look_at=lambda *names: [temp_whole(case) for _ in names]))
    assert case.file.state == "spooled"


@pytest.mark.parametrize("kind", ["directory", "link"])
def test_an_odd_thing_under_the_temporary_name(case: Case, kind: str) -> None:
    outside = case.directory.parent / "outside"
    outside.write_bytes(STRANGE)
    if kind == "link":
        case.temp.symlink_to(outside)
        case.run()
        case.assert_delivered()
    else:
        case.temp.mkdir()
        with pytest.raises(DestinationFailed):
            case.run()
        assert case.file.state == "spooled"
    assert outside.read_bytes() == STRANGE


# The spool


@pytest.mark.parametrize("state", ["spooled", "uploaded"])
@pytest.mark.parametrize("damage", ["changed", "gone", "truncated", "a directory"])
def test_a_damaged_spool_is_held(case: Case, state: str, damage: str) -> None:
    case.reach(state)
    if state != "spooled":
        case.temp.write_bytes(OURS)
    case.spool.unlink()
    if damage == "a directory":
        case.spool.mkdir()
    elif damage != "gone":
        case.spool.write_bytes(OURS[:-1] if damage == "truncated" else OURS.replace(b"1", b"7"))
    with pytest.raises(Held, match="changed after it was hashed" if damage in ("changed", "truncated") else "is gone"):
        case.run()
    assert not case.final.exists()
    assert case.file.state == state


@pytest.mark.parametrize("lies_as", ["temp", "final"])
def test_a_spool_is_not_needed_once_it_was_being_renamed(case: Case, lies_as: str) -> None:
    """Another runner, without this spool, may have to find out what became of it."""
    case.reach("publishing")
    getattr(case, lies_as).write_bytes(OURS)
    case.spool.unlink()
    case.run()
    case.assert_delivered()


def test_a_spool_is_not_needed_once_it_was_published(case: Case) -> None:
    case.run()
    case.spool.unlink()
    case.run()
    case.assert_delivered()


# Where there is no rename to trust: the final name at once


def hold_case(tmp_path: Path, ledger: Ledger, content: bytes = OURS, **changes: Any) -> Case:
    (tmp_path / "spool").write_bytes(content)
    return Case(ledger, tmp_path / "there", tmp_path / "spool", **changes)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("method", ["look-and-rename", "exclusive"])
def test_dying_at_every_step_of_another_method(tmp_path: Path, ledger: Ledger, method: str, when: str) -> None:
    case = hold_case(tmp_path, ledger, method=method)
    steps = Steps()
    case.run_with(steps)
    case.assert_delivered()
    for number in range(len(steps.names)):
        again = case.another(number + 1)
        with pytest.raises(Killed):
            again.run_with(Steps(number, when))
        again.run()
        again.assert_delivered()


@pytest.mark.parametrize("method", ["rename", "look-and-rename"])
def test_a_name_that_appears_before_the_rename_is_kept(tmp_path: Path, ledger: Ledger, method: str) -> None:
    case = hold_case(tmp_path, ledger, method=method)

    def racing(opened: LocalDirectory) -> Any:
        def publish(temp: str, final: str) -> None:
            case.final.write_bytes(STRANGE)
            opened.publish(temp, final)

        return Wrapped(opened, publish=publish)

    with pytest.raises(Held, match="appeared in"):
        case.run(racing)
    assert case.final.read_bytes() == STRANGE


@pytest.mark.parametrize("there", ["nothing", "part", "whole", "other", "more", "link"])
def test_resuming_a_file_that_was_written_under_its_final_name(tmp_path: Path, ledger: Ledger, there: str) -> None:
    case = hold_case(tmp_path, ledger, method="exclusive")
    ledger.advance_file(case.file, "opening")
    content = {"part": OURS[:4], "whole": OURS, "other": STRANGE[:4], "more": OURS + b"x"}
    if there in content:
        case.final.write_bytes(content[there])
    elif there == "link":
        case.final.symlink_to(case.spool)
    if there in {"other", "more", "link"}:
        with pytest.raises(Held, match="something else lies under its name"):
            case.run()
        assert case.final.read_bytes() == content.get(there, OURS)
    else:
        case.run()
        case.assert_delivered()


def test_a_taken_name_is_never_opened(tmp_path: Path, ledger: Ledger) -> None:
    case = hold_case(tmp_path, ledger, method="exclusive")
    case.final.write_bytes(OURS)
    with pytest.raises(Held, match="already lies in"):
        case.run()
    assert case.file.state == "spooled"


def test_wrong_bytes_under_the_final_name_are_removed(tmp_path: Path, ledger: Ledger) -> None:
    case = hold_case(tmp_path, ledger, method="exclusive")

    def flipping(opened: LocalDirectory) -> Any:
        def upload(spool: Path, name: str, progress: Any = None) -> None:
            opened.upload(spool, name, progress)
            (case.directory / name).write_bytes(OURS.replace(b"1", b"7"))

        return Wrapped(opened, upload=upload)

    with pytest.raises(DestinationFailed, match="other bytes than were sent"):
        case.run(flipping)
    assert not case.final.exists()
    case.run()
    case.assert_delivered()


@pytest.mark.parametrize("there", [False, True])
def test_a_done_file_that_may_have_been_seen_is_not_made_again(tmp_path: Path, ledger: Ledger, there: bool) -> None:
    case = hold_case(tmp_path, ledger, b"", method="exclusive", role="done")
    ledger.advance_file(case.file, "opening")
    if there:
        case.final.touch()
        case.run()
        assert case.file.state == "published"
    else:
        with pytest.raises(Held, match="was being created when a run died, and it is not to be seen"):
            case.run()
        assert not case.final.exists()


@pytest.mark.parametrize("method", ["rename", "look-and-rename", "exclusive"])
@pytest.mark.parametrize("left", ["temp", "final", "nothing"])
def test_a_change_of_method_does_not_change_what_was_begun(
    tmp_path: Path, ledger: Ledger, method: str, left: str
) -> None:
    """A rename that may have been done and collected stays held, whatever the integration says by now."""
    case = hold_case(tmp_path, ledger, method=method)
    for state in ("uploaded", "publishing"):
        ledger.advance_file(case.file, state)
    if left == "nothing":
        with pytest.raises(Held, match="neither it nor its temporary file"):
            case.run()
        assert not case.final.exists()
    else:
        (case.temp if left == "temp" else case.final).write_bytes(OURS)
        case.run()
        case.assert_delivered()


# What is done no more than once, and what is said


def slots_of(case: Case, slot: str) -> None:
    """An earlier file of ours under the final name, of another slot."""
    case.final.write_bytes(OLDER)
    key = case.ledger.plan(**job(slot, revision=7).record(str(case.directory), None)).id
    case.ledger.spooled(key, [row(case.directory, case.spool, OLDER)])
    case.ledger.advance_file(case.ledger.files(key)[0], "published")


@pytest.mark.parametrize("slot", ["2026-11-03 05:00", "2026-11-04 05:00"])
def test_a_file_of_the_same_or_an_earlier_slot_is_replaced(tmp_path: Path, ledger: Ledger, slot: str) -> None:
    case = hold_case(tmp_path, ledger, replace=True)
    slots_of(case, slot)
    case.run()
    case.assert_delivered()


@pytest.mark.parametrize("state", ["spooled", "uploaded", "publishing"])
def test_a_file_of_a_later_slot_is_never_replaced(tmp_path: Path, ledger: Ledger, state: str) -> None:
    case = hold_case(tmp_path, ledger, replace=True)
    case.reach(state)
    slots_of(case, "2026-11-04 05:01")
    case.temp.write_bytes(OURS)
    with pytest.raises(Held) as held:
        case.run()
    assert held.value.message == f"daily.csv already lies in {case.directory}, and is of a later slot."
    assert case.final.read_bytes() == OLDER


@pytest.mark.parametrize(
    ("replace", "whose"),
    [
        (False, "and `existing` is hold"),
        (True, "which the ledger does not know as ours: of the same campaign, integration and client"),
    ],
)
@pytest.mark.parametrize("there", [final_other, final_directory])
def test_whose_the_file_is_that_has_the_name(
    tmp_path: Path, ledger: Ledger, replace: bool, whose: str, there: Callable[[Case], None]
) -> None:
    case = hold_case(tmp_path, ledger, replace=replace)
    there(case)
    with pytest.raises(Held) as held:
        case.run()
    assert held.value.message == f"daily.csv already lies in {case.directory}, {whose}."


def test_a_whole_upload_is_not_sent_again(case: Case) -> None:
    case.temp.write_bytes(OURS)
    case.reach("uploaded")
    steps = Steps()
    case.run_with(steps)
    case.assert_delivered()
    assert "upload" not in steps.names
    assert steps.names.count("publish") == 1


@pytest.mark.parametrize("state", ["publishing", "published"])
def test_what_lies_there_whole_is_neither_sent_nor_renamed_again(case: Case, state: str) -> None:
    case.final.write_bytes(OURS)
    case.temp.write_bytes(OURS)
    case.reach(state)
    steps = Steps()
    case.run_with(steps)
    case.assert_delivered()
    assert not {"upload", "publish", "replace", "create"} & {*steps.names}


def test_a_rename_that_was_seen_is_not_read_again(case: Case) -> None:
    """The file is read back once, under its temporary name."""
    steps = Steps()
    case.run_with(steps)
    case.assert_delivered()
    assert steps.names.count("hash") == 1


def test_a_server_that_copies_in_place_of_renaming_leaves_nothing(case: Case) -> None:
    def copying(opened: LocalDirectory) -> Any:
        return Wrapped(
            opened,
            publish=lambda temp, final: (case.directory / final).write_bytes((case.directory / temp).read_bytes()),
        )

    case.run(copying)
    case.assert_delivered()


def test_a_server_that_renames_into_other_bytes_is_held(case: Case) -> None:
    """Of the same size, and the temporary file still there."""

    def scrambling(opened: LocalDirectory) -> Any:
        return Wrapped(opened, publish=lambda _, final: (case.directory / final).write_bytes(STRANGE[: len(OURS)]))

    with pytest.raises(Held, match=r"said that daily\.csv was renamed, and it was not"):
        case.run(scrambling)
    assert case.file.state == "unconfirmed"


@pytest.mark.parametrize("part", [0, 1, 4, 10, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (2 << 20) + 9])
def test_a_beginning_of_ours_is_written_anew(tmp_path: Path, ledger: Ledger, part: int) -> None:
    content = bytes(range(256)) * 8192 + b"last rows"
    case = hold_case(tmp_path, ledger, content, method="exclusive")
    ledger.advance_file(case.file, "opening")
    case.final.write_bytes(content[:part])
    steps = Steps()
    case.run_with(steps)
    assert case.file.state == "published"
    assert case.final.read_bytes() == content
    assert ("upload" in steps.names) is (part < len(content))


@pytest.mark.parametrize("part", [1, 1 << 20, (1 << 20) + 1, (2 << 20) + 9])
def test_what_does_not_begin_as_ours_is_left_alone(tmp_path: Path, ledger: Ledger, part: int) -> None:
    """One byte is another, the last."""
    content = bytes(range(256)) * 8192 + b"last rows"
    case = hold_case(tmp_path, ledger, content, method="exclusive")
    ledger.advance_file(case.file, "opening")
    theirs = content[: part - 1] + b"\xfe"
    case.final.write_bytes(theirs)
    with pytest.raises(Held) as held:
        case.run()
    assert held.value.message == (
        f"daily.csv was being created when a run died, and something else lies under its name in {case.directory}."
    )
    assert case.final.read_bytes() == theirs


def test_a_done_file_that_is_collected_at_once_was_made(tmp_path: Path, ledger: Ledger) -> None:
    """It is not looked for, and not made again."""
    case = hold_case(tmp_path, ledger, b"", method="exclusive", role="done")

    def collecting(opened: LocalDirectory) -> Any:
        def create(name: str) -> None:
            opened.create(name)
            case.final.unlink()

        return Wrapped(opened, create=create)

    case.run(collecting)
    assert case.file.state == "published"
    case.run()
    assert list(case.directory.iterdir()) == []


def test_another_methods_temporary_file_goes_before_the_name_is_opened(tmp_path: Path, ledger: Ledger) -> None:
    case = hold_case(tmp_path, ledger, method="exclusive")
    case.temp.write_bytes(OURS[:4])
    case.run()
    case.assert_delivered()


def test_a_name_that_appears_just_before_it_is_opened(tmp_path: Path, ledger: Ledger) -> None:
    case = hold_case(tmp_path, ledger, method="exclusive")

    def racing(opened: LocalDirectory) -> Any:
        def upload(spool: Path, name: str, progress: Any = None) -> None:
            case.final.write_bytes(STRANGE)
            opened.upload(spool, name, progress)

        return Wrapped(opened, upload=upload)

    with pytest.raises(Held, match=r"daily\.csv appeared in .* while it was being uploaded"):
        case.run(racing)
    assert case.final.read_bytes() == STRANGE
    assert case.file.state == "opening"


def test_what_was_begun_under_its_final_name_is_finished_so(tmp_path: Path, ledger: Ledger) -> None:
    """Whatever method the destination has by now."""
    case = hold_case(tmp_path, ledger, method="rename")
    ledger.advance_file(case.file, "opening")
    case.final.write_bytes(OURS[:4])
    case.run()
    case.assert_delivered()


@pytest.mark.parametrize(
    ("fence", "name"), [(0, ".daily.csv.{}.part"), (1, ".daily.csv.{}.1.part"), (12, ".daily.csv.{}.12.part")]
)
def test_the_temporary_name_says_whose_bytes_and_which_hand(case: Case, fence: int, name: str) -> None:
    file = case.file._replace(fence=fence)
    assert temp_name(file, LocalDirectory(case.directory)) == name.format(sha256(OURS).hexdigest()[:8])


def test_progress_is_told_whichever_way_the_file_goes(tmp_path: Path, ledger: Ledger) -> None:
    for number, method in enumerate(("rename", "look-and-rename", "exclusive")):
        (tmp_path / method).mkdir()
        case = hold_case(tmp_path / method, ledger, revision=number, method=method)
        seen: list[int] = []
        with LocalDirectory(case.directory) as destination:
            hand_over(case.file, destination, ledger, replace=False, method=method, progress=seen.append)  # type: ignore[arg-type]
        assert seen == [len(OURS)]
        case.assert_delivered()


@pytest.mark.parametrize("state", ["publishing", "published"])
def test_a_link_as_long_as_our_file_is_not_ours(case: Case, state: str) -> None:
    """To our very bytes, and nothing else lies there."""
    (case.directory.parent / "t").write_bytes(OURS)
    case.final.symlink_to(".././././t")
    assert case.final.lstat().st_size == len(OURS)
    case.reach(state)
    with pytest.raises(Held):
        case.run()
    assert case.final.is_symlink()


@pytest.mark.parametrize(
    ("there", "seen"),
    [
        (nothing, "neither it nor its temporary file is to be seen whole"),
        (temp_partial, "neither it nor its temporary file is to be seen whole"),
        (final_other, "something else lies under its name"),
        (final_same_size, "something else lies under its name"),
        (final_directory, "something else lies under its name"),
    ],
)
def test_what_a_run_that_died_left_is_told(case: Case, there: Callable[[Case], None], seen: str) -> None:
    case.reach("publishing")
    there(case)
    with pytest.raises(Held) as held:
        case.run()
    assert held.value.message == (f"daily.csv was being renamed when a run died, and {seen} in {case.directory}.")
    assert held.value.hint == "Ask the client whether it was collected, then release the delivery."
