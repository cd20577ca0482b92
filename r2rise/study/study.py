"""The study: the complete question, as one frozen and validated object.

It has the same fields in Python, in YAML, over REST and inside every saved importance map.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from r2rise.errors import StudyError, suggestion
from r2rise.files import atomic_file
from r2rise.limits import OPEN_BUDGET
from r2rise.study.choices import EstimatorChoice
from r2rise.study.hashing import json_hash, with_first_defaults, without_first_defaults
from r2rise.study.parts import (
    Budget,
    DemonstratedReturn,
    Evaluation,
    Execution,
    Masking,
    Prediction,
    StudyPart,
    Until,
    VerdictRule,
)
from r2rise.study.specs import AlgorithmSpec, EnvironmentSpec
from r2rise.study.training import Training
from r2rise.study.validation import describe

_LONG_NAMES = {"environment": "id", "algorithm": "name", "budget": "retrainings"}
"""Parts that may be given as a single value, and the field that this value sets."""

PRESETS: dict[str, dict[str, Any]] = {
    # Zheng et al., arXiv 2301.01088: independent masks, a new training seed for each, plain sum,
    # behavioural cloning in epochs over the kept frames.
    "paper": {
        "algorithm": {"name": "bc", "settings": {"n_epochs": 10}},
        "masking": {
            "segment_length": 10,
            "design": "bernoulli",
            "keep_probability": 0.5,
            "block_size": 1,
        },
        "evaluation": {"n_episodes": 20, "epsilon": 0.1},
        "budget": {"retrainings": 700},
        "estimator": "rise",
    },
}


class Study(StudyPart):
    """What is asked of a set of demonstrations.

    Attributes:
        demonstrations: Content hash of the demonstrations, filled in when the study is resolved.
        environment: Where policies are evaluated.
        algorithm: What is retrained.
        masking: How frames are grouped and masked.
        evaluation: How a policy is evaluated.
        training: How long to train is found out, where the algorithm's settings do not say.
        seed: The one seed that all random numbers follow from.
        budget: How much is spent at most.
        until: When to stop before that.
        verdicts: How segments are judged.
        demonstrated: What the demonstrations themselves returned, filled in where it is known.
        prediction: What a pilot predicted, where the study was planned.
        estimator: How the ledger becomes a map; `auto` takes `difference` (least squares in each
            block) where blocks are long enough, and `ridge` otherwise.
        execution: How the work is cut up.
        preset: Name of a set of defaults, `paper`; given fields win over it.
    """

    demonstrations: str | None = None
    environment: EnvironmentSpec
    algorithm: AlgorithmSpec = AlgorithmSpec()
    masking: Masking = Masking()
    evaluation: Evaluation = Evaluation()
    training: Training = Training()
    seed: int = Field(default=0, ge=0, lt=2**63)
    budget: Budget = Budget()
    until: Until = Until()
    verdicts: VerdictRule = VerdictRule()
    demonstrated: DemonstratedReturn | None = None
    prediction: Prediction | None = None
    estimator: EstimatorChoice = "auto"
    execution: Execution = Execution()
    preset: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _room_to_stop(cls, value: Any) -> Any:
        """Set the largest budget where a study has a stopping rule and names no budget."""
        if not isinstance(value, Mapping) or value.get("until") is None:
            return value
        try:
            until = Until.model_validate(value["until"])
            budget = Budget.model_validate(value.get("budget", {}))
        except ValidationError:
            return value  # reported by the validation of these fields
        if not until.may_end_early or "retrainings" in budget.model_fields_set:
            return value
        budget_fields = budget.model_dump(exclude_unset=True)
        return {**value, "budget": {**budget_fields, "retrainings": OPEN_BUDGET}}

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or value.get("preset") is None:
            return value
        name = value["preset"]
        if not isinstance(name, str) or name not in PRESETS:
            raise ValueError(f"no preset {name!r}. {suggestion(str(name), PRESETS)}")
        if isinstance(algorithm := value.get("algorithm"), str):
            value = {**value, "algorithm": {"name": algorithm}}
        return merged(_without_other_algorithm(PRESETS[name], value), value)

    def design_part(self) -> dict[str, Any]:
        """Return the fields, JSON-ready, that determine the result of retraining on one mask.

        Budget, estimator and limits are left out: a study that changes them reuses the ledger.
        """
        fields = self.model_dump(mode="json")
        execution = fields["execution"]
        names = ("demonstrations", "environment", "algorithm", "masking", "evaluation", "seed")
        return {name: fields[name] for name in names} | {
            "execution": {name: execution[name] for name in ("shard_size", "threads")}
        }

    @property
    def design_hash(self) -> str:
        """Hash of `design_part()`; ledgers of equal hash can be extended and merged.

        `r2rise.study.hashing` defines which fields are hashed.
        """
        return json_hash(without_first_defaults(self.design_part()))

    @property
    def study_hash(self) -> str:
        """Hash of the whole study except `preset`, by the same rule as `design_hash`."""
        return json_hash(without_first_defaults(self.model_dump(mode="json", exclude={"preset"})))

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> "Study":
        """Build a study from plain data.

        Raises:
            StudyError: When fields are wrong; it names each, the expected and the actual value.
        """
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise StudyError(f"This study cannot be used:\n{describe(error, cls)}") from None

    @classmethod
    def resolved(cls, fields: Mapping[str, Any]) -> "Study":
        """Build a resolved study from its saved fields, perhaps of a version with fewer fields."""
        return cls.model_validate(with_first_defaults(fields))

    @classmethod
    def load(cls, path: str | Path) -> "Study":
        """Read a study from a YAML file.

        Raises:
            StudyError: When the file is missing, is not YAML, or has wrong fields.
        """
        return cls.parse(read_yaml(path))

    def save(self, path: str | Path) -> None:
        """Write the study to a YAML file atomically."""
        text = yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)
        with atomic_file(Path(path)) as file:
            file.write(text.encode())


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read the fields of a study from a YAML file.

    Raises:
        StudyError: When the file is missing, is not YAML, or is not a mapping.
    """
    try:
        fields = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_OnceLoader)  # noqa: S506
    except OSError as error:
        raise StudyError(f"Cannot read the study {path}: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise StudyError(f"{path} is not a YAML file: {error}") from None
    except StudyError as error:
        raise StudyError(f"{path}: {error}") from None
    if not isinstance(fields, dict):
        held = "it is empty" if fields is None else f"it holds a {type(fields).__name__}"
        raise StudyError(
            f"{path} should hold the fields of a study (environment, algorithm, ...), but {held}."
        )
    return fields


class _OnceLoader(yaml.SafeLoader):
    """Refuses a field that is given twice, of which YAML would keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping."""
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for index, name in enumerate(names):
            if name in names[:index] and name != "<<":
                raise StudyError(f"the field {name!r} is given twice: remove one of them.")
        fields: dict[Any, Any] = super().construct_mapping(node, deep)
        return fields


def long_form(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Expand parts given as a single value to mappings, so that fields can be merged into them."""
    return {
        name: {_LONG_NAMES[name]: value}
        if name in _LONG_NAMES and not isinstance(value, Mapping)
        else value
        for name, value in fields.items()
    }


def _without_other_algorithm(preset: dict[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Drop the algorithm of a preset where a study names another one or its number of updates."""
    algorithm = fields.get("algorithm", {})
    if isinstance(algorithm, AlgorithmSpec):
        algorithm = algorithm.model_dump(exclude_unset=True)
    is_bc = isinstance(algorithm, Mapping) and algorithm.get("name", "bc") == "bc"
    if is_bc and "n_updates" not in (algorithm.get("settings") or {}):
        return preset
    return {name: part for name, part in preset.items() if name != "algorithm"}


def merged(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` updated with the values of `overrides`; mappings are merged recursively."""
    result = dict(base)
    for name, value in overrides.items():
        current = result.get(name)
        new = value.model_dump(exclude_unset=True) if isinstance(value, BaseModel) else value
        if isinstance(current, Mapping) and isinstance(new, Mapping):
            result[name] = merged(current, new)
        else:
            result[name] = new
    return result
