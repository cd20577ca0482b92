"""Print the program of the README.

python tests/support/readme_program.py > program.py
"""

from pages import README, blocks


def program() -> str:
    """Return the first Python program of the README."""
    return blocks(README, "python")[0]


if __name__ == "__main__":
    print(program(), end="")
