# Events to syslog and journald, and alerts to journald: sockets of the test's own stand at the
# paths of the system's, in a mount namespace where there are no others.
if [ -z "${SINKS_INSIDE-}" ]; then
    if ! unshare -rm true 2>/dev/null; then
        echo '1..0 # SKIP no mount namespace for a user here'
        exit 0
    fi
    SINKS_INSIDE=yes
    export SINKS_INSIDE
    exec unshare -rm sh "$0"
fi
. "$SRCDIR/tests/tap-lib.sh"
. "$SRCDIR/tests/client-lib.sh"
client_init
on_reprieve || tap_skip_all 'the sinks are Reprieve'\''s'
reprieve=${REPRIEVE_CLI:-$BUILDDIR/reprieve}
aid=$BUILDDIR/tests/aid
REPRIEVE_MODULE=$module
REPRIEVE_PIN=$user_pin
REPRIEVE_SO_PIN=$so_pin
export REPRIEVE_MODULE REPRIEVE_PIN REPRIEVE_SO_PIN

# A /dev of few nodes, where log can be, and an empty /run.
namespace() {
    mkdir dev && mount -t tmpfs none dev && mkdir dev/shm || return 1
    for node in null zero full random urandom tty; do
        [ -e "/dev/$node" ] || continue
        : >"dev/$node" && mount --bind "/dev/$node" "dev/$node" || return 1
    done
    mount --rbind dev /dev && mount -t tmpfs none /run && mkdir -p /run/systemd/journal
}
namespace >namespace.out 2>&1 || tap_skip_all "no mounts here: $(tail -1 namespace.out)"

daemons=
stop() {
    for stop_pid in $daemons; do
        kill "$stop_pid" 2>/dev/null
        wait "$stop_pid" 2>/dev/null
    done
    daemons=
    rm -f /dev/log /run/systemd/journal/socket
}
trap 'stop; rm -rf "$tap_dir"' EXIT

journal=/run/systemd/journal/socket
# daemon listen|deaf|stream|full SOCKET FILE: begins, and has begun when this returns
daemon() {
    rm -f "$3"
    "$aid" "$1" "$2" "$3" &
    daemons="$daemons $!"
    for _ in $(seq 300); do
        [ -e "$3" ] && return
        sleep 0.1
    done
    echo "# no daemon on $2"
}

sink() {
    sed -i '/^audit_sink = /d' "$client_conf_file"
    client_conf "audit_sink = $1"
}

rpv() {
    timeout 60 "$reprieve" "$@" </dev/null
}

seen() {
    for _ in $(seq 100); do
        grep -q -e "$1" "$2" && return 0
        sleep 0.1
    done
    cat "$2"
    return 1
}

status() {
    status_wanted=$1 status_got=0
    shift
    "$@" || status_got=$?
    [ "$status_got" -eq "$status_wanted" ]
}

rpv vault create --label clients --set purge_protection=yes >/dev/null
rpv vault init-pin >/dev/null
user --keygen --key-type AES:32 --label wonder --id 01 >/dev/null
echo data >data

# ---------------------------------------------------------------- syslog

head='^<8[45]>[A-Z][a-z][a-z] [ 123][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9] reprieve\[[0-9]*\]: '
sink syslog
daemon listen /dev/log syslog.out
tap_ok 'a change' rpv delete wonder --reason "$(printf 'two\nlines')"
tap_ok 'goes to syslog' seen "${head}KeyDelete ok by user (uid 0, pid [0-9]*, .*reprieve) vault 0 " \
    syslog.out
tap_ok 'as a notice of authpriv' seen '^<85>.*KeyDelete' syslog.out
tap_ok 'on one line' seen 'KeyDelete ok .*: two?lines$' syslog.out
tap_ok 'what is refused' status 4 rpv purge wonder --yes
tap_ok 'is a warning' seen '^<84>.*KeyPurge retained by so .*: refused: retained until' syslog.out
REPRIEVE_PIN=wrong-pin rpv list >/dev/null 2>&1
tap_ok 'a wrong PIN, too' seen '^<84>.*VaultLogin PIN incorrect by user' syslog.out
tap_is 'as many as there are events' \
    "$(grep -c '^<8[45]>' syslog.out)" "$(rpv audit --since 1h | grep -c 'KeyDelete\|KeyPurge\|VaultLogin')"
tap_is 'no PIN and no label goes there' "$(grep -c "wrong-pin\|$user_pin\|$so_pin\|wonder" syslog.out)" 0
stop

tap_ok 'without a daemon nothing fails' rpv recover wonder
daemon deaf /dev/log deaf.out
tap_ok 'nor when it takes nothing' rpv delete wonder
many=
for i in $(seq 40); do
    rpv recover wonder >out 2>&1 || many="$many $i"
    rpv delete wonder >out 2>&1 || many="$many $i"
done
tap_is 'however long' "$many" ''
# 80 events are more than the kernel's queue holds
tap_ok 'the trace tells' sh -c ': >trace.sink; REPRIEVE_TRACE=trace.sink "$1" recover wonder </dev/null &&
    grep "did not reach syslog" trace.sink' sh "$reprieve"
stop

daemon stream /dev/log stream.out
tap_ok 'a change' rpv delete wonder
tap_ok 'goes to a daemon that takes a stream, too' seen "${head}KeyDelete ok" stream.out
tap_is 'and ends with a NUL' "$(head -1 stream.out | tail -c 2 | od -An -tx1 | tr -d ' \n')" 000a
stop
rpv recover wonder >/dev/null

