#!/usr/bin/env bash
# Compute the log-mel filterbank features (fbank) of a data directory in parallel jobs.
#
# Usage: steps/make_fbank.sh [options] DATA [LOGDIR=DATA/log [FEATDIR=DATA/data]]
# e.g.:  steps/make_fbank.sh --nj 2 --cmd "$train_cmd" data/train exp/make_fbank fbank
#
# Options, inputs and outputs: see make_feats.sh
set -euo pipefail

exec steps/make_feats.sh --type fbank --config conf/fbank.yaml "$@"
