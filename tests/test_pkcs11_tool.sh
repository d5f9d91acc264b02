#!/bin/sh
# pkcs11-tool: information, tokens, PINs, slots, the self-tests it brings along.
set -u
SRCDIR=${SRCDIR:-$(dirname "$0")/..}
. "$SRCDIR/tests/tap-lib.sh"
. "$SRCDIR/tests/client-lib.sh"
client_init
on_reprieve && client_conf 'pin_tries = 4'

# --- before there is a token

tap_ok 'show info' says 'Cryptoki version [23]\.' tool --show-info
on_reprieve && tap_ok 'info names the module' says 'Library .*Reprieve' tool --show-info
tap_ok 'an empty store lists a slot to initialise' says 'uninitialized' tool --list-slots
tap_fails 'no login before there is a token' tool --login --pin "$user_pin" --list-objects
tap_fails 'a token needs a label' tool --slot-index 0 --init-token --so-pin "$so_pin"
tap_fails 'an SO PIN that is too short' \
    tool --slot-index 0 --init-token --label "$client_label" --so-pin 1

if on_reprieve; then
    tap_ok 'interfaces: 3.0' says 'version: 3\.0' tool --list-interfaces
    tap_ok 'interfaces: 2.40' says 'version: 2\.40' tool --list-interfaces
    tap_ok 'interfaces: the vendor one' says "Interface 'Vendor Reprieve'" tool --list-interfaces
else
    tap_skip 'interfaces' 'SoftHSM2 has 2.40 only'
fi

# --- token and PINs

tap_ok 'init token' says 'Token successfully initialized' \
    tool --slot-index 0 --init-token --label "$client_label" --so-pin "$so_pin"
tap_ok 'a token without user PIN has the flag unset' silent 'PIN initialized' tool --list-slots
tap_fails 'no user login before init PIN' user --list-objects
tap_ok 'init PIN' says 'User PIN successfully initialized' \
    officer --init-pin --new-pin "$user_pin"
for flag in 'login required' rng 'token initialized' 'PIN initialized'; do
    tap_ok "token flag: $flag" says "token flags.*$flag" tool --list-token-slots
done
tap_ok 'token label' says "token label *: $client_label" tool --list-token-slots
tap_ok 'verbose slot list' says 'manufacturer:' tool --verbose --list-slots
tap_ok 'user login' user --list-objects
tap_ok 'SO login' officer --session-rw --list-objects
tap_fails 'wrong user PIN' tool --login --pin 000000 --list-objects
tap_ok 'wrong user PIN is CKR_PIN_INCORRECT' says CKR_PIN_INCORRECT \
    tool --login --pin 000000 --list-objects
tap_ok 'wrong SO PIN is CKR_PIN_INCORRECT' says CKR_PIN_INCORRECT \
    tool --login --login-type so --so-pin 00000000 --session-rw --list-objects
tap_ok 'a correct login resets the counters' user --list-objects
tap_ok 'and the SO one' officer --session-rw --list-objects

tap_ok 'change the user PIN' says 'PIN successfully changed' \
    user --change-pin --new-pin 654321
tap_fails 'the old user PIN is void' user --list-objects
tap_ok 'the new user PIN works' tool --login --pin 654321 --list-objects
tap_fails 'a change with the wrong old PIN' \
    tool --slot-index 0 --change-pin --so-pin 999999 --new-pin 111111
tap_ok 'change the user PIN back' tool --login --pin 654321 --change-pin --new-pin "$user_pin"
tap_ok 'change the SO PIN' says 'PIN successfully changed' \
    officer --change-pin --new-pin 87654321
tap_fails 'the old SO PIN is void' officer --session-rw --list-objects
tap_ok 'change the SO PIN back' \
    tool --login --login-type so --so-pin 87654321 --change-pin --new-pin "$so_pin"
tap_ok 'the first SO PIN works again' officer --session-rw --list-objects

# By the standard C_SetPIN without login changes the user's PIN; pkcs11-tool calls that unlocking.
tap_ok 'unlock PIN' tool --unlock-pin --puk "$user_pin" --new-pin 222222
tap_ok 'the PIN it set' tool --login --pin 222222 --list-objects
tap_ok 'unlock PIN back' tool --unlock-pin --puk 222222 --new-pin "$user_pin"
tap_fails 'unlock PIN with a wrong one' tool --unlock-pin --puk 333333 --new-pin 444444
tap_fails 'context-specific login without an operation' \
    tool --unlock-pin --login --login-type context-specific --puk "$user_pin" --new-pin 444444
tap_ok 'neither changed the PIN' user --list-objects

