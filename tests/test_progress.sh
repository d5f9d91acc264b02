# How long work says how far it has come: a bar on a terminal, lines with --json, nothing on a pipe.
. "$SRCDIR/tests/tap-lib.sh"
. "$SRCDIR/tests/client-lib.sh"
client_init
on_reprieve || tap_skip_all 'the command is for Reprieve'
command -v script >/dev/null || tap_skip_all 'no script(1) (Debian: bsdutils)'
reprieve=${REPRIEVE_CLI:-$BUILDDIR/reprieve}
module=$BUILDDIR/tests/reprieve-test.so
[ -f "$module" ] || tap_skip_all "no $module"
REPRIEVE_MODULE=$module
REPRIEVE_PIN=$user_pin
REPRIEVE_SO_PIN=$so_pin
REPRIEVE_TEST_CLOCK=$tap_dir/clock
export REPRIEVE_MODULE REPRIEVE_PIN REPRIEVE_SO_PIN REPRIEVE_TEST_CLOCK
"$BUILDDIR/tests/aid" clock clock 0

rpv() {
    timeout 120 "$reprieve" "$@" </dev/null
}

# on_terminal ARG...: what the command writes to one
on_terminal() {
    timeout 120 script -qec "'$reprieve' $*" typescript </dev/null >/dev/null
    tr '\r' '\n' <typescript
}

# lines WHAT N ARG...: with --json one document on standard output, and on standard error JSON lines
# of progress alone, the last of them N of N
lines() {
    lines_what=$1 lines_n=$2
    shift 2
    rpv --json "$@" >json.out 2>json.err || return 1
    cat json.err
    tail -1 json.err | grep -q -x -F \
        "{\"progress\": {\"what\": \"$lines_what\", \"done\": $lines_n, \"total\": $lines_n}}" &&
        ! grep -v -q '^{"progress": {"what": "[a-z]*", "done": [0-9]*, "total": [0-9]*}}$' json.err &&
        [ "$(head -c 1 json.out)" = '{' ]
}

# quiet ARG...: it succeeds, and standard error, which is no terminal, stays empty
quiet() {
    rpv "$@" >quiet.out 2>quiet.err && cat quiet.err && [ ! -s quiet.err ]
}

again() {
    # shellcheck disable=SC2086 # the names are words
    rpv delete $keys >out 2>&1 || cat out
}

bar='\[########################################\]'
rpv vault create --label clients --set retention_days=7 >/dev/null
rpv vault init-pin >/dev/null
keys=
for i in 1 2 3 4 5 6; do
    user --keygen --key-type AES:16 --label "key$i" >out 2>&1 || cat out
    keys="$keys key$i"
done

tap_ok 'backup: a bar' says "^backup $bar 6/6\$" on_terminal backup --out one.rpv
tap_ok 'and the result behind it' grep -q '^6 objects are in one.rpv' typescript
tap_ok 'backup: lines' lines backup 6 backup --out two.rpv
tap_ok 'backup: nothing' quiet backup --out three.rpv
tap_ok 'restore: a bar' says "^restore $bar 6/6\$" on_terminal restore one.rpv --replace
tap_ok 'restore: lines' lines restore 6 restore one.rpv --replace
tap_ok 'restore: nothing' quiet restore one.rpv --replace
again
tap_ok 'recover: a bar' says "^recover $bar 6/6\$" on_terminal recover --all
again
tap_ok 'recover: lines' lines recover 6 recover --all
tap_ok 'recovers them' grep -q '"recoveredCount": 6' json.out
again
tap_ok 'recover: nothing' quiet recover --all
tap_ok 'doctor: a bar' says "^doctor $bar " on_terminal doctor
all=$(rpv doctor | sed -n 's/^chain  *ok  *\([0-9]*\) events/\1/p')
tap_ok 'doctor: lines, of every event and object' lines doctor $((all + 6)) doctor
tap_ok 'doctor: nothing' quiet doctor
# a few at a time: what is past its date goes by the way, too, with every change
for kind in bar lines nothing; do
    rpv delete key1 key2 >out 2>&1 || cat out
    "$BUILDDIR/tests/aid" clock clock $((8 * 86400))
    case $kind in
        bar) tap_ok 'sweep: a bar' says "^sweep $bar 2/2\$" on_terminal sweep ;;
        lines) tap_ok 'sweep: lines' lines sweep 2 sweep ;;
        nothing) tap_ok 'sweep: nothing' quiet sweep ;;
    esac
    for i in 1 2; do
        user --keygen --key-type AES:16 --label "key$i" >out 2>&1 || cat out
    done
done
tap_done
