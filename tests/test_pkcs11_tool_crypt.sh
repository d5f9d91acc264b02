#!/bin/sh
# pkcs11-tool: digests, ciphers, key wrapping and derivation, each result checked by openssl.
set -u
SRCDIR=${SRCDIR:-$(dirname "$0")/..}
. "$SRCDIR/tests/tap-lib.sh"
. "$SRCDIR/tests/client-lib.sh"
client_init
client_token >/dev/null 2>&1

printf 'a short message' >short
openssl rand -out long 5008
: >empty
iv=000102030405060708090a0b0c0d0e0f

# --- digests

for digest in sha1 sha224 sha256 sha384 sha512 sha3-224 sha3-256 sha3-384 sha3-512; do
    mechanism=$(echo "$digest" | tr a-z A-Z)
    [ "$digest" != sha1 ] || mechanism=SHA-1
    if ! has "$mechanism"; then
        tap_skip "$mechanism" 'the token does not list it'
        continue
    fi
    for data in empty short long; do
        tap_ok "$mechanism, $data" \
            tool --hash -m "$mechanism" --input-file "$data" --output-file out
        openssl dgst "-$digest" -binary -out want "$data"
        tap_ok "$mechanism: openssl has the same, $data" same want out
    done
done
tap_ok 'the digest listed first' tool --hash --input-file short --output-file out

# --- AES

for bits in 128 192 256; do
    openssl rand -out "aes$bits" $((bits / 8))
    tap_ok "write an AES-$bits key" user --write-object "aes$bits" --type secrkey \
        --key-type "AES:$((bits / 8))" --id "0$bits" --extractable
    # pkcs11-tool's name, openssl's, its options
    while read -r mechanism mode padding; do
        key=$(hex "aes$bits")
        case $mechanism in
            AES-ECB) set -- ;;
            *) set -- --iv "$iv" ;;
        esac
        for data in short long; do
            # what needs whole blocks gets whole blocks
            case $padding/$data in
                -nopad/short) head -c 16 long >in ;;
                */short) cp short in ;;
                *) cp long in ;;
            esac
            case $mechanism in
                AES-ECB) openssl enc "-aes-$bits-$mode" -K "$key" "$padding" -in in -out want ;;
                *) openssl enc "-aes-$bits-$mode" -K "$key" -iv "$iv" \
                    $([ "$padding" = - ] || echo "$padding") -in in -out want ;;
            esac
            tap_ok "$mechanism $bits encrypts, $data" user --encrypt -m "$mechanism" \
                --id "0$bits" "$@" --input-file in --output-file out
            tap_ok "$mechanism $bits: openssl has the same, $data" same want out
            tap_ok "$mechanism $bits decrypts, $data" user --decrypt -m "$mechanism" \
                --id "0$bits" "$@" --input-file want --output-file out
            tap_ok "$mechanism $bits: what it was, $data" same in out
        done
    done <<'MODES'
AES-ECB ecb -nopad
AES-CBC cbc -nopad
AES-CBC-PAD cbc -
MODES
done
tap_fails 'AES-ECB: no whole blocks' \
    user --encrypt -m AES-ECB --id 0128 --input-file short --output-file out
tap_fails 'AES-CBC without IV' \
    user --encrypt -m AES-CBC --id 0128 --input-file long --output-file out
tap_ok 'AES-CBC-PAD of nothing' user --encrypt -m AES-CBC-PAD --id 0128 --iv "$iv" \
    --input-file empty --output-file out
openssl enc -aes-128-cbc -K "$(hex aes128)" -iv "$iv" -in empty -out want
tap_ok 'it is one block of padding' same want out

# --- RSA: pkcs11-tool decrypts only

openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa 2>/dev/null
openssl pkey -in rsa -pubout -out rsa.pub
user --write-object rsa --type privkey --id 01 --usage-decrypt >/dev/null 2>&1
openssl pkeyutl -encrypt -pubin -inkey rsa.pub -in short -out sealed
tap_ok 'RSA-PKCS decrypts' \
    user --decrypt -m RSA-PKCS --id 01 --input-file sealed --output-file out
