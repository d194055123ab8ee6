"""Maps of patches against maps of volumes: where patches lie, how far the maps are apart, scores."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from experiments.patch_maps.commands import BEGIN, END
from experiments.patch_maps.differences import patch_differences, summarise
from experiments.patch_maps.patches import PatchVolume, draw_box, finished, local_map, sample_boxes, volume_map
from experiments.patch_maps.scores import far_components, score_labels
from experiments.patch_maps.training import ARMS, PatchDataset, PatchSettings, train_patches
from monai_boundary.datasets import lesion_phantom, write_volume
from monai_boundary.kernels.distance import ROBUST, DistanceMapOptions

SPACING = (3.0, 1.0, 0.5)
BOX = (slice(0, 8), slice(0, 12), slice(5, 25))  # cuts class 1 of the volume, and has no class 2


@pytest.fixture
def volume():
    """Two classes, far apart: a box of 1 near a corner, one voxel of 2 near the other."""
    labels = np.zeros((1, 14, 30, 40), np.uint8)
    labels[0, 2:5, 3:9, 4:10] = 1
    labels[0, 11, 26, 36] = 2
    image = np.random.default_rng(0).normal(size=(2, *labels.shape[1:])).astype(np.float32)
    return PatchVolume("a", labels, SPACING, 3, image)


def signed(mask):
    """The convention "half" by scipy; zero where there is no surface."""
    if not mask.any() or mask.all():
        return np.zeros(mask.shape)
    outside = distance_transform_edt(~mask, sampling=SPACING) - min(SPACING) / 2
    return np.where(mask, -distance_transform_edt(mask, sampling=SPACING) + min(SPACING) / 2, outside)


# Where patches lie


def test_patches_lie_within_the_volume_and_forced_ones_hold_each_class_alike_often(volume):
    generator = np.random.default_rng(0)
    boxes = [draw_box(volume, 16, generator, forced=True) for _ in range(200)]
    assert {tuple(part.stop - part.start for part in box) for box in boxes} == {(14, 16, 16)}
    assert all(
        part.start >= 0 and part.stop <= size
        for box in boxes
        for part, size in zip(box, volume.labels.shape[1:], strict=True)
    )
    held = [set(np.unique(volume.labels[0][box])) - {0} for box in boxes]
    assert all(held)
    assert 70 < sum(2 in classes for classes in held) < 130  # class 1 has 108 times as many voxels


def test_a_third_of_the_patches_is_forced_and_the_others_lie_anywhere(volume):
    labels = np.zeros((1, 60, 60, 60), np.uint8)
    labels[0, 30, 30, 30] = 1
    far = PatchVolume("b", labels, (1.0, 1.0, 1.0), 2)
    boxes = sample_boxes(far, 4, 300, np.random.default_rng(1))
    held = [bool(labels[0][box].any()) for box in boxes]
    assert sum(held[:200]) < 3
    assert all(held[200:])
    starts = np.array([[part.start for part in box] for box in boxes[:200]])
    assert (starts.min(0) < 5).all()
    assert (starts.max(0) > 51).all()
    assert starts.mean() == pytest.approx(28, abs=3)


# How far the maps are apart


@pytest.mark.parametrize("clip", [None, 20.0, 10.0])
def test_differences_are_those_of_scipys_maps(volume, clip):
    found = [each for each in patch_differences(volume, [BOX]) if each["clip"] == clip and each["absent"] == "zero"]
    limit = np.inf if clip is None else clip
    for label, each in enumerate(found, 1):
        mask = volume.labels[0] == label
        whole = np.clip(signed(mask), -limit, limit)[BOX]
        local = np.clip(signed(mask[BOX]), -limit, limit)
        error = np.abs(local - whole)
        assert each["mean_mm"] == pytest.approx(error.mean(), abs=1e-4)
        assert each["max_mm"] == pytest.approx(error.max(), abs=1e-4)
        assert each["off"] == pytest.approx((error > 1).mean(), abs=1e-9)
        assert each["true_mm"] == pytest.approx(whole.mean(), abs=1e-4)
    assert [each["present"] for each in found] == [True, False]
    assert [each["zero"] for each in found] == [False, True]
    assert found[0]["max_mm"] == pytest.approx(1.5)  # the surface in column 3 lies outside the patch
    assert found[1]["mean_mm"] == pytest.approx(found[1]["true_mm"])


def test_where_a_class_is_absent_far_is_the_clip_or_the_diagonal_of_the_patch_and_zero_is_0(volume):
    whole = signed(volume.labels[0] == 2)[BOX]
    rows = [each for each in patch_differences(volume, [BOX]) if not each["present"]]
    found = {each["clip"]: each for each in rows if each["absent"] == "far"}
    diagonal = np.sqrt(24.0**2 + 12.0**2 + 10.0**2)
    assert found[None]["mean_mm"] == pytest.approx(np.abs(diagonal - whole).mean(), abs=1e-4)
    assert found[20.0]["mean_mm"] == pytest.approx((20 - np.minimum(whole, 20)).mean(), abs=1e-4)
    assert found[10.0]["mean_mm"] == 0.0  # class 2 is more than 10 mm away
    assert found[10.0]["loss_difference"] == 0.0
    assert found[10.0]["loss_total"] == pytest.approx(8 * 12 * 20)
    (zero,) = (each for each in rows if each["clip"] == 10.0 and each["absent"] == "zero")
    assert zero["loss_difference"] == zero["loss_total"] == pytest.approx(8 * 12 * 20)
    assert np.isnan([each["loss_total"] for each in rows if each["clip"] != 10.0]).all()


def test_a_patch_as_large_as_the_volume_makes_no_difference(volume):
    box = draw_box(volume, 64, np.random.default_rng(0), forced=True)
    for each in patch_differences(volume, [box]):
        assert each["max_mm"] <= 1e-5
        assert not each["loss_difference"] > 1e-2
    ours = local_map(volume, box, ROBUST)
    theirs = finished(volume_map(volume, DistanceMapOptions(clip=20.0)), volume.labels, SPACING, ROBUST)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_summary_keeps_present_and_absent_classes_apart():
    def row(patch, present, mean, worst, sums=(np.nan, np.nan)):
        return {"patch": patch, "clip": None, "absent": "zero", "present": present, "zero": not present,
                "mean_mm": mean, "max_mm": worst, "off": 0.25 * mean, "true_mm": 7.0,
                "loss_difference": sums[0], "loss_total": sums[1]}  # fmt: skip

    found = summarise([row(0, True, 1.0, 3.0), row(0, False, 2.0, 5.0), *[row(1, False, 4.0, 9.0)] * 2])
    assert (found["patches"], found["without_foreground"], found["zero"]) == (2, 0.5, 0.75)
    rows = {each["pairs"]: each for each in found["rows"]}
    assert [rows[kind]["count"] for kind in ("all", "present", "absent")] == [4, 1, 3]
    assert rows["all"]["mean_mm"] == pytest.approx(2.75)
    assert rows["absent"]["mean_mm"] == pytest.approx(10 / 3)
    assert rows["all"]["max_mm"] == pytest.approx(6.5)
    assert rows["all"]["max_mm_worst"] == 9.0
    assert rows["present"]["off"] == 0.25
    assert rows["all"]["clip"] is rows["all"]["loss_relative"] is None
    other = summarise([row(n, True, 1.0, 1.0, (n, 10.0 * n)) for n in (1, 2)])
    assert other["rows"][0]["loss_relative"] == pytest.approx(0.1)


# What the network is given, and how it is scored


def test_all_arms_see_the_same_patches_and_each_its_own_map(volume):
    settings = PatchSettings(edge=10, steps=3, batch=4)
    sets = {arm: PatchDataset([volume], arm, settings, seed=3) for arm in ARMS}
    whole = np.stack([np.clip(signed(volume.labels[0] == label), -20, 20) for label in (1, 2)])
    for index in range(12):
        items = {arm: each[index] for arm, each in sets.items()}
        first = items["region"]
        assert all((item[key] == first[key]).all() for item in items.values() for key in ("image", "label"))
        assert not first["distance_map"].any()
        labels = first["label"][0].numpy()
        place = np.argwhere(np.isclose(volume.image[0], float(first["image"][0, 0, 0, 0])))
        for channel in range(2):
            inside = labels == channel + 1
            zero, far, ours = (items[arm]["distance_map"][channel].numpy() for arm in list(ARMS)[1:])
            assert ((ours < 0) == inside).all()
            if not inside.any():
                assert not zero.any()
                assert (far == 1).all()
                value = min(whole[channel][tuple(place[0])], 10) / 10
                assert ours[0, 0, 0] == pytest.approx(value, abs=2e-3)
            else:
                outer, inner = ours[~inside].sum(), -ours[inside].sum()  # half-balanced: inner = sqrt(outer * before)
                assert 0 < inner < outer
    again = PatchDataset([volume], "region", settings, seed=3)
    again.start(1)
    assert any((again[i]["image"] != sets["region"][i]["image"]).any() for i in range(3))


def test_arms_differ_in_the_boundary_term_alone_and_a_seed_gives_the_same_run(volume):
    settings = PatchSettings(edge=12, epochs=2, steps=2, batch=2, features=(4, 8))
    runs = {arm: train_patches(arm, 0, [volume], [volume], settings, arm) for arm in ("region", "volume")}
    assert [runs[arm]["alpha"] for arm in runs] == [0.0, 1.0]
    assert runs["region"]["boundary_term"] == 0.0
    again = train_patches("volume", 0, [volume], [volume], settings, "again")
    assert again["cases"] == runs["volume"]["cases"]
    assert again["boundary_term"] == runs["volume"]["boundary_term"] != 0.0


def test_labels_without_an_image_are_refused(volume):
    bare = PatchVolume("bare", volume.labels, volume.spacing, 3)
    with pytest.raises(ValueError, match="train must hold images, got labels alone"):
        train_patches("region", 0, [bare], [volume], PatchSettings(edge=12), "")


def test_components_are_far_beyond_ten_mm_of_the_target():
    pred, target = np.zeros((3, 40, 40), bool), np.zeros((3, 40, 40), bool)
    target[1, 5, 5] = True
    pred[1, 5, 5:27] = True  # touches the target, and reaches 10.5 mm
    pred[1, 15, 5] = True  # 10 mm away
    pred[1, 30, 5:8] = True  # 25 mm
    assert far_components(pred, target, SPACING) == (1, 3)
    assert far_components(pred, np.zeros_like(target), SPACING) == (3, 26)
    assert far_components(np.zeros_like(pred), target, SPACING) == (0, 0)


def test_an_empty_prediction_scores_the_diagonal(volume):
    right = score_labels(volume.labels[0].copy(), volume)
    assert [row["dice"] for row in right] == [1.0, 1.0]
    assert [row["hd95_mm"] for row in right] == [0.0, 0.0]
    none = score_labels(np.zeros(volume.labels.shape[1:], np.uint8), volume)
    assert [row["hd95_mm"] for row in none] == pytest.approx([np.sqrt(42.0**2 + 30.0**2 + 20.0**2)] * 2)
    assert [row["lesion_recall"] for row in none] == [0.0, 0.0]
    assert [row["target"] for row in none] == [108, 1]


# The command


@pytest.fixture
def data(tmp_path):
    crops, lesions = tmp_path / "Task04_Hippocampus", tmp_path / "ms_lesions"
    for number in range(5):
        phantom = lesion_phantom(number, (20, 20, 20), (1.0, 1.0, 1.0))
        labels = phantom.labels.copy()
        labels[:10][labels[:10] == 1] = 2
        for folder, array in (("imagesTr", phantom.image), ("labelsTr", labels)):
            (crops / folder).mkdir(parents=True, exist_ok=True)
            write_volume(crops / folder / f"case_{number}.nii.gz", array, phantom.spacing)
    for number, patient in enumerate(("patient19", "patient07")):
        phantom = lesion_phantom(10 + number, (28, 34, 34), (1.0, 1.0, 1.0))
        (lesions / patient).mkdir(parents=True)
        for name in ("FLAIR", "T1", "T2"):
            write_volume(lesions / patient / f"{name}.nii.gz", phantom.image, phantom.spacing)
        write_volume(lesions / patient / "lesion.nii.gz", phantom.labels, phantom.spacing)
    return tmp_path


def test_the_command_measures_trains_and_writes_and_goes_on_where_it_was(run, data, tmp_path):
    out, docs = tmp_path / "out" / "maps.jsonl", tmp_path / "page.md"
    docs.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    call = ("patch-maps", "--data", data, "--quick", "--seeds", 0, "--results", out, "--docs", docs)
    result = run(*call, "--parts", "difference", "--data-sets", "ms")
    assert result.exit_code == 0, result.output
    first = out.read_text()
    result = run(*call, "--data-sets", "hippocampus")
    assert result.exit_code == 0, result.output
    assert out.read_text().startswith(first)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    kinds = [row["kind"] for row in rows]
    assert [kinds.count(kind) for kind in ("difference", "training")] == [2, 4]
    by_arm = {row["arm"]: row for row in rows if row["kind"] == "training"}
    assert list(by_arm) == list(ARMS)
    assert [by_arm[arm]["alpha"] for arm in ARMS] == [0.0, 1.0, 1.0, 1.0]
    assert [case["case"] for case in by_arm["volume"]["cases"]] == ["case_0", "case_1"]
    # patches of these cubes hold most of them: the map of the volume may be that of the patch
    assert len({by_arm[arm]["boundary_term"] for arm in ("region", "patch-zero", "patch-far")}) == 3
    text = docs.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| map of the volume | 1 | " in text
    assert all((out.parent / f"patch_maps_{name}.png").stat().st_size > 10_000 for name in ("scores", "example"))
