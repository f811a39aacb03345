"""Colours of the pictures, after Okabe and Ito: colour-blind eyes tell them apart, and they show on light and dark."""

from __future__ import annotations

Colour = tuple[int, int, int, int]

BLUE: Colour = (0x1F, 0x86, 0xCC, 255)
ORANGE: Colour = (0xE6, 0x7E, 0x00, 255)
TEAL: Colour = (0x00, 0x9E, 0x73, 255)
GREY: Colour = (0x80, 0x88, 0x90, 255)
FAINT: Colour = (0x80, 0x88, 0x90, 72)
TRACE: Colour = (0x80, 0x88, 0x90, 110)
CLEAR: Colour = (0, 0, 0, 0)


def unit_rgba(colour: Colour) -> tuple[float, ...]:
    """A colour's parts from 0 to 1, as Matplotlib takes them."""
    return tuple(part / 255 for part in colour)
