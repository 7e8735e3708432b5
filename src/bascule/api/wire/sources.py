"""Where a port is opened from: one prefix or a list, never both (CONTRACT 1.4).

The published initiate shape has the singular field alone; the plural is taken there too.
A grant or rule is echoed in the form in which it was written.
"""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator

from bascule.api.wire.fields import Body, Prefix, refuse
from bascule.domain.net import AddressPrefix

MOST_SOURCES = 1000


class Sources(Body):
    allowed_source_address_prefix: Prefix | None = None
    allowed_source_address_prefixes: list[Prefix] | None = Field(
        default=None, max_length=MOST_SOURCES
    )

    @field_validator("allowed_source_address_prefixes", mode="after")
    @classmethod
    def _only_one_kind_of_source(
        cls, prefixes: list[AddressPrefix] | None, info: ValidationInfo
    ) -> list[AddressPrefix] | None:
        if prefixes is None:
            return None
        if info.data.get("allowed_source_address_prefix") is not None:
            raise refuse(
                "give either allowedSourceAddressPrefix or allowedSourceAddressPrefixes.",
                "MutuallyExclusiveFields",
            )
        if not prefixes:
            raise refuse("must have at least one source, or be omitted.", "SourceRequired")
        return prefixes

    @property
    def is_source_list(self) -> bool:
        return self.allowed_source_address_prefixes is not None

    @property
    def sources(self) -> tuple[AddressPrefix, ...]:
        """What was given, without repetitions; empty when nothing was."""
        if self.allowed_source_address_prefixes is not None:
            return tuple(dict.fromkeys(self.allowed_source_address_prefixes))
        if self.allowed_source_address_prefix is not None:
            return (self.allowed_source_address_prefix,)
        return ()
