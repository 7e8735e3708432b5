"""A rotation of the CA: its steps, what TLS shows in each, what an agent takes, and deaths in between."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from bascule import files
from bascule.agent.enrolment import IDENTITY_FILE
from bascule.agent.link import Identity
from bascule.agent.trusted import Trusted
from bascule.bootstrap.data_directory import AdminFile
from bascule.bootstrap.rotate_ca import _Rotating
from bascule.clocks import SystemClock
from bascule.domain.facts.installation import CaRotated
from bascule.errors import ConfigurationError
from bascule.identity import ca_rotation as steps
from bascule.identity import x509 as certificates
from bascule.identity.ca_rotation import ROTATION, Phase, Rotation, read_rotation
from bascule.identity.shared_keys import SharedKeys
from bascule.identity.tls import CA_CERTIFICATE, CA_KEY, SERVER, CertificateKeeper
from bascule.identity.trust_key import TrustKey
from bascule.interfaces.record import EventFilter
from bascule.protocol.signed import Kind
from bascule.protocol.trust import Trust
from bascule.services.ca_rotation import note_step, note_taken, progress
from tests.contracts.store.samples import close, write
from tests.unit.services_world import World
from tests.unit.test_own_certificate import shown
from tests.unit.test_shared_keys import Installation

NOW = SystemClock().now()
FIRST = int(NOW.timestamp())  # the number of a first change
UID = "11111111-0000-4000-8000-000000000001"


def started(folder: Path) -> CertificateKeeper:
    keeper = CertificateKeeper(folder, ["bascule.example"])
    keeper.ensure(NOW)
    return keeper


def first(folder: Path) -> Rotation:
    ca, key = ((folder / name).read_text() for name in (CA_CERTIFICATE, CA_KEY))
    return Rotation(0, Phase.DONE, ca, key)


def put(folder: Path, made: Rotation) -> Rotation:
    files.write_atomically(folder / ROTATION, made.dump())
    return made


def trusts(keeper: CertificateKeeper, *cas: str) -> bool:
    """Does a client that trusts these and nothing else connect?"""
    trust = ssl.create_default_context(cadata="".join(cas))
    trust.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        shown(keeper, trust, "localhost")
    except ssl.SSLCertVerificationError:
        return False
    return True


def test_old_and_new_clients_connect_until_the_old_ca_is_dropped(tmp_path: Path) -> None:
    keeper = started(tmp_path)
    old = first(tmp_path)
    begun = put(tmp_path, steps.begin(old, NOW))
    assert begun.number == FIRST
    assert keeper.take_rotation(NOW)
    assert not keeper.take_rotation(NOW)
    assert trusts(keeper, old.ca)
    assert trusts(keeper, *begun.trusted)
    assert not trusts(keeper, begun.other)
    switched = put(tmp_path, steps.switch(begun))
    assert switched.number == FIRST
    assert set(switched.trusted) == set(begun.trusted)
    assert keeper.take_rotation(NOW)
    assert trusts(keeper, old.ca)
    assert trusts(keeper, switched.ca)
    assert trusts(keeper, *switched.trusted)
    assert (tmp_path / CA_CERTIFICATE).read_text() == switched.ca == begun.other
    done = put(tmp_path, steps.finish(switched, NOW))
    assert done.number == FIRST + 1
    assert done.trusted == (switched.ca,)
    assert keeper.take_rotation(NOW)
    assert not trusts(keeper, old.ca)
    assert trusts(keeper, done.ca)


def test_a_second_rotation_goes_like_the_first(tmp_path: Path) -> None:
    keeper = started(tmp_path)
    made = first(tmp_path)
    for _ in range(2):
        before = made.ca
        made = steps.begin(made, NOW)
        made = put(tmp_path, steps.switch(made))
        assert keeper.take_rotation(NOW)
        assert trusts(keeper, before)
        made = put(tmp_path, steps.finish(made, NOW))
        keeper.take_rotation(NOW)
    assert made.number == FIRST + 3


def test_after_a_theft_nothing_vouches_for_the_new_ca(tmp_path: Path) -> None:
    keeper = started(tmp_path)
    old = first(tmp_path)
    begun = steps.begin(old, NOW)
    for before in (old, begun, steps.switch(begun)):
        made = put(tmp_path, steps.compromise(before, NOW))
        assert made.number == max(before.number + 1, FIRST)
        assert made.trusted == (made.ca,)
        assert (made.cross, made.other) == ("", "")
        assert keeper.take_rotation(NOW)
        assert not trusts(keeper, old.ca, *([begun.other] if begun.other else []))
        assert trusts(keeper, made.ca)


def test_it_can_be_given_up_before_the_switch_alone(tmp_path: Path) -> None:
    started(tmp_path)
    old = first(tmp_path)
    begun = steps.begin(old, NOW)
    back = steps.cancel(begun, NOW)
    assert (back.ca, back.trusted, back.number) == (old.ca, (old.ca,), FIRST + 1)
    switched = steps.switch(begun)
    wrong: list[Callable[[], Rotation]] = [
        lambda: steps.cancel(switched, NOW),
        lambda: steps.cancel(old, NOW),
        lambda: steps.switch(old),
        lambda: steps.switch(switched),
        lambda: steps.finish(begun, NOW),
        lambda: steps.finish(old, NOW),
        lambda: steps.begin(begun, NOW),
        lambda: steps.begin(switched, NOW),
    ]
    for each in wrong:
        with pytest.raises(ConfigurationError):
            each()


def test_a_server_that_is_killed_at_any_write_goes_on_with_the_step_that_was_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started(tmp_path)
    old = first(tmp_path)
    begun = steps.begin(old, NOW)
    for made in (begun, steps.switch(begun), steps.finish(steps.switch(begun), NOW)):
        put(tmp_path, made)
        for survived in range(4):
            writes = 0

            def dies(path: Path, content: str | bytes, mode: int = files.PRIVATE) -> None:
                nonlocal writes
                writes += 1
                if writes > survived:  # noqa: B023  # reason: called in this round alone
                    raise KeyboardInterrupt
                files.write_atomically(path, content, mode)

            with monkeypatch.context() as patch:
                patch.setattr("bascule.identity.tls.write_atomically", dies)
                try:
                    started(tmp_path)
                except KeyboardInterrupt:
                    continue
        keeper = started(tmp_path)
        assert keeper.rotation == made
        assert (tmp_path / CA_CERTIFICATE).read_text() == made.ca
        assert (tmp_path / CA_KEY).read_text() == made.key
        assert trusts(keeper, *made.trusted)


@pytest.mark.parametrize("full", [CA_KEY, CA_CERTIFICATE, SERVER])
def test_a_step_for_which_the_disk_was_full_is_taken_up_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    """Otherwise a server would show the certificate of a stolen CA until it is started again."""
    keeper = started(tmp_path)
    old = first(tmp_path)
    made = put(tmp_path, steps.compromise(old, NOW))

    def fill(path: Path, data: bytes, mode: int = files.PRIVATE) -> None:
        if path.name == full:
            raise ConfigurationError("No space left on device.")
        files.write_atomically(path, data, mode)

    with monkeypatch.context() as patched:
        patched.setattr("bascule.identity.tls.write_atomically", fill)
        for _ in range(2):
            with pytest.raises(ConfigurationError, match="No space"):
                keeper.take_rotation(NOW)
    assert trusts(keeper, old.ca)
    assert keeper.take_rotation(NOW), "then it is told to agents, and recorded"
    assert trusts(keeper, made.ca)
    assert not trusts(keeper, old.ca)
    assert not keeper.take_rotation(NOW)


def test_an_administrators_file_that_cannot_be_written_stops_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper, admin = started(tmp_path), tmp_path / "admin.json"
    admin.write_text('{"ca": "of before"}')

    def full(*_: object) -> None:
        raise ConfigurationError("No space left on device.")

    with monkeypatch.context() as patched:
        patched.setattr("bascule.bootstrap.data_directory.write_atomically", full)
        AdminFile(admin).carry(keeper.ca_file)
    assert "of before" in admin.read_text()
    AdminFile(admin).carry(keeper.ca_file)
    assert "BEGIN CERTIFICATE" in admin.read_text()


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b'{"phase":"begun"}'])
def test_a_damaged_file_is_an_error_and_no_new_ca(tmp_path: Path, content: bytes) -> None:
    keeper = started(tmp_path)
    old = first(tmp_path)
    (tmp_path / ROTATION).write_bytes(content)
    with pytest.raises(ConfigurationError, match="is damaged"):
        keeper.take_rotation(NOW)
    assert trusts(keeper, old.ca)
    with pytest.raises(ConfigurationError, match="is damaged"):
        started(tmp_path)
    assert first(tmp_path) == old


def test_a_key_of_another_ca_is_refused(tmp_path: Path) -> None:
    started(tmp_path)
    made = steps.begin(first(tmp_path), NOW).dump()
    wrong = {**json.loads(made), "key": certificates.key_pem(certificates.new_key()).decode()}
    with pytest.raises(ConfigurationError, match="do not belong together"):
        read_rotation(json.dumps(wrong).encode())


def test_an_old_ca_that_may_sign_no_other_vouches_for_none(tmp_path: Path) -> None:
    key = certificates.new_key()
    whole = certificates.make_ca(key, NOW)
    cross = certificates.cross_sign(certificates.make_ca(certificates.new_key(), NOW), whole, key)
    assert cross is not None  # which itself may sign no CA
    assert cross.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    assert certificates.cross_sign(whole, cross, key) is None


# -- the agent's side


class Agent:
    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.state.mkdir()
        self.keeper = started(folder / "data")
        self.key = TrustKey(folder / "data")
        self.rotation = first(folder / "data")
        self.identity = Identity("https://b", "t", UID, b"0" * 32, self.key.public_key)
        self.path = self.state / IDENTITY_FILE
        self.path.write_text(json.dumps({"ca": self.rotation.ca, "machineUid": UID}))

    def told(
        self,
        made: Rotation,
        *,
        uid: str = UID,
        number: int | None = None,
        body: bytes | None = None,
    ) -> Trust:
        """The change as the server tells it; signed over what is given instead."""
        signed = made.body if body is None else body
        count = made.number if number is None else number
        signature = self.key.sign(Kind.TRUST, uid, "", count, signed)
        return Trust(made.number, made.body.decode(), signature)

    def take(self, told: Trust) -> int | None:
        return Trusted(self.state, self.identity).take(told)[0]


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent(tmp_path)


def test_an_agent_takes_what_is_signed_and_newer(agent: Agent) -> None:
    begun = steps.begin(agent.rotation, NOW)
    switched = steps.switch(begun)
    done = steps.finish(switched, NOW)
    assert agent.take(agent.told(begun)) == FIRST
    assert agent.take(agent.told(switched)) == FIRST, "it has the same CAs, in another order"
    assert json.loads(agent.path.read_text())["ca"] == "".join(begun.trusted)
    assert agent.take(agent.told(begun)) == FIRST
    assert agent.take(agent.told(done)) == FIRST + 1
    assert json.loads(agent.path.read_text())["ca"] == done.ca
    assert agent.take(agent.told(begun)) == FIRST + 1  # an older backup, or a replay
    assert json.loads(agent.path.read_text())["ca"] == done.ca
    assert json.loads(agent.path.read_text())["machineUid"] == UID


def test_a_server_from_an_older_backup_goes_past_what_agents_took(agent: Agent) -> None:
    """Otherwise they would pass over its next change, and count as having taken it."""
    begun = steps.begin(agent.rotation, NOW)
    assert agent.take(agent.told(steps.finish(steps.switch(begun), NOW))) == FIRST + 1
    later = NOW + timedelta(hours=1)
    again = steps.begin(agent.rotation, later)  # the backup has no rotation
    assert agent.take(agent.told(again)) == FIRST + 3600
    assert json.loads(agent.path.read_text())["ca"] == "".join(again.trusted)


def test_another_change_of_the_same_number_is_not_said_to_be_trusted(agent: Agent) -> None:
    """As after a backup whose clock was set back."""
    assert agent.take(agent.told(steps.begin(agent.rotation, NOW))) == FIRST
    before = agent.path.read_text()
    assert agent.take(agent.told(steps.begin(agent.rotation, NOW))) is None
    assert agent.path.read_text() == before


def test_what_is_not_signed_for_this_agent_changes_nothing(agent: Agent, tmp_path: Path) -> None:
    before = agent.path.read_text()
    begun = steps.begin(agent.rotation, NOW)
    right = agent.told(begun)
    other = tmp_path / "other"
    other.mkdir()
    forged = TrustKey(other).sign(Kind.TRUST, UID, "", begun.number, begun.body)
    of_answer = agent.key.sign(Kind.ANSWER, UID, "", begun.number, begun.body)
    for told in (
        Trust(right.number, right.body, forged),
        Trust(right.number, right.body, of_answer),
        Trust(right.number, right.body, ""),
        Trust(right.number + 1, right.body, right.signature),
        Trust(right.number, right.body + " ", right.signature),
        agent.told(begun, uid="22222222-0000-4000-8000-000000000002"),
    ):
        assert agent.take(told) is None
    agent.identity = Identity("https://b", "t", UID, b"0" * 32, "")
    assert agent.take(right) is None
    assert agent.path.read_text() == before


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b'{"cas":[]}', b'{"cas":["x"]}', b'{"cas":[1]}', b"x"]
)
def test_a_signed_body_without_cas_changes_nothing(agent: Agent, body: bytes) -> None:
    before = agent.path.read_text()
    signature = agent.key.sign(Kind.TRUST, UID, "", 5, body)
    assert agent.take(Trust(5, body.decode(), signature)) is None
    assert agent.path.read_text() == before


def test_a_full_disk_leaves_the_trust_before(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    before = agent.path.read_text()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bascule.agent.trusted.write_atomically", full)
    assert agent.take(agent.told(steps.begin(agent.rotation, NOW))) is None
    assert agent.path.read_text() == before


# -- replicas, and who has moved


def test_replicas_take_a_step_from_their_database_whatever_their_disk_has(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    other = installation.join("b")
    installation.take(other)

    def put_step(made: Rotation) -> None:
        shared = SharedKeys(installation.here)
        write(installation.store, lambda tx: shared.put_rotation(tx, made, NOW))

    begun = steps.begin(first(other), NOW)
    for made in (begun, steps.switch(begun), steps.finish(steps.switch(begun), NOW)):
        put_step(made)
        installation.take(other)
        assert read_rotation((other / ROTATION).read_bytes()) == made
        assert (other / CA_CERTIFICATE).read_text() == made.ca
        assert (other / CA_KEY).read_text() == made.key
    installation.services.store.close()


@pytest.mark.parametrize("taken", ["switch", "cancel", "compromised"])
def test_a_step_that_was_taken_on_another_host_meanwhile_is_not_overwritten(
    tmp_path: Path, taken: str
) -> None:
    """Else agents would trust one CA and servers use another."""
    installation = Installation(tmp_path)
    here = _Rotating(installation.here, installation.services, is_shared=True)
    there = _Rotating(installation.join("b"), installation.services, is_shared=True)
    before = here.now()
    there.go("begin", before, may_cut=True)
    begun = there.now()
    with pytest.raises(ConfigurationError, match="on another host"):
        here.go("begin", before, may_cut=True)
    assert here.now() == begun, "one number has one content"
    there.go(taken, begun, may_cut=True)
    now = there.now()
    for step in ("switch", "cancel", "compromised"):
        with pytest.raises(ConfigurationError, match="on another host"):
            here.go(step, begun, may_cut=True)
    assert here.now() == now
    close(installation.store)


def test_who_has_moved_is_what_the_key_of_now_said() -> None:
    world = World()
    web, db = world.web, world.db

    def moved() -> dict[str, bool]:
        return {each.machine: each.has_moved for each in world.see(lambda r: progress(r, 2))}

    assert moved() == {"web-1": False, "db-1": False}
    agent = world.see(lambda reader: reader.agent_of(web.uid))
    assert agent is not None
    world.do(lambda tx, _: note_taken(tx, web.uid, agent.public_key, 1), None)
    assert moved() == {"web-1": False, "db-1": False}
    world.do(lambda tx, _: note_taken(tx, web.uid, agent.public_key, 2), None)
    world.do(lambda tx, _: note_taken(tx, db.uid, "another", 2), None)
    world.do(lambda tx, _: tx.put_trusting(db.uid, "the one before", 2), None)
    world.do(lambda tx, _: note_taken(tx, "nobody", agent.public_key, 2), None)
    assert moved() == {"web-1": True, "db-1": False}
    world.do(lambda tx, _: note_taken(tx, web.uid, agent.public_key, 3), None)
    assert moved() == {"web-1": False, "db-1": False}, "3 is of a record that was lost: not this 2"
    world.close()


def test_a_step_is_recorded_once_whoever_finds_it() -> None:
    world = World()
    step = CaRotated("begun", 1, "ab", False)

    def note(each: CaRotated) -> None:
        world.do(lambda tx, act: note_step(tx, act, each), None)

    for each in (step, step, replace(step, step="switched"), step):
        note(each)
    events = world.see(lambda r: r.events(EventFilter(kinds=("CaRotated",)), newest_first=False))
    facts = [event.fact for _, event in events]
    assert facts == [step, replace(step, step="switched"), step]
    world.close()
