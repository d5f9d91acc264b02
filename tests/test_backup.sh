# Backup, restore and rotation by the reprieve command, in two stores.
. "$SRCDIR/tests/tap-lib.sh"
. "$SRCDIR/tests/client-lib.sh"
client_init
on_reprieve || tap_skip_all 'the command is for Reprieve'
command -v openssl >/dev/null || tap_skip_all 'no openssl'
reprieve=${REPRIEVE_CLI:-$BUILDDIR/reprieve}
REPRIEVE_MODULE=$module
REPRIEVE_PIN=$user_pin
REPRIEVE_SO_PIN=$so_pin
export REPRIEVE_MODULE REPRIEVE_PIN REPRIEVE_SO_PIN
cd "$tap_dir" || exit 1

# at STORE ARG...: the command on that store
at() {
    at_store=$1
    shift
    "$reprieve" --store "$tap_dir/$at_store" "$@" </dev/null
}

# status WANTED COMMAND...: the exit status is the one wanted
status() {
    status_wanted=$1
    shift
    status_got=0
    "$@" || status_got=$?
    [ "$status_got" -eq "$status_wanted" ]
}

# has TEXT COMMAND...: it succeeds and says so
has() {
    has_text=$1
    shift
    "$@" >has.out 2>&1 || { cat has.out; return 1; }
    cat has.out
    grep -q -- "$has_text" has.out
}

ids() {
    at "$1" list | awk '/private|secret|public/ {print $1}' | sort
}

for key in 1 2 3; do
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "k$key.pem" 2>/dev/null
    openssl pkey -in "k$key.pem" -pubout -out "k$key.pub"
done
openssl genrsa -out web.pem 2048 2>/dev/null
for store in one two; do
    at "$store" vault create --label "$store" --set scrypt_log_n=10 >/dev/null
    at "$store" vault init-pin >/dev/null
done
at one import --key web.pem --wrapping-key in --make-wrapping-key --label web >/dev/null

tap_ok 'back up the vault for itself' has 'only this vault' at one backup --out own.rpv
tap_ok 'the file is private' [ "$(stat -c %a own.rpv)" = 600 ]
tap_ok 'a file that exists is not overwritten' status 1 at one backup --out own.rpv
tap_ok 'show it' has 'Sealed to  *vault' at one backup show own.rpv
tap_ok 'back up one object' has '1 objects' at one backup web --class private --out web.rpv
tap_ok 'no object of that name: 3' status 3 at one backup nothing --out no.rpv
tap_ok 'nothing is left of a backup that failed' [ ! -e no.rpv ]
tap_ok 'what exists is refused: 4' status 4 at one restore own.rpv
at one restore own.rpv >listed.out 2>&1 || true
tap_is 'and listed' "$(grep -c '^[0-9a-f]\{32\} .*exists' listed.out)" 4
tap_ok 'unless told' has 'Restored 4' at one restore own.rpv --replace
tap_ok 'not in another vault: 5' status 5 at two restore own.rpv
tap_ok 'damaged: 1' sh -c "cp own.rpv bad.rpv && printf X | dd of=bad.rpv bs=1 seek=900 conv=notrunc 2>/dev/null; ! \"$reprieve\" --store one restore bad.rpv --replace"

tap_ok 'escrow, two of three' at one backup --out esc.rpv --to k1.pub --to k2.pub --to k3.pub \
    --threshold 2
tap_ok 'a threshold that cannot be' status 1 at one backup --out x.rpv --to k1.pub --threshold 2
tap_ok 'one key is not enough: 5' status 5 at two restore esc.rpv --key k2.pem
tap_ok 'dry run' has 'would be restored' at two restore esc.rpv --key k3.pem --key k1.pem --dry-run
tap_is 'changes nothing' "$(ids two)" ''
tap_ok 'restore elsewhere' has 'Restored 4' at two restore esc.rpv --key k3.pem --key k1.pem
tap_is 'with the same ids' "$(ids two)" "$(ids one)"
tap_ok 'and says how they came' has restored at two list
tap_ok 'settings need the SO: 4' status 4 at two restore --settings esc.rpv --key k3.pem --key k1.pem
tap_ok 'settings' has 'Restored the policy' at two restore --so --settings esc.rpv --key k3.pem \
    --key k1.pem
tap_ok 'it is all on record' has VaultBackup at one audit --operation VaultBackup
tap_ok 'rotate a key by its label' has ' 2 *$' at one key rotate web
tap_ok 'and again: its newest' has ' 3 *$' at one key rotate web
tap_is 'three versions' "$(at one list | grep -c 'private.* web ')" 3
tap_ok 'rotation by age' has 'due 30 days' at one key rotate-every web 30
tap_ok 'nothing is due' has 'No key is due' at one key due
tap_ok 'nor to rotate' has 'No key is due' at one key rotate --due
tap_ok 'a sweep rotates, too' has Purged at one sweep
tap_ok 'no such key: 3' status 3 at one key rotate nothing
tap_ok 'nothing said: 2' status 2 at one key rotate
tap_done
