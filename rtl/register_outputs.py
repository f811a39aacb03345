"""What the SystemRDL register map becomes: the RTL register block, Python constants and documentation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from peakrdl_regblock import RegblockExporter
from peakrdl_regblock.cpuif.passthrough import PassthroughCpuif
from peakrdl_regblock.udps import ALL_UDPS
from systemrdl import RDLCompiler
from systemrdl.node import AddrmapNode, FieldNode, MemNode, RegNode

from tritforge.errors import TritforgeError
from tritforge.overlay.spaces import SPACES

SOURCE = "rtl/map/accelerator.rdl"
NOTE = f"Generated from {SOURCE} by `python -m tritforge.rtl.generate`; do not edit."

_PYTHON_HEAD = f'''"""Register map of the accelerator: byte offsets, fields and memory windows.

{NOTE}
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


@dataclass(frozen=True)
class Field:
    """A field of a register: lowest bit and width in bits."""

    low: int
    width: int

    @property
    def mask(self) -> int:
        """The field's bits, in their place."""
        return ((1 << self.width) - 1) << self.low

    def get(self, word: int) -> int:
        """The field's value in a register word."""
        return (word & self.mask) >> self.low

    def put(self, value: int) -> int:
        """A register word with this field alone set; raises ValueError when the value does not fit."""
        if not 0 <= value < 1 << self.width:
            raise ValueError(f"{{value}} does not fit a field of {{self.width}} bits")
        return value << self.low


@dataclass(frozen=True)
class Window:
    """A memory window: byte offset of its first word and 32-bit words."""

    base: int
    words: int


