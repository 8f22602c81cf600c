"""The examples of `npnet train`: three networks, each a model and what it is trained with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from npnet import nn, optim
from npnet.contract import Layer
from npnet.train.model import Model


def mlp(pixels: int = 64, classes: int = 10) -> dict[str, Layer]:
    """Two layers: 512 hidden units with ReLU, and scores of the classes."""
    return {
        "flatten": nn.Flatten(),
        "fc1": nn.Linear(pixels, 512),
        "relu": nn.ReLU(),
        "fc2": nn.Linear(512, classes),
    }


def cnn(height: int = 8, width: int = 8, classes: int = 10) -> dict[str, Layer]:
    """Two convolutions of 3 x 3, of 16 and 32 channels, each halved by its maxima, and a layer."""
    return {
        "conv1": nn.Conv2d(1, 16, 3, padding=1),
        "relu1": nn.ReLU(),
        "pool1": nn.MaxPool2d(2),
        "conv2": nn.Conv2d(16, 32, 3, padding=1),
        "relu2": nn.ReLU(),
        "pool2": nn.MaxPool2d(2),
        "flatten": nn.Flatten(),
        "fc": nn.Linear(32 * (height // 4) * (width // 4), classes),
    }


def lstm(characters: int, embedding: int = 32, hidden: int = 128) -> dict[str, Layer]:
    """A table of vectors for characters, an LSTM that reads them, scores of the next character."""
    return {
        "embedding": nn.Embedding(characters, embedding),
        "lstm": nn.LSTM(embedding, hidden, batch_first=True),
        "fc": nn.Linear(hidden, characters),
    }


def read(call: Callable[..., Any], x: Any) -> Any:
    """The wiring of lstm. x: (N, T), characters    y: (N, characters, T), as losses have it"""
    output, _, _ = call("lstm", call("embedding", x))
    return call("fc", output).transpose(0, 2, 1)


@dataclass(frozen=True)
class Recipe:
    """How an example is trained, where nothing else is said. window: characters at a time."""

    epochs: int
    batch_size: int
    optimizer: type[optim.RMSprop] | type[optim.Adam]
    lr: float
    window: int = 0
    stride: int = 0


RECIPES = {
    "mlp": Recipe(5, 128, optim.RMSprop, lr=1e-3),
    "cnn": Recipe(20, 128, optim.Adam, lr=5e-3),
    "lstm": Recipe(25, 32, optim.Adam, lr=5e-3, window=48, stride=3),
}


def classifier(name: str, height: int, width: int, classes: int, lr: float) -> Model:
    """mlp or cnn, of images of height x width pixels."""
    layers = mlp(height * width, classes) if name == "mlp" else cnn(height, width, classes)
    return Model(layers, nn.CrossEntropyLoss(), RECIPES[name].optimizer(lr=lr), ["accuracy"])


def reader(characters: int, lr: float) -> Model:
    """lstm, its gradients cut down to a norm of 1."""
    return Model(
        lstm(characters),
        nn.CrossEntropyLoss(),
        RECIPES["lstm"].optimizer(lr=lr),
        ["accuracy"],
        forward=read,
        clip_norm=1.0,
    )
