# The reprieve command, on a store of its own: what it says, what it returns, what it changes.
. "$SRCDIR/tests/tap-lib.sh"
. "$SRCDIR/tests/client-lib.sh"
client_init
on_reprieve || tap_skip_all 'the command is for Reprieve'
reprieve=${REPRIEVE_CLI:-$BUILDDIR/reprieve}
REPRIEVE_MODULE=$module
REPRIEVE_PIN=$user_pin
REPRIEVE_SO_PIN=$so_pin
export REPRIEVE_MODULE REPRIEVE_PIN REPRIEVE_SO_PIN

# rpv ARG...: the command, with no terminal to ask on
rpv() {
    "$reprieve" "$@" </dev/null
}

# status_of WANTED ARG...: the exit status is the one wanted
status_of() {
    status_wanted=$1
    shift
    status_got=0
    rpv "$@" || status_got=$?
    [ "$status_got" -eq "$status_wanted" ]
}

# json_ok ARG...: one JSON document comes out
json_ok() {
    rpv --json "$@" >json.out && json_valid json.out
}

# error_json CODE ARG...: it fails with one JSON error of that code, and says nothing else
error_json() {
    error_code=$1
    shift
    ! rpv --json "$@" >json.out 2>json.err && [ ! -s json.out ] &&
        grep -q "\"code\": \"$error_code\"" json.err && json_valid json.err
}

json_valid() {
    cat "$1"
    python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$1" 2>/dev/null ||
        { ! command -v python3 >/dev/null && head -c 1 "$1" | grep -q '{'; }
}

# pin_file STATUS FILE: lists with the PIN in the file alone
pin_file() {
    pin_status=0
    env -u REPRIEVE_PIN "$reprieve" --vault clients --pin-file "$2" list </dev/null ||
        pin_status=$?
    [ "$pin_status" -eq "$1" ]
}

no_pin() {
    env -u REPRIEVE_PIN "$reprieve" --vault clients list </dev/null
}

# ---------------------------------------------------------------- usage

tap_ok 'help lists the commands' says 'vault generations' rpv --help
tap_ok 'help explains a command' says 'retention_days' rpv policy set --help
tap_ok 'help tells the exit codes' says '5 login' rpv recover --help
tap_ok 'half a command shows its commands' says 'vault create' rpv vault
tap_ok 'no command: 2' status_of 2
tap_ok 'an unknown command: 2' status_of 2 frobnicate
tap_ok 'an unknown option: 2' status_of 2 list --frobnicate
tap_ok 'a word too many: 2' status_of 2 list all
tap_ok 'usage errors are JSON, too' error_json USAGE list --frobnicate
tap_ok 'no module: 1' status_of 1 --module /nowhere.so list
tap_ok 'no module: as JSON' error_json MODULE_LOAD --module /nowhere.so list

# ---------------------------------------------------------------- vaults

tap_ok 'no vault: says how to make one' says 'reprieve vault create' rpv vault list
tap_ok 'no vault: 3' status_of 3 list
tap_ok 'create a vault' rpv vault create --label clients --set retention_days=30 \
    --set purge_protection=yes
tap_ok 'set its user PIN' rpv vault init-pin
tap_ok 'it is listed' says ' clients  *30 ' rpv vault list
tap_ok 'show it' says 'User PIN set  *yes' rpv vault show
tap_ok 'vault list is JSON' json_ok vault list
tap_ok 'vault show is JSON' json_ok vault show
tap_ok 'store show' says "$tap_dir/store" rpv store show
tap_ok 'policy, dry: says what would change' says 'would change in 1' \
    rpv policy set retention_days=7 --dry-run
tap_ok 'policy, dry: from what to what' says 'retention_days  *30  *7$' \
    rpv policy set retention_days=7 --dry-run
