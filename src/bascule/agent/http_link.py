"""What an agent asks and reports while it has no line: one HTTPS call each.

Some proxies pass no WebSocket; there the agent polls. The proof is a signed assertion (RFC 7523,
Ed25519 as in RFC 8037) for a short-lived token. Through a proxy that ends TLS, each call is signed
instead, and so is its answer (``protocol.calls``). The time left of leases counts from the moment of
asking (EDGES A8).
"""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bascule.agent.answers import LARGEST_ANSWER, LONGEST_REASON, read_object, reason_of
from bascule.agent.link import ChangedOnTheWay, Identity, KeyRefused, NotGuarded
from bascule.agent.state import read_state, state_of
from bascule.agent.witness import Witness
from bascule.client.assertion import make_assertion
from bascule.client.https import Https, HttpsFailure, Response
from bascule.domain.desired import DesiredState
from bascule.domain.features import KNOWN
from bascule.domain.times import parse_instant
from bascule.errors import BasculeError, InvalidInput, ServerUnreachable
from bascule.interfaces.clock import Clock
from bascule.protocol.calls import CallProof, call_text, digest_of_body, write_header
from bascule.protocol.codec import decode, encode
from bascule.protocol.enrolment import SIGNATURE_HEADER, base64url
from bascule.protocol.report import Announced, Report
from bascule.protocol.signed import Kind, Pinned, public_of
from bascule.protocol.trust import Trust

