"""The server's TLS identity: made on the first start, renewed while it runs (EDGES A26).

    ca.key      the CA's private key, 0600
    ca.pem      the CA's certificate, for everybody: clients trust it, agents pin it
    server.pem  the server's private key and its chain in one file, 0600, so that the
                two can never be of different ages

Each file appears whole, the key before the certificate that needs it, so a start that was
killed anywhere is continued by the next. The CA is never replaced by itself: every agent
and client pinned it. The server's certificate is made anew when two thirds of its life are
over, when the names change, when the clock says that it is not valid, or when it is damaged.
Where an operator brings a certificate (``own_certificate``), ``context_for`` chooses by hello.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from cryptography import x509

from bascule.config import DEFAULT_CERTIFICATE_LIFE, parse_names
from bascule.domain.endings import Ending, Ends
from bascule.errors import ConfigurationError
from bascule.files import PRIVATE, PUBLIC, write_atomically
from bascule.identity import x509 as certificates
from bascule.identity.ca_rotation import ROTATION, Rotation, read_rotation
from bascule.identity.files import read_if_present
from bascule.protocol.hello import wants_ca

CA_KEY, CA_CERTIFICATE, SERVER = "ca.key", "ca.pem", "server.pem"
RENEWED_WITH_LEFT = 1 / 3  # of its life
_BEGIN_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


def ca_fingerprint(ca_file: Path) -> str:
    """SHA-256 hex of the CA certificate's DER: what tokens pin. Raises OSError, and ValueError where
    the file is damaged.
    """
    return certificates.fingerprint(x509.load_pem_x509_certificate(ca_file.read_bytes()))


class OwnPair(Protocol):
    """What an operator brings; ``context`` is None while there is nothing good."""

    @property
    def context(self) -> ssl.SSLContext | None: ...

    @property
    def endings(self) -> Sequence[Ending]: ...

    def is_for(self, name: str | None, /) -> bool: ...


class CertificateKeeper:
    """Makes, renews and serves one installation's certificates.

    ``context`` stays the same object for ever: connections made after a renewal are
    served with the new certificate, those made before go on. Call from one thread.
    """

    def __init__(
        self,
        data_dir: Path,
        names: Sequence[str],
        lifetime: timedelta = DEFAULT_CERTIFICATE_LIFE,
        own: OwnPair | None = None,
    ) -> None:
        self._data_dir = data_dir
        self._names = parse_names(names)
        self._lifetime = lifetime
        self._ca: x509.Certificate | None = None
        self._served: x509.Certificate | None = None
        self._own = own  # what an operator brought
        self._rotation: Rotation | None = None  # as it was read; certificates are made by it
        self._taken: Rotation | None = None  # as it is served
        self._seen: object = None  # the state of the rotation's file when that was taken up
        self.context = new_context()
        self._facing = new_context()  # whoever has no pin
        self._facing.sni_callback = self._choose

    @property
    def names(self) -> tuple[str, ...]:
        return self._names

    @property
    def lifetime(self) -> timedelta:
        return self._lifetime

    @property
    def ca_file(self) -> Path:
        return self._data_dir / CA_CERTIFICATE

    @property
    def has_choice(self) -> bool:
        """Does it depend on the hello what a client is shown?"""
        return self._own is not None

    def context_for(self, hello: bytes) -> ssl.SSLContext:
        """What serves whoever sent this hello: an operator's certificate, or the installation's."""
        return self._facing if self.has_choice and not wants_ca(hello) else self.context

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        """In a handshake, for the name that the client asks for (RFC 6066 section 3)."""
        if self._own is not None and self._own.context is not None and self._own.is_for(name):
            connection.context = self._own.context

    @property
    def server_certificate_ends_at(self) -> datetime:
        return self._known_server().not_valid_after_utc

    def _known_server(self) -> x509.Certificate:
        if self._served is None:
            raise ConfigurationError("The certificates were not read yet; call ensure() first.")
        return self._served

    @property
    def endings(self) -> Sequence[Ending]:
        """When each certificate ends."""
        ca, ends_at = self._known_ca(), self.server_certificate_ends_at
        # One that ends with its CA is not renewed: no other could live longer.
        does_renew = ends_at < ca.not_valid_after_utc
        renews_at = ends_at - self._lifetime * RENEWED_WITH_LEFT if does_renew else None
        name = self._names[-1]
        server = self._known_server()
        found = [
            Ending(Ends.CA, certificates.fingerprint(ca), "installation", ca.not_valid_after_utc),
            Ending(Ends.SERVER, certificates.fingerprint(server), name, ends_at, renews_at),
        ]
        own = self._own
        return found if own is None else [*found, *own.endings]

    def ensure(self, now: datetime) -> None:
        """Make what is missing, renew what is due, and load it into ``context``."""
        try:
            self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"The data directory {self._data_dir} cannot be created: {error.strerror}.",
                advice="Choose one that can be written with --data DIR.",
            ) from error
        seen = self._state()
        self._rotation = self._read_rotation()
        self._ca = self._ensure_ca(now)
        if not self._serve_stored(now):
            self._issue(now)
        self._seen, self._taken = seen, self._rotation

    @property
    def rotation(self) -> Rotation | None:
        """The change of the CA that this server has taken up; None: there was none yet."""
        return self._taken

    def take_rotation(self, now: datetime) -> bool:
        """Take up another step of a rotation, if a file says so; True: it did. Raises ConfigurationError;
        what was served before is served on, and the next call tries again.
        """
        if self._state() == self._seen:
            return False
        before = self._taken
        self.ensure(now)
        return self._taken != before

    def _state(self) -> object:
        try:
            found = (self._data_dir / ROTATION).stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _read_rotation(self) -> Rotation | None:
        """What is decided there; the CA's files are made to agree, the key first."""
        content = read_if_present(self._data_dir / ROTATION)
        if content is None:
            return None
        found = read_rotation(content)
        for name, wanted, mode in (
            (CA_KEY, found.key, PRIVATE),
            (CA_CERTIFICATE, found.ca, PUBLIC),
        ):
            if read_if_present(self._data_dir / name) != wanted.encode():
                write_atomically(self._data_dir / name, wanted.encode(), mode)
        return found

    def renew_if_due(self, now: datetime) -> bool:
        """Renew the server's certificate when it is time; True when a new one is served.

        Raises ConfigurationError when it cannot be made; the old one is served until then.
        """
        if self._served is not None and not self._is_due(self._served, now):
            return False
        self._issue(now)
        return True

    def _known_ca(self) -> x509.Certificate:
        if self._ca is None:
            self._ca = self._read_ca()
        if self._ca is None:
            raise ConfigurationError("The certificates were not made yet; call ensure() first.")
        return self._ca

    # -- the CA ---------------------------------------------------------------------------

    def _ensure_ca(self, now: datetime) -> x509.Certificate:
        ca = self._read_ca()
        if ca is None:
            key = self._read_ca_key() or self._new_ca_key()
            ca = certificates.make_ca(key, now)
            write_atomically(self.ca_file, certificates.certificate_pem(ca), PUBLIC)
        self._check_validity(ca, now)
        return ca

    def _check_validity(self, ca: x509.Certificate, now: datetime) -> None:
        begins, ends = ca.not_valid_before_utc, ca.not_valid_after_utc
        if not begins <= now < ends:
            raise ConfigurationError(
                f"The CA in {self.ca_file} is valid from {begins:%Y-%m-%d} to {ends:%Y-%m-%d} "
                f"and the clock says {now:%Y-%m-%d}.",
                advice="Check the clock. If it is right, make a new CA: bascule admin rotate-ca --data "
                "DATA --compromised. Then every client needs the new file, and every agent must "
                "enrol again.",
            )

    def _new_ca_key(self) -> certificates.Key:
        key = certificates.new_key()
        write_atomically(self._data_dir / CA_KEY, certificates.key_pem(key), PRIVATE)
        return key

    def _read_ca(self) -> x509.Certificate | None:
        pem = read_if_present(self.ca_file)
        if pem is None:
            return None
        try:
            return x509.load_pem_x509_certificate(pem)
        except ValueError as error:
            raise self._damaged(CA_CERTIFICATE, error) from error

    def _read_ca_key(self) -> certificates.Key | None:
        pem = read_if_present(self._data_dir / CA_KEY)
        if pem is None:
            return None
        try:
            return certificates.read_key(pem)
        except ValueError as error:
            raise self._damaged(CA_KEY, error) from error

    def _damaged(self, name: str, error: Exception) -> ConfigurationError:
        return ConfigurationError(
            f"{self._data_dir / name} is damaged: {error}.",
            advice="Restore it from a backup: clients and agents trust exactly this CA.",
        )

    # -- the server's own -----------------------------------------------------------------

    def _serve_stored(self, now: datetime) -> bool:
        """Serve what is on disk when it is still good; False when a new one is needed."""
        pem = read_if_present(self._data_dir / SERVER)
        if pem is None or _BEGIN_CERTIFICATE not in pem:
            return False
        try:
            key = certificates.read_key(pem)
            served = x509.load_pem_x509_certificates(pem)[0]
            served.verify_directly_issued_by(self._known_ca())
            if not pem.endswith(self._chain()):
                return False
        except Exception:  # noqa: BLE001  # reason: whatever is wrong with it, a new one cures it
            return False
        if not certificates.belongs_to(served, key) or self._is_due(served, now):
            return False
        self._serve(served)
        return True

    def _issue(self, now: datetime) -> None:
        ca, ca_key = self._known_ca(), self._read_ca_key()
        self._check_validity(ca, now)
        if ca_key is None or not certificates.belongs_to(ca, ca_key):
            raise ConfigurationError(
                f"{self._data_dir / CA_KEY} is not the key of {CA_CERTIFICATE}, so the server's "
                f"certificate cannot be issued.",
                advice="Restore both from one backup: clients and agents trust exactly this CA.",
            )
        key = certificates.new_key()
        served = certificates.make_server_certificate(
            key, self._names, ca, ca_key, now, self._lifetime
        )
        chain = [certificates.certificate_pem(served), self._chain()]
        write_atomically(
            self._data_dir / SERVER, b"".join([certificates.key_pem(key), *chain]), PRIVATE
        )
        self._serve(served)

    def _chain(self) -> bytes:
        """What is shown after the server's certificate."""
        if self._rotation is not None:
            return self._rotation.chain.encode()
        return certificates.certificate_pem(self._known_ca())

    def _serve(self, served: x509.Certificate) -> None:
        try:
            for context in (self.context, self._facing):
                context.load_cert_chain(self._data_dir / SERVER)
        except (OSError, ssl.SSLError) as error:
            raise self._damaged(SERVER, error) from error
        self._served = served

    def _is_due(self, served: x509.Certificate, now: datetime) -> bool:
        ends, ca_ends = served.not_valid_after_utc, self._known_ca().not_valid_after_utc
        left = ends - now
        return (
            certificates.names_of(served) != frozenset(self._names)
            or now < served.not_valid_before_utc
            or left > self._lifetime + timedelta(seconds=1)  # the clock went back, or a new setting
            or (left <= self._lifetime * RENEWED_WITH_LEFT and ends < ca_ends)
            or left <= timedelta(0)
        )


def new_context() -> ssl.SSLContext:
    """TLS 1.2 and 1.3 with OpenSSL's default suites, HTTP/1.1 only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    return context
