"""Where things are: the dbt project, its target, its artifacts, the ledger, the spool and the share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from delivery.config.yaml_file import read_yaml, render
from delivery.errors import ConfigError


@dataclass(frozen=True)
class Project:
    """One dbt project and one of its targets. state: private to the runner, 0700; share: the hosted share's root."""

    root: Path
    target: str
    profile: dict[str, Any]
    state: Path
    share: Path
    ledger_url: str

    @property
    def integrations_file(self) -> Path:
        """`integrations.yml`, beside `dbt_project.yml`."""
        return self.root / "integrations.yml"

    @property
    def profiles(self) -> Path:
        """The folder in which dbt finds profiles.yml."""
        return _profiles(self.root)

    @property
    def target_path(self) -> Path:
        """Where dbt writes its artifacts."""
        return self.root / os.environ.get("DBT_TARGET_PATH", "target")

    @property
    def spool(self) -> Path:
        """Files on their way out."""
        return self.state / "spool"

    def manifest(self) -> dict[str, Any]:
        """dbt's manifest.json as it is. Raises ConfigError when dbt has not parsed the project yet."""
        path = self.target_path / "manifest.json"
        try:
            document: dict[str, Any] = from_json(path.read_bytes())
        except FileNotFoundError:
            raise ConfigError(f"No manifest at {path}.", hint="Run `dbt build`, or `delivery run --build`.") from None
        except ValueError:
            raise ConfigError(f"{path} is not whole.", hint="Run `dbt parse` again.") from None
        return document


def open_project(root: Path, target: str | None, ledger: str | None) -> Project:
    """The project at `root`. Raises ConfigError when there is no dbt project or no such target."""
    root = root.resolve()
    if not (root / "dbt_project.yml").is_file():
        raise ConfigError(f"{root} is not a dbt project.", hint="Change into one, or name it with --project-dir.")
    name = _profile_name(root / "dbt_project.yml")
    profiles = read_yaml(_profiles(root) / "profiles.yml")
    try:
        outputs, default = profiles[name]["outputs"], profiles[name].get("target", "default")
        chosen = target or _filled_in(default, "target")
        known = list(outputs)
    except (KeyError, TypeError, AttributeError):
        raise ConfigError(f"profiles.yml has no profile {name!r} with outputs and a target.") from None
    if chosen not in known:
        raise ConfigError(f"Unknown target {chosen!r}.", hint=f"Known: {', '.join(known)}.")
    state = root / os.environ.get("DELIVERY_STATE", ".delivery")
    share = root / os.environ.get("DELIVERY_SHARE", "share")
    url = ledger or os.environ.get("DELIVERY_LEDGER") or f"sqlite:///{state / 'ledger.sqlite'}"
    return Project(root, chosen, _filled_in(outputs[chosen], f"{name}.outputs.{chosen}"), state, share, url)


def _profiles(root: Path) -> Path:
    """Where dbt would look; the project's own folder when there is none anywhere."""
    if said := os.environ.get("DBT_PROFILES_DIR"):
        return root / Path(said).expanduser()
    of_user = Path.home() / ".dbt"
    is_there = (of_user / "profiles.yml").is_file() and not (root / "profiles.yml").is_file()
    return of_user if is_there else root


def _profile_name(path: Path) -> str:
    document = read_yaml(path)
    if not isinstance(document, dict) or not isinstance(document.get("profile"), str):
        raise ConfigError(f"{path.name} names no profile.", hint="Add `profile:`, a profile of profiles.yml.")
    return str(document["profile"])


def _filled_in(node: Any, where: str) -> Any:
    """A part of profiles.yml with its variables; of the other targets, none need be set."""
    faults: dict[str, str] = {}
    filled = render(node, where, faults, faults)
    if faults:
        shown = "; ".join(f"{path}: {message}" for path, message in faults.items())
        raise ConfigError(f"profiles.yml: {shown}.", hint="Set it, or choose another target with --target.")
    return filled
