"""login: whom to trust, tried before it is kept; the token between commands."""

from __future__ import annotations

import base64
import io
import json
import re
import ssl
import stat
from pathlib import Path

import pytest

from bascule.cli.login import login
from bascule.client.connection import trust_of
from bascule.client.https import HttpsFailure
from bascule.clocks import SystemClock
from bascule.errors import ConfigurationError
from bascule.identity.tls import CertificateKeeper
from tests.unit.cli.conftest import Cli, MemoryHttps
from tests.unit.cli.fake_server import (
    CLIENT,
    ENDPOINT,
    SECRET,
    SUBSCRIPTION,
    TENANT,
    FakeServer,
    keep_person,
)

GIVEN = ["--endpoint", ENDPOINT, "--ca-file", "ca.pem", "--client-id", CLIENT]


@pytest.fixture(autouse=True)
def signed_out(cli: Cli) -> None:
    cli.config.unlink()
    cli.config.parent.rmdir()


def test_what_is_missing_is_asked_for_by_an_option_that_there_is(cli: Cli) -> None:
    """Without a terminal: the message names how to give it."""
    options = {name for each in login.params for name in each.opts}
    for given in ([], [*GIVEN[:4], "--service-principal"], GIVEN):
        result = cli("login", *given)
        named = re.findall(r"Give it as (\S+);", result.err)
        assert len(named) == 1, result.err
        assert set(named) <= options


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_admin_file(cli: Cli, tmp_path: Path) -> None:
    admin = tmp_path / "admin.json"
    admin.write_text(json.dumps({"endpoint": ENDPOINT, "ca_file": "ca.pem", "tenant_id": TENANT,
                                 "subscription_id": SUBSCRIPTION, "client_id": CLIENT,
                                 "client_secret": SECRET}))  # fmt: skip
    result = cli("login", "--admin-file", str(admin))
    assert result.code == 0, result.err
    assert result.out == f"Signed in to {ENDPOINT} as administrator ({CLIENT})\n"
    assert SECRET not in result.out + result.err
    kept = json.loads(cli.config.read_text())
    assert kept["ca_file"] == str(tmp_path / "ca.pem"), (
        "a relative one is meant from the file's folder"
    )
    assert kept["resource_group"] == "default"
    assert (mode(cli.config), mode(cli.config.parent), mode(cli.token)) == (0o600, 0o700, 0o600)
    assert cli("machine", "list").code == 0


def test_a_program_is_called_by_its_name(cli: Cli, server: FakeServer) -> None:
    """Its id alone says nothing to anybody; without a name it has to do."""
    server.own_name = "night-backup"
    assert cli("login", *GIVEN, "--client-secret", SECRET).code == 0
    assert cli("logout").out == f"Signed out night-backup ({CLIENT})\n"
    server.own_name = ""
    result = cli("login", *GIVEN, "--client-secret", SECRET)
    assert result.out == f"Signed in to {ENDPOINT} as {CLIENT}\n"


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ([], "--endpoint"),
        (["--endpoint", ENDPOINT, "--ca-file", "ca.pem", "--service-principal"], "--client-id"),
        (
            ["--endpoint", ENDPOINT, "--ca-file", "ca.pem", "--client-id", CLIENT],
            "--client-secret",
        ),
    ],
)
def test_what_is_missing_is_asked_for_by_an_option_that_exists(
    cli: Cli, given: list[str], option: str
) -> None:
    """It named --server once, which there is not."""
    result = cli("login", *given)
    assert result.code == 2
    assert f"Give it as {option};" in result.err
    assert option in {name for each in login.params for name in each.opts}


def admin_json(**more: str) -> str:
    return json.dumps({"endpoint": ENDPOINT, "tenant_id": TENANT, "subscription_id": SUBSCRIPTION,
                       "client_id": CLIENT, "client_secret": SECRET, **more})  # fmt: skip


@pytest.fixture
def ca(tmp_path: Path) -> str:
    keeper = CertificateKeeper(tmp_path / "keeper", ("localhost",))
    (tmp_path / "keeper").mkdir()
    keeper.ensure(SystemClock().now())
    return keeper.ca_file.read_text()


def test_a_copy_of_admin_json_says_whom_to_trust(cli: Cli, tmp_path: Path, ca: str) -> None:
    """Though the path that it names is another machine's."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    copy = elsewhere / "admin.json"
    for ca_file in ("/var/lib/nobody-has-this/ca.pem", str(tmp_path / "other" / "ca.pem")):
        (tmp_path / "other").mkdir(exist_ok=True)
        (tmp_path / "other" / "ca.pem").write_text("of another installation")
        copy.write_text(admin_json(ca_file=ca_file, ca=ca))
        assert cli("login", "--admin-file", str(copy)).code == 0
        kept = Path(json.loads(cli.config.read_text())["ca_file"])
        assert kept.parent == cli.config.parent
        assert (kept.read_text(), mode(kept)) == (ca, 0o600)
    copy.unlink()
    assert cli("machine", "list").code == 0, "the copy may go"


def test_beside_the_server_its_own_ca_file_is_named(cli: Cli, tmp_path: Path, ca: str) -> None:
    """A new CA is followed there without another sign-in."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "ca.pem").write_text(ca)
    (data / "admin.json").write_text(admin_json(ca_file=str(data / "ca.pem"), ca=ca))
    assert cli("login", "--admin-file", str(data / "admin.json")).code == 0
    assert json.loads(cli.config.read_text())["ca_file"] == str(data / "ca.pem")


