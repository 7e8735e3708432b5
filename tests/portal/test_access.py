"""Access control: who may do what; each act as the API has it, and nothing without the right."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import pytest

from bascule.domain.actions import (
    ASSIGNMENT_READ,
    GROUP_OF_PEOPLE_READ,
    GROUP_OF_PEOPLE_WRITE,
    INITIATE,
    MACHINE_READ,
    ROLE_READ,
    SERVICE_PRINCIPAL_READ,
    USER_READ,
    USER_WRITE,
)
from bascule.domain.builtin_roles import CONTRIBUTOR, OWNER, READER
from bascule.domain.principals import Group, ServicePrincipal
from bascule.identity.secrets import sha256_hex
from bascule.interfaces.store import Transaction
from bascule.services import memberships
from bascule.services.act import Act, new_id
from tests.portal.visiting import Person, owner, somebody, text_of
from tests.wire.browsing import Browser, add_user
from tests.wire.house import House
from tests.wire.people import make_role

ACCESS = "/portal/access"


@pytest.fixture
def olga(house: House) -> Person:
    return owner(house)


def assignments_of(house: House, principal_id: str) -> list[Any]:
    return list(house.see(lambda reader: reader.role_assignments_of([principal_id])))


def fields_of(html: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)"', html))


# -- reading ----------------------------------------------------------------------------------


def test_every_tab_in_both_languages(olga: Person, house: House) -> None:
    for path, english, french in (
        ("", "Role assignments", "Attributions de rôles"),
        ("/roles", "Owner", "Intégré"),
        ("/users", "olga@example.com", "Ajouter un utilisateur"),
        ("/groups", "Add group", "Ajouter un groupe"),
        ("/programs", "administrator", "Principaux de service"),
        ("/providers", "No external provider", "Aucun fournisseur externe"),
        ("/check", "May this principal do this there", "Quelqu’un peut-il faire ceci"),
    ):
        assert english in text_of(olga.page(ACCESS + path))
        assert french in text_of(olga.page(ACCESS + path, language="fr"))


def test_a_tab_that_may_not_be_read_says_why_and_shows_nobody(house: House, olga: Person) -> None:
    anna = somebody(house, "anna@example.com", house.subscription, MACHINE_READ)
    for tab in ("users", "groups", "programs", "providers"):
        text = text_of(anna.page(f"{ACCESS}/{tab}", 403))
        assert "You lack the right to do this here" in text
        assert "olga" not in text
    anna.page(f"{ACCESS}/users/{olga.user.id}", 403)
    text = text_of(anna.page(ACCESS))
    assert "only your own are shown" in text
    assert "olga" not in text
    assert "role of anna@example.com" in text


def test_names_are_found_by_a_part_of_them_and_come_in_pages(olga: Person, house: House) -> None:
    for name in ("team-00", "team-01"):
        answer = olga.send(f"{ACCESS}/groups/add", {"name": name})
        assert answer.status_code == 303, text_of(answer.text)
    assert "team-01" in text_of(olga.page(f"{ACCESS}/groups?q=TEAM-01"))
    assert "team-00" not in text_of(olga.page(f"{ACCESS}/groups?q=TEAM-01"))
    assert "team-01" in text_of(olga.page(f"{ACCESS}/groups?q=m-01"))
    assert "Nobody found" in text_of(olga.page(f"{ACCESS}/groups?q=x"))


def _people(house: House) -> None:
    for number in range(30):
        add_user(house, f"Ze{number:02}@example.com")


def _teams(house: House) -> None:
    def work(tx: Transaction, act: Act) -> None:
        for number in range(30):
            tx.put_group(Group(new_id(), f"Ze{number:02}", "", act.now))

    house.do(work)


def _programs(house: House) -> None:
    """Two of one name each: they have to be told apart by their ids."""

    def work(tx: Transaction, act: Act) -> None:
        for number in range(30):
            name = f"Ze{number // 2:02}"
            tx.put_service_principal(ServicePrincipal(new_id(), name, True, act.now))

    house.do(work)


@pytest.mark.parametrize(
    ("tab", "fill"), [("users", _people), ("groups", _teams), ("programs", _programs)]
)
def test_a_list_by_name_goes_on_and_back_and_says_how_many(
    house: House, olga: Person, tab: str, fill: Callable[[House], None]
) -> None:
    """The size and the filter are kept over pages; the page before is the one that was shown."""
    fill(house)
    address = f"{ACCESS}/{tab}?q=zE&size=25"
    first = olga.page(address)
    assert "30 entries" in text_of(first)
    assert 'rel="prev"' not in first
    assert (len(names_on(first)), names_on(first)) == (25, sorted(names_on(first)))
    following = turn(first, "next")
    assert "q=zE" in following
    assert "size=25" in following
    second = olga.page(following)
    assert len(names_on(second)) == 5
    assert names_on(second) == sorted(names_on(second))
    assert not ids_on(first) & ids_on(second)
    assert 'rel="next"' not in second
    back = olga.page(turn(second, "prev"))
    assert ids_on(back) == ids_on(first)
    assert names_on(back) == names_on(first)
    assert "30 entries" in text_of(olga.page(f"{ACCESS}/{tab}?q=zE&size=25&before=x&after=W10"))
    assert "0 entries" in text_of(olga.page(f"{ACCESS}/{tab}?q=%25"))


def names_on(html: str) -> list[str]:
    return re.findall(r'class="name"><a href="[^"]+">([^<]+)</a>', html)


def ids_on(html: str) -> set[str]:
    return set(re.findall(r'class="name"><a href="([^"]+)"', html))


def turn(html: str, way: str) -> str:
    found = re.search(rf'href="([^"]+)" rel="{way}"', html)
    assert found is not None, f"no {way}"
    return unescape(found[1])


# -- assignments --------------------------------------------------------------------------------


def test_a_role_is_assigned_checked_and_taken_away(olga: Person, house: House) -> None:
    anna = Person(house, "anna@example.com")
    question = f"{ACCESS}/check?kind=User&principal=anna@example.com&action={MACHINE_READ}"
    text = text_of(olga.page(question))
    assert "anna@example.com may not do this" in text
    assert "Reader" in text  # would give it
    sent = {"role": READER.id, "kind": "User", "principal": "Anna@Example.com", "scope": ""}
    answer = olga.send(f"{ACCESS}/assignments/add", sent)
    assert answer.status_code == 303, text_of(answer.text)
    (held,) = assignments_of(house, anna.user.id)
    assert held.role_id == READER.id
    text = text_of(olga.page(question))
    assert "anna@example.com may do this" in text
    assert "directly" in text
    page = olga.page(f"{ACCESS}/assignments/{held.id}/remove")
    assert "no longer holds Reader" in text_of(page)
    answer = olga.send(f"{ACCESS}/assignments/{held.id}/remove")
    assert answer.status_code == 303
    assert assignments_of(house, anna.user.id) == []


def test_check_names_the_group_that_gives_it(olga: Person, house: House) -> None:
    anna = Person(house, "anna@example.com")
    olga.send(f"{ACCESS}/groups/add", {"name": "operators", "description": "on call"})
    group = house.see(lambda reader: reader.group_by_name("operators"))
    assert group is not None
    olga.send(
        f"{ACCESS}/groups/{group.id}/members/add", {"kind": "User", "principal": anna.user.name}
    )
    sent = {"role": CONTRIBUTOR.id, "kind": "Group", "principal": "operators", "scope": ""}
    assert olga.send(f"{ACCESS}/assignments/add", sent).status_code == 303
    text = text_of(
        olga.page(f"{ACCESS}/check?kind=User&principal={anna.user.id}&action={MACHINE_READ}")
    )
    assert "by group operators" in text
    member = f"{ACCESS}/groups/{group.id}/members/{anna.user.id}"

    def end() -> datetime | None:
        (held,) = house.see(lambda reader: memberships.members(reader, group.id))
        return held.membership.expires_at

    assert "no end" in text_of(olga.page(f"{ACCESS}/groups/{group.id}"))
    assert "its end" in text_of(olga.page(f"{member}/end"))
    assert olga.send(f"{member}/end", {"time": "8"}).status_code == 400
    assert end() is None
    assert olga.send(f"{member}/end", {"time": "8:00"}).status_code == 303
    assert end() == house.clock.now() + timedelta(hours=8)
    sent = {"kind": "User", "principal": anna.user.name, "time": ""}
    assert olga.send(f"{ACCESS}/groups/{group.id}/members/add", sent).status_code == 303
    assert end() is not None, "nothing filled in says nothing of the end that is there"
    assert "no end" not in text_of(olga.page(f"{ACCESS}/groups/{group.id}"))
    assert "operators" in text_of(anna.page("/portal/account"))
    assert olga.send(f"{member}/end", {"time": ""}).status_code == 303
    assert end() is None
    answer = olga.send(f"{member}/remove")
    assert answer.status_code == 303
    assert house.see(lambda reader: memberships.members(reader, group.id)) == []


def test_the_last_owner_cannot_take_himself_away(olga: Person, house: House) -> None:
    (own,) = assignments_of(house, olga.user.id)
    for each in assignments_of(house, house.administrator):
        assert olga.send(f"{ACCESS}/assignments/{each.id}/remove").status_code == 303
    answer = olga.send(f"{ACCESS}/assignments/{own.id}/remove")
    assert answer.status_code == 409
    assert assignments_of(house, olga.user.id) == [own]
    for act in ("disable", "delete"):
        answer = olga.send(f"{ACCESS}/users/{olga.user.id}/{act}")
        assert answer.status_code == 409, (act, text_of(answer.text))
    assert olga.get("/portal").status_code == 200


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"principal": "nobody@example.com"}, 404),
        ({"principal": "11111111-2222-3333-4444-555555555555"}, 400),
        ({"kind": "Robot"}, 400),
        ({"role": "x"}, 400),
        ({"scope": "/nowhere"}, 400),
        ({"scope": "/subscriptions/11111111-2222-3333-4444-555555555555"}, 403),
    ],
)
def test_what_is_wrong_with_an_assignment_is_said(
    olga: Person, house: House, change: dict[str, str], status: int
) -> None:
    anna = Person(house, "anna@example.com")
    good = {"role": READER.id, "kind": "User", "principal": anna.user.name, "scope": ""}
    answer = olga.send(f"{ACCESS}/assignments/add", {**good, **change})
    assert answer.status_code == status, text_of(answer.text)
    assert assignments_of(house, anna.user.id) == []


# -- roles --------------------------------------------------------------------------------------


def test_a_custom_role_is_made_changed_and_deleted(olga: Person, house: House) -> None:
    sent = {
        "name": "Door opener",
        "description": "opens",
        "actions": f"{INITIATE}\n\n{MACHINE_READ}",
        "not_actions": "",
        "scopes": house.subscription,
    }
    answer = olga.send(f"{ACCESS}/roles/add", sent)
    assert answer.status_code == 303, text_of(answer.text)
    (role,) = house.see(lambda reader: reader.custom_roles())
    assert role.permissions[0].actions == (INITIATE, MACHINE_READ)
    path = f"{ACCESS}/roles/{role.id}"
    assert INITIATE in olga.page(path)
    assert "Door opener" in olga.page(f"{path}/edit")
    assert olga.send(f"{path}/edit", {**sent, "actions": MACHINE_READ}).status_code == 303
    (role,) = house.see(lambda reader: reader.custom_roles())
    assert role.permissions[0].actions == (MACHINE_READ,)
    bad = olga.send(f"{path}/edit", {**sent, "name": "Owner", "actions": "no action"})
    assert bad.status_code in (400, 409)
    assert "no action" in bad.text  # as it was filled in
    anna = Person(house, "anna@example.com", (role.id, house.subscription))
    assert olga.send(f"{path}/delete").status_code == 409
    (held,) = assignments_of(house, anna.user.id)
    olga.send(f"{ACCESS}/assignments/{held.id}/remove")
    assert olga.send(f"{path}/delete").status_code == 303
    assert house.see(lambda reader: reader.custom_roles()) == []


def test_a_built_in_role_is_copied_not_changed(olga: Person, house: House) -> None:
    path = f"{ACCESS}/roles/{READER.id}"
    assert "Built-in roles cannot be changed" in text_of(olga.page(path))
    sent = {"name": "x", "actions": "*", "scopes": house.subscription}
    for answer in (olga.send(f"{path}/edit", sent), olga.send(f"{path}/delete")):
        assert answer.status_code == 409, text_of(answer.text)
    assert "*/read" in olga.page(f"{ACCESS}/roles/add?copy={READER.id}")


# -- people -------------------------------------------------------------------------------------


def test_a_user_is_added_given_a_password_and_signed_out(olga: Person, house: House) -> None:
    answer = olga.send(f"{ACCESS}/users/add", {"name": "carl@example.com", "display_name": "Carl"})
    path = answer.headers["location"].partition("?")[0]
    page = olga.send(f"{path}/password", {"password": ""})
    found = re.search(r"<code[^>]*>([a-z]+(?:-[a-z]+){4})</code>", page.text)
    assert found, text_of(page.text)
    assert found[1] not in olga.page(path)
    carl = Browser(house)
    assert carl.sign_in("/portal", "carl@example.com", found[1]).headers["location"] == "/portal"
    assert "198.51.100.7" in olga.page(path)
    assert olga.send(f"{path}/sign-out").status_code == 303
    assert carl.get("/portal").status_code == 303
    weak = olga.send(f"{path}/password", {"password": "short"})
    assert weak.status_code == 400
    assert 'value="short"' not in weak.text
    assert olga.send(f"{path}/disable").status_code == 303
    assert "Disabled" in text_of(olga.page(path))
    assert olga.send(f"{path}/enable").status_code == 303
    assert "permanently" in text_of(olga.page(f"{path}/delete"))
    assert olga.send(f"{path}/delete").status_code == 303
    olga.page(path, 404)


def test_one_session_of_a_user_is_ended(olga: Person, house: House) -> None:
    anna = Person(house, "anna@example.com")
    (session,) = house.see(lambda reader: reader.sessions_of(anna.user.id))
    path = f"{ACCESS}/users/{anna.user.id}"
    assert session.id in olga.page(path)
    assert session.hash not in olga.page(path)
    assert olga.send(f"{path}/sessions/end", {"id": session.id}).status_code == 303
    assert anna.get("/portal").status_code == 303


def test_a_programs_secret_is_shown_once(olga: Person, house: House) -> None:
    page = olga.send(f"{ACCESS}/programs/add", {"name": "robot", "days": "90", "label": "first"})
    assert page.status_code == 200, text_of(page.text)
    found = re.search(
        r'<dt>Secret</dt><dd><span class="copyable"><code[^>]*>([^<]+)</code>', page.text
    )
    assert found
    programs = house.see(lambda reader: reader.service_principals())
    robot = next(each for each in programs if each.display_name == "robot")
    (credential,) = house.see(lambda reader: reader.credentials_of(robot.id))
    assert credential.proof == sha256_hex(found[1])
    path = f"{ACCESS}/programs/{robot.id}"
    assert found[1] not in olga.page(path)
    assert sha256_hex(found[1]) not in olga.page(path)
    assert olga.send(f"{path}/credentials/add", {"days": "7"}).status_code == 400
    bad = olga.send(f"{path}/credentials/add", {"days": "30", "certificate": "nonsense"})
    assert bad.status_code == 400
    assert "nonsense" in bad.text
    answer = olga.send(f"{path}/credentials/{credential.key_id}/remove")
    assert answer.status_code == 303, text_of(answer.text)
    assert house.see(lambda reader: reader.credentials_of(robot.id)) == []
    assert olga.send(f"{path}/disable").status_code == 303
    assert olga.send(f"{path}/enable").status_code == 303
    assert olga.send(f"{path}/delete").status_code == 303
    olga.page(path, 404)


def test_a_provider_is_added_switched_off_and_deleted(olga: Person, house: House) -> None:
    sent = {
        "name": "corp",
        "display_name": "Corp",
        "issuer": "https://login.example.com",
        "client_id": "bascule",
        "client_secret": "s3cret-of-theirs",
        "domains": "Example.com\n",
    }
    answer = olga.send(f"{ACCESS}/providers/add", sent)
    assert answer.status_code == 303, text_of(answer.text)
    assert "s3cret" not in olga.page(f"{ACCESS}/providers")
    again = olga.send(f"{ACCESS}/providers/add", {**sent, "issuer": "https://evil.example"})
    assert again.status_code == 409
    assert "s3cret" not in again.text
    (provider,) = house.see(lambda reader: reader.identity_providers())
    assert (provider.issuer, provider.domains) == ("https://login.example.com", ("example.com",))
    path = f"{ACCESS}/providers/corp"
    assert olga.send(f"{path}/disable").status_code == 303
    assert not house.see(lambda reader: reader.identity_providers())[0].is_enabled
    assert olga.send(f"{path}/enable").status_code == 303
    assert olga.send(f"{ACCESS}/providers/other/enable").status_code == 404
    assert olga.send(f"{path}/delete").status_code == 303
    assert house.see(lambda reader: reader.identity_providers()) == []


# -- without the right --------------------------------------------------------------------------


def _acts(house: House, olga: Person) -> list[tuple[str, dict[str, str]]]:
    """Every act of these pages, as an owner's forms would send it."""
    anna, group_id = "anna@example.com", "operators"
    olga.send(f"{ACCESS}/groups/add", {"name": group_id})
    group = house.see(lambda reader: reader.group_by_name(group_id))
    assert group is not None
    user, (own,) = olga.user.id, assignments_of(house, olga.user.id)
    role, program = make_role(house, "Custom", MACHINE_READ), house.administrator
    (credential,) = house.see(lambda reader: reader.credentials_of(program))
    (session,) = house.see(lambda reader: reader.sessions_of(user))
    written = {"name": "New", "actions": "*", "scopes": house.subscription}
    return [
        ("assignments/add", {"role": OWNER.id, "kind": "User", "principal": anna, "scope": ""}),
        (f"assignments/{own.id}/remove", {}),
        ("roles/add", written),
        (f"roles/{role}/edit", written),
        (f"roles/{role}/delete", {}),
        ("users/add", {"name": "mallory@example.com"}),
        *((f"users/{user}/{act}", {}) for act in ("disable", "enable", "sign-out", "delete")),
        *((f"users/{user}/{act}", {}) for act in ("factors", "password")),
        (f"users/{user}/sessions/end", {"id": session.id}),
        ("groups/add", {"name": "mine"}),
        (f"groups/{group.id}/edit", {"name": "mine"}),
        (f"groups/{group.id}/members/add", {"kind": "User", "principal": anna}),
        (f"groups/{group.id}/members/{user}/remove", {}),
        (f"groups/{group.id}/delete", {}),
        ("programs/add", {"name": "mine", "days": "30"}),
        *((f"programs/{program}/{act}", {}) for act in ("disable", "enable", "delete")),
        (f"programs/{program}/credentials/add", {"days": "30"}),
        (f"programs/{program}/credentials/{credential.key_id}/remove", {}),
        ("providers/add", {"name": "x", "issuer": "https://x.example", "client_id": "x"}),
    ]


