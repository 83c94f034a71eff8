#!/usr/bin/env bash
# Compute the MFCC of a data directory in parallel jobs.
#
# Usage: steps/make_mfcc.sh [options] DATA [LOGDIR=DATA/log [FEATDIR=DATA/data]]
# e.g.:  steps/make_mfcc.sh --nj 2 --cmd "$train_cmd" data/train exp/make_mfcc mfcc
#
# Options, inputs and outputs: see make_feats.sh
set -euo pipefail

exec steps/make_feats.sh --type mfcc --config conf/mfcc.yaml "$@"
