"""Rows of the installation's sealed keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import select

from bascule.interfaces.keys import SealedKey
from bascule.store.rows import Rows
from bascule.store.tables.keys import sealed_keys as table


class KeyReads(Rows):
    __slots__ = ()

    def sealed_keys(self) -> Sequence[SealedKey]:
        rows = self._all(select(table).order_by(table.c.name))
        return [SealedKey(row.name, row.number, row.sealed, row.made_at) for row in rows]

    def key_numbers(self) -> Mapping[str, int]:
        return {row.name: row.number for row in self._all(select(table.c.name, table.c.number))}


class KeyWrites(KeyReads):
    __slots__ = ()

    def put_sealed_key(self, key: SealedKey) -> None:
        content = {"number": key.number, "sealed": key.sealed, "made_at": key.made_at}
        self._put(table, {"name": key.name}, content)
