"""``bascule revoke``: close early what is open, and say which sessions live on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from bascule.cli.connect import connect
from bascule.cli.find import (
    find_machine,
    find_request,
    live_requests,
    my_only_request,
    port_words,
    short_id,
    summary,
)
from bascule.cli.parameters import MACHINE
from bascule.cli.printing import emit_json, note, output_option, say
from bascule.cli.show import request_json
from bascule.cli.waiting import LOST, Working, wait_until_closed
from bascule.client import access
from bascule.client.access import AccessRequest, GrantedPort
from bascule.domain.lifecycle import ENDED_NOT_CONFIRMED, RequestState
from bascule.errors import (
    BasculeError,
    EnforcementFailed,
    NotFound,
    Problem,
)

if TYPE_CHECKING:
    from bascule.client.connection import Connection
    from bascule.domain.ids import ResourceId

NOT_LIVE = "GrantNotLive"  # the server's code for a request of which nothing is open


@dataclass(frozen=True, slots=True)
class Target:
    """A request to end, whole or some of its grants."""

    request: AccessRequest
    grant_ids: tuple[str, ...] | None = None


@dataclass(slots=True)
class Course:
    """How far it has come, to be told whatever ends it."""

    targets: Sequence[Target]
    answers: dict[Target, AccessRequest] = field(default_factory=dict)  # as last heard
    refused: dict[Target, BasculeError] = field(default_factory=dict)
    over: set[Target] = field(default_factory=set)  # by itself, before its turn

    def not_ended(self) -> list[Target]:
        return [t for t in self.targets if t not in self.answers and t not in self.over]


@click.command(
    epilog="""\b
