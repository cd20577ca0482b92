"""R2RISE: explain imitation-learning policies by the frames of their demonstrations.

What is named here is imported when it is first used: reading a file does not load gymnasium.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from r2rise.certificate import Certificate
    from r2rise.certification import certify
    from r2rise.checking_training import check_training
    from r2rise.comparison import Comparison, compare
    from r2rise.curating import curate
    from r2rise.curation import Curation
    from r2rise.demonstrations import Demonstrations, Transitions
    from r2rise.engines import Engine
    from r2rise.errors import R2RiseError
    from r2rise.explaining import explain
    from r2rise.importance import ImportanceMap
    from r2rise.ledger import Ledger
    from r2rise.mapping import importance_map
    from r2rise.planning import Plan, plan
    from r2rise.recording import Recording, record
    from r2rise.runner import Progress
    from r2rise.segments import Segment, Segments
    from r2rise.study import Study
    from r2rise.study_parts import (
        Budget,
        Evaluation,
        Execution,
        Masking,
        Until,
        VerdictRule,
    )
    from r2rise.training_check import TrainingCheck
    from r2rise.training_parts import Training
    from r2rise.transfer_matrix import Transfer
    from r2rise.transferring import transfer

__all__ = [
    "Budget",
    "Certificate",
    "Comparison",
    "Curation",
    "Demonstrations",
    "Engine",
    "Evaluation",
    "Execution",
    "ImportanceMap",
    "Ledger",
    "Masking",
    "Plan",
    "Progress",
    "R2RiseError",
    "Recording",
    "Segment",
    "Segments",
    "Study",
    "Training",
    "TrainingCheck",
    "Transfer",
    "Transitions",
    "Until",
    "VerdictRule",
    "certify",
    "check_training",
    "compare",
    "curate",
    "explain",
    "importance_map",
    "plan",
    "record",
    "transfer",
]

_HOMES = {
    "Budget": "study_parts",
    "Certificate": "certificate",
    "Comparison": "comparison",
    "Curation": "curation",
    "Demonstrations": "demonstrations",
    "Engine": "engines",
    "Evaluation": "study_parts",
    "Execution": "study_parts",
    "ImportanceMap": "importance",
    "Ledger": "ledger",
    "Masking": "study_parts",
    "Plan": "planning",
    "Progress": "runner",
    "R2RiseError": "errors",
    "Recording": "recording",
    "Segment": "segments",
    "Segments": "segments",
    "Study": "study",
    "Training": "training_parts",
    "TrainingCheck": "training_check",
    "Transfer": "transfer_matrix",
    "Transitions": "demonstrations",
    "Until": "study_parts",
    "VerdictRule": "study_parts",
    "certify": "certification",
    "check_training": "checking_training",
    "compare": "comparison",
    "curate": "curating",
    "explain": "explaining",
    "importance_map": "mapping",
    "plan": "planning",
    "record": "recording",
    "transfer": "transferring",
}
"""The module of each name."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
