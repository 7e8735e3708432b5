"""A service principal's certificate, and forged assertions of every kind (EDGES B5)."""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from bascule.domain.principals import Credential, CredentialKind, ServicePrincipal
from bascule.identity.token_request import ASSERTION_TYPE, CLIENT_CREDENTIALS
from bascule.interfaces.store import Transaction
from bascule.services.act import Act
from tests.wire.house import BASE, House
from tests.wire.test_oauth import refused

KEY = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
DENIED = (401, "invalid_client", 700027)
Sign = Callable[..., str]


def thumbprint(certificate: x509.Certificate, digest: Any) -> str:
    raw = digest(certificate.public_bytes(Encoding.DER)).digest()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


# A JOSE header that no parser follows to its ground.
NESTED = base64.urlsafe_b64encode(b"[" * 3000).decode()


class Holder:
    """A service principal whose one credential is a certificate."""

    def __init__(self, house: House) -> None:
        self.house, self.id, self.key_id = house, str(uuid.uuid4()), str(uuid.uuid4())
        self.tenant = house.installation.tenant_id
        self.certificate = self.make(KEY)
        self.put()

    def make(self, key: Any, *, begins: int = -3600, ends: int = 86_400) -> x509.Certificate:
        name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ci")]), self.now
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now + timedelta(seconds=begins))
            .not_valid_after(now + timedelta(seconds=ends))
            .sign(key, SHA256())
        )

    @property
    def now(self) -> Any:
        return self.house.clock.now()

    def put(self, *, is_enabled: bool = True, expires_at: Any = None) -> None:
        pem = self.certificate.public_bytes(Encoding.PEM).decode()
        service = ServicePrincipal(self.id, "ci", is_enabled, self.now)
        kind = CredentialKind.CERTIFICATE
        credential = Credential(self.key_id, self.id, kind, pem, "", self.now, expires_at)

        def work(tx: Transaction, _: Act) -> None:
            tx.put_service_principal(service)
            tx.put_credential(credential)

        self.house.do(work)

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(self.now.timestamp())
        whole = {
            "iss": self.id,
            "sub": self.id,
            "aud": f"{BASE}/{self.tenant}/oauth2/v2.0/token",
            "nbf": now,
            "exp": now + 600,
            "jti": "always the same",
            **changes,
        }
        return {name: value for name, value in whole.items() if value is not None}

    def header(self, **changes: Any) -> dict[str, Any]:
        return {"alg": "RS256", "x5t": thumbprint(self.certificate, hashlib.sha1), **changes}

    def sign(self, header: dict[str, Any] | None = None, key: Any = KEY, **claims: Any) -> str:
        whole = header or self.header()
        made = key if not isinstance(key, rsa.RSAPrivateKey) else RSAKey.import_key(key)
        return jwt.encode(whole, self.claims(**claims), made, algorithms=[whole["alg"]])

    def present(self, assertion: str, client_id: str = "") -> httpx2.Response:
        form = {
            "grant_type": CLIENT_CREDENTIALS,
            "client_id": client_id or self.id,
            "client_assertion": assertion,
            "client_assertion_type": ASSERTION_TYPE,
            "scope": f"{BASE}/.default",
        }
        path = f"/{self.tenant}/oauth2/v2.0/token"
        return self.house.client_of(None).post(path, data=form)


@pytest.fixture
def holder(house: House) -> Holder:
    return Holder(house)


class TestRight:
    @pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
    @pytest.mark.parametrize("named", ["x5t", "x5t#S256", ""])
    def test_an_assertion_by_its_key_gets_a_token(
        self, holder: Holder, algorithm: str, named: str
    ) -> None:
        digests = {"x5t": hashlib.sha1, "x5t#S256": hashlib.sha256}
        header: dict[str, Any] = {"alg": algorithm}
        if named:
            header[named] = thumbprint(holder.certificate, digests[named])
        answer = holder.present(holder.sign(header))
        assert answer.status_code == 200, answer.text
        path = f"{holder.house.subscription}/providers/Microsoft.Compute/virtualMachines"
        client = holder.house.client_of(answer.json()["access_token"])
        assert client.get(path, params={"api-version": "2024-07-01"}).status_code == 200
        holder.house.do(lambda tx, _: tx.delete_credential(holder.key_id))
        assert client.get(path, params={"api-version": "2024-07-01"}).status_code == 401

    def test_msal_sends_one_for_nine_minutes(self, holder: Holder) -> None:
        assertion = holder.sign()
        assert [holder.present(assertion).status_code for _ in range(3)] == [200] * 3
        holder.house.clock.pass_time(599)
        assert holder.present(assertion).status_code == 200
        holder.house.clock.pass_time(1)
        assert refused(holder.present(assertion)) == DENIED

    @pytest.mark.parametrize("audience", ["{t}/v2.0", "adfs/oauth2/token", "common/oauth2/token"])
    def test_the_issuer_and_every_spelling_of_the_endpoint(
        self, holder: Holder, audience: str
    ) -> None:
        url = f"{BASE}/{audience.format(t=holder.tenant)}"
        assert holder.present(holder.sign(aud=url)).status_code == 200

    def test_without_a_jti(self, holder: Holder) -> None:
        assert holder.present(holder.sign(jti=None)).status_code == 200


