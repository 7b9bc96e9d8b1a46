"""Where things are: the dbt project, its target, its artifacts, the ledger, the spool and the share."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import TemplateError
from jinja2.sandbox import SandboxedEnvironment

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
        """`integrations.yml`, beside `profiles.yml`."""
        return self.root / "integrations.yml"

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
            document: dict[str, Any] = json.loads(path.read_bytes())
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
    profiles = _rendered(root / "profiles.yml")
    name = yaml.safe_load((root / "dbt_project.yml").read_text(encoding="utf-8"))["profile"]
    try:
        outputs, default = profiles[name]["outputs"], profiles[name]["target"]
    except (KeyError, TypeError):
        raise ConfigError(f"profiles.yml has no profile {name!r} with outputs and a target.") from None
    chosen = target or default
    if chosen not in outputs:
        raise ConfigError(f"Unknown target {chosen!r}.", hint=f"Known: {', '.join(outputs)}.")
    state = root / os.environ.get("DELIVERY_STATE", ".delivery")
    share = root / os.environ.get("DELIVERY_SHARE", "share")
    url = ledger or os.environ.get("DELIVERY_LEDGER") or f"sqlite:///{state / 'ledger.sqlite'}"
    return Project(root, chosen, outputs[chosen], state, share, url)


def _rendered(path: Path) -> Any:
    templates = SandboxedEnvironment()
    templates.globals = {"env_var": lambda name, default=None: os.environ.get(name, default)}
    try:
        return yaml.safe_load(templates.from_string(path.read_text(encoding="utf-8")).render())
    except FileNotFoundError:
        raise ConfigError(f"No profiles.yml in {path.parent}.") from None
    except (yaml.YAMLError, TemplateError) as error:
        raise ConfigError(f"profiles.yml cannot be read: {str(error).splitlines()[0]}") from None
