#!/bin/sh
# pkcs11-tool: objects made, written, read, listed, changed and deleted.
set -u
SRCDIR=${SRCDIR:-$(dirname "$0")/..}
. "$SRCDIR/tests/tap-lib.sh"
. "$SRCDIR/tests/client-lib.sh"
client_init
client_token >/dev/null 2>&1

# field TYPE ID FIELD: of one object, from the list, as --list-objects heeds no id
field() {
    user --list-objects --type "$1" 2>/dev/null | awk -v id="$2" -v field="$3:" '
        /Object/ { here = 0; value = "" }
        { line = $0 }
        sub("^ *" field " *", "", line) { if (here) print line; else value = line }
        $1 == "ID:" { here = $2 == id; if (here && value != "") print value }'
}

# pkcs11-tool 0.23 cannot read a public key on a curve of 384 bits; the list has it in hexadecimal
listed_key() {
    point=$(field pubkey "$1" EC_POINT)
    cat >listed.conf <<CONF
asn1 = SEQUENCE:key
[key]
algorithm = SEQUENCE:algorithm
point = FORMAT:HEX,BITSTRING:${point#04??}
[algorithm]
id = OID:id-ecPublicKey
curve = OID:$2
CONF
    openssl asn1parse -genconf listed.conf -noout -out read.pub &&
        openssl pkey -pubin -inform DER -in read.pub -out read.pem
}

# public_key ID [CURVE]: the public key with this id, as openssl reads it
public_key() {
    rm -f read.pub read.pem
    case ${2-} in
        *384*) listed_key "$1" "$2"; return ;;
    esac
    export_public "$1" read.pub >/dev/null &&
        { openssl pkey -pubin -inform DER -in read.pub -out read.pem 2>/dev/null ||
            openssl pkey -pubin -in read.pub -out read.pem; }
}

public_key_says() {
    public_key "$1" "${2#ASN1 OID: }" &&
        openssl pkey -pubin -in read.pem -noout -text | tee text | grep -q "$2"
    says_status=$?
    cat text
    return "$says_status"
}

same_public_key() {
    public_key "$1" "${3-}" && openssl pkey -in "$2" -pubout -out want.pem && same read.pem want.pem
}

# --- key pairs

for bits in 2048 3072; do
    tap_ok "generate RSA-$bits" says 'Key pair generated' \
        user --keypairgen --key-type "rsa:$bits" --id "$bits" --label "rsa $bits"
    tap_ok "openssl reads RSA-$bits" public_key_says "$bits" "Public-Key: ($bits bit)"
done
on_reprieve && tap_ok 'an RSA key below the floor' says CKR_ATTRIBUTE_VALUE_INVALID \
    user --keypairgen --key-type rsa:1024 --id 99

# id, curve for pkcs11-tool, name that openssl shows; the others pkcs11-tool knows must be refused
while read -r id curve name; do
    tap_ok "generate $curve" says 'Key pair generated' \
        user --keypairgen --key-type "EC:$curve" --id "$id" --label "ec $curve"
    tap_ok "openssl reads $curve" public_key_says "$id" "ASN1 OID: $name"
done <<'CURVES'
a001 prime256v1 prime256v1
a002 secp256r1 prime256v1
a003 ansiX9p256r1 prime256v1
a004 secp384r1 secp384r1
a005 prime384v1 secp384r1
a006 secp521r1 secp521r1
a007 nistp521 secp521r1
a008 secp256k1 secp256k1
a009 brainpoolP256r1 brainpoolP256r1
a00a brainpoolP320r1 brainpoolP320r1
a00b brainpoolP384r1 brainpoolP384r1
a00c brainpoolP512r1 brainpoolP512r1
CURVES
tap_ok 'generate a curve by OID' \
    user --keypairgen --key-type EC:1.2.840.10045.3.1.7 --id a00d
if on_reprieve; then
    for curve in secp192r1 prime192v2 prime192v3 secp224r1 frp256v1 brainpoolP192r1 \
        brainpoolP224r1 secp192k1; do
        tap_ok "no $curve: CKR_CURVE_NOT_SUPPORTED" says '0x140' \
            user --keypairgen --key-type "EC:$curve" --id a0ff
    done
    tap_ok 'a refused pair leaves nothing' silent 'ID: *a0ff' user --list-objects
fi
tap_ok 'generate Ed25519' says EC_EDWARDS \
    user --keypairgen --key-type EC:edwards25519 --id a101 --label ed25519
tap_ok 'openssl reads Ed25519' public_key_says a101 'ED25519 Public-Key'

