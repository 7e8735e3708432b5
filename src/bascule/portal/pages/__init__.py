"""One module a page, each with its ``router``; in the order in which paths are matched."""

from __future__ import annotations

from types import ModuleType

from bascule.portal.pages import (
    access_assignments,
    access_groups,
    access_programs,
    access_providers,
    access_roles,
    access_users,
    account,
    account_ways,
    activity,
    exposure,
    jit,
    jit_configure,
    jit_remove,
    machine_activity,
    machine_configuration,
    machine_connect,
    machine_overview,
    machines,
    open_now,
    overview,
    points,
    request_access,
    request_page,
    welcome,
)

MODULES: tuple[ModuleType, ...] = (
    overview,
    account,
    account_ways,
    access_assignments,
    access_groups,
    access_programs,
    access_providers,
    access_roles,
    access_users,
    activity,
    exposure,
    jit,
    jit_configure,
    jit_remove,
    request_access,
    request_page,
    open_now,
    welcome,
    machines,
    points,
    machine_activity,
    machine_configuration,
    machine_connect,
    machine_overview,
)
