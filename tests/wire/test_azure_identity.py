"""azure-identity's own credentials, unmodified, against a running server over TLS (CLIENTS 1.3)."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import (
    CertificateCredential,
    ClientSecretCredential,
    DeviceCodeCredential,
    InteractiveBrowserCredential,
    UsernamePasswordCredential,
)
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from bascule.domain.access import PrincipalKind
from bascule.domain.builtin_roles import READER
from bascule.domain.principals import Credential, CredentialKind, ServicePrincipal, User
from bascule.domain.roles import RoleAssignment
from bascule.domain.scopes import subscription_scope
from bascule.domain.sign_in import StoredPassword
from bascule.identity.secrets import new_secret
from bascule.interfaces.store import Store
from bascule.store.open import open_store
from tests.wire.browsing import PASSWORD, forms
from tests.wire.house import QUICK

ROOT = Path(__file__).parents[2]
ANNA = "anna@example.com"
SERVE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.executable, [sys.executable, "-m", "bascule.bootstrap", "serve", *sys.argv[2:]])
"""


@dataclass
class Server:
    endpoint: str
    ca_file: str
    ca: str
    tenant_id: str
    subscription_id: str
    client_id: str
    client_secret: str
    certificate: Path  # with its key, of the service principal ``program``
    program: str

    @property
    def scope(self) -> str:
        return f"{self.endpoint}/.default"

    def client(self) -> httpx2.Client:
        trust = ssl.create_default_context(cafile=self.ca_file)
        return httpx2.Client(verify=trust, base_url=self.endpoint, timeout=60)

    def status_of(self, token: str) -> int:
        """What the policies answer to this token."""
        path = f"/subscriptions/{self.subscription_id}/providers/Microsoft.Security"
        with self.client() as client:
            answer = client.get(
                f"{path}/jitNetworkAccessPolicies?api-version=2020-01-01",
                headers={"Authorization": f"Bearer {token}"},
            )
        return int(answer.status_code)


@contextmanager
def running(data: Path, *options: str) -> Iterator[int]:
    """``bascule serve`` on a socket that it was handed, as a service manager would; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
        arguments = [str(listener.fileno()), "--data", str(data), *options]
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            pass_fds=[listener.fileno()],
            stderr=subprocess.PIPE,
            text=True,
        )
    assert process.stderr is not None
    stderr = process.stderr
    try:
        for line in stderr:
            if '"serving"' in line:
                break
        # Somebody must read what it says from then on, or it would stop at a full pipe.
        reader = threading.Thread(target=stderr.read)
        reader.start()
        yield port
    finally:
        process.terminate()
        assert process.wait(20) == 0
        reader.join()
        stderr.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One whose first person and program were put into its database while it was down."""
    folder = tmp_path_factory.mktemp("serve")
    data, certificate = folder / "data", folder / "program.pem"
    with running(data):
        pass
    program = str(uuid.uuid4())
    fill(open_store(data / "bascule.db"), program, make_certificate(certificate))
    with running(data, "--allow-password-grant") as port:
        admin = json.loads((data / "admin.json").read_text())
        admin["endpoint"] = f"https://localhost:{port}"
        yield Server(**admin, certificate=certificate, program=program)


