"""All pictures of training runs, in order: accuracy over group sparsity, and the like of Figures 5, 6, 9 and 10.

All are SVG on a clear ground, in colours that show on light and dark. The same records give the same bytes.
"""

from __future__ import annotations

from tritforge.reports.training.evolution_picture import evolution_picture
from tritforge.reports.training.layer_pictures import norms_picture, trits_picture, weights_picture
from tritforge.reports.training.picture import Picture, drawing
from tritforge.reports.training.records import Plan
from tritforge.reports.training.sweep_picture import sweep_picture

DRAWN = (sweep_picture, weights_picture, evolution_picture, norms_picture, trits_picture)


def pictures(plan: Plan) -> list[Picture]:
    """Every picture for which there are records."""
    with drawing():
        drawn = [draw(plan) for draw in DRAWN]
    return [picture for picture in drawn if picture is not None]
