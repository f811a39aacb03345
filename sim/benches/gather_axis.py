"""gather_axis: every stride, offset and half, against coordinates worked out pixel by pixel."""

from __future__ import annotations

import cocotb
from cocotb.triggers import Timer

from tritforge.sim.benches.records import split


@cocotb.test()
async def pixels_find_their_banks(dut) -> None:
    """Each served pixel's bank reads the chunk of its coordinate; both halves together serve every pixel once."""
    size = int(dut.Size.value)
    index_bits = max(1, (size - 1).bit_length())
    for stride in (1, 2):
        for offset in range(3):
            served_in: list[list[int]] = []
            for half in (0, 1):
                dut.stride_2_i.value, dut.offset_i.value, dut.half_i.value = stride == 2, offset, half
                await Timer(1, "ns")
                banks = split(int(dut.bank_o.value), index_bits, size)
                chunks = split(int(dut.chunk_o.value), 2, size)
                served = [j for j in range(size) if int(dut.served_o.value) >> j & 1]
                for j in served:
                    chunk, bank = divmod(stride * j + offset, size)
                    assert banks[j] == bank, (stride, offset, half, j)
                    assert chunks[bank] == chunk, (stride, offset, half, j)
                assert len({banks[j] for j in served}) == len(served)
                served_in.append(served)
            if stride == 1 or size == 1:
                assert served_in == [list(range(size))] * 2
            else:
                assert served_in == [list(range(size // 2)), list(range(size // 2, size))]
