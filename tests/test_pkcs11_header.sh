#!/bin/sh
# include/pkcs11.h is what the fact tables say, and compiles alone, as C and as C++.
set -u
SRCDIR=${SRCDIR:-$(dirname "$0")/..}
. "$SRCDIR/tests/tap-lib.sh"

header=$SRCDIR/include/pkcs11.h
facts=$SRCDIR/../shared/pkcs11
flags='-fsyntax-only -Wall -Wextra -Wconversion -Wshadow -pedantic -Werror'

regenerated() {
    "$SRCDIR/scripts/gen-pkcs11-header" "$facts" >"$tap_dir/pkcs11.h" &&
        diff -u "$header" "$tap_dir/pkcs11.h"
}

# every constant is evaluated, not just defined
compiles() {
    {
        echo '#include "pkcs11.h"'
        echo 'extern const CK_ULONG constants[];'
        echo 'const CK_ULONG constants[] = {'
        sed -n 's/^#define \(CK[A-Z]*_[A-Za-z0-9_]*\) [(0-9C].*/\1,/p' "$header"
        echo '};'
    } >"$tap_dir/user.$1"
    shift
    # shellcheck disable=SC2086  # flags are words
    "$@" $flags -I"$SRCDIR/include" "$tap_dir"/user.*
}

if [ -f "$facts/constants.tsv" ]; then
    tap_ok 'pkcs11.h is up to date' regenerated
else
    tap_skip 'pkcs11.h is up to date' 'the fact tables are not here'
fi

for compiler in "${CC:-gcc} -std=c11" "${CC:-gcc} -std=gnu11" "${CXX:-g++} -std=c++11"; do
    case $compiler in
        *c++*) language=cc ;;
        *) language=c ;;
    esac
    rm -f "$tap_dir"/user.*
    # shellcheck disable=SC2086  # a compiler and its flag
    if command -v ${compiler% -std*} >/dev/null; then
        tap_ok "pkcs11.h compiles alone: ${compiler#* }" compiles "$language" $compiler
    else
        tap_skip "pkcs11.h compiles alone: ${compiler#* }" "no ${compiler% -std*}"
    fi
done

tap_done