'''

_WINDOWS = f"""// {NOTE}
/// What of the register map the register block leaves out. Each window begins at a multiple of its length.
package tritforge_windows_pkg;
  import tritforge_spaces_pkg::*;

  typedef struct packed {{
    logic [19:2] first;  // 32-bit word
    int unsigned words;
  }} window_t;

@
  function automatic logic in_window(logic [19:2] word, window_t window);
    return (word & ~18'(window.words - 1)) == window.first;
  endfunction

endpackage
"""


def read_register_map(path: Path, whole: bool = True) -> AddrmapNode:
    """The elaborated address map, or the register block's alone; raises TritforgeError when it is not valid."""
    compiler = RDLCompiler()
    for udp in ALL_UDPS:
        compiler.register_udp(udp)
    try:
        compiler.compile_file(str(path), defines={} if whole else {"REGISTERS_ALONE": ""})
        return compiler.elaborate().top
    except Exception as error:
        raise TritforgeError(f"{path}: not a register map ({error})") from error


def register_verilog(top: AddrmapNode) -> dict[str, str]:
    """The block of the registers alone and its package, by file name: requests of axil_port, synchronous reset."""
    with TemporaryDirectory() as folder:
        RegblockExporter().export(
            top,
            folder,
            cpuif_cls=PassthroughCpuif,
            default_reset_activelow=False,
            default_reset_async=False,
            err_if_bad_addr=True,
            err_if_bad_rw=True,
            retime_read_fanin=True,
            retime_read_response=True,
        )
        return {path.name: _noted(path.read_text(encoding="utf-8")) for path in sorted(Path(folder).glob("*.sv"))}


def window_package(top: AddrmapNode, block: AddrmapNode) -> str:
    """Source of ``tritforge_windows_pkg.sv``: where the counters and the memory windows lie that a block leaves out."""
    inside = {register.inst_name for register in _registers(block)}
    counters = [register.address_offset for register in _registers(top) if register.inst_name not in inside]
    windows = [("Counters", counters[0], 1 << (len(counters) - 1).bit_length())] + [
        (_camel(memory.inst_name.lower()), memory.address_offset, memory.get_property("mementries"))
        for memory in _memories(top)
    ]
    lines = [
        f"  localparam window_t {name}Window = '{{first: 18'h{offset // 4:05X}, words: {words}}};\n"
        for name, offset, words in windows
    ]
    lines.append(f"  localparam int unsigned Counters = {len(counters)};\n")
    spaces = ", ".join(f"{_camel(space)}Window" for space in reversed(SPACES))
    lines.append("\n  /// The windows of the memory spaces, by space.\n")
    lines.append(f"  localparam window_t [Spaces-1:0] SpaceWindows = '{{{spaces}}};\n")
    return _WINDOWS.replace("@", "".join(lines))


def register_constants(top: AddrmapNode) -> str:
    """Source of ``tritforge/overlay/register_map.py``."""
    offsets = [f"{register.inst_name} = 0x{register.address_offset:02X}" for register in _registers(top)]
    blocks = [_python_enum("Register", "Byte offsets of the registers.", offsets)]
    for register in _registers(top):
        for field in register.fields():
            encoding = field.get_property("encode")
            if encoding is not None:
                members = [f"{member.name.upper()} = {member.value}" for member in encoding]
                doc = f"Values of {register.inst_name}.{field.inst_name}."
                blocks.append(_python_enum(_camel(encoding.type_name), doc, members))
    lines = [
        f"{register.inst_name}_{field.inst_name.upper()} = Field(low={field.low}, width={field.width})"
        for register in _registers(top)
        for field in register.fields()
        if field.width < 32
    ]
    lines += [""] + [
        f"{register.inst_name}_VALUE = 0x{field.get_property('reset'):X}"
        for register in _registers(top)
        for field in register.fields()
        if _is_constant(field)
    ]
    lines += [""] + [
        f"{memory.inst_name} = Window(base=0x{memory.address_offset:05X}, words={memory.get_property('mementries')})"
        for memory in _memories(top)
    ]
    lines += ["", "WINDOWS = {", *(f'    "{m.inst_name.lower()}": {m.inst_name},' for m in _memories(top)), "}"]
    lines += ['"""The memory windows by name."""']
    return _PYTHON_HEAD + "\n\n".join(blocks) + "\n\n" + "\n".join(lines) + "\n"


def register_markdown(top: AddrmapNode) -> str:
    """Source of ``docs/register_map.md``."""
    lines = [
        "# Register map", "", f"<!-- {NOTE} -->", "",
        "32-bit registers behind an AXI4-Lite slave. Offsets are in bytes. Unmapped addresses, writes to read-only",
        "registers and reads of write-only ones are answered with SLVERR. Memories take whole words.", "",
        "## Registers", "",
        "| offset | register | bits | field | access | reset | meaning |", "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for register in _registers(top):
        label = f"`{register.inst_name}`: {register.get_property('name')}"
        for index, field in enumerate(register.fields()):
            reset = field.get_property("reset")
            cells = (
                f"`0x{register.address_offset:02X}`" if index == 0 else "",
                label if index == 0 else "",
                f"{field.high}:{field.low}" if field.width > 1 else f"{field.low}",
                f"`{field.inst_name}`",
                _access(field),
                "" if reset is None else f"`0x{reset:X}`",
                _meaning(field),
            )
            lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        "## Memory windows",
        "",
        "| offset | window | 32-bit words | access | meaning |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| `0x{memory.address_offset:05X}` | `{memory.inst_name}` | {memory.get_property('mementries')} "
        f"| {memory.get_property('sw').name} | {memory.get_property('name')} |"
        for memory in _memories(top)
    ]
    return "\n".join(lines) + "\n"


def _registers(top: AddrmapNode) -> Iterator[RegNode]:
    return (child for child in top.children() if isinstance(child, RegNode))


def _memories(top: AddrmapNode) -> Iterator[MemNode]:
    return (child for child in top.children() if isinstance(child, MemNode))


def _is_constant(field: FieldNode) -> bool:
    return not field.is_sw_writable and not field.is_hw_writable


def _access(field: FieldNode) -> str:
    if field.get_property("onwrite"):
        return "write 1 to clear"
    return field.get_property("sw").name


def _meaning(field: FieldNode) -> str:
    text = " ".join((field.get_property("desc") or "").split())
    encoding = field.get_property("encode")
    if encoding:
        text += "".join(f"<br>{member.value} {member.name}: {member.rdl_desc}" for member in encoding)
    return text


def _python_enum(name: str, doc: str, members: list[str]) -> str:
    return "\n".join([f"class {name}(IntEnum):", f'    """{doc}"""', "", *(f"    {line}" for line in members), ""])


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.removesuffix("_e").split("_"))


def _noted(text: str) -> str:
    return "\n".join([f"// {NOTE}", *(line.rstrip() for line in text.splitlines())]) + "\n"