# ---------------------------------------------------------------- journald

sink journald
daemon listen "$journal" journal.out
tap_ok 'a change' rpv delete wonder --reason "$(printf 'two\nPRIORITY=0')"
tap_ok 'goes to journald' seen '^MESSAGE=KeyDelete ok by user (uid 0, ' journal.out
tap_is 'field by field, and no field more' "$(sed -n '1,/^--$/p' journal.out | sed 's/=.*//' | tr '\n' ' ')" \
    'MESSAGE PRIORITY SYSLOG_FACILITY SYSLOG_IDENTIFIER REPRIEVE_SEQ REPRIEVE_OPERATION REPRIEVE_RESULT REPRIEVE_PRINCIPAL REPRIEVE_VAULT REPRIEVE_OBJECT REPRIEVE_COUNT REPRIEVE_HASH  -- '
for field in PRIORITY=5 SYSLOG_FACILITY=10 SYSLOG_IDENTIFIER=reprieve \
    REPRIEVE_OPERATION=KeyDelete REPRIEVE_RESULT=ok REPRIEVE_PRINCIPAL=user REPRIEVE_VAULT=0 \
    'REPRIEVE_OBJECT=[0-9a-f]\{32\}' 'REPRIEVE_HASH=[0-9a-f]\{64\}' 'REPRIEVE_SEQ=[0-9]*'; do
    tap_ok "$field" seen "^$field\$" journal.out
done
tap_ok 'the number and hash of the event' sh -c '
    seq=$(sed -n "s/^REPRIEVE_SEQ=//p" journal.out) hash=$(sed -n "s/^REPRIEVE_HASH=//p" journal.out)
    "$1" audit export </dev/null | grep "\"seq\":$seq," | grep "\"hash\":\"$hash\""' sh "$reprieve"
tap_ok 'what is refused' status 4 rpv purge wonder --yes
tap_ok 'is a warning' seen '^PRIORITY=4$' journal.out
tap_is 'no PIN and no label goes there' "$(grep -c "$user_pin\|$so_pin\|wonder" journal.out)" 0
stop
tap_ok 'without a daemon nothing fails' rpv recover wonder
daemon deaf "$journal" deaf.out
many=
for i in $(seq 40); do
    rpv delete wonder >out 2>&1 || many="$many $i"
    rpv recover wonder >out 2>&1 || many="$many $i"
done
tap_is 'nor with one that takes nothing' "$many" ''
stop

# one process, many events: none is lost to a daemon that takes them
daemon listen "$journal" burst.out
for i in $(seq 30); do
    user --keygen --key-type AES:16 --label "burst$i" >out 2>&1 || cat out
done
rpv recover --all >/dev/null
# shellcheck disable=SC2046 # the names are words
rpv delete $(seq -f burst%.0f 30) >out
tap_ok 'a burst' seen '^REPRIEVE_OPERATION=KeyDelete$' burst.out
for _ in $(seq 100); do
    [ "$(grep -c '^REPRIEVE_OPERATION=KeyDelete$' burst.out)" -ge 30 ] && break
    sleep 0.1
done
tap_is 'is there to the last' "$(grep -c '^REPRIEVE_OPERATION=KeyDelete$' burst.out)" 30
stop

# A stream whose queue of connections is full: one event waits, and not those that follow. Thirty that
# wait take three seconds more than thirty that have nowhere to go.
deletes_ms() {
    rpv recover --all >out
    deletes_from=$(date +%s%N)
    # shellcheck disable=SC2046 # the names are words
    rpv delete $(seq -f burst%.0f 30) >out || cat out >&2
    echo $((($(date +%s%N) - deletes_from) / 1000000))
}
sink none
without=$(deletes_ms)
sink syslog
daemon full /dev/log full.out
with=$(deletes_ms)
echo "# thirty deletes: $without ms, to a full queue $with ms"
tap_ok 'a stream that takes no connection is not waited for each time' [ "$with" -lt $((without + 1500)) ]
tap_is 'and they are deleted' "$(rpv list | grep -c burst)" 0
stop

# ---------------------------------------------------------------- alerts

sink none
daemon listen "$journal" alerts.out
rpv watch --once --since 1h --journald >watched 2>&1
tap_ok 'an alert goes to journald' seen '^MESSAGE=delete: KeyDelete ok of ' alerts.out
tap_is 'field by field' "$(sed -n '1,/^--$/p' alerts.out | sed 's/=.*//' | tr '\n' ' ')" \
    'MESSAGE PRIORITY SYSLOG_FACILITY SYSLOG_IDENTIFIER REPRIEVE_ALERT REPRIEVE_LEVEL REPRIEVE_SEQ REPRIEVE_OPERATION REPRIEVE_OBJECT  -- '
tap_ok 'a warning' seen '^PRIORITY=4$' alerts.out
tap_ok 'of a name' seen '^REPRIEVE_ALERT=delete$' alerts.out
tap_ok 'and level' seen '^REPRIEVE_LEVEL=warning$' alerts.out
tap_ok 'a critical one' seen '^PRIORITY=2$' alerts.out
tap_is 'and not to standard output, nor is one lost' "$(cat watched)" ''
stop
tap_ok 'without a daemon it says so, and goes on' says 'did not reach journald' \
    rpv watch --once --since 1h --journald
tap_ok 'reacting all the same' sh -c '"$1" watch --once --since 1h --journald --exec "cat >>reacted" \
    </dev/null >/dev/null 2>&1; grep -q "\"alert\":\"delete\"" reacted' sh "$reprieve"
tap_done
