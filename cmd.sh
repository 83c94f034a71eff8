# shellcheck shell=bash
# How jobs are run; sourced by run.sh and steps/*.sh. Any program that honours
# `CMD [--mem 4G] [--gpu 1] [--time T] [--num-threads N] JOB=1:N log command` will do.
export train_cmd="utils/run.py --mem 2G"
export cuda_cmd="utils/run.py --mem 4G --num-threads 2"
