#!/bin/sh
# Named users: the reprieve command, and pkcs11-tool, a 2.40 client, as them.
set -u
SRCDIR=${SRCDIR:-$(dirname "$0")/..}
BUILDDIR=${BUILDDIR:-.}
. "$SRCDIR/tests/tap-lib.sh"
. "$SRCDIR/tests/client-lib.sh"
client_init
on_reprieve || tap_skip_all 'named users are Reprieve'\''s'
reprieve=${REPRIEVE_CLI:-$BUILDDIR/reprieve}
REPRIEVE_MODULE=$module
REPRIEVE_PIN=$user_pin
REPRIEVE_SO_PIN=$so_pin
REPRIEVE_NEW_PIN=first-pin
export REPRIEVE_MODULE REPRIEVE_PIN REPRIEVE_SO_PIN REPRIEVE_NEW_PIN

rpv() {
    "$reprieve" "$@" </dev/null
}

# rpv_as NAME PIN ARG...
rpv_as() {
    as_name=$1 as_pin=$2
    shift 2
    REPRIEVE_PIN=$as_pin "$reprieve" --user "$as_name" "$@" </dev/null
}

# as NAME:PIN ARG...: pkcs11-tool, logged in so
as() {
    as_pin=$1
    shift
    tool --login --pin "$as_pin" "$@"
}

status_of() {
    status_wanted=$1
    shift
    status_got=0
    rpv "$@" || status_got=$?
    [ "$status_got" -eq "$status_wanted" ]
}

tap_ok 'a vault' rpv vault create --label users
tap_ok 'its user PIN' rpv vault init-pin
tap_ok 'nobody has a name yet' says 'No named users' rpv user list
tap_ok 'a private key' tool --login --pin "$user_pin" --keypairgen --key-type RSA:2048 --label signer \
    --id 01
tap_ok 'and another' tool --login --pin "$user_pin" --keypairgen --key-type RSA:2048 --label other \
    --id 02
printf 'to be signed' >data

tap_ok 'a user by role' rpv user add alice crypto-user
tap_ok 'a user by verbs' rpv user add bob get,wrap unwrap
tap_ok 'a user without any' rpv user add carol
tap_ok 'a verb that is none: 2' status_of 2 user add dave fly
tap_ok 'a name that is taken: not 0' status_of 1 user add alice sign
tap_ok 'the list names the role' says 'alice  *crypto-user' rpv user list
tap_ok 'and the one that verbs add up to' says 'bob  *service-encryption' rpv user list
tap_ok 'the list in JSON' says '"name": "carol"' rpv --json user list

tap_ok 'alice lists' says 'Private Key Object' as alice:first-pin --list-objects
tap_ok 'alice signs' as alice:first-pin --sign --mechanism SHA256-RSA-PKCS --id 01 \
    --input-file data --output-file sig
tap_fails 'alice does not delete' as alice:first-pin --delete-object --type privkey --id 01
tap_fails 'alice makes no keys' as alice:first-pin --keygen --key-type AES:16 --label x
tap_fails 'not with the user'\''s PIN' as "alice:$user_pin" --list-objects
tap_fails 'nor without her name' as first-pin --list-objects
tap_fails 'nobody by that name' as zoe:first-pin --list-objects
tap_ok 'bob cannot list' silent 'Private Key Object' as bob:first-pin --list-objects
tap_fails 'bob does not sign' as bob:first-pin --sign --mechanism SHA256-RSA-PKCS --id 01 \
    --input-file data --output-file sig
tap_fails 'carol does not sign' as carol:first-pin --sign --mechanism SHA256-RSA-PKCS --id 01 \
    --input-file data --output-file sig
tap_ok 'a grant on one key' rpv user grant carol sign --on id=01 --class private
tap_ok 'shows' says '"grants"' rpv --json user list
tap_ok 'carol signs with it' as carol:first-pin --sign --mechanism SHA256-RSA-PKCS --id 01 \
    --input-file data --output-file sig
tap_fails 'and with no other' as carol:first-pin --sign --mechanism SHA256-RSA-PKCS --id 02 \
    --input-file data --output-file sig
tap_ok 'the grant is taken back' rpv user revoke carol sign --on id=01 --class private
tap_fails 'carol does not sign any more' as carol:first-pin --sign --mechanism SHA256-RSA-PKCS \
    --id 01 --input-file data --output-file sig
tap_ok 'a verb more' rpv user grant alice delete
tap_ok 'alice deletes' as alice:first-pin --delete-object --type privkey --id 02
tap_ok 'under her name' says 'alice (uid' rpv deleted
tap_ok 'the audit has it, too' says 'KeyDelete.*alice\|alice.*KeyDelete' rpv audit
tap_ok 'a verb less' rpv user revoke alice delete sign
tap_fails 'alice does not sign any more' as alice:first-pin --sign --mechanism SHA256-RSA-PKCS \
    --id 01 --input-file data --output-file sig
tap_ok 'alice changes her PIN' as alice:first-pin --change-pin --new-pin alice:second-pin
tap_fails 'the former one is none now' as alice:first-pin --list-objects
tap_ok 'the new one is' as alice:second-pin --list-objects
tap_ok 'the SO gives another' rpv user pin alice
tap_ok 'which is the one' as alice:first-pin --list-objects
tap_fails 'alice may not make users' rpv_as alice first-pin user add eve sign
tap_ok 'an administrator may' rpv user add root2 administrator
tap_ok 'as user' rpv_as root2 first-pin user add eve sign
tap_ok 'eve is removed' rpv_as root2 first-pin user remove eve
tap_fails 'and cannot log in' as eve:first-pin --list-objects
tap_ok 'a user that there is not: not 0' status_of 3 user grant eve sign
tap_ok 'the default user is as ever' tool --login --pin "$user_pin" --list-objects
tap_ok 'the chain is whole' says 'intact' rpv audit verify

tap_done
