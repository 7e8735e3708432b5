"""What happens to the installation as a whole: its set-up, its clock, its signing key."""

from __future__ import annotations

from bascule.domain.facts.fact import Fact, fact
from bascule.domain.facts.fields import Flag, Number, Text, Texts
from bascule.domain.facts.kind import Activity, Level, Outcome, Severity


@fact("Bascule.Audit/installations/write", "Create installation", Activity.CREATE)
class InstallationCreated(Fact):
    tenant_id: Text
    subscription_id: Text


@fact(
    "Bascule.Audit/administrators/recover/action",
    "Recover administrator",
    Activity.UPDATE,
    severity=Severity.HIGH,
    level=Level.WARNING,
)
class AdministratorRecovered(Fact):
    client_id: Text


@fact(
    "Bascule.Audit/installations/move/action",
    "Move record to another database",
    Activity.UPDATE,
    severity=Severity.HIGH,
    level=Level.WARNING,
)
class InstallationMoved(Fact):
    """The record was copied whole, and the database that it was in is retired."""

    database: Text  # SQLite or PostgreSQL: the kind that it moved to
    number: Number  # of the installation, from then on
    is_undone: Flag = False  # somebody went back to the place before, and to what it had


@fact(
    "Bascule.Audit/recoveryKeys/write",
    "Create recovery key",
    Activity.CREATE,
    severity=Severity.HIGH,
    level=Level.WARNING,
)
class RecoveryKeyMade(Fact):
    """From then on backups are sealed to it, and it signs what a restore says."""

    fingerprint: Text  # of its public half
    is_replacement: Flag  # agents that were told of the one before keep to that one


@fact("Bascule.Audit/backups/write", "Make backup", Activity.CREATE, severity=Severity.LOW)
class BackupMade(Fact):
    """A backup was written, and read back."""

    host: Text
    file: Text
    bytes: Number
    is_sealed: Flag  # to the recovery key; otherwise whoever has the file has all keys
    position: Number  # of the last event of the record that is in its chain


@fact(
    "Bascule.Audit/installations/restore/action",
    "Restore installation from a backup",
    Activity.UPDATE,
    severity=Severity.HIGH,
    level=Level.CRITICAL,
)
class InstallationRestored(Fact):
    """What was recorded between the backup and this is lost; nothing that worked once works again."""

    host: Text
    made_at: Text  # when the backup was made
    position: Number  # of the last event of the backup
    number: Number  # of the installation, from then on
    is_signed: Flag  # with the recovery key: agents know why the record is another one
    reason: Text
    grants: Number  # that were live in the backup, and were ended
    voided: Number  # sessions, tokens, invitations and codes


@fact(
    "Bascule.Audit/databases/accept/action",
    "Accept another state of the database",
    Activity.UPDATE,
    severity=Severity.HIGH,
    level=Level.WARNING,
)
class DatabaseAccepted(Fact):
    """Somebody on a server's host took a database as the right one that may lack what was acknowledged."""

    host: Text  # of the server that uses it from then on
    known: Text  # cluster and timeline that it had seen
    accepted: Text  # cluster and timeline that it uses


@fact(
    "Bascule.Identity/setUpLinks/write",
    "Create set-up link",
    Activity.CREATE,
    severity=Severity.MEDIUM,
    level=Level.WARNING,
)
class SetUpLinkMade(Fact):
    """A link that lets somebody create the first user of the installation."""

    ends_at: Text


@fact(
    "Bascule.Identity/setUpLinks/use/action",
    "Use set-up link",
    severity=Severity.MEDIUM,
    level=Level.WARNING,
)
class SetUpLinkUsed(Fact):
    user_id: Text  # of the user whom it created, an owner
    user: Text


@fact(
    "Bascule.Identity/setUpLinks/use/action",
    "Use set-up link",
    severity=Severity.LOW,
    outcome=Outcome.UNAUTHORIZED,
    level=Level.WARNING,
)
class SetUpRefused(Fact):
    """Somebody used a set-up link that is wrong or no longer valid."""

    reason: Text


@fact(
    "Bascule.Audit/clock/leap/action",
    "Detect a clock jump",
    severity=Severity.HIGH,
    outcome=Outcome.BAD_REQUEST,
    level=Level.CRITICAL,
)
class ClockLeapt(Fact):
    """The wall clock and the time since boot disagree; retention waits."""

    last_seen: Text  # the wall clock when they last agreed
    seconds: Number  # by which it has moved since, including time when the server was off


@fact(
    "Bascule.Audit/clock/confirm/action",
    "Confirm the clock",
    severity=Severity.MEDIUM,
    level=Level.WARNING,
)
class ClockConfirmed(Fact):
    """Somebody on the server's own host said that the clock is right."""

    at: Text


@fact(
    "Microsoft.Authorization/signingKeys/write",
    "Rotate signing key",
    Activity.UPDATE,
    severity=Severity.HIGH,
    level=Level.WARNING,
    is_call=True,
)
class SigningKeyRotated(Fact):
    previous_key_id: Text
    key_id: Text
    is_previous_void: Flag  # tokens that it signed were rejected from then on


@fact(
    "Bascule.Audit/serverCertificates/write",
    "Use another server certificate",
    Activity.UPDATE,
    severity=Severity.MEDIUM,
)
class ServerCertificateTaken(Fact):
    """A server took up the certificate that an operator had put in the place of another."""

    server: Text  # its endpoint, where there are several
    names: Texts  # of the certificate
    fingerprint: Text  # SHA-256 of its DER
    ends_at: Text


@fact(
    "Bascule.Audit/serverCertificates/write",
    "Use another server certificate",
    Activity.UPDATE,
    severity=Severity.HIGH,
    outcome=Outcome.BAD_REQUEST,
    level=Level.ERROR,
)
class ServerCertificateRefused(Fact):
    """The files of an operator's certificate cannot be used; what was served before is served on."""

    server: Text  # its endpoint, where there are several
    reason: Text


@fact(
    "Microsoft.Authorization/certificateAuthorities/write",
    "Rotate CA",
    Activity.UPDATE,
    severity=Severity.HIGH,
    level=Level.WARNING,
)
class CaRotated(Fact):
    """The installation's CA is being changed; one event for each step."""

    step: Text  # begun, switched or done
    number: Number  # of the change of trust that agents are told
    fingerprint: Text  # SHA-256 of the CA in use from then on
    is_compromised: Flag  # the CA before was not vouched for


@fact(
    "Bascule.Audit/endings/warn/action",
    "Warn of what ends soon",
    severity=Severity.MEDIUM,
    level=Level.WARNING,
)
class EndingNear(Fact):
    """A certificate or secret ends within so many days; told once for each of 60, 30, 14, 7 and 1."""

    what: Text  # what kind of thing: services/endings
    name: Text  # whose it is
    ends_at: Text
    days: Number  # it ends within
