"""MONAI-style items that are made when they are asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, overload

__all__ = ["Items"]


class Items(Sequence):
    """Base of the sets of items; a slice gives a list of them."""

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        return self._item(index)

    @abstractmethod
    def _item(self, index: int) -> dict[str, Any]:
        """Return item `index`, counted from the end where it is negative.

        Raises:
            IndexError: There is no such item; iteration ends with it.
        """
