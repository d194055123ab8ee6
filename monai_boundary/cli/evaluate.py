"""``monai-boundary evaluate``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from monai_boundary._words import counted
from monai_boundary.cli.options import PATH, finish, refuse_earlier

if TYPE_CHECKING:
    from monai_boundary.evaluation import Evaluation
    from monai_boundary.evaluation.tiles import TileEvaluation
    from monai_boundary.metrics.surface import Definition, Empty

__all__ = ["evaluate"]

_WRITTEN = ("report.html", "summary.json", "cases.csv", "lesions.csv")


class _EmptyType(click.ParamType):
    name = "TEXT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Empty:
        if value == "diagonal" or value == "nan":
            chosen: Empty = value
            return chosen
        try:
            return float(value)
        except ValueError:
            self.fail(f"must be 'diagonal', 'nan' or a number of mm, got {value!r}", param, ctx)


@click.command(short_help="Score a folder of predictions: table, summary, report.")
@click.argument("pred", type=PATH)
@click.argument("gt", type=PATH)
@click.option("--protocol", default="surface", show_default=True,
              type=click.Choice(("wmh", "isles", "surface", "lesions", "buildings")),
              help="Set of scores.")  # fmt: skip
@click.option("-o", "--output", required=True, type=PATH, help="Folder for the results.")
@click.option("--cases", metavar="SPLIT|NAMES",
              help="Only these: a split of the datalist beside GT or of INRIA, or names with commas.")  # fmt: skip
@click.option("--images", type=PATH,
              help="Folder of the images, for the pictures.  [default: imagesTr beside labelsTr]")  # fmt: skip
@click.option("--label", "labels", multiple=True, type=click.IntRange(min=1),
              help="Class to score; may be repeated.  [default: 1; every class with surface, lesions]")  # fmt: skip
@click.option("--ignore-index", type=click.IntRange(min=0),
              help="Label in the ground truth where predictions do not count.  "
              "[default: 2 with wmh; else what dataset.json calls ignore]")  # fmt: skip
@click.option("--empty", type=_EmptyType(),
              help="Distance if one side lacks the class: diagonal, nan, or mm.  "
              "[default: diagonal; 374 per lesion with lesions]")  # fmt: skip
@click.option("--tolerance", default=1.0, show_default=True, type=float, help="For surface Dice, in mm.")
@click.option("--surface", "definition", type=click.Choice(("voxels", "surface_elements")),
              help="What surfaces are made of: voxels, as MONAI's, or elements by area, as DeepMind's.  "
              "[default: voxels; surface_elements with lesions]")  # fmt: skip
@click.option("--overlap", type=click.FloatRange(0, 1),
              help="Lesions: share of its voxels that makes one found, or true.  [default: 0, one voxel]")  # fmt: skip
@click.option("--iou", type=click.FloatRange(0, 1),
              help="Lesions: IoU above which two match in panoptic quality.  [default: 0.5]")  # fmt: skip
@click.option("--dilation", type=click.IntRange(min=0), metavar="VOXELS",
              help="Lesions: dilation before lesion-wise scores, 1 or 3 in BraTS.  [default: 1]")  # fmt: skip
@click.option("--min-volume", "min_volume_mm3", type=click.FloatRange(min=0), metavar="MM3",
              help="Lesions: lesion-wise scores leave out lesions up to this.  [default: 0]")  # fmt: skip
@click.option("--size-limits", "size_limits_mm3", nargs=2, type=float, metavar="MM3 MM3",
              help="Lesions: where medium and large ones begin.  [default: 10 100]")  # fmt: skip
@click.option("--theta", default=3.0, show_default=True, type=float,
              help="Boundary F1 (buildings): distance from which a pixel is wrong.")  # fmt: skip
@click.option("--unit", default="px", show_default=True, type=click.Choice(("px", "m")), help="Unit of --theta.")
@click.option("--worst", default=3, show_default=True, type=click.IntRange(min=0), help="Worst cases shown per class.")
@click.option("--force", is_flag=True, help="Replace what is in the folder, files of other programs too.")
@click.option("--allow-missing", is_flag=True, help="A case that is in one folder alone is no error.")
def evaluate(  # noqa: PLR0913 - one argument per option
    pred: Path,
    gt: Path,
    protocol: str,
    output: Path,
    cases: str | None,
    images: Path | None,
    labels: tuple[int, ...],
    ignore_index: int | None,
    empty: Empty | None,
    tolerance: float,
    definition: Definition | None,
    theta: float,
    unit: Literal["px", "m"],
    worst: int,
    force: bool,
    allow_missing: bool,
    **by_lesion: Any,
) -> None:
    """Score the predicted label maps in PRED against the ground truth in GT.

    Writes cases.csv, summary.json and report.html, with box plots, misses and pictures of the worst cases; with
    --protocol lesions also lesions.csv, a line for every lesion.
    PRED is any folder that nnU-Net or MONAI wrote; GT holds one label map per case, such as labelsTr:
    NIfTI, or PNG, TIFF and BMP.
    The command fails, after it has written all of that, if a case could not be scored; see --allow-missing.
    A file that takes more than 8 GB of memory is refused; MONAI_BOUNDARY_MAX_GB raises that.

    \b
      wmh        Dice, HD95, volume difference, lesion recall and F1; label 2 ignored
      isles      Dice, volume difference, lesion F1, lesion count difference, HD95
      surface    Dice, HD95, HD, average surface distance, surface Dice
      lesions    of every lesion: Dice, HD95, surface Dice as in BraTS, CC-Dice; panoptic quality;
                 recall, precision, F1, false lesions; by size
      buildings  IoU, boundary F1, precision, recall of GeoTIFFs, such as train/gt of INRIA;
                 takes --theta, --unit, --images and --worst
    """  # noqa: D301
    from monai_boundary._files import only_writer

    given = {name: value for name, value in by_lesion.items() if value is not None}
    if given and protocol != "lesions":
        raise click.UsageError(
            "--overlap, --iou, --dilation, --min-volume and --size-limits must be given with --protocol lesions alone"
        )
    if protocol == "buildings":
        if labels or ignore_index is not None:
            raise click.UsageError("--label and --ignore-index must not be given with --protocol buildings")
        from monai_boundary.evaluation.report import write_tiles_report
        from monai_boundary.evaluation.tiles import chosen_tiles, evaluate_tiles

        with only_writer(output):
            refuse_earlier(output, _WRITTEN, force)
            chosen = None if cases is None else chosen_tiles(cases, gt)
            tiles = evaluate_tiles(pred, gt, theta, unit, cases=chosen)
            title = f"{pred.resolve().name}: buildings"
            written = _write(tiles, output, lambda path: write_tiles_report(tiles, path, images, worst, title))
        _finish(_tile_lines(tiles), tiles, written, "tile", allow_missing)
        return
    from monai_boundary.evaluation import EvaluationSettings, evaluate_folder, write_report
    from monai_boundary.evaluation.matching import chosen_cases
    from monai_boundary.metrics import LesionSettings

    lesions = LesionSettings(**given) if given else None
    settings = EvaluationSettings(protocol, labels or None, ignore_index, empty, tolerance, definition, lesions)
    with only_writer(output):
        refuse_earlier(output, _WRITTEN, force)
        result = evaluate_folder(pred, gt, settings, cases=None if cases is None else chosen_cases(cases, gt))
        title = f"{pred.resolve().name}: {protocol} scores"
        written = _write(result, output, lambda path: write_report(result, path, images, worst, title))
    _finish(_case_lines(result), result, written, "case", allow_missing)


def _write(result: Evaluation | TileEvaluation, output: Path, write_report: Callable[[Path], Path]) -> dict[str, Path]:
    """Write tables and report so that they are all of this run, and return where they are."""
    from monai_boundary._files import together
    from monai_boundary.evaluation import write_tables

    with together(output, "report.html") as part:
        paths = {**write_tables(result, part), "report": write_report(part / "report.html")}
    for name in set(_WRITTEN) - {path.name for path in paths.values()}:
        (output / name).unlink(missing_ok=True)  # of an earlier run by another protocol
    return {name: output / path.name for name, path in paths.items()}


def _finish(
    lines: list[str], result: Evaluation | TileEvaluation, written: dict[str, Path], thing: str, allow_missing: bool
) -> None:
    """Print the scores, what was lost and where all is."""
    missing = {"prediction": result.without_prediction, "ground truth": [file.name for file in result.without_target]}
    finish(lines, result.failed, missing, written, thing, "scored", allow_missing)


def _tile_lines(result: TileEvaluation) -> list[str]:
    from monai_boundary.evaluation.tiles import SCORES

    summary = result.summary()
    lines = [f"\n{counted(summary['tiles'], 'tile')}, boundary F1 with theta {result.theta:g} {result.unit}",
             f"  {'IoU of all pixels':26s}{_number(summary['iou_of_all_pixels'], 3)}",
             f"  {'per tile':26s}{'mean':>9s}{'sd':>9s}{'n':>6s}"]  # fmt: skip
    for name, metric in SCORES.items():
        score = summary["scores"][name]
        lines.append(f"  {metric.title:26s}{_number(score['mean'], 3)}{_number(score['sd'], 3)}{score['n']:6d}")
    return lines


def _case_lines(result: Evaluation) -> list[str]:
    from monai_boundary.evaluation.runs import name_some
    from monai_boundary.metrics import PROTOCOLS

    summary, lines = result.summary(), []
    for label, found in summary["labels"].items():
        lines.append(f"\nclass {label}: {counted(summary['cases'], 'case')}, {len(found['missed'])} missed, "
                     f"{counted(len(found['false_alarms']), 'false alarm')}")  # fmt: skip
        lines.append(f"  {'':26s}{'mean':>9s}{'sd':>9s}{'median':>9s}{'n':>6s}")
        for name, metric in PROTOCOLS[result.settings.protocol].items():
            score = found["scores"][name]
            numbers = "".join(_number(score[key], metric.places) for key in ("mean", "sd", "median"))
            lines.append(f"  {metric.title:26s}{numbers}{score['n']:6d}")
    unnamed = [f"{value} (in {counted(count, 'case')})" for value, count in summary["unnamed_labels"].items()]
    return lines + ([f"\nlabels of none of the classes that are scored: {name_some(unnamed)}"] if unnamed else [])


def _number(value: float | None, places: int) -> str:
    return f"{'-':>9s}" if value is None else f"{value:9.{places}f}"
