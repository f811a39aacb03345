"""The tour that ``tritforge demo`` takes."""

from tritforge.cli.demo.command import register

__all__ = ["register"]
