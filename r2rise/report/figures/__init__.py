"""Figures: one file for each, all drawn and saved the same way."""

from r2rise.report.figures.certificate import draw_certificate
from r2rise.report.figures.comparison import draw_comparison
from r2rise.report.figures.curation import draw_curation
from r2rise.report.figures.importance import draw_importance
from r2rise.report.figures.plan import draw_plan
from r2rise.report.figures.training import draw_training
from r2rise.report.figures.transfer import draw_transfer
from r2rise.report.figures.variance import draw_variance

__all__ = [
    "draw_certificate",
    "draw_comparison",
    "draw_curation",
    "draw_importance",
    "draw_plan",
    "draw_training",
    "draw_transfer",
    "draw_variance",
]
