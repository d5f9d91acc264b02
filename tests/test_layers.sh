#!/bin/sh
# Who may include what (docs/architecture.md). TAP.
set -u
cd "${SRCDIR:-$(dirname "$0")/..}" || exit 1
n=0
none() { # none DESCRIPTION OFFENDERS
    n=$((n + 1))
    if [ -z "$2" ]; then
        echo "ok $n - $1"
    else
        echo "not ok $n - $1"
        echo "$2" | sed 's/^/# /'
    fi
}
includes() { grep -n '^[[:space:]]*#[[:space:]]*include' "$@" /dev/null; }
echo 1..7

none "vaultstore/ never sees PKCS#11" \
    "$(includes vaultstore/*.[ch] | grep -E 'pkcs11|cryptoki|reprieve\.h|module/')"
none "module/ reaches the store through vaultstore.h alone" \
    "$(includes module/*.[ch] | grep 'vaultstore/' | grep -v 'vaultstore/auto\.h')"
none "only kv_lmdb.c includes lmdb.h" \
    "$(includes vaultstore/*.[ch] module/*.[ch] tools/*.[ch] | grep 'lmdb\.h' |
        grep -v '^vaultstore/kv_lmdb\.c:')"
none "the command has no back door" \
    "$(includes tools/*.[ch] | grep -E 'vaultstore|module/' | grep -v 'vaultstore/auto\.h')"
none "entry points know no OpenSSL" "$(includes module/entry_*.c | grep 'openssl/')"
none "only ossl*.c fetch from OpenSSL" \
    "$(grep -nE '\b(EVP_(CIPHER|MD|MAC|KDF)_fetch|OSSL_LIB_CTX_new|OSSL_PROVIDER_load)\(' \
        module/*.c | grep -v '^module/ossl[a-z_]*\.c:')"
none "every source is in a files.am, hence in the archive" \
    "$(for f in module/*.[ch] vaultstore/*.[ch] tools/*.[ch]; do
        cat module/files.am vaultstore/files.am tools/files.am | tr -s ' \t\\' '\n' |
            grep -qxF "$f" || echo "$f"
    done)"
