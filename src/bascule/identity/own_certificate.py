"""A server certificate that an operator brings, beside the one that the installation's CA issues.

People's browsers and Azure's clients are shown it, where it is for the name that they ask for (RFC 6066
section 3, RFC 9525). Agents, and clients that were given a pin, go on by the installation's CA: they
say so in their hello (``ASKS_FOR_CA``). The files are read again when they change. A pair that cannot
be used is told, and the one before is served until a good one is there.
"""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from bascule.config import ALWAYS_NAMED
from bascule.domain.endings import Ending, Ends
from bascule.errors import ConfigurationError
from bascule.identity.tls import new_context
from bascule.identity.x509 import fingerprint, names_of

LARGEST_FILE = 1024 * 1024  # bytes; a long chain has about ten thousand
_OTHERS_MAY = stat.S_IRWXO | stat.S_IWGRP
_BEGIN_KEY = b"PRIVATE KEY-----"


class NotValidNow(ConfigurationError):
    """The certificate is over, or begins later: another time, or another file, cures it."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A pair that is served from now on."""

    fingerprint: str  # SHA-256 of the certificate's DER, lower-case hex
    names: tuple[str, ...]
    ends_at: datetime
    warnings: tuple[str, ...]  # sentences: it is served, and some clients may refuse it