PATIENCE = 10.0  # seconds for one answer to go on
WITHIN = 20.0  # seconds for all of one, however it drips
KNOWS = ",".join(sorted(KNOWN))  # so that the server tells no more (EDGES F4)
RENEW_BEFORE = 60.0  # seconds of a token's life
LONGEST_LIFE = 86_400  # seconds of a token
LONGEST_TOKEN = 16_384  # characters
OFF_THE_CLOCK = 700024  # the token endpoint's code for an assertion outside its time
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class HttpLink:
    """State and report by calls over HTTPS. For one thread."""

    def __init__(
        self,
        identity: Identity,
        trust: ssl.SSLContext,
        clock: Clock,
        witness: Witness | None = None,
        trusts: Callable[[], int | None] = lambda: None,
        on_trust: Callable[[Trust], object] = lambda _: None,
    ) -> None:
        """``trusts``: the number of the change of trust that was taken last, None: none can be taken;
        ``on_trust`` takes one.
        """
        self._trusts, self._on_trust = trusts, on_trust
        self._identity = identity
        self._witness = witness or Witness()
        self._clock = clock
        self.trust = trust  # may be replaced by another thread; the next call uses it
        self._trusted_by_calls = trust
        self._calls = Https(identity.server, trust)
        self.server_time: datetime | None = None  # as the last state said
        self._named: Mapping[str, int] | None = None  # likewise
        self._token = ""
        self._token_ends = 0.0
        self._time: tuple[float, float] | None = None  # the server's, and when it was asked

    @property
    def _base(self) -> str:
        return f"/bascule/points/{self._identity.machine_uid}"

    def fetch_state(self, meanwhile: Callable[[], None]) -> DesiredState:
        witness = self._witness
        seen = f"seen={witness.head.position}&told={witness.told.position}"
        path = f"{self._base}/state?{seen}&knows={KNOWS}{self._told_trust('&')}"
        self.forget_named()  # whatever becomes of this call
        asked = self._clock.boottime()
        answer = self._call("GET", path, meanwhile=meanwhile)
        state = read_state(answer)
        if state.server_time is not None:
            self._time = state.server_time.timestamp(), asked
        self.server_time, self._named = state.server_time, state.guards
        self._witness.take(state.record, self._clock.now())
        if state.trust is not None:
            self._on_trust(state.trust)
        return state.desired

    def send_report(self, report: Report) -> int:
        path = f"{self._base}/report{self._told_trust('?')}"
        return _generation(self._call("POST", path, encode(report)))

    def _told_trust(self, separator: str) -> str:
        number = self._trusts()
        return "" if number is None else f"{separator}trusts={number}"

    def named(self) -> Mapping[str, int] | None:
        return self._named

    def forget_named(self) -> None:
        """The last answer tells no more which machines these are."""
        self._named = None

    def fetch_behind(self, uid: str) -> DesiredState:
        path = f"{self._base}/state?machine={quote(uid, safe='')}&knows={KNOWS}"
        return state_of(uid, read_state(self._call_of(uid, "GET", path)).desired)

    def report_behind(self, uid: str, report: Report) -> None:
        path = f"{self._base}/report?machine={quote(uid, safe='')}"
        _generation(self._call_of(uid, "POST", path, encode(report)))

    def _call_of(
        self, uid: str, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        """A call about a machine behind. It is taken off the names if the server says that it was unbound."""
        try:
            return self._call(method, path, body)
        except NotGuarded:
            if self._named is not None:
                self._named = {each: at for each, at in self._named.items() if each != uid}
            raise

    def close(self) -> None:
        self._calls.close()

    def _headers(self) -> dict[str, str]:
        if self._clock.boottime() > self._token_ends - RENEW_BEFORE or not self._token:
            self._sign_in()
        return {"Authorization": f"Bearer {self._token}"}

    def _sign_in(self) -> None:
        asked = self._clock.boottime()
        now = self._clock.now().timestamp()
        response = self._ask_token(now)
        codes = _json(response).get("error_codes")
        if isinstance(codes, list) and OFF_THE_CLOCK in codes:
            # Our clock or the server's is wrong. It is the server that must believe the
            # assertion's times, so they are written by the time that its refusal tells.
            response = self._ask_token(_time_told(response, now))
        answer = _json(response)
        if response.status in (400, 401) and answer.get("error") == "invalid_client":
            why = str(answer.get("error_description", "The agent's key was refused."))
            raise KeyRefused(why[:LONGEST_REASON])
        if response.status != 200:
            raise ServerUnreachable(f"The server issued no token: HTTP {response.status}.")
        token, life = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(token, str) or not 0 < len(token) <= LONGEST_TOKEN:
            raise ServerUnreachable("The server issued a token that cannot be used.")
        if type(life) is not int or not 0 < life <= LONGEST_LIFE:
            raise ServerUnreachable("The server issued a token with an invalid lifetime.")
        self._token, self._token_ends = token, asked + life

    def _ask_token(self, now: float) -> Response:
        identity = self._identity
        path = f"/{identity.tenant_id}/oauth2/v2.0/token"
        assertion = make_assertion(
            identity.private_key,
            identity.machine_uid,
            f"{identity.server}{path}",
            int(now),
            str(uuid.uuid4()),
        )
        form = {
            "grant_type": "client_credentials",
            "client_id": identity.machine_uid,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion,
            "scope": f"{identity.server}/.default",
        }
        # A connection of its own: headers are made while the other one is in use.
        https = Https(identity.server, self.trust)
        try:
            return self._send(
                lambda: https.request(
                    "POST",
                    path,
                    form=form,
                    patience=PATIENCE,
                    within=WITHIN,
                    largest=LARGEST_ANSWER,
                )
            )
        finally:
            https.close()

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Mapping[str, Any]:
        content = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        if self._trusted_by_calls is not self.trust:
            self._calls.close()
            self._trusted_by_calls = self.trust
            self._calls = Https(self._identity.server, self._trusted_by_calls)
        for is_last in (False, True):
            proof = self._prove(method, path, content or b"") if self._identity.is_through else None
            response = self._send(
                lambda proof=proof: self._calls.request(  # type: ignore[misc]  # reason: bound now
                    method,
                    path,
                    body=content,
                    headers=self._headers()
                    if proof is None
                    else {"Authorization": write_header(proof)},
                    patience=PATIENCE,
                    within=WITHIN,
                    largest=LARGEST_ANSWER,
                    meanwhile=meanwhile,
                )
            )
            if proof is not None:
                self._check_signed(proof, response)
            if response.status == 200:
                return _json(response)
            code = reason_of(_json(response), "", "code")
            if code == "AgentUnknown" or (proof is not None and code == "RevokedToken"):
                raise KeyRefused("The server no longer knows this agent's machine.")
            if code == NotGuarded.code:
                raise NotGuarded("The server says that this point does not guard that machine.")
            if response.status != 401 or is_last:
                raise ServerUnreachable(
                    f"{method} {path} was answered with HTTP {response.status} {code}."
                )
            self._token = ""  # expired or revoked: prove ourselves anew, once
        raise AssertionError  # the loop returns or raises

    def _prove(self, method: str, path: str, content: bytes) -> CallProof:
        """The time is the server's, as the last state told it: our clock may be wrong."""
        identity, now = self._identity, self._clock.now().timestamp()
        if self._time is not None:
            told, asked = self._time
            now = told + self._clock.boottime() - asked
        key = Ed25519PrivateKey.from_private_bytes(identity.private_key)
        nonce, digest = base64url(os.urandom(18)), digest_of_body(content)
        proof = CallProof(public_of(key), int(now), nonce, digest, "")
        text = call_text(identity.tenant_id, identity.machine_uid, method, path, proof)
        return replace(proof, signature=base64url(key.sign(text)))

    def _check_signed(self, proof: CallProof, response: Response) -> None:
        """Raise ServerUnreachable unless our server said this in answer to this call."""
        identity = self._identity
        said = (
            Kind.ANSWER,
            identity.machine_uid,
            proof.question,
            response.status,
            response.content,
        )
        signature = response.headers.get(SIGNATURE_HEADER.lower(), "")
        if Pinned(identity.trust_key).is_of(*said, signature):
            return
        if response.status != 200:
            raise ServerUnreachable(
                f"{identity.server} answered HTTP {response.status}, which the server did not sign."
            )
        raise ChangedOnTheWay(
            "An answer is not signed by the key that was pinned at enrolment: somebody on the way "
            "changed it, or answered in the server's place."
        )

    def _send(self, call: Callable[[], Response]) -> Response:
        try:
            return call()
        except HttpsFailure as error:
            raise ServerUnreachable(f"{self._identity.server} did not answer: {error}.") from error


def _json(response: Response) -> dict[str, Any]:
    """The object that was answered; empty when there is none that can be read."""
    with contextlib.suppress(ValueError):
        return read_object(response.content)
    return {}


def _generation(answer: Mapping[str, Any]) -> int:
    """A generation that can be; raises ServerUnreachable."""
    try:
        return decode(Announced, answer).generation
    except InvalidInput as error:
        raise ServerUnreachable(f"The server sent no valid generation: {error.message}") from error


def _time_told(response: Response, otherwise: float) -> float:
    """By which time the server judges, in seconds since the epoch.

    Its Date header (RFC 9110 6.6.1) is its wall clock, which may have been set back since.
    """
    try:
        return parse_instant(str(_json(response)["timestamp"])).timestamp()
    except (KeyError, BasculeError):
        return otherwise
