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
# ---------------------------------------------------------------- governing by name

# status_as WANTED NAME ARG...
status_as() {
    status_wanted=$1 status_who=$2 status_got=0
    shift 2
    rpv_as "$status_who" first-pin "$@" || status_got=$?
    [ "$status_got" -eq "$status_wanted" ]
}
tap_ok 'a vault without purge protection' rpv vault create --label two --set purge_protection=no
rpv() {
    "$reprieve" --vault two "$@" </dev/null
}
rpv_as() {
    as_name=$1 as_pin=$2
    shift 2
    REPRIEVE_PIN=$as_pin "$reprieve" --vault two --user "$as_name" "$@" </dev/null
}
tap_ok 'its user PIN' rpv vault init-pin
for key in 11 12 13 14 15; do
    tool --token-label two --login --pin "$user_pin" --keygen --key-type AES:32 --id $key \
        --label key$key >made 2>&1 || cat made
done
for who in 'olga purge-operator' 'oscar purge-operator' 'hilda list hold' 'luke list lock' \
    'paula list policy' 'rex list recover' 'bea backup-operator' 'audrey auditor' \
    'dela list delete' 'upa list update' 'nemo list' 'heide hold' 'lock lock'; do
    # shellcheck disable=SC2086 # the words are words
    rpv user add $who >made 2>&1 || cat made
done
# verb, what takes it, and who has it not
can() {
    tap_ok "$1 may: $*" status_as 0 "$@"
}
cannot() {
    tap_ok "$1 may not: $*" status_as 4 "$@"
}
for does in 'hilda hold key11' 'hilda release key11' 'luke lock key11' 'luke unlock key11' \
    'hilda vault hold' 'hilda vault release' 'luke vault lock' 'luke vault unlock' \
    'paula honeytoken key11' 'paula honeytoken key11 --off' 'paula policy set purge_approvals=2' \
    'upa disable key11' 'upa enable key11' 'upa dates key11 --not-after 2999-01-01' \
    'heide hold key12' 'heide release key12' 'lock lock key12' 'lock unlock key12' \
    'dela delete key11'; do
    # shellcheck disable=SC2086
    cannot nemo ${does#* }
    # shellcheck disable=SC2086
    can $does
done
cannot nemo backup --out nemo.backup
can bea backup --out bea.backup
can audrey audit query
can audrey audit verify
can olga deleted
cannot nemo postpone key11 --until 2999-01-01
can rex postpone key11 --until 2999-01-01
cannot nemo recover key11
can rex recover key11
can paula user add pete list,policy
tap_ok 'whom there is not: 5' status_as 5 zoe list
tap_ok 'her PIN is wrong: 5' status_of 5 --user olga list
tap_ok 'tells the tries left' says 'tries left[^0-9]*[0-9]' rpv --user olga list
tap_ok 'one acts: 2' status_as 2 olga --so list
tap_ok 'nobody acts: 2' status_as 2 olga vault list
tap_ok 'a PIN from a file' sh -c "printf first-pin >pin &&
    env -u REPRIEVE_PIN '$reprieve' --vault two --user olga --pin-file pin list </dev/null"

# ---------------------------------------------------------------- two-person purge

for key in 11 12 13 14 15; do rpv delete key$key >made 2>&1 || cat made; done
tap_ok 'a purge for want of the verb: 4' status_as 4 nemo purge key11
tap_ok 'the first of two: 6' status_as 6 olga purge key11
tap_ok 'says what is needed' says 'Approved the purge of "key11".* 1 of 2; 1 more must purge it' \
    rpv_as olga first-pin purge key11
tap_ok 'and that nothing is purged yet' says 'APPROVAL_NOTED' rpv_as olga first-pin purge key11
tap_ok 'as JSON' says '"approvalsNeeded": 2' rpv_as olga first-pin --json purge key11
tap_ok 'the same principal, again and again: 6' status_as 6 olga purge key11
tap_ok 'it is there' says 'key11' rpv deleted
tap_ok 'others see what waits for them' says '^[0-9a-f]\{32\}  olga .* 2$' rpv approvals
tap_ok 'as JSON' says '"principal": "olga"' rpv --json approvals
tap_ok 'several at once: all are noted' says 'purge of "key13"' rpv_as olga first-pin purge key12 key13
tap_ok 'the SO is another' rpv purge key11 --yes
tap_ok 'that was the end' silent 'key11' rpv deleted
tap_is 'what waits is key12 and key13' "$(rpv approvals | grep -c olga)" 2
tap_ok 'a second operator is one, too' says 'Purged "key12"' rpv_as oscar first-pin purge key12
tap_ok 'on record' says 'KeyPurgeApprove  *ok  *olga' rpv audit query --operation KeyPurgeApprove
tap_ok 'olga loses the verb' rpv user revoke olga purge
tap_ok 'nothing waits' says 'No purge waits' rpv approvals
tap_ok 'her approval is void: 6' status_of 6 purge key13 --yes
tap_ok 'it is there' says 'key13' rpv deleted
tap_ok 'the first of two: 6' status_as 6 oscar purge key14
tap_ok 'oscar is removed' rpv user remove oscar
tap_ok 'and his approval with him: 6' status_of 6 purge key14 --yes
sleep 1
tap_ok 'another oscar' rpv user add oscar purge-operator
tap_ok 'with the SO makes two' says 'Purged "key14"' rpv_as oscar first-pin purge key14
tap_ok 'a recovery forgets approvals: 6' status_of 6 purge key15 --yes
tap_ok 'recovered' rpv recover key15
tap_ok 'deleted again' rpv delete key15
tap_ok 'begins anew: 6' status_as 6 oscar purge key15
tap_ok 'two again' rpv purge key15 --yes

tap_ok 'the chain is whole' says 'intact' rpv audit verify

tap_done