def make_certificate(path: Path) -> str:
    """A self-signed certificate with its key in one file, as people make one; its PEM."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "program")])
    now = datetime.now(UTC)  # noqa: TID251  # reason: a certificate of the real clock
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, SHA256())
    )
    pem = made.public_bytes(Encoding.PEM)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + pem)
    return pem.decode()


def fill(store: Store, program: str, certificate: str) -> None:
    """Put them there, and close the store."""
    now = datetime.now(UTC)  # noqa: TID251  # reason: as above
    user = User(str(uuid.uuid4()), ANNA, "Anna", True, now)
    kind = CredentialKind.CERTIFICATE
    credential = Credential(str(uuid.uuid4()), program, kind, certificate, "", now, None)

    def work(tx: Any) -> None:
        tx.put_user(user)
        scope = subscription_scope(tx.installation().subscription_id)
        tx.add_role_assignment(
            RoleAssignment(
                str(uuid.uuid4()), scope, READER.id, user.id, PrincipalKind.USER, "", now, ""
            )
        )
        tx.put_password(StoredPassword(user.id, QUICK.hash(PASSWORD), now))
        tx.put_service_principal(ServicePrincipal(program, "program", True, now))
        tx.put_credential(credential)

    async def write() -> None:
        await store.write(work)

    asyncio.run(write())
    store.close()


def common(server: Server) -> dict[str, Any]:
    return {
        "authority": server.endpoint,
        "disable_instance_discovery": True,
        "connection_verify": server.ca_file,
    }


def at_browser(server: Server, path: str, **answers: str) -> httpx2.Response:
    """Sign in as Anna and answer the page at ``path``; whatever comes then."""
    with server.client() as client:
        page = client.get(path, follow_redirects=True)
        (form, *_) = forms(page)
        fields = {**form.fields, "name": ANNA, "password": PASSWORD}
        page = client.post(form.action, data=fields, follow_redirects=True)
        if "user_code" in answers:
            (form, *_) = forms(page)
            page = client.post(form.action, data={**form.fields, **answers})
        (form, *_) = forms(page)
        return client.post(form.action, data={**form.fields, "answer": "allow"})


class TestSecret:
    @pytest.mark.filterwarnings("ignore:Using /common or /organizations:DeprecationWarning")
    @pytest.mark.parametrize("tenant", ["", "organizations"])
    def test_signs_in_and_the_token_works(self, server: Server, tenant: str) -> None:
        with ClientSecretCredential(
            tenant or server.tenant_id, server.client_id, server.client_secret, **common(server)
        ) as credential:
            token = credential.get_token(server.scope)
        assert server.status_of(token.token) == 200

    def test_prints_why_a_secret_is_refused(self, server: Server) -> None:
        with (
            ClientSecretCredential(
                server.tenant_id, server.client_id, new_secret(), **common(server)
            ) as credential,
            pytest.raises(ClientAuthenticationError, match="AADSTS7000215"),
        ):
            credential.get_token(server.scope)

    def test_signs_in_for_azures_own_audience(self, server: Server) -> None:
        with ClientSecretCredential(
            server.tenant_id, server.client_id, server.client_secret, **common(server)
        ) as credential:
            assert credential.get_token("https://management.azure.com/.default").token


class TestCertificate:
    @pytest.mark.parametrize("sends_chain", [False, True])
    def test_signs_in_and_the_token_works(self, server: Server, sends_chain: bool) -> None:
        with CertificateCredential(
            server.tenant_id,
            server.program,
            str(server.certificate),
            send_certificate_chain=sends_chain,
            **common(server),
        ) as credential:
            token = credential.get_token(server.scope)
        assert server.status_of(token.token) == 200

    def test_another_key_is_refused(self, server: Server, tmp_path: Path) -> None:
        make_certificate(tmp_path / "other.pem")
        with (
            CertificateCredential(
                server.tenant_id, server.program, str(tmp_path / "other.pem"), **common(server)
            ) as credential,
            pytest.raises(ClientAuthenticationError, match="AADSTS700027"),
        ):
            credential.get_token(server.scope)


class TestPeople:
    def test_device_code(self, server: Server) -> None:
        def approve(_uri: str, user_code: str, _expires: datetime) -> None:
            answer = at_browser(server, "/device", user_code=user_code)
            assert "Signed in" in answer.text

        with DeviceCodeCredential(
            tenant_id=server.tenant_id, prompt_callback=approve, **common(server)
        ) as credential:
            token = credential.get_token(server.scope)
            assert server.status_of(token.token) == 200
            # From the refresh token, without anybody being asked.
            graph = credential.get_token(f"{server.endpoint}/graph/.default")
        assert server.status_of(graph.token) == 401

    def test_a_browser(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        def open_page(url: str) -> bool:
            threading.Thread(target=browse, args=(server, url), daemon=True).start()
            return True

        module = "azure.identity._credentials.browser"
        monkeypatch.setattr(f"{module}._open_browser", open_page)
        with InteractiveBrowserCredential(
            tenant_id=server.tenant_id, timeout=60, **common(server)
        ) as credential:
            token = credential.get_token(server.scope)
        assert server.status_of(token.token) == 200

    @pytest.mark.filterwarnings("ignore:This API has been deprecated:DeprecationWarning")
    def test_a_password_in_adfs_mode(self, server: Server) -> None:
        """A tenant of 'adfs' needs no switch for instance discovery."""
        with pytest.warns(DeprecationWarning, match="UsernamePasswordCredential"):
            credential = UsernamePasswordCredential(
                "04b07795-8ddb-461a-bbee-02f9e1bf7b46", ANNA, PASSWORD, tenant_id="adfs",
                authority=server.endpoint, connection_verify=server.ca_file,
            )  # fmt: skip
        with credential:
            token = credential.get_token(server.scope)
        assert server.status_of(token.token) == 200


def browse(server: Server, url: str) -> None:
    """What a browser does with the page that a program opens: follow, sign in, allow, go back."""
    parts = urlsplit(url)
    answer = at_browser(server, f"{parts.path}?{parts.query}")
    if answer.status_code == 303:
        httpx2.get(answer.headers["location"], timeout=60)
        return
    (form,) = forms(answer)  # form_post
    httpx2.post(form.action, data=form.fields, timeout=60)


def test_a_key_rotated_offline_keeps_old_tokens_good_unless_it_was_stolen(tmp_path: Path) -> None:
    """``bascule admin rotate-signing-key`` between two runs of one server."""
    data = tmp_path / "data"
    tokens: list[str] = []
    statuses: list[list[int]] = []
    for how in ((), (), ("--now",)):
        if tokens:
            command = ["-m", "bascule.bootstrap", "admin", "rotate-signing-key", *how]
            environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
            subprocess.run(
                [sys.executable, *command, "--data", str(data)], env=environment, check=True
            )
        with running(data) as port:
            known = json.loads((data / "admin.json").read_text())
            known["endpoint"] = f"https://localhost:{port}"
            here = Server(**known, certificate=tmp_path, program="")
            with ClientSecretCredential(
                here.tenant_id, here.client_id, here.client_secret, **common(here)
            ) as credential:
                tokens.append(credential.get_token(here.scope).token)
            statuses.append([here.status_of(token) for token in tokens])
    assert statuses == [[200], [200, 200], [401, 401, 200]]
