"""Managing sinks: add, change, list, pause, resume, rotate a secret, remove.

Each is one transaction with its event. A webhook's secret is given out by the act that makes
it and by nothing else; its target is shown without its path wherever it is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any, Protocol

from bascule.domain.chain import Link, canonical
from bascule.domain.delivery import (
    CHATS,
    LARGEST_BATCH,
    LEVELS,
    Form,
    Progress,
    Sink,
    SinkKind,
    SinkSecrets,
    SinkState,
    Target,
    check_form,
)
from bascule.domain.facts.delivery import SinkAdded, SinkChanged, SinkRemoved, SinkSkipped
from bascule.domain.facts.kinds import FACTS
from bascule.domain.ids import parse_name
from bascule.domain.times import parse_instant
from bascule.errors import Conflict, InvalidInput, NotFound
from bascule.interfaces.delivery import Carrier, DeliveryReads, DeliveryWrites
from bascule.interfaces.inventory import InventoryReads
from bascule.interfaces.record import ChainReads, EventWrites
from bascule.interfaces.retention import RetentionWrites
from bascule.services.act import Act, new_id
from bascule.services.cloudevents import new_secret
from bascule.services.retention import hold_untaken


class SinkReads(ChainReads, DeliveryReads, Protocol):
    """Sinks, and how far each has come."""


class SinkChangeWrites(
    ChainReads, DeliveryWrites, EventWrites, InventoryReads, RetentionWrites, Protocol
):
    """The same, to change them, and the record."""


MOST_SINKS = 20
LONGEST_CA = 65_536  # characters
MOST_KINDS = 100


@dataclass(frozen=True, slots=True)
class SinkDraft:
    """What was said of a sink; None leaves what there is, or takes what is usual."""

    target: Target | None = None
    form: Form | None = None
    kinds: tuple[str, ...] | None = None
    level: int | None = None
    batch: int | None = None
    ca_certificates: str | None = None
    from_beginning: bool = False  # of a new sink: all that is kept of the record, too


@dataclass(frozen=True, slots=True)
class SinkView:
    """A sink, and how things stand with it."""

    sink: Sink
    progress: Progress
    lag_events: int  # of the chain, wanted or not
    lag: timedelta  # age of the oldest event that it has not got; zero when it has all
    previous_until: datetime | None = None  # end of a rotated secret
    secret: str = ""  # in the answer of the act that made it, else empty


def sink_id(reader: InventoryReads, name: str) -> str:
    """What the record calls a sink."""
    installation = reader.installation()
    subscription = installation.subscription_id if installation else ""
    return f"/subscriptions/{subscription}/providers/Bascule.Audit/sinks/{name}"


def known_sink(reader: DeliveryReads, name: str) -> tuple[Sink, Progress]:
    sink = reader.sink(name)
    progress = None if sink is None else reader.sink_progress(sink.id)
    if sink is None or progress is None:
        raise NotFound(
            f"There is no sink {name[:64]!r}.",
            code="SinkNotFound",
            advice="To list sinks: bascule audit sinks list.",
        )
    return sink, progress


def view_sink(reader: SinkReads, name: str, now: datetime, secret: str = "") -> SinkView:
    return _view(reader, *known_sink(reader, name), now, secret)


def view_sinks(reader: SinkReads, now: datetime) -> list[SinkView]:
    """All, by name."""
    return [view_sink(reader, sink.name, now) for sink in reader.sinks()]


def _view(
    reader: SinkReads, sink: Sink, progress: Progress, now: datetime, secret: str
) -> SinkView:
    head = reader.chain_head().position
    oldest = next(iter(reader.chain(progress.position, 1)), None)
    lag = timedelta() if oldest is None else now - _recorded_at(oldest, now)
    secrets = reader.sink_secrets(sink.id)
    until = secrets.previous_until if secrets is not None else None
    return SinkView(
        sink,
        progress,
        max(0, head - progress.position),
        max(timedelta(), lag),
        until if until is not None and until > now else None,
        secret,
    )


def _recorded_at(link: Link, now: datetime) -> datetime:
    """Now, of an event that somebody damaged so that it does not say: sinks are listed all the same."""
    try:
        return parse_instant(str(link.record.get("at")))
    except InvalidInput:
        return now


def put_sink(
    tx: SinkChangeWrites, act: Act, carrier: Carrier, name: str, draft: SinkDraft
) -> tuple[SinkView, bool]:
    """Add a sink or change one; True when it is new. A new webhook's view has its secret."""
    existing = tx.sink(name)
    if existing is not None:
        return _change(tx, act, carrier, existing, draft), False
    if draft.target is None:
        raise InvalidInput(
            "A new sink needs a target.", code="MissingField", target="properties.target"
        )
    if len(tx.sinks()) >= MOST_SINKS:
        raise Conflict(
            f"There are {MOST_SINKS} sinks, which is the maximum.",
            code="TooManySinks",
            advice="Remove one, or send to a collector that forwards.",
        )
    made = Sink(
        new_id(),
        parse_name(name, "The sink's name"),
        draft.target,
        check_form(draft.target.kind, draft.form, "properties.format"),
        act.now,
    )
    sink = _checked(_drafted(made, draft), carrier)
    start = tx.chain_begin() if draft.from_beginning else tx.chain_head()
    tx.put_sink(sink)
    tx.put_progress(Progress(sink.id, start.position))
    secret = _first_secret(tx, sink)
    act.record(tx, SinkAdded(sink.name, sink.target.shown, _settings(sink)), sink_id(tx, sink.name))
    return view_sink(tx, sink.name, act.now, secret), True


