"""docs/operations.md: the server's unit is one, and what it says to keep is what a server makes."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from bascule.bootstrap.serve import serve
from bascule.bootstrap.server_unit import OPTIONS, unit_text
from tools.command_page import options

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def unit() -> str:
    return unit_text(("/usr/bin/bascule",))


def test_the_units_command_is_one_of_the_servers() -> None:
    """A reader copies it at night; an option that is gone would be found then."""
    (line,) = re.findall(r"^ExecStart=(.*)$", unit(), re.MULTILINE)
    (example,) = re.findall(r'^#BASCULE_SERVE="(.*)"$', OPTIONS, re.MULTILINE)
    program, command, *rest = [*shlex.split(line), *shlex.split(example)]
    assert (Path(program).name, command) == ("bascule", "serve")
    known = {name for option in options(serve) for name in option.opts}
    assert {word for word in rest if word.startswith("--")} <= known
    assert "Type=notify\n" in unit()
    assert example in PAGE, "the page has the same example"


def test_systemd_has_nothing_to_say_of_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze (Debian package systemd)")
    file = tmp_path / "bascule-server.service"
    program = re.sub(r"(?<=^ExecStart=)\S+", "/bin/true", unit(), flags=re.MULTILINE)
    file.write_text(program)  # its program is not installed here
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line for line in done.stderr.splitlines() if file.name in line] == [], done.stderr


def test_every_file_of_a_server_is_on_the_list() -> None:
    """ARCHITECTURE.md lists what stands on disk, by the names that the code gives."""
    from bascule.agent import enrolment, local_openings, memory, witness
    from bascule.bootstrap import data_directory, set_up_file
    from bascule.identity import record_key, sealing, signing_keys, tls, trust_key

    house = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    table = house.partition("## Where things are on disk\n")[2].partition("\n## ")[0]
    names = [data_directory.DATABASE, data_directory.ADMIN_FILE, set_up_file.SET_UP_FILE]
    names += [tls.CA_KEY, tls.CA_CERTIFICATE, tls.SERVER]
    names += [record_key.RECORD_KEY, sealing.SEALING_KEY, trust_key.TRUST_KEY]
    names += [signing_keys.SIGNING_KEY, signing_keys.RETIRED_KEYS]
    states = [enrolment.IDENTITY_FILE, enrolment.DRAFT_FILE, local_openings.FILE, witness.FILE]
    states += [memory.NEWEST]
    missing = [name for name in names if f"`DATA/{name}`" not in table]
    missing += [name for name in states if f"`STATE/{name}`" not in table]
    assert missing == []
