"""The experiment on membranes: which images train and are scored, and what a batch holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from monai.data import Dataset

from experiments.membranes.data import DATA, check_same_images, membrane_transforms
from tests.datasets.em.files import SMALL, STACK, grey, interior, write_hdf5, write_slices

# The images


def test_folds_score_every_slice_once_and_never_train_with_it(isbi) -> None:
    scored = []
    for fold in range(2):
        train, test = DATA["isbi2012"](isbi, fold, SMALL)
        assert not {one.case for one in train} & {one.case for one in test}
        assert len(train) + len(test) == STACK[0]
        scored += [one.case for one in test]
    assert scored == ["slice00", "slice01", "slice02", "slice03"]


def test_an_image_is_the_file_s_and_its_regions_are_the_cells(isbi) -> None:
    (first, second), _ = DATA["isbi2012"](isbi, 1, SMALL)
    pixels, cells = grey(1, STACK)[1].astype(float), interior(2, STACK)[1]
    np.testing.assert_allclose(second.image[0], (pixels - pixels.mean()) / pixels.std(), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(second.ids > 0, cells == 255)
    np.testing.assert_array_equal(second.membrane[0], cells == 0)
    assert first.case == "slice00"


def test_a_flat_image_does_not_divide_by_zero(tmp_path) -> None:
    write_slices(tmp_path / "images", np.full(STACK, 7, np.uint8))
    write_slices(tmp_path / "labels", interior(2, STACK))
    assert not any(one.image.any() for one in DATA["isbi2012"](tmp_path, 0, SMALL)[0])


def test_other_images_of_the_same_names_are_refused(isbi, tmp_path) -> None:
    known = tmp_path / "out" / "images.json"
    train, test = DATA["isbi2012"](isbi, 0, SMALL)
    check_same_images(known, "isbi2012", train)
    check_same_images(known, "isbi2012", test)
    check_same_images(known, "gala", [replace(train[0], image=-train[0].image)])
    before = known.read_bytes()
    for one in (train[0], test[0]):
        for other in (replace(one, image=-one.image), replace(one, ids=one.ids + 1)):
            with pytest.raises(ValueError, match=f"must be those of the runs in .*got another image .* {one.case};"):
                check_same_images(known, "isbi2012", [train[1], other])
    assert known.read_bytes() == before


def test_halves_of_a_volume_part_it_and_cut_objects_in_pieces(tmp_path) -> None:
    ids = np.zeros((4, 8, 12), np.uint32)
    ids[:, 1:3, 1:] = 5
    ids[:, 4:7, :] = 9
    ids[:, 4:6, 8] = 0  # the right half of object 9 is joined below this notch
    ids[:, :, 9] = 0  # and both are cut here
    write_hdf5(tmp_path / "image.h5", {"stack": grey(0, ids.shape)})
    write_hdf5(tmp_path / "gt.h5", {"stack": ids})
    parts = [DATA["gala"](tmp_path, fold, SMALL) for fold in range(2)]
    (left,), (right,) = parts[0][1], parts[1][1]
    assert ([one.case for one in parts[0][0]], left.case) == (["x6-11"], "x0-5")
    np.testing.assert_array_equal(np.concatenate([left.ids > 0, right.ids > 0], -1), ids > 0)
    assert left.ids.max() == 2
    assert right.ids.max() == 4
    assert left.image.shape == (1, 4, 8, 6)


def test_membranes_to_learn_are_wider_than_those_that_score(tmp_path) -> None:
    ids = np.ones((4, 8, 12), np.uint32)
    ids[:, :, 6:] = 2
    ids[:, :, 5] = 0
    write_hdf5(tmp_path / "image.h5", {"stack": grey(0, ids.shape)})
    write_hdf5(tmp_path / "gt.h5", {"stack": ids})
    wide = replace(SMALL, membrane_width=10.0)  # nm, the size of a voxel
    image = DATA["gala"](tmp_path, 0, wide)[0][0]
    # the half from x = 6 on: the membrane at 5 is beyond it, its neighbour at 6 is not
    assert image.membrane[0, 0, 0].tolist() == [1, 0, 0, 0, 0, 0]
    assert (image.ids > 0).all()
    item = image.training_item
    assert item["ids"][0, 0, 0].tolist() == [0, 1, 1, 1, 1, 1]
    batch = membrane_transforms((), 3, "seeds", 0, 0)(item)
    assert batch["label"].sum() == image.membrane.sum()
    assert not batch["seeds"][batch["label"] > 0].any()


# The batches


def batches(isbi, companion, seed=3):
    train, _ = DATA["isbi2012"](isbi, 0, SMALL)
    items = [one.training_item for one in train]
    data = Dataset(items, membrane_transforms((16, 24), 2, companion, 0, seed))
    return [data[index % 2] for index in range(6)]


def test_all_losses_see_the_same_crops(isbi) -> None:
    plain, seeds, maps = (batches(isbi, companion) for companion in (None, "seeds", "distance_map"))
    for one, two, three in zip(plain, seeds, maps, strict=True):
        assert one["image"].shape[1:] in {(16, 24), (24, 16)}
        for other in (two, three):
            torch.testing.assert_close(one["image"], other["image"])
            torch.testing.assert_close(one["label"], other["label"])
        assert one["label"].dtype == torch.float32
    assert any(not torch.equal(a["image"], b["image"]) for a, b in zip(plain, batches(isbi, None, 4), strict=True))


def test_seeds_and_maps_belong_to_the_crop(isbi) -> None:
    for one in batches(isbi, "seeds"):
        seeds, membrane = one["seeds"], one["label"]
        assert not (seeds > 0)[membrane > 0].any()
        assert sorted(seeds[seeds > 0].tolist()) == list(range(1, int((seeds > 0).sum()) + 1))
    for one in batches(isbi, "distance_map"):
        inside = one["distance_map"] < 0
        torch.testing.assert_close(inside.float(), (one["label"] > 0).float())