def _change(
    tx: SinkChangeWrites, act: Act, carrier: Carrier, existing: Sink, draft: SinkDraft
) -> SinkView:
    target = draft.target or existing.target
    kept = existing.form if target.kind is existing.target.kind else None
    form = check_form(target.kind, draft.form or kept, "properties.format")
    sink = _checked(_drafted(replace(existing, target=target, form=form), draft), carrier)
    if sink == existing:
        return view_sink(tx, sink.name, act.now)
    if _wants_less(existing, sink):
        hold_untaken(tx, known_sink(tx, sink.name)[1].position)
    tx.put_sink(sink)
    has_secret = tx.sink_secrets(sink.id) is not None
    # A new place must not be able to say that it is the old one's sender.
    is_elsewhere = sink.target.authority != existing.target.authority
    secret = _first_secret(tx, sink) if is_elsewhere or not has_secret else ""
    _record_change(tx, act, sink, "settings", _settings(sink))
    return view_sink(tx, sink.name, act.now, secret)


def _wants_less(was: Sink, now: Sink) -> bool:
    """Might an event that the one was to get not get to the same place any more?"""
    return (was.target, was.form in CHATS, was.kinds, was.level) != (
        now.target,
        now.form in CHATS,
        now.kinds,
        now.level,
    )


def _first_secret(tx: DeliveryWrites, sink: Sink) -> str:
    if sink.target.kind is not SinkKind.WEBHOOK or sink.form in CHATS:
        return ""  # a chat reads no signature: the secret is the path of its webhook
    fresh = new_secret()
    tx.put_sink_secrets(sink.id, SinkSecrets(fresh))
    return fresh


def _drafted(sink: Sink, draft: SinkDraft) -> Sink:
    return replace(
        sink,
        kinds=sink.kinds if draft.kinds is None else tuple(dict.fromkeys(draft.kinds)),
        level=sink.level if draft.level is None else draft.level,
        batch=sink.batch if draft.batch is None else draft.batch,
        ca_certificates=sink.ca_certificates
        if draft.ca_certificates is None
        else draft.ca_certificates,
    )


def _checked(sink: Sink, carrier: Carrier) -> Sink:
    if len(sink.kinds) > MOST_KINDS or not 1 <= sink.batch <= LARGEST_BATCH:
        raise InvalidInput(
            f"A sink can select at most {MOST_KINDS} kinds and sends 1 to {LARGEST_BATCH} events "
            f"per call.",
            code="InvalidSink",
        )
    unknown = [each for each in sink.kinds if each not in FACTS]
    if unknown:
        near = get_close_matches(unknown[0], FACTS, 1)
        raise InvalidInput(
            f"{unknown[0][:64]!r} is not a kind of event"
            + (f"; did you mean {near[0]}?" if near else "; bascule activity shows the kinds."),
            code="InvalidEventKind",
            target="properties.kinds",
        )
    if sink.batch > 1 and (sink.target.kind is not SinkKind.WEBHOOK or sink.form in CHATS):
        raise InvalidInput(
            "Only webhooks with the format record support batches.",
            code="InvalidSink",
            target="properties.batch",
        )
    objection = carrier.objection(sink)
    if objection:
        raise InvalidInput(objection, code="InvalidSinkTarget", target="properties.target")
    return sink


