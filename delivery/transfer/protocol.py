"""Handing one delivery's files over: upload, verify, rename, look. Every step is recorded, and resumed by looking.

A file moves spooled → uploaded → publishing → published, and nothing is believed that was not looked at: the bytes at
the destination are hashed under their temporary name, the rename never overwrites, and after a crash the next run finds
out by looking what the last one did. A rename that was confirmed and did not happen leaves the file `unconfirmed`. What
looking cannot decide is held for a person.

Where there is no rename that can be trusted, the file is written under its final name, if the integration says so:
spooled → opening → published (decision 0010).
"""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from delivery.errors import DestinationFailed, DestinationRefused, Held, NameTaken
from delivery.files.disk import hash_file
from delivery.ledger import FileState, Role
from delivery.schedule.names import temporary_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from delivery.ledger import File, Ledger
    from delivery.transfer import Destination, Found, Method

CHUNK_BYTES = 1 << 20


def hand_over(
    file: File,
    destination: Destination,
    ledger: Ledger,
    *,
    replace: bool,
    method: Method = "rename",
    progress: Callable[[int], None] | None = None,
) -> File:
    """Brings one file to `published`, from whatever state it is in. method: how it gets its final name.

    Raises Held when only a person can decide, DestinationFailed when trying again may help.
    """
    if file.state == FileState.PUBLISHED:  # by a run that may have died before it looked
        return _confirm(file, destination, ledger)
    if file.state == FileState.PUBLISHING:  # all that counts now lies there
        return _resume_publishing(file, destination, ledger, replace=replace)
    check_spool(file)
    if file.state == FileState.OPENING or method == "exclusive":
        return _hand_over_open(file, destination, ledger, progress)
    if file.state == FileState.SPOOLED:
        _send(file, destination, ledger, replace=replace, progress=progress)
        file = ledger.advance_file(file, FileState.UPLOADED)
    elif not _temp_is_whole(file, destination):  # somebody tidied up between two runs
        _send(file, destination, ledger, replace=replace, progress=progress)
    file = ledger.advance_file(file, FileState.PUBLISHING)
    return _publish(file, destination, ledger, replace=replace)


def temp_name(file: File, destination: Destination) -> str:
    """The name while uploading: whose bytes lie there, and in which hand they were spooled."""
    return temporary_name(destination.handling.temporary_name, file.name, file.sha256, fence=file.fence)


def check_spool(file: File) -> None:
    """Raises Held when the spool file is gone or not what was hashed."""
    spool = Path(file.spool)
    if not spool.is_file():
        raise Held(f"The spool file {spool.name} is gone.", hint="Cancel the delivery or redeliver it.")
    if hash_file(spool) != file.sha256:
        raise Held(f"The spool file {spool.name} changed after it was hashed.", hint="Redeliver: it is written anew.")


def _send(
    file: File, destination: Destination, ledger: Ledger, *, replace: bool, progress: Callable[[int], None] | None
) -> None:
    temp = temp_name(file, destination)
    there, before = destination.look_at(file.name, temp)
    _check_free(file, there, destination, ledger, replace=replace)
    if destination.handling.verify == "none":  # nobody may be able to look, or to delete
        with suppress(DestinationRefused):
            destination.remove(temp)
    elif before is not None:
        destination.remove(temp)
    destination.upload(Path(file.spool), temp, progress)
    if not _arrived(file, destination, temp):
        destination.remove(temp)
        raise DestinationFailed(f"{file.name}: the destination holds other bytes than were sent.", step="verify")


def _check_free(file: File, found: Found | None, destination: Destination, ledger: Ledger, *, replace: bool) -> None:
    if found is None:
        return
    whose = (
        "which the ledger does not know as ours: of the same campaign, integration and client"
        if replace
        else "and `existing` is hold"
    )
    may_be_ours = replace and found.kind == "file"
    if may_be_ours and (holder := ledger.holder_of(file, destination.hash(file.name))):
        if ledger.delivery(holder.delivery_id).slot <= ledger.delivery(file.delivery_id).slot:
            return
        whose = "and is of a later slot"
    raise Held(
        f"{file.name} already lies in {destination.describe()}, {whose}.",
        hint="Have it moved away and release the delivery, or give the file another name.",
    )


def _temp_is_whole(file: File, destination: Destination) -> bool:
    return _is_whole(file, destination, temp_name(file, destination))


def _is_whole(file: File, destination: Destination, name: str) -> bool:
    """Whether the file lies there under that name, as far as `verify` asks: by its hash, or only by its size."""
    fits = destination.handling.fits(destination.look(name), file.bytes)
    return fits and (destination.handling.verify != "hash" or destination.hash(name, file.bytes) == file.sha256)


def _arrived(file: File, destination: Destination, name: str) -> bool:
    """Whether what was just uploaded is whole there. With `verify: none`, each write was acknowledged: that is all."""
    if destination.handling.verify == "hash":
        return destination.hash(name, file.bytes) == file.sha256
    return destination.handling.verify == "none" or _is_whole(file, destination, name)