_READS = (
    *(USER_READ, GROUP_OF_PEOPLE_READ, SERVICE_PRINCIPAL_READ),
    *(ROLE_READ, ASSIGNMENT_READ, "Microsoft.Authorization/identityProviders/read"),
)


@pytest.mark.parametrize("actions", [(MACHINE_READ,), _READS])
def test_nobody_without_the_right_does_any_of_it(
    house: House, olga: Person, actions: tuple[str, ...]
) -> None:
    """The same table as the API's: a crafted form is refused, and nothing changes."""
    anna = somebody(house, "anna@example.com", house.subscription, *actions)
    acts = _acts(house, olga)

    def everything() -> Any:
        return house.see(
            lambda r: (
                list(r.users()), list(r.groups()), list(r.service_principals()),
                list(r.role_assignments()), list(r.custom_roles()), list(r.identity_providers()),
                r.password(olga.user.id), len(r.sessions_of(olga.user.id)),
                [list(r.members_of(each.id)) for each in r.groups()],
                list(r.credentials_of(house.administrator)),
            )
        )  # fmt: skip

    before = everything()
    for path, fields in acts:
        answer = anna.send(f"{ACCESS}/{path}", fields)
        assert answer.status_code in (403, 404), (path, answer.status_code, text_of(answer.text))
    assert everything() == before


