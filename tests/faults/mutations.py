# ruff: noqa: E501 - the texts are the package's own lines
"""Removes each guard of the runner in turn; a test must go red.

`make mutants GUARDS=1`, or `python tests/faults/mutations.py [NAME…]`, works on a copy of the package. It ends with one line,
`mutations: <n> guards <n> caught`, and with exit status 0 only if all were caught.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORKERS = 2
SECONDS = 300


@dataclass(frozen=True)
class Guard:
    """What the guard does, where it stands, the text to be changed, and the quick tests that must notice."""

    name: str
    file: str
    before: str
    after: str
    tests: str  # file of tests/delivery, then words for -k


GUARDS = [
    # Engines
    Guard("what a build needs", "gate/build.py", '    _check_installed(str(project.profile["type"]))\n', "", "test_build.py"),
    Guard("a server that does not answer is no failed build", "gate/build.py", "    _check_answers(project)\n", "", "test_build.py"),
    Guard("one server of several is enough", "gate/build.py", "len(failures) == len(addresses)", "failures", "test_build.py"),
    Guard("a stream that breaks off", "warehouse/adbc.py", "except (Error, OSError, pa.ArrowException)", "except (Error, pa.ArrowException)",
          "test_adbc.py in_the_middle"),
    Guard("a server that is gone is told from a query that failed", "warehouse/adbc.py", "        except Error:\n            return EngineDown(",
          "        except ZeroDivisionError:\n            return EngineDown(", "test_adbc.py in_the_middle"),
    Guard("a new transaction is no snapshot", "warehouse/adbc.py", "        self.is_snapshot = False", "        pass", "test_adbc.py look_again"),
    Guard("secrets in what a server says", "warehouse/adbc.py", 'text = text.replace(secret, "<secret>")', "pass", "test_adbc.py no_secret"),
    Guard("secrets in what a source shows", "warehouse/adbc.py", "    uri: str | None = field(default=None, repr=False)",
          "    uri: str | None = None", "test_adbc.py no_secret"),
    Guard("addresses in what a server says", "warehouse/adbc.py", "return redact(text)", "return text", "test_adbc.py no_secret"),
    Guard("a refusal is configuration", "warehouse/adbc.py", "or any(words in said for words in refusals)", "", "test_adbc.py refusal"),
    Guard("text by bytes", "warehouse/adbc.py", "        _check_order(engine, source)\n", "", "test_adbc.py language"),
    Guard("built meanwhile", "files/spool.py", "            self._check_unchanged(job, verdict)\n        except", "        except", "test_postgres_runs.py comes_between"),
    Guard("built meanwhile, and no rows", "files/spool.py",
          "            self._check_unchanged(job, verdict)\n            self.ledger", "            self.ledger",
          "test_postgres_runs.py reason_to_skip"),
    Guard("a server that is gone is no refusal of the gate", "gate/judge.py",
          "            accepted = self._accepted()\n        except EngineDown:\n            raise\n", "            accepted = self._accepted()\n",
          "test_postgres_runs.py no_refusal"),
    Guard("unknown keys of a target", "warehouse/keys.py", "if key not in {*known, *for_dbt}", "if False", "test_postgres_target.py not_read"),
    Guard("missing keys of a target", "warehouse/keys.py", "for key in needs if key not in said", "for key in ()", "test_postgres_target.py not_read"),
    Guard("one engine a type", "warehouse/__init__.py", "if len(by) > 1:", "if False:", "test_engines.py claimed"),
    Guard("a built-in engine stays", "warehouse/__init__.py", '["delivery"] if kind in BUILT_IN else []', "[]", "test_engines.py claimed"),
    Guard("an engine that breaks when imported", "warehouse/__init__.py", "except Exception as error:", "except ZeroDivisionError as error:",
          "test_engines.py broken"),
    Guard("what cannot be read is not built", "gate/build.py", "    find_engine(project)  # what cannot be read afterwards need not be built\n", "",
          "test_build.py not_built"),
    # The gate
    Guard("complete since the window ended", "gate/complete.py", "if at < until]", "if False]", "test_gate.py began_after"),
    Guard("yet to come", "gate/complete.py", "    if until > datetime.now(UTC).replace(tzinfo=None):", "    if False:", "test_gate.py yet_to_come"),
    Guard("a day on record", "gate/complete.py", "if day not in log.days[node]:", "if False:", "test_gate.py on_record"),
    Guard("a clock that was ahead", "gate/complete.py", "elif last.started_at > now:", "elif False:", "test_gate.py ahead"),
    Guard("killed beside a build", "gate/complete.py", "    if replaced and last and", "    if False and replaced and last and", "test_gate.py beside_the_last"),
    Guard("a failure of all days stands", "gate/tested.py", "if whole and not self._has_passed", "if False and whole and not self._has_passed", "test_gate.py spoke_of_all_days"),
    Guard("results by when they were had", "gate/tested.py", "entry.began_at < since:\n                break", "entry.started_at > since:\n                break",
          "test_gate.py began_during"),
    Guard("every parent of a test", "gate/tested.py", "            elif last := self._log.last_build(node):\n", "            elif (last := self._log.last_build(node)) and node in self._built:\n",
          "test_gate.py every_parent"),
    Guard("tests that are gone", "gate/tested.py", "if not there and spoke_of & read and", "if False and", "test_gate.py is_gone"),
    Guard("tests that say less", "gate/tested.py", "if (name, change) not in accepted:", "if False:", "test_gate.py says_less or switched_off"),
    Guard("tests that were changed", "gate/tested.py", "elif proof.fingerprint and", "elif False and", "test_gate.py changed_since"),
    Guard("a test of the key", "gate/tested.py", "if not self._lineage.has_key(self._asked.dataset):", "if False:", "test_gate.py test_of_its_key"),
    Guard("tests of sources and ephemeral models", "gate/judge.py", "tests = self._lineage.tests_on(read)", "tests = self._lineage.tests_on(set(built))",
          "test_gate.py sources_and_ephemeral"),
    Guard("whose rows: all are accounted for", "gate/log.py", "if not rows or sum(count for _, _, count in rows) != (entry.failures or 0):", "if not rows:", "test_gate.py whose_it_is"),
    Guard("whose rows: an error is everybody's", "gate/log.py", 'entry.status not in ("fail", "warn")', "False", "test_gate.py everybodys"),
    Guard("whose rows: nobody's are everybody's", "gate/log.py", "or of is None or of == asked.namespace", "or of == asked.namespace", "test_gate.py whose_it_is"),
    Guard("whose rows: a warning is of whom it concerns", "gate/tested.py", "if rows != 0:", "if True:", "test_gate.py counts_the_rows"),
    Guard("a silent source", "gate/complete.py", "    yield from _stale(until, what, read, lineage, log)\n", "", "test_gate.py silent"),
    Guard("rejected rows of one client are read", "gate/rejected.py", 'f"namespace = {literal(namespace)}"', '"namespace is not null"',
          "test_rejected.py nobody_else"),
    Guard("rejected rows of a list that was built", "gate/judge.py", "if reasons := self._lists[name, window]:", "if reasons := ():",
          "test_rejected.py list_is_built"),
    Guard("all that the runner reads", "config/campaigns.py", "dict.fromkeys((*named,", "dict.fromkeys((*named[:0],", "test_campaigns.py proven_with"),
    Guard("datasets by contract", "gate/entitlements.py", 'if not known or (namespace in known and known[namespace]["entitled"]):', "if True:",
          "test_entitlements.py dataset"),
    # Audiences
    Guard("definitions by contract", "gate/entitlements.py", 'if name not in known or not known[name]["entitled"]', "if False",
          "test_audience_exports.py contract or may_not_be_had"),
    Guard("contacts by contract", "gate/entitlements.py", '(dataset.key or "", *columns)', "columns",
          "test_audience_exports.py contacts_alone"),
    Guard("a layout stays", "files/layouts.py", "    if frozen is not None:\n        return frozen\n", "", "test_audience_exports.py new_definition"),
    Guard("values cast back", "warehouse/kinds.py", '        if frozen in ("", now):', "        if True:", "test_audience_exports.py another_type"),
    Guard("values that do not fit", "warehouse/kinds.py", 'if frozen == "text" and now in WRITTEN_OTHERWISE:', "if False:",
          "test_audience_exports.py do_not_fit"),
    Guard("members only", "warehouse/rows.py", "        if self.members is not None:\n            key", "        if False:\n            key",
          "test_audience_exports.py members_leave"),
    Guard("unsubscribed left out", "config/campaigns.py", '" and not is_unsubscribed" if self.without_unsubscribed else ""', '""',
          "test_audience_exports.py unsubscribed"),
    Guard("the audience is proven", "gate/judge.py", "[dataset.unique_id, *asked.proven_with]", "[dataset.unique_id]",
          "test_audience_exports.py failing_test"),
    Guard("changes since what was delivered", "schedule/jobs.py", "deliveries.c.state.in_(states)", "deliveries.c.state != ''",
          "test_receipts.py before_is_what"),
    Guard("a whole file now and then", "schedule/jobs.py", " or is_full_due else", " else", "test_audience_exports.py applies"),
    Guard("sent again is sent whole", "schedule/jobs.py", "if job.revision or not before", "if not before",
          "test_audience_exports.py sent_again"),
    Guard("another contact", "files/receipts.py", 'same = f"now.{key} = sent.{key} and {known}"', 'same = f"now.{key} = sent.{key}"',
          "test_audience_exports.py another_contact"),
    Guard("changes are not replaced", "schedule/jobs.py", 'integration.existing == "replace" and campaign.export.mode == "changes"', "False",
          "test_audience_exports.py not_replaced"),
    Guard("days are not for the current state", "schedule/slots.py", "campaign.dataset.window is None and (request.window or request.start)",
          "False", "test_audience_exports.py days_are_not"),
    Guard("a receipt is private", "files/receipts.py", "with exclusive(unfinished) as disk", 'with unfinished.open("wb") as disk', "test_audience_exports.py no_record"),
    # Handing over
    Guard("spool hashed again", "transfer/protocol.py", "if hash_file(spool) != file.sha256:", "if False:",
          "test_handover.py damaged_spool"),
    Guard("spool must be there", "transfer/protocol.py", "if not spool.is_file():", "if False:", "test_handover.py damaged_spool"),
    Guard("verified by hash", "transfer/protocol.py", " or destination.hash(name, file.bytes) == file.sha256)", " or True)",
          "test_handover.py wrong_bytes or resuming"),
    Guard("temp verified after upload", "transfer/protocol.py",
          "    if not _arrived(file, destination, temp):\n", "    if False:\n",
          "test_handover.py wrong_bytes or does_nothing"),
    Guard("temp looked at by the next run", "transfer/protocol.py", "if not _temp_is_whole(file, destination):  # somebody",
          "if False:  # somebody", "test_handover.py resuming"),
    Guard("final name looked at before upload", "transfer/protocol.py",
          "    _check_free(file, there, destination, ledger, replace=replace)\n", "",
          "test_handover.py noticed_before"),
    Guard("only our own file is replaced", "transfer/protocol.py",
          "ledger.holder_of(file, destination.hash(file.name))", "True",
          "test_handover.py resuming or appears_during"),
    Guard("a later file is not replaced", "transfer/protocol.py",
          "if ledger.delivery(holder.delivery_id).slot <= ledger.delivery(file.delivery_id).slot:", "if True:",
          "test_guards.py later_file"),
    Guard("intent recorded before the rename", "transfer/protocol.py",
          'file = ledger.advance_file(file, FileState.PUBLISHING)', "pass",
          "test_handover.py dying_at_every_step or collected"),
    Guard("rename looked at", "transfer/protocol.py",
          "return file if _was_renamed(file, destination) else", "return file if True else", "test_handover.py only_said"),
    Guard("rename looked at by the next run", "transfer/protocol.py",
          "        return _confirm(file, destination, ledger)\n    if", "        return file\n    if",
          "test_handover.py only_said"),
    Guard("rename that was not is kept apart", "transfer/protocol.py", 'ledger.advance_file(file, FileState.UNCONFIRMED)', "pass",
          "test_handover.py only_said"),
    Guard("verified by size", "transfer/__init__.py", "return found.size == size or (", "return True or (",
          "test_odd_servers.py only_the_size"),
    Guard("a link is never ours", "transfer/__init__.py", 'if found is None or found.kind == "other":', "if found is None:",
          "test_handover.py a_link"),
    Guard("a server that lets nobody read is not asked to", "transfer/protocol.py",
          '(destination.handling.verify != "hash" or ', "(", "test_odd_servers.py has_a_setting"),
    Guard("a place is one series'", "ledger/book.py",
          '                *(deliveries.c[key] == getattr(ours, key) for key in ("campaign", "integration", "namespace")),\n', "",
          "test_ledger.py only_our_published"),
    Guard("two places alike", "setup.py", "    check_places(known.values(), declared.possible, project)\n", "",
          "test_places.py of_a_run_too"),
    Guard("a redelivery has a key", "schedule/jobs.py", "latest.state in OPEN_STATES or any(", "latest.state in OPEN_STATES or False and any(",
          "test_runs.py asked_for_once"),
    Guard("changes wait for what they stand on", "handing_over.py", "if before := waits_for(self.ledger.delivery(job.key), self.ledger):", "if False:",
          "test_audience_exports.py on_its_way"),
    Guard("a window is not taken back whole", "files/spool.py", " or _vanished(job, content)", "",
          "test_receipts.py holds_after_it"),
    Guard("a lost state directory is said", "ledger/identity.py", "unattended and _beside(state).exists():", "False:",
          "test_runs.py was_lost_is_said"),
    Guard("an account that was refused is left alone", "setup.py", "if account in self._given_up:", "if False:",
          "test_runs.py account_that_was_refused"),
    Guard("neither name is held", "transfer/protocol.py",
          '    seen = "neither it nor its temporary file is to be seen whole"\n',
          '    return ledger.advance_file(file, FileState.PUBLISHED)\n    seen = ""\n', "test_handover.py resuming or answer_lost"),
    Guard("collected at once is delivered", "transfer/protocol.py",
          "    if destination.look(file.name) is not None or destination.look(temp_name(file, destination)) is not None:\n        ledger",
          "    if True:\n        ledger", "test_handover.py collected_at_once"),
    # Where a rename overwrites, and where there is none
    Guard("a rename that overwrites is used only if that was said", "transfer/__init__.py", '"rename": self.rename_refuses,',
          '"rename": self.rename,', "test_checks.py overwrites_is_refused"),
    Guard("what was allowed once is not for ever", "transfer/probe.py", " and kept.method == method:", ":",
          "test_checks.py overwrites_is_refused"),
    Guard("a final name is not opened when it is taken", "transfer/protocol.py",
          "        _check_free(file, destination.look(file.name), destination, ledger, replace=False)\n", "", "test_handover.py never_opened"),
    Guard("opening is recorded before", "transfer/protocol.py", '        file = ledger.advance_file(file, FileState.OPENING)\n', "",
          "test_handover.py another_method"),
    Guard("only what begins as ours is written anew", "transfer/protocol.py", "return destination.hash(file.name, size) == start.hexdigest()",
          "return True", "test_handover.py under_its_final_name"),
    Guard("bytes under the final name are verified", "transfer/protocol.py",
          'if file.role != Role.DONE and not _arrived(file, destination, file.name):', "if False:", "test_handover.py wrong_bytes_under"),
    Guard("a done file is not made again", "transfer/protocol.py", '    elif file.role == Role.DONE:\n', "    elif False:\n",
          "test_handover.py done_file"),
    Guard("a done file is not taken back", "transfer/protocol.py", 'if file.role == Role.DONE:\n            destination.create', 'if False:\n            destination.create',
          "test_checks.py every_step_without_a_rename"),
    Guard("a rename that overwrites is seen", "transfer/probe.py",
          "return destination.look(old) is None or not _holds(destination, new, FIRST)", "return False",
          "test_checked_writer.py overwrites_are or would or believes"),
    Guard("a probe is of this server", "transfer/probe.py", "kept.software == destination.software and ", "",
          "test_checks.py another_server"),
    # The ledger
    Guard("compare-and-set of a delivery", "ledger/book.py", ".where(deliveries.c.id == key, deliveries.c.state == before)",
          ".where(deliveries.c.id == key)", "test_ledger.py can_be_left"),
    Guard("compare-and-set of a file", "ledger/book.py", ", files.c.state == file.state)", ")",
          "test_ledger.py stale_state"),
    Guard("one transaction a step", "ledger/book.py",
          "            connection.execute(files.delete().where(files.c.delivery_id == key))\n",
          "            connection.execute(files.delete().where(files.c.delivery_id == key))\n            connection.commit()\n"
          "            connection.begin()\n", "test_ledger.py all_or_nothing"),
    Guard("published is not sent again by a release", "ledger/book.py",
          '.where(files.c.delivery_id == key, files.c.state != FileState.PUBLISHED)', ".where(files.c.delivery_id == key)",
          "test_ledger.py resending"),
    Guard("only what was published is ours", "ledger/book.py", '            files.c.state == FileState.PUBLISHED,\n', "",
          "test_ledger.py is_ours"),
    Guard("ledger is private", "ledger/storage.py", "os.O_CREAT | os.O_RDWR, 0o600", "os.O_CREAT | os.O_RDWR, 0o644",
          "test_ledger.py private"),
    Guard("steps are synced", "ledger/storage.py", "pragma synchronous=full", "pragma synchronous=off", "test_ledger.py synced"),
    Guard("a read sees what is", "ledger/storage.py", "begin immediate", "begin", "test_ledger.py processes or connections"),
    Guard("ledger of another schema is refused", "ledger/tables.py", "if found != str(VERSION):", "if False:",
          "test_ledger_care.py another_schema"),
    # Several runners
    Guard("who has it in hand keeps it", "ledger/leases.py", ".where(column.id == key, is_free)", ".where(column.id == key)",
          "test_ledger_runners.py in_hand"),
    Guard("a lease that ended gives no right", "ledger/book.py", "if connection.execute(query).scalar() != ours:", "if False:",
          "test_ledger_runners.py slept_through"),
    Guard("each hand has its number", "ledger/leases.py", "fence=column.fence + 1", "fence=column.fence",
          "test_ledger_runners.py temporary_name"),
    Guard("a lease is let go by who has it only", "ledger/leases.py",
          "deliveries.update().where(column.id == key, column.fence == fence)", "deliveries.update().where(column.id == key)",
          "test_ledger_runners.py slept_through"),
    Guard("another host's spool is written anew", "run.py",
          'if row.state == State.SPOOLED and not ledger.is_ours(row.spooled_by):', "if False:",
          "test_ledger_runners.py another_host"),
    # The ledger that it is
    Guard("a ledger that is gone is noticed", "ledger/identity.py", "elif known != runner.ledger:", "elif False:",
          "test_ledger_care.py gone_is_not or another_ledger"),
    Guard("an older ledger is noticed", "ledger/identity.py", "elif step < runner.step:", "elif False:",
          "test_ledger_care.py restored_ledger"),
    Guard("spools without their ledger are noticed", "ledger/identity.py", "runner.ledger is None and step == 0 and _spools(state):", "False:",
          "test_ledger_care.py written_over"),
    Guard("what a restored ledger does not know is held", "ledger/book.py",
          'if not row["revision"] and row["slot"] < _doubt_until(connection):', "if False:",
          "test_ledger_care.py restored_ledger"),
    # Late rows and schedules
    Guard("only what changed leaves", "warehouse/rows.py",
          'batch = batch.filter(pc.is_in(batch[selection.key_column], value_set=selection.keys))', "pass",
          "test_receipts.py only_what_changed"),
    Guard("what was not built again is not compared", "files/receipts.py", "if known == _built(kind.reads, engine):", "if False:",
          "test_receipts.py built_again"),
    Guard("a correction is interrupted and stays one", "schedule/jobs.py", "revision=latest.revision, corrects=latest.corrects", "revision=latest.revision, corrects=None",
          "test_receipts.py goes_on_as_one"),
    Guard("a file without keys is whole", "files/receipts.py",
          'job.integration.existing == "replace" or KEY not in columns or not has_delivered', "False",
          "test_receipts.py without_keys or is_replaced"),
    Guard("what was sent by hand hides nothing", "schedule/slots.py", "first_due(known) or newest", "newest", "test_plan.py by_hand"),
    # The lock
    Guard("lock", "ledger/lock.py", "fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)", "pass", "test_lock.py"),
    Guard("lock does not wait", "ledger/lock.py", "fcntl.LOCK_EX | fcntl.LOCK_NB", "fcntl.LOCK_SH | fcntl.LOCK_NB", "test_lock.py"),
    # Side by side
    Guard("one goes alone until the place answers", "lanes.py", "(self.most if self.answers else 1)", "self.most", "test_lanes.py not_answered"),
    Guard("so many at one place", "lanes.py", "self.under_way < (self.most if self.answers else 1)", "True", "test_lanes.py at_one_place"),
    Guard("the least under way first", "lanes.py", "min(open_, key=lambda place: place.under_way, default=None)", "next(open_, None)", "test_lanes.py at_one_place"),
    Guard("a series goes in order", "lanes.py", "(self._busy.get(series) or place.ready.setdefault(series, deque()))", "place.ready.setdefault(object(), deque())",
          "test_lanes.py in_order"),
    Guard("a crowded place gets one at a time", "lanes.py", "place.most = 1 if crowded else place.most", "pass", "test_lanes.py crowded"),
    Guard("what failed beside others is done again", "handing_over.py", "            raise Again from None", "            raise", "test_side_by_side.py one_connection"),
    Guard("a signal cuts off what is under way", "lanes.py", "            for cut in self._cuts:\n                cut()\n\n    def _start", "            pass\n\n    def _start",
          "test_lanes.py cuts_off"),
    Guard("what waits for a server is woken", "sftp/watchdog.py", "elif self._cut.is_set():", "elif False:", "test_side_by_side.py woken"),
    Guard("nothing begins after a signal", "lanes.py", "while self._free and not self.ended.is_set():", "while self._free:", "test_lanes.py cuts_off"),
    Guard("what cannot be woken records nothing", "ledger/book.py", "self._fences = dict.fromkeys(self._fences, GONE)", "self._fences.clear()",
          "test_ledger_runners.py was_let_go"),
    Guard("who is quicker changes no verdict", "gate/bounds.py", " and not ledger.has_in_hand(row.id)", "", "test_policies.py this_very_run"),
    Guard("a connection is of one login", "sftp/kept.py", "if one[1] == login", "if True", "test_side_by_side.py kept_if"),
    Guard("a connection is kept if all went well", "transfer/sftp_directory.py", "if kind is None and self._login and", "if self._login and", "test_side_by_side.py kept_if"),
    Guard("a connection that is gone is made anew", "transfer/sftp_directory.py", "                if self._watchdog.reason:\n                    raise\n", "                raise\n",
          "test_side_by_side.py kept_if"),
    Guard("a probe is of one login", "ledger/book.py", "there = probes.c.destination.startswith(server, autoescape=True)", "there = sa.true()", "test_side_by_side.py one_probe"),
    Guard("one probe a login", "transfer/probe.py", "if server and ledger.is_proven(", "if False and ledger.is_proven(", "test_side_by_side.py one_probe"),
    Guard("who was late is left for the next run", "setup.py", "            if error.late:\n", "            if False:\n", "test_side_by_side.py left_for_the_next"),
    Guard("one deadline for all tries", "transfer/sftp_directory.py", "time.monotonic() if self._since is None else self._since", "time.monotonic()", "test_side_by_side.py the_deadline"),
    # The runner
    Guard("held stays held", "handing_over.py", 'if row.state == State.HELD:', "if False:", "test_guards.py held_is_said"),
    Guard("delivered is delivered", "handing_over.py", 'if row.state == State.SPOOLED:', "if True:", "test_guards.py second_run"),
    Guard("gate is obeyed", "run.py", "if not verdict.passed and not request.ungated:", "if False:",
          "test_guards.py gate"),
    Guard("failed is tried again", "handing_over.py", "stop=stop_after_attempt(ATTEMPTS)", "stop=stop_after_attempt(1)",
          "test_guards.py tried_again"),
    Guard("refused is not tried again", "handing_over.py", "retry_if_exception_type(DestinationFailed)",
          "retry_if_exception_type(DeliveryError)", "test_guards.py not_tried_again"),
    Guard("two targets alike", "setup.py", 'if other is not job and job.integration.existing != "replace":', "if False:",
          "test_guards.py targets_alike"),
    Guard("layout frozen before delivered", "handing_over.py",
          "    self.ledger.freeze_layout(job.key)  # before", "    pass  # before",
          "test_guards.py layout"),
    # Rows and spool
    Guard("rows are of one namespace", "warehouse/rows.py", "            _check_namespace(batch, selection)\n", "",
          "test_rows.py another_namespace"),
    Guard("query is of one namespace", "warehouse/rows.py",
          'where = f"namespace = {literal(self.namespace)}"\n', 'where = "true"\n',
          "test_rows.py only_the_namespace or another_namespace"),
    Guard("rows are in order", "warehouse/rows.py", "if not pc.all(ascending, min_count=0).as_py():", "if False:", "test_rows.py order"),
    Guard("columns of the layout", "warehouse/rows.py", "    if missing:\n", "    if False:\n", "test_rows.py missing_column"),
    Guard("rows counted again", "files/spool.py", "if written != again or sum(again) != expected:", "if False:",
          "test_guards.py counted"),
    Guard("file read again", "files/spool.py", "again.append(compare(seen, rows, integration.namespace, dialect))",
          "again.append(part.written.rows)", "test_guards.py counted or spoilt"),
    Guard("cells compared", "files/proof.py", "            _check_same(batch", "            len(batch", "test_reread.py"),
    Guard("namespace in the file", "files/proof.py", "        _check_namespace(batch, namespace, rows, how)\n", "",
          "test_reread.py namespace"),
    Guard("header of the file", "files/proof.py", "if reader.schema.names != labels:", "if False:",
          "test_reread.py header"),
    Guard("spool file is new", "files/writer.py", "os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600", "os.O_CREAT | os.O_WRONLY, 0o600",
          "test_files.py private"),
    Guard("spool file is private", "files/writer.py", "os.O_EXCL | os.O_WRONLY, 0o600", "os.O_EXCL | os.O_WRONLY, 0o644",
          "test_files.py private"),
    Guard("spool file that failed is removed", "files/writer.py", "            path.unlink(missing_ok=True)\n", "            pass\n",
          "test_files.py remains or full_disk"),
    Guard("certificate judged", "files/openpgp.py", "if reason := _why_not(_listed(path)):", "if False:",
          "test_encryption.py refused_by_name"),
    Guard("certificate judged before the upload", "handing_over.py",
          "            check_certificate(job.integration.public_key)", "            pass", "test_encryption.py revoked_since"),
    Guard("encrypted is what was proven", "files/spool.py", "if done.source_sha256 != part.written.sha256:", "if False:",
          "test_encryption.py not_proven"),
    Guard("no name until it is proven", "files/spool.py", "closing(Nameless(folder)) if certificate else nullcontext()", "nullcontext()",
          "test_encryption.py plain_rows"),
    Guard("sorted rows begin anew", "files/spool.py", "                    self._plain.cut(begun)\n", "                    pass\n",
          "test_encryption.py stored_order"),
    Guard("row count is obeyed", "files/spool.py", "        if accepted is None:\n", "        if False:\n", "test_policies.py breach"),
    # Retention
    Guard("prune takes the lock", "operations/retention.py", "with only_runner(project.state), closing(Ledger(project.ledger_url)) as ledger:",
          "with closing(Ledger(project.ledger_url)) as ledger:", "test_retention.py at_work"),
    Guard("only delivered is pruned", "operations/retention.py", "state == State.DELIVERED and", "state and",
          "test_retention.py not_delivered"),
    Guard("a name that is needed is not pruned", "operations/retention.py", "if any(self._is_needed(row) for row in rows):", "if False:",
          "test_retention.py another_delivery"),
    Guard("only the ledger's bytes are pruned", "operations/retention.py",
          "if directory.hash(name) not in {row.sha256 for row in rows}:", "if False:", "test_retention.py ledgers_file"),
    Guard("own time of a file", "operations/retention.py",
          "age = self._age(_changed(Path(where, name)), *(_instant(row.updated_at) for row in rows))",
          "age = self._age(*(_instant(row.updated_at) for row in rows))", "test_retention.py future"),
    Guard("time of publishing", "operations/retention.py",
          "age = self._age(_changed(Path(where, name)), *(_instant(row.updated_at) for row in rows))",
          "age = self._age(_changed(Path(where, name)))", "test_retention.py lately"),
    Guard("time that the ledger has seen", "operations/retention.py",
          "return age if self.confirmed else min(age, self._seen_to_pass(youngest))", "return age",
          "test_retention.py jumps_forward or did_not_see"),
    Guard("entries of the future", "operations/retention.py",
          "if entries and entries[-1] > now + timedelta(minutes=5) and days is None:", "if False:",
          "test_retention.py jump_and_back"),
    Guard("spool folders that are needed", "operations/retention.py", "            if folder.name in needed:\n", "            if False:\n",
          "test_retention.py spool_folders"),
    # A directory of this machine
    Guard("local upload is exclusive", "transfer/local_directory.py", "os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW",
          "os.O_WRONLY | os.O_CREAT", "test_local.py nothing_that_lies"),
    Guard("local rename never replaces", "transfer/local_directory.py", "_NOREPLACE = 1", "_NOREPLACE = 0",
          "test_local.py nothing_that_lies"),
    Guard("local rename is one step", "transfer/local_directory.py",
          "            _rename_exclusive(self._fd, check_name(old), check_name(new))\n",
          "            os.link(old, new, src_dir_fd=self._fd, dst_dir_fd=self._fd)\n            os.unlink(old, dir_fd=self._fd)\n",
          "test_local.py one_step"),
    Guard("local look before a rename that replaces", "transfer/local_directory.py",
          "if self._looks and self.look(final):", "if False:", "test_local.py cannot_refuse"),
    Guard("local files are private", "transfer/local_directory.py", "os.fchmod(file.fileno(), PRIVATE)", "os.fchmod(file.fileno(), 0o644)",
          "test_local.py private"),
    Guard("local size is compared", "transfer/local_directory.py",
          "if os.fstat(file.fileno()).st_size != source.tell():", "if False:", "test_local.py wrong_size"),
    Guard("links in the share are not followed", "transfer/local_directory.py", "_open_directory(part, fd, os.O_NOFOLLOW)",
          "_open_directory(part, fd)", "test_local.py link_in_the_share"),
    Guard("links are not hashed", "transfer/local_directory.py", "check_name(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd",
          "check_name(name), os.O_RDONLY | os.O_CLOEXEC, dir_fd", "test_local.py link_is_not_hashed"),
    Guard("names are plain", "schedule/names.py", 'if not name or name in {".", ".."} or _NEVER.search(name):', "if False:",
          "test_local.py plain"),
    # SFTP
    Guard("remote upload is exclusive", "transfer/sftp_directory.py", "sftp.WRITING | sftp.CREATE | sftp.EXCLUSIVE",
          "sftp.WRITING | sftp.CREATE", "test_sftp.py never_uses"),
    Guard("final name looked at before the rename", "transfer/sftp_directory.py", "        if self.look(final):\n            raise NameTaken",
          "        if False:\n            raise NameTaken", "test_checked_writer.py overwrites"),
    Guard("remote files are private", "transfer/sftp_directory.py", "self._session.open(path, flags, self.handling.file_mode if", "self._session.open(path, flags, 0o644 if",
          "test_checked_writer.py private"),
    Guard("remote mode is set", "transfer/sftp_directory.py",
          "self._session.begin_chmod(handle, self.handling.file_mode)", "self._session.begin_chmod(handle, 0o644)",
          "test_checked_writer.py private"),
    Guard("status of WRITE", "sftp/checked_writer.py", "            session.finish(ident)\n            if progress",
          "            with __import__('contextlib').suppress(Status):\n                session.finish(ident)\n            if progress",
          "test_checked_writer.py failed_write"),
    Guard("status of CLOSE", "transfer/sftp_directory.py",
          '        with self._step("close", size):\n            self._session.finish(closing)',
          '        with self._step("close", size), suppress(Status):\n            self._session.finish(closing)',
          "test_checked_writer.py failed_close"),
    Guard("status of fsync", "transfer/sftp_directory.py", "                self._session.finish(syncing)\n",
          "                with suppress(Status):\n                    self._session.finish(syncing)\n",
          "test_checked_writer.py failed_fsync"),
    Guard("size at the server", "transfer/sftp_directory.py", "if written not in {size, None}:", "if False:",
          "test_checked_writer.py short_file"),
    Guard("replies matched by id", "sftp/session.py", "        while ident not in self._early:\n",
          "        while not self._early:\n", "test_checked_writer.py out_of_order or make_no_sense"),
    Guard("reply to no request", "sftp/session.py", "if answered not in self._open:", "if False:",
          "test_checked_writer.py make_no_sense"),
    Guard("no reply without an end", "sftp/watchdog.py", "elif limit is not None and now >= limit:", "elif False:",
          "test_checked_writer.py within_the_timeout"),
    Guard("at most 64 outstanding", "sftp/checked_writer.py", "len(pending) >= OUTSTANDING", "False",
          "test_checked_writer.py outstanding"),
    Guard("pinned host key", "sftp/ssh.py", "if seen not in pins:", "if False:", "test_sftp.py unpinned"),
    Guard("a refused password is given once", "sftp/login.py",
          " and not (name == ASKED and given.get(PASSWORD) is False)", "", "test_login.py given_again"),
    Guard("a password answers no other question", "sftp/login.py",
          "if self.given or len(prompts) > 1 or _SECOND.search(prompts[0]):", "if False:", "test_login.py only_a_person"),
    Guard("an expired password is said", "sftp/transport.py",
          'if self.auth_method == "password":', "if False:", "test_login.py expired"),
    Guard("weak algorithms are off", "sftp/ssh.py",
          "options.ciphers, options.digests = CIPHERS, MACS", "pass", "test_sftp.py weak"),
    Guard("private key file is private", "sftp/keys.py", "if mode & 0o077:", "if False:", "test_sftp.py others_can_read"),
    # What only random sequences would notice, if there were no other test
    Guard("sequences: neither name is held", "transfer/protocol.py",
          '    seen = "neither it nor its temporary file is to be seen whole"\n',
          '    return ledger.advance_file(file, FileState.PUBLISHED)\n    seen = ""\n', "test_sequences.py"),
    Guard("sequences: verified by hash", "transfer/protocol.py", "return destination.hash(name, file.bytes) == file.sha256",
          "return True", "test_sequences.py"),
    Guard("sequences: rename looked at", "transfer/protocol.py",
          "return file if _was_renamed(file, destination) else", "return file if True else", "test_sequences.py"),
    Guard("sequences: lock", "ledger/lock.py", "fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)", "pass", "test_sequences.py"),
    Guard("sequences: held stays held", "handing_over.py", 'if row.state == State.HELD:',
          'if row.state == State.HELD and self.ledger.resend(row.id, anew=False, note=""):',
          "test_sequences.py"),
    # Words
    Guard("addresses are redacted", "errors.py", 'return _ADDRESS.sub("<address>", text)', "return text",
          "test_errors.py"),
]  # fmt: skip


def check(guard: Guard) -> str:
    """Removes the guard from a copy and runs its tests: `caught`, or what is wrong."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        copy = Path(folder)
        for name in ("delivery", "tests"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        beside = ("models", "macros", "dbt_packages", "seeds", "landing")
        for name in ("pyproject.toml", *[p.name for p in ROOT.glob("*.yml")], *beside):
            if (ROOT / name).exists() and not (copy / name).exists():
                (copy / name).symlink_to(ROOT / name)
        path = copy / "delivery" / guard.file
        text = path.read_text()
        if text.count(guard.before) != 1:
            return f"its text stands {text.count(guard.before)} times in {guard.file}"
        path.write_text(text.replace(guard.before, guard.after))
        file, _, words = guard.tests.partition(" ")
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"tests/delivery/{file}"]
        try:
            done = subprocess.run(
                [*command, *(["-k", words] if words else [])],
                cwd=copy,
                env=os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "SEQUENCES": "500"},
                text=True,
                capture_output=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "caught"  # a test that hangs has noticed
        if done.returncode == 1:
            return "caught"
        return f"pytest ended with {done.returncode}: {' '.join(done.stdout.split())[-200:]}"


def main() -> int:
    chosen = [guard for guard in GUARDS if not sys.argv[1:] or guard.name in sys.argv[1:]]
    with ThreadPoolExecutor(WORKERS) as pool:
        results = list(zip(chosen, pool.map(check, chosen), strict=True))
    for guard, result in results:
        if result != "caught":
            print(f"{guard.name}: NOT caught by {guard.tests}: {result}")
    caught = sum(result == "caught" for _, result in results)
    print(f"mutations: {len(results)} guards {caught} caught")
    return 0 if caught == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
