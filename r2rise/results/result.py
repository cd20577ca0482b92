"""Results, saved as versioned JSON; the same from Python, the command line and the service."""

import json
import platform
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from pkgutil import iter_modules
from typing import IO, ClassVar, Literal, Self
from zipfile import BadZipFile

from pydantic import ValidationError

from r2rise.errors import InputError, ResultError
from r2rise.files import atomic_file
from r2rise.statistics.summaries import MapPart
from r2rise.study.hashing import with_first_defaults
from r2rise.study.validation import describe

_PACKAGES = ("r2rise", "numpy", "scipy", "gymnasium", "torch")

FigureFormat = Literal["png", "svg"]

WITH_FIGURE = (".json", ".png", ".svg")


class Result(MapPart):
    """A result with a schema name and version. Minor versions only add fields.

    Subclasses have fields `schema_` (alias `schema`) and `schema_version`, with defaults.
    """

    title: ClassVar[str]
    """Name of the result in messages."""

    file_name: ClassVar[str]
    """Name of its file in an output directory."""

    error: ClassVar[type[InputError]] = ResultError

    endings: ClassVar[tuple[str, ...]] = (".json",)
    """Endings of the files it can be saved as; `WITH_FIGURE` for results with a figure."""

    figure: ClassVar[str | None] = None
    """`module:function` in `r2rise.report.figures`; a name, so that results import no figures."""

    caption: ClassVar[str | None] = None
    """Caption of its figure in a report; None for results that are not in reports."""

    belongs_to_study: ClassVar[bool] = True
    """Whether a study writes it into its output directory; else only where the user asks."""

    @property
    def summary(self) -> str:
        """The result in a few words."""
        return self.title

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.summary}>"

    def __str__(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        """Return the result as a notebook shows it."""
        html: str = import_module("r2rise.report.notebook").html_of(self)
        return html

    def to_json(self) -> str:
        """Return the result as JSON text; NaN is null."""
        fields = self.model_dump(mode="json", by_alias=True)
        return json.dumps(fields, indent=2, allow_nan=False) + "\n"

    def save(self, path: str | Path) -> None:
        """Write the result in the format of the ending, atomically.

        Raises:
            ResultError: For an ending that is not in `endings` (maps: MapError).
            MissingExtra: When the ending is of a figure and matplotlib is not installed.
        """
        path = Path(path)
        ending = path.suffix.lower()
        if ending not in self.endings:
            allowed = " or ".join(filter(None, (", ".join(self.endings[:-1]), self.endings[-1])))
            title = _with_article(self.title).capitalize()
            raise self.error(f"{title} is saved as {allowed}, not as {path.name!r}.")
        with atomic_file(path) as file:
            self._write(file, ending)

    def _write(self, file: IO[bytes], ending: str) -> None:
        if ending == ".json":
            file.write(self.to_json().encode())
        else:
            self.draw(file, format="svg" if ending == ".svg" else "png")

    def draw(self, file: IO[bytes], *, format: FigureFormat = "png") -> None:  # noqa: A002
        """Draw the figure of the result, if it has one; see `endings`.

        Raises:
            MissingExtra: When matplotlib is not installed.
        """
        if self.figure is None:
            raise self.error(f"{_with_article(self.title).capitalize()} has no figure.")
        module, function = self.figure.split(":")
        figures = import_module(f"r2rise.report.figures.{module}")
        getattr(figures, function)(self, file, format=format)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a saved result, from a file or from `file_name` in a directory.

        Raises:
            ResultError: When there is no such file, or it is not such a result (maps: MapError).
        """
        path = Path(path)
        path = path / cls.file_name if path.is_dir() else path
        try:
            return cls.from_json(cls._read_text(path))
        except OSError as error:
            raise cls.error(
                f"Cannot read the {cls.title} {path}: {error.strerror or error}."
            ) from None
        except (ValueError, KeyError, EOFError, BadZipFile) as error:
            raise cls.error(f"{path} is not {_with_article(cls.title)}: {error}") from None

    @classmethod
    def _read_text(cls, path: Path) -> str:
        return path.read_text(encoding="utf-8")

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read JSON text; fields that later minor versions have added are ignored.

        Raises:
            ResultError: When it is not such a result, or of another major version (maps:
                MapError).
        """
        schema = cls.model_fields["schema_"].default
        supported = cls.model_fields["schema_version"].default
        try:
            fields = json.loads(text)
        except ValueError as error:
            raise cls.error(f"expected JSON ({error})") from None
        if not isinstance(fields, dict) or fields.get("schema") != schema:
            raise cls.error(f'expected a JSON object with "schema": "{schema}"')
        saved = str(fields.get("schema_version"))
        if saved.partition(".")[0] != supported.partition(".")[0]:
            raise cls.error(
                f"it has schema version {saved}, this r2rise reads {supported}: upgrade r2rise"
            )
        if isinstance(study := fields.get("study"), dict):
            fields["study"] = with_first_defaults(study)
        try:
            return cls.model_validate(fields, extra="ignore")
        except ValidationError as error:
            raise cls.error(f"\n{describe(error, cls)}") from None


@cache
def result_classes() -> tuple[type[Result], ...]:
    """Return the classes of all results: each is defined by a module of this package."""
    package = import_module("r2rise.results")
    names = [module.name for module in iter_modules(package.__path__)]
    modules = [import_module(f"r2rise.results.{name}") for name in names]
    return tuple(
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Result)
        and value is not Result
        and value.__module__ == module.__name__
    )


def _with_article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def now() -> datetime:
    """Return the current time in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    installed = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:  # not installed, or r2rise runs from a source tree
            continue
    return installed
