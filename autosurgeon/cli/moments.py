"""Times on the command line: a day, a time in UTC, or a number of hours or days from now."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from autosurgeon.errors import UserError

FROM_NOW = re.compile(r"\+(?P<count>\d{1,5})(?P<unit>[hd])")


def moment(text: str, flag: str) -> datetime:
    """Parse a flag's time in UTC; a day is its start. UserError for anything else."""
    relative = FROM_NOW.fullmatch(text.strip())
    try:
        if relative:
            hours = int(relative["count"]) * (24 if relative["unit"] == "d" else 1)
            return datetime.now(UTC) + timedelta(hours=hours)
        named = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError) as error:
        wanted = "a day or time in UTC such as 2030-01-31T12:00, or +12h, or +3d"
        raise UserError(f"{flag} is not a time", got=repr(text), wanted=wanted) from error
    return named.astimezone(UTC) if named.tzinfo else named.replace(tzinfo=UTC)
