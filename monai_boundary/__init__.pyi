# The public names of the package: the one table, read by type checkers, by editors and, at run time, by __init__.py.

from .kernels import DistanceMapOptions as DistanceMapOptions
from .kernels import distance_transform as distance_transform
from .kernels import nearest_label as nearest_label
from .kernels import signed_distance as signed_distance
from .kernels import signed_distance_map as signed_distance_map
from .losses import BlobLoss as BlobLoss
from .losses import BoundaryAwareLoss as BoundaryAwareLoss
from .losses import BoundaryF1IoULoss as BoundaryF1IoULoss
from .losses import BoundaryF1Loss as BoundaryF1Loss
from .losses import BoundaryLoss as BoundaryLoss
from .losses import CollapseGuard as CollapseGuard
from .losses import ComponentDiceLoss as ComponentDiceLoss
from .losses import CrossEntropyBoundaryAwareLoss as CrossEntropyBoundaryAwareLoss
from .losses import DeepSupervisionLoss as DeepSupervisionLoss
from .losses import GeneralizedDiceBoundaryLoss as GeneralizedDiceBoundaryLoss
from .losses import GeneralizedDiceLoss as GeneralizedDiceLoss
from .losses import GeneralizedSurfaceLoss as GeneralizedSurfaceLoss
from .losses import HausdorffDistanceLoss as HausdorffDistanceLoss
from .losses import RegionBoundaryLoss as RegionBoundaryLoss
from .losses import RegionWiseLoss as RegionWiseLoss
from .losses import SensitivitySpecificityLoss as SensitivitySpecificityLoss
from .losses import Share as Share
from .losses import TopologyLoss as TopologyLoss
from .schedules import Constant as Constant
from .schedules import GradientShare as GradientShare
from .schedules import Increase as Increase
from .schedules import Rebalance as Rebalance
from .schedules import WaitForRegion as WaitForRegion
from .schedules import Warmup as Warmup
from .schedules import suggest_alpha as suggest_alpha
from .transforms import BoundaryBand as BoundaryBand
from .transforms import BoundaryBandd as BoundaryBandd
from .transforms import LesionCells as LesionCells
from .transforms import LesionCellsd as LesionCellsd
from .transforms import PrecomputedDistanceMapd as PrecomputedDistanceMapd
from .transforms import RegionSeeds as RegionSeeds
from .transforms import RegionSeedsd as RegionSeedsd
from .transforms import RescaleDistanceMap as RescaleDistanceMap
from .transforms import RescaleDistanceMapd as RescaleDistanceMapd
from .transforms import SignedDistanceMap as SignedDistanceMap
from .transforms import SignedDistanceMapd as SignedDistanceMapd
from .weight_search import WeightSearch as WeightSearch

__version__: str