def _publish(file: File, destination: Destination, ledger: Ledger, *, replace: bool) -> File:
    try:
        if replace and (found := destination.look(file.name)) is not None:
            _check_free(file, found, destination, ledger, replace=True)
            destination.replace(temp_name(file, destination), file.name)
        else:
            destination.publish(temp_name(file, destination), file.name)
    except NameTaken:
        raise _appeared(file, destination) from None
    file = ledger.advance_file(file, FileState.PUBLISHED)
    return file if _was_renamed(file, destination) else _confirm(file, destination, ledger)


def _appeared(file: File, destination: Destination) -> Held:
    return Held(
        f"{file.name} appeared in {destination.describe()} while it was being uploaded.",
        hint="Look at it: release the delivery to resend it, or cancel.",
    )


def _confirm(file: File, destination: Destination, ledger: Ledger) -> File:
    """Looks at what the destination said it renamed; a client may have collected it already."""
    if _final_is_ours(file, destination):  # seen or not, it may be collected before the next look
        if destination.look(temp_name(file, destination)) is not None:
            destination.remove(temp_name(file, destination))
        return file
    if destination.look(file.name) is not None or destination.look(temp_name(file, destination)) is not None:
        ledger.advance_file(file, FileState.UNCONFIRMED)
        raise Held(
            f"{destination.describe()} said that {file.name} was renamed, and it was not.",
            hint="Have the server looked at, then release the delivery.",
        )
    return file


def _was_renamed(file: File, destination: Destination) -> bool:
    """Whether what was hashed under its temporary name, on this connection, is gone there and lies under the final one.

    A rename moves no bytes: reading them once more would make a large file to a far server take half as long again.
    """
    found, temp = destination.look_at(file.name, temp_name(file, destination))
    return destination.handling.fits(found, file.bytes) and temp is None


def _final_is_ours(file: File, destination: Destination) -> bool:
    return _is_whole(file, destination, file.name)


def _resume_publishing(file: File, destination: Destination, ledger: Ledger, *, replace: bool) -> File:
    if _final_is_ours(file, destination):
        destination.remove(temp_name(file, destination))
        return ledger.advance_file(file, FileState.PUBLISHED)
    if _temp_is_whole(file, destination) and (replace or destination.look(file.name) is None):
        return _publish(file, destination, ledger, replace=replace)
    seen = "neither it nor its temporary file is to be seen whole"
    if destination.look(file.name) is not None:
        seen = "something else lies under its name"
    raise _undecided(file, destination, seen)


def _undecided(file: File, destination: Destination, seen: str) -> Held:
    doing = "created" if file.state == FileState.OPENING else "renamed"
    return Held(
        f"{file.name} was being {doing} when a run died, and {seen} in {destination.describe()}.",
        hint="Ask the client whether it was collected, then release the delivery.",
    )


def _hand_over_open(
    file: File, destination: Destination, ledger: Ledger, progress: Callable[[int], None] | None
) -> File:
    """Writes the file under its final name; the client waits for the done file, which comes last and is empty."""
    if file.state != FileState.OPENING:
        destination.remove(temp_name(file, destination))  # of a run that had another method
        _check_free(file, destination.look(file.name), destination, ledger, replace=False)
        file = ledger.advance_file(file, FileState.OPENING)
    elif (found := destination.look(file.name)) is not None:
        if _final_is_ours(file, destination):
            return ledger.advance_file(file, FileState.PUBLISHED)
        if found.kind == "other" or not _begins_as_ours(file, destination, found.size):
            raise _undecided(file, destination, "something else lies under its name")
        destination.remove(file.name)
    elif file.role == Role.DONE:
        raise _undecided(file, destination, "it is not to be seen")
    try:
        if file.role == Role.DONE:
            destination.create(file.name)  # it is there, or not: nothing is taken back that a client may have seen
        else:
            destination.upload(Path(file.spool), file.name, progress)
    except NameTaken:
        raise _appeared(file, destination) from None
    if file.role != Role.DONE and not _arrived(file, destination, file.name):
        destination.remove(file.name)
        raise DestinationFailed(f"{file.name}: the destination holds other bytes than were sent.", step="verify")
    return ledger.advance_file(file, FileState.PUBLISHED)


def _begins_as_ours(file: File, destination: Destination, size: int | None) -> bool:
    """Whether what lies there is what a run that died may have left: the first part of our file. Only a hash tells."""
    if destination.handling.verify != "hash" or size is None:
        return False
    with Path(file.spool).open("rb") as spool:
        start, left = sha256(), size
        while left > 0 and (chunk := spool.read(min(left, CHUNK_BYTES))):
            start.update(chunk)
            left -= len(chunk)
    return destination.hash(file.name, size) == start.hexdigest()
