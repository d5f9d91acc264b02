# shellcheck shell=sh
# Sourced by ./check and ./quickstart from the top of the source tree.
#
#   setup_packages       installs the Debian packages that are missing, in one apt-get install
#   setup_build [ARG...] configures in build/ (with ARGs, the first time) and builds
#   setup_jobs           prints how many jobs to run at once

# package, then why
setup_list='
gcc            compiles the module and the command
make           runs the build
autoconf       makes ./configure
automake       makes the Makefile
pkg-config     tells configure where the libraries are
libssl-dev     OpenSSL: all cryptography
openssl        checks results with plain OpenSSL, makes keys to import
liblmdb-dev    LMDB: the store
libinih-dev    reads reprieve.conf
libjansson-dev writes --json
scdoc          makes the manual pages
libcmocka-dev  runs the unit tests
faketime       gives tests a second process whose clocks lie
libc6-dev      C library headers
g++            checks that the public headers suit C++
opensc         pkcs11-tool, the program the tests and the tour use
p11-kit        shows the module through p11-kit
p11-kit-modules the client of a remote token and the proxy, tested with the module behind
gnutls-bin     p11tool and certtool, tested as clients
openssh-client ssh-keygen and ssh-agent, tested as clients
libengine-pkcs11-openssl the openssl command on the module, tested as a client
libnss3-tools  certutil and modutil: what Firefox and Chromium do, tested as clients
softhsm2       the module that tests and make bench compare with
valgrind       runs the tests once more for memory errors
xz-utils       packs the source archive
'
# for ./check --sanitize
setup_list_variants='
clang          compiles everything once more, for its warnings
'

setup_missing() {
    printf '%s' "$setup_list" | while read -r package why; do
        [ -n "$package" ] || continue
        status=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null) || status=
        case $status in
            ii*) ;;
            *) echo "$package" ;;
        esac
    done
}

setup_reason() {
    printf '%s' "$setup_list" | awk -v package="$1" '
        $1 == package { $1 = ""; sub(/^ +/, ""); print }'
}

setup_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "Not root, and no sudo. As root: $*" >&2
        return 1
    fi
}

setup_packages() {
    if ! command -v dpkg-query >/dev/null; then
        echo 'Not a Debian system: the packages are taken to be there.'
        return 0
    fi
    setup_wanted=$(setup_missing | tr '\n' ' ')
    [ -n "$setup_wanted" ] || return 0

    echo 'These Debian packages are missing:'
    for setup_package in $setup_wanted; do
        printf '  %-14s  %s\n' "$setup_package" "$(setup_reason "$setup_package")"
    done
    # shellcheck disable=SC2086  # the names are words
    if ! apt-get install --dry-run $setup_wanted >/dev/null 2>&1; then
        setup_root apt-get update || return 1
    fi
    echo "+ apt-get install -y --no-install-recommends $setup_wanted"
    # shellcheck disable=SC2086
    setup_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends $setup_wanted
}

setup_jobs() {
    nproc 2>/dev/null || echo 1
}

setup_build() {
    if [ ! -x configure ] || [ configure.ac -nt configure ] || [ ! -f Makefile.in ]; then
        ./autogen.sh || return 1
    fi
    mkdir -p build
    if [ ! -f build/config.status ]; then
        (cd build && ../configure -q "$@") || return 1
    fi
    make -s -C build -j"$(setup_jobs)"
}
