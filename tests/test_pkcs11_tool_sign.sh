#!/bin/sh
# pkcs11-tool: signatures and MACs, each made by the token and verified by openssl and the token,
# then made by openssl and verified by the token; a changed message never verifies.
set -u
SRCDIR=${SRCDIR:-$(dirname "$0")/..}
. "$SRCDIR/tests/tap-lib.sh"
. "$SRCDIR/tests/client-lib.sh"
client_init
client_token >/dev/null 2>&1

# import ID FILE: both halves of a key that openssl made, and FILE.pub
import() {
    openssl pkey -in "$2" -pubout -out "$2.pub"
    user --write-object "$2" --type privkey --id "$1" --usage-sign --usage-decrypt &&
        user --write-object "$2.pub" --type pubkey --id "$1" --usage-sign --usage-decrypt
}

printf 'a message to sign\n' >short
printf 'b message to sign\n' >other
openssl rand -out long 5000

# verdict of the token on FILE.sig
token_verifies() {
    verified=$1
    shift
    says 'Signature is valid' user --verify --input-file "$verified" --signature-file sig "$@"
}
token_refuses() {
    verified=$1
    shift
    says 'Invalid signature' user --verify --input-file "$verified" --signature-file sig "$@"
}

# --- RSA

openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa 2>/dev/null
tap_ok 'import an RSA key' import 01 rsa

for digest in sha1 sha224 sha256 sha384 sha512 sha3-224 sha3-256 sha3-384 sha3-512; do
    name=$(echo "$digest" | tr a-z A-Z)
    for mechanism in "$name-RSA-PKCS" "$name-RSA-PKCS-PSS"; do
        if ! has "$mechanism"; then
            tap_skip "$mechanism" 'the token does not list it'
            continue
        fi
        case $mechanism in
            *PSS) set -- -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest ;;
            *) set -- ;;
        esac
        for data in short long; do
            rm -f sig
            tap_ok "$mechanism signs, $data" \
                user --sign -m "$mechanism" --id 01 --input-file "$data" --output-file sig
            tap_ok "$mechanism: openssl verifies, $data" \
                openssl dgst "-$digest" "$@" -verify rsa.pub -signature sig "$data"
        done
        openssl dgst "-$digest" "$@" -sign rsa -out sig short
        tap_ok "$mechanism verifies" token_verifies short -m "$mechanism" --id 01
        tap_ok "$mechanism refuses" token_refuses other -m "$mechanism" --id 01
    done
done

# the caller's own DigestInfo, or anything that fits
openssl dgst -sha256 -binary -out hash short
{ unhex 3031300d060960864801650304020105000420; cat hash; } >info
tap_ok 'RSA-PKCS signs a DigestInfo' \
    user --sign -m RSA-PKCS --id 01 --input-file info --output-file sig
tap_ok 'RSA-PKCS: openssl verifies it' openssl dgst -sha256 -verify rsa.pub -signature sig short
tap_ok 'RSA-PKCS verifies' token_verifies info -m RSA-PKCS --id 01
tap_ok 'RSA-PKCS refuses' token_refuses hash -m RSA-PKCS --id 01
tap_ok 'RSA-PKCS signs any bytes' \
    user --sign -m RSA-PKCS --id 01 --input-file short --output-file sig
tap_ok 'RSA-PKCS: openssl verifies them' \
    openssl pkeyutl -verify -pubin -inkey rsa.pub -in short -sigfile sig
tap_fails 'RSA-PKCS: too long' \
    user --sign -m RSA-PKCS --id 01 --input-file long --output-file sig

{ printf '\0'; openssl rand 255; } >block
tap_ok 'RSA-X-509 signs' user --sign -m RSA-X-509 --id 01 --input-file block --output-file sig
openssl pkeyutl -verifyrecover -pubin -inkey rsa.pub -pkeyopt rsa_padding_mode:none \
    -in sig -out recovered
tap_ok 'RSA-X-509: openssl recovers it' same block recovered
tap_ok 'RSA-X-509 verifies' token_verifies block -m RSA-X-509 --id 01

