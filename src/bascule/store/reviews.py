"""Rows of reviews of emergency access."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam, select

from bascule.domain.emergency import Review
from bascule.errors import Conflict
from bascule.store.rows import Rows, slices
from bascule.store.tables.reviews import reviews

_OF = select(reviews).where(reviews.c.request_id.in_(bindparam("ids", expanding=True)))
_INSERT = reviews.insert()


class ReviewReads(Rows):
    __slots__ = ()

    def reviews_of(self, request_ids: Sequence[str]) -> Mapping[str, Review]:
        return {
            row.request_id: Review(row.principal_id, row.name, row.at, row.note)
            for some in slices(request_ids)
            for row in self._all(_OF, {"ids": some})
        }


class ReviewWrites(ReviewReads):
    __slots__ = ()

    def add_review(self, request_id: str, review: Review) -> None:
        if self.reviews_of([request_id]):  # writers take turns
            raise Conflict("It has been reviewed already.", code="AlreadyReviewed")
        self._run(
            _INSERT,
            {
                "request_id": request_id,
                "principal_id": review.principal_id,
                "name": review.name,
                "at": review.at,
                "note": review.note,
            },
        )
