"""Codes, refresh tokens and sessions: what signing in leaves behind."""

from __future__ import annotations
