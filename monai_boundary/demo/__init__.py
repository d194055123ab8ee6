"""``monai-boundary demo``: the whole job on synthetic lesions, through nnU-Net's own commands."""

from monai_boundary.demo.run import DemoSettings, run_demo

__all__ = ["DemoSettings", "run_demo"]
