# The audit log through the command: query, summaries, export, follow, watch.
. "$SRCDIR/tests/tap-lib.sh"
. "$SRCDIR/tests/client-lib.sh"
client_init
on_reprieve || tap_skip_all 'the command is for Reprieve'
reprieve=${REPRIEVE_CLI:-$BUILDDIR/reprieve}
REPRIEVE_MODULE=$module
REPRIEVE_PIN=$user_pin
REPRIEVE_SO_PIN=$so_pin
export REPRIEVE_MODULE REPRIEVE_PIN REPRIEVE_SO_PIN

rpv() {
    timeout 60 "$reprieve" "$@" </dev/null
}

status_of() {
    status_wanted=$1
    shift
    status_got=0
    rpv "$@" || status_got=$?
    [ "$status_got" -eq "$status_wanted" ]
}

client_token
user --keypairgen --key-type rsa:2048 --label web --id 01 >/dev/null
echo data >data
user --sign --mechanism SHA256-RSA-PKCS --label web -i data -o sig >/dev/null
user --sign --mechanism SHA256-RSA-PKCS --label web -i data -o sig >/dev/null

# ---------------------------------------------------------------- query

tap_ok 'a use is on record' says 'KeySign' rpv audit query
tap_is 'of a key, by label' "$(rpv audit query --key web | grep -c Key)" 4
id=$(rpv --json audit query --operation KeySign | sed -n 's/.*"id": "\([0-9a-f]*\)".*/\1/p' | head -1)
tap_is 'by unique id' "$(rpv audit query --key "$id" | grep -c Key)" 3
tap_ok 'without a PIN: no label of a private key' silent 'KeySign.*web' \
    env -u REPRIEVE_PIN "$reprieve" audit query
tap_is 'by caller' "$(rpv audit query --caller pkcs11-tool --operation 'KeyS*' | grep -c KeySign)" 2
tap_ok 'by another caller: none' says 'No events' rpv audit query --caller nobody
tap_ok 'by result: none failed' says 'No events' rpv audit query --key "$id" --result failed
tap_ok 'until yesterday: none' says 'No events' rpv audit query --until 24h
tap_is 'the last one' "$(rpv audit query --limit 1 | tail -n +2 | grep -c KeySign)" 1
tap_ok 'calls, counted' says 'KeySign  *ok  *2 ' rpv audit query --summary calls
tap_ok 'last use' says 'pkcs11-tool' rpv audit query --summary last-use
tap_ok 'a summary that is none: 2' status_of 2 audit query --summary all
tap_ok 'no such label: 3' status_of 3 audit query --key nothing

# who called what of which version, how often and with what result
REPRIEVE_NEW_PIN=first-pin rpv user add alice crypto-user >/dev/null
as_alice() {
    tool --login --pin alice:first-pin --sign --mechanism SHA256-RSA-PKCS --id 01 -i data -o sig
}
as_alice >/dev/null
rpv key rotate web >/dev/null
as_alice >/dev/null
as_alice >/dev/null
newest=$(rpv list --class private | sed -n 's/^\([0-9a-f]*\)  *private .* web  *2 .*/\1/p')
rpv disable "$newest" >/dev/null
as_alice >/dev/null 2>&1
rpv enable "$newest" >/dev/null
rpv audit query --summary calls --key web >calls
row() {
    tap_is "calls: $1" "$(grep -E -c "^web +$1 " calls)" 1
}
row '1 +user +[0-9]+ +pkcs11-tool +KeySign +ok +2'
row '1 +alice +[0-9]+ +pkcs11-tool +KeySign +ok +1'
row '2 +alice +[0-9]+ +pkcs11-tool +KeySign +ok +2'
row '2 +alice +[0-9]+ +pkcs11-tool +KeySign +CKR_KEY_FUNCTION_NOT_PERMITTED +1'
row '2 +user +[0-9]+ +reprieve +KeyDisable +ok +1'
tap_is 'the newest version first' "$(sed -n 's/^web *\([0-9]\) .*/\1/p' calls | uniq | tr -d '\n')" 21
rpv audit query --summary last-use --key web >uses
tap_is 'last use: by key, version and caller' "$(grep -c '^web' uses)" 3
tap_is 'of alice, three of the newest' "$(grep -E -c '^web +2 +alice +[0-9]+ +pkcs11-tool +3 ' uses)" 1
tap_ok 'by caller: hers alone' silent ' user ' rpv audit query --summary calls --caller alice
tap_ok 'since tomorrow: none' says 'No events' rpv audit query --summary calls --since 2999-01-01
hers() {
    REPRIEVE_PIN=first-pin rpv --user alice audit query --operation KeySign
}
tap_fails 'not by her name: she lacks the verb' hers
rpv user grant alice audit >/dev/null
REPRIEVE_PIN=first-pin tap_ok 'by her name, with the labels she may see' says 'KeySign .* web ' \
    rpv --user alice audit query --operation KeySign

