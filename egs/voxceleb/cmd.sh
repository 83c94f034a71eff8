# shellcheck shell=bash
# How jobs are run: as in the project. Edit for a cluster of your own.
. ../../cmd.sh
