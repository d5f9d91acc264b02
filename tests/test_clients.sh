#!/bin/sh
# Real programs: GnuTLS, OpenSSH, OpenSSL's engine, NSS, Java, p11-kit. Each is skipped when it is
# not there; what it makes is checked by plain openssl.
set -u
SRCDIR=${SRCDIR:-$(dirname "$0")/..}
. "$SRCDIR/tests/tap-lib.sh"
. "$SRCDIR/tests/client-lib.sh"
client_init
client_token >/dev/null 2>&1
libdir=/usr/lib/$(${CC:-gcc} -print-multiarch 2>/dev/null)

# present NAME PACKAGE FILE...: is the program there? Counts one skip when not.
present() {
    present_name=$1 present_package=$2
    shift 2
    for present_file; do
        if ! command -v "$present_file" >/dev/null && ! [ -e "$present_file" ]; then
            tap_skip "$present_name" "no $present_file (Debian: $present_package)"
            return 1
        fi
    done
}

# unpreloaded NAME: with a sanitizer's runtime put first in them, programs that link p11-kit hang at
# their end, in freelocale, and its client reads past the list of mechanisms; with any module
unpreloaded() {
    [ -z "${REPRIEVE_PRELOAD-}" ] && return
    tap_skip "$1" 'p11-kit and a sanitizer do not go together'
    return 1
}

printf 'a message\n' >message
printf '%s\n' "$user_pin" >pin
openssl req -x509 -newkey rsa:2048 -nodes -keyout rsa.pem -out rsa.crt -days 2 \
    -subj /CN=imported 2>/dev/null
openssl pkey -in rsa.pem -pubout -out rsa.pub
token="pkcs11:token=$client_label"

# self_signed FILE: its signature verifies with its own key
self_signed() {
    openssl verify -CAfile "$1" -check_ss_sig "$1"
}

# subject FILE NAME
subject() {
    says "CN *= *$2" openssl x509 -in "$1" -noout -subject
}

# --- GnuTLS

p11() {
    traced env GNUTLS_PIN="$user_pin" GNUTLS_SO_PIN="$so_pin" \
        p11tool --provider "$module" --batch "$@"
}

if unpreloaded GnuTLS && present GnuTLS gnutls-bin p11tool certtool; then
    tap_ok 'p11tool lists the token' says "token=$client_label" p11 --list-tokens
    tap_ok 'p11tool lists mechanisms' says CKM_RSA_PKCS p11 --list-mechanisms "$token"
    tap_ok 'p11tool generates RSA' p11 --login --generate-privkey=rsa --bits 2048 \
        --label gnutls-rsa --id 0101 --outfile p11-rsa.pub "$token"
    tap_ok 'openssl reads it' openssl pkey -pubin -in p11-rsa.pub -noout
    tap_ok 'p11tool generates ECDSA' p11 --login --generate-privkey=ecdsa --curve secp256r1 \
        --label gnutls-ec --id 0102 --outfile p11-ec.pub "$token"
    tap_ok 'openssl reads it' openssl pkey -pubin -in p11-ec.pub -noout
    tap_ok 'p11tool tests RSA' p11 --login --test-sign "$token;object=gnutls-rsa"
    tap_ok 'p11tool tests RSA-PSS' \
        p11 --login --test-sign --sign-params=rsa-pss --hash SHA256 "$token;object=gnutls-rsa"
    tap_ok 'p11tool tests ECDSA' p11 --login --test-sign "$token;object=gnutls-ec"
    tap_ok 'p11tool imports a private key' p11 --login --write --load-privkey rsa.pem \
        --label gnutls-in --id 0104 "$token"
    tap_ok 'p11tool tests it' p11 --login --test-sign --load-pubkey rsa.pub \
        "$token;object=gnutls-in;type=private"
    tap_ok 'p11tool imports a certificate' p11 --login --write --load-certificate rsa.crt \
        --label gnutls-in --id 0104 "$token"
    tap_ok 'p11tool exports it' p11 --export "$token;object=gnutls-in;type=cert" \
        --outfile out.crt
    tap_is 'it is the same' "$(openssl x509 -in out.crt -noout -fingerprint)" \
        "$(openssl x509 -in rsa.crt -noout -fingerprint)"
    tap_ok 'p11tool exports a public key' \
        p11 --login --export-pubkey "$token;object=gnutls-rsa" --outfile out.pub
    tap_ok 'it is the same' same p11-rsa.pub out.pub
    tap_ok 'p11tool lists all' says gnutls-rsa p11 --login --list-all "$token"
    tap_ok 'p11tool lists private keys' says 'type=private' p11 --login --list-privkeys "$token"
    tap_ok 'p11tool lists certificates' says gnutls-in p11 --list-all-certs "$token"
    tap_ok 'p11tool sets a label' p11 --login --set-label renamed \
        "$token;object=gnutls-in;type=cert"
    tap_ok 'the new label' says 'Label: renamed' p11 --list-all-certs "$token"
    tap_ok 'p11tool sets an id' p11 --login --set-id 0199 "$token;object=renamed;type=cert"
    tap_ok 'p11tool writes a secret key' p11 --login --write \
        --secret-key 000102030405060708090a0b0c0d0e0f --label gnutls-secret "$token"
    tap_ok 'p11tool generates random' p11 --generate-random 32 "$token"

    cat >template <<'TEMPLATE'
