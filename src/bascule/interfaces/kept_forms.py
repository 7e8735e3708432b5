"""Forms that wait for their user to sign in again (``portal.kept``)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

KEPT_FOR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class KeptForm:
    ticket_hash: str  # SHA-256 hex of the cookie that only the browser has
    user_id: str
    path: str  # where it was sent
    text: str = field(repr=False)  # as it is sent
    kept_at: datetime


class KeptFormReads(Protocol):
    def kept_form(self, ticket_hash: str) -> KeptForm | None: ...

    def kept_form_of(self, user_id: str) -> KeptForm | None: ...

    def has_kept_forms(self, kept_by: datetime) -> bool:
        """Are there any that were kept then or before?"""
        ...


class KeptFormWrites(KeptFormReads, Protocol):
    def keep_form(self, form: KeptForm, most: int) -> None:
        """In place of that user's one before; of more than ``most`` the oldest go. Raises Conflict
        when its user is not there.
        """
        ...

    def drop_kept_form(self, ticket_hash: str) -> None: ...

    def drop_kept_forms(self, kept_by: datetime) -> None:
        """Those that were kept then or before."""
        ...