class TestClaims:
    @pytest.mark.parametrize(
        "changes",
        [
            {"iss": "other"},
            {"sub": "other"},
            {"iss": None},
            {"sub": 7},
            {"aud": None},
            {"aud": BASE},
            {"aud": "https://evil.example/common/oauth2/v2.0/token"},
            {"aud": [f"{BASE}/common/v2.0", "https://evil.example"]},
            {"exp": None},
            {"exp": "soon"},
            {"exp": 1},
            {"exp": 10**12},
            {"nbf": "soon"},
            {"nbf": 10**12},
            {"iat": "soon"},
        ],
    )
    def test_one_wrong_is_enough(self, holder: Holder, changes: dict[str, Any]) -> None:
        assert refused(holder.present(holder.sign(**changes))) == DENIED

    @pytest.mark.parametrize(("seconds", "status"), [(900, 200), (901, 401)])
    def test_it_lives_fifteen_minutes_at_most(
        self, holder: Holder, seconds: int, status: int
    ) -> None:
        ends = int(holder.now.timestamp()) + seconds
        assert holder.present(holder.sign(exp=ends)).status_code == status

    @pytest.mark.parametrize(
        ("made", "status"),
        [
            ({"nbf": -300, "iat": None}, 200),
            ({"nbf": -301, "iat": None}, 401),
            ({"nbf": None, "iat": -300}, 200),
            ({"nbf": None, "iat": -301}, 401),
            ({"nbf": 0, "iat": -301}, 401),  # the earlier counts
            ({"nbf": -301, "iat": 0}, 401),
            ({"nbf": 60, "iat": 60}, 200),  # its clock is ahead
            ({"nbf": -60, "iat": 0}, 200),  # begun early, for clocks that differ
            ({"nbf": None, "iat": None}, 200),
        ],
    )
    def test_one_that_lives_longer_is_not_taken_in_its_last_minutes(
        self, holder: Holder, made: dict[str, int | None], status: int
    ) -> None:
        """A stolen one of a year would else be good at its end (EDGES B5)."""
        now = int(holder.now.timestamp())
        begun: dict[str, Any] = {
            name: None if at is None else now + at for name, at in made.items()
        }
        assert holder.present(holder.sign(exp=now + 600, **begun)).status_code == status


class TestForgeries:
    def test_another_key(self, holder: Holder) -> None:
        assert refused(holder.present(holder.sign(key=OTHER))) == DENIED

    def test_a_key_that_the_header_brings_along(self, holder: Holder) -> None:
        """x5c and jwk of the attacker's own, the thumbprint of ours."""
        other = holder.make(OTHER)
        der = base64.b64encode(other.public_bytes(Encoding.DER)).decode()
        jwk = RSAKey.import_key(OTHER).as_dict(private=False)
        for more in ({"x5c": [der]}, {"jwk": jwk}, {"jku": "https://evil.example/keys"}):
            header = holder.header(**more)
            assert refused(holder.present(holder.sign(header, OTHER))) == DENIED
        chained = holder.header(x5c=[der])  # of the right key it is passed over
        assert holder.present(holder.sign(chained)).status_code == 200

    def test_a_thumbprint_of_another_certificate(self, holder: Holder) -> None:
        named = thumbprint(holder.make(OTHER), hashlib.sha1)
        for x5t in (named, "", "?"):
            assert refused(holder.present(holder.sign(holder.header(x5t=x5t)))) == DENIED

    @pytest.mark.parametrize("algorithm", ["none", "HS256", "RS512", "ES256"])
    def test_other_algorithms(self, holder: Holder, algorithm: str) -> None:
        public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        keys: dict[str, Any] = {
            "HS256": OctKey.import_key(public.hex()),
            "ES256": ECKey.import_key(ec.generate_private_key(ec.SECP256R1())),
        }
        assertion = holder.sign(
            holder.header(alg="RS256" if algorithm == "none" else algorithm),
            keys.get(algorithm, KEY),
        )
        if algorithm == "none":
            head = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
            assertion = f"{head}.{assertion.split('.')[1]}."
        assert refused(holder.present(assertion)) == DENIED

    @pytest.mark.parametrize(
        "assertion", ["x", "a.b.c", "...", "\u00e9.b.c", "A" * 20_000, f"{NESTED}.e30.AAAA"]
    )
    def test_what_is_none(self, holder: Holder, assertion: str) -> None:
        assert refused(holder.present(assertion)) == DENIED

    def test_anothers_assertion(self, holder: Holder, house: House) -> None:
        other = Holder(house)  # with a certificate of the same key
        assert refused(other.present(holder.sign())) == DENIED


class TestEnds:
    def test_a_disabled_one(self, holder: Holder) -> None:
        holder.put(is_enabled=False)
        assert refused(holder.present(holder.sign())) == (401, "invalid_client", 7000112)
        assert refused(holder.present(holder.sign(key=OTHER))) == DENIED

    def test_a_credential_whose_time_is_over(self, holder: Holder) -> None:
        holder.put(expires_at=holder.now)
        assert refused(holder.present(holder.sign())) == DENIED

    @pytest.mark.parametrize(("begins", "ends"), [(60, 3600), (-3600, -60)])
    def test_a_certificate_that_is_not_valid_now(
        self, holder: Holder, begins: int, ends: int
    ) -> None:
        holder.certificate = holder.make(KEY, begins=begins, ends=ends)
        holder.put()
        assert refused(holder.present(holder.sign())) == DENIED
