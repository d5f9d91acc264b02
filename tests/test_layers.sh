#!/bin/sh
# Who may include what (docs/architecture.md). TAP.
set -u
cd "${SRCDIR:-$(dirname "$0")/..}" || exit 1
n=0
none() { # none DESCRIPTION: standard input lists the offenders
    n=$((n + 1))
    offenders=$(cat)
    if [ -z "$offenders" ]; then
        echo "ok $n - $1"
    else
        echo "not ok $n - $1"
        echo "$offenders" | sed 's/^/# /'
    fi
}
includes() { grep -n '^[[:space:]]*#[[:space:]]*include' "$@" /dev/null; }
echo 1..6

includes vaultstore/*.[ch] | grep -E 'pkcs11|cryptoki|reprieve\.h|module/' |
    none "vaultstore/ never sees PKCS#11"
includes module/*.[ch] | grep -E 'vaultstore/' | grep -v 'vaultstore/auto\.h' |
    none "module/ reaches the store through vaultstore.h alone"
includes vaultstore/*.[ch] module/*.[ch] tools/*.[ch] | grep 'lmdb\.h' |
    grep -v '^vaultstore/kv_lmdb\.c:' | none "only kv_lmdb.c includes lmdb.h"
includes tools/*.[ch] | grep -E 'vaultstore|module/' |
    none "the command has no back door"
includes module/entry_*.c | grep -E 'openssl/' | none "entry points know no OpenSSL"
grep -nE '\b(EVP_(CIPHER|MD|MAC|KDF)_fetch|OSSL_LIB_CTX_new|OSSL_PROVIDER_load)\(' module/*.c |
    grep -v '^module/ossl\.c:' | none "only ossl.c fetches from OpenSSL"
