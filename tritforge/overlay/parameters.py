"""The parameter set of one accelerator build: what lowering targets and what the RTL is elaborated with."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from tritforge.errors import ProgramError

TILE_SHAPES = {4: (1, 4), 8: (1, 8), 16: (2, 8), 32: (4, 8)}
"""Rows and columns of output pixels that P processing elements compute side by side."""

SMALLEST_DEPTH = 16
DEPTHS = {
    "slots": 8192,
    "bitmap_words": 8192,
    "affine_channels": 8192,
    "descriptors": 128,
    "feature_words": 8192,
    "pool_channels": 512,
    "staging": 4096,
}
"""Largest depth of each memory, by parameter name; every power of two from ``SMALLEST_DEPTH`` on is allowed."""


@dataclass(frozen=True)
class AcceleratorParameters:
    """Sizes of an accelerator; by default one that takes ResNet-20 to 56 with half of their groups zero.

    Attributes:
        pes: P, processing elements: output pixels computed side by side.
        group_channels: ``C_g``, channels of a PE group and of a feature-map word.
        activation_bits: ``A``, 8 or 16.
        pass_outputs: output channels accumulated in one pass over a tile.
        slots: group slots of the weight memory (``18 * C_g`` bits each).
        bitmap_words: words of the bitmap memory, ``C_g`` output channels each.
        affine_channels: entries of the affine table.
        descriptors: entries of the descriptor memory, the program header among them.
        feature_words: words of each of the P feature-map banks.
        pool_channels: channels that the average pool accumulates.
        staging: entries of the staging memory.
    """

    pes: int = 16
    group_channels: int = 16
    activation_bits: int = 8
    pass_outputs: int = 64
    slots: int = 4096
    bitmap_words: int = 1024
    affine_channels: int = 4096
    descriptors: int = 64
    feature_words: int = 1024
    pool_channels: int = 512
    staging: int = 1024

    def __post_init__(self) -> None:
        allowed: dict[str, tuple[int, ...]] = {
            "pes": tuple(TILE_SHAPES),
            "group_channels": (8, 16),
            "activation_bits": (8, 16),
            "pass_outputs": (32, 64, 128),
        }
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise ProgramError(
                    f"parameter {name} is {getattr(self, name)}; allowed are {', '.join(map(str, values))}"
                )
        for name, limit in DEPTHS.items():
            value = getattr(self, name)
            if not SMALLEST_DEPTH <= value <= limit or value & (value - 1):
                raise ProgramError(
                    f"parameter {name} is {value}; allowed are powers of two from {SMALLEST_DEPTH} to {limit}"
                )

    @property
    def depths(self) -> dict[str, int]:
        """Depth of each memory, by parameter name."""
        return {name: getattr(self, name) for name in DEPTHS}

    @property
    def tile_rows(self) -> int:
        return TILE_SHAPES[self.pes][0]

    @property
    def tile_columns(self) -> int:
        return TILE_SHAPES[self.pes][1]

    @property
    def accumulator_bits(self) -> int:
        """Bits of a signed accumulator: with 8-bit activations what the 25-bit port of a DSP48 takes."""
        return 25 if self.activation_bits == 8 else 32

    @property
    def quads(self) -> int:
        """Groups of four channel lanes: bit planes that one pass of a stem layer covers."""
        return self.group_channels // 4

    @property
    def lanes(self) -> int:
        """Add/subtract lanes of one PE."""
        return 9 * self.group_channels

    @property
    def words_per_slot(self) -> int:
        """36-bit weight words in a group slot."""
        return self.group_channels // 2

    def verilog_parameters(self) -> dict[str, int]:
        """Parameters of the RTL top module, by their SystemVerilog names."""
        return {name.title().replace("_", ""): value for name, value in asdict(self).items()}
