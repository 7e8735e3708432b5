"""The first visit, in three steps: you, a machine, its protection (EDGES C0).

The first step is opened by the set-up link alone, which is taken out of the address at once
and kept in a cookie of its own: no history, log or Referer holds it. The other two are for
whoever may do what they do, can be left at any moment and found again, and show what is
there, whoever did it and where.
What is not here: what a link opens (``services.set_up``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from bascule.api.context import state_of
from bascule.api.entries import admits_anybody, decides
from bascule.api.oauth.browser import (
    SESSION,
    SIGN_IN,
    Browser,
    csrf_token,
    drop_cookie,
    is_csrf_token,
    remember,
    set_cookie,
)
from bascule.api.pages.look import look_of
from bascule.domain.actions import (
    ENROLMENT_WRITE,
    MACHINE_READ,
    MACHINE_WRITE,
    POLICY_WRITE,
)
from bascule.domain.scopes import resource_scope
from bascule.errors import BasculeError, TooManyRequests
from bascule.interfaces.store import Reader, Transaction
from bascule.portal import look
from bascule.portal.enrolling import (
    DEFAULT_POLICY,
    DEFAULT_PORTS,
    Command,
    Guarded,
    MachineForm,
    default_rule,
    groups_to_write,
    id_in_path,
    machine_form,
    make_command,
    read_guarded,
)
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.kept import comes_back
from bascule.portal.problems import reasons_of
from bascule.services import machine_rules
from bascule.services.act import Act
from bascule.services.rights import Needed, check
from bascule.services.set_up import FirstOwner, SetUpDone, SetUpEnded

router = APIRouter(route_class=PortalRoute)

WELCOME = "/portal/welcome"
MACHINE_STEP = f"{WELCOME}/machine"
COOKIE = "__Host-bascule-setup"  # the link's text, until it is used
_LINK = re.compile(r"[A-Za-z0-9_-]{43}")


# -- the first step: you --------------------------------------------------------------------


@router.get(WELCOME)
@admits_anybody
async def begin(request: Request, link: str = "") -> Response:
    browser = Browser(request)
    if link:
        response = RedirectResponse(WELCOME, 303, {"Cache-Control": "no-store"})
        if _LINK.fullmatch(link):
            set_cookie(response, COOKIE, link)
        else:
            drop_cookie(response, COOKIE)
        return response
    text = _text_of(request)
    if not text:  # nothing is tried: it counts as no guess
        if await browser.visitor() is None:
            return _show_ended(request)
        return RedirectResponse(MACHINE_STEP, 303, {"Cache-Control": "no-store"})
    try:
        found = await browser.state.set_up.find(text, browser.visit)
    except TooManyRequests as error:
        return _show_ended(request, error)
    if isinstance(found, SetUpEnded):
        return _show_ended(request)
    return _show_form(request, text)


@router.post(WELCOME)
@admits_anybody
async def make_owner(request: Request) -> Response:
    browser, text = Browser(request), _text_of(request)
    form = await browser.fields()
    if not is_csrf_token(form.get("csrf", ""), text, WELCOME):
        return _show_ended(request)
    name, shown = form.get("name", "").strip(), form.get("displayName", "").strip()
    if form.get("password", "") != form.get("again", ""):
        return _show_form(request, text, form, 400, is_other=True)
    owner = FirstOwner(name, shown, form.get("password", ""))
    before = [each for each in (browser.session_text, browser.sign_in_text) if each]
    try:
        done = await browser.state.set_up.make_owner(text, owner, browser.visit, before)
    except TooManyRequests as error:
        return _show_ended(request, error)
    except BasculeError as error:
        return _show_form(request, text, form, error.http_status, error)
    return _let_in(browser, done) if isinstance(done, SetUpDone) else _show_ended(request)


def _text_of(request: Request) -> str:
    text = request.cookies.get(COOKIE, "")
    return text if _LINK.fullmatch(text) else ""


def _let_in(browser: Browser, done: SetUpDone) -> Response:
    response = RedirectResponse(MACHINE_STEP, 303, {"Cache-Control": "no-store"})
    set_cookie(response, SESSION, done.session)
    remember(response, browser.state, done.user)
    for cookie in (COOKIE, SIGN_IN):
        drop_cookie(response, cookie)
    return response


def _show_form(
    request: Request,
    text: str,
    form: Mapping[str, str] | None = None,
    status: int = 200,
    error: BasculeError | None = None,
    *,
    is_other: bool = False,
) -> Response:
    content = {
        "csrf": look.csrf_field(csrf_token(text, WELCOME)),
        "form": form or {},
        "reasons": () if error is None else reasons_of(error),
        "advice": "" if error is None else error.advice,
        "is_other": is_other,
    }
    return _show_to_stranger(request, "welcome_you.html", content, status)


def _show_ended(request: Request, error: TooManyRequests | None = None) -> Response:
    """One page for a link that has ended, was used, or never was; who must wait keeps theirs."""
    wait = 0 if error is None else error.retry_after
    status = 429 if error else 410
    response = _show_to_stranger(request, "welcome_ended.html", {"wait": wait}, status)
    if error is None:
        drop_cookie(response, COOKIE)
    if wait:
        response.headers["Retry-After"] = str(wait)
    return response


def _show_to_stranger(
    request: Request, template: str, content: Mapping[str, Any], status: int
) -> Response:
    """A page for whoever has no session."""
    chosen = look_of(request)
    body = (
        look.environment(chosen.language)
        .get_template(template)
        .render(
            content,
            look=chosen,
            files=look.files(),
            now=state_of(request).services.clock.now(),
            visit=None,
        )
    )
    return HTMLResponse(body, status, look.HEADERS)


# -- the second step: a machine -------------------------------------------------------------


@router.get(MACHINE_STEP)
@decides(MACHINE_WRITE, ENROLMENT_WRITE)
async def ask_for_machine(visit: CurrentVisit) -> Response:
    return await _show_machine_form(visit, MachineForm())


@router.post(MACHINE_STEP)
@comes_back
@decides(MACHINE_WRITE, ENROLMENT_WRITE)
async def take_machine(visit: CurrentVisit) -> Response:
    """Add the machine and make its agent's command, both or neither."""
    form = await machine_form(visit)
    try:
        wanted, draft = form.read(visit)
        command = await visit.perform(
            lambda tx, act: make_command(visit, tx, act, wanted, replaces=False, draft=draft)
        )
    except BasculeError as error:
        return await _show_machine_form(visit, form, error)
    guarded = await visit.read(lambda reader: read_guarded(reader, wanted, visit.now))
    response = _show_agent(visit, guarded, command)
    # The page of the machine: what is live in it is fetched from there.
    response.headers["HX-Push-Url"] = machine_step(guarded)
    return response


