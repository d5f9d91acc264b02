# Every built-in alert, through a running watch: on the terminal, as JSON, and to a reaction.
. "$SRCDIR/tests/tap-lib.sh"
. "$SRCDIR/tests/client-lib.sh"
client_init
on_reprieve || tap_skip_all 'the command is for Reprieve'
reprieve=${REPRIEVE_CLI:-$BUILDDIR/reprieve}
aid=$BUILDDIR/tests/aid
REPRIEVE_MODULE=$module
REPRIEVE_PIN=$user_pin
REPRIEVE_SO_PIN=$so_pin
REPRIEVE_NEW_PIN=first-pin
export REPRIEVE_MODULE REPRIEVE_PIN REPRIEVE_SO_PIN REPRIEVE_NEW_PIN

watchers=
stop() {
    for stop_pid in $watchers; do
        kill "$stop_pid" 2>/dev/null
        wait "$stop_pid" 2>/dev/null
    done
    watchers=
}
trap 'stop; rm -rf "$tap_dir"' EXIT

# In what store: all that follows is on that one.
in_store() {
    store=$tap_dir/$1
    sed -i '/^store = /d' "$client_conf_file"
    client_conf "store = $store"
}

rpv() {
    timeout 120 "$reprieve" "$@" </dev/null
}

on() {
    on_vault=$1
    shift
    rpv --vault "$on_vault" "$@"
}

# t VAULT ARG...: pkcs11-tool there, as user
t() {
    t_vault=$1
    shift
    tool --token-label "$t_vault" --login --pin "$user_pin" "$@"
}

status() {
    status_wanted=$1 status_got=0
    shift
    "$@" || status_got=$?
    [ "$status_got" -eq "$status_wanted" ]
}

# What a reaction gets, on one line: its environment, and the alert.
react='alert=$(cat); printf "%s|%s|%s|%s\n" "$REPRIEVE_ALERT" "$REPRIEVE_LEVEL" \
    "${REPRIEVE_PIN-}${REPRIEVE_SO_PIN-}${REPRIEVE_NEW_PIN-}" "$alert" >>reactions'

# Two of them, from before the store's first alert on: one for people, one for programs. Not by rpv:
# a shell between would be killed in its place.
watch_start() {
    : >text
    : >json
    : >reactions
    "$reprieve" watch --since 1d </dev/null >text 2>text.err &
    watchers="$watchers $!"
    "$reprieve" --json watch --since 1d --exec "$react" </dev/null >json 2>json.err &
    watchers="$watchers $!"
}

# seen PATTERN FILE [TIMES]: it is there, so often, or comes within a minute or two
seen() {
    for _ in $(seq 600); do
        [ "$(grep -c -e "$1" "$2")" -ge "${3:-1}" ] && return 0
        sleep 0.2
    done
    echo "not seen in $2: $1"
    cat text.err json.err "$2"
    return 1
}

# alerted LEVEL NAME WHAT: all three tell
alerted() {
    seen "^$1: $2: $3" text && seen "\"alert\":\"$2\",\"level\":\"$1\",\"message\":\"$3" json &&
        seen "^$2|$1||{.*\"alert\":\"$2\",\"level\":\"$1\",\"message\":\"$3" reactions
}

# ---------------------------------------------------------------- what is none, and a delete

in_store main
client_conf 'purge_protection = no'
rpv vault create --label one >/dev/null
on one vault init-pin >/dev/null
rpv vault create --label two >/dev/null
on two vault init-pin >/dev/null
echo data >data
watch_start

t one --keypairgen --key-type rsa:2048 --label signer --id 01 >/dev/null
t one --keygen --key-type AES:32 --label first --id 02 >/dev/null
t one --sign --mechanism SHA256-RSA-PKCS --id 01 -i data -o sig >/dev/null 2>&1
on one policy set reserve_names=yes min_rsa_bits=3072 >/dev/null
on one hold first >/dev/null
on one release first >/dev/null
on one dates first --not-after 2999-01-01 >/dev/null
on one user add olga purge-operator >/dev/null
REPRIEVE_PIN=wrong-pin on one list >/dev/null 2>&1
tap_ok 'a delete' on one delete first
tap_ok 'alerts' alerted warning delete 'KeyDelete ok of first by user (uid'
tap_is 'and nothing before it did' "$(wc -l <text) $(wc -l <json) $(wc -l <reactions)" '1 1 1'
on one recover first >/dev/null

# ---------------------------------------------------------------- each rule

