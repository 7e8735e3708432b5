"""The installation's keys at several replicas: the same for all, and no use without the wrapping key."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from bascule.api.replica_keys import AT_MOST_EVERY, NOT_READ, NOT_WRITTEN, ReplicaKeys
from bascule.bootstrap.keys import keys_into, keys_out_of
from bascule.config import DatabaseSettings
from bascule.errors import AuthenticationFailed, ConfigurationError
from bascule.identity.record_key import RecordKey
from bascule.identity.sealing import Sealer
from bascule.identity.shared_keys import NAMES, NEEDED, WRAPPING_KEY, SharedKeys
from bascule.identity.signing_keys import RETIRED_KEYS, SIGNING_KEY, new_key
from bascule.identity.tls import CertificateKeeper
from bascule.identity.tokens import TokenIssuer
from bascule.identity.trust_key import TrustKey
from bascule.interfaces.keys import SealedKey
from bascule.interfaces.store import Reader
from bascule.services.act import Services
from bascule.services.hub import Hub
from bascule.services.installation import ensure_installation
from bascule.store.transaction import SqlReader
from tests.contracts.store.samples import close, read, write
from tests.support.stores import new_store
from tests.unit.services_world import SetClock
from tests.unit.test_identity_tokens import NOW, REALM, issued

RECORD, SEALING = "record-signing.key", "sign-in-sealing.key"


class Installation:
    """One record, and the data directory where it was made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.services = Services(new_store(), clock(), Hub())
        self.store = self.services.store
        self.here = folder / "a"
        self.here.mkdir()
        make_files(self.here)
        asyncio.run(self.services.perform(ensure_installation))
        write(self.store, lambda tx: SharedKeys(self.here).put_missing(tx, NOW))

    def join(self, name: str) -> Path:
        """Another data directory, which has the wrapping key and nothing else."""
        made = self.folder / name
        made.mkdir()
        (made / WRAPPING_KEY).write_bytes((self.here / WRAPPING_KEY).read_bytes())
        return made

    def take(self, data: Path) -> SharedKeys:
        shared = SharedKeys(data)
        shared.write(read(self.store, shared.read))
        return shared

    def row(self, name: str) -> SealedKey:
        return next(
            each for each in read(self.store, lambda r: r.sealed_keys()) if each.name == name
        )

    def put(self, row: SealedKey) -> None:
        write(self.store, lambda tx: tx.put_sealed_key(row))


def clock() -> SetClock:
    made = SetClock()
    made.wall = NOW
    return made


def make_files(data: Path) -> None:
    CertificateKeeper(data, ()).ensure(NOW)
    RecordKey(data)
    Sealer(data)
    TokenIssuer(data)
    TrustKey(data)


def contents(data: Path) -> dict[str, bytes]:
    return {name: (data / name).read_bytes() for name in NAMES if (data / name).exists()}


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path)
    yield made
    close(made.store)


def test_a_replica_with_the_wrapping_key_has_the_same_keys(installation: Installation) -> None:
    there = installation.join("b")
    installation.take(there)
    assert contents(there) == contents(installation.here)
    assert set(contents(there)) == set(NEEDED)
    for name in (*NEEDED, WRAPPING_KEY):
        mode = stat.S_IMODE((installation.here / name).stat().st_mode)
        assert mode == (0o644 if name == "ca.pem" else 0o600), name
        if name != WRAPPING_KEY:
            assert stat.S_IMODE((there / name).stat().st_mode) == mode, name


def test_no_key_is_in_the_database_in_clear_and_the_wrapping_key_not_at_all(
    installation: Installation,
) -> None:
    """Whoever reads the database, or a dump of it, has no key."""
    rows = read(installation.store, lambda r: r.sealed_keys())
    assert {row.name for row in rows} == set(NEEDED)
    wrapping = Sealer((installation.here / WRAPPING_KEY).read_bytes())
    for row in rows:
        assert "PRIVATE KEY" not in row.sealed
        assert wrapping.open("", row.sealed) is None, "sealed for what it is alone"
        assert row.sealed not in repr(row)


@pytest.mark.parametrize("left", [None, b"", b"short", b"x" * 32])
def test_without_the_wrapping_key_no_key_is_read_and_none_is_made(
    installation: Installation, left: bytes | None
) -> None:
    there = installation.folder / "b"
    there.mkdir()
    if left is not None:
        (there / WRAPPING_KEY).write_bytes(left)
    with pytest.raises(ConfigurationError, match=r"wrapping\.key") as caught:
        installation.take(there)
    assert "replica invite" in caught.value.advice
    assert contents(there) == {}


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: replace(rows[RECORD], number=2),
        lambda rows: replace(rows[RECORD], sealed=rows[SEALING].sealed),
        lambda rows: replace(rows[RECORD], sealed=rows[RECORD].sealed[:-2]),
        lambda rows: replace(rows[RECORD], sealed="no seal"),
        lambda rows: replace(rows[RECORD], name="../record-signing.key"),
        lambda rows: replace(rows[RECORD], name="admin.json"),
    ],
)
def test_a_row_that_somebody_changed_is_refused(
    installation: Installation, change: Callable[[dict[str, SealedKey]], SealedKey]
) -> None:
    """Who can write the database cannot give a key another name, nor put an old one for a new one."""
    there = installation.join("b")
    rows = {row.name: row for row in read(installation.store, lambda r: r.sealed_keys())}
    installation.put(change(rows))
    with pytest.raises(ConfigurationError, match="does not open them"):
        installation.take(there)
    assert contents(there) == {}