tap_ok 'policy, dry: nothing changed' says 'retention_days  *30' rpv policy show
tap_ok 'policy, dry: what could not be is refused' status_of 1 policy set retention_days=3 --dry-run
tap_ok 'policy changes' rpv policy set retention_days=40 pin_tries=20
tap_ok 'policy has changed' says 'retention_days  *40' rpv policy show
tap_ok 'policy is JSON' json_ok policy set retention_days=41 --dry-run
tap_ok 'and shown' json_ok policy show
tap_ok 'there is one way to it: 2' status_of 2 vault policy
tap_ok 'purge protection off: refused' status_of 4 policy set purge_protection=no
tap_ok 'an unknown rule: 2' status_of 2 policy set fun=yes
tap_ok 'a rule out of range fails' status_of 1 policy set retention_days=1000
tap_ok 'a second vault' rpv vault create --label second --set purge_protection=no
tap_ok 'which vault? 3' status_of 3 list
tap_ok 'which vault? says the candidates' says 'second' rpv list
tap_ok 'the candidates as JSON' error_json VAULT_AMBIGUOUS list
tap_ok 'a vault by label' rpv --vault clients list
tap_ok 'no such vault: 3' status_of 3 --vault third list

# ---------------------------------------------------------------- PINs

echo "$user_pin" >pin
echo wrong-pin >badpin
tap_ok 'a PIN from a file' pin_file 0 pin
tap_ok 'a wrong PIN: 5' pin_file 5 badpin
tap_ok 'a wrong PIN: tells the tries left' says 'tries left[^0-9]*1[0-9]' pin_file 0 badpin
tap_ok 'no such file: 1' pin_file 1 nopin
tap_ok 'no PIN anywhere says where to give it' says 'REPRIEVE_PIN' no_pin
REPRIEVE_PIN=654321 tap_ok 'a wrong PIN as JSON' error_json CKR_PIN_INCORRECT --vault clients list

# ---------------------------------------------------------------- import

rpv2() {
    rpv --vault clients "$@"
}
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem
openssl pkey -in rsa.pem -pubout -out rsa.pub
openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec.pem
openssl pkey -in ec.pem -pubout -out ec.pub
openssl genpkey -quiet -algorithm ED25519 -out ed.pem
openssl pkey -in ed.pem -outform DER -out ed.der
openssl pkey -in rsa.pem -aes256 -passout pass:sesame -out locked.pem
openssl rand -out aes.bin 32
echo 'to be signed' >data

tap_ok 'import needs a wrapping key: 2' status_of 2 --vault clients import --key rsa.pem
tap_ok 'no such wrapping key: 3' status_of 3 --vault clients import --key rsa.pem \
    --wrapping-key none
tap_ok 'import an RSA key, wrapping key made' rpv2 import --key rsa.pem --label rsa --id 01 \
    --wrapping-key wrapper --make-wrapping-key
tap_ok 'import an EC key, wrapping key found' rpv2 import --key ec.pem --label ec --id 02 \
    --wrapping-key wrapper --make-wrapping-key
tap_ok 'import an Ed25519 key in DER' rpv2 import --key ed.der --label ed --id 03 \
    --wrapping-key wrapper
tap_ok 'import an AES key' rpv2 import --key aes.bin --type aes --label aes --id 04 \
    --wrapping-key wrapper --usage wrap,unwrap
tap_ok 'import a generic secret, as JSON' json_ok --vault clients import --key aes.bin \
    --secret generic --label mac --id 05 --wrapping-key wrapper --extractable
REPRIEVE_PASSPHRASE=sesame tap_ok 'import an encrypted key' rpv2 import --key locked.pem \
    --label locked --wrapping-key wrapper --no-public
tap_fails 'a wrong passphrase fails' env REPRIEVE_PASSPHRASE=simsim "$reprieve" --vault clients \
    import --key locked.pem --label locked --wrapping-key wrapper
tap_ok 'a file that is no key: 1' status_of 1 --vault clients import --key data \
    --wrapping-key wrapper