def test_a_damaged_ca_in_admin_json_is_said(cli: Cli, tmp_path: Path) -> None:
    copy = tmp_path / "admin.json"
    copy.write_text(admin_json(ca="-----BEGIN CERTIFICATE-----"))
    result = cli("login", "--admin-file", str(copy))
    assert result.code != 0
    assert "is damaged" in result.err
    assert not cli.config.exists()


def test_what_the_server_says_of_itself_is_filled_in(cli: Cli) -> None:
    assert cli("login", *GIVEN, "--client-secret", SECRET).code == 0
    kept = json.loads(cli.config.read_text())
    assert (kept["tenant_id"], kept["subscription_id"]) == (TENANT, SUBSCRIPTION)
    assert kept["ca_file"] == str(Path("ca.pem").absolute())


@pytest.mark.parametrize("subscriptions", [[], [SUBSCRIPTION, TENANT]])
def test_no_single_subscription_must_be_named(
    cli: Cli, server: FakeServer, subscriptions: list[str]
) -> None:
    server.subscriptions = subscriptions
    result = cli("login", *GIVEN, "--client-secret", SECRET)
    assert result.code == 2
    assert "--subscription" in result.err
    assert not cli.config.exists()
    assert (
        cli("login", *GIVEN, "--client-secret", SECRET, "--subscription", SUBSCRIPTION.upper()).code
        == 0
    )