# pkcs11-tool prints the point, but does not write this kind of public key
x25519_readable() {
    point=$(field pubkey a102 EC_POINT)
    unhex "302a300506032b656e032100${point#0420}" >x25519.der &&
        openssl pkey -pubin -inform DER -in x25519.der -noout -text
}
if on_reprieve; then
    tap_ok 'generate X25519' says EC_MONTGOMERY \
        user --keypairgen --key-type EC:curve25519 --id a102 --label x25519 --usage-derive
    tap_ok 'openssl reads X25519' says X25519 x25519_readable
else
    tap_skip 'X25519' 'SoftHSM2 has none'
fi

# --- secret keys

for bytes in 16 24 32; do
    tap_ok "generate AES-$bytes" says "AES length $bytes" \
        user --keygen --key-type "AES:$bytes" --id "b0$bytes" --label "aes $bytes" --extractable
    tap_ok "read AES-$bytes" \
        user --read-object --type secrkey --id "b0$bytes" --output-file key
    tap_is "AES-$bytes is $bytes bytes" "$(wc -c <key | tr -d ' ')" "$bytes"
done
tap_fails 'AES of 20 bytes' user --keygen --key-type AES:20 --id b099
tap_ok 'generate a generic secret' says 'Generic secret length 48' \
    user --keygen --key-type GENERIC:48 --id b100 --label generic --extractable
tap_ok 'read it' user --read-object --type secrkey --id b100 --output-file key
tap_is 'it is 48 bytes' "$(wc -c <key | tr -d ' ')" 48
tap_ok 'a sensitive key' says 'Access: .*sensitive, always sensitive, never extractable, local' \
    user --keygen --key-type AES:32 --id b101 --label sensitive --sensitive --private
tap_fails 'is not read' user --read-object --type secrkey --id b101 --output-file key
tap_ok 'a private object is not listed before login' silent 'ID: *b101' tool --list-objects
tap_ok 'a public one is' says 'ID: *b100' tool --list-objects

# --- usage and other flags

# usage TYPE ID WITH WITHOUT: a template that is silent about sign and decrypt gets them
usage() {
    got=$(field "$1" "$2" Usage)
    echo "usage: $got"
    for word in $3; do
        case ", $got," in *", $word,"*) ;; *) return 1 ;; esac
    done
    on_reprieve || return 0 # SoftHSM2 gives every usage
    for word in $4; do
        case ", $got," in *", $word,"*) return 1 ;; esac
    done
}
while read -r id type what asked with without; do
    [ "$asked" = none ] && asked= || asked=--usage-$asked
    case $what in
        secrkey) kind=--keygen ;;
        *) kind=--keypairgen ;;
    esac
    if [ "$type" != - ]; then
        # shellcheck disable=SC2086  # perhaps no option
        user $kind --key-type "$type" --id "$id" $asked >/dev/null 2>&1
    fi
    tap_ok "usage ${asked:-by default}: $what has $with" \
        usage "$what" "$id" "$(echo "$with" | tr , ' ')" "$(echo "$without" | tr , ' ')"
done <<'USAGES'
c001 rsa:2048 privkey sign sign unwrap,derive
c001 - pubkey sign verify wrap,derive
c002 rsa:2048 privkey decrypt decrypt unwrap,derive
c002 - pubkey decrypt encrypt wrap,derive
c003 rsa:2048 privkey wrap unwrap decrypt,derive
c003 - pubkey wrap wrap derive
c004 EC:prime256v1 privkey derive derive unwrap,decrypt
c005 AES:32 secrkey wrap wrap,unwrap encrypt,decrypt
c006 AES:32 secrkey none encrypt,decrypt wrap,unwrap
c007 GENERIC:32 secrkey sign verify wrap,unwrap
USAGES
user --keygen --key-type AES:32 --id c010 --usage-decrypt --usage-wrap >/dev/null 2>&1
tap_ok 'usage decrypt and wrap, as asked' \
    usage secrkey c010 'encrypt decrypt wrap unwrap' ''
tap_is 'a private key is sensitive and local' "$(field privkey c001 Access)" \
    'sensitive, always sensitive, never extractable, local'
user --keypairgen --key-type EC:prime256v1 --id c008 --extractable >/dev/null 2>&1
tap_is 'an extractable one' "$(field privkey c008 Access)" \
    'sensitive, always sensitive, extractable, local'
user --keypairgen --key-type EC:prime256v1 --id c009 --always-auth >/dev/null 2>&1
tap_is 'one that asks for the PIN each time' "$(field privkey c009 Access)" \
    'always authenticate, sensitive, always sensitive, never extractable, local'
user --keypairgen --key-type EC:prime256v1 --id c00a --private >/dev/null 2>&1
tap_ok 'a private public key is hidden before login' silent 'ID: *c00a' \
    tool --list-objects --type pubkey