tap_ok 'a type that the file is not: 1' status_of 1 --vault clients import --key rsa.pem --type ec \
    --wrapping-key wrapper

sign_rsa() {
    user --sign --mechanism SHA256-RSA-PKCS --id 01 --input-file data --output-file sig &&
        openssl dgst -sha256 -verify rsa.pub -signature sig data
}
sign_ec() {
    user --sign --mechanism ECDSA-SHA256 --signature-format openssl --id 02 --input-file data \
        --output-file sig && openssl dgst -sha256 -verify ec.pub -signature sig data
}
public_same() {
    export_public "$1" out.der &&
        openssl pkey -pubin -inform DER -in out.der -outform PEM -out out.pub &&
        cmp "$2" out.pub
}
tap_ok 'the RSA key signs, openssl verifies' sign_rsa
tap_ok 'the EC key signs, openssl verifies' sign_ec
tap_ok 'the RSA public half is right' public_same 01 rsa.pub
tap_ok 'the EC public half is right' public_same 02 ec.pub
tap_ok 'an imported key is sensitive and stays' says 'sensitive' \
    user --list-objects --type privkey --id 01
tap_ok 'list is JSON' json_ok --vault clients list
tap_ok 'list shows how it came' says 'ec .*unwrapped' rpv2 list --class private

# ---------------------------------------------------------------- wrap, and wrapped elsewhere

tap_ok 'wrap by AES-KWP' rpv2 wrap mac --wrapping-key aes --mechanism aes-kwp --out mac.kwp
tap_ok 'bring it back' rpv2 import --wrapped mac.kwp --mechanism aes-kwp --type generic \
    --wrapping-key aes --label mac2 --extractable
tap_ok 'wrap it again' rpv2 wrap mac2 --wrapping-key aes --mechanism aes-kwp --out mac2.kwp
tap_ok 'it is the same key' same mac.kwp mac2.kwp
tap_ok 'wrap by RSA-OAEP' rpv2 wrap mac --wrapping-key wrapper --mechanism rsa-oaep --out mac.oaep
tap_ok 'bring that back' rpv2 import --wrapped mac.oaep --mechanism rsa-oaep --type generic \
    --wrapping-key wrapper --label mac3
tap_ok 'a key that may not leave: 4' status_of 4 --vault clients wrap rsa --wrapping-key wrapper \
    --out none
tap_ok 'nothing was written' [ ! -e none ]

# as reprieve(1) tells
wrap_elsewhere() {
    openssl pkcs8 -topk8 -nocrypt -in rsa.pem -outform DER -out key.der &&
        openssl rand -out kek.bin 32 &&
        openssl pkeyutl -encrypt -pubin -inkey wrapper.pub -in kek.bin -out part1 \
            -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 \
            -pkeyopt rsa_mgf1_md:sha256 &&
        openssl enc -id-aes256-wrap-pad -K "$(od -An -vtx1 kek.bin | tr -d ' \n')" -iv A65959A6 \
            -in key.der -out part2 &&
        cat part1 part2 >key.wrapped
}
tap_ok 'write the wrapping key' rpv2 wrapping-key wrapper --out wrapper.pub
tap_ok 'wrap with openssl alone' wrap_elsewhere
tap_ok 'bring that in' rpv2 import --wrapped key.wrapped --type rsa --wrapping-key wrapper \
    --label elsewhere --id 09
tap_ok 'with its public half' public_same 09 rsa.pub
echo x >>key.wrapped
tap_ok 'a spoilt blob: 1' status_of 1 --vault clients import --wrapped key.wrapped --type rsa \
    --wrapping-key wrapper

# ---------------------------------------------------------------- delete, recover, purge

