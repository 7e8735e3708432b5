"""Where a machine is: its id and addresses alone, of the same answers as ``machines``.

``bascule ssh`` needs no more, and whoever types it waits for every module that is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bascule.client.reading import Data, inner, text, texts
from bascule.client.versions import COMPUTE_VERSION
from bascule.domain.ids import ResourceId

if TYPE_CHECKING:  # its libraries are slow to load, and only callers need them
    from bascule.client.connection import Connection


class Located(NamedTuple):
    """A machine that the caller may see."""

    id: ResourceId
    addresses: tuple[str, ...]  # as the server says them; parse before use

    @property
    def name(self) -> str:
        return self.id.name


def locate(connection: Connection, machine: ResourceId) -> Located:
    return _read(connection.get(str(machine), COMPUTE_VERSION))


def located(connection: Connection, name: str) -> list[Located]:
    """Those of that name, in whatever resource group."""
    return [_read(each) for each in named(connection, name)]


def named(connection: Connection, name: str) -> list[Data]:
    """What the server says of each machine of that name; names compare without case.

    The filter spares a large fleet's whole list; a server that passes it over sends all.
    """
    query = {"$filter": f"name eq '{name}'"}
    pages = connection.pages(inventory(connection), COMPUTE_VERSION, query)
    return [each for each in pages if _id(each).name.casefold() == name.casefold()]


def inventory(connection: Connection) -> str:
    return f"{connection.subscription}/providers/Microsoft.Compute/virtualMachines"


def _read(data: Data) -> Located:
    ours = inner(inner(data, "properties"), "bascule")
    return Located(_id(data), texts(ours, "addresses"))


def _id(data: Data) -> ResourceId:
    return ResourceId.parse_machine(text(data, "id"))
