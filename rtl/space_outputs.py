"""What the table of memory spaces becomes: the RTL package with the codes, and documentation."""

from __future__ import annotations

from tritforge.overlay.spaces import ADDRESS_BITS, ENTRY_SPACE_LOW, SPACE_BITS, TABLE, WORD_BITS

SOURCE = "tritforge/overlay/spaces.py"
NOTE = f"Generated from {SOURCE} by `python -m tritforge.rtl.generate`; do not edit."


def space_package() -> str:
    """Source of ``tritforge_spaces_pkg.sv``."""
    wide = sum((space.bus_words == 2) << space.code for space in TABLE)
    lines = [
        f"// {NOTE}",
        "",
        "/// Memory spaces of the program port and of staged entries.",
        "package tritforge_spaces_pkg;",
        "",
        "  /// Bits of a word's address and of the widest word.",
        f"  localparam int unsigned SpaceAddrBits = {ADDRESS_BITS};",
        f"  localparam int unsigned SpaceWordBits = {WORD_BITS};",
        "  /// Lowest bit of the space in the third word of a staged entry; the address begins at bit 0.",
        f"  localparam int unsigned EntrySpaceLow = {ENTRY_SPACE_LOW};",
        "",
        "  /// Spaces count from 0; the others are of no memory.",
        f"  localparam int unsigned Spaces = {len(TABLE)};",
        f"  typedef logic [{SPACE_BITS - 1}:0] space_t;",
    ]
    for space in TABLE:
        meaning = space.meaning.replace("`", "")
        lines += [
            f"  /// {meaning[0].upper()}{meaning[1:]}.",
            f"  localparam space_t {space_constant(space.name)} = {SPACE_BITS}'d{space.code};",
        ]
    lines += [
        "",
        "  /// The spaces whose words take two of 32 bits; the others take one.",
        f"  localparam logic [Spaces-1:0] WideSpaces = {len(TABLE)}'b{wide:0{len(TABLE)}b};",
        "",
        "  /// A word and its place, as the staging memory holds it.",
        "  typedef struct packed {",
        "    space_t                   space;",
        "    logic [SpaceAddrBits-1:0] addr;",
        "    logic [SpaceWordBits-1:0] word;",
        "  } entry_t;",
        "",
        "endpackage",
        "",
    ]
    return "\n".join(lines)


def space_constant(name: str) -> str:
    """Name of a space's code in the RTL."""
    return f"Space{name.title().replace('_', '')}"


def space_markdown() -> str:
    """The part of ``docs/register_map.md`` on memory spaces."""
    cells = ((space.code, f"`{space.name}`", space.word_bits, space.bus_words, space.meaning) for space in TABLE)
    rows = ["| " + " | ".join(map(str, row)) + " |" for row in cells]
    return "\n".join(
        [
            "",
            "## Memory spaces",
            "",
            f"<!-- From {SOURCE}. -->",
            "",
            f"A staged entry names a space by its code, in {SPACE_BITS} bits. An entry of another code is refused when "
            "it is written, with the",
            "event `closed_write`, and the program memories take no word of another space.",
            "",
            "| code | space | bits of a word | 32-bit words on the bus | a word holds |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )
