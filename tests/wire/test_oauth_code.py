"""The code flow in a browser, and what an attacker would try on it (EDGES B5, B7).

RFC 6749 section 4.1, RFC 7636, RFC 9700; OpenID Connect Core section 3.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bascule.api.oauth.browser import HOME, SESSION, SIGN_IN, YOU, safe_next
from bascule.domain.clients import AZURE_CLI, AZURE_POWERSHELL, BASCULE_CLI
from bascule.domain.principals import User
from bascule.domain.tokens import SESSION_IDLE, SESSION_LIFE
from tests.support.stores import written
from tests.wire.browsing import (
    PASSWORD,
    REDIRECT,
    VERIFIER,
    Browser,
    Program,
    add_user,
    forms,
    sent_back,
)
from tests.wire.house import BASE, CALLER, House
from tests.wire.test_oauth import claims_in, refused

EVIL = "https://evil.example"


@pytest.fixture
def anna(house: House) -> User:
    return add_user(house)


@pytest.fixture
def program(house: House) -> Program:
    return Program(house)


@pytest.fixture
def browser(house: House, anna: User) -> Browser:
    made = Browser(house)
    assert made.sign_in().status_code == 303
    return made


@pytest.fixture(scope="module")
def lasting(data_dir: Path) -> Iterator[Program]:
    """For tests that leave it as it was."""
    house = House(data_dir)
    add_user(house)
    yield Program(house)
    house.close()


class TestCode:
    def test_from_the_program_to_its_tokens(self, house: House, anna: User) -> None:
        program, browser = Program(house), Browser(house)
        asked = browser.get(program.url(prompt="select_account"))
        assert asked.headers["location"].startswith("/signin?")
        page = browser.get(asked.headers["location"])
        entered = browser.submit(page, name="Anna@Example.com", password=PASSWORD)
        back = entered.headers["location"]
        assert back.startswith("/organizations/oauth2/v2.0/authorize?")
        assert "prompt" not in back
        confirm = browser.get(back)
        for word in ("Azure CLI", CALLER, "2030-01-01 12:00", "localhost:51234", anna.name):
            assert word in confirm.text
        sent = sent_back(browser.submit(confirm, answer="allow"))
        assert sent["state"] == "st-1"
        assert sent["iss"] == f"{BASE}/{program.tenant}/v2.0"  # RFC 9207
        body = program.redeem(sent["code"]).json()
        assert (body["token_type"], body["expires_in"]) == ("Bearer", 3600)
        access, identity = claims_in(body["access_token"]), claims_in(body["id_token"])
        assert (access["idtyp"], access["oid"], access["appid"]) == ("user", anna.id, AZURE_CLI)
        assert access["scp"] == "user_impersonation"
        wanted = {
            "aud": AZURE_CLI,
            "nonce": "n-1",
            "preferred_username": anna.name,
            "upn": anna.name,
            "name": "Anna",
            "oid": anna.id,
            "sub": anna.id,
            "tid": program.tenant,
            "amr": ["pwd"],
            "auth_time": int(house.clock.now().timestamp()),
        }
        assert wanted.items() <= identity.items()
        assert program.may_call(body["access_token"]) == 200
        assert house.events("SignedIn") == ["SignedIn"]

    def test_who_is_signed_in_is_asked_all_the_same(
        self, program: Program, browser: Browser
    ) -> None:
        """EDGES B7: a cookie alone gives no code."""
        answer = browser.get(program.url())
        assert answer.status_code == 200
        assert "code=" not in answer.text
        assert program.code(browser)

    @pytest.mark.parametrize("client_id", [AZURE_CLI, AZURE_POWERSHELL, BASCULE_CLI])
    @pytest.mark.parametrize("redirect", [REDIRECT, f"{REDIRECT}/", "http://127.0.0.1:1"])
    def test_the_public_clients_listen_on_loopback(
        self, lasting: Program, client_id: str, redirect: str
    ) -> None:
        browser = Browser(lasting.house)
        browser.sign_in()
        page = browser.get(lasting.url(client_id=client_id, redirect_uri=redirect))
        answer = browser.submit(page, answer="allow")
        assert answer.headers["location"].startswith(redirect + "?code=")

    @pytest.mark.parametrize(
        "redirect",
        [
            EVIL,
            "http://localhost",
            "http://localhost:",
            "http://localhost:0",
            "http://localhost:65536",
            "http://localhost:99999",
            "https://localhost:8400",
            "http://localhost:8400/path",
            "http://localhost:8400?x=1",
            "http://localhost:8400#x",
            "http://localhost:8400@evil.example",
            "http://localhost.evil.example:8400",
            "http://localhost:8400.evil.example",
            "http://evil.example:8400",
            "http://localhost:8400\\@evil.example",
            "http://[::1]:8400",
            "http://127.0.0.2:8400",
            "http://127.1:8400",
            "http://LOCALHOST:8400",
            " http://localhost:8400",
            "http://localhost:8400\n",
            "http://localhost:٨٤",
            "javascript:alert(1)",
            "",
        ],
    )
    def test_no_other_redirect_is_followed_or_told_anything(
        self, lasting: Program, redirect: str
    ) -> None:
        """An open redirect would hand codes, or a reputation, to whoever asks."""
        browser = Browser(lasting.house)
        browser.sign_in()
        for changes in ({}, {"response_type": "token"}, {"scope": "x"}, {"prompt": "none"}):
            answer = browser.get(lasting.url(redirect_uri=redirect, **changes))
            assert answer.status_code == 400
            assert "location" not in answer.headers
            assert "redirect_uri" in answer.text
            assert not forms(answer)

    def test_an_unknown_client_leads_nowhere(self, lasting: Program) -> None:
        house = lasting.house
        for client_id in (house.administrator, "x", ""):
            answer = Browser(house).get(lasting.url(client_id=client_id))
            assert answer.status_code == 400
            assert "location" not in answer.headers

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"response_type": "token"}, "unsupported_response_type"),
            ({"response_type": "code id_token"}, "unsupported_response_type"),
            ({"response_mode": "fragment"}, "invalid_request"),
            ({"code_challenge": ""}, "invalid_request"),
            ({"code_challenge": "short"}, "invalid_request"),
            ({"code_challenge_method": "plain"}, "invalid_request"),
            ({"code_challenge_method": ""}, "invalid_request"),
            ({"scope": "https://evil.example/.default"}, "invalid_scope"),
            ({"scope": ""}, "invalid_scope"),
            ({"prompt": "none"}, "login_required"),
            ({"request": "a.b.c"}, "request_not_supported"),
            ({"nonce": "n" * 3000}, "invalid_request"),
        ],
    )
    def test_what_else_is_wrong_goes_back_to_the_program(
        self, lasting: Program, changes: dict[str, str], error: str
    ) -> None:
        answer = Browser(lasting.house).get(lasting.url(**changes))
        assert sent_back(answer)["error"] == error

    def test_a_parameter_twice_is_no_request(self, lasting: Program) -> None:
        answer = Browser(lasting.house).get(lasting.url() + "&redirect_uri=http://localhost:1")
        assert answer.status_code == 400

    def test_refusing_tells_the_program(self, program: Program, browser: Browser) -> None:
        answer = browser.submit(browser.get(program.url()), answer="deny")
        assert sent_back(answer) == {
            "error": "access_denied",
            "error_description": "The user refused it.",
            "iss": f"{BASE}/{program.tenant}/v2.0",
            "state": "st-1",
        }

    def test_silence_is_not_consent(self, program: Program, browser: Browser) -> None:
        assert sent_back(browser.get(program.url(prompt="none")))["error"] == "interaction_required"

    def test_prompt_login_asks_for_the_password_again(
        self, program: Program, browser: Browser
    ) -> None:
        assert browser.get(program.url(prompt="login")).headers["location"].startswith("/signin?")

    def test_another_account_may_be_chosen(self, program: Program, browser: Browser) -> None:
        answer = browser.submit(browser.get(program.url()), answer="other")
        assert answer.headers["location"].startswith("/signin?")

    def test_form_post_works_by_itself_and_by_a_button(
        self, program: Program, browser: Browser
    ) -> None:
        page = browser.get(program.url(response_mode="form_post", state='"><script>'))
        answer = browser.submit(page, answer="allow")
        (form,) = forms(answer)
        assert form.action == REDIRECT
        assert form.fields["state"] == '"><script>'
        assert program.redeem(form.fields["code"]).status_code == 200
        assert '<button class="primary" type="submit">' in answer.text
        policy = answer.headers["content-security-policy"]
        nonce = re.search(r"script-src 'nonce-([^']+)'", policy)
        assert nonce is not None
        assert f'<script nonce="{nonce[1]}" src="/signin/files/submit.js">' in answer.text
        assert f"form-action 'self' {REDIRECT};" in policy


class TestRedeeming:
    def test_a_second_use_ends_what_came_of_the_first(
        self, house: House, program: Program, browser: Browser
    ) -> None:
        code = program.code(browser)
        body = program.redeem(code).json()
        assert program.may_call(body["access_token"]) == 200
        assert refused(program.redeem(code)) == (400, "invalid_grant", 54005)
        assert program.may_call(body["access_token"]) == 401
        assert refused(program.refresh(body["refresh_token"])) == (400, "invalid_grant", 70043)
        assert house.events("TokenFamilyRevoked") == ["TokenFamilyRevoked"]

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"code_verifier": ""}, (400, "invalid_request", 900144)),
            ({"code_verifier": "short"}, (400, "invalid_request", 501491)),
            ({"code_verifier": "w" * 43}, (400, "invalid_grant", 54005)),
            ({"redirect_uri": "http://localhost:51235"}, (400, "invalid_grant", 54005)),
            ({"redirect_uri": f"{REDIRECT}/"}, (400, "invalid_grant", 54005)),
            ({"client_id": AZURE_POWERSHELL}, (400, "invalid_grant", 54005)),
            ({"client_id": "nobody"}, (400, "unauthorized_client", 700016)),
            ({"code": "x"}, (400, "invalid_grant", 54005)),
        ],
    )
    def test_one_wrong_part_is_enough(
        self,
        program: Program,
        browser: Browser,
        changes: dict[str, str],
        expected: tuple[int, str, int],
    ) -> None:
        code = program.code(browser)
        assert refused(program.redeem(changes.pop("code", code), **changes)) == expected

    def test_a_wrong_try_spends_the_code(self, program: Program, browser: Browser) -> None:
        """Whoever holds a code and guesses at its verifier has one guess."""
        code = program.code(browser)
        program.redeem(code, code_verifier="w" * 43)
        assert refused(program.redeem(code)) == (400, "invalid_grant", 54005)

    def test_it_lasts_a_minute(self, house: House, program: Program, browser: Browser) -> None:
        early, late = program.code(browser), program.code(browser)
        house.clock.pass_time(59)
        assert program.redeem(early).status_code == 200
        house.clock.pass_time(1)
        assert refused(program.redeem(late)) == (400, "invalid_grant", 54005)

    def test_a_user_who_is_disabled_meanwhile_gets_nothing(
        self, house: House, program: Program, browser: Browser, anna: User
    ) -> None:
        from bascule.services.tokens import sign_out_everywhere

        code = program.code(browser)
        house.do(lambda tx, act: sign_out_everywhere(tx, act, anna))
        assert refused(program.redeem(code)) == (400, "invalid_grant", 54005)

    def test_nothing_is_kept_in_clear(
        self, house: House, program: Program, browser: Browser
    ) -> None:
        code = program.code(browser)
        body = program.redeem(code).json()
        session = browser.client.cookies[SESSION]
        kept = str(written(house.store))
        assert program.client_id in kept, "else nothing was looked at"
        for secret in (
            code,
            body["refresh_token"],
            body["access_token"],
            session,
            PASSWORD,
            VERIFIER,
        ):
            assert secret not in kept


class TestForms:
    def test_a_form_without_our_proof_is_shown_again(
        self, program: Program, browser: Browser
    ) -> None:
        """CSRF: another site may send the browser here, cookies and all, but not the token."""
        url = program.url()
        for csrf in ("", "x", forms(browser.get(program.url(state="other")))[0].fields["csrf"]):
            answer = browser.post(url, {"answer": "allow", "csrf": csrf})
            assert answer.status_code == 400
            assert "location" not in answer.headers

    @pytest.mark.parametrize("origin", [EVIL, "null", "https://localhost:1"])
    def test_a_form_from_another_origin_is_shown_again(
        self, program: Program, browser: Browser, origin: str
    ) -> None:
        url = program.url()
        fields = {**forms(browser.get(url))[0].fields, "answer": "allow"}
        assert browser.post(url, fields, headers={"Origin": origin}).status_code == 400
        assert browser.post(url, fields, headers={"Origin": BASE}).status_code == 303

    def test_signing_somebody_in_from_elsewhere_is_refused_too(
        self, house: House, anna: User
    ) -> None:
        """Login CSRF: the victim would work, and approve, as the attacker."""
        answer = Browser(house).post("/signin", {"name": anna.name, "password": PASSWORD})
        assert answer.status_code == 400
        assert SESSION not in answer.cookies

    @pytest.mark.parametrize(
        "leads_to",
        [
            EVIL,
            "//evil.example",
            "/\\evil.example",
            "/device/../../evil",
            "/device\r\nSet-Cookie: x=1",
            "/common/oauth2/v2.0/authorize/../x",
            "/x/y/oauth2/v2.0/authorize?x",
            "javascript:alert(1)",
            "/signout",
            "/portalevil",
            "/portal//evil.example@x",
            "",
            "/device?" + "x" * 5000,
        ],
    )
    def test_a_sign_in_leads_to_our_own_pages_alone(
        self, house: House, anna: User, leads_to: str
    ) -> None:
        answer = Browser(house).sign_in(leads_to)
        assert answer.headers["location"] == HOME

    def test_what_is_ours_is_kept(self) -> None:
        for path in (
            *("/device?user_code=BCDF-GHJK", "/adfs/oauth2/authorize?a=b", HOME, YOU),
            *("/portal/machines/default/web-1/connect", "/portal/jit?tab=configured"),
        ):
            assert safe_next(path) == path

    def test_language_and_theme_are_the_browsers_until_somebody_chooses(self, house: House) -> None:
        browser = Browser(house)
        browser.client.headers["Accept-Language"] = "de, fr-CA;q=0.8, en;q=0.5"
        page = browser.get("/signin?next=/device")
        assert '<html lang="fr" data-theme="system">' in page.text
        assert "Nom d\N{RIGHT SINGLE QUOTATION MARK}utilisateur" in page.text
        assert "Accept-Language" in page.headers["vary"]
        form = forms(page)[-1]
        for fields, wanted in (
            ({"theme": "dark"}, '<html lang="fr" data-theme="dark">'),
            ({"language": "en"}, '<html lang="en" data-theme="dark">'),
            ({"language": "xx", "theme": "pink"}, '<html lang="en" data-theme="dark">'),
        ):
            answer = browser.post(form.action, {**form.fields, **fields})
            assert answer.headers["location"] == "/signin?next=/device"
            assert wanted in browser.get("/signin").text
        away = browser.post(form.action, {"next": EVIL, "theme": "light"})
        assert away.headers["location"] == HOME
        foreign = browser.post(form.action, {"theme": "light"}, headers={"Origin": EVIL})
        assert "set-cookie" not in foreign.headers or "light" not in foreign.headers["set-cookie"]

    def test_what_people_type_is_shown_as_text(self, house: House, anna: User) -> None:
        browser = Browser(house)
        page = browser.sign_in(name='"><script>alert(1)</script>', password="x")
        assert "<script>alert" not in page.text
        assert "&lt;script&gt;" in page.text

    @pytest.mark.parametrize("path", ["/signin", "/signin/you", "/device"])
    def test_pages_may_not_be_framed_nor_run_what_is_not_ours(
        self, house: House, browser: Browser, path: str
    ) -> None:
        answer = browser.get(path)
        policy = dict(
            part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; ")
        )
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert "*" not in policy["form-action"]
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|style=|<style", answer.text)

    def test_files_of_the_pages_are_ours_alone(self, lasting: Program) -> None:
        client = lasting.client
        assert client.get("/signin/files/style.css").headers["content-type"].startswith("text/css")
        for name in ("..%2f__init__.py", "texts.py", "x"):
            assert client.get(f"/signin/files/{name}").status_code == 404


class TestSession:
    def test_its_cookie_is_this_hosts_alone(self, house: House, anna: User) -> None:
        answer = Browser(house).sign_in()
        (cookie,) = (
            each for each in answer.headers.get_list("set-cookie") if each.startswith(f"{SESSION}=")
        )
        for word in ("Secure", "HttpOnly", "SameSite=lax", "Path=/"):
            assert word in cookie
        assert "Domain" not in cookie

    def test_a_planted_cookie_is_not_taken_over(self, house: House, anna: User) -> None:
        """Session fixation: whoever planted a cookie is not signed in by the victim."""
        planted = "p" * 43
        browser = Browser(house)
        for name in (SESSION, SIGN_IN):
            browser.client.cookies.set(name, planted, domain="localhost.local")
        browser.sign_in()
        held = Browser(house)
        held.client.cookies.set(SESSION, planted, domain="localhost.local")
        assert "You are signed out" in held.get(YOU).text
        assert "You are signed in" in browser.get(YOU).text

    def test_a_new_sign_in_ends_the_one_before(self, house: House, browser: Browser) -> None:
        before = browser.client.cookies[SESSION]
        browser.sign_in()
        assert browser.client.cookies[SESSION] != before
        old = Browser(house)
        old.client.cookies.set(SESSION, before, domain="localhost.local")
        assert "You are signed out" in old.get(YOU).text

    def test_it_ends_when_it_is_not_used(self, house: House, browser: Browser) -> None:
        house.clock.pass_time(SESSION_IDLE.total_seconds() - 1)
        assert "You are signed in" in browser.get(YOU).text
        house.clock.pass_time(SESSION_IDLE.total_seconds() - 1)
        assert "You are signed in" in browser.get(YOU).text
        house.clock.pass_time(SESSION_IDLE.total_seconds())
        assert "You are signed out" in browser.get(YOU).text

    def test_it_ends_however_much_it_is_used(self, house: House, browser: Browser) -> None:
        for _ in range(int(SESSION_LIFE / SESSION_IDLE * 2) - 1):
            house.clock.pass_time(SESSION_IDLE.total_seconds() / 2)
            assert "You are signed in" in browser.get(YOU).text
        house.clock.pass_time(SESSION_IDLE.total_seconds() / 2)
        assert "You are signed out" in browser.get(YOU).text

    def test_signing_out_here_leaves_programs_alone(
        self, program: Program, browser: Browser
    ) -> None:
        body = program.redeem(program.code(browser)).json()
        text = browser.client.cookies[SESSION]
        assert "signed out" in browser.submit(browser.get(YOU), where="here").text
        browser.client.cookies.set(SESSION, text, domain="localhost.local")
        assert "You are signed out" in browser.get(YOU).text
        assert program.may_call(body["access_token"]) == 200

    def test_signing_out_everywhere_ends_all(
        self, house: House, program: Program, browser: Browser
    ) -> None:
        body = program.redeem(program.code(browser)).json()
        other = Browser(house)
        other.sign_in()
        browser.submit(browser.get(YOU), where="everywhere")
        assert program.may_call(body["access_token"]) == 401
        assert program.refresh(body["refresh_token"]).status_code == 400
        assert "You are signed out" in other.get(YOU).text
        assert house.events("SignedOutEverywhere") == ["SignedOutEverywhere"]

    def test_signing_out_needs_our_form(self, house: House, browser: Browser) -> None:
        browser.post("/signout", {"where": "everywhere"})
        assert "You are signed in" in browser.get(YOU).text


class TestSpraying:
    """EDGES B8: the page passes on what the limits say, before anything is hashed."""

    def test_wrong_passwords_are_refused_alike_and_then_not_looked_at(
        self, house: House, anna: User
    ) -> None:
        browser = Browser(house)
        wrong = browser.sign_in(password="x")
        unknown = browser.sign_in(name="nobody@example.com", password="x")
        assert wrong.status_code == unknown.status_code == 401
        plain = [re.sub(r'value="[^"]*"|data-passkey="[^"]*"|nonce="[^"]*"', "", each.text)
                 for each in (wrong, unknown)]  # fmt: skip
        assert plain[0] == plain[1]
        statuses = [browser.sign_in(password="x").status_code for _ in range(10)]
        assert statuses[-1] == 429
        late = browser.sign_in(password=PASSWORD)
        assert late.status_code == 429
        assert int(late.headers["retry-after"]) >= 1
        assert SESSION not in late.cookies
        assert urlsplit(str(late.url)).path == "/signin"
