"""Access control: groups; what a group holds, its members hold."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from bascule.domain.actions import (
    GROUP_OF_PEOPLE_DELETE,
    GROUP_OF_PEOPLE_READ,
    GROUP_OF_PEOPLE_WRITE,
)
from bascule.domain.principals import Group
from bascule.interfaces.store import Reader, Transaction
from bascule.portal.codes import text_of
from bascule.portal.guard import PortalRoute, Visit
from bascule.portal.iam import (
    ACCESS,
    PATHS,
    effect_on_ports,
    find_principal,
    open_ports,
    perform_at,
)
from bascule.portal.plain_forms import (
    Confirmed,
    Field,
    Form,
    add_confirmed,
    add_form,
    nothing,
)
from bascule.portal.principal_pages import Column, Kind
from bascule.portal.spans import parse_span
from bascule.services import memberships
from bascule.services.act import Act
from bascule.services.memberships import Until
from bascule.services.principal_rights import name_of
from bascule.words import msgid

router = APIRouter(route_class=PortalRoute)


KIND: Kind[Group] = Kind(
    router,
    path=f"{ACCESS}/groups",
    word="group",
    tab=msgid("Groups"),
    picture="people",
    read=GROUP_OF_PEOPLE_READ,
    write=GROUP_OF_PEOPLE_WRITE,
    delete=GROUP_OF_PEOPLE_DELETE,
    find=memberships.find_group,
    label=lambda group: group.name,
    rows=lambda reader, after, limit, part, *, is_descending: reader.groups(
        str(after.value) if after else "", limit, part=part, is_descending=is_descending
    ),
    count=lambda reader, part: reader.count_groups(part),
    columns=(
        Column(msgid("Description"), lambda _, group: group.description, "prose"),
        Column(msgid("Added"), lambda _, group: group.created_at, "date"),
    ),
    is_member=False,
)
KIND.add_list()


# -- a group -----------------------------------------------------------------------------------


def _group_form(visit: Visit, group: Group | None) -> Form:
    t = visit.words
    fields = (
        Field(*("name", t("Name"), group.name if group else ""), is_required=True, longest=256),
        Field("description", t("Description"), group.description if group else ""),
    )
    return Form(
        t("Edit group") if group else t("Add group"),
        t("Save") if group else t("Add"),
        KIND.page(group) if group else KIND.path,
        fields,
    )


async def _put(visit: Visit, group: Group | None) -> Response:
    name, description = visit.form.text("name"), visit.form.text("description")

    def work(tx: Transaction, act: Act) -> Group:
        if group is None:
            return memberships.create_group(tx, act, name, description)
        return memberships.change_group(
            tx, act, visit.subject, group.id, name=name, description=description
        )

    put = await perform_at(visit, GROUP_OF_PEOPLE_WRITE, work)
    return visit.go(KIND.page(put), "saved")


async def _known(visit: Visit) -> Group:
    return (await KIND.known(visit)).one


add_form(
    router, f"{KIND.path}/add", GROUP_OF_PEOPLE_WRITE, nothing, _group_form, _put, is_kept=True
)
add_form(router, f"{KIND.one}/edit", GROUP_OF_PEOPLE_WRITE, _known, _group_form, _put, is_kept=True)


KIND.add_page(
    lambda _, reader, group: {
        "members": memberships.members(reader, group.id),
        "principal_paths": {str(kind): path for kind, path in PATHS.items()},
    }
)
KIND.add_act(
    "delete",
    [msgid("The group {group} is gone with its roles; its members stay.")],
    lambda tx, act, subject, group: memberships.delete_group(tx, act, subject, group.id),
    submit=msgid("Delete"),
)


# -- members ---------------------------------------------------------------------------------


def _member_form(visit: Visit, group: Group) -> Form:
    t = visit.words
    kinds = [(each, text_of(t, f"access.kind.{each}")) for each in ("User", "ServicePrincipal")]
    fields = (
        Field("kind", t("Kind"), "User", "select", options=kinds),
        Field(
            *("principal", t("Name or ID")),
            hint=t("The whole name, without regard to case, or the object ID."),
            is_required=True,
            longest=256,
        ),
        _lasting(visit),
    )
    return Form(
        t("Add member"),
        t("Add"),
        KIND.page(group),
        fields,
        effects=[t("The member holds all that {group} holds.", group=group.name)],
    )


def _lasting(visit: Visit) -> Field:
    t = visit.words
    hint = t("Hours and minutes from now, as in 8:00 or 8 h. Empty: it has no end.")
    return Field("time", t("How long the membership lasts"), hint=hint, longest=20)


def _until(visit: Visit) -> Until:
    text = visit.form.text("time").strip()
    return Until(visit.now + parse_span(text, "time") if text else None)


async def _add_member(visit: Visit, group: Group) -> Response:
    kind, wanted = visit.form.text("kind"), visit.form.text("principal")

    def work(tx: Transaction, act: Act) -> None:
        member_id = find_principal(visit, tx, kind, wanted)
        until = _until(visit)  # nothing filled in says nothing of a membership that is there
        memberships.add_member(
            tx, act, visit.subject, group.id, member_id, until if until.at else None
        )

    await perform_at(visit, GROUP_OF_PEOPLE_WRITE, work)
    return visit.go(KIND.page(group), "saved")


add_form(
    *(router, f"{KIND.one}/members/add", GROUP_OF_PEOPLE_WRITE),
    *(_known, _member_form, _add_member),
    is_kept=True,
)


Member = tuple[Group, str, str, int]  # its id and name, and how many openings are its own


async def _known_member(visit: Visit) -> Member:
    group, member_id = await _known(visit), str(visit.request.path_params["member_id"])

    def read(reader: Reader) -> tuple[str, int]:
        return name_of(reader, member_id), open_ports(reader, [member_id])

    return group, member_id, *await visit.read(read)


def _end_form(visit: Visit, known: Member) -> Form:
    t = visit.words
    return Form(
        t("Change the end of the membership"),
        t("Save"),
        KIND.page(known[0]),
        [_lasting(visit)],
        lead=known[2],
        effects=[
            t("At its end the membership ends by itself, and access that rests on it closes."),
        ],
    )


async def _change_end(visit: Visit, known: Member) -> Response:
    group, member_id = known[0], known[1]

    def work(tx: Transaction, act: Act) -> None:
        memberships.add_member(tx, act, visit.subject, group.id, member_id, _until(visit))

    await perform_at(visit, GROUP_OF_PEOPLE_WRITE, work)
    return visit.go(KIND.page(group), "saved")


add_form(
    *(router, f"{KIND.one}/members/{{member_id}}/end", GROUP_OF_PEOPLE_WRITE),
    *(_known_member, _end_form, _change_end),
    is_kept=True,
)


add_confirmed(
    router,
    Confirmed(
        f"{KIND.one}/members/{{member_id}}/remove",
        GROUP_OF_PEOPLE_WRITE,
        _known_member,
        lambda t, _: t("Remove member"),
        msgid("Remove"),
        lambda visit, known: [
            visit.words("{member} is no longer in {group}.", member=known[2], group=known[0].name),
            effect_on_ports(visit, known[3], is_partial=True),
        ],
        lambda tx, act, subject, known: memberships.remove_member(
            tx, act, subject, known[0].id, known[1]
        ),
        lambda known: KIND.page(known[0]),
    ),
)
