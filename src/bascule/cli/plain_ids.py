"""ARM's long ids in sentences for people: names in their place.

A denial is worded as Azure words it, with the caller's object id and whole scopes; programs
go by its code. Whoever reads it here knows machines and groups by their names.
"""

from __future__ import annotations

import re

_GUID = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_ID = rf"((?:Machine|Policy) )?'?(/subscriptions/{_GUID}(?:/[A-Za-z0-9._()-]*[A-Za-z0-9_()-])*)'?"
LONGEST = 20_000  # characters; of a longer one the search takes too long
_OBJECT_ID = f" with object id '{_GUID}'"
_KINDS = (
    ("machine", "/providers/Microsoft.Compute/virtualMachines/([^/]+)"),
    ("policy", "/providers/Microsoft.Security/locations/[^/]+/jitNetworkAccessPolicies/([^/]+)"),
)
_FORMS = tuple(
    (noun, f"/subscriptions/{_GUID}/resourceGroups/([^/]+){rest}")
    for noun, rest in (*_KINDS, ("resource group", ""))
)


def with_names(sentence: str) -> str:
    """The sentence with names where it has ids that hold one; other ids stay as they are."""
    if len(sentence) > LONGEST:
        return sentence
    # Not compiled before: every command loads this module, and few have an error to say.
    bare = re.sub(_OBJECT_ID, "", sentence, flags=re.IGNORECASE)
    return re.sub(_ID, _named, bare, flags=re.IGNORECASE)


def _named(found: re.Match[str]) -> str:
    noun_before, resource = found[1] or "", found[2]
    if resource.count("/") == 2:
        return f"{noun_before}the subscription"
    for noun, form in _FORMS:
        match = re.fullmatch(form, resource, re.IGNORECASE)
        if match is None:
            continue
        if match.lastindex == 1:
            return f"{noun_before}{noun} {match[1]}"
        return f"{noun_before or f'{noun} '}{match[2]} ({match[1]})"
    return found[0]
