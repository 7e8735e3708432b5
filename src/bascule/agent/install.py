"""The agent as a systemd service: the unit's text, writing it, taking it away again.

Sources: systemd.unit(5), systemd.service(5), systemd.exec(5), systemd.special(7)
(network-pre.target). The unit starts before the network and after whatever its driver names,
which would undo our rules (EDGES A6); the fd store keeps what owns them (A5), also while the
service is stopped: FileDescriptorStorePreserve=, systemd 254 and later.
"""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bascule.agent.warn_units import (
    VARIABLE,
    WARN_PATH,
    WARN_SERVICE,
    WARN_SOCKET,
    warn_units,
)
from bascule.client.host_agent import DEFAULT_STATE
from bascule.errors import ConfigurationError, EnforcementFailed
from bascule.interfaces.driver import HostParts, Keeper, UnitNeeds

UNIT_NAME = "bascule-agent.service"
PACKAGED = Path("/usr/lib/bascule")  # where packages put the program, started by PROGRAM
PROGRAM = "/usr/bin/bascule"
PACKAGED_UNIT = Path("/usr/lib/systemd/system") / UNIT_NAME
RULE_FILE = Path("/etc/bascule/closed.rules")  # what ``standing`` writes
KEEP_MARK = Path("/run/bascule-keep")  # while it is there, the rule file is not deleted
SYSTEMCTL = "/usr/bin/systemctl"
SYSTEMD_RUN = "/usr/bin/systemd-run"
PROBE_SECONDS = 60.0
_TOLD_STATE = re.compile(r" --state (.+?) ; ignore_errors=")  # as systemctl shows a command
EXIT_EXEC = 203  # systemd.exec(5): execve(2) failed

_UNIT = """\
[Unit]
Description=Bascule agent: keeps management ports closed, opens them on request
{documentation}DefaultDependencies=no
After={after}
Before=network-pre.target shutdown.target
Wants=network-pre.target {warn_socket}
Conflicts=shutdown.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
Environment={warn_variable}={warn_path}
{before}ExecStart={command}
ExecStartPost=+-/bin/sh -c "test -e {mark} || rm -f {rule_file}"
Restart=on-failure
RestartSec=1
WatchdogSec=180
WatchdogSignal=SIGKILL
{store}{storage}
RuntimeDirectory=bascule
RuntimeDirectoryMode=0700
CapabilityBoundingSet={capabilities}
AmbientCapabilities={capabilities}
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
ProtectClock=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
PrivateTmp=yes
PrivateDevices=yes
MemoryMax=512M
MemorySwapMax=0
RestrictAddressFamilies={families}
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
UMask=0077

[Install]
WantedBy=sysinit.target
"""
# For an agent that knows nothing of it: rules that it finds in place it keeps.
_BEFORE = (
    'ExecStartPre=+-/bin/sh -c "test ! -e {file} || {has_rules} >/dev/null 2>&1 || {load} {file} '
    '|| touch {mark}"\n'
)
_STORE = "FileDescriptorStoreMax={}\nFileDescriptorStorePreserve=yes\n"
_FAMILIES = ("AF_UNIX", "AF_INET", "AF_INET6")

# The lines of it that decide which files a service sees and may run.
_VIEW = tuple(
    line
    for line in _UNIT.splitlines()
    if line.startswith(("Protect", "Private", "NoNewPrivileges=", "SystemCallArchitectures="))
)


def program() -> tuple[str, ...]:
    """The words that start this very installation of Bascule."""
    if Path(__file__).is_relative_to(PACKAGED):
        return (PROGRAM,)
    return sys.executable, "-m", "bascule.bootstrap"


def unit_text(program: Sequence[str], state: Path, needs: UnitNeeds) -> str:
    """The unit that runs ``program``, with what its driver needs.

    The rule file of ``standing`` is loaded first where no rules are; where that fails, it stays. It
    goes when the rules are in place, by root: the service cannot write there.
    """
    where = _quote(str(state.absolute()))
    command = f"{' '.join(map(_quote, program))} agent run --state {where}"
    stored = needs.stored_descriptors
    return _UNIT.format(
        command=command,
        warn_socket=WARN_SOCKET,
        warn_variable=VARIABLE,
        warn_path=WARN_PATH,
        before=_before(needs),
        mark=KEEP_MARK,
        rule_file=RULE_FILE,
        documentation=f"Documentation={needs.documentation}\n" if needs.documentation else "",
        after=" ".join(("local-fs.target", *needs.after)),
        store=_STORE.format(stored) if stored else "",
        storage=_storage(state.absolute()),
        capabilities=" ".join(needs.capabilities),
        families=" ".join((*_FAMILIES, *needs.address_families)),
    )


