"""Writing what a policy says of approval: one rule, the approval of one port, and its settings.

Each form holds the ETag of the policy that it was made of. Where somebody else has changed the policy
since, nothing is written, and the form comes back as it was filled in, beside what the policy says now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.entries import decides
from bascule.domain.actions import POLICY_READ, RULES_WRITE
from bascule.domain.ids import ResourceId
from bascule.domain.policy import PENDING_FOR, MachineRules, Policy, PortRule
from bascule.domain.rules import Rule
from bascule.domain.stages import MOST_STAGES, Stage
from bascule.domain.times import format_duration, parse_duration
from bascule.errors import BasculeError, Conflict, Forbidden, NotFound, Problem
from bascule.interfaces.store import Reader, Transaction
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.iam import find_principal
from bascule.portal.kept import comes_back
from bascule.portal.pages.rules import PATH, Found, find_policy
from bascule.portal.plain_forms import Field, Form, show_form
from bascule.portal.problems import reasons_of
from bascule.portal.rule_form import (
    RuleDraft,
    draft_of,
    new_draft,
    read_draft,
    read_rule,
    with_problems,
)
from bascule.portal.rule_words import DAYS, Names, names_in, rule_words, stage_words
from bascule.portal.spans import parse_span, show_span
from bascule.portal.stage_rows import (
    Finder,
    StageRow,
    changed_rows,
    read_stage_rows,
    read_stages,
    stage_rows_of,
    with_stage_problems,
)
from bascule.sentences import sentence
from bascule.services.access_rules import Kept, check_may_write_rules
from bascule.services.act import Act
from bascule.services.policies import Precondition, put_policy
from bascule.services.rules_written import delete_rule, put_rule

router = APIRouter(route_class=PortalRoute)

_WRITES_SETTINGS = Kept(self_approval=False, pending_for=False)


def wanted_policy(visit: Visit) -> tuple[ResourceId, Precondition]:
    """The policy that the form names, as it was when the form was made."""
    policy = ResourceId.parse(visit.form.text("policy"), "policy")
    return policy, Precondition(visit.form.text("etag") or "none")


def _write(
    tx: Transaction, act: Act, visit: Visit, change: Callable[[Policy], Policy], kept: Kept
) -> None:
    """Write the policy that the form names, changed so, as a PUT of the whole policy does."""
    wanted, precondition = wanted_policy(visit)
    before = find_policy(tx, visit, str(wanted)).whole
    check_may_write_rules(tx, act, visit.subject, before.policy)  # else what it writes is kept out
    put_policy(tx, act, visit.subject, change(before.policy), (), precondition, kept)


def _finder(visit: Visit, names: Names) -> Finder:
    """By name or id; whom the rule names already is found without the right to look people up."""
    known = {name.casefold(): each for each, name in names.items()}

    def find(reader: Reader, kind: str, text: str) -> str:
        return known.get(text.casefold()) or find_principal(visit, reader, kind, text)

    return find


# -- a rule -----------------------------------------------------------------------------------


@router.get(f"{PATH}/edit")
@decides(POLICY_READ, RULES_WRITE)
async def show_rule(visit: CurrentVisit) -> Response:
    query = visit.request.query_params
    policy, name = query.get("policy", ""), query.get("rule", "")
    return await _show_rule(visit, policy, name)


@router.post(f"{PATH}/edit")
@comes_back
@decides(POLICY_READ, RULES_WRITE)
async def save_rule(visit: CurrentVisit) -> Response:
    form = visit.form
    policy, name, act = form.text("policy"), form.text("rule"), form.text("act", "save")
    draft = read_draft(form)
    draft = replace(draft, name=name or draft.name)  # a rule is known by its name
    rows = changed_rows(act, draft.stages)
    if rows is not None:
        return await _show_rule(visit, policy, name, replace(draft, stages=rows))

    def read(reader: Reader) -> tuple[RuleDraft, Rule | None]:
        old = _old(find_policy(reader, visit, policy), name)
        names = names_in(reader, [old] if old else (), ())
        return read_rule(draft, reader, _finder(visit, names))

    draft, rule = await visit.read(read)
    if rule is None:
        return await _show_rule(visit, policy, name, draft, status=400)
    try:
        await visit.perform(lambda tx, act: _put_rule(tx, act, visit, rule, is_new=not name))
    except (Forbidden, NotFound):
        raise
    except BasculeError as error:
        draft, others = with_problems(draft, reasons_of(error))
        return await _show_rule(visit, policy, name, draft, others, error)
    return visit.go(_path(policy), "saved")


def _put_rule(tx: Transaction, act: Act, visit: Visit, rule: Rule, *, is_new: bool) -> None:
    """A new one takes no other's place."""
    wanted, precondition = wanted_policy(visit)
    held = [each.key for each in find_policy(tx, visit, str(wanted)).policy.rules]
    if is_new and rule.key in held:
        raise Conflict(
            sentence("This policy has a rule named {rule} already.", rule=rule.name),
            code="DuplicateRule",
            target="name",
        )
    put_rule(tx, act, visit.subject, wanted, rule, precondition)


