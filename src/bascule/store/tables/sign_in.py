"""Signing in: passwords, second factors, providers, codes, refresh tokens, sessions."""

from __future__ import annotations
