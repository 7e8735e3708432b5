"""What a plan's operations ask of the table, gathered so that one transaction does it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from bascule.domain.desired import OpeningKey, RuleSet
from bascule.domain.net import PortKey
from bascule.domain.plan import (
    ClosePort,
    DropDrain,
    DropOpening,
    Operation,
    PutCut,
    PutDrain,
    PutOpening,
    Rebuild,
    ReleasePort,
)
from bascule.drivers.nftables import rules
from bascule.drivers.nftables.layout import SourceSet
from bascule.drivers.nftables.render import Element, ElementKey


@dataclass(slots=True)
class Change:
    rebuild: RuleSet | None = None
    elements: dict[ElementKey, Element | None] = field(default_factory=dict)  # the last word
    new_ports: set[PortKey] = field(default_factory=set)  # closed now, open before
    released: set[PortKey] = field(default_factory=set)

    def closed(self) -> set[PortKey]:
        """The ports that are closed by it, or stay so."""
        return rules.closed_ports(self.elements)

    def is_kill(self, port: PortKey) -> bool:
        """Is a port that it closes to end its connections?"""
        return self.elements.get(rules.killing(port)) is not None

    def openings(self) -> list[OpeningKey]:
        """Who may come where by it, or stay there."""
        return list(rules.opened(self.elements))

    def sets(self) -> frozenset[SourceSet]:
        """The source sets that must exist for it."""
        return rules.source_sets(
            name for (name, _), element in self.elements.items() if element is not None
        )


def gather(operations: Iterable[Operation]) -> Change:
    """Later operations win over earlier ones; nothing before a Rebuild matters."""
    change = Change()
    for operation in operations:
        if isinstance(operation, Rebuild):
            change = Change(operation.rules, rules.to_elements(operation.rules))
        else:
            _add(change, operation)
    return change


def _add(change: Change, operation: Operation) -> None:
    match operation:
        case ClosePort(closed, is_new):
            change.elements.update(rules.closed_elements(closed))
            change.released.discard(closed.port)
            if is_new:
                change.new_ports.add(closed.port)
        case ReleasePort(port):
            change.elements.update(rules.released_elements(port))
            change.new_ports.discard(port)
            change.released.add(port)
        case DropOpening(key):
            change.elements[rules.granted(key)] = None
        case PutOpening(opening):
            change.elements[rules.granted(opening.key)] = rules.timed(
                opening.remaining, opening.grant_id
            )
        case PutCut(key, remaining):
            change.elements[rules.ended(key)] = rules.timed(remaining)
        case DropDrain(key):
            change.elements[rules.draining(key)] = None
        case PutDrain(key, remaining):
            change.elements[rules.draining(key)] = rules.timed(remaining)