tap_ok 'it is the same' same short out
{ printf '\0'; openssl rand 255; } >block
openssl pkeyutl -encrypt -pubin -inkey rsa.pub -pkeyopt rsa_padding_mode:none -in block \
    -out sealed
tap_ok 'RSA-X-509 decrypts' \
    user --decrypt -m RSA-X-509 --id 01 --input-file sealed --output-file out
tap_ok 'it is the same' same block out
if on_reprieve; then
    # bad padding is never an error: the result is a pseudo-random message, always the same
    tap_ok 'RSA-PKCS: bad padding is no error' \
        user --decrypt -m RSA-PKCS --id 01 --input-file sealed --output-file out
    tap_ok 'RSA-PKCS: nor the second time' \
        user --decrypt -m RSA-PKCS --id 01 --input-file sealed --output-file out2
    tap_ok 'RSA-PKCS: with the same result' same out out2
fi

# hash, MGF's hash
cat >oaep <<'OAEP'
sha1 sha1
sha224 sha224
sha256 sha256
sha384 sha384
sha512 sha512
sha256 sha1
sha1 sha256
sha512 sha384
sha3-256 sha3-256
sha3-512 sha3-224
OAEP
on_reprieve || sed -i 1q oaep # SoftHSM2 has SHA-1 only
while read -r digest mgf_digest; do
    hash=$(echo "$digest" | tr a-z A-Z)
    [ "$digest" != sha1 ] || hash=SHA-1
    mgf=MGF1-$(echo "$mgf_digest" | tr a-z- A-Z_)
    openssl pkeyutl -encrypt -pubin -inkey rsa.pub -pkeyopt rsa_padding_mode:oaep \
        -pkeyopt "rsa_oaep_md:$digest" -pkeyopt "rsa_mgf1_md:$mgf_digest" \
        -in short -out sealed
    tap_ok "OAEP $hash $mgf decrypts" user --decrypt -m RSA-PKCS-OAEP --hash-algorithm "$hash" \
        --mgf "$mgf" --id 01 --input-file sealed --output-file out
    tap_ok "OAEP $hash $mgf: what it was" same short out
done <oaep
openssl pkeyutl -encrypt -pubin -inkey rsa.pub -pkeyopt rsa_padding_mode:oaep -in short \
    -out sealed
tap_fails 'OAEP with another hash' user --decrypt -m RSA-PKCS-OAEP --hash-algorithm SHA512 \
    --id 01 --input-file sealed --output-file out
printf x >>sealed
tap_fails 'OAEP of a wrong length' user --decrypt -m RSA-PKCS-OAEP --hash-algorithm SHA-1 \
    --id 01 --input-file sealed --output-file out
user --write-object rsa --type privkey --id 02 --usage-decrypt --always-auth >/dev/null 2>&1
openssl pkeyutl -encrypt -pubin -inkey rsa.pub -in short -out sealed
tap_ok 'a key that asks for the PIN each time' \
    user --decrypt -m RSA-PKCS --id 02 --input-file sealed --output-file out
tap_ok 'it is the same' same short out

# --- wrapping: a key in the vault with id 71 leaves wrapped, and comes back under another id

openssl rand -out data_key 32
openssl rand -out kek 32
kek=$(hex kek)
user --write-object data_key --type secrkey --key-type AES:32 --id 71 --extractable \
    >/dev/null 2>&1
user --write-object kek --type secrkey --key-type AES:32 --id 72 --usage-wrap --usage-decrypt \
    >/dev/null 2>&1

# unwraps FILE and compares with the data key
came_back() {
    came_file=$1
    shift
    user --unwrap --key-type "AES:${came_length:-}" --application-id 79 --extractable \
        --input-file "$came_file" "$@" || return 1
    came_status=0
    user --read-object --type secrkey --id 79 --output-file out && same data_key out ||
        came_status=1
    user --delete-object --type secrkey --id 79
    return "$came_status"
}

