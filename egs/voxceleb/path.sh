# shellcheck shell=bash
# The environment of this recipe: that of the project.
. ../../path.sh
