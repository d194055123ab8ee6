"""Tiny preprocessed nnU-Net data sets, written by nnU-Net's own preprocessor without its planning."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

#: Three different sizes, so that no order but the right one gives the right map.
SPACING = (3.0, 1.0, 0.75)
PATCH = (16, 32, 32)
PLANS = "tinyPlans"
#: Every configuration reads the same preprocessed files: nothing is resampled.
FOLDER = "tinyPlans_all"
VALIDATION_CASE = "case_2"

_RESAMPLE = "resample_data_or_seg_to_shape"


@dataclass(frozen=True)
class Kind:
    """How the labels of a data set are declared; the label files are the same."""

    name: str
    labels: dict
    regions_class_order: tuple[int, ...] | None = None
    ignored: bool = False


KINDS = {
    kind.name: kind
    for kind in (
        Kind("Dataset901_Labels", {"background": 0, "shell": 1, "core": 2}),
        Kind("Dataset902_Regions", {"background": 0, "whole": [1, 2], "core": [2]}, (1, 2)),
        Kind("Dataset903_Ignore", {"background": 0, "shell": 1, "core": 2, "ignore": 3}, ignored=True),
        Kind("Dataset904_RegionsIgnore", {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}, (1, 2), True),
    )
}
LABELS, REGIONS, IGNORE, REGIONS_IGNORE = KINDS


def _architecture(dimensions: int) -> dict:
    stages = 4  # three heads: the last has weight 0, the others 2/3 and 1/3
    strides = [[1] * dimensions, [1, 2, 2][-dimensions:], [2] * dimensions, [2] * dimensions]
    return {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": [4, 8, 8, 8],
            "conv_op": f"torch.nn.modules.conv.Conv{dimensions}d",
            "kernel_sizes": [[3] * dimensions] * stages,
            "strides": strides,
            "n_conv_per_stage": [1] * stages,
            "n_conv_per_stage_decoder": [1] * (stages - 1),
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dimensions}d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def _configuration(dimensions: int) -> dict:
    seg = {"is_seg": True, "order": 1, "order_z": 0, "force_separate_z": None}
    data = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    return {
        "data_identifier": FOLDER,
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(PATCH[-dimensions:]),
        "median_image_size_in_voxels": [16, 36, 40][-dimensions:],
        "spacing": list(SPACING[-dimensions:]),
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": _RESAMPLE,
        "resampling_fn_seg": _RESAMPLE,
        "resampling_fn_probabilities": _RESAMPLE,
        "resampling_fn_data_kwargs": data,
        "resampling_fn_seg_kwargs": seg,
        "resampling_fn_probabilities_kwargs": {**data, "order": 1},
        "architecture": _architecture(dimensions),
        "batch_dice": dimensions == 2,
    }


def plans(dataset_name: str) -> dict:
    """Return plans with 2d, 3d_fullres, dummy_2d (anisotropic patch), 3d_lowres and 3d_cascade_fullres."""
    return {
        "dataset_name": dataset_name,
        "plans_name": PLANS,
        "original_median_spacing_after_transp": list(SPACING),
        "original_median_shape_after_transp": [16, 36, 40],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {
            "2d": _configuration(2),
            "3d_fullres": _configuration(3),
            "dummy_2d": {"inherits_from": "3d_fullres", "patch_size": [8, 32, 32]},
            "3d_lowres": {"inherits_from": "3d_fullres", "next_stage": ["3d_cascade_fullres"]},
            "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
        },
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            "0": {"max": 5, "mean": 1, "median": 1, "min": -2, "percentile_00_5": -2, "percentile_99_5": 4, "std": 1}
        },
    }


def dataset_json(kind: Kind) -> dict:
    """Return the dataset.json of a data set."""
    content = {
        "channel_names": {"0": "MRI"},
        "labels": kind.labels,
        "numTraining": 3,
        "file_ending": ".nii.gz",
    }
    return content if kind.regions_class_order is None else {
        **content, "regions_class_order": list(kind.regions_class_order)
    }  # fmt: skip


def case(seed: int, ignored: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return image and labels of two nested ellipsoids; with `ignored`, a slab of every case has label 3."""
    rng = np.random.default_rng(seed)
    shape = (16, 36, 40)
    centre = np.array([8, 18, 20]) + rng.uniform(-2, 2, 3)
    grid = np.moveaxis(np.indices(shape), 0, -1)
    radius = np.linalg.norm((grid - centre) / (4.0, 9.0, 7.0), axis=-1)
    labels = (radius < 1).astype(np.uint8) + (radius < 0.5).astype(np.uint8)
    image = labels + rng.normal(0, 0.3, shape)
    if ignored:
        labels[:, :, 14:18] = 3
    return image.astype(np.float32), labels


def write_dataset(kind: Kind, raw: Path, preprocessed: Path) -> None:
    """Write the NIfTI files of three cases below `raw` and what nnU-Net's planning leaves below `preprocessed`."""
    raw, preprocessed = raw / kind.name, preprocessed / kind.name
    for folder in (raw / "imagesTr", raw / "labelsTr", preprocessed / "gt_segmentations", preprocessed / FOLDER):
        folder.mkdir(parents=True)
    content, description = plans(kind.name), dataset_json(kind)
    splits = [{"train": ["case_0", "case_1"], "val": [VALIDATION_CASE]}]
    for name, value in (
        (PLANS, content), ("dataset", description), ("splits_final", splits), ("dataset_fingerprint", {})
    ):  # fmt: skip
        (preprocessed / f"{name}.json").write_text(json.dumps(value))
    (raw / "dataset.json").write_text(json.dumps(description))
    manager = PlansManager(content)
    preprocessor = DefaultPreprocessor(verbose=False)
    for seed in range(3):
        files = [raw / "imagesTr" / f"case_{seed}_0000.nii.gz", raw / "labelsTr" / f"case_{seed}.nii.gz"]
        for array, file in zip(case(seed, kind.ignored), files, strict=True):
            image = SimpleITK.GetImageFromArray(array)
            image.SetSpacing(SPACING[::-1])
            SimpleITK.WriteImage(image, str(file))
        truth = preprocessed / "gt_segmentations" / files[1].name
        truth.write_bytes(files[1].read_bytes())
        preprocessor.run_case_save(
            str(preprocessed / FOLDER / f"case_{seed}"), [str(files[0])], str(files[1]),
            manager, manager.get_configuration("3d_fullres"), description,
        )  # fmt: skip
