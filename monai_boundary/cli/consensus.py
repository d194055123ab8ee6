"""``monai-boundary consensus``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from monai_boundary._words import counted
from monai_boundary.cli.options import PATH, finish

if TYPE_CHECKING:
    from monai_boundary.evaluation.consensus_folder import Consensus

__all__ = ["consensus"]


@click.command(short_help="Keep the lesions of one model that another confirms.")
@click.argument("first", metavar="A", type=PATH)
@click.argument("second", metavar="B", type=PATH)
@click.option("-o", "--output", required=True, type=PATH, help="Folder for the label maps.")
@click.option("--overlap", type=click.FloatRange(0, 1),
              help="Share of a lesion's voxels that B must hold.  [default: 0, one voxel]")  # fmt: skip
@click.option("--distance", "distance_mm", type=click.FloatRange(min=0), metavar="MM",
              help="Instead: B must come this near to the lesion.")  # fmt: skip
@click.option("--union", is_flag=True, help="Keep all lesions of A, and add those that B alone has.")
@click.option("--force", is_flag=True, help="Replace what is in the folder.")
@click.option("--allow-missing", is_flag=True, help="A case that is in one folder alone is no error.")
def consensus(
    first: Path,
    second: Path,
    output: Path,
    overlap: float | None,
    distance_mm: float | None,
    union: bool,
    force: bool,
    allow_missing: bool,
) -> None:
    """Keep a lesion of the predictions in A only where those in B confirm it.

    Writes a label map per case, with the outlines of A, and consensus.json with the numbers of lesions.
    A holds one NIfTI label map per case; B is any folder that nnU-Net or MONAI wrote. Each class is looked at by
    itself, in 2D and 3D.
    The command fails, after it has written all of that, if a case could not be made; see --allow-missing.
    A file that takes more than 8 GB of memory is refused; MONAI_BOUNDARY_MAX_GB raises that.
    """
    if overlap is not None and distance_mm is not None:
        raise click.UsageError("--overlap and --distance must not be given together")
    from monai_boundary.evaluation.consensus import ConsensusRule
    from monai_boundary.evaluation.consensus_folder import consensus_folder

    rule = ConsensusRule(overlap or 0.0, distance_mm, union)
    result = consensus_folder(first, second, output, rule, overwrite=force)
    missing = {"label map in B": result.without_second, "label map in A": [one.name for one in result.without_first]}
    written = {"label maps": result.folder, "summary": result.folder / "consensus.json"}
    finish(_lines(result), result.failed, missing, written, "case", "made", allow_missing)


def _lines(result: Consensus) -> list[str]:
    lines = []
    for label in sorted({one.label for counts in result.counts.values() for one in counts}):
        of = [one for counts in result.counts.values() for one in counts if one.label == label]
        lesions, confirmed, added = (sum(getattr(one, key) for one in of) for key in ("lesions", "confirmed", "added"))
        rest = f"not and kept, {added} of B alone added" if result.rule.union else "removed"
        found = counted(lesions, "lesion")
        lines.append(f"class {label}: {found} in A, {confirmed} confirmed by B, {lesions - confirmed} {rest}")
    return lines or ["no lesion in any case"]
