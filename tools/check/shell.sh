#!/bin/sh
# Every script, by the program of that name.
. "$(dirname "$0")/lib.sh"
files '*.sh' '*.bash' .ci/run | xargs shellcheck --external-sources --source-path=SCRIPTDIR --exclude=SC1091,SC2016 --format=gcc
