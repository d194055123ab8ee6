"""Words of messages that depend on a number. It imports nothing: `--help` answers at once."""

from __future__ import annotations

__all__ = ["counted"]


def counted(count: int, one: str, many: str | None = None) -> str:
    """Return a number and what it counts, ``1 case`` or ``2 cases``; `many` where it is not `one` and an s."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"
