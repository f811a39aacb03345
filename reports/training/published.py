"""Published figures of dissertation chapter 2 that our trainings stand beside.

There: CIFAR-10, 160 epochs, the rate stepped down at 80 and 120, activations and the first and last layer in floating
point. Which epoch's accuracy is reported is not said. Accuracies and sparsities are percent.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A line of a published table; None for what it does not tell."""

    top1: float
    zero: float | None = None
    zero_groups: float | None = None
    compression: float | None = None


TABLE_1 = {
    "full precision": {"resnet20": 91.70, "resnet32": 92.36, "resnet44": 92.47, "resnet56": 92.68},
    "clipped": {"resnet20": 90.89, "resnet32": 91.62, "resnet44": 91.76, "resnet56": 92.05},
}
"""Top-1 by method and network."""

TABLE_3 = {
    "resnet20": {
        "ternary": Published(91.62, 49, None, 16.0),
        "pruning": Published(91.10, 61, 44, 1.78),
        "naive": Published(90.01, 70, 18, 19.5),
        "clipped": Published(90.89, 50, 25, 21.5),
    },
    "resnet32": {
        "ternary": Published(92.48, 48, None, 16.0),
        "pruning": Published(91.88, 40, 34, 1.5),
        "naive": Published(90.68, 74, 28, 22.2),
        "clipped": Published(91.64, 58, 43, 28.1),
    },
    "resnet44": {
        "ternary": Published(92.71, 55, None, 16.0),
        "pruning": Published(92.29, 58, 46, 1.85),
        "naive": Published(91.15, 80, 21, 20.2),
        "clipped": Published(91.98, 64, 44, 28.6),
    },
    "resnet56": {
        "ternary": Published(93.10, 52, None, 16.0),
        "pruning": Published(92.86, 67, 28, 1.39),
        "naive": Published(92.01, 82, 42, 27.6),
        "clipped": Published(92.85, 67, 55, 35.6),
    },
}
"""By network and method. Tables 1 and 3 differ in "clipped" on ResNet-32 to 56."""

TABLE_6 = {
    16: Published(90.89, 50, 25),
    8: Published(90.56, 70.75, 35.6),
    4: Published(90.29, 78.65, 42.8),
    2: Published(89.93, 81.97, 50.07),
    1: Published(89.66, 84.95, 63.18),
}
"""ResNet-20 by PE size."""
