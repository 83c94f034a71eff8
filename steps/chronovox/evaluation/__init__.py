"""Error rates of verification, their intervals, the table of results, the report."""

from chronovox.evaluation.metrics import cllr, eer, eer_kaldi, min_dcf

__all__ = ["cllr", "eer", "eer_kaldi", "min_dcf"]
