"""One connection to a Bascule server: TLS that trusts one CA, a token, errors as ours.

A token that the server no longer takes is asked for anew, once. Absolute ``nextLink`` URLs
are followed on our own endpoint alone, so that no answer can lead the token elsewhere.
What is not here: what is asked (one module per kind of resource beside this one).
"""

from __future__ import annotations

import itertools
import json
import ssl
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import parse_qsl, urlsplit

from bascule.client.failures import failure
from bascule.client.https import Https, HttpsFailure, Response, pinned
from bascule.client.obstacles import unreachable
from bascule.client.reading import Data, UnexpectedAnswer, mapping, objects, text
from bascule.client.tokens import Credentials, Person, Token, TokenFile, read_token
from bascule.domain.net import Address, parse_address
from bascule.errors import ConfigurationError, InvalidInput

if TYPE_CHECKING:
    from bascule.interfaces.clock import Clock  # would load the whole domain at the prompt

ANSWER_SECONDS = 30.0
LONGEST_REFUSAL = 16  # pieces of a long answer that is an error
DATE_RESOLUTION = timedelta(seconds=3)  # RFC 9110 dates have whole seconds; and the way here
CALLER_HEADER = "x-bascule-caller-address"  # the caller's address as the server sees it


class Answer(NamedTuple):
    """A whole answer that is no error."""

    status: int
    data: Any  # parsed JSON; None when the body is empty or no JSON
    headers: Mapping[str, str]

    @property
    def body(self) -> Data:
        return mapping(self.data)


def trust_of(ca_file: str) -> ssl.SSLContext:
    """TLS by a profile's file; empty: it trusts whom this system trusts, as was so at the sign-in.

    A file that is gone or damaged is an error: who was given a pin never goes by the system's store.
    """
    return trust_file(Path(ca_file)) if ca_file else ssl.create_default_context()


def trust_file(ca_file: Path) -> ssl.SSLContext:
    """TLS that trusts the CA in this file and nobody else."""
    try:
        return pinned(ssl.create_default_context(cafile=str(ca_file)))
    except ssl.SSLError:  # an OSError too
        raise _no_ca(f"The CA file {ca_file} contains no certificate in PEM form.") from None
    except FileNotFoundError:
        raise _no_ca(
            f"The CA file {ca_file} does not exist, so the server's certificate cannot be checked."
        ) from None
    except OSError as error:
        raise _no_ca(f"The CA file {ca_file} cannot be read: {error.strerror}.") from None


def _no_ca(message: str) -> ConfigurationError:
    return ConfigurationError(
        message,
        advice="Put the CA's certificate there, or sign in again with bascule login --ca-file "
        "FILE or --fingerprint HEX.",
    )


