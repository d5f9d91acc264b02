# shellcheck shell=sh
# Sourced by test scripts: prints TAP. Call tap_done last; without it the run has no plan and fails.
#
#   tap_ok NAME COMMAND [ARG...]      passes when COMMAND succeeds; its output is shown when not
#   tap_fails NAME COMMAND [ARG...]   passes when COMMAND fails, and not by a signal
#   tap_is NAME GOT WANTED            passes when the two strings are the same
#   tap_skip NAME REASON              counts one test as skipped
#   tap_skip_all REASON               ends the script, all of it skipped
#   tap_host COMMAND [ARG...]         runs a program that is not ours and loads the module
#   tap_done                          prints the plan; fails when a test failed
#
# tap_dir is a directory of the script's own, removed at its end.

tap_count=0
tap_failed=0
tap_dir=$(mktemp -d "${TMPDIR:-/tmp}/reprieve-test.XXXXXX") || exit 1
trap 'rm -rf "$tap_dir"' EXIT
trap 'exit 1' HUP INT TERM

tap_result() {
    tap_count=$((tap_count + 1))
    [ "$1" = ok ] || tap_failed=$((tap_failed + 1))
    printf '%s %d - %s\n' "$1" "$tap_count" "$2"
}

tap_output() {
    sed 's/^/# /' "$tap_dir/tap-output"
}

tap_ok() {
    tap_name=$1
    shift
    tap_status=0
    "$@" >"$tap_dir/tap-output" 2>&1 || tap_status=$?
    if [ "$tap_status" -eq 0 ]; then
        tap_result ok "$tap_name"
    else
        tap_result 'not ok' "$tap_name"
        echo "# status $tap_status: $*"
        tap_output
    fi
}

tap_fails() {
    tap_name=$1
    shift
    tap_status=0
    "$@" >"$tap_dir/tap-output" 2>&1 || tap_status=$?
    if [ "$tap_status" -gt 0 ] && [ "$tap_status" -lt 126 ]; then
        tap_result ok "$tap_name"
    else
        tap_result 'not ok' "$tap_name"
        echo "# status $tap_status: $*"
        tap_output
    fi
}

tap_is() {
    if [ "$2" = "$3" ]; then
        tap_result ok "$1"
    else
        tap_result 'not ok' "$1"
        printf 'got:    %s\nwanted: %s\n' "$2" "$3" | sed 's/^/# /'
    fi
}

tap_skip() {
    tap_count=$((tap_count + 1))
    printf 'ok %d - %s # SKIP %s\n' "$tap_count" "$1" "$2"
}

tap_skip_all() {
    echo "1..0 # SKIP $1"
    exit 0
}

# In a sanitizer build the runtime must come first in such a program, whose own faults are not ours.
tap_host() {
    if [ -n "${REPRIEVE_PRELOAD-}" ]; then
        tap_asan=detect_leaks=0:suppressions=$SRCDIR/tests/asan-host.supp
        env LD_PRELOAD="$REPRIEVE_PRELOAD" \
            ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}$tap_asan" "$@"
    else
        "$@"
    fi
}

tap_done() {
    echo "1..$tap_count"
    [ "$tap_failed" -eq 0 ]
}