tap_ok 'a backup' on one backup --out backup.rpv
tap_ok 'alerts' alerted warning backup 'VaultBackup ok'
tap_ok 'a weaker policy' on one policy set min_rsa_bits=2048
tap_ok 'alerts' alerted critical policy-weakened 'VaultPolicy ok .*: weaker: '
on one delete first >/dev/null
on one hold first >/dev/null
tap_ok 'a purge that is refused' status 4 on one purge first --yes
tap_ok 'alerts' alerted warning purge-refused 'KeyPurge .* by so .*: refused: held'
on one release first >/dev/null
on one policy set purge_approvals=2 >/dev/null
tap_ok 'an approval of a purge' status 6 on one purge first --yes
tap_ok 'alerts' alerted warning purge-approval 'KeyPurgeApprove ok of .* by so .*: 1 of 2'
on one policy set purge_approvals=0 >/dev/null
tap_ok 'a purge' on one purge first --yes
tap_ok 'alerts' alerted critical purge 'KeyPurge ok of'
on one disable id=01 --class private >/dev/null
tap_fails 'a disabled key is used' \
    t one --sign --mechanism SHA256-RSA-PKCS --id 01 -i data -o sig
tap_ok 'alerts' alerted warning refused-use 'KeySign .*: refused: the key is disabled'
on one enable id=01 --class private >/dev/null

# pkcs11-tool has found the key when it opens its input
use_deleted() {
    rm -f input
    mkfifo input
    t one --sign --mechanism SHA256-RSA-PKCS --id 01 -i input -o sig >used 2>&1 &
    used=$!
    exec 9>input
    on one delete id=01 --class private
    echo data >&9
    exec 9>&-
    ! wait "$used"
}
tap_ok 'a deleted key is used by who had it already' use_deleted
tap_ok 'alerts' alerted warning refused-use 'KeySign .*: refused: the key is deleted'
on one recover id=01 --class private >/dev/null

keys=
for i in 1 2 3 4 5 6 7 8 9 10; do
    t one --keygen --key-type AES:16 --label "key$i" >/dev/null
    keys="$keys key$i"
done
# shellcheck disable=SC2086 # the names are words
tap_ok 'ten deletes at once' on one delete $keys
tap_ok 'alert' alerted critical many-deletes 'KeyDelete .*, 10 of them within 60 seconds'
tap_ok 'a honeytoken' on one honeytoken signer --class private
tap_ok 'is used' t one --sign --mechanism SHA256-RSA-PKCS --id 01 -i data -o sig
tap_ok 'alerts' alerted critical honeytoken 'KeySign ok .*: honeytoken'
on two policy set pin_tries=3 >/dev/null
for _ in 1 2 3; do
    REPRIEVE_PIN=wrong-pin on two list >/dev/null 2>&1
done
tap_ok 'three wrong PINs alert' alerted warning login-failures \
    'VaultLogin .*, 3 of them within 300 seconds'
tap_ok 'and the lock-out' alerted critical lock-out 'VaultLockOut '
tap_ok 'a vault is initialised again' \
    tool --slot 1 --init-token --label three --so-pin "$so_pin"
tap_ok 'alerts' alerted critical vault-reset 'VaultInit ok'
if [ -z "${REPRIEVE_VARIANT-}" ] && faketime -f +1d true 2>/dev/null; then
    tap_ok 'somebody with another clock' \
        faketime -f +1000d "$reprieve" --vault one disable id=01 --class private
    tap_ok 'alerts' alerted critical clock 'ClockJump '
else
    tap_skip 'somebody with another clock alerts' 'no faketime here'
fi

# A reaction is a shell's, and what an event holds must not become part of its command.
trick='$(touch pwned)`touch pwned`";touch pwned;"'\''; touch pwned; '\'
tap_ok 'a reason that would be a command' on one delete id=01 --class public --reason "$trick"
tap_ok 'comes in the alert' seen 'alert":"delete".*touch pwned' reactions
tap_ok 'and runs nothing' [ ! -e pwned ]
if command -v python3 >/dev/null; then
    tap_ok 'alerts are JSON, one a line' python3 -c '
import json
for line in open("json"):
    alert = json.loads(line)
    assert set(alert) >= {"alert", "level", "message", "time", "event"}, alert
for line in open("reactions"):
    name, level, secrets, rest = line.split("|", 3)
    alert = json.loads(rest)
    assert alert["alert"] == name and alert["level"] == level and secrets == "", line'
fi
tap_is 'no PIN reaches a reaction' "$(grep -c -v '^[a-z-]*|[a-z]*||{' reactions)" 0
tap_is 'each alert had its reaction' "$(wc -l <reactions)" "$(wc -l <json)"
tap_is 'and was told to people, too' "$(wc -l <text)" "$(wc -l <json)"
stop

# ---------------------------------------------------------------- the log is changed

in_store spoilt
rpv vault create --label one >/dev/null
on one vault init-pin >/dev/null
t one --keygen --key-type AES:16 --label any >/dev/null
on one delete any >/dev/null
watch_start
tap_ok 'they have begun' alerted warning delete 'KeyDelete ok'
last=$(rpv --json audit | sed -n 's/.*"seq": \([0-9]*\),.*/\1/p' | tail -1)
tap_ok 'an event is changed' "$aid" spoil "$store" "$last"
tap_ok 'alerts' alerted critical chain-broken "the audit log was changed, cut or put back at event $last"
stop
tap_ok 'a watch that begins later cannot' status 1 rpv watch --once
tap_ok 'and says why' says 'the audit log does not authenticate' rpv watch --once

