"""``monai-boundary compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from monai_boundary._words import counted
from monai_boundary.cli.options import PATH, refuse_earlier

if TYPE_CHECKING:
    from monai_boundary.evaluation.compare import Comparison, PairedDifference

__all__ = ["compare"]


@click.command(short_help="Compare results of evaluate case by case: intervals, tests, ranks.")
@click.argument("runs", nargs=-1, type=PATH, metavar="RUN_A RUN_B [...]")
@click.option("-o", "--output", type=PATH,
              help="Folder for comparison.json and comparison.png.  [default: print alone]")  # fmt: skip
@click.option("--score", "scores", multiple=True, help="Score to compare, such as dice; may be repeated.  "
              "[default: all]")  # fmt: skip
@click.option("--common", is_flag=True, help="Compare the cases that all runs have.")
@click.option("--all-pairs", is_flag=True, help="Compare every run with every other, not each with RUN_A.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Of the bootstrap.")
@click.option("--force", is_flag=True, help="Replace earlier results in the folder.")
def compare(
    runs: tuple[Path, ...],
    output: Path | None,
    scores: tuple[str, ...],
    common: bool,
    all_pairs: bool,
    seed: int,
    force: bool,
) -> None:
    """Compare two or more results of evaluate over the same cases.

    RUN_A is the reference. A run is a folder that evaluate wrote, or the cases.csv or summary.json in it. All must be
    scored by one protocol with the same settings.

    \b
      difference  mean over the cases of (run less reference), with its 95 % bootstrap interval
      p           Wilcoxon's signed-rank test; p Holm: corrected for all tests of the table
      rank        of the run within a case, 1 for the best; mean over the cases
    """  # noqa: D301
    from monai_boundary.evaluation.compare import compare_runs

    if output is None:
        click.echo("\n".join(_lines(compare_runs(runs, scores or None, common, all_pairs, seed))))
        return
    from monai_boundary._files import only_writer
    from monai_boundary.evaluation.comparison_files import write_comparison

    with only_writer(output):
        refuse_earlier(output, ("comparison.json", "comparison.png"), force)
        result = compare_runs(runs, scores or None, common, all_pairs, seed)
        summary, picture = write_comparison(result, output)
    click.echo("\n".join([*_lines(result), "", f"summary: {summary}", f"picture: {picture}"]))


def _lines(result: Comparison) -> list[str]:
    return [*_tables(result), *_ranks(result), *(f"\nnote: {note}" for note in result.notes)]


def _tables(result: Comparison) -> list[str]:
    """Return a table for each class and pair of runs."""
    blocks: dict[tuple, list[PairedDifference]] = {}
    for one in result.differences:
        blocks.setdefault((one.label, one.reference, one.run), []).append(one)
    lines = []
    for (label, reference, run), rows in blocks.items():
        cases = len(result.values(label, rows[0].score))
        lines += [
            f"\nclass {label}, {counted(cases, 'case')}: {run} less {reference}",
            *_failures(result, label, reference, run),
        ]
        lines.append(
            f"  {'(+) higher, (-) lower is better':32s}{'reference':>10s}{'run':>9s}{'difference':>12s}"
            f"  {'95 % interval':20s}{'better':>7s}{'worse':>7s}{'pairs':>7s}{'p':>9s}{'p Holm':>9s}"
        )
        lines += [_line(one) for one in rows]
        lines += [f"    {_title(one.score)}: {one.undecided}" for one in rows if one.undecided]
        lines += _left_out(rows)
    return lines


def _line(one: PairedDifference) -> str:
    from monai_boundary.evaluation.runs import METRICS

    metric = METRICS[one.score]
    places = max(metric.places, 1)
    interval = "" if one.interval is None else "[{:+.{p}f}, {:+.{p}f}]".format(*one.interval, p=places)
    means = "".join(_number(mean, width, places) for mean, width in ((one.reference_mean, 10), (one.run_mean, 9)))
    arrow = "(+)" if metric.better == "higher" else "(-)"
    return (
        f"  {metric.title + ' ' + arrow:32s}{means}{_number(one.difference, 12, places, '+')}  {interval or '-':20s}"
        f"{one.better:7d}{one.worse:7d}{one.pairs:7d}{_probability(one.p)}{_probability(one.p_holm)}"
    )


def _number(value: float | None, width: int, places: int, sign: str = "") -> str:
    return f"{'-':>{width}s}" if value is None else f"{value:{sign}{width}.{places}f}"


def _probability(p: float | None) -> str:
    return f"{'-':>9s}" if p is None else f"{'<0.0001':>9s}" if p < 0.0001 else f"{p:9.4f}"


def _title(score: str) -> str:
    from monai_boundary.evaluation.runs import METRICS

    return METRICS[score].title


def _failures(result: Comparison, label: int | str, *names: str) -> list[str]:
    """Count what a mean of scores may hide."""
    tables = {run.name: run.table.xs(label, level="label") for run in result.runs if run.name in names}
    return [
        f"  {title}: " + ", ".join(f"{name} {int(tables[name][column].sum())}" for name in names)
        for column, title in (("missed", "missed"), ("false_alarm", "false alarms"))
        if all(column in table.columns for table in tables.values())
    ]


def _left_out(rows: list[PairedDifference]) -> list[str]:
    from monai_boundary.evaluation.runs import name_some

    lines = []
    for one in rows:
        cases: dict[str, list[str]] = {}
        for case, why in one.left_out.items():
            cases.setdefault(why, []).append(case)
        named = "; ".join(f"{why}: {name_some(lost, 5)}" for why, lost in cases.items())
        if named:
            lines.append(f"    {_title(one.score)}: {len(one.left_out)} left out, {named}")
    return lines


def _ranks(result: Comparison) -> list[str]:
    table = result.ranks()
    widths = [max(8, len(name) + 2) for name in table.columns]
    lines = ["\nmean rank within a case, 1 for the best"]
    lines.append(
        f"  {'':35s}" + "".join(f"{name:>{width}s}" for name, width in zip(table.columns, widths, strict=True))
    )
    rows = [(f"class {label} {_title(score)}", means, cases) for (label, score, cases), means in table.iterrows()]
    rows.append(("all", table.mean(), None))
    for title, means, cases in rows:
        numbers = "".join(f"{mean:{width}.2f}" for mean, width in zip(means, widths, strict=True))
        lines.append(f"  {title:35s}{numbers}" + ("" if cases is None else f"   {counted(cases, 'case')}"))
    return lines
