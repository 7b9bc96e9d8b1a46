"""The steps of deliveries, each recorded in one transaction.

A delivery moves planned → spooled → delivered, each of its files spooled → uploaded → publishing → published; only
forward, each step one transaction that names the state it leaves (compare-and-set), so that two runners cannot both
take it. `held` waits for a person. The ledger holds names, counts and hashes: no row of data, no secret.
"""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from delivery.errors import Busy
from delivery.ledger import leases
from delivery.ledger.states import ENDED, FileState, State
from delivery.ledger.storage import TIME, Storage, now
from delivery.ledger.tables import (
    Delivery,
    Ended,
    File,
    Layout,
    Past,
    Probe,
    Recorded,
    deliveries,
    files,
    is_prepared,
    layouts,
    meta,
    prepare,
    probes,
    steps,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


GONE = -1  # the fence of nobody
DOUBT = "The ledger was lost or restored, and may not know that this went. Ask the client; then release it."


class Ledger:
    """An open ledger. Every method is one transaction; SQLAlchemy's errors become WriteFailed.

    runner: who takes deliveries in hand, see `take`; not needed for reading.
    """

    @classmethod
    def to_read(cls, url: str) -> Self:
        """A ledger that nothing is written to, nor waited for; an empty one where there is none yet."""
        storage = Storage(url, read_only=True)
        there = storage.path is None or storage.path.exists()
        if there and is_prepared(storage):
            return cls(url, storage=storage)
        empty = cls("sqlite://")
        empty.storage.url = storage.url  # what is said of it names the ledger that is not there
        return empty

    def __init__(self, url: str, runner: str = "", storage: Storage | None = None) -> None:
        self.storage = storage or Storage(url)
        self.runner = runner
        self._fences: dict[str, int] = {}  # of the deliveries that we have in hand
        self._begin = self.storage.begin
        if storage is None:
            prepare(self.storage)

    def _all(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        with self._begin() as connection:
            return connection.execute(query).all()

    def close(self) -> None:
        """Closes all connections."""
        self.storage.engine.dispose()

    def plan(self, **values: Any) -> Delivery:
        """The delivery with that id, recorded as planned unless it is known."""
        at, same = now(), sa.select(deliveries.c.id).where(deliveries.c.id == values["id"])
        with self._begin() as connection:
            if connection.execute(same).first() is None:
                row = {"state": State.PLANNED, "note": "", "created_at": at, "updated_at": at, **values}
                if not row["revision"] and row["slot"] < _doubt_until(connection):
                    row |= {"state": State.HELD, "note": DOUBT}
                try:
                    with connection.begin_nested():
                        connection.execute(deliveries.insert().values(row))
                        _log(connection, row["id"], row["state"], row["note"] or row.get("reason") or "")
                except IntegrityError:  # planned by another runner since we looked
                    if connection.execute(same).first() is None:
                        raise
        return self.delivery(values["id"])

    def take(self, key: str) -> None:
        """Takes a delivery in hand: until `let_go`, no other runner can move it. Raises Busy, naming who has it."""
        with self._begin() as connection:
            self._fences[key] = leases.take(connection, key, self.runner, self.storage.now(connection))

    def is_ours(self, runner: str | None) -> bool:
        """Whether what that runner left on its disk is on ours."""
        return runner == self.runner

    def keep(self) -> None:
        """Keeps what is in hand for longer; to be called more often than a lease is long."""
        with self._begin() as connection:
            leases.keep(connection, list(self._fences), self.runner, self.storage.now(connection))

    def has_in_hand(self, key: str) -> bool:
        """Whether we took that delivery."""
        return key in self._fences

    def let_go(self) -> None:
        """Gives all that was taken out of hand. What is still under way in another thread records no step any more."""
        with self._begin() as connection:
            for key, fence in self._fences.items():
                leases.let_go(connection, key, fence)
        self._fences = dict.fromkeys(self._fences, GONE)

    def delivery(self, key: str) -> Delivery:
        """One delivery; KeyError if it is unknown."""
        found = self.find(deliveries.c.id == key)
        if not found:
            raise KeyError(key)
        return found[0]

    def find(self, *conditions: sa.ColumnElement[bool]) -> list[Delivery]:
        """Deliveries that meet all the conditions, oldest first."""
        query = sa.select(deliveries).where(*conditions).order_by(deliveries.c.slot, deliveries.c.created_at)
        return [Delivery._make(row) for row in self._all(query)]

    def latest(self, number: int, *conditions: sa.ColumnElement[bool]) -> list[Delivery]:
        """So many of the newest deliveries that meet all the conditions, oldest first."""
        newest = (deliveries.c.slot.desc(), deliveries.c.created_at.desc())
        query = sa.select(deliveries).where(*conditions).order_by(*newest).limit(number)
        return [Delivery._make(row) for row in reversed(self._all(query))]

    def counted(self) -> list[tuple[str, str, str, str, int, str]]:
        """Namespace, campaign, integration and state, in this order; how many deliveries, and when the last changed."""
        by = (deliveries.c.namespace, deliveries.c.campaign, deliveries.c.integration, deliveries.c.state)
        query = sa.select(*by, sa.func.count(), sa.func.max(deliveries.c.updated_at)).group_by(*by).order_by(*by)
        return [tuple(row) for row in self._all(query)]

    def recorded(
        self, campaign: str, *conditions: sa.ColumnElement[bool]
    ) -> defaultdict[tuple[str, str], list[Recorded]]:
        """By integration and namespace, the deliveries of a campaign that meet all the conditions, oldest first."""
        columns = [deliveries.c[name] for name in Recorded._fields]
        query = sa.select(*columns).where(deliveries.c.campaign == campaign, *conditions)
        found: defaultdict[tuple[str, str], list[Recorded]] = defaultdict(list)
        for row in self._all(query.order_by(deliveries.c.slot, deliveries.c.created_at)):
            one = Recorded._make(row)
            found[one.integration, one.namespace].append(one)
        return found

    def histories(self, campaign: str) -> dict[tuple[str, str], tuple[Past, ...]]:
        """By integration and namespace, what schedules ask of a campaign's deliveries, oldest first.

        Thousands of clients have few histories: the database writes each as one text, and a text is read once.
        """
        client = (deliveries.c.integration, deliveries.c.namespace)
        first, *others = (sa.func.coalesce(sa.cast(deliveries.c[name], sa.Text), "") for name in Past._fields)
        text = sa.func.aggregate_strings(sum((sa.literal("|") + field for field in others), first), ",")
        query = sa.select(*client, text).where(deliveries.c.campaign == campaign).group_by(*client)
        known: dict[str, tuple[Past, ...]] = {}
        with self._begin() as connection:
            rows = connection.execution_options(yield_per=1000).execute(query)
            return {(row[0], row[1]): known.get(row[2]) or known.setdefault(row[2], _history(row[2])) for row in rows}

    def ended(self, campaign: str, *conditions: sa.ColumnElement[bool]) -> list[Ended]:
        """Of each window of a campaign and client the newest revision that ended, be it that a person cancelled it."""
        window = [deliveries.c[name] for name in ("campaign", "integration", "namespace", "window_start", "window_end")]
        is_ended = deliveries.c.state.in_(ENDED)
        is_revised = (deliveries.c.campaign == campaign, is_ended, deliveries.c.revision > 0)
        newest = sa.func.max(deliveries.c.revision).label("newest")
        later = sa.select(*window, newest).where(*is_revised).group_by(*window).subquery()
        by = (deliveries.c.window_start, deliveries.c.window_end, deliveries.c.spooled_by)
        at, keys = deliveries.c.updated_at, sa.func.aggregate_strings(deliveries.c.id, ",")
        query = (
            sa.select(*by, sa.func.min(at), sa.func.max(at), keys)
            .outerjoin(later, sa.and_(*(column == later.c[column.name] for column in window)))
            .where(deliveries.c.campaign == campaign, is_ended, *conditions)
            .where(later.c.newest.is_(None) | (deliveries.c.revision == later.c.newest))
            .group_by(*by)
        )
        return [Ended._make((*row[:-1], row[-1].split(","))) for row in map(tuple, self._all(query))]

    def series(
        self, campaign: str, integration: str, namespace: str, *conditions: sa.ColumnElement[bool]
    ) -> list[Delivery]:
        """The deliveries of a campaign to an integration that meet all the conditions, oldest first."""
        columns = deliveries.c
        same = (columns.campaign == campaign, columns.integration == integration, columns.namespace == namespace)
        return self.find(*same, *conditions)

    def files(self, key: str) -> list[File]:
        """The files of a delivery, in the order in which they are handed over."""
        query = sa.select(files).where(files.c.delivery_id == key).order_by(files.c.part)
        return [File._make(row) for row in self._all(query)]

    def holder_of(self, file: File, sha256: str) -> File | None:
        """The published file at the file's place that has that hash, if it is of the same series: ours to replace.

        A file of another campaign, integration or namespace is not, whatever lies there.
        """
        ours = self.delivery(file.delivery_id)
        query = (
            sa.select(files)
            .join(deliveries, deliveries.c.id == files.c.delivery_id)
            .where(
                files.c.destination == file.destination,
                files.c.name == file.name,
                files.c.sha256 == sha256,
                files.c.state == FileState.PUBLISHED,
                *(deliveries.c[key] == getattr(ours, key) for key in ("campaign", "integration", "namespace")),
            )
        )
        return next((File._make(row) for row in self._all(query)), None)

    def deliveries_of(self, destination: str, name: str, *, besides: str) -> list[Delivery]:
        """The deliveries whose published file has that name there, oldest first; what was pruned is no more."""
        there = sa.and_(files.c.destination == destination, files.c.name == name, files.c.state == FileState.PUBLISHED)
        return self.find(deliveries.c.id.in_(sa.select(files.c.delivery_id).where(there)), deliveries.c.id != besides)

    def spooled(self, key: str, written: list[dict[str, Any]], **values: Any) -> None:
        """Records the spooled files of a planned delivery, all at once."""
        at, fence = now(), self._fences.get(key, 0)
        with self._begin() as connection:
            self._advance(connection, key, State.PLANNED, State.SPOOLED, at, {"spooled_by": self.runner, **values})
            connection.execute(files.delete().where(files.c.delivery_id == key))
            for row in written:
                values_ = {"delivery_id": key, "state": FileState.SPOOLED, "updated_at": at, "fence": fence, **row}
                connection.execute(files.insert().values(values_))

    def ask_again(self, row: Delivery, reason: str) -> None:
        """Has a delivery that has not left be the one that is asked for again, all of it: once for the same words."""
        with self._begin() as connection:
            connection.execute(
                deliveries.update().where(deliveries.c.id == row.id).values(reason=reason, corrects=None)
            )
            _log(connection, row.id, "note", f"to be sent again: {reason}")

    def resend(self, key: str, *, anew: bool, note: str) -> None:
        """Puts a held delivery back: its unpublished files to `spooled`, or itself to `planned` to be written anew."""
        with self._begin() as connection:
            self._advance(connection, key, State.HELD, State.PLANNED if anew else State.SPOOLED, now(), {"note": note})
            connection.execute(
                files.update()
                .where(files.c.delivery_id == key, files.c.state != FileState.PUBLISHED)
                .values(state=FileState.SPOOLED, updated_at=now())
            )

    def advance(self, key: str, before: str, after: str, **values: Any) -> None:
        """Moves a delivery from one state to the next. Raises Busy when it is no longer in `before`."""
        with self._begin() as connection:
            self._advance(connection, key, before, after, now(), values)

    def _advance(
        self, connection: sa.Connection, key: str, before: str, after: str, at: str, values: dict[str, Any]
    ) -> None:
        self._check_fence(connection, key)
        changed = connection.execute(
            deliveries.update()
            .where(deliveries.c.id == key, deliveries.c.state == before)
            .values(state=after, updated_at=at, **{"note": "", **values})
        )
        _check_moved(changed, f"Delivery {key[:12]}", before)
        _log(connection, key, after, str(values.get("note", "")))

    def advance_file(self, file: File, after: str) -> File:
        """Moves a file to its next state. Raises Busy when it is no longer in the state that `file` has."""
        at = now()
        with self._begin() as connection:
            self._check_fence(connection, file.delivery_id)
            changed = connection.execute(
                files.update()
                .where(files.c.delivery_id == file.delivery_id, files.c.part == file.part, files.c.state == file.state)
                .values(state=after, updated_at=at)
            )
            _check_moved(changed, file.name, file.state)
            _log(connection, file.delivery_id, after, file.name)
        return file._replace(state=after, updated_at=at)

    def _check_fence(self, connection: sa.Connection, key: str) -> None:
        """Raises Busy when another runner has taken what we had in hand; until the commit none can take it."""
        ours = self._fences.get(key)
        if ours is None:
            return
        query = sa.select(deliveries.c.fence).where(deliveries.c.id == key).with_for_update()
        if connection.execute(query).scalar() != ours:
            raise Busy(
                f"Delivery {key[:12]} was taken over by another runner after our lease had ended.",
                hint="Nothing to do: the other runner goes on with it.",
            )

    def note(self, key: str, text: str) -> None:
        """Leaves a remark on a delivery without moving it; text is already free of addresses."""
        with self._begin() as connection:
            connection.execute(deliveries.update().where(deliveries.c.id == key).values(note=text, updated_at=now()))
            _log(connection, key, "note", text)

    def in_order_of_writing(self, keys: Iterable[str]) -> list[str]:
        """The deliveries in the order in which their files were last written; what never had any as it ended."""
        written = steps.c.step.in_((State.SPOOLED, State.SKIPPED))
        ended = steps.c.step == State.DELIVERED
        query = (
            sa.select(
                steps.c.delivery_id,
                sa.func.coalesce(
                    sa.func.max(sa.case((written, steps.c.id))), sa.func.max(sa.case((ended, steps.c.id)))
                ).label("at"),
            )
            .where(steps.c.delivery_id.in_(list(keys)), written | ended)
            .group_by(steps.c.delivery_id)
            .order_by("at")
        )
        return [row.delivery_id for row in self._all(query)]

    def steps(self, key: str) -> list[tuple[str, str, str]]:
        """(time, step, note) of a delivery, in order."""
        query = sa.select(steps.c.at, steps.c.step, steps.c.note).where(steps.c.delivery_id == key).order_by(steps.c.id)
        return [(row.at, row.step, row.note) for row in self._all(query)]

    def all_files(self) -> list[File]:
        """The files of every delivery."""
        return [File._make(row) for row in self._all(sa.select(files).order_by(files.c.delivery_id))]

    def places_below(self, folder: str) -> list[tuple[str, int]]:
        """Places below a folder with files that were not pruned, in the database's order, and how many."""
        there = files.c.destination.startswith(folder.rstrip("/") + "/", autoescape=True)
        query = sa.select(files.c.destination, sa.func.count()).where(there, files.c.state != FileState.PRUNED)
        return [tuple(row) for row in self._all(query.group_by(files.c.destination).order_by(files.c.destination))]

    def left_between(self, first: str, last: str) -> tuple[list[File], dict[str, Recorded]]:
        """The files in these places and those between that were not pruned, and by id the deliveries they are of."""
        there = sa.and_(files.c.destination.between(first, last), files.c.state != FileState.PRUNED)
        of = [deliveries.c[name] for name in Recorded._fields]
        query = sa.select(*files.c, *of).join(deliveries, deliveries.c.id == files.c.delivery_id).where(there)
        rows, width = sorted(map(tuple, self._all(query)), key=lambda row: row[:2]), len(File._fields)
        return [File._make(row[:width]) for row in rows], {row[0]: Recorded._make(row[width:]) for row in rows}

    def pruned(self, gone: list[tuple[File, str]]) -> None:
        """Records files that are there no more, and why, all of them or none. Raises Busy when one was moved since."""
        at = now()
        file_of = {name: files.c[name] == sa.bindparam(f"of_{name}") for name in ("delivery_id", "part", "state")}
        rows = [{f"of_{name}": getattr(file, name) for name in file_of} for file, _ in gone]
        notes = {file.delivery_id: f"pruned: {why}" for file, why in gone}
        told = [{"delivery_id": file.delivery_id, "step": FileState.PRUNED, "note": file.name} for file, _ in gone]
        told += [{"delivery_id": key, "step": "note", "note": note} for key, note in notes.items()]
        with self._begin() as connection:
            moved = files.update().where(*file_of.values()).values(state=FileState.PRUNED, updated_at=at)
            if connection.execute(moved, rows).rowcount != len(rows):
                raise Busy(
                    "A file that was to be recorded as pruned is in another state now: another runner was at work.",
                    hint="Nothing was recorded; run `delivery prune` again.",
                )
            noted = deliveries.update().where(deliveries.c.id == sa.bindparam("of_id"))
            texts = [{"of_id": key, "text": note} for key, note in notes.items()]
            connection.execute(noted.values(note=sa.bindparam("text"), updated_at=at), texts)
            connection.execute(steps.insert(), [{"at": at, **row} for row in told])

    def times(self) -> list[datetime]:
        """When the ledger was written to, the last time in each hour, and when `prune` ran; in order."""
        last = sa.select(sa.func.max(steps.c.at).label("at")).group_by(sa.func.substr(steps.c.at, 1, 13))
        with self._begin() as connection:
            found = {row.at for row in connection.execute(last)}
            ticks = connection.execute(sa.select(meta.c.value).where(meta.c.key.startswith("pruned ")))
            return sorted(datetime.fromisoformat(at) for at in found | {row.value for row in ticks})

    def tick(self, at: datetime) -> None:
        """Records that time passed until then; one entry a day is kept."""
        day, value = f"pruned {at:%Y-%m-%d}", at.strftime(TIME)
        with self._begin() as connection:
            if not connection.execute(meta.update().where(meta.c.key == day).values(value=value)).rowcount:
                connection.execute(meta.insert().values(key=day, value=value))

    def probes(self) -> dict[str, Probe]:
        """The newest probe of each destination."""
        return {row.destination: Probe._make(row) for row in self._all(sa.select(probes))}

    def probe(self, destination: str) -> Probe | None:
        """The newest probe of one destination."""
        rows = self._all(sa.select(probes).where(probes.c.destination == destination))
        return Probe._make(rows[0]) if rows else None

    def method(self, destination: str) -> str | None:
        """How files are published there; None when it was not probed."""
        kept = self.probe(destination)
        return kept.method if kept else None

    def is_proven(self, server: str, method: str, software: str) -> bool:
        """Whether a probe in a directory of that server, by its name, found that files can be published so."""
        there = probes.c.destination.startswith(server, autoescape=True)
        query = sa.select(probes.c.destination).where(there, probes.c.method == method, probes.c.software == software)
        return bool(self._all(query.limit(1)))

    def keep_probe(self, destination: str, method: str | None, offers: dict[str, Any], software: str) -> None:
        """Keeps what a probe proved, in place of what was kept before."""
        row = {"method": method, "offers": json.dumps(offers), "software": software, "probed_at": now()}
        with self._begin() as connection:
            where = probes.c.destination == destination
            if connection.execute(probes.update().where(where).values(row)).rowcount == 0:
                with suppress(IntegrityError), connection.begin_nested():  # another runner may have been quicker
                    connection.execute(probes.insert().values(destination=destination, **row))

    def identity(self) -> tuple[str, int]:
        """The ledger's own id, and the number of its last step: it only grows."""
        with self._begin() as connection:
            own = str(connection.execute(sa.select(meta.c.value).where(meta.c.key == "id")).scalar_one())
            return own, connection.execute(sa.select(sa.func.max(steps.c.id))).scalar() or 0

    def doubt(self, reason: str) -> None:
        """From now on, deliveries of the past that this ledger does not know are held. reason: a person's."""
        values = {"doubt_until": now(), "doubt_reason": reason}
        with self._begin() as connection:
            connection.execute(meta.delete().where(meta.c.key.in_(values)))
            connection.execute(meta.insert(), [{"key": key, "value": value} for key, value in values.items()])

    def layout(self, campaign: str, integration: str) -> Layout | None:
        """The layout that the campaign's first delivery to the integration had."""
        found = self.layouts(layouts.c.campaign == campaign, layouts.c.integration == integration)
        return next(iter(found.values()), None)

    def layouts(self, *conditions: sa.ColumnElement[bool]) -> dict[tuple[str, str], Layout]:
        """The frozen layouts that meet all the conditions, by campaign and integration."""
        query = sa.select(layouts).where(*conditions).order_by(layouts.c.campaign, layouts.c.integration)
        return {
            (row.campaign, row.integration): Layout(
                tuple(json.loads(row.columns)),
                tuple(json.loads(row.kinds)) if row.kinds else None,
                row.created_at,
                tuple(json.loads(row.labels)) if row.labels else None,
                {name: tuple(values) for name, values in json.loads(row.rows or "{}").items()},
            )
            for row in self._all(query)
        }

    def freeze_layout(self, key: str) -> None:
        """Keeps the layout that the delivery was spooled with, if it is the first; a later call changes nothing."""
        delivery = self.delivery(key)
        if delivery.layout is None:  # accepted by a person before it was spooled
            return
        spooled = json.loads(delivery.layout)
        row = {"campaign": delivery.campaign, "integration": delivery.integration}
        values = {key: json.dumps(value) for key, value in spooled.items()} | {"created_at": now()}
        with self._begin() as connection:
            if connection.execute(sa.select(layouts).filter_by(**row)).first() is None:
                with suppress(IntegrityError), connection.begin_nested():  # another runner may have been quicker
                    connection.execute(layouts.insert().values(**row, **values))


def _history(text: str) -> tuple[Past, ...]:
    rows = (row.split("|") for row in text.split(","))
    past = (Past(at, start or None, end or None, int(n), state, by or None) for at, start, end, n, state, by in rows)
    return tuple(sorted(past, key=lambda row: (row.slot, row.revision)))


def _doubt_until(connection: sa.Connection) -> str:
    return connection.execute(sa.select(meta.c.value).where(meta.c.key == "doubt_until")).scalar() or ""


def _check_moved(changed: sa.CursorResult[Any], what: str, before: str) -> None:
    if changed.rowcount != 1:
        raise Busy(
            f"{what} is no longer {before}: another runner took it.",
            hint="Wait for the other runner, then `delivery status`.",
        )


def _log(connection: sa.Connection, key: str, step: str, note: str) -> None:
    connection.execute(steps.insert().values(delivery_id=key, at=now(), step=step, note=note))
