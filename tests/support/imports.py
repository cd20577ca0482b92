"""What a program loads, seen from another process."""

import subprocess
import sys


def loaded_by(program: str) -> set[str]:
    """The modules that a program has loaded in the end."""
    code = f"{program}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())
