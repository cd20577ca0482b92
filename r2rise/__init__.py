"""R2RISE: explain imitation-learning policies by the frames of their demonstrations.

Each public name is imported on first use, so that reading a file does not load gymnasium.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str

    from r2rise.ask.certify import certify as certify
    from r2rise.ask.check_training import check_training as check_training
    from r2rise.ask.compare import compare as compare
    from r2rise.ask.convert import Conversion as Conversion
    from r2rise.ask.convert import convert as convert
    from r2rise.ask.curate import curate as curate
    from r2rise.ask.experts import train_expert as train_expert
    from r2rise.ask.explain import explain as explain
    from r2rise.ask.map import importance_map as importance_map
    from r2rise.ask.plan import plan as plan
    from r2rise.ask.record import record as record
    from r2rise.ask.transfer import transfer as transfer
    from r2rise.data.demonstrations import Demonstrations as Demonstrations
    from r2rise.data.examples import load_example as load_example
    from r2rise.data.segments import Segment as Segment
    from r2rise.data.segments import Segments as Segments
    from r2rise.data.transitions import Transitions as Transitions
    from r2rise.errors import R2RiseError as R2RiseError
    from r2rise.ledger.ledger import Ledger as Ledger
    from r2rise.report.report import write_report as write_report
    from r2rise.results.certificate import Certificate as Certificate
    from r2rise.results.comparison import Comparison as Comparison
    from r2rise.results.curation import Curation as Curation
    from r2rise.results.importance_map import ImportanceMap as ImportanceMap
    from r2rise.results.plan import Plan as Plan
    from r2rise.results.training_check import TrainingCheck as TrainingCheck
    from r2rise.results.transfer import Transfer as Transfer
    from r2rise.run.engines import Engine as Engine
    from r2rise.run.progress import Progress as Progress
    from r2rise.study.parts import Budget as Budget
    from r2rise.study.parts import Evaluation as Evaluation
    from r2rise.study.parts import Execution as Execution
    from r2rise.study.parts import Masking as Masking
    from r2rise.study.parts import Until as Until
    from r2rise.study.parts import VerdictRule as VerdictRule
    from r2rise.study.study import Study as Study
    from r2rise.study.training import Training as Training

_MODULES = {
    "Budget": "study.parts",
    "Certificate": "results.certificate",
    "Comparison": "results.comparison",
    "Conversion": "ask.convert",
    "Curation": "results.curation",
    "Demonstrations": "data.demonstrations",
    "Engine": "run.engines",
    "Evaluation": "study.parts",
    "Execution": "study.parts",
    "ImportanceMap": "results.importance_map",
    "Ledger": "ledger.ledger",
    "Masking": "study.parts",
    "Plan": "results.plan",
    "Progress": "run.progress",
    "R2RiseError": "errors",
    "Segment": "data.segments",
    "Segments": "data.segments",
    "Study": "study.study",
    "Training": "study.training",
    "TrainingCheck": "results.training_check",
    "Transfer": "results.transfer",
    "Transitions": "data.transitions",
    "Until": "study.parts",
    "VerdictRule": "study.parts",
    "certify": "ask.certify",
    "check_training": "ask.check_training",
    "compare": "ask.compare",
    "convert": "ask.convert",
    "curate": "ask.curate",
    "explain": "ask.explain",
    "importance_map": "ask.map",
    "load_example": "data.examples",
    "plan": "ask.plan",
    "record": "ask.record",
    "train_expert": "ask.experts",
    "transfer": "ask.transfer",
    "write_report": "report.report",
}
"""The module of each public name."""

__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value = importlib.import_module("importlib.metadata").version("r2rise")
    elif name in _MODULES:
        value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    else:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message, name=name, obj=sys.modules[__name__])
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, "__version__", *(name for name in globals() if name.startswith("__"))})
