"""Logging set-up, and no business word: one JSON object a line on standard error.

A value whose key says that it is a secret is never written, whoever logs it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any

import structlog

_SECRET_WORDS = ("secret", "password", "token", "authorization", "assertion", "private", "cookie")
HIDDEN = "[hidden]"


def hide_secrets(
    logger: object, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace the value of every key that names a secret."""
    del logger, method
    for key in event:
        if _is_secret(key):
            event[key] = HIDDEN
    return event


@lru_cache(maxsize=1024)
def _is_secret(key: str) -> bool:
    """Keys are few and come again in every line."""
    return any(word in key.casefold() for word in _SECRET_WORDS)


def set_up_logging(*, is_verbose: bool = False) -> None:
    """JSON lines on standard error; on a terminal, the same for eyes."""
    is_terminal = sys.stderr.isatty()
    renderer: Any = (
        structlog.dev.ConsoleRenderer()
        if is_terminal
        else structlog.processors.JSONRenderer(ensure_ascii=True)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            hide_secrets,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.DEBUG if is_verbose else logging.INFO
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
