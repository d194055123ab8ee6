"""Dictionary transforms that hand the value of each key to an array transform."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, ClassVar

from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import ensure_tuple_rep

from monai_boundary._options import check_options, keyword_names

__all__ = ["DictionaryTwin", "TwinOfSettings"]


class DictionaryTwin(MapTransform):
    """Base of the dictionary transforms with one result per key.

    Args:
        keys: Keys of the label maps.
        output_keys: One key per label key; ``None``: `name` for a single key, else ``"<key>_<name>"``.
        allow_missing_keys: Pass over absent keys.
        transform: Array transform.
        name: What the transform gives.
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_keys: KeysCollection | None,
        allow_missing_keys: bool,
        transform: Callable[[NdarrayOrTensor], NdarrayOrTensor],
        name: str,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        default = (name,) if len(self.keys) == 1 else tuple(f"{key}_{name}" for key in self.keys)
        self.output_keys = ensure_tuple_rep(output_keys, len(self.keys)) if output_keys is not None else default
        if len(set(self.output_keys)) != len(self.keys):
            raise ValueError(f"output_keys must name one key per label key ({len(self.keys)}), got {self.output_keys}")
        self.transform = transform

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        """Return `data` with what the transform gives added."""
        d = dict(data)
        for key, output_key in self.key_iterator(d, self.output_keys):
            d[output_key] = self.transform(d[key])
        return d


class TwinOfSettings(DictionaryTwin):
    """`DictionaryTwin` whose array transform is made of the settings.

    Attributes:
        array_transform: Its class.
        handed_on: Classes whose arguments it takes beside its own.
        result: What it gives.
    """

    array_transform: ClassVar[type[Transform]]
    handed_on: ClassVar[tuple[type, ...]] = ()
    result: ClassVar[str]

    def __init__(
        self,
        keys: KeysCollection,
        output_keys: KeysCollection | None = None,
        allow_missing_keys: bool = False,
        **settings: Any,
    ) -> None:
        known = keyword_names(TwinOfSettings, self.array_transform, *self.handed_on)
        check_options(type(self).__name__, settings, known)
        super().__init__(keys, output_keys, allow_missing_keys, self.array_transform(**settings), self.result)
