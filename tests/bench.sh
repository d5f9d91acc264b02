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
TMPDIR=$(cd "$bench_dir" && pwd) "$BUILDDIR/tests/bench" "$@"
