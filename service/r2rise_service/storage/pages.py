"""Lists in pages, newest first. The token of the next page is the id of the last row before it."""

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Select
from sqlalchemy.orm import InstrumentedAttribute, Session


def page_of(
    session: Session,
    statement: Select[*tuple[Any, ...]],
    ids: InstrumentedAttribute[str],
    size: int,
    token: str | None,
) -> tuple[Sequence[Row[*tuple[Any, ...]]], str | None]:
    """Return the rows of a page, and the token of the next one where there is more.

    Args:
        session: An open transaction.
        statement: What is listed; its first column are the ids.
        ids: The column that orders the list.
        size: Rows of a page.
        token: What the page before gave; None for the first one.

    Raises:
        ValueError: When the token is none that a page gave.
    """
    if token is not None:
        prefix = {"datasets": "ds", "jobs": "job"}[str(ids.class_.__tablename__)]
        if not re.fullmatch(rf"{prefix}_[0-9a-f]{{32}}", token):
            raise ValueError(
                f"Expected the next_page_token of an earlier page, got {token[:80]!r}: "
                f"leave it out to start with the first page."
            )
        statement = statement.where(ids < token)
    rows = session.execute(statement.order_by(ids.desc()).limit(size + 1)).all()
    shown = rows[:size]
    return shown, shown[-1][0] if len(rows) > size else None
