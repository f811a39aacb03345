"""What the descriptor tables become: the RTL package with the packed structs, and documentation."""

from __future__ import annotations

from tritforge.overlay.descriptor import FRAME_WORDS, HEADER, KINDS, LAYER, USED_WORDS, Field

SOURCE = "tritforge/overlay/descriptor.py"
NOTE = f"Generated from {SOURCE} by `python -m tritforge.rtl.generate`; do not edit."


def descriptor_package() -> str:
    """Source of ``tritforge_descriptor_pkg.sv``."""
    return "\n".join(
        [
            f"// {NOTE}",
            "",
            "/// Program header and layer descriptors as packed structs: {word 15, ..., word 0} cast to the struct.",
            "package tritforge_descriptor_pkg;",
            "",
            "  /// Words from one descriptor to the next.",
            f"  localparam int unsigned FrameWords = {FRAME_WORDS};",
            "  /// Words of a descriptor that carry fields: the lowest of its frame.",
            f"  localparam int unsigned UsedWords = {USED_WORDS};",
            "",
            "  /// layer_t.kind.",
            *_kinds(),
            "",
            "  /// Program header: descriptor 0.",
            *_struct("header_t", HEADER),
            "",
            "  /// Layer descriptor.",
            *_struct("layer_t", LAYER),
            "",
            "endpackage",
            "",
        ]
    )


def descriptor_markdown() -> str:
    """Source of ``docs/descriptors.md``."""
    return "\n".join(
        [
            "# Descriptors",
            "",
            f"<!-- {NOTE} -->",
            "",
            f"The descriptor memory holds frames of {FRAME_WORDS} words of 32 bits, of which the first "
            f"{USED_WORDS} carry fields;",
            "bits without a field are zero. Frame 0 is the program header, frame n the descriptor of layer n - 1.",
            "",
            "## Program header",
            "",
            *_table(HEADER),
            "",
            "## Layer",
            "",
            *_table(LAYER),
            "",
        ]
    )


def _kinds() -> list[str]:
    width = next(field.width for field in LAYER if field.name == "kind")
    return [
        f"  localparam logic [{width - 1}:0] Kind{kind.name.title().replace(' ', '')} = {width}'d{kind.code};"
        for kind in KINDS
    ]


def _struct(name: str, fields: tuple[Field, ...]) -> list[str]:
    """A packed struct of ``USED_WORDS`` words, highest bit first, free bits as reserved fields."""
    by_word = {word: [field for field in fields if field.word == word] for word in range(USED_WORDS)}
    lines = ["  typedef struct packed {"]
    for word in reversed(range(USED_WORDS)):
        used = sum(field.width for field in by_word[word])
        if used < 32:
            lines.append(_member(f"reserved_{word}", 32 - used, f"Word {word}: no field."))
        for field in reversed(by_word[word]):
            meaning = field.meaning[0].upper() + field.meaning[1:]
            lines.append(_member(field.name, field.width, f"Word {word}: {meaning}."))
    return [*lines, f"  }} {name};"]


def _member(name: str, width: int, doc: str) -> str:
    span = f"[{width - 1}:0]" if width > 1 else ""
    return f"    /// {doc}\n    logic {span:>7} {name};"


def _table(fields: tuple[Field, ...]) -> list[str]:
    rows = [
        f"| {field.word} | {field.low + field.width - 1}:{field.low} | `{field.name}` | {field.meaning} |"
        if field.width > 1
        else f"| {field.word} | {field.low} | `{field.name}` | {field.meaning} |"
        for field in fields
    ]
    return ["| word | bits | field | meaning |", "|---|---|---|---|", *rows]
