"""What all transforms of labels have in common: kinds of input and output, keys, and twins for dictionaries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_boundary import (
    BoundaryBand,
    BoundaryBandd,
    LesionCells,
    LesionCellsd,
    RegionSeeds,
    RegionSeedsd,
    RescaleDistanceMap,
    RescaleDistanceMapd,
    SignedDistanceMap,
    SignedDistanceMapd,
    transforms,
)
from tests.transforms.images import SPACING, on_grid

ARRAYS = {
    "map": (SignedDistanceMap(3, spacing=SPACING), ["float32"]),
    "band": (BoundaryBand(3), ["uint8"]),
    "cells": (LesionCells(3, spacing=SPACING), ["int32"]),
    "seeds": (RegionSeeds(spacing=SPACING), ["int32", "uint8"]),
}
TWINS = {
    "distance_map": (SignedDistanceMapd, SignedDistanceMap),
    "target_boundary": (BoundaryBandd, BoundaryBand),
    "lesion_cells": (LesionCellsd, LesionCells),
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor, on_grid])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_result_is_of_the_kind_of_the_input(labels, name, kind, dtype):
    transform, types = ARRAYS[name]
    given = kind(labels.astype(dtype))
    results, expected = transform(given), transform(labels)
    pairs = zip(results, expected, strict=True) if isinstance(results, tuple) else [(results, expected)]
    for (result, wanted), name_of_type in zip(pairs, types, strict=True):
        assert type(result) is type(given)
        assert str(result.dtype).endswith(name_of_type)
        np.testing.assert_array_equal(np.asarray(result), wanted)
        if isinstance(result, MetaTensor):
            torch.testing.assert_close(result.affine, given.affine)


@pytest.mark.parametrize("name", TWINS)
def test_dictionary_twin_adds_the_result_of_each_key_and_keeps_the_rest(labels, name):
    twin, single = TWINS[name]
    data = {"a": on_grid(labels), "b": on_grid(labels.clip(max=1)), "case": "x"}
    result = twin(["a", "b"], num_classes=3)(data)
    assert set(result) == {"a", "b", "case", f"a_{name}", f"b_{name}"}
    assert set(data) == {"a", "b", "case"}
    for key in "ab":
        np.testing.assert_array_equal(result[f"{key}_{name}"], single(3)(data[key]))
    assert set(twin("a", num_classes=3)(data)) == {*data, name}
    assert set(twin("a", output_keys="own", num_classes=3)(data)) == {*data, "own"}
    with pytest.raises(ValueError, match=r"output_keys must name one key per label key \(2\), got \('m', 'm'\)"):
        twin(["a", "b"], output_keys=["m", "m"], num_classes=3)


@pytest.mark.parametrize("twin", [SignedDistanceMapd, BoundaryBandd, LesionCellsd, RescaleDistanceMapd, RegionSeedsd])
def test_missing_keys_raise_unless_allowed(twin):
    assert twin("b", allow_missing_keys=True)({"a": 1}) == {"a": 1}
    with pytest.raises(KeyError, match=rf"Key `b` of transform `{twin.__name__}` was missing"):
        twin("b")({"a": 1})


@pytest.mark.parametrize("twin", [SignedDistanceMapd, BoundaryBandd, LesionCellsd, RescaleDistanceMapd, RegionSeedsd])
def test_twins_have_monais_other_names(twin):
    assert getattr(transforms, f"{twin.__name__[:-1]}D") is getattr(transforms, f"{twin.__name__[:-1]}Dict") is twin


def test_seeds_and_membrane_are_stored_under_their_keys(labels):
    data = {"gt": on_grid(labels)}
    assert set(RegionSeedsd("gt")(data)) == {"gt", "seeds", "membrane"}
    found = RegionSeedsd("gt", seeds_key="s", membrane_key="gt")(data)
    assert set(found) == {"gt", "s"}
    np.testing.assert_array_equal(found["gt"], labels == 0)
    with pytest.raises(ValueError, match="keys must name one label map"):
        RegionSeedsd(["a", "b"])
    with pytest.raises(ValueError, match="seeds_key must differ"):
        RegionSeedsd("a", seeds_key="membrane")


def test_a_rescaled_map_takes_the_place_of_the_map(labels):
    maps = SignedDistanceMap(3, preset=None)(on_grid(labels))
    maps.affine = maps.affine * 0.5
    data = RescaleDistanceMapd("m")({"m": maps, "case": "x"})
    assert set(data) == {"m", "case"}
    torch.testing.assert_close(data["m"], RescaleDistanceMap()(maps))
    torch.testing.assert_close(data["m"].as_tensor(), 2 * maps.as_tensor())
