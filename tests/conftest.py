"""One thread per worker: the tests run side by side, and many threads on tiny arrays only wait."""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import torch  # noqa: E402  (after the number of threads is set)

torch.set_num_threads(1)