cn = gnutls
expiration_days = 2
signing_key
TEMPLATE
    for kind in rsa ec; do
        tap_ok "certtool signs a certificate with $kind" \
            traced env GNUTLS_PIN="$user_pin" certtool --provider "$module" \
            --generate-self-signed --template template \
            --load-privkey "$token;object=gnutls-$kind;type=private" \
            --load-pubkey "p11-$kind.pub" --outfile "gnutls-$kind.crt"
        tap_ok "openssl verifies it, $kind" self_signed "gnutls-$kind.crt"
    done
    # GnuTLS 3.7 asks for such a key pair by CKM_EDDSA, which makes none
    user --keypairgen --key-type EC:edwards25519 --id 0103 --label gnutls-ed >/dev/null 2>&1
    user --read-object --type pubkey --id 0103 --output-file p11-ed.pub >/dev/null 2>&1
    tap_ok 'certtool signs a certificate with Ed25519' \
        traced env GNUTLS_PIN="$user_pin" certtool --provider "$module" \
        --generate-self-signed --template template \
        --load-privkey "$token;object=gnutls-ed;type=private" --load-pubkey p11-ed.pub \
        --outfile gnutls-ed.crt
    tap_ok 'openssl verifies it, Ed25519' self_signed gnutls-ed.crt
    # libp11 0.4 gives up on a token that has one
    p11 --login --delete "$token;object=gnutls-ed" >/dev/null 2>&1
    tap_ok 'p11tool deletes' p11 --login --delete "$token;object=gnutls-ec;type=private"
    tap_ok 'it is listed no more' silent gnutls-ec p11 --login --list-privkeys "$token"
fi

# --- OpenSSH

user --write-object rsa.pem --type privkey --id 0201 --label ssh --usage-sign >/dev/null 2>&1
user --write-object rsa.pub --type pubkey --id 0201 --label ssh --usage-sign >/dev/null 2>&1
if present ssh-keygen openssh-client ssh-keygen; then
    ssh-keygen -i -m PKCS8 -f rsa.pub >ssh.pub
    tap_ok 'ssh-keygen lists the public keys' says "$(cut -d' ' -f2 ssh.pub)" \
        traced ssh-keygen -D "$module" -e
fi
# the agent is set-group-id, so a sanitizer's runtime cannot be put first in it
if [ -n "${REPRIEVE_PRELOAD-}" ]; then
    tap_skip ssh-agent 'no sanitizer in a set-group-id program'