# ---------------------------------------------------------------- export

# a label that CEF and JSON must not take for their own
user --keygen --key-type AES:16 --label "$(printf 'a|b=c\\d\nCEF:0|e\377')" --id 30 >/dev/null
rpv audit export --format cef >events.cef
rpv audit export >events.jsonl
tap_is 'an event a line, in CEF' "$(grep -c '^CEF:0|Reprieve|reprieve|' events.cef)" "$(grep -c . events.jsonl)"
tap_is 'and no line more' "$(grep -c '' events.cef)" "$(grep -c . events.jsonl)"
tap_ok 'a separator is escaped' grep -q -F 'cs2=a|b\=c\\d\\x0aCEF:0|e\\xff cs3Label' events.cef
if command -v python3 >/dev/null; then
    cat >cef.py <<'PY'
import json, re
events = {e["seq"]: e for e in map(json.loads, open("events.jsonl", encoding="utf-8"))}
for line in open("events.cef", encoding="utf-8"):
    head = re.split(r"(?<!\\)\|", line.rstrip("\n"), maxsplit=7)
    assert head[:3] == ["CEF:0", "Reprieve", "reprieve"] and 0 <= int(head[6]) <= 10, line
    pairs = re.findall(r"(\w+)=((?:\\.|[^\\=])*?)(?= \w+=|$)", head[7])
    assert " ".join("%s=%s" % p for p in pairs) == head[7], line
    got = {k: re.sub(r"\\(.)", r"\1", v) for k, v in pairs}
    e = events.pop(int(got["externalId"]))
    for key, want in {"suser": e["identity"]["principal"], "suid": str(e["identity"]["uid"]),
                      "sproc": e["identity"]["executable"], "cs1": e["id"], "cs2": e["label"],
                      "cs4": e["hash"], "reason": e["resultSignature"], "cnt": str(e["count"]),
                      "msg": e["resultDescription"], "cn2": str(e["version"]),
                      "outcome": e["resultType"].lower()}.items():
        assert got.get(key, "") == want, (key, got.get(key), want)
    assert head[4] == head[5] == e["operationName"], line
assert not events
PY
    tap_ok 'CEF says what JSON says' python3 cef.py
fi
tap_ok 'JSON lines have the names of a cloud vault' \
    grep -q '"operationName":"KeySign","resultType":"Success","resultSignature":"ok"' events.jsonl
if command -v python3 >/dev/null; then
    tap_ok 'and each line is JSON' python3 -c \
        'import json, sys; [json.loads(line) for line in open("events.jsonl")]'
fi
tap_ok 'CEF' says '^CEF:0|Reprieve|reprieve|.*|KeySign|KeySign|3|' rpv audit export --format cef
tap_ok 'a format that is none: 2' status_of 2 audit export --format xml

# ---------------------------------------------------------------- follow, watch

rpv --json audit follow --limit 1 >followed &
follower=$!
sleep 1
user --delete-object --type pubkey --label web >/dev/null
wait "$follower"
tap_ok 'follow shows what happens' grep -q KeyDelete followed
tap_ok 'watch: a delete' says 'warning: delete: KeyDelete' rpv watch --once
for _ in 1 2 3; do REPRIEVE_PIN=999999 rpv --vault clients list >/dev/null 2>&1; done
rpv --json watch --once --exec 'cat >>reaction' >alerts
tap_ok 'watch: failed logins' grep -q '"alert":"login-failures"' alerts
tap_is 'a reaction to each' "$(grep -c . reaction)" "$(grep -c . alerts)"
rpv watch --once --rules "$SRCDIR/conf/alerts.conf" >shipped
rpv watch --once >builtin
tap_ok 'the shipped rules are the built-in ones' same builtin shipped
printf '[delete]\nenabled = no\n' >rules
tap_ok 'a rule switched off' silent 'KeyDelete' rpv watch --once --rules rules
printf '[delete]\nlevel = loud\n' >rules
tap_ok 'a rule that cannot be: 1' status_of 1 watch --once --rules rules
printf '[near]\npurge_within = 100d\n' >rules
tap_ok 'watch: a purge to come' says 'will be purged' rpv watch --once --rules rules
tap_ok 'the chain is intact' says 'intact' rpv audit verify

tap_done
