"""Reading what an earlier start left in the data directory; ``bascule.files`` writes."""

from __future__ import annotations

from pathlib import Path

from bascule.errors import ConfigurationError


def read_if_present(path: Path) -> bytes | None:
    """The file's content, None when there is none; raise ConfigurationError otherwise."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}.",
            advice="Run the server as the account that owns its data directory.",
        ) from error
