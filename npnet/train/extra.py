"""Packages that training can do without, loaded where they are needed."""

from importlib import import_module
from typing import Any

from npnet.contract import ConfigError

_INSTALLED_AS = {"sklearn": "scikit-learn"}


def needed(module: str) -> Any:
    """The module. Raises ConfigError where its package is not installed."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if (error.name or "").partition(".")[0] != package:
            raise
        raise ConfigError(
            f"this needs {_INSTALLED_AS.get(package, package)}, which is not installed. "
            "Install it with: pip install 'npnet[train]'"
        ) from None
