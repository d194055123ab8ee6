"""The published protocols, and the evidence in docs/: trained, scored and printed by ``python -m experiments NAME``.

Run from a checkout; neither in the wheel nor imported by the package. One subpackage per question, and `shared` for
what several need. Speed is measured in benchmarks/. Every experiment is a `Plan`: fixed settings define runs, each
finished run is one line of JSON and is not repeated, and tables and pictures are made from the lines alone.
"""

__all__ = ["EXPERIMENTS"]

#: Where the command of each experiment is, and what it asks.
EXPERIMENTS = {
    "wmh": ("wmh_isles.commands:wmh", "The boundary loss on WMH 2017, as published."),
    "isles": ("wmh_isles.commands:isles", "The same on ISLES 2018 or 2022."),
    "ms": ("wmh_isles.commands:ms", "The same on two patients with multiple sclerosis."),
    "wmh-phantoms": ("wmh_isles.commands:wmh_phantoms", "The same on phantoms in WMH's layout."),
    "collapse": ("collapse.probe:collapse", "Which maps and schedules survive extreme imbalance?"),
    "hippocampus": ("nnunet.commands:hippocampus", "Trainer against trainer in nnU-Net, hippocampus."),
    "hippocampus-converged": (
        "nnunet.converged:hippocampus_converged",
        "The same by nnU-Net's own schedule, and refined.",
    ),
    "ms-nnunet": ("nnunet.commands:ms_nnunet", "The same on two patients with multiple sclerosis."),
    "patch-maps": ("patch_maps.commands:patch_maps", "Per-patch or whole-volume maps?"),
    "carried-maps": ("carried_maps.measure:carried_maps", "Which transforms does a distance map survive?"),
    "isbi2012": ("membranes.commands:isbi2012", "The boundary-aware loss on ISBI 2012."),
    "gala": ("membranes.commands:gala", "The same in 3D, on gala's FIB-SEM."),
    "cut-accuracy": ("membranes.cut_accuracy:cut_accuracy", "How near does our cut come to the published code?"),
    "aicd": ("buildings.commands:aicd", "The boundary F1 loss on synthetic buildings; no data needed."),
    "pinholes": ("buildings.commands:pinholes", "How much of its boundary F1 comes from pinholes?"),
    "buildings": ("buildings.real_tiles:buildings", "The boundary F1 loss on two tiles of LoveDA."),
    "alignment": ("buildings.real_tiles:alignment", "Do the footprints of these tiles lie on the buildings?"),
    "evidence": ("evidence.commands:evidence", "Does the boundary term help at convergence, case by case?"),
    "dice-scale": ("dice_scale.gradient:dice_scale", "What is left of generalized Dice on large patches?"),
    "picture": ("picture.draw:picture", "The picture of the first page; no data needed."),
    "surrogate": ("buildings.surrogate:surrogate", "How well does the boundary F1 loss follow the score?"),
}
