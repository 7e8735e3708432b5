"""ARM resource ids and resource names: parsed once at the border, printed back.

Source: Azure Resource Manager's id grammar
``/subscriptions/{guid}/resourceGroups/{rg}/providers/{namespace}/{type}/{name}[/{type}/{name}]``.
Ids compare without regard to case, as ARM's do; names are printed as they were written.

Rules: names are ASCII ``[A-Za-z0-9._-]``, first a letter or digit, at most 64 characters
(resource groups 90, and may hold parentheses). An id is matched whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bascule.errors import InvalidInput
from bascule.sentences import sentence

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_GROUP = re.compile(r"[A-Za-z0-9_(][A-Za-z0-9._()-]{0,89}")
_GUID = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")

COMPUTE = "Microsoft.Compute"
SECURITY = "Microsoft.Security"
VIRTUAL_MACHINES = "virtualMachines"
LOCATIONS = "locations"
JIT_POLICIES = "jitNetworkAccessPolicies"

_CANONICAL_WORDS = {
    word.casefold(): word for word in (COMPUTE, SECURITY, VIRTUAL_MACHINES, LOCATIONS, JIT_POLICIES)
}


def is_name(text: str) -> bool:
    """Is this a legal name of a machine, policy, location or lab host?"""
    return _NAME.fullmatch(text) is not None


def is_resource_group_name(text: str) -> bool:
    return _GROUP.fullmatch(text) is not None and not text.endswith(".")


def is_guid(text: str) -> bool:
    return _GUID.fullmatch(text) is not None


def parse_name(text: str, what: str, target: str = "") -> str:
    """Return ``text`` when it is a legal name; ``what`` names it in the error."""
    if not is_name(text):
        raise InvalidInput(
            sentence(
                "{what} {text} is not a valid name: use 1 to 64 of A-Z a-z 0-9 . _ - and "
                "start with a letter or digit.",
                what=what,
                text=repr(text[:80]),
            ),
            code="InvalidResourceName",
            target=target,
        )
    return text


@dataclass(frozen=True, slots=True, eq=False)
class ResourceId:
    """One resource's ARM id, whole; equality and hash ignore case."""

    subscription_id: str  # lower-case GUID
    resource_group: str  # as written
    provider: str  # namespace, e.g. Microsoft.Compute
    types: tuple[str, ...]  # as many as names
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        """The last name: the resource's own."""
        return self.names[-1]

    @property
    def type(self) -> str:
        """The full type, e.g. ``Microsoft.Security/locations/jitNetworkAccessPolicies``."""
        return "/".join((self.provider, *self.types))

    @property
    def location(self) -> str:
        """The location that a Microsoft.Security id carries; empty for others."""
        return self.names[0] if self.types[0] == LOCATIONS else ""

    @property
    def key(self) -> str:
        """The id in the one form that is compared and stored."""
        return str(self).casefold()

    def __str__(self) -> str:
        pairs = "".join(f"/{t}/{n}" for t, n in zip(self.types, self.names, strict=True))
        return (
            f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
            f"/providers/{self.provider}{pairs}"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResourceId) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    @classmethod
    def parse(cls, text: str, target: str = "") -> ResourceId:
        """Parse a whole ARM resource id; raise InvalidInput when it is none."""
        parts = text.split("/")
        is_shaped = (
            len(parts) >= 9
            and len(parts) % 2 == 1
            and parts[0] == ""
            and parts[1].casefold() == "subscriptions"
            and parts[3].casefold() == "resourcegroups"
            and parts[5].casefold() == "providers"
            and is_guid(parts[2])
            and is_resource_group_name(parts[4])
            and all(is_name(part) for part in parts[6:])
        )
        if not is_shaped:
            raise InvalidInput(
                sentence(
                    "{text} is not a resource id. It must read "
                    "/subscriptions/<guid>/resourceGroups/<group>/providers/<namespace>/<type>/<name>.",
                    text=repr(text[:200]),
                ),
                code="InvalidResourceId",
                target=target,
            )
        return cls(
            subscription_id=parts[2].lower(),
            resource_group=parts[4],
            provider=_canonical(parts[6]),
            types=tuple(_canonical(word) for word in parts[7::2]),
            names=tuple(parts[8::2]),
        )

    @classmethod
    def parse_machine(cls, text: str, target: str = "") -> ResourceId:
        """Parse the id of a Microsoft.Compute/virtualMachines resource."""
        parsed = cls.parse(text, target)
        if parsed.type != f"{COMPUTE}/{VIRTUAL_MACHINES}":
            raise InvalidInput(
                sentence(
                    "{text} is the id of a {type}. A machine's id ends in "
                    "/providers/Microsoft.Compute/virtualMachines/<name>.",
                    text=repr(text[:200]),
                    type=parsed.type,
                ),
                code="InvalidResourceId",
                target=target,
            )
        return parsed


def _canonical(word: str) -> str:
    return _CANONICAL_WORDS.get(word.casefold(), word)


def machine_id(subscription_id: str, resource_group: str, name: str) -> ResourceId:
    return ResourceId(
        subscription_id.lower(), resource_group, COMPUTE, (VIRTUAL_MACHINES,), (name,)
    )


def policy_id(subscription_id: str, resource_group: str, location: str, name: str) -> ResourceId:
    return ResourceId(
        subscription_id.lower(),
        resource_group,
        SECURITY,
        (LOCATIONS, JIT_POLICIES),
        (location, name),
    )
