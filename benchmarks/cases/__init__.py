"""Every case that ``pytest benchmarks`` measures: a module for a section of docs/benchmarks.md, a row for a case."""

from benchmarks.cases import barrier, lesions, losses, maps, nnunet, scores, stored, tiles

__all__ = ["CASES"]

CASES = {
    case.name: case
    for module in (maps, lesions, losses, scores, barrier, nnunet, stored, tiles)
    for case in module.CASES
}
