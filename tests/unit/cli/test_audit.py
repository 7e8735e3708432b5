"""``bascule audit``: what an auditor runs, with a server and without one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bascule.identity.record_key import RecordKey
from tests.record_export import export_lines
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_server import FakeServer

COUNT = 40


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> RecordKey:
    return RecordKey(tmp_path_factory.mktemp("key"))


@pytest.fixture
def lines(key: RecordKey) -> list[bytes]:
    return list(export_lines(key, COUNT))


@pytest.fixture
def file(tmp_path: Path, lines: list[bytes]) -> Path:
    path = tmp_path / "record.jsonl"
    path.write_bytes(b"".join(lines))
    return path


@pytest.fixture
def public(tmp_path: Path, key: RecordKey) -> Path:
    path = tmp_path / "bascule.pub"
    path.write_text(key.public_key + "\n")
    return path


class TestVerifyOffline:
    def test_intact(self, cli: Cli, server: FakeServer, file: Path, public: Path) -> None:
        done = cli("audit", "verify", str(file), "--public-key", str(public))
        assert done.code == 0, done.err
        assert "intact: 40 events, events 1 to 40" in done.out
        assert done.err == ""
        assert server.calls == [], "no server was asked"

    def test_the_key_may_be_text_or_json(self, cli: Cli, file: Path, key: RecordKey) -> None:
        assert cli("audit", "verify", str(file), "--public-key", key.public_key).code == 0
        written = file.with_name("key.json")
        written.write_text(json.dumps({"publicKey": key.public_key}))
        assert cli("audit", "verify", str(file), "--public-key", str(written)).code == 0
        bad = cli("audit", "verify", str(file), "--public-key", "nonsense")
        assert (bad.code, "is not a public key" in bad.err) == (2, True)

    def test_its_own_key_is_believed_with_a_note(self, cli: Cli, file: Path) -> None:
        done = cli("audit", "verify", str(file))
        assert done.code == 0
        assert "--public-key" in done.err

    def test_another_key_is_not(self, cli: Cli, file: Path, tmp_path: Path) -> None:
        other = RecordKey(tmp_path).public_key
        done = cli("audit", "verify", str(file), "--public-key", other, "-o", "json")
        assert done.code == 1
        assert done.json["firstBreak"]["kind"] == "forged"
        assert done.json["isKeyGiven"] is True

    @pytest.mark.parametrize(
        ("touch", "kind", "position"),
        [
            (lambda ls: ls.__setitem__(7, ls[7].replace(b"Alice", b"Alica")), "edited", 7),
            (lambda ls: ls.__delitem__(7), "removed", 7),
            (lambda ls: ls.__setitem__(slice(7, 9), [ls[8], ls[7]]), "reordered", 7),
            (lambda ls: ls.insert(7, ls[3]), "inserted", 7),
            (lambda ls: ls.__delitem__(slice(30, None)), "truncated", 30),
        ],
    )
    def test_what_was_touched_is_named(
        self,
        cli: Cli,
        lines: list[bytes],
        file: Path,
        public: Path,
        touch: Callable[[list[bytes]], None],
        kind: str,
        position: int,
    ) -> None:
        touch(lines)
        file.write_bytes(b"".join(lines))
        done = cli("audit", "verify", str(file), "--public-key", str(public))
        assert done.code == 1
        assert done.out.startswith(f"BROKEN ({kind}) at event {position}, line ")
        assert f"events 1 to {position - 1}" in done.out

    def test_an_empty_file_holds_nothing(self, cli: Cli, file: Path) -> None:
        file.write_bytes(b"")
        done = cli("audit", "verify", str(file))
        assert (done.code, "truncated" in done.out) == (1, True)

    def test_witnesses(self, cli: Cli, file: Path, public: Path, tmp_path: Path) -> None:
        """As agents print and keep what they saw."""
        right = json.loads(file.read_bytes().splitlines()[5])
        seen = {"position": right["position"], "hash": right["hash"]}
        witness = tmp_path / "w.json"
        args = (
            "audit",
            "verify",
            str(file),
            "--public-key",
            str(public),
            "--witness",
            str(witness),
        )
        for good in ({"machine": "web-1", "record": {"head": seen}}, {"head": seen}, seen):
            witness.write_text(json.dumps(good))
            assert cli(*args).code == 0
        witness.write_text(
            json.dumps({"machine": "web-1", "record": {"head": {**seen, "hash": "0" * 64}}})
        )
        done = cli(*args)
        assert (done.code, "BROKEN (rewritten)" in done.out, "web-1" in done.out) == (1, True, True)
        witness.write_text(json.dumps({**seen, "position": 41}))
        done = cli(*args)
        assert (done.code, "BROKEN (truncated)" in done.out) == (1, True)
        for nothing in ("{}", "[", '{"position": -1, "hash": "x"}'):
            witness.write_text(nothing)
            assert cli(*args).code == 2

    def test_witnesses_need_a_file(self, cli: Cli, public: Path) -> None:
        assert cli("audit", "verify", "--witness", str(public)).code == 2


class TestWithAServer:
    def test_export_writes_what_the_server_sends(
        self, cli: Cli, server: FakeServer, lines: list[bytes]
    ) -> None:
        server.export = b"".join(lines)
        done = cli("audit", "export")
        assert (done.code, done.out.encode()) == (0, server.export)

    def test_export_says_what_was_refused(self, cli: Cli, server: FakeServer) -> None:
        server.headers = {}
        cli("audit", "key")
        server.tokens.clear()
        assert cli("audit", "export").code == 0, "it signs in anew"

    def test_key(self, cli: Cli) -> None:
        assert cli("audit", "key").out == "AAAA\n"
        assert cli("audit", "key", "-o", "json").json["keyId"] == "k"

    def test_checkpoints(self, cli: Cli, server: FakeServer) -> None:
        done = cli("audit", "checkpoints", "--sign", "--limit", "1")
        assert done.code == 0
        assert len(done.out.splitlines()) == 2
        assert cli.sent("POST", "/checkpoints") == [{}]
        assert len(cli("audit", "checkpoints", "-o", "json").json) == 2

    def test_the_servers_own_word(self, cli: Cli, server: FakeServer) -> None:
        server.verification = {"isIntact": True, "events": 9, "verifiedThrough": {"position": 9}}
        assert cli("audit", "verify").out.startswith("intact: 9 events")
        server.verification = {
            "isIntact": False,
            "firstBreak": {"kind": "edited", "position": 4, "message": "changed"},
        }
        done = cli("audit", "verify")
        assert (done.code, done.out) == (1, "BROKEN (edited) at event 4: changed\n")
        assert cli("audit", "verify", "-o", "json").code == 1

    def test_prune(self, cli: Cli) -> None:
        done = cli("audit", "prune", "--before", "2029-01-01T00:00Z", "--yes")
        assert (done.code, done.out) == (0, "Deleted 7 events, up to event 9.\n")
        assert cli.sent("POST", "/prune") == [{"before": "2029-01-01T00:00:00.0000000Z"}]
        assert cli("audit", "prune", "--before", "soon", "--yes").code == 2


Verified = Callable[[list[bytes]], tuple[bool, str, int]]


@pytest.fixture
def verified(cli: Cli, public: Path, tmp_path: Path) -> Verified:
    """What the command says of an export: is it intact, and what is the first break, where?"""
    path = tmp_path / "record.jsonl"

    def verify(lines: list[bytes]) -> tuple[bool, str, int]:
        path.write_bytes(b"".join(lines))
        said = cli("audit", "verify", str(path), "--public-key", str(public), "-o", "json").json
        found = said["firstBreak"] or {"kind": "", "position": 0}
        return said["isIntact"], found["kind"], found["position"]

    return verify


@pytest.mark.slow
def test_a_hundred_thousand_events(verified: Verified, key: RecordKey) -> None:
    assert verified(list(export_lines(key, 100_000))) == (True, "", 0)


def test_whatever_was_done_to_an_export_is_named(verified: Verified, key: RecordKey) -> None:
    """One byte changed, one event gone, two swapped, the tail cut, one put in."""
    lines = list(export_lines(key, 10_000))
    at = lines.index(next(each for each in lines if b'"position":7777}' in each))
    byte = bytearray(lines[at])
    byte[len(byte) // 2] ^= 1
    assert verified([*lines[:at], bytes(byte), *lines[at + 1 :]]) == (False, "edited", 7777)
    assert verified([*lines[:at], *lines[at + 1 :]]) == (False, "removed", 7777)
    swapped = [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]
    assert verified(swapped) == (False, "reordered", 7777)
    assert verified([*lines[:at], lines[5], *lines[at:]]) == (False, "inserted", 7777)
    assert verified(lines[:at]) == (False, "truncated", 7777)
