"""Damaged and strange files: each gives one clear error, or is read right."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_boundary.datasets.em import EmVolume, EmVolumes, Stored, cremi_volumes
from monai_boundary.datasets.em.hdf5 import hdf5_holds
from tests.datasets.em import files

h5py = pytest.importorskip("h5py", reason="h5py is not installed")
tifffile = pytest.importorskip("tifffile", reason="tifffile is not installed")

UNKNOWN_FILTER = 32099


def read(image: Stored, labels: Stored | None = None, kind: str = "interior") -> list:
    """Read a whole volume."""
    return list(EmVolumes([EmVolume("v", image, labels, kind, (1.0, 1.0, 1.0))]))


def grey(*shape: int) -> np.ndarray:
    return files.grey(shape=shape)


def written(root: Path, form: str) -> Stored:
    image = files.grey(shape=(5, 40, 50))
    if form == "slices":
        files.write_slices(root / "images", image)
        return Stored(root / "images")
    path = root / f"image.{form}"
    if form == "h5":
        files.write_hdf5(path, {"stack": image}, compression="gzip", chunks=(1, 40, 50))
        return Stored(path, "stack")
    files.write_tiff(path, image)
    return Stored(path)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.97])
@pytest.mark.parametrize("form", ["h5", "tif", "slices"])
def test_a_truncated_file_is_told_by_name(tmp_path: Path, form: str, share: float) -> None:
    stored = written(tmp_path, form)
    target = stored.path if form != "slices" else stored.path / "03.png"
    target.write_bytes(target.read_bytes()[: int(share * target.stat().st_size)])
    kind = {"h5": "HDF5 file", "tif": "TIFF", "slices": "image that SimpleITK reads"}[form]
    with pytest.raises(
        ValueError, match=rf"{target.name} must be a complete {kind}, got: .*; download or copy it again"
    ):
        read(stored)


def test_a_stack_that_breaks_off_between_pages_is_not_taken_for_a_shorter_one(tmp_path: Path) -> None:
    # pages and their data in turn, so that a cut leaves whole pages before it
    path = tmp_path / "image.tif"
    with tifffile.TiffWriter(path) as file:
        for one in files.grey(shape=(5, 40, 50)):
            file.write(one, contiguous=False, photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path) as file:
        third = file.pages[3].offset
    path.write_bytes(path.read_bytes()[:third])
    with pytest.raises(ValueError, match=r"image.tif must be a complete TIFF, got: .*invalid page offset"):
        read(Stored(path))


def test_damaged_chunks_are_told_by_file_and_data_set(tmp_path: Path) -> None:
    stored = written(tmp_path, "h5")
    with h5py.File(stored.path) as file:
        chunk = file["stack"].id.get_chunk_info(3)
    data = bytearray(stored.path.read_bytes())
    data[chunk.byte_offset + 20 : chunk.byte_offset + 200] = bytes(180)
    stored.path.write_bytes(data)
    assert stored.read(0, 3).shape == (3, 40, 50)
    with pytest.raises(ValueError, match=r"image.h5 must be a complete HDF5 file, got: .* in /stack"):
        stored.read()


def test_an_absent_compression_filter_is_named(tmp_path: Path) -> None:
    path = tmp_path / "image.h5"
    with h5py.File(path, "w") as file:
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_chunk((1, 4, 5))
        settings.set_filter(UNKNOWN_FILTER, h5py.h5z.FLAG_OPTIONAL)
        space, kind = h5py.h5s.create_simple((2, 4, 5)), h5py.h5t.NATIVE_UINT8
        dataset = h5py.h5d.create(file.id, b"stack", kind, space, settings)
        for index in range(2):
            dataset.write_direct_chunk((index, 0, 0), bytes(20), 0)  # says that the filter was applied
    stored = Stored(path, "stack")
    assert stored.shape == (2, 4, 5)
    text = rf"image.h5: data set /stack is compressed with the HDF5 filter {UNKNOWN_FILTER}.*pip install hdf5plugin"
    with pytest.raises(RuntimeError, match=text):
        stored.read()


@pytest.mark.parametrize("link", ["soft", "external", "hard"])
def test_linked_data_sets_are_found(tmp_path: Path, link: str) -> None:
    files.write_hdf5(tmp_path / "other.h5", {"there": files.grey()})
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["here"] = files.grey()
        links = {"soft": h5py.SoftLink("/here"), "external": h5py.ExternalLink("other.h5", "there")}
        file["stack"] = links.get(link, file["here"])
    np.testing.assert_array_equal(Stored(tmp_path / "a.h5", "stack").read(), files.grey())
    assert hdf5_holds(tmp_path / "a.h5", "stack")
    assert not hdf5_holds(tmp_path / "a.h5", "other")


IMAGEJ = {"imagej": True, "metadata": {"axes": "ZYX"}}


@pytest.mark.parametrize("settings", [{"compression": "zlib"}, IMAGEJ, {"bigtiff": True}, {"byteorder": ">"}])
def test_stacks_of_other_tiff_writers_are_read(tmp_path: Path, settings: dict) -> None:
    image = files.grey().astype(np.uint16) * 200
    files.write_tiff(tmp_path / "a.tif", image, **settings)
    stored = Stored(tmp_path / "a.tif")
    assert stored.shape == image.shape
    np.testing.assert_array_equal(stored.read(), image)
    np.testing.assert_array_equal(stored.read(2, 4), image[2:4])


def test_imagej_stacks_behind_one_page_are_read(tmp_path: Path) -> None:
    image = files.grey()
    files.write_tiff(tmp_path / "a.tif", image, **IMAGEJ)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        end, order = file.pages[0].offset, file.byteorder
    data = bytearray((tmp_path / "a.tif").read_bytes())
    count = int.from_bytes(data[end : end + 2], {"<": "little", ">": "big"}[order])
    data[end + 2 + 12 * count : end + 6 + 12 * count] = bytes(4)  # as ImageJ beyond 4 GB: no further page
    (tmp_path / "a.tif").write_bytes(data)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert len(file.pages) == 1
    np.testing.assert_array_equal(Stored(tmp_path / "a.tif").read(2, 4), image[2:4])


def pngs(*arrays: np.ndarray, colours: bool = False):
    def make(root: Path) -> Path:
        (root / "images").mkdir(exist_ok=True)
        for index, array in enumerate(arrays):
            files.write_png(root / "images" / f"{index}.png", array, colours)
        return root / "images"

    return make


def tiff(*arrays: np.ndarray, name: str = "a.tif", **settings):
    def make(root: Path) -> Path:
        (root / name).parent.mkdir(exist_ok=True)
        with tifffile.TiffWriter(root / name) as file:
            for array in arrays:
                file.write(array, **({"photometric": "minisblack", "metadata": None} | settings))
        return root / name.split("/")[0]

    return make


def hdf5(array: np.ndarray, key: str = "stack"):
    def make(root: Path) -> Path:
        files.write_hdf5(root / "a.h5", {key: array})
        return root / "a.h5"

    return make


def two_kinds(root: Path) -> Path:
    pngs(grey(8, 9))(root)
    return tiff(grey(8, 9), name="images/a.tif")(root)


def text(root: Path) -> Path:
    (root / "a.tif").write_text("no image")
    return root / "a.tif"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (pngs(grey(8, 9, 3), colours=True), r"0.png must hold one grey channel, got shape \(8, 9, 3\)"),
        (tiff(grey(2, 8, 9, 3), photometric="rgb"), r"grey slices \(D, H, W\), .* with 3 samples"),
        (tiff(grey(8, 9, 3), photometric="rgb"), r"a.tif must .*, got shape \(8, 9, 3\)"),
        (tiff(grey(8, 8), grey(9, 9)), "a.tif must hold pages of one size, got 2 kinds; split them"),
        (tiff(grey(2, 8, 9), name="images/a.tif"), "a.tif must hold one slice, got 2; pass a stack as a file"),
        (two_kinds, "images must hold slices of one kind among .png, .tif, .tiff, got .png and .tif"),
        (pngs(), "images must hold slices of one kind .*, got none"),
        (text, "a.tif must be a complete TIFF, got: not a TIFF file"),
        (hdf5(grey(2, 8, 9), "raw"), "a.h5 must hold the data set stack, got raw; pass the key of the volume"),
        (hdf5(grey(8, 9)), r"a.h5, stack, must hold a volume \(D, H, W\), got shape \(8, 9\)"),
        (hdf5(np.zeros((0, 8, 9))), r"got shape \(0, 8, 9\)"),
        (hdf5(np.full((2, 8, 9), np.nan)), "a.h5, stack, must hold finite grey values, got NaN"),
        (hdf5(np.zeros((2, 8, 9), complex)), "must hold grey values, got dtype complex128"),
        (pngs(grey(8, 8), grey(9, 9)), r"1.png must have the size of 0.png, \(8, 8\) pixels \(H, W\), got \(9, 9\)"),
    ],
)
def test_what_is_no_volume_is_refused(tmp_path: Path, make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(Stored(make(tmp_path), "stack"))


@pytest.mark.parametrize("path", ["a.h5", "a.tif", "a"])
def test_a_missing_file_is_told(tmp_path: Path, path: str) -> None:
    with pytest.raises(FileNotFoundError, match=f"{path} does not exist; check the path"):
        read(Stored(tmp_path / path, "stack"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("form", ["h5", "tif"])
def test_an_unreadable_file_is_told(tmp_path: Path, form: str) -> None:
    stored = written(tmp_path, form)
    stored.path.chmod(0)
    with pytest.raises(PermissionError, match="must be readable; change its permissions"):
        read(stored)


@pytest.mark.parametrize(
    ("labels", "kind", "message"),
    [
        (files.grey(), "interior", r"labels.h5, stack, must be a mask of 0 and 255 \(or 0 and 1\), got .* and more"),
        (files.blocks(), "membrane", "must be a mask .*kind='ids' for a map of ids"),
        (-files.blocks(), "ids", "labels.h5, stack, is no map of ids: ids must hold ids >= 0, got -8"),
        (files.blocks() + 0.5, "ids", "is no map of ids: ids must hold ids, integers >= 0, got float64"),
        (files.blocks() + 0j, "ids", "is no map of ids: ids must hold ids, integers >= 0, got dtype complex128"),
    ],
)  # fmt: skip
def test_labels_of_another_kind_are_refused(tmp_path: Path, labels: np.ndarray, kind: str, message: str) -> None:
    files.write_hdf5(tmp_path / "image.h5", {"stack": files.grey()})
    files.write_hdf5(tmp_path / "labels.h5", {"stack": labels})
    pair = (Stored(tmp_path / name, "stack") for name in ("image.h5", "labels.h5"))
    with pytest.raises(ValueError, match=message):
        read(*pair, kind=kind)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"slices": (2, 6)}, r"slices of v must lie in its 5 slices, got \(2, 6\)"),
        ({"kind": "cells"}, "kind of v must be one of 'ids', 'interior', 'membrane', got 'cells'"),
        ({"spacing": (0.0, 1.0, 1.0)}, "spacing must hold one finite value > 0"),
        ({"split": "train"}, r"split of v must be one of 'training', .* got 'train'"),
    ],
)
def test_volumes_of_wrong_settings_are_refused(tmp_path: Path, change: dict, text: str) -> None:
    settings = {"labels": None, "kind": "ids", "spacing": (1.0, 1.0, 1.0)} | change
    with pytest.raises(ValueError, match=text):
        EmVolumes([EmVolume("v", written(tmp_path, "h5"), **settings)])


#: What the ids are instead of a data set, and what is told of it.
LOST = {
    "dangling": (lambda: h5py.SoftLink("/nowhere"), "volumes/labels/neuron_ids must lead .*link to /nowhere that does"),
    "loop": (lambda: h5py.SoftLink("/volumes/labels/neuron_ids"), "must lead to an object.*too many links"),
    "file": (lambda: h5py.ExternalLink("gone.h5", "/ids"), r"must lead .* link to /ids in gone\.h5 that does not.*put"),
    "damaged": (lambda: h5py.ExternalLink("bad.h5", "/ids"), r"link to /ids in bad\.h5 .*file signature not found"),
    "virtual": (lambda: virtual("gone.h5", "ids"), r"neuron_ids must have all its files, got none of: .*gone\.h5 does"),
    "part": (lambda: virtual("good.h5", "other"), r"must have all its files, got no other in .*good\.h5"),
}


def virtual(file: str, key: str):
    layout = h5py.VirtualLayout(files.SHAPE, np.uint64)
    layout[:] = h5py.VirtualSource(file, key, files.SHAPE)
    return layout


@pytest.mark.parametrize(("make", "message"), LOST.values(), ids=LOST)
def test_ids_behind_a_lost_link_are_no_test_sample(make, message: str, tmp_path: Path) -> None:
    attributes = {"volumes/raw": {"resolution": files.CREMI_SPACING}}
    path = tmp_path / "sample_A_1.hdf"
    files.write_hdf5(path, {"volumes/raw": files.grey()}, attributes)
    files.write_hdf5(tmp_path / "good.h5", {"ids": files.blocks().astype(np.uint64)})
    (tmp_path / "bad.h5").write_bytes(b"no HDF5")
    with h5py.File(path, "a") as file:
        one = make()
        group = file.create_group("volumes/labels")
        if isinstance(one, h5py.VirtualLayout):
            group.create_virtual_dataset("neuron_ids", one).attrs["resolution"] = files.CREMI_SPACING
        else:
            group["neuron_ids"] = one
    with pytest.raises(ValueError, match=rf"sample_A_1\.hdf.*{message}"):
        list(EmVolumes(cremi_volumes(tmp_path)))


def test_a_link_above_the_data_set_and_a_virtual_one_are_followed(tmp_path: Path) -> None:
    ids = files.blocks().astype(np.uint64)
    files.write_hdf5(tmp_path / "good.h5", {"ids": ids})
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group"] = h5py.ExternalLink("good.h5", "/")
        file["lost"] = h5py.ExternalLink("gone.h5", "/")
        file.create_virtual_dataset("virtual", virtual("good.h5", "ids"))
    for key in ("group/ids", "virtual", "/virtual"):
        np.testing.assert_array_equal(Stored(tmp_path / "a.h5", key).read(), ids)
    with pytest.raises(ValueError, match=r"a\.h5: lost must lead to an object, got a link to / in gone\.h5 that does"):
        hdf5_holds(tmp_path / "a.h5", "lost/ids")
    assert not hdf5_holds(tmp_path / "a.h5", "group/none")
    assert not hdf5_holds(tmp_path / "a.h5", "none/ids")


def test_a_slice_behind_a_link_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    files.write_slices(tmp_path / "images", files.grey())
    (tmp_path / "images" / "02.png").unlink()
    (tmp_path / "images" / "02.png").symlink_to("gone.png")
    with pytest.raises(FileNotFoundError, match=r"02\.png does not exist"):
        read(Stored(tmp_path / "images"))


def test_an_array_that_does_not_fit_is_refused_and_one_slice_of_it_is_not(tmp_path: Path, monkeypatch) -> None:
    image = files.grey(shape=(50, 200, 200))
    files.write_hdf5(tmp_path / "a.h5", {"stack": image})
    files.write_tiff(tmp_path / "a.tif", image)
    files.write_png(tmp_path / "slices" / "a.png", np.zeros((2000, 2000), np.uint8))
    monkeypatch.setenv("MONAI_BOUNDARY_MAX_GB", "0.001")
    for stored in (Stored(tmp_path / "a.h5", "stack"), Stored(tmp_path / "a.tif")):
        assert stored.read(3, 5).shape == (2, 200, 200)
        with pytest.raises(ValueError, match=r"a\.(h5, stack,|tif) must take at most 0\.001 GB .*, got 0\.002 GB"):
            stored.read()
    with pytest.raises(ValueError, match=r"a\.png must take at most 0\.001 GB"):
        Stored(tmp_path / "slices").read()


def test_a_library_tells_its_own_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    files.write_hdf5(path, {"stack": files.grey(), "four": np.zeros((2, 3, 4, 5))})
    with pytest.raises(ValueError, match=r"a\.h5, four, must hold a volume \(D, H, W\), got shape \(2, 3, 4, 5\)"):
        read(Stored(path, "four"))
    code = "import h5py, sys; file = h5py.File(sys.argv[1], 'a'); print('open', flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code, str(path)], **pipes) as writer:
        assert writer.stdout.readline() == b"open\n"
        with pytest.raises(ValueError, match=r"a\.h5 .*unable to lock file.*close the program that writes it"):
            read(Stored(path, "stack"))
        writer.stdin.close()
    picture = Image.fromarray(files.grey()[0]).convert("P")
    (tmp_path / "png").mkdir()
    picture.putpalette([value for grey in range(256) for value in (grey, 255 - grey, 7)])
    picture.save(tmp_path / "png" / "0.png")
    with pytest.raises(
        ValueError, match=r"0\.png must hold one channel of grey values, got numbers of colours; save it"
    ):
        read(Stored(tmp_path / "png"))