Examples:
  bascule revoke                        your only live request
  bascule revoke 3f2a91c0 --kill        end its connections too
  bascule revoke --machine web-1        all of yours on web-1
  bascule revoke --all
  bascule revoke --machine web-1 --everyone --kill"""
)
@click.argument("request", required=False)
@click.option("--machine", type=MACHINE, help="Revoke all of your live requests on this machine.")
@click.option("--all", "is_all", is_flag=True, help="Revoke all of your live requests.")
@click.option(
    "--everyone", is_flag=True, help="With --machine or --all: other people's requests too."
)
@click.option("--kill", is_flag=True, help="End the connections that it admitted, too.")
@output_option
def revoke(
    request: str | None,
    machine: str | None,
    is_all: bool,
    everyone: bool,
    kill: bool,
    output: str,
) -> None:
    """Close access before its end.

    REQUEST is an id or its first characters, as 'bascule status' shows them. Default: your
    only live request. Existing connections continue, unless the policy ends them or you give
    --kill. The command prints how many continue.
    """
    if request is not None and (machine or is_all or everyone):
        raise click.UsageError("Give either REQUEST or --machine/--all.")
    if everyone and not (machine or is_all):
        raise click.UsageError("--everyone needs --machine or --all.")
    with connect() as connection:
        targets = _targets(connection, request, machine, is_all=is_all, is_mine=not everyone)
        course = Course(targets)
        is_named = request is not None  # whoever names one hears what the server says of it
        try:
            _end_each(connection, course, kill=kill, is_named=is_named)
            with Working("waiting until it is closed"):
                _see_shut(connection, course)
            others = [] if output == "json" else _still_open(connection, course)
        except (KeyboardInterrupt, BasculeError) as error:
            _tell(course, output, kill=kill)
            _note_unsettled(course, error)
            raise
    _tell(course, output, kill=kill)
    for line in others:
        note(line)
    waiting = _waiting(course.answers)
    _raise_refused(course.refused, waiting)
    _raise_unclosed(waiting)


def _targets(
    connection: Connection, request: str | None, machine: str | None, *, is_all: bool, is_mine: bool
) -> list[Target]:
    if request is not None:
        return [Target(find_request(connection, request))]
    on = find_machine(connection, machine).id if machine is not None else None
    live = live_requests(connection, on, is_mine=is_mine)
    if on is None and not is_all:
        return [Target(my_only_request(live, "revoke"))]
    if not live:
        whose = "You have" if is_mine else "Nobody has"
        where = f" on {on.name}" if on is not None else ""
        raise NotFound(
            f"{whose} nothing open{where}.", advice="To see what is open: bascule status."
        )
    if on is None:
        return [Target(each) for each in live]
    return [Target(each, _grants_on(each, on)) for each in live]


def _grants_on(request: AccessRequest, machine: ResourceId) -> tuple[str, ...] | None:
    """Its live grants there; None where it waits: that has no grants, and ends whole."""
    if request.is_pending:
        return None
    return tuple(p.grant_id for host, p in request.ports() if host.id == machine and p.is_live)


def _end_each(connection: Connection, course: Course, *, kill: bool, is_named: bool) -> None:
    """End them all, whatever becomes of one of them.

    One that ended by itself before its turn is what was wanted.
    """
    for target in course.targets:
        try:
            course.answers[target] = access.revoke(
                connection, target.request.id, kill=kill, grant_ids=target.grant_ids
            )
        except BasculeError as error:
            if is_named:
                raise
            if error.specific_code == NOT_LIVE:
                course.over.add(target)
            else:
                course.refused[target] = error


def _see_shut(connection: Connection, course: Course) -> None:
    ended = [each for each in course.targets if each not in course.refused]
    answers = wait_until_closed(connection, [each.request.id for each in ended])
    for target, answer in zip(ended, answers, strict=True):
        course.answers[target] = answer


def _still_open(connection: Connection, course: Course) -> list[str]:
    """What other requests keep open of the same ports: these are not closed to everybody."""
    ended = {
        (name, port.number, port.protocol)
        for target, answer in course.answers.items()
        for name, port in _ended(target, answer)
    }
    hosts = {host.id for answer in course.answers.values() for host in answer.machines}
    try:
        live = live_requests(connection, hosts.pop() if len(hosts) == 1 else None, is_mine=False)
    except BasculeError:
        return []  # the revocation itself is done, and what is told of it is true without this
    return [
        f"{host.id.name} port {port_words(port.number, port.protocol)} is still open from "
        f"{', '.join(port.sources)} for {request.requestor} (request {short_id(request)})"
        for request in live
        for host, port in request.ports()
        if port.is_live
        and port.row.was_read_back
        and (host.id.name, port.number, port.protocol) in ended
    ]


def _tell(course: Course, output: str, *, kill: bool) -> None:
    """What is known of them now: results, on stdout."""
    if output != "json":
        for line in _lines(course.answers, kill=kill):
            say(line)
    elif course.answers or course.refused:
        still = [each.request for each in course.not_ended()]
        emit_json([request_json(each) for each in [*course.answers.values(), *still]])


def _note_unsettled(course: Course, error: BaseException) -> None:
    """Before it leaves by ``error``: what the server goes on with, and what it does not."""
    for words in _waiting(course.answers):
        note(f"Revoked, but not confirmed closed: {words}")
    for target in course.not_ended():
        why = course.refused.get(target, error)
        words = f"{summary(target.request)} (request {short_id(target.request)})"
        if isinstance(why, LOST):
            note(f"It is unknown whether this was revoked: {words}")
        elif isinstance(why, BasculeError) and why is not error:
            note(f"Not revoked: {words}: {why.message}")


def _ended(target: Target, answer: AccessRequest) -> list[tuple[str, GrantedPort]]:
    """The ports that this revocation was about, as they are now."""
    wanted = target.grant_ids
    was_live = {port.grant_id for _, port in target.request.ports() if port.is_live}
    chosen = set(wanted) if wanted is not None else was_live
    return [
        (host.id.name, port)
        for host, port in answer.ports()
        if port.grant_id in chosen or not chosen
    ]


def _lines(answers: Mapping[Target, AccessRequest], *, kill: bool) -> list[str]:
    return [
        f"{name} port {port_words(port.number, port.protocol)} from {', '.join(port.sources)} "
        f"is {_word(port)}{_alive(port, answer, kill=kill)}"
        for target, answer in answers.items()
        for name, port in _ended(target, answer)
    ]


def _word(port: GrantedPort) -> str:
    if port.state == RequestState.WITHDRAWN:
        return "withdrawn; it waited for approval and opened nothing"
    if port.row.is_settled:
        return "closed"
    return "ended, not confirmed" if port.state == ENDED_NOT_CONFIRMED else port.state


def _alive(port: GrantedPort, request: AccessRequest, *, kill: bool) -> str:
    count = port.sessions_alive
    cannot_end = "endsSessions" in port.lacks
    if "countsSessions" in port.lacks:
        can = ", nor can any be ended there" if kill and cannot_end else ""
        return f"; whether its connections continue is not known{can}"
    if not count:
        return "" if count is None else "; none of its connections continues"
    lives = (
        "1 of its connections continues" if count == 1 else f"{count} of its connections continue"
    )
    if cannot_end:
        return f"; {lives}, and connections cannot be ended there"
    if kill:
        return f"; {count} of its connections not ended yet"
    return f"; {lives} (to end: bascule revoke {request.id} --kill)"


def _waiting(answers: Mapping[Target, AccessRequest]) -> list[str]:
    """Said means seen: what was not read back closed is not called closed."""
    return [
        f"{name} port {port_words(port.number, port.protocol)} (request {short_id(answer)})"
        for target, answer in answers.items()
        for name, port in _ended(target, answer)
        if not port.row.is_settled
    ]


def _raise_refused(refused: Mapping[Target, BasculeError], waiting: Sequence[str]) -> None:
    """One error for all of them, of the first one's kind."""
    if not refused:
        return
    first = next(iter(refused.values()))
    problems = [
        Problem(
            error.specific_code,
            f"{summary(target.request)} (request {short_id(target.request)}): {error.message}",
        )
        for target, error in refused.items()
    ]
    problems += [
        Problem("NotConfirmed", f"revoked, not yet confirmed closed: {w}") for w in waiting
    ]
    is_known = not any(isinstance(each, LOST) for each in refused.values())
    one, more = (
        ("was not", "were not") if is_known else ("is not known to be", "are not known to be")
    )
    how_many = f"1 request {one}" if len(refused) == 1 else f"{len(refused)} requests {more}"
    raise type(first)(
        f"{how_many} revoked, and may stay open until the end:",
        advice=first.advice,
        problems=problems,
    )


def _raise_unclosed(waiting: Sequence[str]) -> None:
    if waiting:
        raise EnforcementFailed(
            f"Revoked, but not yet confirmed closed: {'; '.join(waiting)}",
            advice="Its agent may be away (see bascule status). The port closes at its end in any "
            "case.",
        )
