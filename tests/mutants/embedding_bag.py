from tests.mutants import Mutant

_WEIGHT, _WEIGHTS = "gradient of weight", "gradient of input 2"

MUTANTS = [
    Mutant("EmbeddingBag", mistake, edits, blames=blames)
    for mistake, edits, blames in (
        ("gives the sum for the mean", {"y = y / n if self.mode": "y = y if self.mode"}, "y"),
        (
            "the mean counts the padding",
            {"n = np.maximum(sizes, 1)": "n = np.maximum(self._sizes(x, offsets), 1)"},
            "y",
        ),
        (
            "the mean of an empty bag is nan",
            {"n = np.maximum(sizes, 1)": "n = sizes"},
            "y",
        ),
        (
            "the padding is summed up like any other row",
            {"counts = x.reshape(-1) != self.padding_idx % self.num_embeddings": "pass"},
            "y",
        ),
        (
            "takes a negative padding_idx as it is",
            {"self.padding_idx % self.num_embeddings": "self.padding_idx"},
            "y",
        ),
        (
            "takes padding_idx=0 for none",
            {"if self.padding_idx is not None:": "if self.padding_idx:"},
            "y",
        ),
        (
            "the largest of an empty bag is -inf",
            {
                "found = np.zeros((len(sizes), rows.shape[1]), rows.dtype)": "found = np.full(("
                "len(sizes), rows.shape[1]), -np.inf if add is np.maximum else "
                "0).astype(rows.dtype)"
            },
            "y",
        ),
        (
            "the maximum starts from 0",
            {
                "add.reduceat(rows, (np.cumsum(sizes) - sizes)[full], "
                "axis=0)": "add.reduceat(rows, "
                "(np.cumsum(sizes) - sizes)[full], axis=0).clip(0 if add is np.maximum else None)"
            },
            "y",
        ),
        (
            "an empty bag gets the row behind it",
            {
                "add.reduceat(rows, (np.cumsum(sizes) - sizes)[full], axis=0)": "0\n    found = "
                "add.reduceat(rows, np.minimum(np.cumsum(sizes) - sizes, len(rows) - "
                "1), axis=0) if "
                "len(rows) else found"
            },
            "y",
        ),
        (
            "ignores include_last_offset",
            {
                "offsets[1:] if self.include_last_offset else np.append(offsets[1:], "
                "x.size)": "np.append(offsets[1:], x.size)"
            },
            "y",
        ),
        (
            "ignores the weights of the samples",
            {"rows if w.ndim == 0 else rows * w": "rows"},
            "y",
        ),
        (
            "divides by the sum of the weights",
            {
                "y = y / n if "
                "self.mode": "y = y / _by_bag(np.add, w, sizes) if w.ndim else y / n if self.mode"
            },
            "y",
        ),
        ("ignores max_norm", {"if self.max_norm is not None:": "if False:"}, ("y", "next weight")),
        (
            "does not keep the scaled rows",
            {'updates["weight"] = W': "pass"},
            "next weight",
        ),
        (
            "leaves the padding long",
            {
                "shortened(W, "
                "np.unique(x),": "shortened(W, np.unique(x[x != (self.padding_idx or 0) "
                "% self.num_embeddings]) if self.padding_idx is not None else np.unique(x),"
            },
            "next weight",
        ),
        (
            "the gradient of a mean is that of a sum",
            {'share = (dy / n if self.mode == "mean" else dy)[bag]': "share = dy[bag]"},
            _WEIGHT,
        ),
        (
            "ignores scale_grad_by_freq",
            {"share * w, self.scale_grad_by_freq)": "share * w, False)"},
            _WEIGHT,
        ),
        (
            "the gradient of weight forgets the weights of the samples",
            {"share * w, self": "share, self"},
            _WEIGHT,
        ),
        (
            "all of the largest get the gradient",
            {
                "_to_first(rows == y[bag], index, sizes, dy, W.shape)": "summed_by_row(W.shape, "
                "index, np.where(rows == y[bag], dy[bag], 0).astype(dy.dtype), False)"
            },
            _WEIGHT,
        ),
        (
            "the last of the largest gets the gradient",
            {
                "places = np.where(largest, np.arange(len(index))[:, None], len(index))": "places "
                "= np.where(largest, np.arange(len(index))[:, None], -1)",
                "first = _by_bag(np.minimum, places, sizes)": "first = _by_bag(np.maximum, places, "
                "sizes)",
            },
            _WEIGHT,
        ),
        (
            "the maximum goes to one row in all columns",
            {
                "cells = index[first] * shape[1] + "
                "np.arange(shape[1])": "cells = index[first[:, :1]] "
                "* shape[1] + np.arange(shape[1])"
            },
            _WEIGHT,
        ),
        (
            "gives the weights of the samples no gradient",
            {"dw[counts] = (rows * dy[bag]).sum(axis=1)": "pass"},
            _WEIGHTS,
        ),
        (
            "the gradient of the weights is not summed over the columns",
            {"dw[counts] = (rows * dy[bag]).sum(axis=1)": "dw[counts] = (rows * dy[bag])[:, 0]"},
            _WEIGHTS,
        ),
        (
            "the gradient of the weights uses the weights",
            {"dw[counts] = (rows * dy[bag])": "dw[counts] = (rows * w * dy[bag])"},
            _WEIGHTS,
        ),
        (
            "the padding's weight has a gradient",
            {
                "dw[counts] = (rows * "
                "dy[bag]).sum(axis=1)": "dw = (W[x.reshape(-1)] * dy[np.repeat("
                "np.arange(len(sizes)), self._sizes(x, offsets))]).sum(axis=1)"
            },
            _WEIGHTS,
        ),
    )
]
