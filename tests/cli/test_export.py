"""`monai-boundary export-checkpoint`."""

import pytest
import torch

from tests.cli.calling import assert_fails


def load(path):
    return torch.load(path, weights_only=False)


def test_a_model_folder_is_exported_under_the_stock_name(run, model, tmp_path):
    result = run("export-checkpoint", model, "-o", tmp_path / "shared")
    folder = tmp_path / "shared" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"wrote {folder}\n"
    names = ["dataset.json", "dataset_fingerprint.json", "fold_0", "fold_0/checkpoint_final.pth", "plans.json"]
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == names
    checkpoint = load(folder / "fold_0" / "checkpoint_final.pth")
    assert checkpoint["trainer_name"] == "nnUNetTrainer"
    assert torch.equal(checkpoint["network_weights"]["weight"], torch.arange(4.0))
    assert "alpha" not in checkpoint["logging"]
    assert len(checkpoint["logging"]["train_losses"]) == 2


def test_one_checkpoint_is_exported_to_a_file_and_the_source_stays_as_it_was(run, model, tmp_path):
    source = model / "fold_0" / "checkpoint_final.pth"
    before = source.read_bytes()
    result = run("export-checkpoint", source, "-o", tmp_path / "new" / "stock.pth")
    assert result.exit_code == 0, result.stderr
    assert load(tmp_path / "new" / "stock.pth")["trainer_name"] == "nnUNetTrainer"
    assert source.read_bytes() == before


def test_an_existing_destination_is_kept_unless_forced(run, model, tmp_path):
    folder = tmp_path / "out" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    folder.mkdir(parents=True)
    (folder / "precious").touch()
    assert_fails(run("export-checkpoint", model, "-o", tmp_path / "out"), folder, "already exists", "--force")
    assert (folder / "precious").exists()
    assert run("export-checkpoint", model, "-o", tmp_path / "out", "--force").exit_code == 0
    assert not (folder / "precious").exists()
    assert [path.name for path in (tmp_path / "out").iterdir()] == [folder.name]


def test_a_checkpoint_is_not_exported_onto_itself(run, model):
    source = model / "fold_0" / "checkpoint_final.pth"
    assert_fails(run("export-checkpoint", source, "-o", source, "--force"), "must differ from the source")


@pytest.mark.parametrize("as_folder", [True, False])
def test_a_truncated_checkpoint_is_refused_and_leaves_nothing_behind(run, model, tmp_path, as_folder):
    source = model / "fold_0" / "checkpoint_final.pth"
    source.write_bytes(source.read_bytes()[:700])
    output = tmp_path / "out" if as_folder else tmp_path / "out" / "stock.pth"
    result = run("export-checkpoint", model if as_folder else source, "-o", output)
    assert_fails(result, source, "must be a complete checkpoint")
    assert not (tmp_path / "out").exists()


class Foreign:
    """Stands for an object of some other program."""


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"not a checkpoint", "checkpoint"),
        (b"", "must be a complete checkpoint"),
        ({"state_dict": {}}, "without network_weights, trainer_name, init_args"),
        ([1, 2], "got a list"),
        ({"network_weights": Foreign()}, "cannot be read safely"),
    ],
)
def test_a_foreign_checkpoint_is_refused(run, tmp_path, content, text):
    source = tmp_path / "foreign.pth"
    source.write_bytes(content) if isinstance(content, bytes) else torch.save(content, source)
    assert_fails(run("export-checkpoint", source, "-o", tmp_path / "out.pth"), source, text)
    assert not (tmp_path / "out.pth").exists()


def test_a_folder_that_is_no_model_is_refused(run, model, tmp_path):
    (model / "plans.json").unlink()
    assert_fails(run("export-checkpoint", model, "-o", tmp_path / "o"), "1 checkpoints and no plans.json")
    assert_fails(run("export-checkpoint", tmp_path, "-o", tmp_path / "o"), "must be a trained nnU-Net model folder")
    assert_fails(run("export-checkpoint", tmp_path / "none", "-o", tmp_path / "o"), "none does not exist")
