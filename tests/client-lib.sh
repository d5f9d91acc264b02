# shellcheck shell=sh
# Sourced by test scripts after tap-lib.sh: a throw-away store and pkcs11-tool on it.
#
#   client_init           the module and an empty store; ends the script, skipped, without either
#   client_conf LINE      adds a line to the configuration
#   client_token [LABEL]  makes a token with both PINs
#   tool ARG...           pkcs11-tool on the module; on failure the module's trace follows
#   user ARG...           the same, logged in as the user
#   officer ARG...        the same, logged in as the SO
#   export_public ID FILE the public key with this id, by pkcs11-tool
#   says TEXT COMMAND...  succeeds when the command's output holds the text (a basic regular
#                         expression), whatever its status
#   silent TEXT COMMAND.. succeeds when the command succeeds and its output does not hold the text
#   same FILE FILE        compares
#   on_reprieve           is it Reprieve that is tested?
#   has MECHANISM         may it be tested? (on SoftHSM2: is it listed?)
#   hex FILE, unhex TEXT  bytes to hexadecimal and back
#
# As with tests/harness.h, HARNESS_TOKEN=softhsm runs the same script on SoftHSM2, as a second
# opinion on the script.

so_pin=12345678
user_pin=123456
client_label=clients

on_reprieve() {
    [ "${HARNESS_TOKEN:-reprieve}" = reprieve ]
}

client_conf() {
    echo "$1" >>"$client_conf_file"
}

client_init() {
    command -v pkcs11-tool >/dev/null || tap_skip_all 'no pkcs11-tool (Debian: opensc)'
    client_conf_file=$tap_dir/conf
    if on_reprieve; then
        module=${REPRIEVE_MODULE:-${BUILDDIR:-.}/reprieve-pkcs11.so}
        REPRIEVE_CONF=$client_conf_file
        REPRIEVE_TRACE=$tap_dir/trace
        export REPRIEVE_CONF REPRIEVE_TRACE
        client_conf "store = $tap_dir/store"
        client_conf 'scrypt_log_n = 10'
    else
        module=${SOFTHSM2_MODULE:-/usr/lib/softhsm/libsofthsm2.so}
        SOFTHSM2_CONF=$client_conf_file
        export SOFTHSM2_CONF
        mkdir "$tap_dir/tokens"
        client_conf "directories.tokendir = $tap_dir/tokens"
        client_conf 'log.level = ERROR'
    fi
    [ -f "$module" ] || tap_skip_all "no module: $module"
    cd "$tap_dir" || exit 1
}

traced() {
    if on_reprieve; then : >"$REPRIEVE_TRACE"; fi
    traced_status=0
    tap_host timeout 120 "$@" || traced_status=$?
    if [ "$traced_status" -ne 0 ] && on_reprieve; then
        sed -n '/CKR_OK$/!s/^/trace: /p' "$REPRIEVE_TRACE" >&2
    fi
    return "$traced_status"
}

tool() {
    traced pkcs11-tool --module "$module" "$@"
}

user() {
    tool --token-label "$client_label" --login --pin "$user_pin" "$@"
}

officer() {
    tool --token-label "$client_label" --login --login-type so --so-pin "$so_pin" "$@"
}

# pkcs11-tool 0.23 makes it of memory that it has just freed, which fails now and then.
export_public() {
    for export_try in 1 2 3; do
        user --read-object --type pubkey --id "$1" --output-file "$2" && return
    done
}

client_token() {
    client_label=${1:-$client_label}
    tool --slot-index 0 --init-token --label "$client_label" --so-pin "$so_pin" &&
        officer --init-pin --new-pin "$user_pin"
}

says() {
    says_text=$1
    shift
    "$@" >"$tap_dir/says" 2>&1
    cat "$tap_dir/says"
    grep -q -e "$says_text" "$tap_dir/says"
}

silent() {
    silent_text=$1
    shift
    "$@" >"$tap_dir/says" 2>&1
    silent_status=$?
    cat "$tap_dir/says"
    [ "$silent_status" -eq 0 ] && ! grep -q -e "$silent_text" "$tap_dir/says"
}

same() {
    cmp "$1" "$2"
}

# has MECHANISM: does the token list it? On Reprieve a missing one must show as a failed test.
has() {
    on_reprieve && return
    [ -f mechanisms ] || tool --list-mechanisms >mechanisms 2>/dev/null
    grep -q "^  $1\(,\|\$\)" mechanisms
}

hex() {
    od -An -v -tx1 "$1" | tr -d ' \n'
}

unhex() {
    for unhex_byte in $(printf '%s' "$1" | sed 's/../& /g'); do
        printf "\\$(printf '%03o' "0x$unhex_byte")"
    done
}
