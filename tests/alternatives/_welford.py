"""Mean and variance in one pass over the samples."""

import numpy as np

from npnet.contract import Array


def mean_and_variance(samples: Array) -> tuple[Array, Array]:
    """Over the first axis; the variance is biased, and both are 0 without samples.

    Source: Welford (1962), doi:10.1080/00401706.1962.10490022.
    """
    mean, squares = np.zeros_like(samples[:1].sum(0)), np.zeros_like(samples[:1].sum(0))
    for count, sample in enumerate(samples, start=1):
        delta = sample - mean
        mean = mean + delta / count
        squares = squares + delta * (sample - mean)
    return mean, squares / max(len(samples), 1)