elif present ssh-agent openssh-client ssh-agent ssh-add ssh-keygen; then
    printf '#!/bin/sh\necho %s\n' "$user_pin" >askpass
    chmod +x askpass
    ssh-agent -P "$(realpath "$module")" -a "$tap_dir/agent" >agent.env
    SSH_AUTH_SOCK=$tap_dir/agent
    SSH_AGENT_PID=$(sed -n 's/^SSH_AGENT_PID=\([0-9]*\);.*/\1/p' agent.env)
    export SSH_AUTH_SOCK SSH_AGENT_PID
    tap_ok 'ssh-add loads the module into the agent' \
        env DISPLAY=:0 SSH_ASKPASS="$tap_dir/askpass" SSH_ASKPASS_REQUIRE=force \
        timeout 60 ssh-add -s "$module"
    tap_ok 'ssh-add lists the key' says "$(cut -d' ' -f2 ssh.pub)" timeout 60 ssh-add -L
    tap_ok 'the agent signs' timeout 60 ssh-keygen -Y sign -f ssh.pub -n file message
    printf 'me %s\n' "$(cat ssh.pub)" >signers
    verify_ssh() {
        ssh-keygen -Y verify -f signers -I me -n file -s message.sig <message
    }
    tap_ok 'ssh-keygen verifies' verify_ssh
    tap_ok 'ssh-add takes the module out' timeout 60 ssh-add -e "$module"
    kill "$SSH_AGENT_PID"
fi

# --- OpenSSL's engine

user --keypairgen --key-type rsa:2048 --id 0301 --label engine-rsa >/dev/null 2>&1
user --keypairgen --key-type EC:prime256v1 --id 0302 --label engine-ec >/dev/null 2>&1
user --read-object --type pubkey --id 0301 --output-file engine-rsa.der >/dev/null 2>&1
openssl pkey -pubin -inform DER -in engine-rsa.der -out engine-rsa.pub 2>/dev/null
engine() {
    traced env PKCS11_MODULE_PATH="$module" openssl "$@"
}
if present 'the pkcs11 engine' libengine-pkcs11-openssl "$libdir/engines-3/pkcs11.so"; then
    for kind in rsa ec; do
        key="$token;object=engine-$kind;type=private;pin-value=$user_pin"
        tap_ok "openssl req signs a certificate, $kind" \
            engine req -x509 -new -engine pkcs11 -keyform engine -key "$key" -subj /CN=engine \
            -days 2 -out "engine-$kind.crt"
        tap_ok "openssl verifies it, $kind" self_signed "engine-$kind.crt"
        tap_ok "openssl req makes a request, $kind" \
            engine req -new -engine pkcs11 -keyform engine -key "$key" -subj /CN=engine \
            -out "engine-$kind.csr"
        tap_ok "its signature verifies, $kind" \
            openssl req -in "engine-$kind.csr" -noout -verify
        tap_ok "openssl dgst signs, $kind" engine dgst -sha256 -engine pkcs11 \
            -keyform engine -sign "$key" -out sig message
        openssl x509 -in "engine-$kind.crt" -noout -pubkey >engine.pub
        tap_ok "openssl dgst verifies, $kind" \
            openssl dgst -sha256 -verify engine.pub -signature sig message
    done
    key="$token;object=engine-rsa;type=private;pin-value=$user_pin"
    tap_ok 'openssl dgst signs with PSS' engine dgst -sha256 -engine pkcs11 -keyform engine \
        -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 -sign "$key" -out sig message
    tap_ok 'it verifies' openssl dgst -sha256 -sigopt rsa_padding_mode:pss \
        -verify engine-rsa.pub -signature sig message
    openssl pkeyutl -encrypt -pubin -inkey engine-rsa.pub -in message -out sealed
    tap_ok 'openssl pkeyutl decrypts' engine pkeyutl -decrypt -engine pkcs11 \
        -keyform engine -inkey "$key" -in sealed -out opened
    tap_ok 'it is the message' same message opened
fi

# --- NSS

