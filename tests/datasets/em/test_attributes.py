"""What the attributes of Zarr and N5 say of the size and place of voxels, and attributes of another form."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from monai_boundary.datasets.em import zarr_volumes
from tests.datasets.em import files
from tests.datasets.em.files import write_n5, write_ome_zarr, write_zarr

pytest.importorskip("zarr", minversion="3", reason="zarr 3 is not installed")
pytest.importorskip("z5py", reason="z5py is not installed")


def only(root: Path, **settings):
    (volume,) = zarr_volumes(root, **settings)
    return volume


@pytest.mark.parametrize(
    ("size", "voxel", "origin"),
    [
        ({"pixelResolution": [4, 5, 40]}, (40.0, 10.0, 16.0), (0.0, 2.5, 6.0)),
        ({"pixelResolution": {"unit": "um", "dimensions": [0.004, 0.005, 0.04]}}, (40.0, 10.0, 16.0), (0.0, 2.5, 6.0)),
        ({"resolution": [4, 5, 40]}, (40.0, 10.0, 16.0), (0.0, 2.5, 6.0)),
        ({"resolution": [4, 5, 40], "offset": [8, 0, 80]}, (40.0, 10.0, 16.0), (80.0, 0.0, 8.0)),
        ({"voxel_size": [4, 5, 40]}, (40.0, 5.0, 4.0), (0.0, 0.0, 0.0)),
    ],
)
@pytest.mark.parametrize("form", ["n5", "zarr"])
def test_sizes_of_the_full_resolution_are_told_from_those_of_a_level(tmp_path: Path, form, size, voxel, origin) -> None:
    """As the wiki of n5-ij has its dialects: pixelResolution (n5-viewer) and resolution (BigCat) beside factors."""
    attributes = size | {"downsamplingFactors": [4, 2, 1]}
    if form == "n5":
        path = write_n5(tmp_path / "a.n5", {"s1": files.grey()}, attributes=attributes)
    else:  # from z on, but what n5-viewer writes
        if "pixelResolution" not in size:
            attributes = {name: value[::-1] for name, value in attributes.items()}
        path = write_zarr(tmp_path / "a.zarr", {"s1": files.grey()}, {"s1": attributes})
    volume = only(path, image="s1")
    assert (volume.spacing, volume.origin) == (pytest.approx(voxel), pytest.approx(origin))


FORM = "must be a list of finite numbers"
SIZE = {"resolution": [4, 4, 40]}
SHAPES = {
    "a number": ({"resolution": 4}, rf"resolution {FORM} > 0, one per axis, got 4; mend the metadata"),
    "nothing": ({"voxel_size": []}, rf"voxel_size {FORM} > 0, one per axis, got \[\]"),
    "texts": ({"resolution": ["4", "4", "40"]}, rf"resolution {FORM} > 0, .*got \['4', '4', '40'\]"),
    "a text": ({"resolution": "4 4 40"}, rf"resolution {FORM} > 0, .*got '4 4 40'"),
    "zero": ({"resolution": [4, 4, 0]}, rf"resolution {FORM} > 0, .*got \[4, 4, 0\]"),
    "no number": ({"resolution": [4, 4, float("nan")]}, rf"resolution {FORM} > 0, .*nan"),
    "the number 0": ({"resolution": 0}, rf"resolution {FORM} > 0, .*got 0"),
    "an object": ({"pixelResolution": {"unit": "nm"}}, rf"dimensions of pixelResolution {FORM} > 0, .*got None"),
    "a factor": (SIZE | {"downsamplingFactors": 2}, rf"downsamplingFactors {FORM} > 0, .*got 2"),
    "factors": (SIZE | {"downsamplingFactors": [2, 2]}, r"downsamplingFactors .*\(3\), got \[2, 2\]"),
    "levels": (SIZE | {"downsamplingFactors": [[1, 1, 1]]}, r"downsamplingFactors .*got \[\[1, 1, 1\]\]"),
    "offset": (SIZE | {"offset": [4, 4]}, rf"offset {FORM}, one per axis \(3\), got \[4, 4\]"),
    "one offset": (SIZE | {"offset": 4}, rf"offset {FORM}, one per axis \(3\), got 4"),
    "units": (SIZE | {"units": ["nm"]}, r"units must be a text, or a list .*\(3\), got \['nm'\]"),
    "no unit": (SIZE | {"units": 9}, r"units must be a text, or a list of one per axis \(3\), got 9"),
    "scale": ({"transform": {"scale": 4}}, rf"scale of transform {FORM} > 0, .*got 4"),
    "translate": ({"transform": {"scale": [4, 4, 4], "translate": [1]}}, r"translate of transform .*\(3\), got \[1\]"),
    "units of it": ({"transform": {"scale": [4, 4, 4], "units": ["nm"]}}, r"units of transform .*\(3\), got \['nm'\]"),
}


@pytest.mark.parametrize(("attributes", "message"), SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("form", ["n5", "zarr"])
def test_attributes_of_another_form_are_named(tmp_path: Path, form: str, attributes: dict, message: str) -> None:
    path = write_zarr(tmp_path / "a.zarr", {"raw": files.grey()})
    if form == "n5":
        path = write_n5(tmp_path / "a.n5", {"raw": files.grey()}, attributes={})
    name = "attributes.json" if form == "n5" else "zarr.json"
    content = json.loads((path / "raw" / name).read_text())
    (content if form == "n5" else content["attributes"]).update(attributes)
    (path / "raw" / name).write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"{path.name}/raw: {message}"):
        only(path)


@pytest.mark.parametrize(
    ("attributes", "spacing"),
    [
        ({"resolution": [4, 5, 40], "units": "um"}, (40e3, 5e3, 4e3)),
        ({"resolution": [4, 5, 40], "units": "nm"}, (40, 5, 4)),
        ({"resolution": [4, 5, 40], "unit": "um"}, (40e3, 5e3, 4e3)),
        ({"resolution": [4, 5, 40]}, (40, 5, 4)),
        ({"transform": {"scale": [40, 5, 4], "units": "angstrom"}}, (4, 0.5, 0.4)),
    ],
)
def test_a_text_of_units_holds_for_all_axes(tmp_path: Path, attributes: dict, spacing: tuple) -> None:
    path = write_n5(tmp_path / "a.n5", {"raw": files.grey()}, attributes=attributes)
    assert only(path).spacing == pytest.approx(spacing)


def test_a_text_of_axes_names_each_by_a_letter(tmp_path: Path) -> None:
    image = files.grey(shape=(16, 17, 18))
    path = write_zarr(tmp_path / "a.zarr", {"raw": image}, {"raw": {"axes": "xyz", "resolution": [4, 5, 40]}})
    assert only(path).spacing == (40.0, 5.0, 4.0)
    np.testing.assert_array_equal(only(path).image.read(), image.transpose())
    path = write_n5(tmp_path / "a.n5", {"raw": image}, attributes={"axes": "xyz", "resolution": [4, 5, 40]})
    assert only(path).spacing == (40.0, 5.0, 4.0)
    np.testing.assert_array_equal(only(path).image.read(), image)


def step(kind: str, value: object) -> dict:
    return {"coordinateTransformations": [{"type": kind, kind: value}]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"coordinateTransformations": 3},
            r"a\.zarr: multiscales must be as OME-Zarr has them, got .*; mend the metadata",
        ),
        ({"coordinateTransformations": ["scale"]}, r"a\.zarr: multiscales must be as OME-Zarr has them"),
        ({"axes": 3}, r"a\.zarr: multiscales must be as OME-Zarr has them"),
        (step("scale", ["1", "1", "1"]), rf"a\.zarr/0: scale {FORM}.*\['1', '1'"),
        (step("scale", [1, 1]), rf"a\.zarr/0: scale {FORM}.*\(3\), got \[1, 1\]"),
        (step("translation", 1), rf"a\.zarr/0: translation {FORM}"),
    ],
)
def test_ome_zarr_of_another_form_is_named(tmp_path: Path, change: dict, message: str) -> None:
    path = write_ome_zarr(tmp_path / "a.zarr", files.grey())
    attributes = json.loads((path / ".zattrs").read_text())
    attributes["multiscales"][0].update(change)
    (path / ".zattrs").write_text(json.dumps(attributes))
    with pytest.raises(ValueError, match=message):
        only(path)


@pytest.mark.parametrize("found", [3, "0", {"datasets": []}, [3], [{"datasets": 3}], [{"datasets": ["0"]}], None])
def test_what_is_no_list_of_pyramids_says_nothing(tmp_path: Path, found: object) -> None:
    path = write_ome_zarr(tmp_path / "a.zarr", files.grey())
    (path / ".zattrs").write_text(json.dumps({"multiscales": found}))
    with pytest.raises(ValueError, match=r"a\.zarr, 0, must say how large its voxels are, got no scale"):
        only(path)
    assert only(path, spacing=(40, 4, 4)).spacing == (40.0, 4.0, 4.0)
