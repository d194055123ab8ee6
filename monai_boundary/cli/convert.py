"""``monai-boundary convert``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from monai_boundary._words import counted
from monai_boundary.cli.options import PATH

if TYPE_CHECKING:
    from monai_boundary.datasets.convert import Conversion

__all__ = ["convert"]

_CHALLENGES = ("wmh", "isles2018", "isles2022", "acdc")


@click.command(short_help="Convert a challenge's download for nnU-Net and MONAI.")
@click.argument("challenge", type=click.Choice(_CHALLENGES))
@click.argument("source", metavar="SRC", type=PATH)
@click.argument("target", metavar="DST", type=PATH)
@click.option(
    "--dataset-id", type=click.IntRange(1, 999), help="Number of the nnU-Net data set.  [default: by challenge]"
)
@click.option("--dry-run", is_flag=True, help="Read and check everything, write nothing.")
@click.option("--force", is_flag=True, help="Convert every case again and replace what is there.")
def convert(challenge: str, source: Path, target: Path, dataset_id: int | None, dry_run: bool, force: bool) -> None:
    """Convert the unpacked download SRC of a challenge to DST/DatasetXXX_NAME.

    The folder is an nnU-Net raw data set (make DST your $nnUNet_raw) and, by its datalist.json with the published
    split, a data set for MONAI bundles and for "python -m experiments". Damaged or incomplete cases are skipped and
    named, and the command fails after the others are done. To continue an interrupted run, run the same command
    again.
    """
    from monai_boundary.datasets.convert import convert_challenge

    result = convert_challenge(challenge, source, target, dataset_id=dataset_id, overwrite=force, dry_run=dry_run)
    for line in _summary(challenge, result, dry_run):
        click.echo(line)
    if not result.written and not result.kept:
        raise click.ClickException(f"no case of {source} could be converted; the reasons are above")
    if result.skipped:
        raise click.ClickException(
            f"{counted(len(result.skipped), 'case was', 'cases were')} skipped; the reasons are above"
        )


def _summary(challenge: str, result: Conversion, dry_run: bool) -> list[str]:
    lines = []
    for kind, found, expected in zip(("training", "test"), result.found, result.expected, strict=True):
        if found or expected:
            short = "" if found in (0, expected) else " (not the whole data set)"
            lines.append(f"{kind} cases found: {found} of {expected}{short}")
    lines += [f"{'good' if dry_run else 'written'}: {len(result.written)}, from an earlier run: {len(result.kept)}, "
              f"skipped: {len(result.skipped)}"]  # fmt: skip
    lines += [f"  skipped {case}: {reason}" for case, reason in result.skipped.items()]
    by_note: dict[str, list[str]] = {}
    for case, notes in result.notes.items():
        for note in notes:
            by_note.setdefault(note, []).append(case)
    for note, cases in by_note.items():
        lines.append(f"  {note}: {', '.join(cases[:5])}{f' and {len(cases) - 5} more' if len(cases) > 5 else ''}")
    lines.append(
        f"split ({result.split}): " + ", ".join(f"{len(names)} {split}" for split, names in result.splits.items())
    )
    if dry_run:
        return [*lines, f"dry run: nothing was written; the data set would be {result.folder}"]
    number = int(result.folder.name[7:10])
    return [
        *lines,
        f"data set: {result.folder}",
        f"next, nnU-Net: nnUNetv2_plan_and_preprocess -d {number}; for the published split copy splits_final.json to "
        f"$nnUNet_preprocessed/{result.folder.name} and train fold 0",
        f"next, MONAI: {_bundle_command(challenge, result.folder)}",
    ]


def _bundle_command(challenge: str, folder: Path) -> str:
    bundle = {"wmh": "wmh_boundary", "isles2018": "isles_boundary"}.get(challenge)
    if bundle is None:
        return f"no bundle for {challenge}; Auto3DSeg reads {folder / 'datalist.json'}"
    return f"monai-boundary bundle run {bundle} train --dataset_dir {folder}"
