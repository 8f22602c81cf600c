"""The twins: a spec for every torch layer and optimizer that npnet holds code against, by name.

The only package that imports torch.
"""

from importlib import import_module
from pkgutil import iter_modules

from npnet.twins.convert import from_torch as from_torch
from npnet.twins.convert import to_torch as to_torch
from npnet.twins.convert_optimizer import optimizer_from_torch as optimizer_from_torch
from npnet.twins.convert_optimizer import optimizer_to_torch as optimizer_to_torch
from npnet.verify.spec import Spec

SPECS: dict[str, Spec] = {
    spec.name: spec
    for module in iter_modules(__path__)
    if not module.ispkg and module.name != "spec"
    for spec in vars(import_module(f"{__name__}.{module.name}")).values()
    if isinstance(spec, Spec)
}