class Connection:
    """Authenticated calls to one server; close it, or use it in a ``with``."""

    def __init__(
        self,
        endpoint: str,
        subscription_id: str,
        credentials: Credentials | Person,
        trust: ssl.SSLContext,
        clock: Clock,
        token_file: TokenFile = TokenFile(None),  # noqa: B008  # reason: frozen value
        token: Token | None = None,  # in hand already
    ) -> None:
        self.endpoint = endpoint
        self.subscription_id = subscription_id
        self._skew = timedelta()
        self.caller: Address | None = None  # our address, known after the first answer
        self._credentials = credentials
        self._clock = clock
        self._token_file = token_file
        self._token = token
        self._https = Https(endpoint, trust)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._https.close()

    @property
    def subscription(self) -> str:
        return f"/subscriptions/{self.subscription_id}"

    def now(self) -> datetime:
        """The server's time, as well as its last answer told it: ends are counted from it."""
        return self._clock.now() + self._skew

    def sign_in(self) -> None:
        """Ask for a token whatever is remembered; raises AuthenticationFailed."""
        self.token(is_refused=True)

    def call(
        self,
        method: str,
        path: str,
        version: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        wait_seconds: float = 0.0,
        is_decided: bool = False,
        if_match: str = "",
    ) -> Answer:
        """One call; raises what the server answered, or ServerUnreachable.

        ``wait_seconds`` is how long the server may take on purpose (a long-poll). ``is_decided``:
        it asks for access, and what is not allowed raises RequestDenied. ``if_match``: the ETag of
        what is to be changed; empty: whatever is there.
        """
        conditions = {"If-Match": if_match} if if_match else {}
        response = Response(401, {}, b"")
        for is_refused in (False, True):
            response = self._send(
                method,
                path,
                params={"api-version": version, **(query or {})},
                headers={
                    "Authorization": f"Bearer {self._bearer(is_refused=is_refused)}",
                    **conditions,
                },
                body=body,
                patience=ANSWER_SECONDS + wait_seconds,
            )
            if response.status != 401:
                break
        data = _json(response)
        if response.status >= 400:
            raise failure(response.status, data, is_decided=is_decided)
        return Answer(response.status, data, response.headers)

    def stream(self, path: str, version: str, query: Mapping[str, str]) -> Iterator[bytes]:
        """An answer of any length, in pieces as they come; raises as ``call``, late ones too."""
        params = {"api-version": version, **query}
        status, pieces = 401, iter(list[bytes]())
        try:
            for is_refused in (False, True):
                headers = {"Authorization": f"Bearer {self._bearer(is_refused=is_refused)}"}
                status, pieces = self._https.pieces(path, params, headers, ANSWER_SECONDS)
                if status != 401:
                    break
            if status >= 400:
                content = b"".join(itertools.islice(pieces, LONGEST_REFUSAL))
                raise failure(status, _json(Response(status, {}, content)))
            yield from pieces
        except HttpsFailure as error:
            raise unreachable(self.endpoint, error) from None

    def get(self, path: str, version: str, **query: str) -> Data:
        return self.call("GET", path, version, query=query).body

    def pages(
        self, path: str, version: str, query: Mapping[str, str] | None = None
    ) -> Iterator[Data]:
        """Every item of a list, page by page."""
        asked: Mapping[str, str] = query or {}
        while True:
            page = self.call("GET", path, version, query=asked).body
            yield from objects(page, "value")
            link = text(page, "nextLink", "")
            if not link:
                return
            parts = urlsplit(link)
            path, asked = parts.path, dict(parse_qsl(parts.query))

    def token(self, *, is_refused: bool = False) -> Token:
        """The one to go by; ``is_refused``: the remembered one was, so ask for another."""
        key = self._credentials.key(self.endpoint)
        token = None if is_refused else self._token or self._token_file.load(key)
        if token is None or not token.is_fresh(self._clock.now()):
            asked_at = self._clock.now()
            # Another command may have refreshed since: the file has the newest.
            known = self._token_file.load(key) or self._token
            refresh_token = known.refresh_token if known is not None else ""
            form = self._credentials.form(self.endpoint, refresh_token)
            response = self._send("POST", self._credentials.token_path, form=form)
            answer = _json(response)
            token = read_token(
                response.status, answer if isinstance(answer, dict) else {}, asked_at
            )
            self._token_file.save(key, token)
        self._token = token
        return token

    def _bearer(self, *, is_refused: bool = False) -> str:
        return self.token(is_refused=is_refused).value

    def _send(
        self,
        method: str,
        path: str,
        **how: Any,  # noqa: ANN401  # reason: passed on to Https, which types it
    ) -> Response:
        try:
            response = self._https.request(method, path, **how)
        except HttpsFailure as error:
            raise unreachable(self.endpoint, error) from None
        self.caller = _caller(response, self._https.local_address) or self.caller
        self._skew = _skew(response, self._clock.now())
        return response


def _json(response: Response) -> object:
    if not response.content:
        return None
    try:
        return json.loads(response.content)
    except ValueError:
        if response.status < 400:
            raise UnexpectedAnswer(
                f"The server answered {response.status} with something that is not JSON.",
                advice="Check that the endpoint is a Bascule server: bascule login --endpoint URL",
            ) from None
        return None


def _skew(response: Response, now: datetime) -> timedelta:
    """How far the server's clock is from ours, when it is further than Date can tell."""
    try:
        said = parsedate_to_datetime(response.headers.get("date", ""))
        skew = said - now
    except (TypeError, ValueError, OverflowError):  # no date, no zone, no such time
        return timedelta()
    return skew if abs(skew) > DATE_RESOLUTION else timedelta()


def _caller(response: Response, local: str) -> Address | None:
    """Our own address: as the server says, else as our end of the connection has it.

    Behind address translation only the server knows; our own end is then an address that
    no grant names, and nothing is mistaken for ours.
    """
    try:
        return parse_address(response.headers.get(CALLER_HEADER) or local)
    except InvalidInput:
        return None
