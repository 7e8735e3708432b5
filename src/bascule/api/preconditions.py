"""If-Match and If-None-Match of a call (RFC 9110 section 13.1), as a Precondition."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Header

from bascule.errors import InvalidInput
from bascule.interfaces.policies import StoredPolicy
from bascule.services.policies import Precondition

_ENTITY_TAGS = re.compile(r'\s*((?:W/)?"[^"]*")\s*(?:,|$)')


class Conditions:
    """What the headers say; a list of tags holds when one of them is the present one."""

    def __init__(self, if_match: str, if_none_match: str) -> None:
        self._tags = _read_tags(if_match)
        if if_none_match not in ("", "*"):
            raise InvalidInput(
                "If-None-Match: only * is supported here; it creates without replacing.",
                code="InvalidHeader",
            )
        self._precondition = Precondition(
            if_match=self._tags[0] if self._tags else "", is_if_none_match=if_none_match == "*"
        )

    def on(self, before: StoredPolicy | None) -> Precondition:
        """The precondition to check against the policy as it is now."""
        return self.on_etag("" if before is None else before.etag)

    def on_etag(self, etag: str) -> Precondition:
        """As ``on``, for anything of which this is the ETag; empty: it is not there."""
        if etag in self._tags:
            return replace(self._precondition, if_match=etag)
        return self._precondition


def _read_tags(header: str) -> list[str]:
    if header.strip() in ("", "*"):
        return [header.strip()] if header.strip() else []
    tags: list[str] = []
    position = 0
    while position < len(header):
        match = _ENTITY_TAGS.match(header, position)
        if match is None:
            raise InvalidInput(
                f"If-Match: {header[:80]!r} is not an entity tag. Send the ETag unchanged, with "
                f"its quotes.",
                code="InvalidHeader",
            )
        tags.append(match[1])
        position = match.end()
    return tags


async def conditions_of(
    if_match: Annotated[str, Header()] = "", if_none_match: Annotated[str, Header()] = ""
) -> Conditions:
    return Conditions(if_match, if_none_match.strip())


WantedConditions = Annotated[Conditions, Depends(conditions_of)]
