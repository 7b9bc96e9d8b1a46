"""The files with which deliveries to a first client begin: integrations.yml, a campaign, and dbt's packages.yml."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import yaml

import delivery
from delivery.config.datasets import PACKAGE
from delivery.config.integrations_file import Integrations
from delivery.config.values import NAME
from delivery.config.yaml_file import read_yaml
from delivery.errors import ConfigError
from delivery.files.disk import writing
from delivery.operations.checks import address
from delivery.windows import check_cron

if TYPE_CHECKING:
    from collections.abc import Iterable

OTHERS = "Give other options, or other answers."


@dataclass(frozen=True)
class Wanted:
    """A first client and campaign. destination: its type; host to host_key: of `sftp`, host with or without a port."""

    client: str
    dataset: str
    destination: str
    directory: str
    schedule: str
    host: str = ""
    username: str = ""
    host_key: str = ""

    @property
    def campaign(self) -> str:
        """Its name, as dbt takes it."""
        return f"{self.dataset}_to_{self.client}".replace("-", "_")

    @property
    def variable(self) -> str:
        """The environment variable of the password."""
        return "SFTP_PASSWORD_" + self.client.upper().replace("-", "_")


@dataclass(frozen=True)
class FirstFiles:
    """What was written, and what is left to do."""

    files: list[str]
    next: list[str]


def write_first_files(root: Path, wanted: Wanted) -> FirstFiles:
    """Writes the files below `root`, a dbt project.

    Raises ConfigError, before any is written, when one is there already or what is wanted has a fault; and WriteFailed.
    """
    _check(wanted)
    project = read_yaml(root / "dbt_project.yml", hint="Change into a dbt project, or name it with --project-dir.")
    paths = project.get("model-paths") if isinstance(project, dict) else None
    models = Path(paths[0] if isinstance(paths, list) and paths and isinstance(paths[0], str) else "models")
    texts = {
        Path("integrations.yml"): "# Every key: docs/configure-a-client.md.\n"
        + _yaml({"integrations": {wanted.client: _entry(wanted)}}),
        models / "campaigns" / f"{wanted.campaign}.yml": _yaml({"version": 2, "exposures": [_exposure(wanted)]}),
    }
    package = {"local": str(Path(delivery.__file__).parent / "dbt_package")}
    declares = any((root / name).is_file() for name in ("packages.yml", "dependencies.yml"))
    if not declares:
        texts[Path("packages.yml")] = _yaml({"packages": [package]})
    if there := [str(path) for path in texts if os.path.lexists(root / path)]:
        raise ConfigError(
            f"There is already {', '.join(there)}; nothing was written.",
            hint="Add to it by hand: docs/configure-a-client.md.",
        )
    with TemporaryDirectory() as folder:  # read as every command reads it, before it is there
        path = Path(folder) / "integrations.yml"
        path.write_text(texts[Path(path.name)], encoding="utf-8")
        try:
            Integrations(path).usable(secrets=False)
        except ConfigError as error:
            faults = error.message.partition("\n")[2]
            raise ConfigError(f"Nothing was written:\n{faults}", hint=OTHERS) from None
    with ExitStack() as written:  # what is left of a failure would be in the way of the next try
        for path, text in texts.items():
            with writing(root / path):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                written.callback((root / path).unlink, missing_ok=True)
                (root / path).write_text(text, encoding="utf-8")
        written.pop_all()
    has_package = (root / "dbt_packages" / PACKAGE).is_dir()
    return FirstFiles([str(path) for path in texts], list(_next(wanted, package if declares else None, has_package)))


def _check(wanted: Wanted) -> None:
    faults = [
        f"{what}: letters and digits, after the first - and _ (seen: {name!r})"
        for what, name in (("client", wanted.client), ("dataset", wanted.dataset))
        if not NAME.fullmatch(name)
    ]
    if fault := None if wanted.schedule == "once" else check_cron(wanted.schedule):
        faults.append(f"schedule: neither `once` nor a cron expression: {fault}")
    if faults:
        raise ConfigError("\n".join(["Nothing was written:", *(f"  {fault}" for fault in faults)]), hint=OTHERS)


def _entry(wanted: Wanted) -> dict[str, Any]:
    destination: dict[str, Any] = {"type": wanted.destination}
    if wanted.destination == "sftp":
        host, port = address(wanted.host) or (wanted.host, 22)
        password = f"{{{{ env_var('{wanted.variable}') }}}}"
        destination |= {"host": host, "port": port, "username": wanted.username, "password": password}
        destination |= {"host_keys": [wanted.host_key]}
    return {
        "vendor_name": wanted.client,
        "namespace": wanted.client,
        "directory": wanted.directory,
        "destination": destination,
    }


def _exposure(wanted: Wanted) -> dict[str, Any]:
    export = {"dataset": wanted.dataset, "integrations": [wanted.client], "schedule": wanted.schedule}
    return {
        "name": wanted.campaign,
        "description": f"What {wanted.client} gets of {wanted.dataset}.",
        "type": "application",
        "owner": {"name": "whoever answers for it"},
        "depends_on": [f"ref('{wanted.dataset}')"],
        "config": {"meta": {"export": export}},
    }


def _next(wanted: Wanted, package: dict[str, str] | None, has_package: bool) -> Iterable[str]:
    if not has_package:
        if package:
            yield f"Add to the packages of dbt: - local: {package['local']}"
        yield "dbt deps"
    yield (
        f"In the yml of {wanted.dataset}: `config: {{meta: {{dataset: {{order_by: [its key]}}}}}}`, its columns with "
        "`namespace` among them, and tests `unique` and `not_null` of the key."
    )
    if wanted.destination == "sftp":
        yield f"Set {wanted.variable} in the environment."
    yield f"delivery check {wanted.client}"
    yield "delivery run --due --build"


def _yaml(content: Any) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)
