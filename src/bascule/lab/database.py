"""The lab's own cluster of PostgreSQL: made when it is not there, then run.

Run in the host ``database`` as ``python -m bascule.lab.database PROGRAMS TLS PASSWORD NAMES ADDRESS...``:
the folder of PostgreSQL's programs, that of the cluster's CA, the file of the password (made when it is not
there), the host's own names with commas between them, and the addresses from which servers connect. The
cluster is in FOLDER, the lab's own, which its account may enter there; postgres refuses to run as root. The
servers verify its certificate, by a CA of its own, and give a password. Source: initdb(1), postgres(1), pg_hba.conf.
What is not here: where Debian's programs are (``packages``).
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from bascule.clocks import SystemClock
from bascule.identity.tls import SERVER, CertificateKeeper
from bascule.lab.host import DATABASE_FOLDER as FOLDER
from bascule.lab.host import DATABASE_IPC
from bascule.lab.namespaces import CLONE_NEWIPC, die_with_parent, enter
from bascule.lab.units import DATABASE_NAME

PASSWORD_BYTES = 24
_ACCOUNTS = ("postgres", "nobody")
_SETTINGS = f"""
listen_addresses = '*'
unix_socket_directories = '{FOLDER}'
max_connections = 200
ssl = on
ssl_cert_file = '{FOLDER}/{SERVER}'
ssl_key_file = '{FOLDER}/{SERVER}'
log_line_prefix = '%m [%p] '
"""


def account() -> pwd.struct_passwd | None:
    """Whom the cluster runs as; None: the caller."""
    if os.geteuid() != 0:
        return None
    known = {each.pw_name: each for each in pwd.getpwall()}
    return next(known[name] for name in _ACCOUNTS if name in known)


def write_password(file: Path) -> None:
    """Of the role; the servers read it."""
    if not file.exists():
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as opened:
            opened.write(secrets.token_urlsafe(PASSWORD_BYTES) + "\n")


def admitted(addresses: list[str]) -> str:
    """pg_hba.conf. The socket is in a folder that only its account and root may enter."""
    lines = ["local all all trust"]
    lines += [
        f"hostssl {DATABASE_NAME} {DATABASE_NAME} {each}/{128 if ':' in each else 32} scram-sha-256"
        for each in addresses
    ]
    return "\n".join(lines) + "\n"


class Cluster:
    def __init__(self, programs: Path, addresses: list[str]) -> None:
        self._programs, self._addresses = programs, addresses
        self._account = account()
        self._data = FOLDER / "data"
        if self._account is not None:
            os.chown(FOLDER, self._account.pw_uid, self._account.pw_gid)

    def _run(self, program: str, *arguments: str, text: str = "") -> None:
        who = self._account
        subprocess.run(  # noqa: S603  # reason: a list, no shell
            [str(self._programs / program), *arguments],
            input=text,
            text=True,
            check=True,
            cwd=FOLDER,
            user=None if who is None else who.pw_uid,
            group=None if who is None else who.pw_gid,
            extra_groups=None if who is None else [],
        )

    def make(self, password: str) -> None:
        """Whole or not at all: it has its name when it is complete."""
        if self._data.exists():
            return
        draft = FOLDER / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        self._run(
            "initdb", "-D", str(draft), "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-N",
            "--auth-local=trust", "--auth-host=reject",
        )  # fmt: skip
        quoted = password.replace("'", "''")
        self._run(
            "postgres", "--single", "-D", str(draft), "postgres",
            text=f"CREATE ROLE {DATABASE_NAME} LOGIN PASSWORD '{quoted}'\n"
            f"CREATE DATABASE {DATABASE_NAME} OWNER {DATABASE_NAME} ENCODING 'UTF8' TEMPLATE template0\n",
        )  # fmt: skip
        with (draft / "postgresql.conf").open("a") as file:
            file.write(_SETTINGS)
        (draft / "pg_hba.conf").write_text(admitted(self._addresses))
        draft.rename(self._data)

    def certify(self, names: tuple[str, ...], folder: Path) -> None:
        """The CA stays with the lab; the cluster gets its own key alone."""
        keeper = CertificateKeeper(folder, names)
        keeper.ensure(SystemClock().now())
        own = FOLDER / SERVER
        own.touch(mode=0o600)
        own.write_bytes((folder / SERVER).read_bytes())
        if self._account is not None:
            os.chown(own, self._account.pw_uid, self._account.pw_gid)

    def become(self) -> None:
        """Run it in this process, which ends with the lab."""
        if self._account is not None:
            os.setgroups([])
            os.setgid(self._account.pw_gid)
            os.setuid(self._account.pw_uid)
            die_with_parent(signal.SIGKILL)  # a change of account takes it back
        os.chdir(FOLDER)
        os.execv(self._programs / "postgres", ["postgres", "-D", str(self._data)])  # noqa: S606  # reason: no shell wanted


def main(arguments: list[str]) -> int:
    programs, tls, password_file, names, *addresses = arguments
    handle = os.open(DATABASE_IPC, os.O_RDONLY | os.O_CLOEXEC)
    enter(handle, CLONE_NEWIPC)
    os.close(handle)
    write_password(Path(password_file))
    cluster = Cluster(Path(programs), addresses)
    cluster.make(Path(password_file).read_text().strip())
    cluster.certify(tuple(names.split(",")), Path(tls))
    cluster.become()
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
