"""What a gateway holds for the machines behind it, beside what it holds for itself. Pure.

Each machine's state is merged as a host's is (``desired.hold``); its addresses come with it. The
same rule holds of addresses as of ports: no omission and no old or slow state opens anything. Where
a machine is reached no more, what is closed stays closed, until a release names that address.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

from bascule.domain.behind import behind, part_at, united
from bascule.domain.bindings import Whereabouts
from bascule.domain.desired import STALE_AFTER, DesiredState, RuleSet
from bascule.domain.held import Held, HeldBehind, HeldLease, hold, not_let_go_yet, rule_set
from bascule.domain.net import PortBehind, PortMapped, PublicPorts

FOUND = "found at "  # how the uid begins under which closed ports of nobody known are kept


def hold_behind(held: Held, uid: str, state: DesiredState, asked_at: float, now: float) -> Held:
    """Merge a state of a machine behind; ``asked_at`` and ``now`` are seconds of CLOCK_BOOTTIME.

    A new address of a state that took too long is closed and opens nothing. A release of an address
    counts once, like that of a port. A state that does not say where the machine is leaves it where
    it was last. The public ports are those of the newest state, which a slow one takes away and does
    not add to.
    """
    known = held.behind.get(uid, HeldBehind())
    if state.installation < max(held.installation, known.held.installation):
        return held
    if state.generation < known.held.generation:
        if state.installation == known.held.installation:
            return held
        left = replace(known.held, installation=state.installation)
        return replace(held, behind={**held.behind, uid: replace(known, held=left)})
    where = state.where or Whereabouts(known.addresses, mapped=known.mapped)
    known = _with_found(held, known, where)
    everywhere = known.former | where.former | {*known.addresses}
    if now - asked_at > STALE_AFTER:
        addresses, former = known.addresses, everywhere | {*where.addresses}
        mapped: PublicPorts = _both(known.mapped, where.mapped)
    else:
        released = where.released.items()
        let_go = {each for each, since in released if since > known.held.generation}
        addresses, former, mapped = where.addresses, everywhere - let_go, where.mapped
    merged = hold(known.held, state, asked_at, now)
    machines = {each: kept for each, kept in held.behind.items() if each not in _found(where)}
    name = where.name or known.name
    machines[uid] = HeldBehind(merged, addresses, former - {*addresses}, mapped, name)
    return replace(held, behind=machines)


def keep_named(held: Held, uids: Collection[str]) -> Held:
    """The machines that the server names; of any other every lease ends at once, except what root
    opened, and what is closed stays closed.
    """
    if held.behind.keys() <= set(uids):
        return held
    kept = {}
    for uid, each in held.behind.items():
        if uid in uids:
            kept[uid] = each
        elif each.held.closed:
            local = {key: lease for key, lease in each.held.leases.items() if lease.is_local}
            over = {key: lease for key, lease in each.held.leases.items() if key not in local}
            left = replace(each.held, leases=local, ended={**each.held.ended, **over}, drains={})
            former = each.former | {*each.addresses}
            kept[uid] = HeldBehind(left, (), former, name=each.name)
    return replace(held, behind=kept)


def everywhere(held: Held, work: Callable[[Held], Held]) -> Held:
    """The same done to what is held for the host itself and for each machine behind it."""
    behind_it = {uid: replace(each, held=work(each.held)) for uid, each in held.behind.items()}
    return replace(work(held), behind=behind_it)


def none_let_go_yet(held: Held, saved: Held) -> Held:
    """``desired.not_let_go_yet`` for the host, its machines, and their addresses."""
    kept = dict(held.behind)
    for uid, before in saved.behind.items():
        now = held.behind.get(uid)
        if now is None:  # it is held no more, and so nothing of it is open
            kept[uid] = replace(before, held=replace(before.held, leases={}, drains={}))
            continue
        former = (now.former | before.former | {*before.addresses}) - {*now.addresses}
        let_go = not_let_go_yet(now.held, before.held)
        kept[uid] = replace(now, held=let_go, former=former)
    return replace(not_let_go_yet(held, saved), behind=kept)


def places(held: Held) -> Iterator[tuple[str, HeldBehind]]:
    """Each machine, with the addresses at which it may open anything.

    One that two machines claim is nobody's: what is closed there stays closed for both. A public
    port that two ports claim stands for neither. What root opened opens at no address that another
    machine claims, whoever had it when root named it.
    """
    claims = Counter(address for each in held.behind.values() for address in each.addresses)
    public = Counter(port for each in held.behind.values() for port in public_ports(each.mapped))
    for uid, each in held.behind.items():
        clear = tuple(address for address in each.addresses if claims[address] == 1)
        former = each.former | ({*each.addresses} - {*clear})
        mapped = {
            own: alone
            for own, through in each.mapped.items()
            if (alone := tuple(port for port in through if public[own.mapped(port)] == 1))
        }
        left = {address for address in former if not claims[address]}
        leases = {
            key: replace(lease, at=tuple(at for at in lease.at if at in clear or at in left))
            for key, lease in each.held.leases.items()
            if lease.is_local
        }
        there = replace(each.held, leases={**each.held.leases, **leases}) if leases else each.held
        yield uid, HeldBehind(there, clear, former, mapped, each.name)


def public_ports(mapped: PublicPorts) -> Iterator[PortMapped]:
    """All that stand for a machine's own ports; one that stands for two comes twice."""
    return (own.mapped(port) for own, through in mapped.items() for port in through)


