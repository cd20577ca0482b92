"""Lists in pages, newest first. The token of the next page is the id of the last row before it."""

import re
from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import Select
from sqlalchemy.orm import Session

from r2rise_service.storage.tables import Dataset, Job

Row = TypeVar("Row", Dataset, Job)
_PREFIXES: dict[type[Any], str] = {Dataset: "ds", Job: "job"}


def page_of(
    session: Session,
    statement: Select[Row],
    table: type[Row],
    size: int,
    token: str | None,
) -> tuple[Sequence[Row], str | None]:
    """Return the rows of a page, and the token of the next one where there is more.

    Args:
        session: An open transaction.
        statement: What is listed.
        table: Whose ids order the list.
        size: Rows of a page.
        token: What the page before gave; None for the first one.

    Raises:
        ValueError: When the token is none that a page gave.
    """
    if token is not None:
        if not re.fullmatch(rf"{_PREFIXES[table]}_[0-9a-f]{{32}}", token):
            raise ValueError(
                f"Expected the next_page_token of an earlier page, got {token[:80]!r}: "
                f"leave it out to start with the first page."
            )
        statement = statement.where(table.id < token)
    rows = session.scalars(statement.order_by(table.id.desc()).limit(size + 1)).all()
    shown = rows[:size]
    return shown, shown[-1].id if len(rows) > size else None
