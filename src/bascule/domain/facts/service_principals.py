"""Service principals and their credentials."""

from __future__ import annotations

from bascule.domain.facts.fact import Fact, fact
from bascule.domain.facts.fields import Number, Text
from bascule.domain.facts.kind import Activity, Level, Severity


@fact(
    "Microsoft.Authorization/servicePrincipals/write",
    "Create service principal",
    Activity.CREATE,
    severity=Severity.LOW,
    is_call=True,
)
class ServicePrincipalCreated(Fact):
    principal_id: Text
    service_principal: Text


@fact(
    "Microsoft.Authorization/servicePrincipals/write",
    "Update service principal",
    Activity.UPDATE,
    severity=Severity.LOW,
    is_call=True,
)
class ServicePrincipalChanged(Fact):
    principal_id: Text
    service_principal: Text
    previous_service_principal: Text


@fact(
    "Microsoft.Authorization/servicePrincipals/disable/action",
    "Disable service principal",
    Activity.UPDATE,
    severity=Severity.LOW,
    level=Level.WARNING,
    is_call=True,
)
class ServicePrincipalDisabled(Fact):
    principal_id: Text
    service_principal: Text
    grants_ended: Number


@fact(
    "Microsoft.Authorization/servicePrincipals/enable/action",
    "Enable service principal",
    Activity.UPDATE,
    severity=Severity.LOW,
    is_call=True,
)
class ServicePrincipalEnabled(Fact):
    principal_id: Text
    service_principal: Text


@fact(
    "Microsoft.Authorization/servicePrincipals/delete",
    "Delete service principal",
    Activity.DELETE,
    severity=Severity.LOW,
    level=Level.WARNING,
    is_call=True,
)
class ServicePrincipalDeleted(Fact):
    principal_id: Text
    service_principal: Text
    grants_ended: Number


@fact(
    "Microsoft.Authorization/servicePrincipals/credentials/write",
    "Add service principal credentials",
    Activity.CREATE,
    severity=Severity.MEDIUM,
    level=Level.WARNING,
    is_call=True,
)
class CredentialAdded(Fact):
    """Which credential and until when; never its value."""

    principal_id: Text
    service_principal: Text
    key_id: Text
    kind: Text  # secret or certificate
    display_name: Text
    expires_at: Text


@fact(
    "Microsoft.Authorization/servicePrincipals/credentials/delete",
    "Remove service principal credentials",
    Activity.DELETE,
    severity=Severity.LOW,
    level=Level.WARNING,
    is_call=True,
)
class CredentialRemoved(Fact):
    principal_id: Text
    service_principal: Text
    key_id: Text
    kind: Text
    display_name: Text
