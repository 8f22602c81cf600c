"""The facts of the environment that change gradients, as text."""

from importlib import import_module
from typing import Any

from npnet.report.words import clean
from npnet.verify.environment import environment


def facts() -> str:
    """One line each: versions, BLAS, threads, TF32, cuDNN, devices; then what to mind."""
    try:
        torch: Any = import_module("torch")
    except ModuleNotFoundError:
        torch = None
    known = dict(environment())
    known["threads"] = ", ".join(f"{k}={v}" for k, v in known["threads"].items()) or "not set"
    rows = {name: "none" if value is None else str(value) for name, value in known.items()}
    rows |= _of_torch(torch) if torch is not None else {}
    width = max(len(name) for name in rows)
    found = [f"{name:<{width}}  {clean(value)}" for name, value in rows.items()]
    if torch is None:
        found.append("torch is not installed: pip install 'npnet[torch]'")
    elif torch.cuda.is_available() and torch.backends.cudnn.allow_tf32:
        found.append("TF32 is on for convolutions: float32 gradients on the GPU keep 10 bits.")
    return "\n".join(found)


def _of_torch(torch: Any) -> dict[str, str]:
    cuda = torch.cuda
    devices = [cuda.get_device_name(i) for i in range(cuda.device_count())]
    return {
        "torch threads": str(torch.get_num_threads()),
        "MKL-DNN": str(torch.backends.mkldnn.is_available()),
        "cuDNN": str(torch.backends.cudnn.version() or "none"),
        "CUDA of torch": str(torch.version.cuda or "none"),
        "TF32 matmul": str(torch.backends.cuda.matmul.allow_tf32),
        "TF32 cuDNN": str(torch.backends.cudnn.allow_tf32),
        "float32 matmul": str(torch.get_float32_matmul_precision()),
        "deterministic": str(torch.are_deterministic_algorithms_enabled()),
        "devices": ", ".join(["cpu", *devices]),
    }