tap_ok 'nothing is deleted' says 'Nothing is deleted' rpv2 deleted
tap_ok 'delete a pair and a secret' user --delete-object --type privkey --id 02
tap_ok 'the other half' user --delete-object --type pubkey --id 02
tap_ok 'the secret' user --delete-object --type secrkey --id 05
tap_ok 'they are shown' says 'private .* ec .*protected from purge' rpv2 deleted
tap_ok 'deleted is JSON' json_ok --vault clients deleted
tap_is 'a page of one' "$(rpv2 deleted --limit 1 2>"$tap_dir/page.err" | tail -n +2 | wc -l | tr -d ' ')" 1
after=$(sed -n 's/.*--after //p' "$tap_dir/page.err")
tap_is 'and the other two behind it' \
    "$(rpv2 deleted --after "$after" | tail -n +2 | wc -l | tr -d ' ')" 2
tap_ok 'behind what is not there: 3' status_of 3 --vault clients deleted --after nothing
tap_ok 'the SO sees them, too' says 'private ' rpv2 deleted --so
tap_ok 'one name, two objects: 3' status_of 3 --vault clients recover ec
tap_ok 'and nothing done' says ' ec ' rpv2 deleted
tap_ok 'the candidates as JSON' error_json OBJECT_AMBIGUOUS --vault clients recover ec
tap_ok 'no such object: 3' status_of 3 --vault clients recover nothing
tap_ok 'all or nothing: one bad name' status_of 3 --vault clients recover mac nothing
tap_ok 'mac is still deleted' says ' mac ' rpv2 deleted
tap_ok 'recover by class' rpv2 recover ec --class private
tap_ok 'it signs again' sign_ec
tap_ok 'recover by id' rpv2 recover id=02
mac=$(rpv2 --json deleted | tr -d '\n' |
    sed 's/.*"uniqueId": "\([^"]*\)".*/\1/')
tap_ok 'purge under protection: 4' status_of 4 --vault clients purge "$mac" --yes
tap_ok 'and told why' says 'purge' rpv2 purge "$mac" --yes
tap_ok 'and as JSON' error_json CKR_ACTION_PROHIBITED --vault clients purge "$mac" --yes
tap_ok 'recover by unique id' rpv2 recover "$mac"
tap_ok 'delete again' user --delete-object --type secrkey --id 05
tap_ok 'recover all' says '"recoveredCount": 1' rpv2 --json recover --all
tap_ok 'recover needs a name: 2' status_of 2 --vault clients recover
tap_ok 'nothing is left to recover' says 'Nothing is deleted' rpv2 deleted

# without purge protection
tap_ok 'the second vault gets a user PIN' rpv --vault second vault init-pin
tap_ok 'and a key' tool --token-label second --login --pin "$user_pin" --keygen --key-type AES:32 \
    --label brief --id 01
tap_ok 'which is deleted' tool --token-label second --login --pin "$user_pin" --delete-object \
    --type secrkey --id 01
tap_ok 'purgeable by permission' says 'purgeable by permission' rpv --vault second deleted
brief=$(rpv --vault second --json deleted | sed -n 's/.*"uniqueId": "\([^"]*\)".*/\1/p')
tap_ok 'the SO purges it, by label' rpv --vault second purge brief --yes
tap_ok 'it is gone' says 'Nothing is deleted' rpv --vault second deleted
tap_ok 'and cannot be recovered: 3' status_of 3 --vault second recover "$brief"

# ---------------------------------------------------------------- governing objects

