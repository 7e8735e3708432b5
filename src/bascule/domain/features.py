"""What an agent's version knows, and what a closed port needs of it (EDGES F4).

An agent names what it knows; one that names nothing knows BASELINE. What is added to the protocol
later is a feature too, with the version that brought it. What is not here: what a firewall can do
(``capabilities``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from functools import reduce

from bascule.domain.net import PortKey, TransportProtocol
from bascule.sentences import Sentence, sentence


class Feature(StrEnum):
    """Something that a state may hold only for an agent that knows it."""

    UDP = "udp"  # closed UDP ports
    KILL = "kill"  # ports whose connections end with their opening
    CUTS = "cuts"  # connections that are cut at once
    DRAIN = "drain"  # connections that may stay for a time when their grant is over


BASELINE = frozenset({Feature.UDP, Feature.KILL, Feature.CUTS})
KNOWN = frozenset(Feature)  # by agents of this version
# The first version whose agents know it.
SINCE: Mapping[Feature, str] = dict.fromkeys(Feature, "0.1.0")
_WORDS: Mapping[Feature, Sentence] = {
    Feature.UDP: sentence("UDP ports"),
    Feature.KILL: sentence("ending connections when access ends"),
    Feature.CUTS: sentence("cutting connections at once"),
    Feature.DRAIN: sentence("letting connections stay for a time when access ends"),
}


def needs(port: PortKey, *, is_kill: bool, is_drain: bool = False) -> frozenset[Feature]:
    """What an agent must know to keep this port closed as it should be, and to open it."""
    if port.protocol is TransportProtocol.UDP:
        return frozenset({Feature.UDP})
    if is_drain:
        return frozenset({Feature.KILL, Feature.DRAIN})
    return frozenset({Feature.KILL}) if is_kill else frozenset()


def version_for(missing: Collection[Feature]) -> str:
    """The oldest version that knows all of them; at least one is given."""
    return max((SINCE[each] for each in missing), key=_number)


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def too_old_words(machine: str, missing: Collection[Feature]) -> Sentence:
    """Why a port cannot be had at a machine, and which version would do."""
    first, *rest = (_WORDS[each] for each in sorted(missing))
    what = reduce(
        lambda one, other: sentence("{one} and {other}", one=one, other=other), rest, first
    )
    return sentence(
        "The agent of {machine} is too old for {what}. Version {version} or later is needed: upgrade "
        "the agent on that host.",
        machine=machine,
        what=what,
        version=version_for(missing),
    )
