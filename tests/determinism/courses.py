"""Short trainings whose weights are printed as digests: ``python -m tests.determinism.courses FOLDER``."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import DataLoader, Dataset
from monai.networks.nets import UNet
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, RandCropByPosNegLabeld, RandFlipd, RandRotated
from monai.utils import set_determinism
from torch import nn

from monai_boundary import (
    CrossEntropyBoundaryAwareLoss,
    GeneralizedDiceBoundaryLoss,
    GradientShare,
    RegionSeedsd,
    SignedDistanceMapd,
)
from monai_boundary.bundles import bundle_folder
from monai_boundary.datasets import MembranePhantoms, lesion_phantom, write_volume
from monai_boundary.datasets.datalist import CaseFiles, write_datalist
from monai_boundary.precompute import precompute_maps
from tests.bundles.running import run_workflow

KEYS = ["image", "label", "distance_map"]


def digest(values: Iterable[torch.Tensor | bytes]) -> str:
    """SHA-256 of tensors, bit by bit."""
    found = hashlib.sha256()
    for value in values:
        found.update(value if isinstance(value, bytes) else value.detach().contiguous().numpy().tobytes())
    return found.hexdigest()


def write_cases(folder: Path) -> list[dict[str, str]]:
    """Write two phantoms; returns their files as MONAI's items."""
    items = []
    for number in range(2):
        phantom = lesion_phantom(number, (12, 40, 36))
        files = {key: str(folder / f"p{number}_{key}.nii.gz") for key in ("image", "label")}
        for key, array in (("image", phantom.image), ("label", phantom.labels)):
            write_volume(files[key], array, phantom.spacing)
        items.append(files)
    return items


def lesion_loader(items: list[dict[str, str]]) -> DataLoader:
    steps = [
        LoadImaged(["image", "label"]), EnsureChannelFirstd(["image", "label"]),
        SignedDistanceMapd("label", num_classes=2, include_background=False),
        RandCropByPosNegLabeld(KEYS, "label", (16, 16, 8), num_samples=2),
        RandFlipd(KEYS, 0.5, 0),
        RandRotated(KEYS, 0.3, prob=0.5, mode=["bilinear", "nearest", "bilinear"], padding_mode="border"),
    ]  # fmt: skip
    return DataLoader(Dataset(items, Compose(steps)), batch_size=2, shuffle=True, num_workers=2)


def shared_course(folder: Path, seed: int = 0, broken_off: bool = False) -> list[torch.Tensor]:
    """A plain loop with a share of the gradient and two loader workers; `broken_off` starts anew in the middle."""
    loader, schedule, state = lesion_loader(write_cases(folder)), GradientShare(0.3, 0.5), folder / "state.pt"

    def start() -> tuple[nn.Module, torch.optim.Optimizer, nn.Module]:
        network = UNet(3, 1, 2, (4, 8), (2,), dropout=0.1)
        return network, torch.optim.Adam(network.parameters(), 1e-2), GeneralizedDiceBoundaryLoss(alpha=0.1)

    set_determinism(seed)
    parts = start()
    for epoch in range(4):
        if broken_off and epoch == 2:
            torch.save([part.state_dict() for part in parts], state)
            parts = start()
            parts[2].term_weights = schedule.weights(epoch, 4)
            for part, saved in zip(parts, torch.load(state, weights_only=True), strict=True):
                part.load_state_dict(saved)
        network, optimizer, loss = parts
        set_determinism(100 * seed + epoch)  # MONAI has no state of its loaders to save
        loss.term_weights = schedule.weights(epoch, 4)
        for batch in loader:
            optimizer.zero_grad()
            loss(network(batch["image"]), batch["label"], batch["distance_map"]).backward()
            optimizer.step()
    return [*parts[0].state_dict().values(), *parts[2].state_dict().values()]