rpv3() {
    rpv --vault second "$@"
}
user3() {
    tool --token-label second --login --pin "$user_pin" "$@"
}
uid_of() {
    rpv3 --json "$1" --class secret | sed -n 's/.*"uniqueId": "\([^"]*\)".*/\1/p'
}
encrypts() {
    user3 --encrypt --id 02 --mechanism AES-CBC-PAD --iv 00000000000000000000000000000000 \
        --input-file data --output-file "${1:-enc}"
}
decrypts() {
    user3 --decrypt --id 02 --mechanism AES-CBC-PAD --iv 00000000000000000000000000000000 \
        --input-file enc --output-file dec && cmp data dec
}
tap_ok 'a key to govern' user3 --keygen --key-type AES:32 --label ruled --id 02
tap_ok 'show it' says 'Lock  *none' rpv3 show ruled
tap_ok 'as JSON' json_ok --vault second show ruled
tap_ok 'it encrypts' encrypts
tap_ok 'active from tomorrow on' rpv3 dates ruled --not-before 1d --not-after 2999-01-01
tap_ok 'is shown' says 'State  *not yet active' rpv3 show ruled
tap_ok 'with its dates' says 'Not after  *2999-01-01T00:00:00Z' rpv3 show ruled
tap_fails 'it does not encrypt' encrypts no
tap_ok 'not before: cleared' rpv3 dates ruled --not-before none
tap_ok 'the other date stays' says 'Not after  *2999-01-01' rpv3 show ruled
tap_ok 'it encrypts again' encrypts
tap_ok 'expired' rpv3 dates ruled --not-after 2001-01-01
tap_fails 'it does not encrypt, either' encrypts no
tap_ok 'but decrypts' decrypts
tap_ok 'not after: cleared' rpv3 --json dates ruled --not-after none
tap_ok 'no date is left' silent 'Not after  *[0-9]' rpv3 show ruled
tap_ok 'and encrypts' encrypts
tap_ok 'never active: 1' status_of 1 --vault second dates ruled --not-before 30d --not-after 1d
tap_ok 'a date that is none: 2' status_of 2 --vault second dates ruled --not-before soon
tap_ok 'no date at all: 2' status_of 2 --vault second dates ruled
tap_ok 'a honeytoken' rpv3 honeytoken ruled
tap_ok 'is one' says 'Honeytoken  *yes' rpv3 show ruled
tap_ok 'and not any more' rpv3 honeytoken ruled --off
tap_ok 'is none' says 'Honeytoken  *no' rpv3 show ruled

tap_ok 'a reason that is too long: 2' status_of 2 --vault second delete ruled \
    --reason "$(printf '%064d' 0)"
tap_ok 'lock it' rpv3 lock ruled
tap_ok 'a locked one is not deleted: 4' status_of 4 --vault second delete ruled --reason refused
tap_ok 'and has no reason' silent 'refused' rpv3 show ruled
tap_ok 'unlock it' rpv3 unlock ruled
tap_ok 'a delete says until when and how' \
    says 'until 2[0-9-]*T[0-9:]*Z it can be taken back with: reprieve recover [0-9a-f]\{32\}' \
    rpv3 delete ruled --reason 'key rotated; ticket 4711'
tap_ok 'and why' says 'Why  *key rotated; ticket 4711' rpv3 show ruled
tap_ok 'as the audit does' says 'KeyDelete .*ticket 4711' rpv3 audit query --operation KeyDelete
tap_ok 'by the command it told' rpv3 recover "$(uid_of deleted)"
tap_ok 'and again, as JSON' says '"recover": "reprieve recover [0-9a-f]' rpv3 --json delete ruled
tap_ok 'no such object: 3' status_of 3 --vault second delete ruled
before=$(rpv3 show ruled | sed -n 's/^Purge date *//p')
tap_ok 'a later purge date' rpv3 postpone ruled --until 2999-12-31
tap_ok 'is shown' says 'Purge date  *2999-12-31T00:00:00Z' rpv3 show ruled
tap_fails 'and was another' [ "$before" = 2999-12-31T00:00:00Z ]
tap_ok 'an earlier one: 1' status_of 1 --vault second postpone ruled --until 30d
tap_ok 'says what it is' says 'its purge date is 2999-12-31' rpv3 postpone ruled --until 30d
tap_ok 'postponed to when? 2' status_of 2 --vault second postpone ruled
tap_ok 'a live one of the same label' user3 --keygen --key-type AES:32 --label ruled --id 03
tap_ok 'recovery tells of it' says 'another object bears its label' rpv3 recover ruled
tap_ok 'a name of two live ones' status_of 3 --vault second hold ruled
tap_ok 'does not mean a third that is deleted' user3 --keygen --key-type AES:32 --label ruled --id 04
tap_ok 'delete that' rpv3 delete id=04
tap_ok 'still: 3' status_of 3 --vault second hold ruled
tap_ok 'it is not held' says 'Hold  *no' rpv3 show id=04

