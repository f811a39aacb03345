"""The RTL's packed records as integers: descriptors, and the structs of ``tritforge_pkg``; words of packed arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tritforge.overlay.descriptor import HEADER, LAYER, USED_WORDS, Field, pack

Members = tuple[tuple[str, int], ...]

PASS: Members = (
    ("slot", 1),
    ("last", 1),
    ("first_tile", 1),
    ("last_of_tile", 1),
    ("index", 8),
    ("tile_y", 12),
    ("tile_x", 12),
)
WALK: Members = (
    ("bitmap_base", 16),
    ("tiles_y", 12),
    ("tiles_x", 12),
    ("passes", 8),
    ("groups", 8),
    ("last_words", 8),
    ("planes", 4),
    ("plane_step", 4),
)
LOAD: Members = (("slot", 1), ("group", 8), ("tile_y", 12), ("tile_x", 12))
GROUP_LAYER: Members = (("slot", 1), ("quad_shift", 1), ("buffer_log2", 3))
GROUP: Members = (
    ("layer", 5),
    ("empty", 1),
    ("load", 1),
    ("last", 1),
    ("shift", 5),
    ("channel", 7),
    ("slot", 16),
)


def pack_record(members: Members, **values: int) -> int:
    """A packed struct, first member highest; members that are not given are zero."""
    record = 0
    for name, width in members:
        value = int(values.pop(name, 0))
        if value >> width:
            raise ValueError(f"{name} is {value}; it has {width} bits")
        record = record << width | value
    if values:
        raise KeyError(f"no member {sorted(values)[0]}")
    return record


def unpack_record(members: Members, record: int) -> dict[str, int]:
    """Member values of a packed struct: inverse of :func:`pack_record`."""
    values = {}
    for name, width in reversed(members):
        values[name] = record & ((1 << width) - 1)
        record >>= width
    return values


def layer_record(**fields: int) -> int:
    """``layer_t`` from descriptor fields; the others are zero."""
    return _frame(LAYER, fields, "layer")


def walk_record(fields: dict[str, int]) -> int:
    """``walk_t`` of a layer with these descriptor fields."""
    return pack_record(WALK, **{name: fields[name] for name, _ in WALK})


def header_record(**fields: int) -> int:
    """``header_t`` from descriptor fields; the others are zero."""
    return _frame(HEADER, fields, "header")


def _frame(fields: tuple[Field, ...], values: dict[str, int], label: str) -> int:
    return join((int(word) for word in pack(fields, values, label)[:USED_WORDS]), 32)


def join(words: Iterable[int], width: int) -> int:
    """A packed array from its words, index 0 lowest; negative words as two's complement."""
    mask, value = (1 << width) - 1, 0
    for index, word in enumerate(words):
        value |= (word & mask) << width * index
    return value


def split(value: int, width: int, count: int) -> list[int]:
    """Words of a packed array, index 0 first: inverse of :func:`join`."""
    mask = (1 << width) - 1
    return [value >> width * index & mask for index in range(count)]


def signed(value: int, width: int) -> int:
    """The two's complement number in the lowest ``width`` bits."""
    value &= (1 << width) - 1
    return value - (1 << width) if value >> (width - 1) else value


def bits(flags: Sequence[bool]) -> int:
    """Flags as bits, index 0 lowest."""
    return sum(1 << index for index, flag in enumerate(flags) if flag)
