# shellcheck shell=bash
# How jobs are run; sourced by run.sh and steps/*.sh. Any program that honours
# `CMD [--mem 4G] [--gpu 1] [--time T] [--num-threads N] JOB=1:N log command` will do.
#
# On a Slurm cluster, whose partitions and accounts conf/slurm.conf knows:
#   export train_cmd="utils/slurm.py --mem 2G --time 4:00:00"
#   export cuda_cmd="utils/slurm.py --mem 16G --num-threads 8 --partition gpu"
# (with --nj as large as you like below MaxArraySize; --max-jobs-run N is polite).
export train_cmd="utils/run.py --mem 2G"
export cuda_cmd="utils/run.py --mem 4G --num-threads 2"
