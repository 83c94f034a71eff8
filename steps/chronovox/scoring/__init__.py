"""Scoring of trials, and the score files."""

from chronovox.scoring.cosine import cosine_scores
from chronovox.scoring.files import name_below, read_info, read_scores, write_scores
from chronovox.scoring.origin import check_origin, write_origin

__all__ = [
    "check_origin", "cosine_scores", "name_below", "read_info", "read_scores",
    "write_origin", "write_scores",
]  # fmt: skip