tap_ok 'and shown after' says 'ID: *c00a' user --list-objects --type pubkey
printf 'some data' >data
tap_ok 'allowed mechanisms' says 'Allowed mechanisms: RSA-PKCS,SHA256-RSA-PKCS$' \
    user --keypairgen --key-type rsa:2048 --id c00b \
    --allowed-mechanisms RSA-PKCS,SHA256-RSA-PKCS
tap_ok 'an allowed mechanism' \
    user --sign -m SHA256-RSA-PKCS --id c00b --input-file data --output-file sig
tap_fails 'one that is not' \
    user --sign -m SHA384-RSA-PKCS --id c00b --input-file data --output-file sig
tap_ok 'without them the attribute is absent' silent 'Allowed mechanisms' \
    user --keypairgen --key-type EC:prime256v1 --id c00c
if on_reprieve; then
    tap_ok 'objects have a unique id' says 'Unique ID:' user --list-objects --type privkey
fi

# --- writing

openssl req -x509 -newkey rsa:2048 -nodes -keyout rsa.pem -out cert.pem -days 2 \
    -subj '/C=DE/O=Reprieve/CN=client' -set_serial 4711 2>/dev/null
openssl x509 -in cert.pem -outform DER -out cert.der
openssl pkey -in rsa.pem -outform DER -out rsa.der
openssl rsa -in rsa.pem -traditional -out rsa-traditional.pem 2>/dev/null
openssl pkey -in rsa.pem -pubout -out rsa.pub
openssl pkey -pubin -in rsa.pub -outform DER -out rsa.pub.der
openssl rand -out key16 16
openssl rand -out key32 32
openssl rand -out blob 3000

tap_ok 'write data' says "Created Data Object" \
    user --write-object blob --type data --label blob --application-label backup \
    --application-id 1.2.3.4
tap_ok 'its attributes' says "application: *'backup'" tool --list-objects --type data
tap_ok 'its object id' says 'app_id: *1\.2\.3\.4' tool --list-objects --type data
tap_ok 'read data by label' \
    tool --read-object --type data --label blob --output-file out
tap_ok 'it is the same' same blob out
tap_ok 'read data by application' \
    tool --read-object --type data --application-label backup --output-file out
tap_ok 'read data by object id' \
    tool --read-object --type data --application-id 1.2.3.4 --output-file out
tap_ok 'it is the same again' same blob out
tap_ok 'write private data' user --write-object blob --type data --label secret --private
tap_fails 'it is not read before login' \
    tool --read-object --type data --label secret --output-file out
tap_ok 'it is after' user --read-object --type data --label secret --output-file out
: >empty
tap_ok 'write empty data' user --write-object empty --type data --label empty

tap_ok 'write a certificate, PEM' says 'Created certificate' \
    user --write-object cert.pem --type cert --id d001 --label pem
tap_ok 'write a certificate, DER' says 'Created certificate' \
    user --write-object cert.der --type cert --id d002 --label der
for id in d001 d002; do
    tap_ok "read certificate $id" tool --read-object --type cert --id "$id" --output-file out
    tap_ok "certificate $id is the same" same cert.der out
done
tap_ok 'subject and serial are shown' says 'serial: *1267' tool --list-objects --type cert
# issuer and subject are the same; the issuer is the second SEQUENCE inside the certificate proper
issuer_at=$(openssl asn1parse -in cert.pem |
    awk '$1 ~ /:d=2$/ && /SEQUENCE/ { if (++n == 2) { sub(/:.*/, "", $1); print $1 } }')
[ -n "$issuer_at" ] || { issuer_at=$(openssl asn1parse -in cert.pem |
    awk -F: '/d=2 .*SEQUENCE/ { if (++n == 2) print $1 + 0 }'); }
openssl asn1parse -in cert.pem -strparse "$issuer_at" -noout -out subject.der
subject=$(hex subject.der)
tap_ok 'an undestroyable certificate' \
    user --write-object cert.pem --type cert --id d003 --undestroyable
tap_fails 'is not deleted' user --session-rw --delete-object --type cert --id d003
tap_ok 'and stays' says 'ID: *d003' tool --list-objects --type cert

# id, file, what it is
while read -r id file what; do
    tap_ok "write a private key, $what" says 'Created private key' \
        user --write-object "$file" --type privkey --id "$id" --label "$what" --usage-sign
    tap_ok "write its public half, $what" says 'Created public key' \
        user --write-object rsa.pub --type pubkey --id "$id" --label "$what" --usage-sign
    tap_ok "they fit together, $what" same_public_key "$id" rsa.pem
    user --sign -m SHA256-RSA-PKCS --id "$id" --input-file data --output-file sig \
        >/dev/null 2>&1
    tap_ok "openssl verifies with it, $what" \
        openssl dgst -sha256 -verify rsa.pub -signature sig data
