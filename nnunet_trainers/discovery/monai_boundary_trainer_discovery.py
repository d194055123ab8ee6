"""The only module nnU-Net searches. It holds no code of its own: nnU-Net forgets it after the search."""

from nnunet_trainers.boundary import *  # noqa: F403
from nnunet_trainers.challenges import *  # noqa: F403
from nnunet_trainers.lesions import *  # noqa: F403
from nnunet_trainers.refine import *  # noqa: F403
from nnunet_trainers.short import *  # noqa: F403
