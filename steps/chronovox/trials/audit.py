"""What metadata alone give away of a list: can they tell targets from non-targets?"""

import numpy as np

MAX_TRIALS = 30000
FOLDS = 3


def auc(values: np.ndarray, is_target: np.ndarray, speakers) -> float:
    """Area under the ROC curve of a classifier that sees `values (N, D)` alone.

    speakers: of the enrolment and of the test side, each `(N,)`. Gradient-boosted
    trees are tested on a third of the enrolment speakers, in turn, who are on neither
    side of the trials that they were trained on: else the ages of somebody's targets
    could be known by heart. Of long lists so many trials that it takes seconds are
    drawn, always the same. NaN if a list is too small.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(1)
    chosen = rng.permutation(len(is_target))[:MAX_TRIALS]
    values, labels = values[chosen], is_target[chosen]
    sides = np.stack([side[chosen] for side in speakers])
    names, sides = np.unique(sides, return_inverse=True)
    fold = (rng.permutation(len(names)) % FOLDS)[sides.reshape(2, -1)]
    areas = []
    for number in range(FOLDS):
        seen, tested = (fold != number).all(axis=0), fold[0] == number
        if min(len(np.unique(labels[some])) for some in (seen, tested)) < 2:
            return np.nan
        trees = HistGradientBoostingClassifier(max_iter=50, random_state=1)
        with threadpool_limits(1):  # more wait for one another where cores are busy
            trees.fit(values[seen], labels[seen])
        scores = trees.predict_proba(values[tested])[:, 1]
        areas.append(roc_auc_score(labels[tested], scores))
    return float(np.mean(areas))
