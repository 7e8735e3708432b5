"""Where this tool is signed in: config.json, readable by its owner alone, and the token beside it.

$BASCULE_CONFIG, else $XDG_CONFIG_HOME/bascule/config.json (~/.config/...)
$XDG_STATE_HOME/bascule/token.json (~/.local/state/...)   XDG Base Directory 0.8
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from bascule.client.private_file import write_private
from bascule.domain.ids import is_guid, is_resource_group_name
from bascule.errors import AuthenticationFailed, ConfigurationError

DEFAULT_GROUP = "default"


@dataclass(frozen=True, slots=True)
class Profile:
    """A server, and who we are there."""

    endpoint: str  # https://host[:port]
    ca_file: str  # absolute; empty: what this system trusts
    tenant_id: str
    subscription_id: str
    client_id: str
    client_secret: str
    resource_group: str = DEFAULT_GROUP  # where new machines go
    user: str = ""  # the person who signed in; empty: a program, by client_id and client_secret
    name: str = ""  # of the program, as the server said it at the sign-in; for people to read

    @property
    def who(self) -> str:
        if self.user or not self.name:
            return self.user or self.client_id
        return f"{self.name} ({self.client_id})"

    def __repr__(self) -> str:
        return f"Profile({self.endpoint!r}, {self.client_id!r})"


def config_path() -> Path:
    named = os.environ.get("BASCULE_CONFIG")
    return Path(named) if named else _folder("XDG_CONFIG_HOME", ".config") / "config.json"


def token_path() -> Path:
    return _folder("XDG_STATE_HOME", ".local/state") / "token.json"


def _folder(variable: str, fallback: str) -> Path:
    named = os.environ.get(variable, "")
    # XDG: a relative path is to be passed over.
    return (Path(named) if named.startswith("/") else _home(variable) / fallback) / "bascule"


def _home(variable: str) -> Path:
    try:
        return Path.home()
    except RuntimeError:  # neither HOME nor the accounts of this system name one
        raise ConfigurationError(
            "This account has no home directory.",
            advice=f"Set HOME, or {variable}, to a directory.",
        ) from None


def load_profile() -> Profile:
    """Who we are signed in as; raises AuthenticationFailed when nobody is."""
    path = config_path()
    try:
        data = json.loads(path.read_text())
        known = {each.name for each in fields(Profile)}
        profile = Profile(**{name: str(value) for name, value in data.items() if name in known})
    except FileNotFoundError:
        raise AuthenticationFailed(
            "You are not signed in.",
            code="NotSignedIn",
            advice="Sign in first: bascule login --admin-file FILE, or bascule login --endpoint URL ...",
        ) from None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise _damaged(path, str(error)) from None
    if not (is_guid(profile.tenant_id) and is_guid(profile.subscription_id)):
        raise _damaged(path, "tenant_id and subscription_id must be GUIDs")
    if not is_resource_group_name(profile.resource_group):
        raise _damaged(path, "resource_group is not a valid name")
    return profile


def save_profile(profile: Profile) -> Path:
    path = config_path()
    try:
        write_private(path, json.dumps(asdict(profile), indent=2) + "\n")
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error}.",
            advice="Choose another file with BASCULE_CONFIG.",
        ) from None
    return path


def _damaged(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path} cannot be used: {why}.", advice="Sign in again: bascule login."
    )
