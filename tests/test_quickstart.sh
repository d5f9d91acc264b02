# The tour, on what is built here; and that it names the step where something differs.
. "$SRCDIR/tests/tap-lib.sh"
command -v pkcs11-tool >/dev/null || tap_skip_all 'no pkcs11-tool (Debian: opensc)'
[ -f "$REPRIEVE_MODULE" ] || tap_skip_all "no module: $REPRIEVE_MODULE"

mkdir "$tap_dir/built" "$tap_dir/bin"
ln -s "$REPRIEVE_MODULE" "$tap_dir/built/reprieve-pkcs11.so"
ln -s "$REPRIEVE_CLI" "$tap_dir/built/reprieve"

# In a sanitizer build pkcs11-tool must load the runtime first.
tool=$(command -v pkcs11-tool)
{
    echo '#!/bin/sh'
    if [ -n "${REPRIEVE_PRELOAD-}" ]; then
        echo "export LD_PRELOAD='$REPRIEVE_PRELOAD'"
        echo 'export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0"'
    fi
    echo "exec '$tool' \"\$@\""
} >"$tap_dir/bin/pkcs11-tool"
chmod +x "$tap_dir/bin/pkcs11-tool"
PATH=$tap_dir/bin:$PATH

tour() {
    timeout 300 "$SRCDIR/quickstart" --built "$tap_dir/built"
}

tap_ok 'the tour ends well' tour
if [ -n "${REPRIEVE_VARIANT-}" ]; then   # the rest only repeats
    tap_done
    exit
fi
tap_ok 'and well again' tour
tap_is 'it removed the plain data key' "$(ls "$tap_dir/built/demo" | grep -c data-key.bin)" 0

# a pkcs11-tool that cannot unwrap
{
    echo '#!/bin/sh'
    echo 'case "$*" in *--unwrap*) exit 1 ;; esac'
    echo "exec '$tap_dir/bin/pkcs11-tool' \"\$@\""
} >"$tap_dir/built/broken"
mkdir "$tap_dir/bin2"
mv "$tap_dir/built/broken" "$tap_dir/bin2/pkcs11-tool"
chmod +x "$tap_dir/bin2/pkcs11-tool"
PATH=$tap_dir/bin2:$PATH
tap_fails 'a step that goes wrong fails the tour' tour
tour >"$tap_dir/out" 2>&1
tap_is 'and is named' "$(grep -c 'FAILED in step 3: envelope encryption' "$tap_dir/out")" 1

tap_done
