"""``monai-boundary advise``: what a data set holds, and what the evidence supports for it."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monai_boundary._words import counted
from monai_boundary.cli.options import PATH, refuse_file

if TYPE_CHECKING:
    import pandas as pd

    from monai_boundary.evaluation.advice import Advice, Finding
    from monai_boundary.evaluation.label_survey import LabelSurvey

__all__ = ["advise"]

_WORDS = {"gain": "A gain.", "lead": "A lead only.", "none": "No gain has been shown."}


@click.command(short_help="Say what the evidence supports for a data set.")
@click.argument("dataset", type=PATH)
@click.option("-o", "--output", type=PATH, help="Picture of the sizes of all lesions, such as sizes.png.")
@click.option("--force", is_flag=True, help="Replace a picture that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print all figures and the advice as JSON.")
def advise(dataset: Path, output: Path | None, force: bool, as_json: bool) -> None:
    """Look at the labels of DATASET, and say which trainer, map and share the evidence supports for such data.

    DATASET is a raw data set of nnU-Net (dataset.json, labelsTr), of 2D images as well, or a MONAI datalist. Images
    and test cases are not read. A lesion is a connected component: voxels of a class that touch, by a corner at least.
    Where we have shown no gain for such data, the answer says so.
    """
    import json

    from monai_boundary.datasets.label_maps import label_files
    from monai_boundary.evaluation.advice import advise as advice_for
    from monai_boundary.evaluation.label_survey import survey_labels

    if output is not None:
        refuse_file(output, label_files(dataset).files.values(), force)
    survey = survey_labels(dataset)
    findings = advice_for(survey)
    if as_json:
        advice = [finding.summary() for finding in findings]
        click.echo(json.dumps({**survey.summary(), "advice": advice}, indent=1))
    else:
        click.echo("\n".join([*_facts(survey), "", *_table(survey), "", *_answer(findings)]))
    if output is not None:
        click.echo(f"wrote {_save_picture(survey, output)}", err=as_json)
    if lost := survey.failed:
        reasons = "; ".join(f"{case}: {reason}" for case, reason in lost.items())
        raise click.ClickException(
            f"{len(lost)} of {counted(len(lost) + len(survey.cases), 'case')} not counted: {reasons}"
        )


def _facts(survey: LabelSurvey) -> list[str]:
    spacings, axes = survey.spacings, "zyx"[-survey.ndim :]
    things = "image" if survey.ndim == 2 else "volume"
    steps = " x ".join(_range(spacings[axis]) for axis in axes)
    unit = survey.size_unit.partition("^")[0]
    lines = [
        f"{survey.dataset.resolve().name}: {counted(len(survey.cases), things)}",
        f"spacing {steps} {unit} ({', '.join(axes)}), anisotropy {_range(spacings['anisotropy'])}",
    ]
    named = ", ".join(survey.classes) or "none"
    return lines + [
        f"label {value}, in {counted(count, 'case')}, is of no class (classes: {named})"
        for value, count in survey.unnamed.items()
    ]


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def _range(values: pd.Series) -> str:
    """Median, and the range where there is one."""
    low, high = _number(values.min()), _number(values.max())
    return low if low == high else f"{_number(values.median())} ({low} to {high})"


def _table(survey: LabelSurvey) -> list[str]:
    """Return a line per class: medians over the cases that hold it, sizes over all lesions, with their ranges."""
    from monai_boundary.evaluation.label_survey import pooled

    unit = survey.size_unit
    units = {f"lesion {unit}": False} | ({} if unit == "px" else {"lesion voxels": True})
    rows = [["class", "cases", "without", "share %", "lesions", *units, "boundary"]]
    for name in survey.classes:
        table, lost = survey.table(name), len(survey.without(name))
        rows.append([name, str(len(table)), str(lost)])
        if len(table):
            sizes = [pooled(survey.sizes(name, in_voxels)) for in_voxels in units.values()]
            rows[-1] += map(_range, (table["share"], table["lesions"], *sizes, table["boundary"]))
    widths = [max(len(row[place]) for row in rows if place < len(row)) for place in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]
    return [
        *lines,
        "medians (range); without: cases that lack the class; boundary: boundary voxels per foreground voxel",
    ]


def _answer(findings: list[Finding]) -> list[str]:
    lines = []
    for finding in findings:
        advice, classes = finding.advice, finding.classes
        reasons = [f"{name}: {text}" if len(classes) > 1 else text for name, text in classes.items() if text]
        parts = {
            "why": "; ".join(reasons),
            "evidence": f"{_WORDS[advice.verdict]} {advice.sentence} {advice.page}",
            "train": "" if advice.beside else _training(advice),
        }
        lines.append(f"{advice.kind}: {', '.join(classes)}")
        lines += [_wrapped(title, text) for title, text in parts.items() if text]
    return lines or ["no foreground in any case: nothing to advise on"]


def _training(advice: Advice) -> str:
    from monai_boundary.evaluation.advice import STOCK

    if advice.bundle:
        stock, how = "the usual loss", "compare both"
    else:
        stock, how = f"{STOCK}, nnU-Net's own loss", "compare both by monai-boundary compare"
    if advice.verdict == "none":
        return f"{stock}; to try: {advice.tool}; {how}"
    return f"{advice.tool}; the control: {stock}; {how}"


def _wrapped(title: str, text: str) -> str:
    return textwrap.fill(text, 100, initial_indent=f"  {title:10s}", subsequent_indent=" " * 12, break_on_hyphens=False)


def _save_picture(survey: LabelSurvey, output: Path) -> Path:
    import numpy as np

    from monai_boundary.reports import save_figure
    from monai_boundary.reports.sizes import sizes_figure

    voxels = [case.voxel_size for case in survey.cases.values()]
    empty = dict.fromkeys(survey.cases, np.empty(0))
    classes = {name: {**empty, **survey.sizes(name)} for name in survey.classes}
    return save_figure(sizes_figure(classes, survey.size_unit, (min(voxels), max(voxels))), output)