def _before(needs: UnitNeeds) -> str:
    if not needs.load:
        return ""
    load, has_rules = " ".join(needs.load), " ".join(needs.has_rules)
    return _BEFORE.format(file=RULE_FILE, has_rules=has_rules, load=load, mark=KEEP_MARK)


def _storage(state: Path) -> str:
    """The lines that let the service write its state, in spite of ProtectSystem=strict."""
    if state == DEFAULT_STATE:
        return f"StateDirectory={DEFAULT_STATE.name}\nStateDirectoryMode=0700"
    return f"ReadWritePaths={_quote(str(state))}"


def _quote(word: str) -> str:
    """One word of a line with several (systemd.syntax(7), "Quoting"; systemd.service(5))."""
    if not word.isprintable() or any(character in word for character in '"\\%$'):
        raise ConfigurationError(f"The path {word!r} cannot be used in a unit file.")
    return f'"{word}"' if " " in word or "'" in word else word


def check_program(
    program: Sequence[str],
    view: Sequence[str] = _VIEW,
    words: Sequence[str] = ("agent", "--help"),
) -> None:
    """Have a service with the unit's view of the files run this very program; raise otherwise.

    Before anything is changed: a service has its own /tmp, and root's shell may see what no
    service does (a mount of its own, noexec elsewhere, SELinux).
    """
    if not is_systemd_running() or not is_network_of_systemd():
        return
    properties = [f"--property={each}" for each in view]
    command = [SYSTEMD_RUN, "--quiet", "--wait", "--pipe", "--collect", *properties]
    try:
        done = subprocess.run(  # noqa: S603  # reason: fixed words and our own path, no shell
            [*command, *program, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PROBE_SECONDS,
        )
    except FileNotFoundError:  # a systemd without it
        return
    except subprocess.TimeoutExpired:
        raise _no_program(program[0], "it did not end in time") from None
    if done.returncode:
        why = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise _no_program(
            program[0],
            "no such file, or not executable there" if done.returncode == EXIT_EXEC else why,
        )


def _no_program(name: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"A service cannot run {name}: {why.rstrip('.')}. No service was installed, and no token "
        f"was used.",
        advice="Install Bascule where services can run it, for example in /opt. Services have "
        "their own /tmp and /var/tmp, and cannot run programs on a mount with noexec.",
    )


def further_units(program: Sequence[str]) -> dict[str, str]:
    """The units beside the agent's, by name; the agent's wants what of them is to run."""
    return warn_units(" ".join(map(_quote, program)))


def install_unit(folder: Path, text: str) -> str:
    """Write the unit files, unless the package brought the same; returns what was done."""
    for name, further in further_units(program()).items():
        _write_unit(folder, name, further)
    if _write_unit(folder, UNIT_NAME, text):
        return f"Wrote {folder / UNIT_NAME}"
    return f"The service is the package's: {PACKAGED_UNIT}"


def _write_unit(folder: Path, name: str, text: str) -> bool:
    """False: the package's is the same, and ours is gone, which would hide it."""
    path, packaged = folder / name, PACKAGED_UNIT.with_name(name)
    try:
        if packaged.exists() and packaged.read_text() == text:
            path.unlink(missing_ok=True)
            return False
        path.write_text(text)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}.", advice="Run this as root."
        ) from error
    return True


def is_systemd_running() -> bool:
    """sd_booted(3)."""
    return Path("/run/systemd/system").is_dir()


def is_network_of_systemd() -> bool:
    """Is the service's table the one that we see, or are we in a network of our own (a lab's)?"""
    try:
        return Path("/proc/self/ns/net").samefile("/proc/1/ns/net")
    except OSError:  # not ours to look at
        return False