def _settings(sink: Sink) -> str:
    """As the record has them: all but what may be a secret."""
    said: Mapping[str, Any] = {
        "format": str(sink.form),
        "kinds": list(sink.kinds),
        "level": LEVELS[sink.level - 1],
        "batch": sink.batch,
        "hasCaCertificates": bool(sink.ca_certificates),
    }
    return canonical(said).decode()


def _record_change(
    tx: SinkChangeWrites, act: Act, sink: Sink, what: str, settings: str = ""
) -> None:
    fact = SinkChanged(sink.name, sink.target.shown, what, settings)
    act.record(tx, fact, sink_id(tx, sink.name))


def pause_sink(tx: SinkChangeWrites, act: Act, name: str) -> SinkView:
    """Stop sending, keep the place; a sink that stopped by itself stays as it is."""
    sink, progress = known_sink(tx, name)
    if progress.state is SinkState.ACTIVE:
        tx.put_progress(replace(progress, state=SinkState.PAUSED, next_try_at=None))
        _record_change(tx, act, sink, "paused")
    return view_sink(tx, name, act.now)


def resume_sink(
    tx: SinkChangeWrites, act: Act, name: str, *, skips: bool = False, after: int | None = None
) -> SinkView:
    """Send again from where it was, at once.

    ``skips`` passes over the one event that parked it; ``after`` goes back to a position, so
    that what follows it is sent again. Whatever a sink will not get is an event, SinkSkipped.
    """
    sink, progress = known_sink(tx, name)
    position = progress.position
    if skips:
        position = _refused(progress)
        why = "an operator skipped the event that its receiver refuses"
        skipped = SinkSkipped(sink.name, position, position, why)
        act.record(tx, skipped, sink_id(tx, sink.name))
        tx.hold((position,))
    elif after is not None:
        position = after
        if not tx.chain_begin().position <= after <= progress.position:
            raise InvalidInput(
                f"A sink can go back to a position from {tx.chain_begin().position} to its own, "
                f"{progress.position}, not to {after}.",
                code="InvalidPosition",
                target="after",
            )
    elif progress.state is SinkState.ACTIVE and progress.next_try_at is None:
        return view_sink(tx, name, act.now)
    tx.put_progress(progress.resumed(position))
    again = f"resumed after position {position}" if after is not None else "resumed"
    _record_change(tx, act, sink, again)
    return view_sink(tx, name, act.now)


def _refused(progress: Progress) -> int:
    """The position that parked it."""
    if progress.state is not SinkState.PARKED:
        raise Conflict(
            "The sink is not parked, so there is no event to skip.",
            code="SinkNotParked",
            advice="To see its state: bascule audit sinks show NAME.",
        )
    return progress.position + 1


def rotate_secret(tx: SinkChangeWrites, act: Act, name: str) -> SinkView:
    """A new secret beside the old one, which signs too for SECRET_OVERLAP."""
    sink, _ = known_sink(tx, name)
    secrets = tx.sink_secrets(sink.id)
    if secrets is None or sink.target.kind is not SinkKind.WEBHOOK:
        raise Conflict("Only a webhook has a secret.", code="SinkHasNoSecret")
    fresh = new_secret()
    tx.put_sink_secrets(sink.id, secrets.rotated(fresh, act.now))
    _record_change(tx, act, sink, "secret")
    return view_sink(tx, name, act.now, fresh)


def remove_sink(tx: SinkChangeWrites, act: Act, name: str) -> bool:
    """Forget a sink; False when there is none."""
    sink = tx.sink(name)
    if sink is None:
        return False
    _, progress = known_sink(tx, name)
    hold_untaken(tx, progress.position)
    tx.delete_sink(sink.id)
    fact = SinkRemoved(sink.name, sink.target.shown, progress.position)
    act.record(tx, fact, sink_id(tx, sink.name))
    return True
