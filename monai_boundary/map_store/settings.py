"""What a set of stored maps has in common, and how two such descriptions differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from monai_boundary._check import check_choice, check_labels
from monai_boundary.kernels.distance import Backend, DistanceMapOptions, labels_distance_map, masks_distance_map

__all__ = ["MapSettings"]

_LARGEST = float(np.finfo(np.float16).max)
_OPTIONS = tuple(field.name for field in dataclasses.fields(DistanceMapOptions))


@dataclass(frozen=True)
class MapSettings:
    """Settings of the maps of a data set.

    Args:
        num_classes: Classes including the background; with regions, labels including the background.
        options: Settings of the maps.
        include_background: Whether class 0 has a channel; never with regions.
        ignore_index: Label that is not counted.
        regions: Labels that make up each channel; ``None``: every class is a channel.
        dtype: ``"float16"``, which needs a clip or a normalisation, or ``"float32"``.

    Raises:
        ValueError: The maps may not fit into float16.

    Example:
        >>> MapSettings(3, DistanceMapOptions(clip=20.0)).channels
        2
    """

    num_classes: int
    options: DistanceMapOptions
    include_background: bool = False
    ignore_index: int | None = None
    regions: tuple[tuple[int, ...], ...] | None = None
    dtype: Literal["float16", "float32"] = "float16"

    def __post_init__(self) -> None:
        check_choice("dtype", self.dtype, ("float16", "float32"))
        options = self.options
        largest = (options.clip or 0.0) if options.normalize is None else 1.0
        largest *= options.balance_cap if options.balance > 0 else 1.0
        if self.dtype == "float16" and not (options.bounded and largest < _LARGEST):
            raise ValueError(
                f"dtype float16 needs maps below {_LARGEST:g}, got clip={options.clip} and "
                f"normalize={options.normalize!r}; give a clip in mm such as 20, or store float32"
            )

    @property
    def channels(self) -> int:
        """Number of channels of a map."""
        return len(self.regions) if self.regions else self.num_classes - (not self.include_background)

    def maps(self, labels: np.ndarray, spacing: tuple[float, ...], backend: Backend = "auto") -> np.ndarray:
        """Return the maps `(C, *S)` of `labels` `(1, *S)` in C order, as `dtype`; `backend` makes no other map.

        Raises:
            ValueError: Labels out of range.
        """
        if self.regions is None:
            settings = (self.num_classes, spacing, self.options, self.include_background, self.ignore_index)
            maps = labels_distance_map(labels, *settings, backend)
        else:
            array = check_labels(labels[0], self.num_classes, self.ignore_index)
            masks = np.stack([np.isin(array, region) for region in self.regions])
            valid = None if self.ignore_index is None else array != self.ignore_index
            maps = masks_distance_map(masks, spacing, self.options, valid, backend)
        return maps.astype(self.dtype, order="C")

    def content(self) -> dict[str, Any]:
        """Return the settings as one flat dictionary for JSON."""
        flat = dataclasses.asdict(self)
        options = flat.pop("options")
        regions = None if self.regions is None else [list(region) for region in self.regions]
        return {**flat, "regions": regions, **options}

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> MapSettings:
        """Return the settings that `content` describes.

        Raises:
            KeyError, TypeError, ValueError: It describes none.
        """
        values = dict(content)
        options = DistanceMapOptions(**{name: values.pop(name) for name in _OPTIONS})
        regions = values.pop("regions")
        return cls(
            **values,
            options=options,
            regions=None if regions is None else tuple(tuple(int(label) for label in region) for region in regions),
        )

    def differences(self, **wanted: Any) -> list[str]:
        """Say where the settings, or options of the maps, given by name are not these.

        Raises:
            TypeError: There is no such setting.

        Example:
            >>> MapSettings(2, DistanceMapOptions(clip=20.0)).differences(clip=10.0, convention="half")
            ['clip=20.0, not 10.0']
        """
        content = self.content()
        unknown = sorted(set(wanted) - set(content))
        if unknown:
            raise TypeError(f"settings must be of {', '.join(content)}, got {', '.join(unknown)}")
        return [f"{name}={content[name]!r}, not {value!r}" for name, value in wanted.items() if content[name] != value]
