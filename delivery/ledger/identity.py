"""Whether this is the ledger that the state directory knows, whole and not from an older backup.

A runner with an empty or older ledger would send again what has long been collected. So each state directory keeps who
it is and how far its ledger had come. When the ledger has not come that far, nothing runs until a person has said what
is to be done: restore it, or `delivery ledger adopt`. A file beside the directory tells a ledger that is new from one
that was lost together with the directory. After that, what it does not know and might have gone is held.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from delivery.errors import ConfigError, WriteFailed

if TYPE_CHECKING:
    from pathlib import Path

    from delivery.ledger.book import Ledger

FILE = "runner.json"


@dataclass(frozen=True)
class Runner:
    """A state directory's memory. name: of the runner; ledger: its id; step: the last one it was seen to hold."""

    name: str
    ledger: str | None = None
    step: int = 0


def this_runner(state: Path) -> Runner:
    """Who runs from this state directory; a new name when nobody did before."""
    try:
        return Runner(**json.loads((state / FILE).read_bytes()))
    except FileNotFoundError:
        return Runner(f"{socket.gethostname()}/{secrets.token_hex(4)}")
    except (ValueError, TypeError, OSError):
        raise WriteFailed(
            f"{state / FILE} cannot be read.", hint="Restore it, or move it away and run `delivery ledger adopt`."
        ) from None


def recognise(state: Path, runner: Runner, ledger: Ledger, *, unattended: bool = False) -> None:
    """As `check_known`; who runs here for the first time is remembered."""
    check_known(state, runner, ledger, unattended=unattended)
    if runner.ledger is None:
        remember(state, runner, ledger)


def check_known(state: Path, runner: Runner, ledger: Ledger, *, unattended: bool = False) -> None:
    """Raises ConfigError when the ledger is missing, another one, or older than what this state directory has seen.

    unattended: nobody said which windows are meant; a ledger that was lost with its state directory counts then, too.
    """
    known, step = ledger.identity()
    if runner.ledger is None and step == 0 and _spools(state):
        seen = f"is new, and {len(_spools(state))} deliveries of another one are spooled in {state}"
    elif runner.ledger is None and step == 0 and unattended and _beside(state).exists():
        seen = f"is new, and {_beside(state).name} says that there was another one: {state} is gone, or was emptied"
    elif runner.ledger is None:
        return
    elif known != runner.ledger:
        seen = f"is not the one that {state} belongs to" if step else f"is new, and {state} belongs to another one"
    elif step < runner.step:
        seen = f"ends at step {step}, and {state} has seen step {runner.step}: it was restored from an older backup"
    else:
        return
    raise ConfigError(
        f"The ledger {ledger.storage.describe()} {seen}.",
        hint=f"Restore the newest one ({state / 'backups'} has copies), or accept this one with "
        "`delivery ledger adopt`: deliveries that it does not know are then held for a person.",
    )


def remember(state: Path, runner: Runner, ledger: Ledger) -> None:
    """Keeps how far the ledger has come."""
    known, step = ledger.identity()
    with suppress(OSError):  # where it cannot be, nothing is said of a state directory that is lost
        if step:
            _beside(state).touch(mode=0o600)
    unfinished = state / f".{FILE}.part"
    try:
        descriptor = os.open(unfinished, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with open(descriptor, "w") as file:  # noqa: PTH123
            json.dump(asdict(Runner(runner.name, known, step)), file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(state / FILE)
    except OSError as error:
        raise WriteFailed(
            f"{state / FILE} could not be written: {error.strerror}.", hint="Free space there, then run again."
        ) from None


def _beside(state: Path) -> Path:
    """What says that there was a state directory, after it is gone. Remove it with the directory to begin anew."""
    return state.with_name(f"{state.name}.kept")


def _spools(state: Path) -> list[Path]:
    spool = state / "spool"
    return [folder for folder in spool.iterdir() if any(folder.iterdir())] if spool.is_dir() else []
