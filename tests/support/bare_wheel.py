"""Install a wheel outside the clone and run the README's program there; part of `make test-wheel`.

    python tests/support/bare_wheel.py dist/r2rise-*.whl

First without extras, where the map is saved as a table, and a picture is refused with the name of
the missing extra; then with that extra, `plot`.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from places import ROOT
from readme_program import program

PICTURE = 'importance.save("map.png")'
TABLE = """importance.save("map.csv")
try:
    importance.save("map.png")
except ImportError as error:
    assert "r2rise[plot]" in str(error), error
else:
    raise AssertionError("drew a picture without the extra `plot`")"""
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def run(*command: str | Path, folder: Path) -> None:
    """Run a command in a folder, show what it prints, and fail if it does."""
    start = time.monotonic()
    subprocess.run(command, cwd=folder, env=ENVIRONMENT, check=True)
    print(f"{time.monotonic() - start:6.1f} s  {Path(command[0]).name} {command[-1]}", flush=True)


def check(wheel: Path, folder: Path) -> None:
    """Run the version and the program, without extras and with `plot`."""
    venv = folder / "venv"
    pip = [venv / "bin" / "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt"]
    assert PICTURE in program()
    (folder / "table.py").write_text(program().replace(PICTURE, TABLE))
    (folder / "program.py").write_text(program())
    run(sys.executable, "-m", "venv", venv, folder=folder)
    run(*pip, wheel, folder=folder)
    run(venv / "bin" / "r2rise", "--version", folder=folder)
    run(venv / "bin" / "python", "-I", "table.py", folder=folder)
    run(*pip, f"{wheel}[plot]", folder=folder)
    run(venv / "bin" / "python", "-I", "program.py", folder=folder)
    for name in ("map.csv", "map.png", "better.npz"):
        assert (folder / name).stat().st_size > 0, name


if __name__ == "__main__":
    with TemporaryDirectory() as name:
        check(Path(sys.argv[1]).resolve(), Path(name))
