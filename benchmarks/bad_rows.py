"""What bad rows cost a build, and what it costs to look for them.

`python -m benchmarks.bad_rows --events N` makes a day, then builds and tests it from nothing, in turn

- few: a hundredth of the events, which is dbt's cost of its nodes;
- without: as it is;
- with: one event in a hundred replaced by one that cannot be read or used;
- with, and bytes: in each file also bytes that are no UTF-8, so that it is taken apart line by line;
- not looked for: as `without`, by models that look at no file, and at no line for what readers differ in.

CPU seconds of dbt and what it started; one JSON line a build, then medians and their ratios. `of the rows`: without
what `few` takes, so that it holds for a day of any size.
"""

from __future__ import annotations

import json
import re
import shutil
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import click

from benchmarks.generate import generate
from benchmarks.namespaces import DAY
from benchmarks.project import ROOT, link_sources, run

EACH = 100  # one in so many events is bad
KINDS = {"few": "few", "without": "day", "with": "bad", "with, and bytes": "bytes", "not looked for": "day"}  # landings
# What looks at files and lines, in macros/engine/landing.sql: what stands for it when nothing is looked for.
LOOKED = {
    "duckdb__file_fault(file_name)": "cast(null as varchar)",
    "duckdb__json_fault(line)": "cast(null as varchar)",
    "duckdb__shape_fault(line)": "cast(null as varchar)",
    "duckdb__readable(line)": "{{ line }}",
    "duckdb__names_fault(names)": "cast(null as varchar)",
    "duckdb__names_of(text)": "null",
}


def _with(name: str, value: object) -> Callable[[bytes], bytes]:
    """The line with a field of its payload that holds something else."""

    def changed(line: bytes) -> bytes:
        document = json.loads(line)
        document["payload"][name] = value
        return json.dumps(document).encode()

    return changed


BAD: tuple[Callable[[bytes], bytes], ...] = (
    _with("email", "a b@example.com"),
    _with("email", None),
    _with("namespace", "of_nobody"),
    _with("event", "surprise"),
    _with("useragent", "a\0b"),
    _with("url", "half \ud83d"),
    lambda line: line[: len(line) // 2],
    lambda line: line.replace(b'{"received_at"', b'{"received_at":"0001-01-01T00:00:00Z","before"', 1),
    lambda line: line[:-2] + b',"a":NaN}}',
    lambda line: line[:-2] + b',"email":"b@example.com","email":"c@example.com"}}',
)
NOT_UTF8: Callable[[bytes], bytes] = lambda line: line[:-2] + b',"a":"\xff\xfe"}}'  # noqa: E731


def spoil(landing: Path, *, bytes_too: bool) -> int:
    """Replaces one event in a hundred; how many. bytes_too: also one in each file by bytes that are no UTF-8."""
    spoilt = 0
    for path in sorted((landing / "sendgrid").glob("*-[0-9][0-9][0-9].ndjson")):  # a line of these is one event
        lines = path.read_bytes().splitlines()
        for number in range(0, len(lines), EACH):
            lines[number] = BAD[spoilt % len(BAD)](lines[number])
            spoilt += 1
        if bytes_too:
            lines[EACH // 2] = NOT_UTF8(lines[EACH // 2])
        path.write_bytes(b"".join(line + b"\n" for line in lines))
    return spoilt


def unguarded(root: Path) -> Path:
    """The macros without those that look for what is bad, in a folder of `root`."""
    copy = root / "macros_that_look_at_nothing"
    shutil.copytree(ROOT / "macros", copy)
    path = copy / "engine" / "landing.sql"
    text = path.read_text()
    for name, instead in LOOKED.items():
        text, found = re.subn(
            rf"({re.escape('{% macro ' + name + ' -%}')}).*?(\{{%- endmacro %\}})",
            rf"\1{instead}\2",
            text,
            flags=re.DOTALL,
        )
        if found != 1:
            raise click.ClickException(f"{path.name} has no macro {name}.")
    path.write_text(text.replace("damaged_files(files, root)", "[]"))
    return copy


def build(root: Path, landing: Path, macros: Path) -> float:
    """Builds from nothing and tests all; CPU seconds."""
    (root / "warehouse.duckdb").unlink(missing_ok=True)
    for name, target in (("landing", landing), ("macros", macros)):
        (root / name).unlink(missing_ok=True)
        (root / name).symlink_to(target)
    run(root, "dbt", "parse")  # which is not to be counted
    # The test that reads damaged files of its own knows when nothing is looked for.
    left_out = ("--exclude-resource-type", "unit_test", "--exclude", "landed_files_are_read_as_they_are")
    return run(root, "dbt", "build", *left_out).cpu_seconds


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--events", type=click.IntRange(min=10_000), default=300_000, help="Of the day.")
@click.option("--repeat", type=click.IntRange(min=1), default=3, help="Builds of each kind.")
def main(events: int, repeat: int) -> None:
    """CPU seconds of each build, medians and ratios, as JSON on stdout."""
    taken: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory(prefix="bad-rows") as folder:
        root, landings = Path(folder) / "project", Path(folder)
        root.mkdir()
        link_sources(root)
        generate(landings / "few", events=events // EACH, days=1, namespaces=3, seed=1, start=DAY)
        generate(landings / "day", events=events, days=1, namespaces=3, seed=1, start=DAY)
        for name in ("bad", "bytes"):
            shutil.copytree(landings / "day", landings / name)
            spoil(landings / name, bytes_too=name == "bytes")
        looks_not = unguarded(root)
        for _ in range(repeat):
            for kind, landing in KINDS.items():
                macros = looks_not if kind == "not looked for" else ROOT / "macros"
                taken[kind].append(build(root, landings / landing, macros))
                click.echo(json.dumps({"build": kind, "cpu_seconds": round(taken[kind][-1], 1)}))
    medians = {kind: statistics.median(some) for kind, some in taken.items()}
    compared = [("with", "without"), ("with, and bytes", "without"), ("without", "not looked for")]
    few = medians["few"]
    found = {
        "events": events,
        "medians": {kind: round(seconds, 1) for kind, seconds in medians.items()},
        "ratios": {f"{a} / {b}": round(medians[a] / medians[b], 3) for a, b in compared},
        "of the rows": {f"{a} / {b}": round((medians[a] - few) / (medians[b] - few), 3) for a, b in compared},
    }
    click.echo(json.dumps(found))


if __name__ == "__main__":
    main()
