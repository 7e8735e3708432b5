"""What every route uses: made once by bootstrap, found on ``app.state.bascule``."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

from starlette.requests import HTTPConnection

from bascule.api.lines import Lines
from bascule.api.networks import AgentNetworks, KnownNetworks
from bascule.api.origin import Names, Proxies
from bascule.api.packages import Packages
from bascule.api.replica_keys import ReplicaKeys
from bascule.api.sampling import Sampler
from bascule.config import AccessLog
from bascule.domain.endings import Ending
from bascule.domain.retention import DEFAULT_FLOOR
from bascule.domain.security_rules import Anchors
from bascule.identity.ca_rotation import Rotation
from bascule.identity.client_certificates import fingerprint_of
from bascule.identity.oidc import RelyingParty
from bascule.identity.own_certificate import OwnCertificate
from bascule.identity.realm import Realm
from bascule.identity.record_key import RecordKey
from bascule.identity.tls import CA_CERTIFICATE, CertificateKeeper, ca_fingerprint
from bascule.identity.tokens import TokenIssuer
from bascule.identity.trust_key import TrustKey
from bascule.interfaces.inventory import Installation
from bascule.interfaces.store import Reader
from bascule.services.act import Services
from bascule.services.delivery import WayOut
from bascule.services.denials import Denials, of_strangers
from bascule.services.own_sign_in import OwnSignIn
from bascule.services.session_addresses import ProvedAddresses
from bascule.services.set_up import SetUp
from bascule.services.sign_in import SignIn

T = TypeVar("T")


@dataclass(frozen=True)
class AppState:
    services: Services
    installation: Installation
    tokens: TokenIssuer
    names: Names  # what this server is called; another Host is refused
    proxies: Proxies  # whose forwarding headers count
    ca_file: Path  # certificate of the CA that signed the server's
    record_key: RecordKey  # signs the record's checkpoints and exports
    trust_key: TrustKey  # signs what agents pinned it for
    sign_in: SignIn  # proves people
    relying_party: RelyingParty  # talks to external identity providers
    way_out: WayOut = field(
        default_factory=WayOut
    )  # to where the record is sent; by itself nowhere
    access_log: AccessLog = AccessLog.SAMPLED
    allows_password_grant: bool = False  # at the token endpoint, of the tenant 'adfs' alone
    # What repeated forms are told by; bootstrap gives one that outlives a restart.
    form_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    on_set_up: Callable[[], None] = lambda: None  # when the set-up link was used
    packages: Packages | None = None  # for hosts; None: none are handed out
    certificates: Callable[[], Sequence[Ending]] = tuple  # of this server, with their ends
    keeper: CertificateKeeper | None = None  # of the server's certificates; None: others keep them
    own_certificate: OwnCertificate | None = None  # which an operator brought
    anchors: Anchors = field(default_factory=Anchors)  # of priorities in views of security groups
    record_floor: timedelta = DEFAULT_FLOOR  # nothing younger is deleted by any call
    denials: Denials = field(default_factory=Denials)  # of known callers, by principal
    stranger_denials: Denials = field(default_factory=of_strangers)  # of bad tokens, by address
    sign_in_denials: Denials = field(default_factory=of_strangers)  # bad tokens do not use these up
    proved: ProvedAddresses = field(default_factory=ProvedAddresses)  # by session
    known_networks: KnownNetworks = field(default_factory=KnownNetworks)
    agent_networks: AgentNetworks = field(default_factory=AgentNetworks)
    replica_keys: ReplicaKeys | None = None  # None: the data directory's alone, with SQLite
    stranger_lines: Sampler = field(
        default_factory=lambda: Sampler("calls without identity")
    )  # in the log
    # What /readyz tells beside the database, by its name; made when it is asked.
    told: dict[str, Callable[[], Mapping[str, object]]] = field(default_factory=dict)
    verifying: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    _parts: dict[Callable[..., Any], Any] = field(default_factory=dict, init=False)

    def part(self, make: Callable[[AppState], T]) -> T:
        """What some routes remember of this installation, made when it is first asked for."""
        if make not in self._parts:
            self._parts[make] = make(self)
        return cast("T", self._parts[make])

    @cached_property
    def realm(self) -> Realm:
        return Realm(self.installation.tenant_id, self.names.is_base)

    @cached_property
    def lines(self) -> Lines:
        made = Lines(
            self.services,
            self.installation.tenant_id,
            self.record_floor,
            self.denials,
            self.stranger_lines,
            self.known_networks,
            self.agent_networks,
            self.trust_key,
        )
        made.trust = self._trust
        return made

    @property
    def rotation(self) -> Rotation | None:
        """The change of the CA that this server has taken up."""
        return None if self.keeper is None else self.keeper.rotation

    def _trust(self) -> tuple[int, bytes] | None:
        rotation = self.rotation
        return None if rotation is None else (rotation.number, rotation.body)

    @cached_property
    def own_sign_in(self) -> OwnSignIn:
        return OwnSignIn(self.sign_in)

    @cached_property
    def set_up(self) -> SetUp:
        return SetUp(self.services, self.sign_in.proofs, self.on_set_up)

    async def has_new_key_of(self, bearer: str) -> bool:
        """Does the token name a key that another replica has made since we last looked?"""
        if self.replica_keys is None or not self.tokens.names_unknown_key(bearer):
            return False
        await self.replica_keys.read_soon()
        return not self.tokens.names_unknown_key(bearer)

    @property
    def ca_fingerprint(self) -> str:
        """Of the CA in use: what whoever is invited now has to pin."""
        return ca_fingerprint(self.ca_file)

    def ca_fingerprint_of(self, reader: Reader) -> str:
        """The same, as the database has it where replicas share one."""
        if self.replica_keys is None:
            return self.ca_fingerprint
        ca = self.replica_keys.shared.open(reader).contents[CA_CERTIFICATE]
        return fingerprint_of(ca.decode())

    async def read_keys(self) -> None:
        """Have the CA and keys that the database has, where replicas share one: an invitation must carry
        no CA that another replica has replaced. Raises Unavailable, ConfigurationError.
        """
        if self.replica_keys is not None:
            await self.replica_keys.read_soon()


def state_of(connection: HTTPConnection) -> AppState:
    return cast("AppState", connection.app.state.bascule)