def _old(found: Found, name: str) -> Rule | None:
    """The rule that the form is about; None: a new one. Raises NotFound."""
    if not name:
        return None
    held = [each for each in found.policy.rules if each.key == name.casefold()]
    if not held:
        raise _no_rule(name)
    return held[0]


def _no_rule(name: str) -> NotFound:
    return NotFound(
        sentence("There is no rule named {rule} in this policy any more.", rule=repr(name[:64])),
        code="RuleNotFound",
        advice="See the rules that there are.",
    )


async def _show_rule(
    visit: Visit,
    policy: str,
    name: str,
    draft: RuleDraft | None = None,
    problems: Sequence[Problem] = (),
    error: BasculeError | None = None,
    status: int = 200,
) -> Response:
    def read(reader: Reader) -> tuple[Found, RuleDraft, str]:
        found = find_policy(reader, visit, policy)
        old = _old(found, name)
        names = names_in(reader, [old] if old else (), ())
        own = draft_of(old, names) if old else new_draft()
        return found, own, rule_words(visit.words, old, names) if old else ""

    found, own, now_so = await visit.read(read)
    return visit.show(
        "rule_edit.html",
        error.http_status if error else status,
        found=found,
        name=name,
        draft=draft or own,
        now_so=now_so,
        reasons=problems,
        advice=error.advice if error else "",
        etag=_etag(visit, found, is_changed=error is not None),
        action=f"{PATH}/edit",
        back=found.path,
        days=DAYS,
        most_stages=MOST_STAGES,
    )


def _etag(visit: Visit, found: Found, *, is_changed: bool = False) -> str:
    """Of the policy that a form is made of; what was sent stays until its sender was told."""
    return found.whole.etag if is_changed else visit.form.text("etag") or found.whole.etag


def _path(policy: str) -> str:
    return Found.path_of(ResourceId.parse(policy, "policy"))


# -- removing one -----------------------------------------------------------------------------


@router.get(f"{PATH}/remove")
@decides(POLICY_READ, RULES_WRITE)
async def ask_to_remove(visit: CurrentVisit) -> Response:
    query = visit.request.query_params
    return await _show_removal(visit, query.get("policy", ""), query.get("rule", ""))


@router.post(f"{PATH}/remove")
@decides(POLICY_READ, RULES_WRITE)
async def remove(visit: CurrentVisit) -> Response:
    policy, name = visit.form.text("policy"), visit.form.text("rule")

    def work(tx: Transaction, act: Act) -> bool:
        wanted, precondition = wanted_policy(visit)
        return delete_rule(tx, act, visit.subject, wanted, name, precondition)

    try:
        await visit.perform(work)
    except (Forbidden, NotFound):
        raise
    except BasculeError as error:
        return await _show_removal(visit, policy, name, error)
    return visit.go(_path(policy), "removed")


