#!/usr/bin/env bash
# Compute the MFCC of a data directory in parallel jobs.
#
# Usage: steps/make_mfcc.sh [options] DATA [LOGDIR=DATA/log [FEATDIR=DATA/data]]
# e.g.:  steps/make_mfcc.sh --nj 2 --cmd "$train_cmd" data/train exp/make_mfcc mfcc
#
# Options:
#   --nj N                      parallel jobs (default: 4)
#   --cmd CMD                   how to run them (default: utils/run.py)
#   --config FILE               settings (default: conf/mfcc.yaml)
#   --compress true|false       8 bits a value: a quarter of the space, but chunks
#                               take 20 times longer to read (default: false)
#   --allow-pipes true|false    run the commands in wav.scp (default: false)
#   --max-fail-ratio R          share of utterances that may fail (default: 0.05)
# Inputs and outputs: see make_feats.sh
set -euo pipefail

exec steps/make_feats.sh --type mfcc --config conf/mfcc.yaml "$@"
