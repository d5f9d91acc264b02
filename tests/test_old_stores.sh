#!/bin/sh
# Stores that earlier builds wrote (scripts/make-old-store) open, and all that is in them works:
# keys sign, deleted objects and generations come back, the audit chain verifies.
set -u
SRCDIR=${SRCDIR:-$(dirname "$0")/..}
. "$SRCDIR/tests/tap-lib.sh"
. "$SRCDIR/tests/client-lib.sh"
on_reprieve || tap_skip_all 'Reprieve only'
client_init
cli=${REPRIEVE_CLI:-${BUILDDIR:-.}/reprieve}
client_label=old
user_pin=222222
printf 'a message\n' >message

${CC:-gcc} -shared -fPIC -D_GNU_SOURCE -o back_clock.so "$SRCDIR/tests/back_clock.c" ||
    tap_skip_all 'no compiler'

# a day after the store was made, whatever the date
dated() {
    LD_PRELOAD="${REPRIEVE_PRELOAD:+$REPRIEVE_PRELOAD:}$tap_dir/back_clock.so" \
        BACK_CLOCK=$(($(date +%s) - made_at - 86400)) \
        ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0" timeout 60 "$@"
}
old() {
    dated pkcs11-tool --module "$module" --token-label "$client_label" \
        --login --pin "$user_pin" "$@"
}
named() {
    dated pkcs11-tool --module "$module" --token-label "$client_label" \
        --login --pin "$named_pin" --list-objects
}
govern() {
    printf '%s\n' "$user_pin" >pin
    dated "$cli" "$@" --pin-file="$tap_dir/pin"
}
reads() {
    old --read-object --type "$1" --label "$2" --output-file out && same "expect/$3" out
}
signs() {
    old --sign -m "$1" --id "$2" --signature-format openssl --input-file message \
        --output-file sig
}

check_store() {
    tap_ok "$name: lists the token" says 'token label *: old' \
        dated pkcs11-tool --module "$module" --list-token-slots
    tap_ok "$name: the user logs in" old --list-objects
    tap_ok "$name: data" reads data data data
    tap_ok "$name: private data" reads data private data
    tap_ok "$name: a certificate" reads cert cert cert
    tap_ok "$name: an AES key" reads secrkey aes aes
    tap_ok "$name: a generic secret" reads secrkey generic generic
    tap_ok "$name: RSA signs" signs SHA256-RSA-PKCS 01
    tap_ok "$name: openssl verifies" \
        openssl dgst -sha256 -verify expect/rsa.pub -signature sig message
    tap_ok "$name: ECDSA signs" signs ECDSA-SHA256 04
    tap_ok "$name: openssl verifies" \
        openssl dgst -sha256 -verify expect/ec.pub -signature sig message
    tap_ok "$name: EdDSA signs" signs EDDSA 05
    tap_ok "$name: openssl verifies" \
        openssl pkeyutl -verify -pubin -inkey expect/ed.pub -rawin -in message -sigfile sig
    if [ -f expect/since ]; then
        tap_ok "$name: what was made since a user was removed" reads data since since
        named_pin=alice:alice-pin
        tap_ok "$name: a named user logs in and finds a key" says 'label: *aes' named
        named_pin=bob:bobs-pin
        tap_fails "$name: one who was removed does not" named
    fi
    tap_ok "$name: a deleted key is not listed" silent gone old --list-objects
    tap_ok "$name: it is listed as deleted" says gone govern deleted
    tap_ok "$name: it comes back" govern recover label=gone
    tap_ok "$name: with its value" reads secrkey gone aes
    tap_ok "$name: so does a private key" govern recover label=gone-rsa
    tap_ok "$name: it signs" signs SHA256-RSA-PKCS 07
    tap_ok "$name: openssl verifies" \
        openssl dgst -sha256 -verify expect/rsa.pub -signature sig message
    tap_ok "$name: something new is written" \
        old --write-object message --type data --label new --private
    tap_ok "$name: the audit chain verifies" govern audit verify
    generation=$(govern vault generations --json 2>/dev/null | tr -d ' \n' |
        sed 's/},{/}\n{/g' | sed -n '/"state":"deleted"/s/.*"generation":\([0-9]*\).*/\1/p')
    tap_is "$name: there is a deleted generation" "${generation:+yes}" yes
    user_pin=111111
    tap_ok "$name: it comes back by its own PIN" govern vault recover "$generation"
    tap_ok "$name: with its data" reads data first first
    user_pin=222222
    tap_ok "$name: the audit chain still verifies" govern audit verify
}

found=
for archive in "$SRCDIR"/tests/old-stores/*.tar.xz; do
    [ -f "$archive" ] || continue
    found=yes
    name=$(basename "$archive" .tar.xz)
    rm -rf store expect
    (umask 077 && tar -xJf "$archive" --no-same-owner) || exit 1
    made_at=$(cat expect/made_at)
    check_store
done
tap_is 'there are old stores' "$found" yes

tap_done
