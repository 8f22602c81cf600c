"""What a training has come to: loss and metrics, epoch by epoch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from npnet.contract import ConfigError


@dataclass
class History:
    """history["loss"][k]: the value of epoch k, and so for every metric; "val_loss" held out.

    epochs: the values by name
    steps: the loss of every step
    """

    epochs: dict[str, list[float]] = field(default_factory=dict)
    steps: list[float] = field(default_factory=list, repr=False)

    def __getitem__(self, name: str) -> list[float]:
        if name not in self.epochs:
            raise ConfigError(
                f"the history holds {', '.join(self.epochs) or 'nothing yet'}, but not {name!r}."
            )
        return self.epochs[name]

    def __contains__(self, name: str) -> bool:
        return name in self.epochs

    def __iter__(self) -> Iterator[str]:
        return iter(self.epochs)

    def __len__(self) -> int:
        return max(map(len, self.epochs.values()), default=0)

    def add(self, values: Mapping[str, float]) -> None:
        """The values of one more epoch."""
        for name, value in values.items():
            self.epochs.setdefault(name, []).append(value)

    def last(self) -> dict[str, float]:
        """The values of the last epoch."""
        return {name: values[-1] for name, values in self.epochs.items()}


@dataclass
class Means:
    """Means over samples, of values that are means over batches."""

    sums: dict[str, float] = field(default_factory=dict)
    count: int = 0

    def add(self, values: Mapping[str, float], count: int) -> None:
        """The values of a batch of so many samples."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * count
        self.count += count

    def values(self) -> dict[str, float]:
        """The means so far."""
        return {name: total / self.count for name, total in self.sums.items()}
