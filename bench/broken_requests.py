"""What strangers send that a server has to refuse, as bytes. Each is different from the one before."""

from __future__ import annotations

import base64
import json
import random
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from bascule.protocol.frames import VERSION, Opcode, frame
from bench.fleet.agent import uid_of
from bench.fleet.http import request

_LARGE = 8 * 2**20  # bytes that an oversized body announces
_SENT = 16_384  # of these are sent
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Target:
    tenant_id: str
    subscription_id: str
    client_id: str  # of an application that exists
    agents: int  # so many points exist


@dataclass(frozen=True, slots=True)
class Kind:
    """``make`` answers what is sent one after another, each once the one before was answered."""

    make: Callable[[random.Random, Target], tuple[bytes, ...]]
    share: int  # of all requests, in parts
    ends: bool = False  # nothing can be asked on this connection afterwards


def _text(chance: random.Random, size: int) -> str:
    return base64.urlsafe_b64encode(chance.randbytes(size)).decode().rstrip("=")


def _uid(chance: random.Random) -> str:
    return str(uuid.UUID(bytes=chance.randbytes(16), version=4))


def _point(chance: random.Random, target: Target) -> str:
    """One that exists, or none."""
    return uid_of(chance.randrange(target.agents)) if chance.random() < 0.5 else _uid(chance)


def _jwt(chance: random.Random, claims: Mapping[str, object]) -> str:
    head = {"alg": chance.choice(("EdDSA", "RS256", "none")), "typ": "JWT", "kid": _text(chance, 8)}
    parts = [json.dumps(each).encode() for each in (head, claims)]
    return ".".join([*(base64.urlsafe_b64encode(each).decode().rstrip("=") for each in parts),
                     _text(chance, 64)])  # fmt: skip


def _policies(target: Target) -> str:
    return (
        f"/subscriptions/{target.subscription_id}/providers/Microsoft.Security"
        "/jitNetworkAccessPolicies?api-version=2020-01-01"
    )


def bad_token(chance: random.Random, target: Target) -> tuple[bytes, ...]:
    return (
        request("GET", _policies(target), headers={"Authorization": f"Bearer {_text(chance, 60)}"}),
    )


def forged_token(chance: random.Random, target: Target) -> tuple[bytes, ...]:
    claims = {
        "sub": _uid(chance),
        "tid": target.tenant_id,
        "exp": 4_000_000_000,
        "oid": _uid(chance),
    }
    headers = {"Authorization": f"Bearer {_jwt(chance, claims)}"}
    return (request("GET", _policies(target), headers=headers),)


def bad_secret(chance: random.Random, target: Target) -> tuple[bytes, ...]:
    """For an application that exists, and for those that do not."""
    form = {
        "grant_type": "client_credentials",
        "client_id": target.client_id if chance.random() < 0.5 else _uid(chance),
        "client_secret": _text(chance, 24),
        "scope": "https://localhost/.default",
    }
    path = f"/{target.tenant_id}/oauth2/v2.0/token"
    return (request("POST", path, urlencode(form).encode(), _FORM),)


def bad_assertion(chance: random.Random, target: Target) -> tuple[bytes, ...]:
    uid = _point(chance, target)
    claims = {
        "iss": uid,
        "sub": uid,
        "aud": "https://localhost",
        "exp": 4_000_000_000,
        "jti": _uid(chance),
    }
    form = {
        "grant_type": "client_credentials",
        "client_id": uid,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": _jwt(chance, claims),
        "scope": "https://localhost/.default",
    }
    path = f"/{target.tenant_id}/oauth2/v2.0/token"
    return (request("POST", path, urlencode(form).encode(), _FORM),)


def bad_json(chance: random.Random, _: Target) -> tuple[bytes, ...]:
    whole = json.dumps(
        {"nonce": _text(chance, 32), "publicKey": _text(chance, 32), "x": [[[]]]}
    ).encode()
    return (request("POST", "/bascule/enrol", whole[: chance.randrange(1, len(whole))], _JSON),)


