"""What a program loads, seen from another process."""

import subprocess
import sys


def loaded_by(program: str) -> set[str]:
    """The modules that a program has loaded in the end."""
    code = f"{program}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def loaded_beside_gymnasium(program: str) -> set[str]:
    """The same without what gymnasium loads alone.

    gymnasium 0.29 imports the environments of other packages, and whatever these import.
    """
    return loaded_by(f"import gymnasium\n{program}") - loaded_by("import gymnasium")
