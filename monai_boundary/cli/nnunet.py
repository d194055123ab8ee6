"""Commands around nnU-Net: the demo, the folder of the trainers, and the export of a model."""

from __future__ import annotations

from pathlib import Path

import click

from monai_boundary.cli.options import PATH

__all__ = ["demo", "export", "nnunet_path"]


@click.command(short_help="Train and test on synthetic lesions, offline.")
@click.option(
    "-o", "--output", default="boundary_demo", show_default=True, help="Folder for everything the demo makes.",
    type=PATH,
)  # fmt: skip
@click.option("--epochs", type=click.IntRange(min=1), help="Training epochs.  [default: 8]")
@click.option("--iterations", type=click.IntRange(min=1), hidden=True, help="Training iterations per epoch.")
@click.option("--train-cases", type=click.IntRange(min=5), default=10, hidden=True, help="Number of training cases.")
@click.option("--test-cases", type=click.IntRange(min=1), default=3, hidden=True, help="Number of held-out cases.")
@click.option("--force", is_flag=True, help="Replace an earlier demo in the folder.")
def demo(
    output: Path, epochs: int | None, iterations: int | None, train_cases: int, test_cases: int, force: bool
) -> None:
    """Train and test nnUNetTrainerDiceCEBoundary on synthetic lesions, offline.

    Generates a small lesion data set with thick slices, then runs nnU-Net's own commands: planning and preprocessing, a
    short training, prediction of held-out cases. Prints Dice and HD95 (mm) per case and writes pictures of the
    contours, of the distance map, and of both loss terms over the epochs. Takes some minutes on two CPU cores.
    """
    from monai_boundary.demo import run_demo

    run_demo(output, {"run_epochs": epochs, "run_iterations": iterations}, train_cases, test_cases, force)


@click.command("nnunet-path")
def nnunet_path() -> None:
    """Print the folder in which nnU-Net finds the trainers.

    \b
      export nnUNet_extTrainer="$(monai-boundary nnunet-path)"
    """  # noqa: D301
    from nnunet_trainers import discovery_folder

    click.echo(discovery_folder())


@click.command("export-checkpoint", short_help="Make a trained model run in stock nnU-Net.")
@click.argument("source", metavar="MODEL_FOLDER|CHECKPOINT", type=PATH)
@click.option("-o", "--output", required=True, type=PATH, help="Folder, or checkpoint file, to write.")
@click.option("--force", is_flag=True, help="Replace what is there.")
def export(source: Path, output: Path, force: bool) -> None:
    """Copy a trained model so that stock nnU-Net runs it without this package.

    The network is nnU-Net's own, so only the trainer's name changes. For a model folder such as
    nnUNetTrainerBoundary__nnUNetPlans__3d_fullres, OUTPUT receives nnUNetTrainer__nnUNetPlans__3d_fullres; make it the
    folder of the data set in nnUNet_results, and nnUNetv2_predict needs no -tr. For one checkpoint, OUTPUT is the new
    file.
    """
    from monai_boundary.export import export_checkpoint

    click.echo(f"wrote {export_checkpoint(source, output, overwrite=force)}")