def bad_enrolment(chance: random.Random, _: Target) -> tuple[bytes, ...]:
    told = {
        "nonce": _text(chance, 32),
        "publicKey": _text(chance, 32),
        "hostname": _text(chance, 6),
    }
    return (request("POST", "/bascule/enrol", json.dumps(told).encode(), _JSON),)


def unknown_route(chance: random.Random, _: Target) -> tuple[bytes, ...]:
    method = chance.choice(("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", _text(chance, 4)))
    return (request(method, f"/{_text(chance, 9)}/{_text(chance, 9)}?{_text(chance, 5)}=1"),)


def bad_state(chance: random.Random, target: Target) -> tuple[bytes, ...]:
    headers = {"Authorization": f"Bearer {_text(chance, 60)}"}
    return (
        request("GET", f"/bascule/points/{_point(chance, target)}/state?seen=x", headers=headers),
    )


def bad_guess(chance: random.Random, _: Target) -> tuple[bytes, ...]:
    """A password, without the page's own secret."""
    form = {"name": _text(chance, 6), "password": _text(chance, 9)}
    return (request("POST", "/signin", urlencode(form).encode(), _FORM),)


def _upgrade(chance: random.Random) -> dict[str, str]:
    return {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(chance.randbytes(16)).decode(),
        "Sec-WebSocket-Version": VERSION,
    }


def broken_upgrade(chance: random.Random, target: Target) -> tuple[bytes, ...]:
    headers = _upgrade(chance)
    name = chance.choice(tuple(headers))
    headers[name] = chance.choice(("", "8", _text(chance, 5)))
    return (request("GET", f"/bascule/points/{_point(chance, target)}/line", headers=headers),)


def _line(chance: random.Random, target: Target, said: bytes) -> tuple[bytes, ...]:
    path = f"/bascule/points/{_point(chance, target)}/line"
    return (request("GET", path, headers=_upgrade(chance)), said)


def half_proof(chance: random.Random, target: Target) -> tuple[bytes, ...]:
    """The connection is given up in the middle of the frame."""
    whole = frame(Opcode.TEXT, _proof(chance), is_masked=True)
    return _line(chance, target, whole[: chance.randrange(1, len(whole))])


def wrong_proof(chance: random.Random, target: Target) -> tuple[bytes, ...]:
    return _line(chance, target, frame(Opcode.TEXT, _proof(chance), is_masked=True))


def broken_frame(chance: random.Random, target: Target) -> tuple[bytes, ...]:
    return _line(chance, target, chance.randbytes(chance.randrange(2, 200)))


def _proof(chance: random.Random) -> bytes:
    told = {"kind": "proof", "signature": _text(chance, 64), "agentVersion": "9.9", "knows": []}
    return json.dumps(told).encode()


def oversized_body(chance: random.Random, target: Target) -> tuple[bytes, ...]:
    path = chance.choice(("/bascule/enrol", f"/{target.tenant_id}/oauth2/v2.0/token", "/signin"))
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {_LARGE}\r\n\r\n"
    )
    return (head.encode() + b" " * _SENT,)


def broken_http(chance: random.Random, _: Target) -> tuple[bytes, ...]:
    return (
        chance.choice(
            (
                chance.randbytes(40) + b"\r\n\r\n",
                b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
                b"POST /signin HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
                b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
                b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
            )
        ),
    )


KINDS: Mapping[str, Kind] = {
    "bad token": Kind(bad_token, 200),
    "forged token": Kind(forged_token, 150),
    "wrong secret": Kind(bad_secret, 80),
    "wrong assertion": Kind(bad_assertion, 80),
    "broken JSON": Kind(bad_json, 100),
    "wrong enrolment": Kind(bad_enrolment, 60),
    "unknown route": Kind(unknown_route, 150),
    "state without a token": Kind(bad_state, 60),
    "password guess": Kind(bad_guess, 20),
    "broken upgrade": Kind(broken_upgrade, 40),
    "half a proof": Kind(half_proof, 15, ends=True),
    "wrong proof": Kind(wrong_proof, 15, ends=True),
    "broken frame": Kind(broken_frame, 10, ends=True),
    "oversized body": Kind(oversized_body, 10, ends=True),
    "broken HTTP": Kind(broken_http, 10, ends=True),
}
