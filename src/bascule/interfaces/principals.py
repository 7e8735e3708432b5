"""What the store keeps of users, groups and service principals."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from bascule.domain.access import PrincipalKind
from bascule.domain.principals import Credential, Group, Membership, ServicePrincipal, User


class PrincipalReads(Protocol):
    def user(self, user_id: str) -> User | None: ...

    def user_by_name(self, name: str) -> User | None:
        """By the user principal name, without regard to case."""
        ...

    def users(
        self, after: str = "", limit: int = 1000, *, part: str = "", is_descending: bool = False
    ) -> Sequence[User]:
        """Those whose names contain ``part``, without regard to case, ordered by folded name;
        ``after`` is the last folded name of the page before.
        """
        ...

    def count_users(self, part: str = "") -> int:
        """How many ``users`` would give, on all pages."""
        ...

    def service_principal(self, principal_id: str) -> ServicePrincipal | None: ...

    def service_principals(self, after: str = "", limit: int = 1000) -> Sequence[ServicePrincipal]:
        """Ordered by id."""
        ...

    def service_principals_by_name(
        self,
        after: tuple[str, str] = ("", ""),
        limit: int = 1000,
        *,
        part: str = "",
        is_descending: bool = False,
    ) -> Sequence[ServicePrincipal]:
        """Those whose names contain ``part``, without regard to case, ordered by folded name and
        id; ``after`` is both of the last of the page before.
        """
        ...

    def service_principals_called(self, name: str) -> Sequence[ServicePrincipal]:
        """Without regard to case; several may have one name. Ordered by id; bounded."""
        ...

    def count_service_principals(self, part: str = "") -> int:
        """How many ``service_principals_by_name`` would give, on all pages."""
        ...

    def credential(self, key_id: str) -> Credential | None: ...

    def credentials_of(self, principal_id: str) -> Sequence[Credential]:
        """Of one service principal, expired ones too, oldest first."""
        ...

    def group(self, group_id: str) -> Group | None: ...

    def group_by_name(self, name: str) -> Group | None:
        """Without regard to case."""
        ...

    def groups(
        self, after: str = "", limit: int = 1000, *, part: str = "", is_descending: bool = False
    ) -> Sequence[Group]:
        """As ``users``."""
        ...

    def count_groups(self, part: str = "") -> int:
        """How many ``groups`` would give, on all pages."""
        ...

    def members_of(self, group_id: str) -> Sequence[Membership]:
        """Ordered by member id; expired ones too."""
        ...

    def memberships_of(self, member_id: str, now: datetime) -> Sequence[Membership]:
        """Those that hold at ``now``, ordered by group id."""
        ...

    def next_membership_end(self) -> datetime | None:
        """The earliest end of any membership, passed or to come; None when none ends."""
        ...

    def ended_memberships(self, now: datetime, limit: int = 1000) -> Sequence[Membership]:
        """Those whose time is over."""
        ...

    def principal_kind(self, principal_id: str) -> PrincipalKind | None:
        """USER, SERVICE or GROUP; None when there is no such principal."""
        ...


class PrincipalWrites(PrincipalReads, Protocol):
    def put_user(self, user: User) -> None:
        """Raises Conflict when another has the name."""
        ...

    def put_service_principal(self, principal: ServicePrincipal) -> None: ...

    def put_group(self, group: Group) -> None:
        """Raises Conflict when another has the name."""
        ...

    def delete_principal(self, principal_id: str) -> None:
        """Forget a user, service principal or group with its credentials, memberships and
        role assignments; requests, grants and events stay.
        """
        ...

    def put_credential(self, credential: Credential) -> None: ...

    def delete_credential(self, key_id: str) -> None: ...

    def put_membership(self, membership: Membership) -> None: ...

    def delete_membership(self, group_id: str, member_id: str, provider_id: str = "") -> None: ...
