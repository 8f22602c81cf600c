"""The environment facts that change gradients."""

import contextlib
import hashlib
import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

import npnet

_PACKAGES = ("numpy", "scipy", "torch", "hypothesis")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def environment() -> Mapping[str, Any]:
    """Versions, BLAS and threads, as plain data."""
    facts: dict[str, Any] = {"npnet": npnet.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = None
    facts["blas"] = _blas()
    facts["machine"] = platform.machine()
    facts["system"] = platform.system()
    facts["threads"] = {name: os.environ[name] for name in _THREADS if name in os.environ}
    if "torch" in sys.modules:
        facts["cuda"] = _cuda()
    return facts


def device_facts(device: str) -> Mapping[str, str]:
    """What recorded answers depend on: versions, and the name of the device."""
    name = _processor() if device == "cpu" else _cuda() or "none"
    return {
        "device_name": name,
        "torch": version("torch"),
        "numpy": version("numpy"),
        "npnet": npnet.__version__,
    }


def _processor() -> str:
    """What the processor calls itself, as far as the system says it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def one_thread() -> None:
    """Leave torch one thread, where it is loaded: verdicts are compared."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


def digest(file: Path) -> str:
    """Of what stands in a file; nothing where it cannot be read."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    except OSError:
        return ""


def _blas() -> str:
    config: Any = np.show_config(mode="dicts")
    blas = config.get("Build Dependencies", {}).get("blas", {})
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()


def _cuda() -> str | None:
    torch = sys.modules["torch"]
    name: str | None = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return name