wrong() {
    tool --login --pin 000000 --list-objects
}
if on_reprieve; then
    tap_ok 'a wrong PIN' says CKR_PIN_INCORRECT wrong
    tap_ok 'flag: count low' says 'user PIN count low' tool --list-token-slots
    tap_ok 'a second wrong PIN' says CKR_PIN_INCORRECT wrong
    tap_ok 'a third wrong PIN' says CKR_PIN_INCORRECT wrong
    tap_ok 'flag: final try' says 'final user PIN try' tool --list-token-slots
    tap_ok 'the last wrong PIN' says 'CKR_PIN_\(INCORRECT\|LOCKED\)' wrong
    tap_ok 'flag: locked' says 'user PIN locked' tool --list-token-slots
    tap_ok 'locked even for the right PIN' says CKR_PIN_LOCKED user --list-objects
    tap_ok 'the SO gives a new PIN' officer --init-pin --new-pin "$user_pin"
    tap_ok 'flag: locked no more' silent 'user PIN' tool --list-token-slots
    tap_ok 'login after the unlock' user --list-objects
else
    tap_skip 'lock-out' 'SoftHSM2 has none'
fi

# --- choosing a slot

slot=$(tool --list-token-slots 2>/dev/null | sed -n 's/^Slot 0 (\(0x[0-9a-f]*\)).*/\1/p')
description=$(tool --list-token-slots 2>/dev/null | sed -n 's/^Slot 0 (0x[0-9a-f]*): //p')
tap_ok "slot by id" tool --slot "$slot" --login --pin "$user_pin" --list-objects
tap_ok 'slot by index' tool --slot-index 0 --login --pin "$user_pin" --list-objects
tap_ok 'slot by description' \
    tool --slot-description "$description" --login --pin "$user_pin" --list-objects
tap_ok 'slot by token label' \
    tool --token-label "$client_label" --login --pin "$user_pin" --list-objects
tap_fails 'no such slot index' tool --slot-index 99 --list-objects
tap_ok 'no such slot id is CKR_SLOT_ID_INVALID' says CKR_SLOT_ID_INVALID \
    tool --slot 123456789 --list-objects
tap_fails 'no such token' tool --token-label nothing --list-objects
tap_ok 'a slot id is stable' \
    tool --slot "$slot" --session-rw --login --pin "$user_pin" --list-objects
if on_reprieve; then
    tap_ok 'no spare slot once there is a vault' silent uninitialized tool --list-slots
fi

# --- random

user --generate-random 64 --output-file random >/dev/null 2>&1
user --generate-random 64 --output-file random2 >/dev/null 2>&1
tap_is 'random of the length asked for' "$(wc -c <random | tr -d ' ')" 64
tap_fails 'random differs' cmp random random2
tap_ok 'much random' tool --generate-random 100000 --output-file random
tap_is 'all of it' "$(wc -c <random | tr -d ' ')" 100000

# --- the tool's own tests

openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 \
    -subj /CN=clients 2>/dev/null
user --keypairgen --key-type rsa:2048 --id 01 --label test --usage-sign --usage-decrypt \
    --usage-wrap >/dev/null 2>&1
user --keypairgen --key-type EC:prime256v1 --id 02 --label test >/dev/null 2>&1
user --write-object cert.pem --type cert --id 01 --label test >/dev/null 2>&1

tap_ok 'the self-test' says 'No errors' user --allow-sw --test
tap_ok 'the self-test finds nothing wrong' silent ERR user --allow-sw --test
tap_ok 'the self-test before login' says 'No errors' tool --allow-sw --test
for curve in prime256v1 secp384r1 secp521r1; do
    tap_ok "the EC test on $curve" says '==> OK' \
        user --session-rw --test-ec --id 03 --key-type "EC:$curve"
done
tap_ok 'the Mozilla test' says '==> OK, successful' \
    user --session-rw --moz-cert cert.pem --id 04 --key-type rsa:2048
tap_ok 'fork and initialise in the child' tool --test-fork --list-slots
tap_ok 'the same with OS locking' tool --use-locking --test-fork --list-slots
tap_ok 'OS locking' tool --use-locking --login --pin "$user_pin" --list-objects
# The main program initialises at the same time as the threads: any one is first. It makes a key,
# for it looks just once whether they have ended, then waits for 30 seconds.
tap_ok 'threads' says 'all threads have ended' \
    user --use-locking --test-threads ILGISLT0 --test-threads ILSLT0GI \
    --test-threads P0ILGIGIGISLSLSL --test-threads INSLT0T0T0 \
    --keypairgen --key-type rsa:3072 --id 05
hotplug() {
    printf '\n\nx\nx\n' | tool --test-hotplug
}
tap_ok 'hotplug: slots are listed again and again' says 'using C_WaitForSlotEvent' hotplug

# --- once more from the start

tap_fails 'init token with a wrong SO PIN' \
    tool --slot "$slot" --init-token --label again --so-pin 99999999
tap_ok 'which changed nothing' says 'label: *test' user --list-objects
tap_ok 'init token over a token' \
    tool --slot "$slot" --init-token --label again --so-pin "$so_pin"
client_label=again
tap_ok 'its label is the new one' says 'token label *: again' tool --list-token-slots
tap_fails 'its user PIN is gone' user --list-objects
tap_ok 'the SO sets a PIN' officer --init-pin --new-pin "$user_pin"
tap_ok 'its objects are not listed' silent Object user --list-objects

tap_done