class OwnCertificate:
    """The pair of two files. Call from one thread; a handshake only reads ``context``."""

    def __init__(self, certificate: Path, key: Path, server_names: Sequence[str]) -> None:
        """``server_names``: those that clients may use, as ``parse_names`` gives them."""
        self._certificate, self._key = certificate, key
        self._server_names = tuple(server_names)
        self._seen: tuple[object, ...] | None = None  # the state of the files at the last attempt
        self.context: ssl.SSLContext | None = None  # None: no pair was good yet
        self.taken: Taken | None = None
        self.problem = ""  # a sentence; empty: what is served is what the files have
        self._begins: datetime | None = None  # of a pair that was not valid yet

    def is_for(self, name: str | None) -> bool:
        """Is a good pair there, for this name of a hello? A ``*`` stands for one whole label."""
        taken = self.taken
        return taken is not None and name is not None and _is_named(name, taken.names)

    @property
    def endings(self) -> Sequence[Ending]:
        taken = self.taken
        if taken is None:
            return ()
        return (Ending(Ends.OWN, taken.fingerprint, ", ".join(taken.names), taken.ends_at),)

    def has_changed(self) -> bool:
        """Have the files changed since the last attempt to take them up?"""
        return self._state() != self._seen

    def may_be_good_now(self, now: datetime) -> bool:
        """Was it too early at the last attempt, and no longer?"""
        return self._begins is not None and now >= self._begins

    def take_up(self, now: datetime) -> Taken:
        """Read the files and serve them from now on. Raises ConfigurationError, with ``problem`` set to
        its sentence; what was served before is served on.
        """
        self._seen, self._begins = self._state(), None
        try:
            context, taken = self._load(now)
        except ConfigurationError as error:
            self.problem = error.message
            raise
        except Exception as error:  # an extension or a key that the library cannot read
            self.problem = f"The certificate in {self._certificate} cannot be read: {error}."
            raise ConfigurationError(self.problem, advice="Have another one issued.") from error
        self.context, self.taken, self.problem = context, taken, ""
        return taken

    def _state(self) -> tuple[object, ...]:
        return tuple(map(_state_of, (self._certificate, self._key)))

    def _load(self, now: datetime) -> tuple[ssl.SSLContext, Taken]:
        self._check_mode()
        pem, key_pem = _read(self._certificate, "--certificate"), _read(self._key, "--key")
        chain = self._read_chain(pem)
        leaf = chain[0]
        self._check_key(chain, key_pem)
        self._check_use(leaf)
        self._check_time(leaf, now)
        names = tuple(sorted(names_of(leaf)))
        missing = self._check_names(names)
        warnings = [*missing, *self._chain_warnings(chain, now)]
        context = new_context()
        _load_into(context, pem, key_pem, self._certificate)
        ends_at = leaf.not_valid_after_utc
        return context, Taken(fingerprint(leaf), names, ends_at, tuple(warnings))

    def _check_mode(self) -> None:
        try:
            mode = self._key.stat().st_mode
        except OSError as error:
            raise _unreadable(self._key, "--key", error) from None
        if mode & _OTHERS_MAY:
            raise ConfigurationError(
                f"{self._key} (--key) can be read or written by other accounts (mode "
                f"{stat.S_IMODE(mode):04o}), so the key may be known to others.",
                advice=f"chmod 600 {self._key}. If other accounts use this machine, have a new "
                "certificate issued for a new key.",
            )

    def _read_chain(self, pem: bytes) -> list[x509.Certificate]:
        try:
            chain = x509.load_pem_x509_certificates(pem)
        except ValueError as error:
            raise ConfigurationError(
                f"{self._certificate} (--certificate) contains no certificate in PEM: {error}.",
                advice="Give the file with the server's certificate first and the certificates of "
                "its issuers after it (fullchain.pem).",
            ) from None
        return list(chain)

    def _check_key(self, chain: Sequence[x509.Certificate], pem: bytes) -> None:
        try:
            key = load_pem_private_key(pem, None)
        except TypeError:
            raise ConfigurationError(
                f"{self._key} (--key) is encrypted with a passphrase, which the server does not have.",
                advice=f"Decrypt it: openssl pkey -in {self._key} -out KEY, then chmod 600 KEY.",
            ) from None
        except Exception as error:
            what = "is damaged" if _BEGIN_KEY in pem else "contains no private key in PEM"
            raise ConfigurationError(
                f"{self._key} (--key) {what}.",
                advice="Give the private key of the certificate, from BEGIN to END PRIVATE KEY.",
            ) from error
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        matching = [each for each in chain if _public(each) == public]
        if not matching:
            raise ConfigurationError(
                f"The key in {self._key} is not the key of the certificate in {self._certificate}.",
                advice="Give the two files that were issued together with --certificate and --key.",
            )
        if matching[0] is not chain[0]:
            raise ConfigurationError(
                f"The first certificate in {self._certificate} is not the server's own, but one of "
                "an issuer.",
                advice="Put the server's certificate first and those of its issuers after it.",
            )

    def _check_use(self, leaf: x509.Certificate) -> None:
        try:
            uses = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except x509.ExtensionNotFound:
            return
        if not {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(
            uses
        ):
            raise ConfigurationError(
                f"The certificate in {self._certificate} is not for servers, so no client accepts it.",
                advice="Have one issued with the extended key usage serverAuth.",
            )

    def _check_time(self, leaf: x509.Certificate, now: datetime) -> None:
        begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
        if now >= ends:
            raise NotValidNow(
                f"The certificate in {self._certificate} has expired: it was valid until "
                f"{ends:%Y-%m-%d %H:%M} UTC.",
                advice="Have it renewed. The server takes up the new files when they are there.",
            )
        if now < begins:
            self._begins = begins
            raise NotValidNow(
                f"The certificate in {self._certificate} is not valid before {begins:%Y-%m-%d %H:%M} "
                f"UTC, and the clock says {now:%Y-%m-%d %H:%M} UTC.",
                advice="Check this machine's clock.",
            )

    def _check_names(self, names: tuple[str, ...]) -> list[str]:
        """A sentence where it lacks a name of the server's; refuse it where it has none of them."""
        given = [name for name in self._server_names if name not in ALWAYS_NAMED]
        lacking = [name for name in given if not _is_named(name, names)]
        if len(lacking) == len(given):
            said = ", ".join(names) or "no name at all"
            raise ConfigurationError(
                f"The certificate in {self._certificate} is for {said}; the server is called "
                f"{', '.join(given) or 'localhost only'}.",
                advice="Add --name NAME for a name of the certificate, or have one issued for the "
                "server's name.",
            )
        if not lacking:
            return []
        return [
            (
                f"The certificate in {self._certificate} is not for {', '.join(lacking)}: there clients "
                "are shown the installation's own certificate."
            )
        ]

    def _chain_warnings(self, chain: Sequence[x509.Certificate], now: datetime) -> list[str]:
        """The chain must lead to a certificate that this system trusts, or that signed itself."""
        last, rest = chain[0], list(chain[1:])
        while last.issuer != last.subject:
            issuer = next((each for each in rest if _has_signed(each, last)), None)
            if issuer is None:
                break
            rest.remove(issuer)
            last = issuer
        if last.issuer == last.subject or _is_root(last.issuer):
            past = [each for each in chain[1:] if each.not_valid_after_utc <= now]
            return (
                [f"A certificate of an issuer in {self._certificate} has expired."] if past else []
            )
        return [
            (
                f"{self._certificate} lacks the certificate of the issuer "
                f"{last.issuer.rfc4514_string()!r}, which this system does not trust by itself. Clients "
                "may refuse the server. Append the issuers' certificates to the file (fullchain.pem)."
            )
        ]


def _is_named(name: str, names: Sequence[str]) -> bool:
    name = name.casefold().rstrip(".")
    _, _, parent = name.partition(".")
    wanted = {name, f"*.{parent}"} if parent else {name}
    return any(each.casefold() in wanted for each in names)


def _public(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _has_signed(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # noqa: BLE001  # reason: whatever is wrong, it is not the issuer
        return False
    return True


def _is_root(issuer: x509.Name) -> bool:
    """Does this system trust a CA of that name?"""
    name = issuer.public_bytes()
    return any(name in der for der in ssl.create_default_context().get_ca_certs(binary_form=True))


def _read(path: Path, option: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise _unreadable(path, option, error) from None
    if len(content) > LARGEST_FILE:
        raise ConfigurationError(
            f"{path} ({option}) is larger than {LARGEST_FILE} bytes.", advice="Give a PEM file."
        )
    return content


def _unreadable(path: Path, option: str, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"{path} ({option}) cannot be read: {error.strerror}.",
        advice="Make it readable for the account that runs the server, and for no other.",
    )


def _state_of(path: Path) -> object:
    try:
        found = path.stat()
    except OSError as error:
        return error.errno
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode


def _load_into(context: ssl.SSLContext, pem: bytes, key: bytes, path: Path) -> None:
    """From memory: the files may be exchanged between two reads of them."""
    descriptors = []
    try:
        for content in (pem, key):
            descriptor = os.memfd_create("bascule", os.MFD_CLOEXEC)
            descriptors.append(descriptor)
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(content)
        context.load_cert_chain(*(f"/proc/self/fd/{each}" for each in descriptors))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"The certificate in {path} cannot be used for TLS: {error}.",
            advice="Have one issued for an RSA key of at least 2048 bits or an EC key on P-256.",
        ) from None
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