def test_who_may_change_users_and_groups_takes_nothing_that_he_does_not_hold(
    house: House, olga: Person
) -> None:
    """EDGES B4: else setting an owner's password, or joining an owners' group, would be enough."""
    actions = (USER_READ, USER_WRITE, GROUP_OF_PEOPLE_READ, GROUP_OF_PEOPLE_WRITE)
    clerk = somebody(house, "clerk@example.com", house.subscription, *actions)
    olga.send(f"{ACCESS}/groups/add", {"name": "owners"})
    group = house.see(lambda reader: reader.group_by_name("owners"))
    assert group is not None
    sent = {"role": OWNER.id, "kind": "Group", "principal": "owners", "scope": ""}
    assert olga.send(f"{ACCESS}/assignments/add", sent).status_code == 303
    for path in (f"users/{olga.user.id}", f"groups/{group.id}"):
        page = clerk.page(f"{ACCESS}/{path}")
        assert "you do not hold all of its rights there" in text_of(page)
        assert f"{path}/delete" not in page
    before = house.see(lambda reader: reader.password(olga.user.id))
    for path, fields in (
        (f"users/{olga.user.id}/password", {"password": "four other words here"}),
        (f"users/{olga.user.id}/disable", {}),
        (f"users/{olga.user.id}/sign-out", {}),
        (f"users/{olga.user.id}/factors", {}),
        (f"groups/{group.id}/members/add", {"kind": "User", "principal": "clerk@example.com"}),
    ):
        answer = clerk.send(f"{ACCESS}/{path}", fields)
        assert answer.status_code == 403, (path, text_of(answer.text))
    assert house.see(lambda reader: reader.password(olga.user.id)) == before
    assert house.see(lambda reader: list(reader.members_of(group.id))) == []
    assert olga.get("/portal").status_code == 200
    assert "CallerDenied" in house.events("CallerDenied")