in_store middle
rpv vault create --label one >/dev/null
on one vault init-pin >/dev/null
tap_ok 'an event in the middle is changed' "$aid" spoil "$store" 1
tap_ok 'alerts when a watch begins' says '^critical: chain-broken: .* at event 1' rpv watch --once

in_store older
rpv vault create --label one >/dev/null
on one vault init-pin >/dev/null
cp "$store/data.mdb" older.mdb
on one user add alice list >/dev/null
on one user add bob list >/dev/null
cp older.mdb "$store/data.mdb"
watch_start
tap_ok 'an older copy of the store alerts' alerted critical chain-broken 'the audit log was'
tap_ok 'the SO accepts it' on one doctor --accept-rollback --yes
tap_ok 'which alerts, too' alerted critical rollback 'RollbackAccept ok'
stop

# ---------------------------------------------------------------- a purge to come

in_store near
REPRIEVE_MODULE=$BUILDDIR/tests/reprieve-test.so
REPRIEVE_TEST_CLOCK=$tap_dir/clock
export REPRIEVE_TEST_CLOCK
"$aid" clock clock 0
if [ -f "$REPRIEVE_MODULE" ] && rpv vault create --label one --set retention_days=7 >out 2>&1; then
    module=$REPRIEVE_MODULE
    on one vault init-pin >/dev/null
    t one --keygen --key-type AES:16 --label soon >/dev/null
    on one delete soon >/dev/null
    watch_start
    tap_ok 'a delete alone' alerted warning delete 'KeyDelete ok'
    "$aid" clock clock $((3 * 86400))
    tap_ok 'four days before its purge' silent purge-near rpv watch --once --since 30d
    "$aid" clock clock $((86400 + 60))
    tap_ok 'within three days it alerts' alerted warning purge-near \
        'object [0-9a-f]* of vault 0 will be purged at 2023-11-'
    tap_is 'once' "$(grep -c purge-near text)" 1
    stop
else
    tap_skip 'a purge within three days alerts' "no $REPRIEVE_MODULE"
fi
unset REPRIEVE_TEST_CLOCK
module=${BUILDDIR:-.}/reprieve-pkcs11.so
REPRIEVE_MODULE=$module

# ---------------------------------------------------------------- rules of one's own

in_store main
once() {
    rpv watch --once --rules rules
}
bad_rule() {
    printf "$1" >rules
    status 1 once >out 2>&1 && cat out && grep -q -e "rules:$2: $3" out
}
printf '[delete]\nenabled = no\n' >rules
tap_ok 'a rule that is off' silent ' delete: ' once
tap_ok 'leaves the others' says ' many-deletes: ' once
printf '[many-deletes]\ncount = 3\nwithin = 1h\nlevel = info\n' >rules
tap_ok 'another count, and level' says '^info: many-deletes: .*, 3 of them within 3600 seconds' once
printf '# mine\n[signed]\noperation = KeySign\nresult = ok\nlevel = info\n' >rules
tap_ok 'a rule more' says '^info: signed: KeySign ok' once
printf '[recovered-twice]\noperation = KeyRecover\ncount = 2\n' >rules
tap_ok 'a rule that counts' says '^warning: recovered-twice: KeyRecover' once
printf '[other]\ndetail = !*weaker*\noperation = VaultPolicy\n' >rules
tap_ok 'a rule by its contrary' says '^warning: other: VaultPolicy' once
tap_ok 'which fits no weaker one' silent '^warning: other: .*weaker' once
tap_ok 'the shipped file is what is built in' \
    sh -c "'$reprieve' watch --once >builtin </dev/null &&
        '$reprieve' watch --once --rules '$SRCDIR/conf/alerts.conf' </dev/null | cmp - builtin"
tap_ok 'no such level: says where' bad_rule '[delete]\nlevel = loud\n' 2 \
    'level takes info, warning or critical, and not "loud"'
tap_ok 'no such key' bad_rule '\n\n[x]\noperation = *\nfoo = bar\n' 5 'there is no key "foo"'
tap_ok 'no count' bad_rule '[delete]\ncount = -1\n' 2 'count takes a number'
tap_ok 'no time' bad_rule '[delete]\nwithin = 5 minutes\n' 2 'within takes a time'
tap_ok 'no line of such a file' bad_rule '[delete]\nlevel\n' 2 'neither'
printf '[never]\nlevel = info\n' >rules
tap_ok 'a rule for nothing' says '\[never\] says of nothing' once
tap_ok 'no such file: 1' status 1 rpv watch --once --rules nowhere
tap_done