# ---------------------------------------------------------------- generations

tap_ok 'an accident' tool --slot 0 --init-token --label oops --so-pin "$so_pin"
tap_ok 'shows a deleted generation' says ' clients  *deleted' rpv --vault oops vault generations
tap_ok 'generations are JSON' json_ok --vault oops vault generations
generation=$(rpv --vault oops vault generations |
    sed -n 's/^\([0-9]*\)  *clients .*/\1/p')
tap_ok 'purge it: refused' status_of 4 --vault oops vault purge "$generation" --yes
REPRIEVE_PIN=wrong-pin tap_ok 'recover it with a wrong PIN: 5' \
    status_of 5 --vault oops vault recover "$generation"
tap_ok 'no such generation: 3' status_of 3 --vault oops vault recover 4711
tap_ok 'recover it' rpv --vault oops vault recover "$generation"
tap_ok 'and all is there' sign_rsa
tap_ok 'the accident is a generation now' says 'oops  *deleted' rpv2 vault generations

# ---------------------------------------------------------------- audit, sweep

tap_ok 'the audit tells of it' says 'KeyPurge' rpv audit
tap_ok 'audit is JSON' json_ok audit
tap_is 'one operation, the last two' \
    "$(rpv audit --operation KeyDelete --limit 2 | tail -n +2 | grep -c KeyDelete)" 2
tap_ok 'since tomorrow: none' says 'No events' rpv audit --since 2999-01-01
tap_ok 'since a while ago' says 'KeyDelete' rpv audit --since 1h
tap_ok 'a time that is none: 2' status_of 2 audit --since yesterday
tap_ok 'of one vault' silent 'KeyImport' rpv --vault second audit
tap_ok 'the chain is intact' says 'intact' rpv audit verify
tap_ok 'verify is JSON' json_ok audit verify
tap_ok 'sweep finds nothing due' says 'Purged 0' rpv sweep

# ---------------------------------------------------------------- health, an older copy

tap_ok 'the store is healthy' says 'chain  *ok' rpv doctor
tap_ok 'as JSON' json_ok doctor
tap_ok 'nothing to accept: 1' status_of 1 --vault clients doctor --accept-rollback --yes
cp "$tap_dir/store/data.mdb" "$tap_dir/data.old"
tap_ok 'something happens' rpv2 recover --all
tap_ok 'and something else' user --keygen --key-type AES:16 --id 31 --label later
cp "$tap_dir/data.old" "$tap_dir/store/data.mdb"
tap_ok 'an older copy: 1' status_of 1 doctor
tap_ok 'is explained' says 'head  *BAD .*older copy' rpv doctor
tap_ok 'the audit does not reach what is known of it: 1' status_of 1 audit verify
tap_ok 'nothing can be made: 4' status_of 4 --vault clients recover --all
REPRIEVE_SO_PIN=wrong-pin tap_ok 'accepted with a wrong PIN: 5' \
    status_of 5 --vault clients doctor --accept-rollback --yes
tap_ok 'accepted' rpv2 doctor --accept-rollback --yes
tap_ok 'healthy again' rpv doctor
tap_ok 'and on record' says 'RollbackAccept' rpv audit

# a label may be anybody's bytes: neither terminal nor JSON breaks
tap_ok 'a label that would drive the terminal' user --keygen --key-type AES:16 --id 30 \
    --label "$(printf 'evil\033[2J')"
tap_ok 'is shown harmless' says 'evil\\x1b' rpv2 list
tap_ok 'and is JSON' json_ok --vault clients list

tap_done
