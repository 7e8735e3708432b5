"""Scopes: where a role is assigned, and what lies below it.

Source: Azure RBAC's scope grammar: a subscription, a resource group of it, or a resource
in one. A scope contains itself and whatever has it as a prefix of *whole segments*, without
regard to case, so that ``rg1`` never contains ``rg10``.
"""

from __future__ import annotations

from dataclasses import dataclass

from bascule.domain.ids import ResourceId, is_guid, is_resource_group_name
from bascule.errors import InvalidInput
from bascule.sentences import sentence


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """A scope as it was written; equality and hash ignore case."""

    text: str  # no slash at the end; "/" is the root

    @property
    def key(self) -> str:
        """The form that is compared and stored; the root's is empty."""
        return self.text.casefold().rstrip("/")

    def contains(self, other: Scope) -> bool:
        """Is ``other`` this scope or below it?"""
        return is_below(other.key, self.key)

    def __str__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scope) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    @classmethod
    def parse(cls, text: str, target: str = "") -> Scope:
        """Parse the scope of an assignment; raise InvalidInput when it is none.

        Empty, dot and encoded segments are refused, a slash at the end is dropped.
        """
        bare = text.rstrip("/") if text != "/" else text
        parts = bare.split("/")
        is_subscription = (
            len(parts) >= 3
            and parts[0] == ""
            and parts[1].casefold() == "subscriptions"
            and is_guid(parts[2])
        )
        if is_subscription and len(parts) == 3:
            return subscription_scope(parts[2])
        is_group = (
            is_subscription
            and len(parts) >= 5
            and parts[3].casefold() == "resourcegroups"
            and is_resource_group_name(parts[4])
        )
        if is_group and len(parts) == 5:
            return group_scope(parts[2], parts[4])
        if is_group and len(parts) >= 9:
            return resource_scope(ResourceId.parse(bare, target))
        raise InvalidInput(
            sentence(
                "{text} is not a scope. It must be /subscriptions/<guid>, a resource "
                "group in it, or a resource's id.",
                text=repr(text[:200]),
            ),
            code="InvalidScope",
            target=target,
        )


ROOT = Scope("/")


def subscription_scope(subscription_id: str) -> Scope:
    return Scope(f"/subscriptions/{subscription_id.lower()}")


def group_scope(subscription_id: str, resource_group: str) -> Scope:
    return Scope(f"/subscriptions/{subscription_id.lower()}/resourceGroups/{resource_group}")


def resource_scope(resource: ResourceId) -> Scope:
    return Scope(str(resource))


def is_below(key: str, above: str) -> bool:
    """Is the scope of ``key`` that of ``above`` or below it? Both in key form."""
    return key == above or key.startswith(f"{above}/")