def test_another_installations_seal_is_refused(installation: Installation, tmp_path: Path) -> None:
    """Even with the same wrapping key, as after a data directory was copied for a new one."""
    (tmp_path / "other").mkdir()
    other = Installation(tmp_path / "other")
    (other.here / WRAPPING_KEY).write_bytes((installation.here / WRAPPING_KEY).read_bytes())
    installation.put(other.row(RECORD))
    close(other.store)
    with pytest.raises(ConfigurationError, match="does not open them"):
        installation.take(installation.join("b"))


@pytest.mark.parametrize("name", NEEDED)
def test_a_key_that_is_nowhere_is_not_made_anew(
    installation: Installation, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another CA, or another key of the record, would be another installation."""
    everything = read(installation.store, lambda r: r.sealed_keys())
    there = installation.join("b")
    less = [each for each in everything if each.name != name]

    monkeypatch.setattr(SqlReader, "sealed_keys", lambda _: less)
    with pytest.raises(ConfigurationError, match="neither in its database nor in"):
        read(installation.store, SharedKeys(there).read)
    read(installation.store, SharedKeys(installation.here).read)  # it has the file


def test_what_the_database_has_counts(installation: Installation) -> None:
    there = installation.join("b")
    make_files(there)  # as a start by mistake would
    installation.take(there)
    assert contents(there) == contents(installation.here)
    write(installation.store, lambda tx: SharedKeys(there).put_missing(tx, NOW))
    assert installation.row(SIGNING_KEY).number == 1


class TestRotation:
    def test_it_is_one_commit_that_changes_no_file(self, installation: Installation) -> None:
        before, shared = contents(installation.here), SharedKeys(installation.here)
        ids = write(installation.store, lambda tx: shared.rotate(tx, new_key(), NOW, forget=False))
        assert contents(installation.here) == before
        assert TokenIssuer(installation.here).jwks(NOW)["keys"][0]["kid"] == ids[0]
        for data in (installation.here, installation.join("b")):
            installation.take(data)
            kids = [key["kid"] for key in TokenIssuer(data).jwks(NOW)["keys"]]
            assert kids == [ids[1], ids[0]]

    def test_a_stolen_key_is_forgotten(self, installation: Installation) -> None:
        tokens = TokenIssuer(installation.here)
        old, shared = issued(tokens), SharedKeys(installation.here)
        write(installation.store, lambda tx: shared.rotate(tx, new_key(), NOW, forget=True))
        keys = read(installation.store, shared.read)
        files = keys.contents[SIGNING_KEY], keys.contents[RETIRED_KEYS]
        assert tokens.use(*files)
        assert not tokens.use(*files), "these are in use"
        with pytest.raises(AuthenticationFailed, match="not from this server"):
            tokens.verify(old, REALM, NOW)

    def test_it_takes_the_wrapping_key(self, installation: Installation) -> None:
        stranger = SharedKeys(installation.folder)
        with pytest.raises(ConfigurationError, match=r"wrapping\.key is not there"):
            write(installation.store, lambda tx: stranger.rotate(tx, new_key(), NOW, forget=True))
        assert installation.row(SIGNING_KEY).number == 1

    def test_a_second_counts_on_from_the_first(self, installation: Installation) -> None:
        shared = SharedKeys(installation.here)
        for number in (2, 3):
            write(installation.store, lambda tx: shared.rotate(tx, new_key(), NOW, forget=False))
            assert installation.row(SIGNING_KEY).number == number
        assert installation.row(RETIRED_KEYS).number == 2
        installation.take(installation.here)
        assert len(TokenIssuer(installation.here).jwks(NOW)["keys"]) == 3


class TestReplicas:
    @pytest.fixture
    def two(self, installation: Installation) -> tuple[Replica, Replica]:
        return tuple(  # type: ignore[return-value]  # two
            Replica(installation, data) for data in (installation.here, installation.join("b"))
        )

    def test_what_one_signs_by_a_new_key_the_other_accepts_at_once(
        self, two: tuple[Replica, Replica]
    ) -> None:
        a, b = two

        async def work() -> None:
            before, _ = await a.keys.rotate(a.services.perform, forget=False)
            token = issued(a.tokens)
            assert b.tokens.names_unknown_key(token)
            await b.keys.read_soon()
            assert b.tokens.verify(token, REALM, NOW).id == "t-1"
            assert before in [key["kid"] for key in b.tokens.jwks(NOW)["keys"]]

        asyncio.run(work())

    def test_the_other_forgets_a_stolen_key_within_two_seconds(
        self, two: tuple[Replica, Replica]
    ) -> None:
        a, b = two
        old = issued(b.tokens)
        b.tokens.verify(old, REALM, NOW)

        async def work() -> None:
            watching = asyncio.create_task(b.keys.watch())
            with b.services.hub.listening("any wait") as event:
                await a.keys.rotate(a.services.perform, forget=True)
                async with asyncio.timeout(5):
                    await event.wait()  # waits end whose key is forgotten
            watching.cancel()
            with pytest.raises(AuthenticationFailed):
                b.tokens.verify(old, REALM, NOW)

        asyncio.run(work())

    def test_a_data_directory_that_cannot_be_written_keeps_no_stolen_key_in_use(
        self, two: tuple[Replica, Replica]
    ) -> None:
        """And it is written as soon as it can be."""
        a, b = two
        old = issued(b.tokens)
        in_the_way = b.data / f"{RETIRED_KEYS}.new"
        in_the_way.mkdir()

        async def work() -> None:
            await a.keys.rotate(a.services.perform, forget=True)
            with b.services.hub.listening("any wait") as event:
                await b.keys.read_soon()
                assert event.is_set()  # waits end whose key is forgotten
            with pytest.raises(AuthenticationFailed, match="not from this server"):
                b.tokens.verify(old, REALM, NOW)
            assert b.tokens.verify(issued(a.tokens), REALM, NOW).id == "t-1"
            assert b.keys.trouble == NOT_WRITTEN
            assert contents(b.data) != contents(a.data)
            in_the_way.rmdir()
            await b.keys.read_soon()
            assert b.keys.trouble == ""
            assert contents(b.data) == contents(a.data)

        asyncio.run(work())

    def test_keys_that_cannot_be_read_are_asked_for_again(
        self, two: tuple[Replica, Replica]
    ) -> None:
        a, b = two
        wrapping = (b.data / WRAPPING_KEY).read_bytes()

        async def work() -> None:
            await a.keys.rotate(a.services.perform, forget=False)
            (b.data / WRAPPING_KEY).write_bytes(b"x" * 32)
            with pytest.raises(ConfigurationError):
                await b.keys.read_soon()
            assert b.keys.trouble == NOT_READ
            (b.data / WRAPPING_KEY).write_bytes(wrapping)
            await b.keys.read_soon()
            assert b.keys.trouble == ""
            assert b.tokens.verify(issued(a.tokens), REALM, NOW).id == "t-1"

        asyncio.run(work())

    def test_strangers_cause_few_reads(
        self, two: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        replica, reads = two[1], []
        own = replica.services.store.read_few

        async def counted(work: Callable[[Reader], object]) -> object:
            reads.append(work)
            return await own(work)

        monkeypatch.setattr(replica.services.store, "read_few", counted)

        async def work() -> float:
            loop = asyncio.get_running_loop()
            began = loop.time()
            for _ in range(3):
                await asyncio.gather(*(replica.keys.read_soon() for _ in range(50)))
            return loop.time() - began

        took = asyncio.run(work())
        assert len(reads) <= 1 + took / AT_MOST_EVERY

    def test_only_a_key_that_is_named_is_looked_for(self, two: tuple[Replica, Replica]) -> None:
        tokens = two[0].tokens
        stranger = RSAKey.generate_key(2048, private=True)
        for header in (
            {"alg": "RS256"},
            {"alg": "RS256", "kid": tokens.jwks(NOW)["keys"][0]["kid"]},
        ):
            assert not tokens.names_unknown_key(jwt.encode(header, {}, stranger))
        for text in ("", "a.b.c", "é", "x" * 5000):
            assert not tokens.names_unknown_key(text)
        assert tokens.names_unknown_key(jwt.encode({"alg": "RS256", "kid": "k"}, {}, stranger))


class Replica:
    def __init__(self, installation: Installation, data: Path) -> None:
        shared = installation.take(data)
        self.data = data
        self.tokens = TokenIssuer(data)
        self.services = Services(installation.store, clock(), Hub())
        self.keys = ReplicaKeys(
            self.services, shared, self.tokens, DatabaseSettings("postgresql:///x")
        )


def test_a_record_that_moves_takes_its_keys_along(installation: Installation) -> None:
    """The files of SQLite count over what an earlier move has left."""
    there = installation.join("b")
    make_files(there)
    write(installation.store, lambda tx: keys_into(there, tx, NOW))
    assert installation.row(SIGNING_KEY).number == 2
    read(installation.store, lambda r: keys_out_of(installation.here, r))
    assert contents(installation.here) == contents(there)