nss() {
    traced "$@"
}
if present NSS libnss3-tools modutil certutil; then
    mkdir nssdb
    certutil -N -d sql:nssdb --empty-password >/dev/null 2>&1
    tap_ok 'modutil adds the module' \
        nss modutil -dbdir sql:nssdb -add Tested -libfile "$module" -force
    tap_ok 'modutil lists the token' says "$client_label" \
        nss modutil -dbdir sql:nssdb -list Tested -force
    head -c 64 /dev/urandom >noise
    for kind in 'rsa -g 2048' 'ec -q nistp256'; do
        name=${kind%% *}
        # shellcheck disable=SC2086  # words
        tap_ok "certutil makes a certificate, $name" \
            nss certutil -S -x -d sql:nssdb -h "$client_label" -f pin -z noise -k $kind \
            -n "nss-$name" -s "CN=nss-$name" -t ,, -v 2
        tap_ok "certutil lists its key, $name" says "nss-$name" \
            nss certutil -K -d sql:nssdb -h "$client_label" -f pin
        nss certutil -L -a -d sql:nssdb -h "$client_label" -f pin -n "$client_label:nss-$name" \
            >"nss-$name.crt" 2>/dev/null
        tap_ok "openssl verifies it, $name" self_signed "nss-$name.crt"
    done
    tap_ok 'certutil signs a request' nss certutil -R -d sql:nssdb -h "$client_label" -f pin \
        -z noise -k ec -q nistp384 -s CN=request -a -o nss.csr
    tap_ok 'openssl verifies it' openssl req -in nss.csr -noout -verify
    tap_ok 'certutil deletes key and certificate' \
        nss certutil -F -d sql:nssdb -h "$client_label" -f pin -n "$client_label:nss-rsa"
    tap_ok 'it is gone' silent nss-rsa nss certutil -K -d sql:nssdb -h "$client_label" -f pin
fi

# --- Java

java_tool() {
    traced keytool -J-Xshare:auto -J-XX:TieredStopAtLevel=1 -keystore NONE -storetype PKCS11 \
        -storepass "$user_pin" -providerClass sun.security.pkcs11.SunPKCS11 \
        -providerArg java.cfg "$@"
}
if present Java default-jre-headless keytool; then
    slot=$(tool --list-token-slots 2>/dev/null | sed -n 's/^Slot 0 (\(0x[0-9a-f]*\)).*/\1/p')
    printf 'name = Tested\nlibrary = %s\nslot = %d\n' "$module" "$slot" >java.cfg
    for kind in 'RSA -keysize 2048' 'EC -groupname secp256r1'; do
        name=java-${kind%% *}
        # shellcheck disable=SC2086  # words
        tap_ok "keytool makes a key pair, $name" java_tool -genkeypair -alias "$name" \
            -keyalg $kind -dname "CN=$name" -validity 2
        tap_ok "keytool exports its certificate, $name" \
            java_tool -exportcert -rfc -alias "$name" -file "$name.crt"
        tap_ok "openssl verifies it, $name" self_signed "$name.crt"
        tap_ok "keytool makes a request, $name" \
            java_tool -certreq -alias "$name" -file "$name.csr"
        tap_ok "openssl verifies the request, $name" \
            openssl req -in "$name.csr" -noout -verify
    done
    tap_ok 'keytool makes an AES key' java_tool -genseckey -alias java-aes -keyalg AES -keysize 256
    tap_ok 'keytool lists them' says java-RSA java_tool -list
    tap_ok 'keytool deletes' java_tool -delete -alias java-RSA
    tap_ok 'it is gone' silent java-RSA java_tool -list
fi

# --- p11-kit