def membrane_course() -> list[torch.Tensor]:
    """The boundary-aware loss, whose cut runs in threads, and seeds made in loader workers."""
    set_determinism(0)
    items = [
        {"ids": item["ids"], "image": item["image"]} for item in MembranePhantoms(4, shape=(32, 32), cell_size=12.0)
    ]
    loader = DataLoader(Dataset(items, RegionSeedsd("ids", spacing=(1, 1))), batch_size=4, num_workers=2)
    network, loss = nn.Conv2d(1, 1, 5, padding=2), CrossEntropyBoundaryAwareLoss(threads=3)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(3):
        for batch in loader:
            optimizer.zero_grad()
            loss(network(batch["image"]), batch["membrane"], batch["seeds"]).backward()
            optimizer.step()
    return list(network.state_dict().values())


def bundle_course(folder: Path) -> list[torch.Tensor]:
    """The WMH bundle for two epochs, with two loader workers."""
    cases = []
    for number in range(4):
        phantom = lesion_phantom(number, (12, 40, 36))
        files = [folder / f"b{number}_{index}.nii.gz" for index in range(3)]
        for file, array in zip(files, (phantom.image, -phantom.image, phantom.labels), strict=True):
            write_volume(file, array, phantom.spacing)
        cases.append(CaseFiles(f"b{number}", tuple(files[:2]), files[2]))
    write_datalist(folder / "datalist.json", {"training": cases[:2], "validation": cases[2:]})
    settings: dict[str, Any] = {
        "bundle_root": str(folder / "bundle"), "dataset_dir": str(folder), "num_workers": 2, "max_epochs": 2,
        "val_interval": 2, "patch_size": [16, 16, 8], "network_def#channels": [4, 8, 8, 8],
    }  # fmt: skip
    run_workflow(bundle_folder("wmh_boundary") / "configs", ["train.json"], "train", settings)
    return list(torch.load(folder / "bundle" / "models" / "model.pt", weights_only=True)["model"].values())


def nnunet_course(folder: Path) -> list[torch.Tensor]:
    """nnU-Net's boundary trainer for a few steps, augmentation included."""
    for name in ("raw", "preprocessed", "results"):
        os.environ[f"nnUNet_{name}"] = str(folder / name)
        (folder / name).mkdir()
    os.environ |= {"nnUNet_n_proc_DA": "0", "nnUNet_def_n_proc": "1", "nnUNet_compile": "f"}
    from nnunet_trainers.boundary import nnUNetTrainerBoundary
    from tests.nnunet_trainers.datasets import KINDS, LABELS, write_dataset
    from tests.nnunet_trainers.running import build

    write_dataset(KINDS[LABELS], folder / "raw", folder / "preprocessed")
    set_determinism(0)
    trainer = build(nnUNetTrainerBoundary)
    trainer.on_train_epoch_start()
    for _ in range(3):
        trainer.train_step(next(trainer.dataloader_train))
    return list(trainer.network.state_dict().values())


def map_course(folder: Path, workers: int) -> list[bytes]:
    """Precomputed maps, by one or several processes."""
    labels, maps = folder / "labels", folder / f"maps{workers}"
    labels.mkdir(exist_ok=True)
    for number in range(3):
        phantom = lesion_phantom(number, (12, 40, 36))
        write_volume(labels / f"p{number}.nii.gz", phantom.labels.astype(np.uint8), phantom.spacing)
    precompute_maps(labels, maps, 2, workers=workers, progress=False)
    return [path.read_bytes().partition(b"\n{")[0] for path in sorted(maps.glob("*.b2nd"))]  # then the source's path


def main(folder: Path) -> dict[str, str]:
    """Run all courses; returns their digests."""
    torch.use_deterministic_algorithms(True)
    courses = {
        "share": lambda at: shared_course(at),
        "share, broken off": lambda at: shared_course(at, broken_off=True),
        "another seed": lambda at: shared_course(at, seed=1),
        "membranes": lambda _: membrane_course(),
        "bundle": bundle_course,
        "nnunet": nnunet_course,
        "maps": lambda at: map_course(at, 1),
        "maps of two processes": lambda at: map_course(at, 2),
    }
    digests = {}
    for name, course in courses.items():
        (folder / name).mkdir()
        digests[name] = digest(course(folder / name))
    return digests


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of MONAI, Ignite and nnU-Net
    root = Path(sys.argv[1])
    (root / "digests.json").write_text(json.dumps(main(root)))
