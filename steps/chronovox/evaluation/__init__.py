"""Error rates of verification, their intervals, and the table of results."""

from chronovox.evaluation.metrics import eer, eer_kaldi, measure, min_dcf

__all__ = ["eer", "eer_kaldi", "measure", "min_dcf"]