# p11-kit heeds no user's configuration in a program of root: there all of this runs as nobody
plain=$tap_dir/plain
mkdir "$plain"
as_plain() {
    set -- env HOME="$plain" XDG_CONFIG_HOME="$plain" XDG_RUNTIME_DIR="$plain" "$@"
    if [ "$(id -u)" -eq 0 ]; then
        traced setpriv --reuid nobody --regid nogroup --clear-groups "$@"
    else
        traced "$@"
    fi
}
plain_token() {
    as_plain pkcs11-tool --module "$module" --slot-index 0 --init-token --label plain \
        --so-pin "$so_pin" &&
        as_plain pkcs11-tool --module "$module" --token-label plain --login --login-type so \
            --so-pin "$so_pin" --init-pin --new-pin "$user_pin" &&
        as_plain pkcs11-tool --module "$module" --token-label plain --login \
            --pin "$user_pin" --keypairgen --key-type rsa:2048 --id 01
}
plain_files() {
    # shellcheck disable=SC2154  # client-lib.sh sets them
    sed "s|$tap_dir/|$plain/|" "$client_conf_file" >"$plain/conf"
    mkdir -p "$plain/pkcs11/modules" "$plain/tokens"
    echo "module: $module" >"$plain/pkcs11/modules/tested.module"
    echo 'user-config: only' >"$plain/pkcs11/pkcs11.conf"
    if [ "$(id -u)" -eq 0 ]; then
        chmod 711 "$tap_dir"
        chown -R nobody:nogroup "$plain"
    fi
}
proxy=$libdir/p11-kit-proxy.so
if unpreloaded p11-kit && present p11-kit 'p11-kit, util-linux' p11-kit setpriv "$proxy"; then
    plain_files
    plain_kept="${REPRIEVE_CONF-} ${REPRIEVE_TRACE-} ${SOFTHSM2_CONF-}"
    if on_reprieve; then
        REPRIEVE_CONF=$plain/conf REPRIEVE_TRACE=$plain/trace
    else
        SOFTHSM2_CONF=$plain/conf
    fi
    if as_plain test -r "$module"; then
        tap_ok 'a vault of a user who is not root' plain_token
        tap_ok 'p11-kit lists the module' says '^tested:' as_plain p11-kit list-modules
        tap_ok 'p11-kit lists the token' says 'token: plain' as_plain p11-kit list-modules
        if command -v p11tool >/dev/null; then
            tap_ok 'p11tool finds it through p11-kit' \
                says 'token=plain' as_plain p11tool --list-tokens
        fi
        tap_ok 'the proxy has the token' says plain \
            as_plain pkcs11-tool --module "$proxy" --list-token-slots
        tap_ok 'the proxy signs' as_plain pkcs11-tool --module "$proxy" --token-label plain \
            --login --pin "$user_pin" --sign -m SHA256-RSA-PKCS --id 01 \
            --input-file message --output-file "$plain/sig"
        as_plain pkcs11-tool --module "$proxy" --token-label plain --read-object --type pubkey \
            --id 01 --output-file "$plain/pub" >/dev/null 2>&1
        openssl pkey -pubin -inform DER -in "$plain/pub" -out plain.pub
        tap_ok 'openssl verifies it' \
            openssl dgst -sha256 -verify plain.pub -signature "$plain/sig" message
        if on_reprieve && present systemd-cryptenroll systemd systemd-cryptenroll; then
            tap_ok 'systemd-cryptenroll meets no slot it stumbles over' \
                as_plain systemd-cryptenroll --pkcs11-token-uri=list
        fi
    else
        tap_skip 'p11-kit with a user' "nobody cannot read $module"
    fi
    # shellcheck disable=SC2086  # words; an empty one is missing
    set -- $plain_kept
    if on_reprieve; then REPRIEVE_CONF=$1 REPRIEVE_TRACE=$2; else SOFTHSM2_CONF=$1; fi
fi

# a server, and programs that reach the module through its socket
remote=$libdir/pkcs11/p11-kit-client.so
if unpreloaded remoting && present remoting 'p11-kit, p11-kit-modules' p11-kit "$remote" \
    /usr/libexec/p11-kit/p11-kit-server; then
    traced p11-kit server --sh --provider "$module" --name "$tap_dir/socket" "$token" \
        >server.env 2>server.log
    P11_KIT_SERVER_ADDRESS=unix:path=$tap_dir/socket
    export P11_KIT_SERVER_ADDRESS
    server=$(sed -n 's/^P11_KIT_SERVER_PID=\([0-9]*\);.*/\1/p' server.env)
    through() {
        traced pkcs11-tool --module "$remote" --login --pin "$user_pin" "$@"
    }
    tap_ok 'remote: list' says 'label: *ssh' through --list-objects
    tap_ok 'remote: sign' through --sign -m SHA256-RSA-PKCS --id 0201 --input-file message \
        --output-file sig
    tap_ok 'openssl verifies it' openssl dgst -sha256 -verify rsa.pub -signature sig message
    tap_ok 'remote: generate' says 'Key pair generated' \
        through --keypairgen --key-type EC:prime256v1 --id 0401 --label remote
    tap_ok 'remote: delete' through --delete-object --type privkey --id 0401
    tap_ok 'remote: gone' silent '0401' through --list-objects --type privkey
    if on_reprieve; then
        governor=${BUILDDIR:-.}/tests/remote_governor
        tap_ok 'remote: list deleted objects and recover one, by vendor attributes' \
            traced "$governor" "$remote"
    fi
    [ -z "$server" ] || kill "$server"
fi

tap_done
