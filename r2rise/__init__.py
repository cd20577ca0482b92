"""R2RISE: explain imitation-learning policies by the frames of their demonstrations."""

from r2rise.certificate import Certificate
from r2rise.certification import certify
from r2rise.comparison import Comparison, compare
from r2rise.curation import Curation, curate
from r2rise.demonstrations import Demonstrations, Transitions
from r2rise.engines import Engine
from r2rise.errors import R2RiseError
from r2rise.explain import explain
from r2rise.importance import ImportanceMap
from r2rise.ledger import Ledger
from r2rise.mapping import importance_map
from r2rise.planning import Plan, plan
from r2rise.recording import Recording, record
from r2rise.runner import Progress
from r2rise.segments import Segment, Segments
from r2rise.study import Study
from r2rise.study_parts import Budget, Evaluation, Execution, Masking, Until, VerdictRule
from r2rise.transfer import Transfer, transfer

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
    "Transfer",
    "Transitions",
    "Until",
    "VerdictRule",
    "certify",
    "compare",
    "curate",
    "explain",
    "importance_map",
    "plan",
    "record",
    "transfer",
]