def test_secret_from_environment_and_stdin(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASCULE_CLIENT_SECRET", SECRET)
    assert cli("login", *GIVEN).code == 0
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{SECRET}\n"))
    assert cli("login", *GIVEN, "--client-secret", "-").code == 0
    monkeypatch.delenv("BASCULE_CLIENT_SECRET")
    result = cli("login", *GIVEN)
    assert result.code == 2, "no terminal to ask on"
    assert "--client-secret" in result.err


def test_wrong_secret_keeps_the_sign_in_that_was(cli: Cli) -> None:
    cli("login", *GIVEN, "--client-secret", SECRET)
    before = cli.config.read_text()
    result = cli("login", *GIVEN, "--client-secret", "wrong")
    assert result.code == 5
    assert "wrong secret" in result.err
    assert cli.config.read_text() == before


@pytest.mark.parametrize(
    "endpoint",
    ["http://bascule.test", "bascule.test:8443", "https://", "https://u@bascule.test", "https://bascule.test/x",
     "https://bascule.test?x", "https://bascule.test:0", "https://bascule.test:99999", "https://[::1"],
)  # fmt: skip
def test_what_is_no_server(cli: Cli, endpoint: str) -> None:
    result = cli("login", "--endpoint", endpoint, "--ca-file", "ca.pem", "--client-secret", SECRET)
    assert result.code == 2
    assert not cli.server.calls


def shows(monkeypatch: pytest.MonkeyPatch, failure: Exception | None) -> list[ssl.SSLContext]:
    """What a call that verifies by the system's store comes to; whom each call trusted."""
    trusted: list[ssl.SSLContext] = []

    class Fake:
        def __init__(self, _: str, trust: ssl.SSLContext) -> None:
            trusted.append(trust)

        def request(self, *_: object, **__: object) -> None:
            if failure is not None:
                raise HttpsFailure(str(failure)) from failure

        def close(self) -> None:
            pass

    monkeypatch.setattr("bascule.client.https.Https", Fake)
    return trusted


def not_trusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError("self-signed certificate in certificate chain")
    error.verify_code, error.verify_message = 19, "self-signed certificate in certificate chain"
    return error


def test_the_systems_store_is_enough_where_it_suffices(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    shows(monkeypatch, None)
    result = cli("login", "--endpoint", ENDPOINT, "--client-id", CLIENT, "--client-secret", SECRET)
    assert result.code == 0, result.err
    assert json.loads(cli.config.read_text())["ca_file"] == ""
    assert cli("machine", "list").code == 0


def test_who_was_given_a_pin_never_goes_by_the_systems_store(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EDGES I5: not at a further sign-in, and not when the file is gone."""
    again = ("login", "--endpoint", ENDPOINT, "--client-id", CLIENT, "--client-secret", SECRET)
    assert cli("login", *GIVEN, "--client-secret", SECRET).code == 0
    pin = json.loads(cli.config.read_text())["ca_file"]
    asked = shows(monkeypatch, None)
    assert cli(*again).code == 0
    assert json.loads(cli.config.read_text())["ca_file"] == pin
    assert not asked
    assert cli(*again, "--system-trust").code == 0
    assert json.loads(cli.config.read_text())["ca_file"] == ""
    cli.config.write_text("{")
    assert "was trusted here before is not known" in cli(*again).err


def test_a_pin_that_is_gone_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with pytest.raises(ConfigurationError, match="does not exist"):
        trust_of(str(tmp_path / "ca.pem"))


def test_whom_to_trust_is_said_once(cli: Cli) -> None:
    result = cli("login", "--endpoint", ENDPOINT, "--system-trust", "--ca-file", "ca.pem")
    assert result.code == 2
    assert not cli.server.calls


def test_trust_must_be_said(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    shows(monkeypatch, not_trusted())
    result = cli("login", "--endpoint", ENDPOINT, "--client-id", CLIENT, "--client-secret", SECRET)
    assert result.code == 2
    assert "--fingerprint" in result.err
    assert "not trusted" in result.err


def test_fingerprint_must_be_one(cli: Cli) -> None:
    assert cli("login", "--endpoint", ENDPOINT, "--fingerprint", "abc").code == 2


class TestToken:
    def tokens(self, server: FakeServer) -> int:
        return len(server.tokens)

    def test_one_is_used_for_many_commands(self, cli: Cli, server: FakeServer) -> None:
        cli("login", *GIVEN, "--client-secret", SECRET)
        cli("machine", "list")
        cli("machine", "list")
        assert self.tokens(server) == 1

    def test_one_near_its_end_is_not(self, cli: Cli, server: FakeServer) -> None:
        server.token_life = 59
        cli("login", *GIVEN, "--client-secret", SECRET)
        cli("machine", "list")
        assert self.tokens(server) > 1

    def test_a_refused_one_is_asked_for_anew_once(self, cli: Cli, server: FakeServer) -> None:
        cli("login", *GIVEN, "--client-secret", SECRET)
        server.tokens = {"another"}
        assert cli("machine", "list").code == 0
        assert self.tokens(server) == 2

    def test_damaged_file_is_passed_over(self, cli: Cli, server: FakeServer) -> None:
        cli("login", *GIVEN, "--client-secret", SECRET)
        cli.token.write_text("{")
        assert cli("machine", "list").code == 0

    def test_another_principals_is_not_used(self, cli: Cli, server: FakeServer) -> None:
        cli("login", *GIVEN, "--client-secret", SECRET)
        kept = json.loads(cli.config.read_text())
        cli.config.write_text(json.dumps(kept | {"client_secret": "stolen"}))
        assert cli("machine", "list").code == 5


class TestFailed:
    """A sign-in that fails leaves the one before as it was, whoever tries it and however far it came."""

    @pytest.fixture(autouse=True)
    def anna(self, cli: Cli, server: FakeServer) -> None:
        keep_person(cli.config, cli.token, "anna@example.com", server)

    def kept(self, cli: Cli) -> tuple[str, str]:
        return cli.config.read_text(), cli.token.read_text()

    def test_by_a_wrong_secret(self, cli: Cli) -> None:
        before = self.kept(cli)
        assert cli("login", *GIVEN, "--client-secret", "wrong").code == 5
        assert self.kept(cli) == before
        assert cli("machine", "list").code == 0

    def test_by_a_subscription_that_must_be_named(self, cli: Cli, server: FakeServer) -> None:
        server.subscriptions = [SUBSCRIPTION, TENANT]
        before = self.kept(cli)
        assert cli("login", *GIVEN, "--client-secret", SECRET).code == 2
        assert self.kept(cli) == before

    def test_by_a_profile_that_cannot_be_written(
        self, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = self.kept(cli)

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("bascule.cli.profile.write_private", full)
        assert cli("login", *GIVEN, "--client-secret", SECRET).code == 2
        assert self.kept(cli) == before

    def test_a_person_without_a_role(
        self, cli: Cli, server: FakeServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.sign_in_bob(server, monkeypatch)
        server.subscriptions = []
        before = self.kept(cli)
        result = cli("login", *GIVEN[:4])
        assert (result.code, "has no role here yet" in result.err) == (4, True)
        assert self.kept(cli) == before

    def test_one_that_succeeds_takes_its_place(
        self, cli: Cli, server: FakeServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.sign_in_bob(server, monkeypatch)
        assert cli("login", *GIVEN[:4]).out == f"Signed in to {ENDPOINT} as bob@example.com\n"
        assert json.loads(cli.token.read_text())["refresh_token"] == "bob-refresh"
        assert cli("machine", "list").code == 0
        assert cli("login", *GIVEN, "--client-secret", SECRET).code == 0
        assert "refresh_token" not in json.loads(cli.token.read_text())
        assert cli("machine", "list").code == 0

    def sign_in_bob(self, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """As if he had approved the code in a browser."""
        claims = base64.urlsafe_b64encode(b'{"preferred_username": "bob@example.com"}').decode()
        server.tokens.add("bob-access")
        tokens = {"access_token": "bob-access", "refresh_token": "bob-refresh", "expires_in": 3600,
                  "id_token": f"e30.{claims}."}  # fmt: skip
        monkeypatch.setattr("bascule.client.https.Https", lambda *_: MemoryHttps(server))
        monkeypatch.setattr("bascule.client.sign_in.by_device_code", lambda *_: tokens)
