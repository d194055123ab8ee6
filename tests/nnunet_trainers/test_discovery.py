"""How nnU-Net finds the trainers, and the traps on that way.

Not tested here because they cannot happen: a relative import in a searched folder fails (the one searched module has
none), and a searched folder without __init__.py is skipped (the module lies at the top). Predicting without
nnUNet_extTrainer fails with nnU-Net's own message; test_command_line.py shows the way around it.
"""

from __future__ import annotations

import importlib
import inspect
import pickle
import sys
from contextlib import nullcontext
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import nnunetv2
import pytest
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.find_class_by_name import recursive_find_python_class
from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

import nnunet_trainers
from nnunet_trainers import boundary, discovery_folder, refine, require_nnunet, short
from nnunet_trainers.boundary import nnUNetTrainerBoundary
from tests.nnunet_trainers.running import build

TRAINERS = {name: getattr(room, name) for room in (*short.ROOMS, short) for name in room.__all__}


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch):
    """nnU-Net's own search, with the discovery folder named and its look at every stock trainer passed over."""
    monkeypatch.setenv("nnUNet_extTrainer", str(discovery_folder()))
    stock = str(Path(nnunetv2.__path__[0]) / "training" / "nnUNetTrainer")

    def outside_stock(folder: str, *args, **kwargs):
        return None if folder == stock else recursive_find_python_class(folder, *args, **kwargs)

    module = sys.modules[recursive_find_trainer_class_by_name.__module__]
    monkeypatch.setattr(module, "recursive_find_python_class", outside_stock)
    return recursive_find_trainer_class_by_name


@pytest.mark.parametrize("name", TRAINERS)
def test_nnunet_finds_every_trainer_by_name(name: str, search) -> None:
    assert search(name) is TRAINERS[name]


# nnU-Net imports all of its own trainers first, and with them what those import
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_no_stock_trainer_hides_one_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("nnUNet_extTrainer", str(discovery_folder()))
    assert recursive_find_trainer_class_by_name("nnUNetTrainerBoundary") is nnUNetTrainerBoundary
    folder = Path(nnunetv2.__path__[0]) / "training" / "nnUNetTrainer"
    text = "\n".join(path.read_text() for path in folder.rglob("*.py"))
    assert not [name for name in TRAINERS if f"class {name}(" in text]


def test_an_unknown_name_is_nnunets_own_error(search) -> None:
    with pytest.raises(RuntimeError, match="Could not find requested nnunet trainer"):
        search("nnUNetTrainerNoSuchThing")


def test_trainers_and_transform_pickle_after_the_search(search) -> None:
    # nnU-Net forgets each module below the searched folder: classes defined there could not be pickled, and worker
    # processes that are spawned (macOS, Windows) could not start.
    for name, home in (("nnUNetTrainerBoundary_10epochs", "short"), ("nnUNetTrainerBoundary", "boundary")):
        found = search(name)
        assert not [name for name in sys.modules if "trainer_discovery" in name]
        assert found.__module__ == f"nnunet_trainers.{home}"
        assert pickle.loads(pickle.dumps(found)) is found  # noqa: S301
    trainer = build(found)
    transform = trainer.dataloader_train.data_loader.transforms.transforms[-1]
    copy = pickle.loads(pickle.dumps(transform))  # noqa: S301
    assert copy.spacing == transform.spacing
    assert copy.options == transform.options


def test_the_searched_folder_holds_one_module_with_a_name_of_its_own() -> None:
    # nnU-Net imports every module in it, flat, and a name like "trainer" could be taken.
    modules = [path.name for path in discovery_folder().iterdir() if path.name != "__pycache__"]
    assert modules == ["monai_boundary_trainer_discovery.py"]
    assert importlib.util.find_spec("monai_boundary_trainer_discovery") is None  # not importable from elsewhere


@pytest.mark.parametrize("name", [*boundary.__all__, *refine.__all__])
def test_trainers_have_nnunets_five_arguments_and_a_results_folder_of_their_own(name: str) -> None:
    found, expected = (inspect.signature(kind.__init__).parameters for kind in (TRAINERS[name], nnUNetTrainer))
    assert [(one.name, one.default) for one in found.values()] == [(p.name, p.default) for p in expected.values()]
    trainer = build(TRAINERS[name], started=False)
    assert Path(trainer.output_folder).parent.name == f"{name}__tinyPlans__3d_fullres"


@pytest.mark.parametrize(
    ("found", "new"),
    [("2.7.0", False), ("2.5.2", False), ("1.7.1", False), ("2.8", True), ("2.8.1", True), ("2.10.0", True),
     ("3.0", True), ("2.9rc1", True), ("2.9.dev0+g123", True)],
)  # fmt: skip
def test_an_old_nnunet_is_an_error_that_names_the_version(found: str, new: bool, monkeypatch) -> None:
    monkeypatch.setattr(nnunet_trainers, "version", lambda _: found)
    error = pytest.raises(RuntimeError, match=rf"need nnunetv2>=2\.8.*got {found}; pip install -U nnunetv2")
    with nullcontext() if new else error:
        require_nnunet()


def test_a_missing_nnunet_is_an_error_that_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(nnunet_trainers, "version", absent)
    with pytest.raises(RuntimeError, match=r"got none; pip install 'monai-boundary\[nnunet\]'"):
        require_nnunet()