async def _show_removal(
    visit: Visit, policy: str, name: str, error: BasculeError | None = None
) -> Response:
    def read(reader: Reader) -> tuple[Found, str]:
        found = find_policy(reader, visit, policy)
        old = _old(found, name)
        if old is None:
            raise _no_rule(name)
        return found, rule_words(visit.words, old, names_in(reader, [old], ()))

    found, words = await visit.read(read)
    t = visit.words
    hidden = {"policy": policy, "rule": name, "etag": _etag(visit, found, is_changed=True)}
    form = Form(
        t("Remove rule {rule}", rule=name),
        t("Remove"),
        found.path,
        [Field(each, value=value, kind="hidden") for each, value in hidden.items()],
        effects=(
            t("This rule no longer counts: {rule}", rule=words),
            t("Requests that wait are judged again. What is open stays open until its end."),
        ),
        is_destructive=True,
        is_of_now=True,
        why_not=found.why_not,
        trail=trail_of(visit, found),
    )
    return show_form(visit, form, error)


def trail_of(visit: Visit, found: Found) -> Sequence[tuple[str, str]]:
    t = visit.words
    return (
        (t("Just-in-time access"), "/portal/jit"),
        (t("Rules and approval"), PATH),
        (found.policy.id.name, found.path),
    )


# -- settings of the policy -------------------------------------------------------------------


@router.get(f"{PATH}/settings")
@decides(POLICY_READ, RULES_WRITE)
async def show_settings(visit: CurrentVisit) -> Response:
    return await _show_settings(visit, visit.request.query_params.get("policy", ""))


@router.post(f"{PATH}/settings")
@decides(POLICY_READ, RULES_WRITE)
async def save_settings(visit: CurrentVisit) -> Response:
    form = visit.form
    policy = form.text("policy")
    try:
        text = form.text("pending_for")
        wait = parse_duration(text) if text.upper().startswith("P") else parse_span(text)

        def changed(before: Policy) -> Policy:
            is_own = form.text("self_approval") == "yes"
            pending_for = None if wait == PENDING_FOR else wait
            return replace(before, self_approval=is_own, pending_for=pending_for)

        await visit.perform(lambda tx, act: _write(tx, act, visit, changed, _WRITES_SETTINGS))
    except (Forbidden, NotFound):
        raise
    except BasculeError as error:
        return await _show_settings(visit, policy, error)
    return visit.go(_path(policy), "saved")


async def _show_settings(visit: Visit, policy: str, error: BasculeError | None = None) -> Response:
    found = await visit.read(lambda reader: find_policy(reader, visit, policy))
    t, now_so = visit.words, found.policy
    own = (("no", t("No: somebody else has to")), ("yes", t("Yes; each time is on record")))
    wait = now_so.pending_for or PENDING_FOR
    waits = show_span(wait) if wait < PENDING_FOR else format_duration(wait)
    form = Form(
        t("Approval in policy {policy}", policy=now_so.id.name),
        t("Save"),
        found.path,
        (
            Field("policy", value=policy, kind="hidden"),
            Field("etag", value=found.whole.etag, kind="hidden"),
            Field(
                "self_approval",
                t("May people approve what they requested themselves?"),
                "yes" if now_so.self_approval else "no",
                "select",
                options=own,
            ),
            Field(
                "pending_for",
                t("How long a request waits at most"),
                waits,
                hint=t("Hours and minutes, as in 8:00, or P2D for two days; then it lapses."),
                is_required=True,
                longest=20,
            ),
        ),
        why_not=found.why_not,
        trail=trail_of(visit, found),
    )
    return show_form(visit, form, error)


# -- the approval of a port -------------------------------------------------------------------


@router.get(f"{PATH}/port")
@decides(POLICY_READ, RULES_WRITE)
async def show_port(visit: CurrentVisit) -> Response:
    return await _show_port(visit, visit.request.query_params)


