"""Signing in: passwords, second factors, providers, codes, refresh tokens, sessions."""

from __future__ import annotations

from bascule.store.rows import Rows


class SignInReads(Rows):
    __slots__ = ()


class SignInWrites(SignInReads):
    __slots__ = ()
