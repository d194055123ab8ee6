"""The command line. Every command imports what it needs when it runs, so that ``--help`` answers at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

__all__ = ["main"]

_CONVENTIONS = ("half", "centre", "kervadec", "kervadec_mm")  # kernels.CONVENTIONS; importing it loads torch
_HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class OneLineErrors(click.Group):
    """Group whose errors are one line on stderr and exit code 2: a traceback helps no user with a wrong path."""

    def main(self, args: Sequence[str] | None = None, *, standalone_mode: bool = True, **kwargs: Any) -> Any:  # type: ignore[override]
        """Run the command line; expected errors end the process when `standalone_mode` is set."""
        if not standalone_mode:
            return super().main(args, standalone_mode=False, **kwargs)
        try:
            code = super().main(args, standalone_mode=False, **kwargs)
        except click.Abort:
            click.echo("aborted", err=True)
            sys.exit(130)
        except click.UsageError as error:
            hint = f"; see '{error.ctx.command_path} --help'" if error.ctx else ""
            _fail(error.format_message().rstrip(".") + hint)
        except click.ClickException as error:
            _fail(error.format_message())
        except OSError as error:
            known = error.strerror and error.filename
            _fail(f"{error.filename}: {error.strerror}" if known else str(error) or type(error).__name__)
        except (ValueError, TypeError, RuntimeError, ImportError) as error:
            _fail(str(error) or type(error).__name__)
        sys.exit(code if isinstance(code, int) else 0)


def _fail(text: str) -> NoReturn:
    click.echo(f"error: {' '.join(text.split())}", err=True)
    sys.exit(2)


@click.group(cls=OneLineErrors, context_settings=_HELP, invoke_without_command=True)
@click.version_option(package_name="monai-boundary", prog_name="monai-boundary")
@click.pass_context
def main(context: click.Context) -> None:
    """Boundary-aware training of segmentation networks for MONAI and nnU-Net.

    To train with nnU-Net:

    \b
      export nnUNet_extTrainer="$(monai-boundary nnunet-path)"
      nnUNetv2_train DATASET 3d_fullres 0 -tr nnUNetTrainerBoundary
    """  # noqa: D301 - click takes the backspace character for "do not wrap"
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@main.command(short_help="Train and test on synthetic lesions, offline.")
@click.option(
    "-o", "--output", default="boundary_demo", show_default=True, help="Folder for everything the demo makes.",
    type=click.Path(path_type=Path),
)  # fmt: skip
@click.option("--epochs", type=click.IntRange(min=1), help="Training epochs.  [default: 8]")
@click.option("--iterations", type=click.IntRange(min=1), hidden=True, help="Training iterations per epoch.")
@click.option("--train-cases", type=click.IntRange(min=5), default=10, hidden=True, help="Number of training cases.")
@click.option("--test-cases", type=click.IntRange(min=1), default=3, hidden=True, help="Number of held-out cases.")
@click.option("--force", is_flag=True, help="Replace an earlier demo in the folder.")
def demo(
    output: Path, epochs: int | None, iterations: int | None, train_cases: int, test_cases: int, force: bool
) -> None:
    """Train and test nnUNetTrainerBoundary on synthetic lesions, offline.

    Generates a small lesion data set with thick slices, then runs nnU-Net's own commands: planning and preprocessing, a
    short training, prediction of held-out cases. Prints Dice and HD95 (mm) per case and writes pictures of the
    contours, of the distance map, and of both loss terms over the epochs. Takes some minutes on two CPU cores.
    """
    from monai_boundary.demo import DemoSettings, run_demo

    run_demo(output, DemoSettings(epochs, iterations, train_cases, test_cases), overwrite=force)


@main.command("nnunet-path")
def nnunet_path() -> None:
    """Print the folder in which nnU-Net finds the trainers.

    \b
      export nnUNet_extTrainer="$(monai-boundary nnunet-path)"
    """  # noqa: D301
    from nnunet_trainers import discovery_folder

    click.echo(discovery_folder())


@main.command()
@click.argument("image", type=click.Path(path_type=Path))
@click.argument("label", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Picture to write, such as out.png."
)
@click.option("--clip", type=float, metavar="MM", help="Limit of the distances in mm.  [default: none]")
@click.option(
    "--convention", default="half", show_default=True, type=click.Choice(_CONVENTIONS),
    help="Where the zero level of the distance map lies.",
)  # fmt: skip
@click.option("--class", "index", type=int, metavar="N", help="Class whose map is drawn.  [default: the largest]")
@click.option("--ignore-index", type=int, metavar="N", help="Label of voxels that do not count.")
def inspect(
    image: Path,
    label: Path,
    output: Path,
    clip: float | None,
    convention: Any,
    index: int | None,
    ignore_index: int | None,
) -> None:
    """Show what the boundary loss sees in one case.

    IMAGE and LABEL are NIfTI files on the same grid. Prints spacing, unit, convention, the number of classes, the
    classes absent, the foreground share, and the range of every class's distance map. Draws the contours of
    the classes on the image and one distance map with iso-lines in mm.
    """
    from monai_boundary._inspect import inspect_case
    from monai_boundary.kernels.map_options import DistanceMapOptions

    written = inspect_case(image, label, output, DistanceMapOptions(convention, clip), index, ignore_index)
    click.echo(f"\nwrote {written}")


@main.command("export-checkpoint", short_help="Make a trained model run in stock nnU-Net.")
@click.argument("source", metavar="MODEL_FOLDER|CHECKPOINT", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder, or checkpoint file, to write."
)
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


if __name__ == "__main__":
    main()
