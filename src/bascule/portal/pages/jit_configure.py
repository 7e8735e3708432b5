"""JIT VM access configuration: the ports of one machine, or of several at once.

What would change is shown before it is saved, found out by rehearsing the very act. Where live
grants would end or end earlier, they must have been shown: else the pane comes back with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.entries import decides
from bascule.domain.actions import MACHINE_READ, MACHINE_WRITE, POLICY_READ, POLICY_WRITE
from bascule.domain.ids import ResourceId, parse_name
from bascule.domain.machine import Machine
from bascule.domain.policy import PortRule
from bascule.domain.rules import Rule
from bascule.domain.scopes import resource_scope
from bascule.errors import (
    BasculeError,
    Conflict,
    Forbidden,
    InvalidInput,
    PreconditionFailed,
    Problem,
)
from bascule.interfaces.store import Reader, Transaction
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.kept import comes_back
from bascule.portal.pages.port_rows import (
    MOST_ROWS,
    PortRow,
    read_rows,
    read_rules,
    recommended_rows,
    rows_of,
    with_problems,
)
from bascule.portal.pages.rules import Found
from bascule.portal.problems import reasons_of
from bascule.portal.rule_words import Names, names_in, rule_words, stage_words
from bascule.sentences import sentence
from bascule.services.act import Act
from bascule.services.known_machine import known_machine
from bascule.services.machine_rules import policy_beside, put_rules_of_machines, rules_tag
from bascule.services.rehearsal import Preview, preview_of
from bascule.services.rights import Needed, check

router = APIRouter(route_class=PortalRoute)

PATH = "/portal/jit/configure"
DEFAULT_POLICY = "default"
MOST_MACHINES = 200


@dataclass(frozen=True, slots=True)
class Meant:
    """The machines that a pane is about, in the order of the address or form."""

    machines: tuple[Machine, ...]
    policy: str  # name of the policy beside each machine that is written to
    tags: tuple[str, ...]  # of each machine's rules when they were read
    rules: tuple[PortRule, ...] = ()  # of the first machine
    policies: tuple[str, ...] = ()  # that name the one machine, and can be written here
    others: tuple[ResourceId, ...] = ()  # policies elsewhere that name it
    is_behind: bool = False  # the one machine is behind a gateway, which has public ports
    policy_rules: tuple[Rule, ...] = ()  # of the policy beside the first machine
    names: Names = field(default_factory=dict)  # of whom rules and approvals name
    rules_path: str = ""  # where they are edited; empty: there is no policy yet

    @property
    def is_edit(self) -> bool:
        return any(self.tags)

    def says(self, rules: tuple[PortRule, ...]) -> bool:
        """Are these the rules of the one machine already? Their approval is not edited here, and stays."""
        held = tuple(replace(each, approval=()) for each in self.rules)
        return len(self.machines) == 1 and self.is_edit and rules == held


class _NotAsShown(Conflict):
    """Takes back what would end, or end earlier, access that was not shown so."""


@dataclass(frozen=True, slots=True)
class Pane:
    """All that the pane shows."""

    meant: Meant
    rows: Sequence[PortRow]
    problems: Sequence[Problem] = ()
    advice: str = ""
    is_to_confirm: bool = False
    why_not: str = ""
    changed: bool = field(default=False)  # by somebody else, since it was read


@router.get(PATH)
@decides(POLICY_READ, MACHINE_READ)
async def show(visit: CurrentVisit) -> Response:
    query = visit.request.query_params
    ids = _ids(query.getlist("machine"))
    meant = await visit.read(lambda reader: _read(reader, visit, ids, query.get("policy", "")))
    rows = rows_of(meant.rules) if meant.is_edit else recommended_rows()
    return await _show(visit, Pane(meant, rows, why_not=_why_not(visit, meant)))


@router.post(PATH)
@comes_back
@decides(POLICY_WRITE, MACHINE_WRITE)
async def save(visit: CurrentVisit) -> Response:
    act = visit.form.text("act", "save")
    meant, rows = await _sent(visit), read_rows(visit.form)
    why_not = _why_not(visit, meant)
    if act == "add" and len(rows) < MOST_ROWS:
        return await _show(visit, Pane(meant, [*rows, PortRow()], why_not=why_not))
    if act.startswith("delete-"):
        kept = [row for place, row in enumerate(rows) if f"delete-{place}" != act]
        return await _show(visit, Pane(meant, kept, why_not=why_not))
    if act != "save":
        return await _show(visit, Pane(meant, rows, why_not=why_not))
    rows, rules = read_rules(rows)
    if any(row.errors for row in rows):
        return await _show(visit, Pane(meant, rows, why_not=why_not), 400)
    try:
        notice = await visit.perform(lambda tx, act: _put_as_shown(tx, act, visit, meant, rules))
    except Forbidden:
        raise
    except _NotAsShown as error:
        pane = Pane(meant, rows, is_to_confirm=True, why_not=why_not)
        return await _show(visit, pane, error.http_status)
    except PreconditionFailed as error:
        fresh = await visit.read(
            lambda reader: _read(reader, visit, [m.id for m in meant.machines], meant.policy)
        )
        pane = Pane(fresh, rows_of(fresh.rules), reasons_of(error), error.advice, why_not=why_not)
        return await _show(visit, pane, error.http_status)
    except BasculeError as error:
        rows, others = with_problems(rows, reasons_of(error))
        advice = error.advice if others else ""
        return await _show(visit, Pane(meant, rows, others, advice), error.http_status)
    return visit.go("/portal/jit", notice)


@router.post(f"{PATH}/preview")
@decides(POLICY_WRITE, MACHINE_WRITE)
async def preview_of_form(visit: CurrentVisit) -> Response:
    """What the form as it stands would change, for the part of the pane that says so."""
    meant = await _sent(visit)
    rows, rules = read_rules(read_rows(visit.form))
    wrong = [problem for row in rows for problem in row.errors.values()]
    preview = None
    if not wrong:
        try:
            preview = await _rehearse(visit, meant, rules)
        except InvalidInput as error:
            wrong = list(reasons_of(error))
        except PreconditionFailed as error:
            wrong = list(reasons_of(error))
    seen = digest(preview) if preview else ""
    return visit.show("jit_preview.html", preview=preview, wrong=wrong, seen=seen)


def _ids(texts: Sequence[str]) -> list[ResourceId]:
    ids = list(dict.fromkeys(ResourceId.parse_machine(text, "machine") for text in texts))
    if not ids:
        raise InvalidInput("No machine was chosen.", advice="Choose machines in the list first.")
    if len(ids) > MOST_MACHINES:
        raise InvalidInput(
            sentence("{count} machines are too many.", count=len(ids)),
            advice=sentence("Choose at most {most}.", most=MOST_MACHINES),
        )
    return ids


def _read(reader: Reader, visit: Visit, ids: Sequence[ResourceId], policy: str) -> Meant:
    """Raises Forbidden before anything is told of a machine, NotFound."""
    needed = [
        Needed(action, resource_scope(each))
        for each in ids
        for action in (MACHINE_READ, POLICY_READ)
    ]
    check(reader, visit.subject, visit.now, needed)
    machines = [known_machine(reader, each) for each in ids]
    naming = [each.policy for each in reader.policies_naming(ids[0])] if len(ids) == 1 else []
    own = [each.id.name for each in naming if each.id == policy_beside(machines[0], each.id.name)]
    name = parse_name(policy, "Policy", "policy") if policy else next(iter(own), DEFAULT_POLICY)
    stored = reader.policy(policy_beside(machines[0], name))
    rules = stored.policy.rules_for(ids[0]) if stored else None
    beside = stored.policy.rules if stored else ()
    stages = [stage for rule in (rules.ports if rules else ()) for stage in rule.approval]
    return Meant(
        tuple(machines),
        name,
        tuple(rules_tag(reader, each, name) for each in machines),
        rules.ports if rules else (),
        tuple(own),
        tuple(each.id for each in naming if each.id.name not in own),
        len(ids) == 1 and bool(reader.gateways_of([machines[0].uid])),
        beside,
        names_in(reader, beside, stages),
        Found.path_of(stored.policy.id) if stored else "",
    )


async def _sent(visit: Visit) -> Meant:
    """The machines of a form; their tags are those that it was shown with."""
    form = visit.form
    meant = await visit.read(
        lambda reader: _read(reader, visit, _ids(form.texts("machine")), form.text("policy"))
    )
    given = dict(zip(_ids(form.texts("machine")), form.texts("tag"), strict=False))
    tags = tuple(given.get(machine.id, "") for machine in meant.machines)
    return replace(meant, tags=tags)


def _put(
    tx: Transaction, act: Act, visit: Visit, meant: Meant, rules: tuple[PortRule, ...]
) -> None:
    tags = {machine.id: tag for machine, tag in zip(meant.machines, meant.tags, strict=True)}
    put_rules_of_machines(tx, act, visit.subject, tags, rules, meant.policy)


def _put_as_shown(
    tx: Transaction, act: Act, visit: Visit, meant: Meant, rules: tuple[PortRule, ...]
) -> str:
    """The notice that says what saving it did."""
    before = _closed(tx, meant)
    _put(tx, act, visit, meant, rules)
    done = preview_of(tx, act, visit.subject)
    if digest(done) != visit.form.text("seen") and (done.ends or done.shortens):
        raise _NotAsShown("What saving this ends has changed since it was shown.")
    if _closed(tx, meant) - before:
        return "jit_page_saved"
    return "saved" if done.opens or done.ends or done.shortens else "jit_page_changed"


def _closed(reader: Reader, meant: Meant) -> frozenset[tuple[str, str]]:
    """Which ports of which machine are to be shut."""
    return frozenset(
        (machine.uid, str(each.port))
        for machine in meant.machines
        for each in reader.closed_ports(machine.uid)
    )


async def _rehearse(visit: Visit, meant: Meant, rules: tuple[PortRule, ...]) -> Preview:
    return await visit.rehearse(lambda tx, act: _put(tx, act, visit, meant, rules))


def _why_not(visit: Visit, meant: Meant) -> str:
    """Why the pane cannot be saved: the first right that is missing at one of its machines."""
    for machine in meant.machines:
        for action in (POLICY_WRITE, MACHINE_WRITE):
            why = visit.why_not(action, resource_scope(machine.id))
            if why:
                return why
    return ""


def digest(preview: Preview) -> str:
    """Which ports were shown as let go, and which live grants as touched, and how."""
    opens = [f"{change.machine_id} {change.port}" for change in preview.opens]
    touched = [
        f"{change.grant.id if change.grant else change.machine_id}{change.ends_at or ''}"
        for change in (*preview.ends, *preview.shortens)
    ]
    return hashlib.sha256("\n".join(sorted(opens + touched)).encode()).hexdigest()[:16]


async def _show(visit: Visit, pane: Pane, status: int = 200) -> Response:
    """The pane, with what it would change where it could be saved as it stands."""
    preview: Preview | None = None
    meant = pane.meant
    problems, rows = list(pane.problems), pane.rows
    if not pane.why_not and not problems:
        marked, rules = read_rules(rows)
        if pane.meant.says(rules):
            preview = Preview()  # as it is now: there is nothing to rehearse
        elif not any(row.errors for row in marked):
            try:
                preview = await _rehearse(visit, pane.meant, rules)
            except BasculeError as error:
                rows, problems = with_problems(rows, reasons_of(error))
    return visit.show(
        "jit_configure.html",
        status,
        pane=pane,
        meant=meant,
        rows=rows,
        problems_shown=problems,
        preview=preview,
        seen=digest(preview) if preview else "",
        wrong=(),
        action=PATH,
        is_adding=visit.form.text("act") == "add",
        most_rows=MOST_ROWS,
        rules_said=[rule_words(visit.words, each, meant.names) for each in meant.policy_rules],
        approvals={
            str(rule.number): [stage_words(visit.words, e, meant.names) for e in rule.approval]
            for rule in meant.rules
            if rule.approval
        },
    )
