"""Plain forms: one description of a form, its two routes, and how a refused one is shown again.

A destructive act has a form without fields, which says what the act will do before it is done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.entries import decides
from bascule.domain.access import Subject
from bascule.errors import BasculeError, Forbidden
from bascule.interfaces.store import Transaction
from bascule.portal import problems
from bascule.portal.guard import CurrentVisit, Visit
from bascule.portal.iam import perform_at, whole
from bascule.portal.kept import comes_back
from bascule.services.act import Act
from bascule.words import Words

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Field:
    """One question of a form; its texts are in the visitor's language already."""

    name: str
    label: str = ""
    value: str = ""
    kind: str = "text"  # an input's type; or textarea, select, hidden
    hint: str = ""
    options: Sequence[tuple[str, str]] = ()  # value, text: of a select; listed at a textarea
    suggestions: Sequence[str] = ()
    is_required: bool = False
    longest: int = 1024


@dataclass(frozen=True, slots=True)
class Form:
    """A form with a title; without visible fields it asks whether somebody means it."""

    title: str
    submit: str
    back: str
    fields: Sequence[Field] = ()
    lead: str = ""
    effects: Sequence[str] = ()  # what it will do, one sentence each
    is_destructive: bool = False
    is_of_now: bool = False  # its values say what is so: shown anew where that has changed
    why_not: str = ""  # the button is off
    is_once: bool = False  # sent again, it makes nothing more (``portal.once``)
    trail: Sequence[tuple[str, str]] = ()  # pages that lead to it; empty: access control


def show_form(visit: Visit, form: Form, error: BasculeError | None = None) -> Response:
    """The form, which is sent to the address that it is at; after an error as it was filled in,
    except for what is secret. What it carries unseen of what it showed stays too, until it is told
    that this has changed: who corrects a field has not been shown it anew.

    Raises a Forbidden again: the guard puts it on record and answers.
    """
    if isinstance(error, Forbidden):
        raise error
    if error is not None:
        is_stale = error.specific_code == "NotAsShown"
        fields = [
            each if is_stale and (form.is_of_now or each.kind == "hidden") else _kept(visit, each)
            for each in form.fields
        ]
        form = replace(form, fields=fields)
    return visit.show(
        "form.html",
        error.http_status if error else 200,
        form=form,
        action=visit.request.url.path,
        reasons=problems.reasons_of(error) if error else (),
        advice=error.advice if error else "",
    )


def _kept(visit: Visit, asked: Field) -> Field:
    is_kept = asked.kind != "password" and visit.form.has(asked.name)
    return replace(asked, value=visit.form.raw(asked.name)) if is_kept else asked


def add_form(
    router: APIRouter,
    path: str,
    action: str,
    find: Callable[[Visit], Awaitable[S]],
    form: Callable[[Visit, S], Form],
    act: Callable[[Visit, S], Awaitable[Response]],
    *,
    is_kept: bool = False,
    is_at_subscription: bool = True,
) -> None:
    """Route a form: GET shows it; POST acts, and shows it again, filled in, when that is refused.

    ``find`` gives what the path names, or raises as the API's route does. ``act`` checks its
    rights in its transaction. ``is_kept``: the form comes back when its session had ended
    (``portal.kept``). Unless ``is_at_subscription``, ``form`` says by itself why the button is off.
    """

    @router.get(path)
    @decides(action)
    async def ask(visit: CurrentVisit) -> Response:
        shown = form(visit, await find(visit))
        if is_at_subscription:
            shown = replace(shown, why_not=visit.why_not(action, whole(visit)))
        return show_form(visit, shown)

    @router.post(path)
    @decides(action)
    async def send(visit: CurrentVisit) -> Response:
        found = await find(visit)
        try:
            return await act(visit, found)
        except BasculeError as error:
            return show_form(visit, form(visit, found), error)

    if is_kept:
        comes_back(send)


async def nothing(_: Visit) -> None:
    """What a form is about that makes something new."""


@dataclass(frozen=True, slots=True)
class Confirmed(Generic[S]):
    """An act that ends something: a form without fields says what it will do; then it is done."""

    path: str
    action: str
    find: Callable[[Visit], Awaitable[S]]  # what the path names
    title: Callable[[Words, S], str]
    submit: str  # a text
    effects: Callable[[Visit, S], Sequence[str]]
    work: Callable[[Transaction, Act, Subject, S], object]
    back: Callable[[S], str]  # the page that the form was asked for on
    then: str = ""  # where to afterwards; empty: back
    notice: str = "removed"


def add_confirmed(router: APIRouter, confirmed: Confirmed[S]) -> None:
    """Route an act that needs nothing but a yes."""

    def form(visit: Visit, found: S) -> Form:
        return Form(
            confirmed.title(visit.words, found),
            visit.words(confirmed.submit),
            confirmed.back(found),
            effects=confirmed.effects(visit, found),
            is_destructive=True,
        )

    async def act(visit: Visit, found: S) -> Response:
        await perform_at(
            visit,
            confirmed.action,
            lambda tx, act: confirmed.work(tx, act, visit.subject, found),
        )
        return visit.go(confirmed.then or confirmed.back(found), confirmed.notice)

    add_form(router, confirmed.path, confirmed.action, confirmed.find, form, act)
