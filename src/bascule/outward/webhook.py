"""One sink's HTTPS calls: POST to an address that was judged, with the name's certificate.

The URL that is called names the address; Host, SNI and the certificate that is asked for are
the name's. No redirect is followed, no proxy of the environment used, no cookie kept, and of an
answer nothing counts but status and Retry-After: its body is read away, up to a bound, so that
the connection can be used again, and is told to nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime

import httpx2

from bascule import __version__
from bascule.domain.delivery import Answer, Outcome, Target
from bascule.domain.net import AddressPrefix
from bascule.interfaces.clock import Clock
from bascule.interfaces.delivery import Parcel
from bascule.outward.resolve import NotAllowed, NotFound, Resolver, judged_addresses
from bascule.outward.trust import trust

CALL_SECONDS = 30.0  # for all of one call
CONNECT_SECONDS = 10.0
BODY_SECONDS = 5.0  # of reading an answer's body away
LARGEST_BODY = 64 * 1024
MOST_TRIED = 3  # addresses of one call
# The receiver will say the same of this message next time (RFC 9110 15.5).
_REFUSALS = frozenset({400, 405, 406, 411, 413, 414, 415, 422, 431, 501})
_GONE = 410


class WebhookLine:
    """Connections to one receiver; no other sink uses them, whatever its address."""

    def __init__(
        self,
        target: Target,
        ca_certificates: str,
        allowed: Sequence[AddressPrefix],
        clock: Clock,
        resolve: Resolver,
    ) -> None:
        self._target = target
        self._allowed = allowed
        self._clock = clock
        self._resolve = resolve
        self._client = httpx2.AsyncClient(
            verify=trust(ca_certificates),
            trust_env=False,
            follow_redirects=False,
            timeout=httpx2.Timeout(CALL_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx2.Limits(max_connections=2, keepalive_expiry=30.0),
        )

    async def carry(self, parcel: Parcel) -> Outcome:
        target = self._target
        try:
            async with asyncio.timeout(CALL_SECONDS):
                addresses = await judged_addresses(
                    target.host, target.port, self._allowed, self._resolve
                )
                return await self._post(addresses[:MOST_TRIED], parcel)
        except (NotAllowed, NotFound) as error:
            return Outcome(Answer.LATER, str(error))
        except TimeoutError:
            return Outcome(Answer.LATER, f"no answer within {CALL_SECONDS:.0f} seconds")
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            return Outcome(Answer.LATER, failure_words(error))

    async def close(self) -> None:
        await self._client.aclose()

    async def _post(self, addresses: Sequence[str], parcel: Parcel) -> Outcome:
        """Try one address after the other until one can be connected to."""
        for address in addresses[:-1]:
            try:
                return await self._call(address, parcel)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
        return await self._call(addresses[-1], parcel)

    async def _call(self, address: str, parcel: Parcel) -> Outcome:
        target = self._target
        host = f"[{address}]" if ":" in address else address
        self._client.cookies.clear()  # what an answer set is not sent back
        request = self._client.build_request(
            "POST",
            f"https://{host}:{target.port}{target.path}",
            content=parcel.messages[0],
            headers={
                **parcel.headers,
                "host": target.authority,
                "user-agent": f"bascule/{__version__}",
                "accept-encoding": "identity",
            },
            extensions={"sni_hostname": target.host},
        )
        answer = await self._client.send(request, stream=True)
        try:
            await self._read_away(answer)
        finally:
            await answer.aclose()
        return self._outcome(answer)

    @staticmethod
    async def _read_away(answer: httpx2.Response) -> None:
        """The status is known; whatever the body does is no failure of the delivery."""
        size = 0
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for piece in answer.aiter_raw():
                    size += len(piece)
                    if size > LARGEST_BODY:
                        return
        except (httpx2.HTTPError, TimeoutError):
            return

    def _outcome(self, answer: httpx2.Response) -> Outcome:
        status = answer.status_code
        said = f"HTTP {status}"
        if 200 <= status < 300:
            return Outcome(Answer.TAKEN, said)
        if status == _GONE:
            return Outcome(Answer.GONE, said)
        if status in _REFUSALS:
            return Outcome(Answer.REFUSED, said)
        if 300 <= status < 400:
            said += ": redirects are not followed; set the target to where it leads"
        return Outcome(Answer.LATER, said, self._wait(answer.headers.get("retry-after", "")))

    def _wait(self, text: str) -> timedelta | None:
        """RFC 9110 10.2.3: seconds, or a date."""
        if text.isascii() and text.isdigit():
            return timedelta(seconds=min(int(text[:9]), 86_400))
        try:
            at = parsedate_to_datetime(text)
        except (TypeError, ValueError):
            return None
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        return max(timedelta(), at - self._clock.now())


def failure_words(error: Exception) -> str:
    """What stood in the way, in our words; a certificate's fault is worth its own."""
    cause: BaseException | None = error
    while cause is not None:
        verify = getattr(cause, "verify_message", "")
        if verify:
            return f"its certificate is not trusted: {str(verify)[:200]}"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx2.ConnectError):
        return "the connection failed"
    if isinstance(error, httpx2.TimeoutException):
        return "it did not answer in time"
    return f"the connection failed ({type(error).__name__})"
