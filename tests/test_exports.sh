#!/bin/sh
# What the module exports: the functions of the 2.40 and 3.0 lists, and nothing else. TAP.
set -u
. "${SRCDIR:-$(dirname "$0")/..}/tests/tap-lib.sh"

[ -f "${REPRIEVE_MODULE-}" ] || tap_skip_all 'no module is built'
nm -D --defined-only "$REPRIEVE_MODULE" | awk '{print $3}' >"$tap_dir/exported"
tap_is 'only C_ functions are exported' "$(grep -v '^C_[A-Z][A-Za-z]*$' "$tap_dir/exported")" ''
tap_is 'all 92 functions are exported' "$(grep -c '^C_' "$tap_dir/exported")" 92

sed -n 's/^CALL_NAME\(_3_0\)\{0,1\}(\(C_[A-Za-z]*\))$/\2/p' "$SRCDIR/module/call_names.h" |
    LC_ALL=C sort >"$tap_dir/wanted"
tap_ok 'they are those of the lists' \
    sh -c 'LC_ALL=C sort "$1/exported" | diff - "$1/wanted"' sh "$tap_dir"
# a destructor of ours could run after libcrypto's exit handler
tap_is 'there is nothing to run at unload' "$(nm "$REPRIEVE_MODULE" 2>/dev/null |
    grep -E ' (__cxa_atexit|atexit)' || :)" ''
# and what others call later, at fork and at OpenSSL's end, must be there still
tap_ok 'it is never unloaded' sh -c 'readelf -d "$1" | grep -q NODELETE' sh "$REPRIEVE_MODULE"
tap_done
