"""The memory that a call takes at its most, beyond the modules that it imports, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

MEGABYTE = 1 << 20

PROGRAM = """
import resource
{imports}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    {call}
    print("done")
except TritforgeError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def peak_memory(imports: str, call: str, **environment: str) -> tuple[str, int]:
    """What a call came to (``done``, or the sentence of its refusal), and the bytes that it took.

    The process is started by another one: Linux hands a process's peak on to those that it starts.
    """
    program = PROGRAM.format(
        imports=f"from tritforge.errors import TritforgeError\n{textwrap.dedent(imports)}", call=call
    )
    start = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', sys.argv[1]]).returncode)"
    done = subprocess.run(
        [sys.executable, "-c", start, program],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    outcome, size = done.stdout.splitlines()
    return outcome, int(size)