done <<'KEYS'
d101 rsa.pem PKCS#8
d102 rsa.der PKCS#8-DER
d103 rsa-traditional.pem PKCS#1
KEYS
tap_ok 'write a public key, DER' user --write-object rsa.pub.der --type pubkey --id d104
tap_ok 'it is the same' same_public_key d104 rsa.pem
tap_is 'a written private key was not made here' "$(field privkey d101 Access)" sensitive

openssl dgst -sha256 -binary -out hash data
id=0
for curve in prime256v1 secp384r1 secp521r1 secp256k1 brainpoolP256r1; do
    id=$((id + 1))
    openssl ecparam -name "$curve" -genkey -noout -out "ec.pem" 2>/dev/null
    openssl pkey -in ec.pem -out ec8.pem
    openssl pkey -in ec.pem -pubout -out ec.pub
    tap_ok "write a private key on $curve" \
        user --write-object ec8.pem --type privkey --id "d20$id" --usage-sign
    tap_ok "write its public half on $curve" \
        user --write-object ec.pub --type pubkey --id "d20$id" --usage-sign
    tap_ok "the public half is the same on $curve" same_public_key "d20$id" ec.pem "$curve"
    user --sign -m ECDSA --signature-format openssl --id "d20$id" --input-file hash \
        --output-file sig >/dev/null 2>&1
    tap_ok "openssl verifies with it on $curve" \
        openssl pkeyutl -verify -pubin -inkey ec.pub -in hash -sigfile sig
done

tap_ok 'write an AES key' says 'AES length 16' \
    user --write-object key16 --type secrkey --key-type AES:16 --id d301 --extractable
tap_ok 'read it' tool --read-object --type secrkey --id d301 --output-file out
tap_ok 'it is the same' same key16 out
tap_ok 'write a generic secret' says 'Generic secret length 32' \
    user --write-object key32 --type secrkey --id d302 --extractable --private
tap_fails 'a private one is not read before login' \
    tool --read-object --type secrkey --id d302 --output-file out
tap_ok 'it is after' user --read-object --type secrkey --id d302 --output-file out
tap_ok 'it is the same' same key32 out
on_reprieve && tap_fails 'an AES key of a wrong length' \
    user --write-object data --type secrkey --key-type AES:9 --id d303
tap_fails 'nothing is written before login' \
    tool --session-rw --write-object rsa.pem --type privkey --id d304

# --attr-from takes the subject of a key from a certificate
tap_ok 'write a key with its subject from a certificate' \
    user --write-object rsa.pem --type privkey --id d401 --attr-from cert.pem --usage-sign
tap_ok 'the same of a public key' \
    user --write-object rsa.pub --type pubkey --id d401 --attr-from cert.pem
tap_ok 'find it by subject' tool --read-object --type pubkey --id d401 \
    --subject "$subject" --output-file out
tap_ok 'find a certificate by issuer' tool --read-object --type cert --id d001 \
    --issuer "$subject" --output-file out
tap_ok 'it is the same' same cert.der out
tap_fails 'not by another subject' tool --read-object --type pubkey --id d401 \
    --subject 3000 --output-file out

# --- changing and deleting

tap_ok 'set id' says 'ID: *d501' \
    user --session-rw --set-id d501 --type cert --id d002
tap_ok 'found by the new one' tool --read-object --type cert --id d501 --output-file out
tap_fails 'not by the old one' tool --read-object --type cert --id d002 --output-file out
tap_ok 'set id by label' says 'ID: *d502' \
    user --session-rw --set-id d502 --type secrkey --label generic

for what in 'data label blob' 'cert id d501' 'pubkey id d104' 'privkey id d401' \
    'secrkey id d301'; do
    # shellcheck disable=SC2086  # three words
    set -- $what
    tap_ok "delete $1" user --delete-object --type "$1" "--$2" "$3"
    tap_fails "$1 is gone" tool --read-object --type "$1" "--$2" "$3" --output-file out
    tap_ok "a second delete of $1 finds nothing" says 'object not found' \
        user --delete-object --type "$1" "--$2" "$3"
done
tap_fails 'a private object is not deleted before login' \
    tool --session-rw --delete-object --type privkey --id d101

printf 1 >one
printf 2 >two
printf 3 >three
for n in one two three; do
    user --write-object "$n" --type data --label row >/dev/null 2>&1
done
tap_ok 'delete by object index' \
    user --delete-object --type data --label row --object-index 1
tap_is 'the others stay' "$(tool --list-objects --type data 2>/dev/null | grep -c "'row'")" 2
tap_fails 'no such object index' \
    user --delete-object --type data --label row --object-index 2
for type in cert pubkey privkey secrkey data; do
    tap_ok "list $type" says '[Oo]bject' user --list-objects --type "$type"
done

tap_done