# the same by openssl: its name of the cipher, the initial value
openssl_wrapped() {
    openssl enc "-$1" -K "$kek" -iv "$2" -in data_key -out want 2>/dev/null
}

tap_ok 'AES-KEY-WRAP wraps' \
    user --wrap -m AES-KEY-WRAP --id 72 --application-id 71 --output-file wrapped
tap_is 'AES-KEY-WRAP adds 8 bytes' "$(wc -c <wrapped | tr -d ' ')" 40
if openssl_wrapped id-aes256-wrap A6A6A6A6A6A6A6A6; then
    tap_ok 'AES-KEY-WRAP: openssl has the same' same want wrapped
else
    tap_skip 'AES-KEY-WRAP: openssl has the same' 'this openssl does not wrap'
fi
tap_ok 'AES-KEY-WRAP unwraps' came_back wrapped -m AES-KEY-WRAP --id 72
cp wrapped broken
printf '\377' | dd of=broken bs=1 seek=20 conv=notrunc 2>/dev/null
tap_fails 'AES-KEY-WRAP refuses what was changed' came_back broken -m AES-KEY-WRAP --id 72
head -c 32 wrapped >broken
tap_fails 'AES-KEY-WRAP refuses what was cut' came_back broken -m AES-KEY-WRAP --id 72

# 0x210a is AES-KEY-WRAP-PAD and 0x210b AES-KEY-WRAP-KWP, which pkcs11-tool has no names for
for mechanism in 0x210a 0x210b; do
    if on_reprieve; then
        tap_ok "wrap $mechanism" \
            user --wrap -m "$mechanism" --id 72 --application-id 71 --output-file wrapped
        tap_ok "unwrap $mechanism" came_back wrapped -m "$mechanism" --id 72
        case $mechanism in
            0x210b) pad=id-aes256-wrap-pad alternative=A65959A6 ;;
            *) continue ;;
        esac
        if openssl_wrapped "$pad" "$alternative"; then
            tap_ok "$mechanism: openssl has the same" same want wrapped
        else
            tap_skip "$mechanism: openssl has the same" 'this openssl does not wrap'
        fi
    else
        tap_skip "wrap and unwrap $mechanism" 'SoftHSM2 has 0x210a only'
    fi
done

for mechanism in AES-CBC AES-CBC-PAD; do
    if ! on_reprieve; then
        tap_skip "$mechanism wraps" 'SoftHSM2 does not wrap with it'
        continue
    fi
    case $mechanism in
        *PAD) nopad= came_length= ;;
        *) nopad=-nopad came_length=32 ;;
    esac
    tap_ok "$mechanism wraps" user --wrap -m "$mechanism" --iv "$iv" --id 72 \
        --application-id 71 --output-file wrapped
    # shellcheck disable=SC2086  # perhaps nothing
    openssl enc -aes-256-cbc -K "$kek" -iv "$iv" $nopad -in data_key -out want
    tap_ok "$mechanism: openssl has the same" same want wrapped
    tap_ok "$mechanism unwraps" came_back wrapped -m "$mechanism" --iv "$iv" --id 72
done
came_length=

# the private half must be found by the same id, so only one class of key has it
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out wrapper 2>/dev/null
user --keypairgen --key-type rsa:2048 --id 73 --usage-wrap --usage-decrypt >/dev/null 2>&1
user --read-object --type pubkey --id 73 --output-file wrapper.der >/dev/null 2>&1
openssl pkey -pubin -inform DER -in wrapper.der -out wrapper.pub
tap_ok 'RSA-PKCS wraps' \
    user --wrap -m RSA-PKCS --id 73 --application-id 71 --output-file wrapped
tap_ok 'RSA-PKCS: the token decrypts it' \
    user --decrypt -m RSA-PKCS --id 73 --input-file wrapped --output-file out
