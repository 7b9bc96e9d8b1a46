"""Between a client and us: destinations proven beforehand, files checked afterwards, the dictionary, the schema."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import click

from delivery.cli.command import command, project
from delivery.console import Table, Text, View, as_text, said
from delivery.errors import ExitCode


@command(tables=True)
@click.argument("integration", nargs=-1)
def check(*, integration: tuple[str, ...]) -> View:
    """Connect to each INTEGRATION (all by default), and prove write, rename and delete with a probe file."""
    from delivery.operations import checks

    found = checks.check(project(), integration)
    return View(
        {"integrations": [result.as_dict() for result in found]},
        [
            Table(
                ["integration", "where", "result", "publish", "offers"],
                [[r.integration, r.where, "ok" if r.ok else "failed", r.publish, r.offers()] for r in found],
            ),
            *(f"\n{result.integration}:\n{said(result.error)}" for result in found if result.error),
            *(f"\n{result.integration}: {result.left}" for result in found if result.left),
        ],
        max((r.error.exit_code for r in found if r.error), default=ExitCode.DONE),
    )


@command()
@click.argument("server", metavar="INTEGRATION|HOST[:PORT]")
def trust(*, server: str) -> View:
    """Show the host keys of an SFTP server, INTEGRATION|HOST[:PORT], to be compared with the client and pinned."""
    from delivery.operations import checks

    at = checks.address(server)
    keys = checks.keys_at(*at) if at else checks.host_keys(project(), server)
    return View(
        {"server": server, "host_keys": [{"key": key, "fingerprint": known} for key, known in keys]},
        [
            "Compare the fingerprints with what the client tells you, then pin below the integration's `destination`:",
            Text("host_keys:\n" + "".join(f"  - {key}  # {fingerprint}\n" for key, fingerprint in keys)),
        ],
    )


@command(tables=True)
@click.argument("path", type=click.Path(path_type=Path))
def verify(*, path: Path) -> View:
    """Check the files at PATH (a manifest, a file or a directory) against their manifests."""
    from delivery.files import manifest

    found = manifest.verify(path)
    return View(
        {"files": found},
        [
            Table(
                ["file", "#rows", "#bytes", "result"],
                [[r.file or r.manifest, r.rows, r.bytes, r.problem or "as the manifest says"] for r in found],
            )
        ],
        ExitCode.FAILED if any(result.problem for result in found) else ExitCode.DONE,
    )


@command()
@click.option("--namespace", metavar="NAME", help="Without the definitions that only other clients have.")
@click.option("--html", is_flag=True, help="One HTML page that needs nothing else, instead of Markdown.")
@click.option("-o", "--output", type=click.File("w", "utf-8", atomic=True), help="A file. [default: stdout]")
def dictionary(*, namespace: str | None, html: bool, output: IO[str] | None) -> View:
    """Write the data dictionary: every dataset and column that a file may have, for a client's IT."""
    from delivery.operations import dictionary as pages

    found = pages.dictionary(project().manifest(), namespace)
    text = pages.render(found, "html" if html else "markdown")
    if output is not None:
        output.write(text)
    return View({"datasets": found}, [Text(text)] if output is None else [])


@command()
def schema() -> View:
    """Print the JSON Schema of integrations.yml, for editors."""
    from delivery.config import integrations

    document = integrations.json_schema()
    return View(document, [Text(as_text(document) + "\n")])
