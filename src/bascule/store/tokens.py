"""Codes, refresh tokens and sessions: what signing in leaves behind."""

from __future__ import annotations

from bascule.store.rows import Rows


class TokenReads(Rows):
    __slots__ = ()


class TokenWrites(TokenReads):
    __slots__ = ()
