"""Attention with several heads."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from npnet.contract import Array, ConfigError, DtypeError, Forward, Grads, ShapeError, State
from npnet.nn import init
from npnet.nn._guards import require_floats
from npnet.nn.dropout import keep_factors


@dataclass(frozen=True)
class MultiheadAttention:
    """out = O W_oᵀ + b_o, O = concat_h(P_h V_h), P_h = softmax(Q_h K_hᵀ / √d + mask) over the keys.

    (Q, K, V) = (query W_qᵀ + b_q, key W_kᵀ + b_k, value W_vᵀ + b_v), cut into num_heads heads of
    d = embed_dim / num_heads features each, in order.

    query: (L, N, embed_dim)    key: (S, N, kdim)    value: (S, N, vdim)    out: like query
    weights: (N, L, S), the mean over the heads; (N, num_heads, L, S) without average_attn_weights
    in_proj_weight: (3 · embed_dim, embed_dim), W_q, W_k, W_v one below the other; where kdim or
    vdim differs from embed_dim they are three: q_proj_weight, k_proj_weight, v_proj_weight, of
    (embed_dim, embed_dim), (embed_dim, kdim) and (embed_dim, vdim)
    in_proj_bias: (3 · embed_dim,), b_q, b_k, b_v
    out_proj.weight W_o: (embed_dim, embed_dim)    out_proj.bias b_o: (embed_dim,)

    dO = dout W_o    dW_o = Σ doutᵀ O    db_o = Σ dout, over the batch and the queries
    dP = dO Vᵀ, plus dweights / num_heads, or dweights if these are not averaged
    dscores = P ⊙ (dP - Σ dP ⊙ P), summed over the keys
    dQ = dscores K / √d    dK = dscoresᵀ Q / √d    dV = Pᵀ dO, for each head
    dquery = dQ W_q    dW_q = Σ dQᵀ query    db_q = Σ dQ, and likewise for key and value

    With batch_first N comes first, without a batch it is missing. y = (out, weights), and out alone
    with need_weights=False. kdim=None and vdim=None stand for embed_dim. bias=False: there are no
    biases.

    attn_mask: (L, S) or (N · num_heads, L, S); key_padding_mask: (N, S), (S,) without a batch. True
    of a boolean mask forbids a key, numbers are added to the scores; masks get no gradient. A query
    that may look at no key is nan with need_weights, and 0 without, because another kernel of
    torch's computes it. is_causal says that attn_mask is causal, and needs one.

    add_bias_kv: one learned key and value more, bias_k and bias_v (1, 1, embed_dim), whose gradient
    is that of this K and V, summed over the batch; add_zero_attn: one key and value of zeros more;
    neither is ever masked. dropout: in training P is multiplied by a mask as in Dropout, drawn for
    (N · num_heads, L, number of keys); O, dV and the weights have that product for P, and dP is
    multiplied too.

    Raises ConfigError, also where there is no `rng` to draw a mask from; ShapeError, DtypeError.
    Twin: torch.nn.MultiheadAttention. Source: Vaswani et al. (2017), arXiv:1706.03762.
    """

    embed_dim: int
    num_heads: int
    dropout: float = 0.0
    bias: bool = True
    add_bias_kv: bool = False
    add_zero_attn: bool = False
    kdim: int | None = None
    vdim: int | None = None
    batch_first: bool = False
    training: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        if min(self.embed_dim, self.num_heads) < 1 or self.embed_dim % self.num_heads:
            raise ConfigError(
                "MultiheadAttention needs embed_dim to be a positive multiple of num_heads, but "
                f"got embed_dim={self.embed_dim} and num_heads={self.num_heads}."
            )
        if not 0 <= self.dropout <= 1:
            raise ConfigError(
                f"MultiheadAttention needs 0 <= dropout <= 1, but got {self.dropout}."
            )

    @property
    def _widths(self) -> tuple[int, int, int]:
        """How many features query, key and value have."""
        E = self.embed_dim
        return E, E if self.kdim is None else self.kdim, E if self.vdim is None else self.vdim

    @property
    def _is_one(self) -> bool:
        """Whether the three projections are one parameter."""
        return set(self._widths) == {self.embed_dim}

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Projections Xavier-uniform, out_proj.weight ~ U(±1/√embed_dim), biases 0.

        in_proj_weight is drawn as one matrix of 3 · embed_dim outputs; bias_k and bias_v are
        Xavier-normal.
        """
        E, (_, K, V) = self.embed_dim, self._widths
        shapes = {"in_proj_weight": (3 * E, E)}
        if not self._is_one:
            shapes = {f"{n}_proj_weight": (E, w) for n, w in zip("qkv", (E, K, V), strict=True)}
        state = {name: init.xavier_uniform(rng, shape) for name, shape in shapes.items()}
        if self.bias:
            state["in_proj_bias"] = np.zeros(3 * E, np.float32)
        if self.add_bias_kv:
            state |= {name: init.xavier_normal(rng, (1, 1, E)) for name in ("bias_k", "bias_v")}
        state["out_proj.weight"] = init.kaiming_uniform(rng, (E, E), math.sqrt(5))
        if self.bias:
            state["out_proj.bias"] = np.zeros(E, np.float32)
        return state

    def __call__(
        self,
        state: State,
        query: Array,
        key: Array,
        value: Array,
        key_padding_mask: Array | None = None,
        need_weights: bool = True,
        attn_mask: Array | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
        *,
        rng: np.random.Generator | None = None,
    ) -> Forward:
        """(out, weights) or out, and the gradients of query, key, value and the state."""
        given = (query, key, value)
        require_floats(self, query, {"key": key, "value": value, **state})
        self._check(given, is_causal and attn_mask is None)
        one = query.ndim == 2

        def inwards(x: Array) -> Array:
            """(N, length, features)."""
            return x[None] if one else x if self.batch_first else x.swapaxes(0, 1)

        def outwards(x: Array) -> Array:
            return x[0] if one else x if self.batch_first else x.swapaxes(0, 1)

        xs = [inwards(x) for x in given]
        E, H, d = self.embed_dim, self.num_heads, self.embed_dim // self.num_heads
        (N, L, _), S, dtype = xs[0].shape, xs[1].shape[1], query.dtype
        Ws, bs = self._projections(state)
        projected = [x @ W.T + b for x, W, b in zip(xs, Ws, bs, strict=True)]
        extra = self._extra(state, N, dtype)
        lengths = (L, *[S + len(extra[0])] * 2)
        q, k, v = (
            np.concatenate([z, *more], axis=1).reshape(N, n, H, d).swapaxes(1, 2)
            for z, more, n in zip(projected, ([], *extra), lengths, strict=True)
        )

        mask = self._mask(key_padding_mask, attn_mask, (N, L, S), k.shape[2], dtype)
        scale = dtype.type(1 / math.sqrt(d))
        P = _attention(q * scale, k, mask, safe=not need_weights)
        keep = None
        if self.training and self.dropout > 0:
            shape = (N * H, *P.shape[2:])
            keep = keep_factors(self, shape, self.dropout, rng).astype(dtype).reshape(P.shape)
        A = P if keep is None else P * keep
        O = (A @ v).swapaxes(1, 2).reshape(N, L, E)
        W_o = state["out_proj.weight"]
        out = O @ W_o.T
        if self.bias:
            out += state["out_proj.bias"]

        def back(dout: Array, dweights: Array | None) -> Grads:
            dout = inwards(dout)
            params = {"out_proj.weight": _outer(dout, O)}
            dO = (dout @ W_o).reshape(N, L, H, d).swapaxes(1, 2)
            dA = dO @ v.swapaxes(2, 3)
            if dweights is not None:
                dw = dweights[None] if one else dweights
                dA = dA + (dw[:, None] / H if average_attn_weights else dw)
            dP = dA if keep is None else dA * keep
            dS = P * (dP - np.vecdot(dP, P)[..., None])
            dheads = (dS @ k) * scale, dS.swapaxes(2, 3) @ (q * scale), A.swapaxes(2, 3) @ dO
            dprojected = [
                dz.swapaxes(1, 2).reshape(N, n, E) for dz, n in zip(dheads, lengths, strict=True)
            ]
            if self.add_bias_kv:
                for name, dz in zip(("bias_k", "bias_v"), dprojected[1:], strict=True):
                    params[name] = dz[:, S].sum(0)[None, None]
            dprojected = [dprojected[0], *(dz[:, :S] for dz in dprojected[1:])]
            dWs = [_outer(dz, x) for dz, x in zip(dprojected, xs, strict=True)]
            if self._is_one:
                params["in_proj_weight"] = np.concatenate(dWs)
            else:
                params |= {f"{n}_proj_weight": dW for n, dW in zip("qkv", dWs, strict=True)}
            if self.bias:
                params["in_proj_bias"] = np.concatenate([dz.sum((0, 1)) for dz in dprojected])
                params["out_proj.bias"] = dout.sum((0, 1))
            dxs = (outwards(dz @ W) for dz, W in zip(dprojected, Ws, strict=True))
            return Grads(tuple(dxs), params)

        if not need_weights:
            return Forward(outwards(out), lambda dy: back(dy, None))
        weights = A.mean(1) if average_attn_weights else A.copy()
        y = outwards(out), weights[0] if one else weights
        return Forward(y, lambda dy: back(*dy))

    def _projections(self, state: State) -> tuple[list[Array], list[Array | int]]:
        if self._is_one:
            Ws = np.split(state["in_proj_weight"], 3)
        else:
            Ws = [state[f"{n}_proj_weight"] for n in "qkv"]
        return Ws, [*np.split(state["in_proj_bias"], 3)] if self.bias else [0, 0, 0]

    def _extra(self, state: State, N: int, dtype: np.dtype[Any]) -> tuple[list[Array], list[Array]]:
        """The keys and the values behind those given."""
        found: tuple[list[Array], list[Array]] = ([], [])
        for name, more in zip(("bias_k", "bias_v"), found, strict=True):
            if self.add_bias_kv:
                more.append(np.broadcast_to(state[name], (N, 1, self.embed_dim)))
            if self.add_zero_attn:
                more.append(np.zeros((N, 1, self.embed_dim), dtype))
        return found

    def _mask(
        self,
        key_padding_mask: Array | None,
        attn_mask: Array | None,
        sizes: tuple[int, int, int],
        keys: int,
        dtype: np.dtype[Any],
    ) -> Array | None:
        """What is added to the scores, in a shape that broadcasts to (N, num_heads, L, keys)."""
        N, L, S = sizes
        H = self.num_heads
        total: Array | None = None
        for name, mask, shapes, shape in (
            ("attn_mask", attn_mask, ((L, S), (N * H, L, S)), (N, H, L, S)),
            ("key_padding_mask", key_padding_mask, ((S,), (N, S)), (N, 1, 1, S)),
        ):
            if mask is None:
                continue
            if mask.shape not in shapes:
                raise ShapeError(
                    f"{self} needs {name} of shape {' or '.join(map(str, shapes))} for {L} queries "
                    f"and {S} keys in a batch of {N}, but got {mask.shape}."
                )
            if mask.dtype != bool and not np.issubdtype(mask.dtype, np.floating):
                raise DtypeError(
                    f"{self} needs {name} to hold booleans or floating-point numbers, but got "
                    f"{mask.dtype}. You might need {name}.astype(bool)."
                )
            added = np.where(mask, -np.inf, 0) if mask.dtype == bool else mask
            full = added.astype(dtype).reshape(
                (1, 1, L, S) if mask.ndim == 2 and name == "attn_mask" else shape
            )
            total = full if total is None else total + full
        if total is not None and keys > S:
            total = np.pad(total, [(0, 0)] * 3 + [(0, keys - S)])
        return total

    def _check(self, given: tuple[Array, Array, Array], unmasked: bool) -> None:
        if unmasked:
            raise ConfigError(
                f"{self} needs attn_mask where is_causal=True, but got None. You might need "
                "Transformer.generate_square_subsequent_mask(length)."
            )
        query, key, value = given
        for name, x, width in zip(("query", "key", "value"), given, self._widths, strict=True):
            if x.ndim not in (2, 3) or x.ndim != query.ndim or x.shape[-1] != width:
                batch = "(N, length, " if self.batch_first else "(length, N, "
                raise ShapeError(
                    f"{self} needs {name} of shape {batch}{width}), or (length, {width}) if query "
                    f"has no batch either, but got {x.shape}."
                )
        axis = 0 if self.batch_first else 1
        sizes = {x.shape[axis] for x in given} if query.ndim == 3 else {1}
        if key.shape[:-1] != value.shape[:-1] or len(sizes) > 1:
            raise ShapeError(
                f"{self} needs key and value of one length, and all three of one batch size, but "
                f"got query {query.shape}, key {key.shape} and value {value.shape}."
            )


def _attention(q: Array, k: Array, mask: Array | None, safe: bool) -> Array:
    """softmax(q kᵀ + mask); safe: a row without any key is 0, not nan."""
    S = q @ k.swapaxes(2, 3)
    if mask is not None:
        S += mask
    top = S.max(-1, keepdims=True, initial=-np.inf)
    if safe:
        top = np.where(top == -np.inf, 0, top).astype(S.dtype)
    with np.errstate(invalid="ignore"):  # of -inf less -inf
        P: Array = np.exp(np.subtract(S, top, out=S), out=S)
        total = P.sum(-1, keepdims=True)
        P /= np.where(total == 0, 1, total) if safe else total
    return P


def _outer(dy: Array, x: Array) -> Array:
    """Σ dy xᵀ over batch and length: the gradient of a matrix."""
    return dy.reshape(-1, dy.shape[-1]).T @ x.reshape(-1, x.shape[-1])
