"""Error rates of verification, their intervals, and the table of results."""

from chronovox.evaluation.metrics import cllr, eer, eer_kaldi, min_dcf

__all__ = ["cllr", "eer", "eer_kaldi", "min_dcf"]
