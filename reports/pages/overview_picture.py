"""Draws the README's picture from a demo's run folder: what is trained, what runs, and what is sent later.

Run ``python -m tritforge.reports.pages.overview_picture runs/demo docs/images/overview.svg``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tritforge.files import atomic_write
from tritforge.network.file import load_network
from tritforge.network.kinds.convolution import Convolution
from tritforge.network.network import Network
from tritforge.network.pe_groups import TAPS, nonzero_groups
from tritforge.reports.drawing.layer_mosaic import layer_mosaic
from tritforge.reports.drawing.pages import template
from tritforge.reports.drawing.png import data_uri
from tritforge.reports.pages.demo_report import DETAILS, RESULT, digit_picture, read_details
from tritforge.results import read_result

MOST_CHANNELS = 32
"""Output channels of the mosaic in the picture."""


def overview_picture(folder: Path) -> str:
    """The picture as SVG, in light or dark colours as the reader's page is."""
    details = read_details(folder / DETAILS)
    network = load_network(folder / details["network"])
    layer = _busiest(network)
    pixels = layer_mosaic(layer, network.group_channels)[:, : MOST_CHANNELS * (TAPS + 1) - 1]
    rows, columns = details["parameters"]["pes"] // 8 or 1, min(8, details["parameters"]["pes"])
    values: dict[str, Any] = {
        "m": read_result(folder / RESULT).metrics,
        "digit": digit_picture(details["samples"][0]["pixels"]),
        "after": details["samples"][0]["after"],
        "mosaic": data_uri(pixels),
        "mosaic_size": (pixels.shape[1], pixels.shape[0]),
        "layer": layer.name,
        "channels": min(MOST_CHANNELS, layer.outputs),
        "pes": [(column, row) for row in range(rows) for column in range(columns)],
        "lanes": 9 * network.group_channels,
    }
    return template("overview.svg.j2").render(values)


def _busiest(network: Network) -> Convolution:
    """The ternary layer whose groups are nearest to half zero, among those with the most groups across."""

    def balance(layer: Convolution) -> float:
        return abs(float(nonzero_groups(layer.weights, network.group_channels).mean()) - 0.5)

    widest = max(layer.inputs for layer in network.ternary_layers())
    return min((layer for layer in network.ternary_layers() if layer.inputs == widest), key=balance)


if __name__ == "__main__":
    atomic_write(sys.argv[2], overview_picture(Path(sys.argv[1])).encode())