# hash, MGF's hash and salt told apart: digest, its name, MGF, salt
cat >pss <<'PSS'
sha256 SHA256 sha256 32
sha1 SHA-1 sha1 20
sha256 SHA256 sha1 32
sha256 SHA256 sha512 0
sha384 SHA384 sha384 -1
sha512 SHA512 sha256 17
sha224 SHA224 sha224 -2
sha3-256 SHA3-256 sha3-256 32
sha3-512 SHA3-512 sha3-224 1
PSS
on_reprieve || sed -i 1q pss # SoftHSM2 wants one hash for both, and has no SHA-3
while read -r digest hash mgf_digest salt; do
    openssl dgst "-$digest" -binary -out hash short
    case $salt in
        -1) wanted=digest ;;
        -2) wanted=max ;;
        *) wanted=$salt ;;
    esac
    set -- -m RSA-PKCS-PSS --id 01 --hash-algorithm "$hash" --salt-len "$salt" \
        --mgf "MGF1-$(echo "$mgf_digest" | tr a-z- A-Z_)"
    what="PSS $hash, MGF1-$mgf_digest, salt $salt"
    tap_ok "$what signs" user --sign --input-file hash --output-file sig "$@"
    tap_ok "$what: openssl verifies" \
        openssl pkeyutl -verify -pubin -inkey rsa.pub -in hash -sigfile sig \
        -pkeyopt "digest:$digest" -pkeyopt rsa_padding_mode:pss \
        -pkeyopt "rsa_pss_saltlen:$wanted" -pkeyopt "rsa_mgf1_md:$mgf_digest"
    openssl pkeyutl -sign -inkey rsa -in hash -out sig \
        -pkeyopt "digest:$digest" -pkeyopt rsa_padding_mode:pss \
        -pkeyopt "rsa_pss_saltlen:$wanted" -pkeyopt "rsa_mgf1_md:$mgf_digest"
    if [ "$salt" != -2 ]; then # which pkcs11-tool turns into OpenSC's "find out" for --verify
        tap_ok "$what verifies" token_verifies hash "$@"
    fi
done <pss
openssl dgst -sha256 -binary -out hash short
tap_fails 'PSS: a salt that does not fit' user --sign -m RSA-PKCS-PSS --id 01 \
    --hash-algorithm SHA256 --salt-len 250 --input-file hash --output-file sig
tap_ok 'SHA256-RSA-PKCS-PSS with a salt of its own' \
    user --sign -m SHA256-RSA-PKCS-PSS --id 01 --salt-len 10 --input-file short --output-file sig
tap_ok 'openssl verifies it' openssl dgst -sha256 -sigopt rsa_padding_mode:pss \
    -sigopt rsa_pss_saltlen:10 -verify rsa.pub -signature sig short
tap_ok 'another salt length is refused' \
    token_refuses short -m SHA256-RSA-PKCS-PSS --id 01 --salt-len 11

user --write-object rsa --type privkey --id 02 --always-auth --usage-sign >/dev/null 2>&1
tap_ok 'a key that asks for the PIN each time' \
    user --sign -m SHA256-RSA-PKCS --id 02 --input-file short --output-file sig
tap_ok 'openssl verifies it' openssl dgst -sha256 -verify rsa.pub -signature sig short

# --- ECDSA

id=10
for curve in prime256v1 secp384r1 secp521r1 secp256k1 brainpoolP256r1 brainpoolP320r1 \
    brainpoolP384r1 brainpoolP512r1; do
    id=$((id + 1))
    openssl genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:$curve" -out "$curve" 2>/dev/null
    tap_ok "import a key on $curve" import "$id" "$curve"
    for format in openssl sequence; do
        tap_ok "ECDSA on $curve signs, $format" user --sign -m ECDSA --id "$id" \
            --signature-format "$format" --input-file hash --output-file sig
        tap_ok "ECDSA on $curve: openssl verifies, $format" \
            openssl pkeyutl -verify -pubin -inkey "$curve.pub" -in hash -sigfile sig
        tap_ok "ECDSA on $curve verifies, $format" \
            token_verifies hash -m ECDSA --id "$id" --signature-format "$format"
    done
    user --sign -m ECDSA --id "$id" --signature-format rs --input-file hash --output-file sig \
        >/dev/null 2>&1
    tap_ok "ECDSA on $curve verifies, rs" \
        token_verifies hash -m ECDSA --id "$id" --signature-format rs
    tap_ok "ECDSA on $curve refuses" \
        token_refuses info -m ECDSA --id "$id" --signature-format rs
    openssl pkeyutl -sign -inkey "$curve" -in hash -out sig
    tap_ok "ECDSA on $curve verifies what openssl signed" \
        token_verifies hash -m ECDSA --id "$id" --signature-format openssl
