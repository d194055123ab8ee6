"""Reproduction protocols and the evidence of docs/: trained, scored and printed by ``python -m experiments NAME``.

Run from a checkout; neither in the wheel nor imported by the package. One room for each question, and `shared` for what
several need. Speed is measured in benchmarks/.
"""

#: Module and command of each experiment, and what it is.
EXPERIMENTS = {
    "wmh": ("wmh_isles.commands:wmh", "The boundary loss on WMH 2017."),
    "isles": ("wmh_isles.commands:isles", "The boundary loss on ISLES 2018 or 2022."),
    "aicd": ("buildings.commands:aicd", "The boundary F1 loss on synthetic buildings; no data needed."),
    "isbi2012": ("membranes.commands:isbi2012", "The boundary-aware loss on ISBI 2012."),
    "gala": ("membranes.commands:gala", "The boundary-aware loss in 3D, on gala's FIB-SEM."),
}
