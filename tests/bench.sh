#!/bin/sh
# Usage: tests/bench.sh [--quick] [--json] [--only NAME] [--keys N] [--seconds S]
#
# Runs the benchmark (make bench). Its stores lie in the build directory: /tmp may be in memory,
# and then a durable write costs nothing.
set -eu

BUILDDIR=${BUILDDIR:-.}
bench_dir=$BUILDDIR/bench-stores
mkdir -p "$bench_dir"
trap 'rmdir "$bench_dir" 2>/dev/null || :' EXIT
TMPDIR=$(cd "$bench_dir" && pwd)
export TMPDIR
"$BUILDDIR/tests/bench" "$@"
# Governing many objects: with 100,000 of them, unless it has to be quick; not as JSON.
case " $* " in
*' --json '* | *' --only '*) ;;
*' --quick '*) "$BUILDDIR/tests/bench_govern" 5000 ;;
*) "$BUILDDIR/tests/bench_govern" ;;
esac
