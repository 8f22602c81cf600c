"""Learning-rate schedules: pure functions of the step.

`StepLR(lr=0.1, step_size=30)(step)` is the rate of that step; the rate before any schedule stands
in the place of torch's optimizer. `dataclasses.replace(optimizer, lr=schedule(step))` is all that
it takes to use one. Step 0 is the first: torch has stepped its schedulers once when they are built.

torch goes from one rate to the next, so that schedules can be chained; `follow(step, rate)` does
that here: the rate of `step`, where `rate` is that of the step before. Without others in between,
both ways lead to the same rates, up to rounding.
"""

from npnet.optim.lr_scheduler.composed import ChainedScheduler as ChainedScheduler
from npnet.optim.lr_scheduler.composed import SequentialLR as SequentialLR
from npnet.optim.lr_scheduler.cyclic import CosineAnnealingLR as CosineAnnealingLR
from npnet.optim.lr_scheduler.cyclic import (
    CosineAnnealingWarmRestarts as CosineAnnealingWarmRestarts,
)
from npnet.optim.lr_scheduler.cyclic import CyclicLR as CyclicLR
from npnet.optim.lr_scheduler.cyclic import OneCycleLR as OneCycleLR
from npnet.optim.lr_scheduler.decay import ConstantLR as ConstantLR
from npnet.optim.lr_scheduler.decay import ExponentialLR as ExponentialLR
from npnet.optim.lr_scheduler.decay import LambdaLR as LambdaLR
from npnet.optim.lr_scheduler.decay import LinearLR as LinearLR
from npnet.optim.lr_scheduler.decay import MultiplicativeLR as MultiplicativeLR
from npnet.optim.lr_scheduler.decay import MultiStepLR as MultiStepLR
from npnet.optim.lr_scheduler.decay import PolynomialLR as PolynomialLR
from npnet.optim.lr_scheduler.decay import StepLR as StepLR
from npnet.optim.lr_scheduler.plateau import PlateauState as PlateauState
from npnet.optim.lr_scheduler.plateau import ReduceLROnPlateau as ReduceLROnPlateau
