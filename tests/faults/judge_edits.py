"""The verdict on edits: each has its events, and there are no others.

A part of ``judge``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from tests.faults.history import Edited
from tests.faults.model import Model
from tests.faults.record import Record
from tests.faults.schedule import MACHINES

_ONCE = {"delete": "MachineDeleted", "add": "MachineAdded", "enrol": "AgentEnrolled"}


def _is_deleted_later(model: Model, enrolled: Edited) -> bool:
    """Then its agent may not have come to use the token."""
    edits = model.edits(enrolled.machine)
    return any(each.kind == "delete" for each in edits[edits.index(enrolled) :])


def _repeats(model: Model, edit: Edited) -> int:
    """How often it may have been done once more: tries whose answer was lost.

    The client repeats a call by itself whose connection broke, which counts as no other try.
    """
    answered = math.inf if edit.answered is None else edit.answered
    is_interrupted = any(
        each.machines == MACHINES
        and each.begun <= answered
        and edit.sent <= (each.healed or math.inf)
        for each in model.history.disturbed
    )
    return edit.lost + is_interrupted


def _policy_events(model: Model) -> tuple[Counter[str], Counter[str]]:
    """How many changes of policies there are, and how many more there may be."""
    wanted: Counter[str] = Counter()
    maybe: Counter[str] = Counter()
    for machine in MACHINES:
        naming = {"set"} if model.beginnings[machine].rules else set[str]()
        for edit in model.edits(machine):
            if edit.kind in ("set", "gate"):
                naming.add(edit.kind)
                changed = 1
            else:  # it is taken out of each
                changed = len(naming) if edit.kind in ("remove", "delete") else 0
                naming = naming if not changed else set()
            wanted["PolicyChanged"] += changed
            maybe["PolicyChanged"] += _repeats(model, edit) * changed
    return wanted, maybe


def judge_edits(model: Model, record: Record) -> Iterable[str]:
    """Every edit has its event; a try whose answer was lost may have one more."""
    wanted, maybe = _policy_events(model)
    for machine in MACHINES:
        named = set(model.beginnings[machine].rules)
        for edit in model.edits(machine):
            released = named if edit.kind == "remove" else edit.rules
            if edit.kind in ("remove", "release"):
                wanted["PortReleased"] += len(released)
                maybe["PortReleased"] += _repeats(model, edit) * len(released)
            if edit.kind in _ONCE:
                is_sure = edit.kind != "enrol" or not _is_deleted_later(model, edit)
                (wanted if is_sure else maybe)[_ONCE[edit.kind]] += 1
            if edit.kind == "enrol":
                wanted["EnrolmentCreated"] += 1
                maybe["EnrolmentCreated"] += _repeats(model, edit)
            if edit.kind in ("set", "remove", "delete"):
                named = set(edit.rules)
    for kind in (
        "PolicyChanged",
        "PortReleased",
        "MachineDeleted",
        "MachineAdded",
        "AgentEnrolled",
        "EnrolmentCreated",
    ):
        found = record.count(kind)
        if kind == "PolicyChanged":
            found = record.count("PolicyChanged", "PolicyCreated")
        if not wanted[kind] <= found <= wanted[kind] + maybe[kind]:
            yield (
                f"{wanted[kind]} to {wanted[kind] + maybe[kind]} {kind} events belong to what was"
                f" edited, and there are {found}"
            )