@router.post(f"{PATH}/port")
@comes_back
@decides(POLICY_READ, RULES_WRITE)
async def save_port(visit: CurrentVisit) -> Response:
    form = visit.form
    named = {name: form.text(name) for name in ("policy", "machine", "port", "protocol")}
    rows: Sequence[StageRow] = read_stage_rows(form)
    changed = changed_rows(form.text("act", "save"), rows)
    if changed is not None:
        return await _show_port(visit, named, changed)

    def read(reader: Reader) -> tuple[Sequence[StageRow], tuple[Stage, ...]]:
        _, _, port = _port(find_policy(reader, visit, named["policy"]), named)
        names = names_in(reader, (), port.approval)
        return read_stages(rows, reader, _finder(visit, names))

    rows, stages = await visit.read(read)
    if any(row.errors for row in rows):
        return await _show_port(visit, named, rows, status=400)
    try:
        await visit.perform(
            lambda tx, act: _write(
                tx,
                act,
                visit,
                lambda before: _with_approval(before, named, stages),
                Kept(approvals=frozenset()),
            )
        )
    except (Forbidden, NotFound):
        raise
    except BasculeError as error:
        others: list[Problem] = []
        for each in reasons_of(error):
            target = str(each.target).rpartition("stages")
            rows, is_taken = with_stage_problems(rows, "".join(target[1:]), each)
            others += [] if is_taken else [each]
        return await _show_port(visit, named, rows, others, error)
    return visit.go(_path(named["policy"]), "saved")


def _port(found: Found, named: Mapping[str, str]) -> tuple[Policy, MachineRules, PortRule]:
    """Raises NotFound."""
    machine = ResourceId.parse_machine(named.get("machine", ""), "machine")
    rules = found.policy.rules_for(machine)
    for port in rules.ports if rules else ():
        if rules and (str(port.number), str(port.protocol)) == (
            named.get("port", ""),
            named.get("protocol", ""),
        ):
            return found.policy, rules, port
    raise NotFound(
        "This policy has no such port on this machine any more.",
        code="PortNotInPolicy",
        advice="See what the policy says now.",
    )


def _with_approval(policy: Policy, named: Mapping[str, str], stages: tuple[Stage, ...]) -> Policy:
    machine = ResourceId.parse_machine(named["machine"], "machine")
    rules = policy.rules_for(machine)
    ports = rules.ports if rules else ()
    is_meant = [
        (str(e.number), str(e.protocol)) == (named["port"], named["protocol"]) for e in ports
    ]
    if rules is None or not any(is_meant):
        raise NotFound(
            "This policy has no such port on this machine any more.", code="PortNotInPolicy"
        )
    changed = tuple(
        replace(each, approval=stages) if meant else each
        for each, meant in zip(ports, is_meant, strict=True)
    )
    return policy.with_rules(replace(rules, ports=changed))


async def _show_port(
    visit: Visit,
    named: Mapping[str, str],
    rows: Sequence[StageRow] | None = None,
    problems: Sequence[Problem] = (),
    error: BasculeError | None = None,
    status: int = 200,
) -> Response:
    def read(reader: Reader) -> tuple[Found, MachineRules, PortRule, Names]:
        found = find_policy(reader, visit, named.get("policy", ""))
        _, rules, port = _port(found, named)
        return found, rules, port, names_in(reader, (), port.approval)

    found, rules, port, names = await visit.read(read)
    return visit.show(
        "rule_port.html",
        error.http_status if error else status,
        found=found,
        machine=rules.machine_id,
        port=port,
        now_so=[stage_words(visit.words, each, names) for each in port.approval],
        rows=stage_rows_of(port.approval, names) if rows is None else rows,
        reasons=problems,
        advice=error.advice if error else "",
        etag=_etag(visit, found, is_changed=error is not None),
        action=f"{PATH}/port",
        back=found.path,
        most_stages=MOST_STAGES,
    )
