"""Containers of OME-Zarr, Zarr and N5, written by zarr and z5py: what is read of them, and what is refused."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from monai_boundary.datasets.em import EmSlices, EmVolumes, Stored, zarr_volumes
from tests.datasets.em import files
from tests.datasets.em.files import write_n5, write_ome_zarr, write_zarr

zarr = pytest.importorskip("zarr", minversion="3", reason="zarr 3 is not installed")
z5py = pytest.importorskip("z5py", reason="z5py is not installed")

SPACING = (40.0, 4.0, 4.0)
WINDOW = (slice(1, 4), slice(3, 21), slice(17, 32))


def only(root: Path, **settings):
    (volume,) = zarr_volumes(root, **settings)
    return volume


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(("axes", "units"), [("zyx", "nanometer"), ("tczyx", "micrometer"), ("xyz", "angstrom")])
def test_ome_zarr_is_read_with_its_axes_and_voxels(tmp_path: Path, version: str, axes: str, units: str) -> None:
    image, ids = files.grey(), files.blocks().astype(np.uint64) + 2**40
    path = write_ome_zarr(tmp_path / "cells.ome.zarr", image, ids, version=version, axes=axes, unit=units)
    volume = only(path)
    assert (volume.name, volume.split, volume.offset) == ("cells", "training", (0, 0, 0))
    assert volume.spacing == pytest.approx(SPACING)
    assert volume.origin == pytest.approx((400.0, 40.0, 80.0))
    np.testing.assert_array_equal(volume.image.read(), image)
    np.testing.assert_array_equal(volume.labels.read(), ids)
    np.testing.assert_array_equal(volume.image.window(WINDOW), image[WINDOW])
    assert volume.image.read(2, 4).dtype == np.uint8
    item = EmVolumes([volume])[0]
    assert item["image"].shape == (1, *files.SHAPE)


@pytest.mark.parametrize("compression", ["gzip", "raw", "blosc", "zstd", "lz4"])
def test_n5_is_read_with_its_voxels(tmp_path: Path, compression: str) -> None:
    image, ids = files.grey(), files.blocks().astype(np.uint64)
    path = write_n5(tmp_path / "cells.n5", {"volumes/raw": image, "volumes/labels/neuron_ids": ids}, compression)
    volume = only(path)
    assert (volume.spacing, volume.name, volume.image.shape) == (SPACING, "cells", files.SHAPE)
    np.testing.assert_array_equal(volume.image.read(), image)
    np.testing.assert_array_equal(volume.labels.window(WINDOW), ids[WINDOW])


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("attributes", [
    {"resolution": SPACING, "offset": (80.0, 0.0, 8.0)},
    {"voxel_size": (40, 4, 4), "offset": (80, 0, 8), "units": ["nm", "nm", "nm"]},
    {"transform": {"axes": ["z", "y", "x"], "units": ["nm"] * 3, "scale": SPACING, "translate": (80.0, 0.0, 8.0)}},
    {"pixelResolution": {"dimensions": [0.004, 0.004, 0.04], "unit": "um"}},
])  # fmt: skip
def test_plain_zarr_is_read_with_what_em_tools_write(tmp_path: Path, zarr_format: int, attributes: dict) -> None:
    path = write_zarr(tmp_path / "a.zarr", {"raw": files.grey()}, {"raw": attributes}, zarr_format=zarr_format)
    volume = only(path)
    assert volume.spacing == pytest.approx(SPACING)
    assert volume.origin == ((0, 0, 0) if "pixelResolution" in attributes else (80.0, 0.0, 8.0))
    assert (volume.split, volume.labels) == ("test", None)


def test_n5_tells_sizes_from_x_on_and_transforms_from_z_on(tmp_path: Path) -> None:
    for name, attributes in (
        ("resolution", {"resolution": [4, 5, 40], "offset": [8, 0, 80]}),
        ("transform", {"transform": {"axes": ["z", "y", "x"], "units": ["nm"] * 3, "scale": [40, 5, 4],
                                     "translate": [80, 0, 8]}}),
    ):  # fmt: skip
        path = write_n5(tmp_path / f"{name}.n5", {"s0": files.grey()}, "gzip", attributes)
        assert (only(path).spacing, only(path).origin) == ((40.0, 5.0, 4.0), (80.0, 0.0, 8.0))


@pytest.mark.parametrize("key", ["c0/s0", "a/b/c/s0", "s0"])
def test_groups_of_n5_may_have_attributes(tmp_path: Path, key: str) -> None:
    """The layout of n5-viewer."""
    pixel = {"pixelResolution": {"unit": "nm", "dimensions": [4.0, 4.0, 40.0]}}
    path = write_n5(tmp_path / "a.n5", {key: files.grey()}, attributes=pixel)
    for group in (path / key).parents:
        if group != path and path in group.parents:
            (group / "attributes.json").write_text(json.dumps(pixel))
    np.testing.assert_array_equal(only(path, image=key).image.read(), files.grey())
    np.testing.assert_array_equal(Stored(path / key, "").read(), files.grey())
    (path / "attributes.json").unlink()
    with pytest.raises(
        ValueError, match=r"a\.n5, .*s0, must be an array .* got: no attributes.json above .* version, 'n5'"
    ):
        Stored(path, key).read()


@pytest.mark.parametrize("key", ["s2", "c0/s0"])
def test_a_level_of_n5_has_the_voxels_that_its_factors_make(tmp_path: Path, key: str) -> None:
    pixel = {"pixelResolution": {"unit": "nm", "dimensions": [4.0, 5.0, 40.0]}, "downsamplingFactors": [4, 2, 1]}
    path = write_n5(tmp_path / "a.n5", {key: files.grey()}, attributes=pixel)
    volume = only(path, image=key)
    assert volume.spacing == (40.0, 10.0, 16.0)
    assert volume.origin == (0.0, 2.5, 6.0)  # the mean of the voxels that became one: (factor - 1) / 2 of them further


def test_labels_of_a_part_lie_where_their_place_says(tmp_path: Path) -> None:
    image, ids = files.grey(), files.blocks()
    path = write_ome_zarr(tmp_path / "a.zarr", image, ids[2:, 8:, 4:], shift=(2, 8, 4))
    volume = only(path)
    assert volume.offset == (2, 8, 4)
    np.testing.assert_array_equal(EmSlices([volume])[0]["image"][0], image[2, 8:, 4:])
    half = write_ome_zarr(tmp_path / "b.zarr", image, ids[2:], shift=(1.5, 0, 0))
    with pytest.raises(ValueError, match=r"b\.zarr, labels/ids/0, must be a whole number of voxels"):
        only(half)


def test_a_channel_and_a_time_are_chosen_and_never_guessed(tmp_path: Path) -> None:
    image = files.grey(shape=(2, 3, *files.SHAPE))
    path = write_ome_zarr(tmp_path / "a.zarr", image, axes="tczyx")
    np.testing.assert_array_equal(only(path, channel=2, time=1).image.read(), image[1, 2])
    with pytest.raises(ValueError, match=r"a\.zarr, 0, must have one time, got 2; pass time, a number from 0 to 1"):
        only(path, channel=1)
    with pytest.raises(ValueError, match=r"must have one channel, got 3; pass channel, a number from 0 to 2"):
        only(path, time=0)
    with pytest.raises(ValueError, match=r"channel must lie in \[0, 2\] for .*a\.zarr, 0, got 3"):
        only(path, channel=3, time=0)


def without(path: Path, word: str) -> Path:
    """Drop an entry from the metadata of OME-Zarr 0.4, wherever it is."""
    attributes = json.loads((path / ".zattrs").read_text())
    pyramid = attributes["multiscales"][0]
    for holder in (pyramid, *pyramid["axes"], *pyramid["datasets"]):
        holder.pop(word, None)
    (path / ".zattrs").write_text(json.dumps(attributes))
    return path


def test_without_a_scale_or_its_unit_the_spacing_must_be_given(tmp_path: Path) -> None:
    for word, text in (("coordinateTransformations", "got no scale"), ("unit", r"got a scale of \(40.* with no unit")):
        path = without(write_ome_zarr(tmp_path / f"{word}.zarr", files.grey()), word)
        with pytest.raises(ValueError, match=rf"0, must say how large its voxels are, {text}.*; pass spacing=\(z, y"):
            only(path)
        assert only(path, spacing=[40, 4, 4]).spacing == SPACING


@pytest.mark.parametrize(("shape", "axes", "got"), [
    ((2, 3, 4, 5), None, "no names"), ((4, 5), None, "no names"), ((3, 4, 5), "zyz", "zyz"), ((3, 4, 5), "zy", "zy"),
    ((2, 3, 4, 5), "qzyx", "qzyx"),
])  # fmt: skip
def test_axes_that_are_none_of_a_volume_are_refused(tmp_path: Path, shape: tuple, axes: str | None, got: str) -> None:
    path = write_zarr(tmp_path / "a.zarr", {"raw": files.grey(shape=shape)})
    text = rf"raw, must have the axes z, y, x and perhaps t and c, each once, got {got} for shape.*; pass axes"
    with pytest.raises(ValueError, match=text):
        only(path, axes=axes, spacing=SPACING)


def test_axes_can_be_given(tmp_path: Path) -> None:
    image = files.grey(shape=(1, 9, 8, 7))
    path = write_zarr(tmp_path / "a.zarr", {"raw": image})
    np.testing.assert_array_equal(only(path, axes="cxyz", spacing=SPACING).image.read(), image[0].transpose())


@pytest.mark.parametrize(("axes", "shape", "label_axes"), [
    ("xyz", (16, 16, 16), "xyz"), ("czxy", (2, 16, 16, 16), "zxy"), ("cxyz", (2, 16, 16, 16), "cxyz"),
    ("yxzc", (16, 16, 16, 2), "yxz"),
])  # fmt: skip
def test_axes_that_are_given_are_those_of_labels_that_name_none(tmp_path: Path, axes, shape, label_axes) -> None:
    image, ids = files.grey(shape=(16, 16, 16)), np.random.default_rng(1).integers(0, 9, (16, 16, 16))
    turn = [*map("zyx".index, (one for one in axes if one != "c"))]
    stored, labels = image.transpose(turn), ids.transpose(turn)
    if "c" in axes:
        stored = np.stack([stored] * 2, axes.index("c"))
    labels = labels[None] if label_axes == "cxyz" else labels
    path = write_zarr(tmp_path / "a.zarr", {"raw": stored, "ids": labels})
    volume = only(path, image="raw", labels="ids", axes=axes, channel=0 if "c" in axes else None, spacing=SPACING)
    np.testing.assert_array_equal(volume.image.read(), image)
    np.testing.assert_array_equal(volume.labels.read(), ids)
    zarr.open_group(path, mode="r+").create_array("named", data=ids, dimension_names=["z", "y", "x"])
    known = only(path, image="raw", labels="named", axes=axes, channel=0 if "c" in axes else None, spacing=SPACING)
    np.testing.assert_array_equal(known.labels.read(), ids)  # what the metadata say of labels stays


def test_names_of_dimensions_are_taken(tmp_path: Path) -> None:
    image = files.grey(shape=(9, 8, 7))
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("raw", data=image, dimension_names=["x", "y", "z"])
    np.testing.assert_array_equal(only(tmp_path / "a.zarr", spacing=SPACING).image.read(), image.transpose())


@pytest.mark.parametrize("form", ["zarr2", "zarr3", "n5"])
def test_missing_chunks_are_counted_and_read_as_the_fill_value(tmp_path: Path, form: str) -> None:
    image = files.grey() | 1
    if form == "n5":
        path, chunk = write_n5(tmp_path / "a.n5", {"raw": image}), "raw/1/0/1"
        fill = 0
    else:
        path = write_zarr(tmp_path / "a.zarr", {"raw": image}, zarr_format=int(form[-1]), fill_value=7)
        chunk, fill = ("raw/1.0.1", 7) if form == "zarr2" else ("raw/c/1/0/1", 7)
    (path / chunk).unlink()
    with pytest.warns(UserWarning, match=rf"raw, lacks 1 of 8 chunks, which read as {fill}: .*compare with its source"):
        volume = only(path, spacing=SPACING)
    assert (volume.image.read()[4:, :16, 16:] == fill).all()
    for one in (path / "raw").rglob("*"):
        if one.is_file() and one.name[-1].isdigit():
            one.unlink()
    with pytest.raises(ValueError, match="raw, must have chunks, got none of 8; copy it again"):
        only(path, spacing=SPACING)


CUTS = [(form, codec) for form in ("zarr2", "zarr3") for codec in ("blosc", "zstd", "gzip", None)]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.97])
@pytest.mark.parametrize(("form", "codec"), [*CUTS, *(("n5", codec) for codec in ("blosc", "gzip", "raw", "lz4"))])
def test_a_truncated_chunk_is_named(tmp_path: Path, form: str, codec: str | None, share: float) -> None:
    image = files.grey()  # noise: blosc stores it as it is, and reads on behind the end
    if form == "n5":
        path, name = write_n5(tmp_path / "a.n5", {"raw": image}, codec), "raw/1/0/1"
    else:
        path = write_zarr(tmp_path / "a.zarr", {"raw": image}, zarr_format=int(form[-1]), codec=codec)
        name = "raw/1.0.1" if form == "zarr2" else "raw/c/1/0/1"
    stored = Stored(path, "raw")
    np.testing.assert_array_equal(stored.read(), image)
    chunk = path / name
    chunk.write_bytes(chunk.read_bytes()[: int(share * chunk.stat().st_size)])
    np.testing.assert_array_equal(stored.read(0, 4), image[:4])
    with pytest.raises(ValueError, match=rf"{name} must be a whole chunk of .*a\.\w+, raw, got.*; download or copy it"):
        stored.read(3, 5)


def test_damaged_metadata_and_unknown_codecs_are_told(tmp_path: Path) -> None:
    path = write_zarr(tmp_path / "a.zarr", {"raw": files.grey()}, zarr_format=2)
    text = (path / "raw" / ".zarray").read_text()
    for new, message in (
        (text[:40], r"\.zarray must be a whole JSON file, got"), ("[]", r"\.zarray must hold a JSON object, got list"),
        ('{"zarr_format": 2}', r"\.zarray must describe an array, got no 'compressor'"),
        (text.replace('"blosc"', '"secret"'), "raw, must be an array that can be read, got: .*secret"),
    ):  # fmt: skip
        (path / "raw" / ".zarray").write_text(new)
        with pytest.raises(ValueError, match=message):
            Stored(path, "raw").read()


def test_what_is_no_volume_in_a_container_is_told(tmp_path: Path) -> None:
    path = write_zarr(tmp_path / "a.zarr", {"x/one": files.grey(), "x/two": files.grey()})
    with pytest.raises(ValueError, match=r"a\.zarr must hold an image of OME-Zarr, .* got x/one, x/two; pass image"):
        zarr_volumes(path)
    with pytest.raises(ValueError, match=r"a\.zarr must hold the array x, got x/one, x/two; pass the key"):
        zarr_volumes(path, image="x")
    with pytest.raises(FileNotFoundError, match=r"gone\.zarr does not exist; check the path"):
        zarr_volumes(tmp_path / "gone.zarr")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="root must hold containers of Zarr or N5, such as"):
        zarr_volumes(tmp_path / "empty")
    ome = write_ome_zarr(tmp_path / "b.zarr", files.grey(), files.blocks())
    attributes = ome / "labels" / ".zattrs"
    attributes.write_text(json.dumps({"labels": ["ids", "others"]}))
    with pytest.raises(ValueError, match=r"must hold labels of one name, got ids, others; .*labels='labels/ids/0'"):
        zarr_volumes(ome)
    assert only(ome, labels="labels/ids/0").labels.shape == files.SHAPE
    assert only(ome, labels="").labels is None


def test_labels_of_another_voxel_size_are_refused(tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "a.zarr", files.grey(), files.blocks())
    attributes = json.loads((path / "labels/ids/.zattrs").read_text())
    attributes["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"] = [40.0, 8.0, 8.0]
    (path / "labels/ids/.zattrs").write_text(json.dumps(attributes))
    with pytest.raises(ValueError, match=r"labels/ids/0, must have the voxel size of the image, .* got \(40.0, 8.0"):
        only(path)


def test_workers_of_a_loader_read_what_the_first_process_reads(tmp_path: Path) -> None:
    for path in (
        write_ome_zarr(tmp_path / "a.zarr", files.grey(), files.blocks()),
        write_n5(tmp_path / "a.n5", {"raw": files.grey()}),
    ):
        volumes = zarr_volumes(path)
        slices = EmSlices(volumes)
        here = [slices[index]["image"] for index in range(len(slices))]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loader = DataLoader(
                [*range(len(slices))], num_workers=1, collate_fn=lambda part, s=slices: s[part[0]]["image"]
            )
            for one, other in zip(loader, here, strict=True):
                np.testing.assert_array_equal(one, other)
