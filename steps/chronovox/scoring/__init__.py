"""Scoring of trials, and the score files."""

from chronovox.scoring.files import name_below, read_info, read_scores, write_scores

__all__ = ["name_below", "read_info", "read_scores", "write_scores"]
