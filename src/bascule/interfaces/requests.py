"""What the store keeps of requests."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from bascule.domain.ids import ResourceId
from bascule.domain.lifecycle import AZURE_REQUESTS, RequestState
from bascule.domain.request import AccessRequest
from bascule.interfaces.approvals import Approver


class RequestReads(Protocol):
    def request(self, request_id: str) -> AccessRequest | None: ...

    def requests_of(self, request_ids: Sequence[str]) -> Mapping[str, AccessRequest]:
        """By id; those that are not there are missing."""
        ...

    def requests(
        self,
        policy_id: ResourceId | None = None,
        machine_uid: str | None = None,
        requestor_id: str | None = None,
        since: datetime | None = None,
        states: Collection[RequestState] = AZURE_REQUESTS,
        after: tuple[datetime, str] | None = None,
        limit: int = 1000,
        waiting_for: tuple[Approver, datetime] | None = None,
        decided_by: str | None = None,
        needs_review: bool = False,
    ) -> Sequence[AccessRequest]:
        """Newest first (started_at, id descending); ``after`` is the last of the page before.

        ``since`` keeps those begun at or after it *and* those that still have a live grant.
        ``states`` keeps those in one of them. Of those that have no grant, such as refused ones,
        ``machine_uid`` keeps those that asked for that machine. ``waiting_for`` keeps those that wait
        for this approver at that moment, ``decided_by`` those that this person approved or denied.
        ``needs_review`` keeps emergency access that was given and that nobody has reviewed.
        """
        ...


class RequestWrites(RequestReads, Protocol):
    def add_request(self, request: AccessRequest) -> None:
        """Add one that begins; its state follows its grants from then on, by itself."""
        ...

    def forget_refused(self, requestor_id: str, most: int) -> None:
        """Delete the oldest refused requests of a requestor beyond ``most``."""
        ...