@pytest.mark.parametrize("path", ["programs/add", "programs/{id}/credentials/add"])
def test_a_form_sent_again_revives_no_secret_that_was_removed(
    olga: Person, house: House, path: str
) -> None:
    """It was removed because somebody else had it, say: a tab that is loaded again must not help."""
    where = f"{ACCESS}/{path.format(id=house.administrator)}"
    fields = {**fields_of(olga.page(where)), "name": "ci", "label": "leaked", "days": "30"}

    def leaked() -> dict[str, str]:
        return house.see(
            lambda reader: {
                key.key_id: one.id
                for one in reader.service_principals()
                for key in reader.credentials_of(one.id)
                if key.display_name == "leaked"
            }
        )

    assert olga.send(where, fields).status_code == 200
    ((key_id, principal_id),) = leaked().items()
    removal = f"{ACCESS}/programs/{principal_id}/credentials/{key_id}/remove"
    assert olga.send(removal).status_code == 303
    assert leaked() == {}
    again = olga.send(where, fields)
    assert again.status_code == 409, text_of(again.text)
    assert leaked() == {}


@pytest.mark.parametrize("path", ["programs/add", "programs/{id}/credentials/add"])
def test_two_clicks_make_one_credential(olga: Person, house: House, path: str) -> None:
    """Without a script a second click sends the form again, and its answer is the one shown."""

    def kept() -> list[str]:
        return house.see(
            lambda reader: [
                key.key_id
                for one in reader.service_principals()
                for key in reader.credentials_of(one.id)
            ]
        )

    where = f"{ACCESS}/{path.format(id=house.administrator)}"
    fields = {**fields_of(olga.page(where)), "name": "ci", "label": "x", "days": "30"}
    before = len(kept())
    answers = [olga.send(where, fields).text for _ in range(2)]
    secrets = [re.findall(r'data-copy="([\w-]{43})"', each) for each in answers]
    assert secrets[0]
    assert secrets[0] == secrets[1]
    assert len(kept()) == before + 1
    again = {**fields, "once": fields_of(olga.page(where))["once"]}  # the form, asked for anew
    assert re.findall(r'data-copy="([\w-]{43})"', olga.send(where, again).text) != secrets[0]
    assert len(kept()) == before + 2