def systemctl(*arguments: str) -> None:
    """Run systemctl; raise ConfigurationError with its words when it fails."""
    done = subprocess.run(  # noqa: S603  # reason: fixed words, no shell
        [SYSTEMCTL, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ConfigurationError(
            f"systemctl {' '.join(arguments)} failed: {done.stderr.strip() or done.returncode}."
        )


def is_unit_running() -> bool:
    """Does it run, or is it about to (systemctl(1), is-active)?"""
    return _asked("is-active") in {"active", "activating", "reloading", "refreshing"}


def _asked(*words: str) -> str:
    """What systemctl says of our unit, whatever its exit code."""
    done = subprocess.run(  # noqa: S603  # reason: fixed words, no shell
        [SYSTEMCTL, *words, UNIT_NAME], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def service_state() -> Path | None:
    """The state that our service is told to use; None where there is none, or it cannot be told."""
    if not is_systemd_running() or not is_network_of_systemd():
        return None
    found = _TOLD_STATE.search(_asked("show", "-P", "ExecStart"))
    return Path(found[1].strip("\"'")) if found else None


def forget_stored() -> None:
    """Have systemd let go of the socket that it keeps of our stopped service.

    For whoever takes the table over in its stead. Nothing when the service runs, or when
    systemd keeps none.
    """
    if is_systemd_running() and is_network_of_systemd():
        _asked("reset-failed")  # a failed unit cannot be cleaned
        _asked("clean", "--what=fdstore")


def stop_unit() -> bool:
    """Stop our service for good, be it between two of its starts; False when it does not run."""
    is_ours = is_systemd_running() and is_network_of_systemd() and is_unit_running()
    if is_ours:
        systemctl("stop", UNIT_NAME)
    return is_ours


@contextlib.contextmanager
def stopped_unit(say: Callable[[str], None]) -> Iterator[bool]:
    """Have our service stopped inside when it runs; however that ends, it is started again.

    Gives whether the table has no owner meanwhile: an older systemd empties the store with
    the stop, as does any when the unit that runs is of before it was told to preserve it.
    A hang-up (the ssh session's end) or SIGTERM does not leave the host without its agent.
    """
    if not is_systemd_running() or not is_unit_running():
        yield False
        return
    hang_up = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    term = signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C
    try:
        try:
            systemctl("stop", UNIT_NAME)
            say(f"Stopped {UNIT_NAME} for the installation. Closed ports stay closed.")
            yield _asked("show", "-P", "NFileDescriptorStore") in {"", "0"}
        except BaseException:
            try:
                systemctl("start", UNIT_NAME)
            except ConfigurationError as error:
                say(error.message)
            raise
        systemctl("start", UNIT_NAME)
    finally:
        signal.signal(signal.SIGHUP, hang_up)
        signal.signal(signal.SIGTERM, term)


@contextlib.contextmanager
def owned_meanwhile(parts: HostParts, keeper: Keeper, say: Callable[[str], None]) -> Iterator[None]:
    """Own the rules inside, in place of the stopped service; then the service finds them free."""
    try:
        driver = parts.firewall().open()
        driver.own(keeper)
    except (ConfigurationError, EnforcementFailed) as error:
        say(
            "Until the service runs again, the rules have no owner, and other programs can flush "
            f"them, which opens the ports: {error.message}"
        )
        yield
        return
    try:
        yield
    finally:
        driver.close()


def remove_unit(folder: Path) -> list[str]:
    """Stop and disable the unit, and delete what we wrote of it; returns a sentence for each thing done."""
    ours = (UNIT_NAME, WARN_SOCKET, WARN_SERVICE)
    written = [folder / name for name in ours if (folder / name).exists()]
    if not written and not PACKAGED_UNIT.exists():
        return []
    said = []
    if is_systemd_running():
        if folder / UNIT_NAME in written or PACKAGED_UNIT.exists():
            systemctl("disable", "--now", UNIT_NAME)
            forget_stored()
            said.append(f"stopped and disabled {UNIT_NAME}")
        with contextlib.suppress(ConfigurationError):  # an older installation has none
            systemctl("stop", WARN_SOCKET, WARN_SERVICE)
    for path in written:
        path.unlink()
        said.append(f"deleted {path}")
    if is_systemd_running():
        systemctl("daemon-reload")
    return said
