from tests.mutants import Mutant

_DX, _DW, _DB = "gradient of input 0", "gradient of linear.weight", "gradient of linear.bias"
_DT = "gradient of input 1"

MUTANTS = [
    Mutant("LinearCrossEntropyLoss", mistake, edits, blames=blames)
    for mistake, edits, blames in (
        (
            "has the classes behind out_features",
            {
                "linear.y.reshape(*x.shape[:-1], self.num_classes, "
                "*self.out_features)": "np.moveaxis("
                "linear.y.reshape(*x.shape[:-1], *self.out_features, self.num_classes), -1, "
                "x.ndim - 1)"
            },
            "y",
        ),
        (
            "ignores the weights of the classes",
            {
                "            self.weight,\n            ignore_index": "            None,\n"
                "            ignore_index"
            },
            "y",
        ),
        (
            "ignores ignore_index",
            {
                "            ignore_index=-100 if self.ignore_index is None else "
                "self.ignore_index,\n": "            ignore_index=-100,\n"
            },
            ("y", "forward"),
        ),
        (
            "ignores label_smoothing",
            {"            label_smoothing=self.label_smoothing,\n": ""},
            "y",
        ),
        (
            "ignores the bias",
            {
                "linear: Any = self._linear(_linear_part(state), x)": "linear = "
                'Linear(x.shape[-1], len(state["linear.weight"]), False)(_linear_part(state), x)'
            },
            "y",
        ),
        (
            "has a bias whatever the option says",
            {"math.prod(self.out_features), self.bias)": "math.prod(self.out_features), True)"},
            "forward",
        ),
        (
            "the mean in chunks is over all samples",
            {"labels = target[target != ignored]": "labels = target * (target != ignored)"},
            "y",
        ),
        (
            "the mean in chunks forgets the weights",
            {'state["weight"][labels]\n': "np.ones(labels.shape, dtype)\n"},
            "y",
        ),
        (
            "gives the sum for the mean in chunks",
            {'if self.reduction != "mean":': "if True:"},
            "y",
        ),
        (
            "leaves the last chunk out where it is not full",
            {"range(0, max(len(x), 1), size)": "range(0, max(len(x) - size + 1, 1), size)"},
            ("y", _DX),
        ),
        (
            "only the last chunk counts in the gradient",
            {"sums[name] += d": "sums[name] = d"},
            (_DW, _DB),
        ),
        (
            "every chunk gets the gradient of the first",
            {"forward.vjp(dlosses[part])": "forward.vjp(dlosses[: len(forward.y)])"},
            _DX,
        ),
        (
            "does not divide the gradient of a mean in chunks",
            {
                "dy.astype(dtype, copy=False) / n, target.shape)": "dy.astype(dtype, copy=False), "
                "target.shape)"
            },
            _DX,
        ),
        (
            "the gradients of chunks stay in the wider dtype",
            {"k: d.astype(x.dtype, copy=False)": "k: d.astype(np.float64)"},
            (_DW, _DB),
        ),
        (
            "gives x the gradient of the logits' sum",
            {
                "linear.vjp(dlogits.reshape(linear.y.shape))": "linear.vjp(dlogits.reshape("
                "linear.y.shape) * 0 + dlogits.sum())"
            },
            _DX,
        ),
        (
            "the target of probabilities has no gradient",
            {"return Grads((dx, dtarget), {f": "return Grads((dx, None), {f"},
            _DT,
        ),
    )
]
