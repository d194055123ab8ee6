"""Hand-made faults in the synthetic experiment of the boundary F1 paper, its losses, scores, tables and pictures."""

from __future__ import annotations

from tests.mutants.mutants import Mutant

# ruff: noqa: E501 - a table reads best with one row per line

AICD, LOSS, PICTURE = "unit/test_aicd.py", "unit/test_building_losses.py", "unit/test_examples.py"
_A, _T, _B = "protocols/aicd.py", "protocols/aicd_table.py", "protocols/buildings.py"
_S, _G, _E = "protocols/series.py", "protocols/training.py", "reports/examples.py"
BUILDINGS = [
    Mutant("a scored image trains", _A, "return made[: -shared.scored], made[-shared.scored :]", "return made, made[-shared.scored :]", AICD),
    Mutant("the first quarter is scored", _A, "return made[: -shared.scored], made[-shared.scored :]", "return made[shared.scored :], made[: shared.scored]", AICD),
    Mutant("half of the images are scored", _A, "round(self.images / 4 / _GROUP)", "round(self.images / 2 / _GROUP)", AICD),
    Mutant("groups of outlines may be broken", _A, "or self.images % _GROUP:", ":", AICD),
    Mutant("edge band one too wide", _A, "band[width:-width, width:-width] = False", "band[width + 1 : -width - 1, width + 1 : -width - 1] = False", AICD),
    Mutant("edge subset inverted", _A, '"at_edge": phantom.at_edge,', '"at_edge": not phantom.at_edge,', AICD),
    Mutant("band score of the whole image", _A, "iou(mask[band], true[band])", "iou(mask, true)", AICD),
    Mutant("examples of whole buildings", _A, "if phantom.at_edge][:_EXAMPLES]", "][:_EXAMPLES]", AICD),
    Mutant("diverged networks are scored", _A, "if not logits.isfinite().all():", "if False:", AICD),
    Mutant("all seeds are one", _A, "    set_determinism(seed)\n", "    set_determinism(0)\n", AICD),
    Mutant("kept predictions of other images", _A, "_pack_mask(masks[index])", "_pack_mask(masks[0])", AICD),
    Mutant("finished runs are repeated", _S, "return [run for run in plain if not any(", "return [run for run in plain if True or not any(", AICD),
    Mutant("other settings count as finished", _S, "for key in keys or run)", 'for key in ("loss", "seed"))', AICD),
    Mutant("cut-off lines pass", _S, "            raise ValueError(\n", "            continue\n            raise ValueError(\n", AICD),
    Mutant("the last epoch has no point", _G, "if epoch % budget.score_every and epoch != budget.epochs:", "if epoch % budget.score_every or epoch == budget.epochs:", AICD),
    Mutant("whole and cut swapped", _T, 'case["at_edge"] == at_edge]', 'case["at_edge"] != at_edge]', AICD),
    Mutant("settings mixed in one mean", _T, "groups[json.dumps([row[key] for key in _SETTINGS])]", 'groups[""]', AICD),
    Mutant("quarter of the epochs is the end", _T, "return early[-1] if early else points[0]", "return points[-1]", AICD),
    Mutant("columns of the paper swapped", _T, '{"paper IoU": 0, "paper BF1": 1}', '{"paper IoU": 1, "paper BF1": 0}', AICD),
    Mutant("difference of unlike seeds", _T, "other[seed]) for seed in own if seed in other]", "other[max(other)]) for seed in own if seed in other]", AICD),
    Mutant("spread of all seeds and images", "protocols/table.py", "{format(stdev(values)", "{format(stdev([*values, *values])", AICD),
    Mutant("weights swapped", _B, "self.weight * other + (1 - self.weight) * total", "(1 - self.weight) * other + self.weight * total", LOSS),
    Mutant("Dice in place of the IoU loss", _B, "self.iou = DiceLoss(sigmoid=True, jaccard=True)", "self.iou = DiceLoss(sigmoid=True)", LOSS),
    Mutant("no cross-entropy", _B, "        if self.cross_entropy:\n", "        if False:\n", LOSS),
    Mutant("cross-entropy diluted by pixels without data", _B, " / share\n", "\n", LOSS),
    Mutant("pixels without data are background", _B, "torch.where(counted, input, _NEVER), torch.where(counted, target, 0)", "input, torch.where(counted, target, 0)", LOSS),
    Mutant("specificity of pixels without data", _B, "SensitivitySpecificityLoss(sigmoid=True, ignore_index=ignore_index)", "SensitivitySpecificityLoss(sigmoid=True)", LOSS),
    Mutant("boundary of pixels without data", _B, "BoundaryF1Loss(theta=theta, sigmoid=True, ignore_index=ignore_index)", "BoundaryF1Loss(theta=theta, sigmoid=True)", LOSS),
    Mutant("theta of the row ignored", _B, "BoundaryF1Loss(theta=theta, sigmoid", "BoundaryF1Loss(theta=3, sigmoid", LOSS),
    Mutant("weight does not move", _B, "Increase(0.0, weight)", "Increase(weight, weight)", LOSS),
    Mutant("scores of pixels without data", _B, "pred & counted, target & counted", "pred, target", LOSS),
    Mutant("missed and false swapped", _E, "(pred & truth, truth & ~pred, pred & ~truth)", "(pred & truth, pred & ~truth, truth & ~pred)", PICTURE),
    Mutant("curves of the mean", "reports/curves.py", "np.median(values, axis=0)", "values.mean(axis=0)", PICTURE),
]  # fmt: skip
