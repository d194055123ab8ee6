"""``monai-boundary demo``: a complete job on synthetic lesions, with nnU-Net's own commands.

`steps` is the demo from data to pictures, `child_process` runs one command of nnU-Net. The phantoms are made in
`monai_boundary.datasets`; the trainer is in `nnunet_trainers`.
"""

from monai_boundary.demo.steps import run_demo

__all__ = ["run_demo"]
