"""Operations that keep input_, output and input_grad, and param_grad if they have a parameter."""

import numpy as np
from hypothesis import strategies as st

from npnet.verify import adapt, candidate


def assert_same_shape(array, array_grad):
    assert array.shape == array_grad.shape, (
        f"two arrays should have the same shape, not {array.shape} and {array_grad.shape}"
    )


class Operation:
    def forward(self, input_):
        self.input_ = input_
        self.output = self._output()
        return self.output

    def backward(self, output_grad):
        assert_same_shape(self.output, output_grad)
        self.input_grad = self._input_grad(output_grad)
        assert_same_shape(self.input_, self.input_grad)
        return self.input_grad

    def _output(self):
        raise NotImplementedError()

    def _input_grad(self, output_grad):
        raise NotImplementedError()


class ParamOperation(Operation):
    def __init__(self, param):
        self.param = param

    def backward(self, output_grad):
        assert_same_shape(self.output, output_grad)
        self.input_grad = self._input_grad(output_grad)
        self.param_grad = self._param_grad(output_grad)
        assert_same_shape(self.input_, self.input_grad)
        return self.input_grad

    def _param_grad(self, output_grad):
        raise NotImplementedError()


class WeightMultiply(ParamOperation):
    def _output(self):
        return self.input_ @ self.param

    def _input_grad(self, output_grad):
        return output_grad @ self.param.T

    def _param_grad(self, output_grad):
        return self.input_.T @ output_grad


class BiasAdd(ParamOperation):
    """B: (1, features)."""

    def _output(self):
        return self.input_ + self.param

    def _input_grad(self, output_grad):
        return np.ones_like(self.input_) * output_grad

    def _param_grad(self, output_grad):
        return np.sum(np.ones_like(self.param) * output_grad, axis=0).reshape(1, -1)


class Sigmoid(Operation):
    def _output(self):
        return 1.0 / (1.0 + np.exp(-1.0 * self.input_))

    def _input_grad(self, output_grad):
        return self.output * (1.0 - self.output) * output_grad


class Conv2D(ParamOperation):
    """Convolution as one matrix product for each image: rows are places, columns the patch there.

    param: (channels in, channels out, size, size)
    """

    def __init__(self, W, padding):
        super().__init__(W)
        self.pad = padding

    def _patches(self, images, pad):
        """(batch, places, channels · size · size), and the height and width of the output."""
        size = self.param.shape[2]
        images = np.pad(images, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        height, width = images.shape[2] - size + 1, images.shape[3] - size + 1
        rows = [
            images[:, :, i : i + size, j : j + size].reshape(len(images), -1)
            for i in range(height)
            for j in range(width)
        ]
        return np.stack(rows, axis=1), height, width

    def _weights(self):
        """(channels in · size · size, channels out)."""
        return self.param.transpose(0, 2, 3, 1).reshape(-1, self.param.shape[1])

    def _output(self):
        patches, height, width = self._patches(self.input_, self.pad)
        out = patches @ self._weights()
        return out.transpose(0, 2, 1).reshape(len(out), -1, height, width)

    def _input_grad(self, output_grad):
        """The full correlation of output_grad with the kernel turned around, less the pad."""
        size, batch = self.param.shape[2], len(output_grad)
        patches, height, width = self._patches(output_grad, size - 1)
        turned = self.param[:, :, ::-1, ::-1].transpose(1, 2, 3, 0).reshape(-1, self.param.shape[0])
        grad = (patches @ turned).transpose(0, 2, 1).reshape(batch, -1, height, width)
        return grad[:, :, self.pad : height - self.pad, self.pad : width - self.pad]

    def _param_grad(self, output_grad):
        patches, _, _ = self._patches(self.input_, self.pad)
        out = output_grad.reshape(*output_grad.shape[:2], -1)
        each = out @ patches  # (batch, channels out, channels in · size · size)
        cin, cout, size, _ = self.param.shape
        return each.sum(axis=0).reshape(cout, cin, size, size).transpose(1, 0, 2, 3)


def dense(W, b):
    return [WeightMultiply(W), BiasAdd(b)]


DENSE = {"W": "weight: o i -> i o", "b": "bias: o -> 1 o"}
ROWS = {"inputs": "... i -> (...) i", "outputs": "... o -> (...) o"}
BIAS = {"bias": st.just(True)}
CONV = {
    "groups": st.just(1),
    "kernel_size": st.sampled_from([1, 2, 3]),
    "padding": st.just(0),
    "padding_mode": st.just("zeros"),
    "stride": st.just(1),
    "dilation": st.just(1),
    "bias": st.just(False),
    "batch": st.sampled_from([(2,), (1,), (3,)]),
}
PADDED = CONV | {"kernel_size": st.just(3), "padding": st.sampled_from([1, 2])}


def _dense(build):
    return candidate("Linear", only=BIAS)(adapt.operation(build, DENSE, **ROWS))


def _conv(build, only):
    return candidate("Conv2d", only=only)(
        adapt.operation(build, {"W": "weight: o c h w -> c o h w"})
    )


linear = _dense(dense)
sigmoid = candidate("Sigmoid")(adapt.operation(Sigmoid))
convolution = _conv(Conv2D, CONV)
padded_convolution = _conv(Conv2D, PADDED)


# ---- mistakes -----------------------------------------------------------------------------------


class ProductTheOtherWay(WeightMultiply):
    def _param_grad(self, output_grad):
        return output_grad.T @ self.input_


class FirstRow(BiasAdd):
    def _param_grad(self, output_grad):
        return output_grad[:1] * np.ones_like(self.param)


class SigmoidOfInput(Sigmoid):
    def _input_grad(self, output_grad):
        return self.input_ * (1.0 - self.input_) * output_grad


class WithoutChainRule(Sigmoid):
    def _input_grad(self, output_grad):
        return self.output * (1.0 - self.output)


class Convolved(Conv2D):
    """Mathematics' convolution, with the kernel turned."""

    def _weights(self):
        turned = self.param[:, :, ::-1, ::-1]
        return turned.transpose(0, 2, 3, 1).reshape(-1, self.param.shape[1])


class KernelNotTurned(Conv2D):
    def _input_grad(self, output_grad):
        kept, self.param = self.param, self.param[:, :, ::-1, ::-1]
        grad = super()._input_grad(output_grad)
        self.param = kept
        return grad


class MeanOverBatch(Conv2D):
    def _param_grad(self, output_grad):
        return super()._param_grad(output_grad) / output_grad.dtype.type(len(output_grad))


WRONG = {
    "product the other way round": (
        _dense(lambda W, b: [ProductTheOtherWay(W), BiasAdd(b)]),
        "gradient of weight",
    ),
    "bias gradient of one row": (
        _dense(lambda W, b: [WeightMultiply(W), FirstRow(b)]),
        "gradient of bias",
    ),
    "input in place of output": (
        candidate("Sigmoid")(adapt.operation(SigmoidOfInput)),
        "gradient of input 0",
    ),
    "output gradient left out": (
        candidate("Sigmoid")(adapt.operation(WithoutChainRule)),
        "gradient of input 0",
    ),
    "kernel turned": (_conv(Convolved, CONV), "y"),
    "kernel not turned": (_conv(KernelNotTurned, CONV), "gradient of input 0"),
    "mean over the batch": (_conv(MeanOverBatch, PADDED), "gradient of weight"),
}