@router.get(f"{MACHINE_STEP}/{{group}}/{{name}}")
@decides(MACHINE_READ)
async def show_machine(visit: CurrentVisit, group: str, name: str) -> Response:
    return _show_agent(visit, await _guarded(visit, group, name), None)


@router.post(f"{MACHINE_STEP}/{{group}}/{{name}}")
@decides(ENROLMENT_WRITE)
async def make_another_command(visit: CurrentVisit, group: str, name: str) -> Response:
    wanted = id_in_path(visit, group, name)
    command = await visit.perform(
        lambda tx, act: make_command(visit, tx, act, wanted, replaces=False)
    )
    return _show_agent(visit, await _guarded(visit, group, name), command)


async def _show_machine_form(
    visit: Visit, form: MachineForm, error: BasculeError | None = None
) -> Response:
    started = await visit.read(lambda reader: _unfinished(reader, visit))
    return visit.show(
        "welcome_machine.html",
        200 if error is None else error.http_status,
        form=form,
        groups=await groups_to_write(visit),
        reasons=() if error is None else reasons_of(error),
        advice="" if error is None else error.advice,
        started=started,
        step_of=machine_step,
    )


def _unfinished(reader: Reader, visit: Visit) -> list[Guarded]:
    """Machines with which somebody began and which nothing protects yet; a handful."""
    found = [
        read_guarded(reader, machine.id, visit.now)
        for machine in reader.machines(limit=20, within=visit.within(MACHINE_READ))
    ]
    return [each for each in found if not each.is_protected][:5]


def _show_agent(visit: Visit, guarded: Guarded, command: Command | None) -> Response:
    scope = resource_scope(guarded.machine.id)
    return visit.show(
        "welcome_agent.html",
        guarded=guarded,
        command=command,
        action=machine_step(guarded),
        protect=protect_step(guarded),
        why_not=visit.why_not(ENROLMENT_WRITE, scope),
    )


# -- the third step: protect it -------------------------------------------------------------


@router.get(f"{WELCOME}/protect/{{group}}/{{name}}")
@decides(MACHINE_READ)
async def show_protection(visit: CurrentVisit, group: str, name: str) -> Response:
    return _show_protection(visit, await _guarded(visit, group, name))


@router.post(f"{WELCOME}/protect/{{group}}/{{name}}")
@decides(POLICY_WRITE, MACHINE_WRITE)
async def protect(visit: CurrentVisit, group: str, name: str) -> Response:
    """Enable just-in-time with what the operating system asks for; what is there stays."""
    wanted = id_in_path(visit, group, name)

    def work(tx: Transaction, act: Act) -> None:
        guarded = read_guarded(tx, wanted, act.now)
        if not guarded.is_named:
            rules = (default_rule(guarded.machine.os_type),)
            machine_rules.put_machine_rules(
                tx, act, visit.subject, wanted, rules, DEFAULT_POLICY, ()
            )

    try:
        await visit.perform(work)
    except BasculeError as error:
        return _show_protection(visit, await _guarded(visit, group, name), error)
    return visit.go(protect_step(await _guarded(visit, group, name)))


def _show_protection(visit: Visit, guarded: Guarded, error: BasculeError | None = None) -> Response:
    scope = resource_scope(guarded.machine.id)
    reason = visit.why_not(POLICY_WRITE, scope) or visit.why_not(MACHINE_WRITE, scope)
    return visit.show(
        "welcome_protect.html",
        200 if error is None else error.http_status,
        guarded=guarded,
        port=DEFAULT_PORTS[guarded.machine.os_type],
        action=protect_step(guarded),
        agent=machine_step(guarded),
        why_not=reason,
        reasons=() if error is None else reasons_of(error),
        advice="" if error is None else error.advice,
    )


async def _guarded(visit: Visit, group: str, name: str) -> Guarded:
    """The machine, for who may read it; raise Forbidden, or NotFound."""
    wanted, now = id_in_path(visit, group, name), visit.now

    def read(reader: Reader) -> Guarded:
        check(reader, visit.subject, now, [Needed(MACHINE_READ, resource_scope(wanted))])
        return read_guarded(reader, wanted, now)

    return await visit.read(read)


def machine_step(guarded: Guarded) -> str:
    return f"{MACHINE_STEP}/{quote(guarded.path)}"


def protect_step(guarded: Guarded) -> str:
    return f"{WELCOME}/protect/{quote(guarded.path)}"