tap_ok 'RSA-PKCS: it is the data key' same data_key out
openssl pkeyutl -encrypt -pubin -inkey wrapper.pub -in data_key -out wrapped
tap_ok 'RSA-PKCS unwraps what openssl wrapped' came_back wrapped -m RSA-PKCS --id 73
# pkcs11-tool sends no OAEP parameters, without which the mechanism is none
tap_fails 'RSA-PKCS-OAEP without parameters is refused' \
    user --wrap -m RSA-PKCS-OAEP --id 73 --application-id 71 --output-file wrapped
on_reprieve && tap_ok 'as CKR_MECHANISM_PARAM_INVALID' says CKR_MECHANISM_PARAM_INVALID \
    user --wrap -m RSA-PKCS-OAEP --id 73 --application-id 71 --output-file wrapped

user --keygen --key-type AES:32 --id 74 >/dev/null 2>&1
tap_ok 'a key that is not extractable is not wrapped' says CKR_KEY_UNEXTRACTABLE \
    user --wrap -m AES-KEY-WRAP --id 72 --application-id 74 --output-file wrapped
user --keygen --key-type AES:32 --id 75 --usage-decrypt >/dev/null 2>&1
on_reprieve && tap_ok 'a key without wrap does not wrap' says CKR_KEY_FUNCTION_NOT_PERMITTED \
    user --wrap -m AES-KEY-WRAP --id 75 --application-id 71 --output-file wrapped

# --- deleted and used

user --wrap -m AES-KEY-WRAP --id 72 --application-id 71 --output-file wrapped >/dev/null 2>&1
tap_ok 'delete the wrapping key' user --delete-object --type secrkey --id 72
tap_fails 'it unwraps no more' came_back wrapped -m AES-KEY-WRAP --id 72
tap_ok 'it is not listed' silent 'ID: *72$' user --list-objects

# --- derivation, with a peer that openssl has

id=80
for curve in prime256v1 secp384r1 secp521r1 secp256k1 brainpoolP256r1 brainpoolP512r1; do
    id=$((id + 1))
    for name in mine peer; do
        openssl genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:$curve" -out "$name" 2>/dev/null
    done
    openssl pkey -in peer -pubout -outform DER -out peer.der
    user --write-object mine --type privkey --id "$id" --usage-derive >/dev/null 2>&1
    openssl pkey -in peer -pubout -out peer.pub
    openssl pkeyutl -derive -inkey mine -peerkey peer.pub -out want
    for mechanism in ECDH1-DERIVE ECDH1-COFACTOR-DERIVE; do
        if ! has "$mechanism"; then
            tap_skip "$mechanism on $curve" 'the token does not list it'
            continue
        fi
        tap_ok "$mechanism on $curve" user --derive -m "$mechanism" --id "$id" \
            --input-file peer.der --output-file out
        tap_ok "$mechanism on $curve: openssl has the same" same want out
    done
    if on_reprieve; then
        tap_ok "the peer's point in DER, on $curve" user --derive-pass-der -m ECDH1-DERIVE \
            --id "$id" --input-file peer.der --output-file out
        tap_ok "openssl has the same, on $curve" same want out
    fi
done
user --keypairgen --key-type EC:prime256v1 --id 90 --usage-derive >/dev/null 2>&1
export_public 90 mine.der >/dev/null 2>&1
openssl pkey -pubin -inform DER -in mine.der -out mine.pub
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out peer 2>/dev/null
openssl pkey -in peer -pubout -outform DER -out peer.der
openssl pkeyutl -derive -inkey peer -peerkey mine.pub -out want
tap_ok 'derive with a key made in the token' user --derive -m ECDH1-DERIVE --id 90 \
    --input-file peer.der --output-file out
tap_ok 'openssl has the same' same want out
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp384r1 -out peer 2>/dev/null
openssl pkey -in peer -pubout -outform DER -out peer.der
tap_fails 'a peer on another curve' user --derive -m ECDH1-DERIVE --id 90 \
    --input-file peer.der --output-file out

tap_done