done

for digest in sha1 sha224 sha256 sha384 sha512 sha3-224 sha3-256 sha3-384 sha3-512; do
    mechanism=ECDSA-$(echo "$digest" | tr a-z A-Z)
    if ! has "$mechanism"; then
        tap_skip "$mechanism" 'the token does not list it'
        continue
    fi
    for data in short long; do
        tap_ok "$mechanism signs, $data" user --sign -m "$mechanism" --id 13 \
            --signature-format openssl --input-file "$data" --output-file sig
        tap_ok "$mechanism: openssl verifies, $data" \
            openssl dgst "-$digest" -verify secp521r1.pub -signature sig "$data"
        tap_ok "$mechanism verifies, $data" \
            token_verifies "$data" -m "$mechanism" --id 13 --signature-format openssl
    done
    tap_ok "$mechanism refuses" \
        token_refuses short -m "$mechanism" --id 13 --signature-format openssl
done

# --- EdDSA: pkcs11-tool writes no such private key, so the token makes one

if has EDDSA; then
    user --keypairgen --key-type EC:edwards25519 --id 30 >/dev/null 2>&1
    user --read-object --type pubkey --id 30 --output-file ed.pub >/dev/null 2>&1
    tap_ok 'EDDSA signs' user --sign -m EDDSA --id 30 --input-file short --output-file sig
    tap_ok 'EDDSA: openssl verifies' \
        openssl pkeyutl -verify -pubin -inkey ed.pub -rawin -in short -sigfile sig
    tap_ok 'EDDSA verifies' token_verifies short -m EDDSA --id 30
    tap_ok 'EDDSA refuses' token_refuses other -m EDDSA --id 30
else
    tap_skip EDDSA 'the token does not list it'
fi

# --- HMAC

if on_reprieve; then secret_len=20; else secret_len=64; fi # SoftHSM2: at least the digest
openssl rand -out secret "$secret_len"
hexkey=$(hex secret)
user --write-object secret --type secrkey --id 40 --usage-sign >/dev/null 2>&1
for digest in sha1 sha224 sha256 sha384 sha512 sha3-224 sha3-256 sha3-384 sha3-512; do
    mechanism=$(echo "$digest" | tr a-z A-Z)-HMAC
    [ "$digest" != sha1 ] || mechanism=SHA-1-HMAC
    if ! has "$mechanism"; then
        tap_skip "$mechanism" 'the token does not list it'
        continue
    fi
    for data in short long; do
        tap_ok "$mechanism signs, $data" \
            user --sign -m "$mechanism" --id 40 --input-file "$data" --output-file sig
        openssl dgst "-$digest" -mac HMAC -macopt "hexkey:$hexkey" -binary -out want "$data"
        tap_ok "$mechanism: openssl has the same, $data" same want sig
        tap_ok "$mechanism verifies, $data" token_verifies "$data" -m "$mechanism" --id 40
    done
    tap_ok "$mechanism refuses" token_refuses short -m "$mechanism" --id 40
done

# --- refusals

tap_fails 'no such key' user --sign -m ECDSA --id 99 --input-file hash --output-file sig
on_reprieve && tap_ok 'a mechanism for another type of key' says CKR_KEY_TYPE_INCONSISTENT \
    user --sign -m ECDSA --id 01 --input-file hash --output-file sig
tap_fails 'no signature before login' tool --sign -m ECDSA --id 11 --input-file hash \
    --output-file sig </dev/null

tap_done