def rules_behind(place: HeldBehind, now: float) -> RuleSet:
    """The rules that a gateway's firewall should have for one machine of ``places``."""
    told = {key: each for key, each in place.held.leases.items() if not each.is_local}
    rules = rule_set(replace(place.held, leases=told), now)
    parts = [behind(rules, place.addresses, place.former, place.mapped)]
    by_root = place.held.leases.keys() - told.keys()
    for address in dict.fromkeys(at for key in by_root for at in place.held.leases[key].at):
        there = {key: place.held.leases[key] for key in by_root}
        opened = Held(
            closed=place.held.closed,
            leases={key: each for key, each in there.items() if address in each.at},
        )
        # A public port leads to where the machine is, and to one place alone.
        mapped = place.mapped if address in place.addresses else {}
        parts.append(behind(rule_set(opened, now), (address,), (), mapped))
    return united(parts) if len(parts) > 1 else parts[0]


def firewall_rules(held: Held, now: float) -> RuleSet:
    """All that the firewall should have at ``now`` (seconds of CLOCK_BOOTTIME)."""
    if not held.behind:
        return rule_set(held, now)
    machines = (rules_behind(place, now) for _, place in places(held))
    return united([rule_set(held, now), *machines])


def keep_found(held: Held, kernel: RuleSet) -> Held:
    """With what the kernel closes and no state names (a lost file): it stays closed.

    What is at an address behind is nobody's until the server says whose the address is. A public port
    that leads nowhere is the gateway's own again.
    """
    own, known = part_at(kernel, None).closed, {each.port for each in held.closed}
    found = {each for each in own if each.port not in known}
    machines = dict(held.behind)
    closed = {each.port for _, place in places(held) for each in rules_behind(place, 0.0).closed}
    at = {each.port.at for each in kernel.closed if isinstance(each.port, PortBehind)}
    for address in sorted(at, key=str):
        ports = part_at(kernel, address).closed
        left = frozenset(each for each in ports if each.port.behind(address) not in closed)
        if left:
            uid = FOUND + str(address)
            before = machines.get(uid, HeldBehind()).held.closed
            machines[uid] = HeldBehind(Held(closed=before | left), (), frozenset({address}))
    return replace(held, closed=held.closed | found, behind=machines)


def only_closed(held: Held) -> Held:
    """What is closed, and where; and nothing of what may be open."""
    return everywhere(held, lambda each: Held(closed=each.closed, installation=each.installation))


def all_leases(held: Held) -> Iterator[tuple[str, str, HeldLease]]:
    """(machine uid, grant id, lease) of all that may be open; the host's own uid is empty."""
    for uid, each in _everybody(held):
        for grant_id, lease in each.leases.items():
            yield uid, grant_id, lease


def ends(held: Held) -> Iterator[float]:
    """When each lease, drain and cut ends."""
    for _, each in _everybody(held):
        for lasting in (each.leases, each.drains, each.cuts):
            yield from (lease.deadline for lease in lasting.values())


def ends_earlier(held: Held, saved: Held, now: float) -> bool:
    """Does a lease or drain end earlier than it was saved with? A death must not bring it back."""
    here = dict(_everybody(held))
    for uid, before in _everybody(saved):
        after = here.get(uid, Held())
        for were, are in ((before.leases, after.leases), (before.drains, after.drains)):
            for grant_id, lease in were.items():
                left = are[grant_id].deadline if grant_id in are else now
                if lease.deadline > max(now, left):
                    return True
    return False


def _everybody(held: Held) -> Iterator[tuple[str, Held]]:
    """What is held of each machine, by uid; of the host itself by an empty one."""
    yield "", held
    yield from ((uid, each.held) for uid, each in held.behind.items())


def _both(one: PublicPorts, other: PublicPorts) -> PublicPorts:
    """The public ports that both have stand for the same port."""
    return {
        own: common
        for own, through in one.items()
        if (common := tuple(each for each in through if each in other.get(own, ())))
    }


def _found(where: Whereabouts) -> set[str]:
    return {FOUND + str(address) for address in where.addresses}


def _with_found(held: Held, known: HeldBehind, where: Whereabouts) -> HeldBehind:
    """What was found closed at a machine's addresses is the machine's, from now on."""
    mine = {each.port for each in known.held.closed}
    for uid in _found(where) & held.behind.keys():
        there = held.behind[uid].held
        found = {each for each in there.closed if each.port not in mine}
        opened = {key: each for key, each in there.leases.items() if each.is_local}
        mine |= {each.port for each in found}
        merged = replace(
            known.held, closed=known.held.closed | found, leases={**opened, **known.held.leases}
        )
        known = replace(known, held=merged)
    return known
