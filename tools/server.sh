# shellcheck shell=bash
# Sourced after packages.sh: builds the extension and the companion programs, and makes a PostgreSQL
# that is ours alone: a copy of the installed server with the extension in it, in a directory of its
# own. So nothing is installed into the server that others use, several checkouts can be tested at
# the same time, and no cluster that exists is touched.
#
# make_work_dir sets work_dir, server_dir and server_config (the pg_config of the copy), which
# install_private fills.

jobs() { nproc; }

# The extension, in the checkout, as a user would: objects of another PostgreSQL are thrown away.
build_extension() {
    local stamp=$root_dir/build/pg_version version
    version=$("$pg_config" --version)
    mkdir -p "$root_dir/build"
    if [[ -e $stamp && $(<"$stamp") != "$version" ]]; then
        make -C "$root_dir" PG_CONFIG="$pg_config" clean >/dev/null
    fi
    echo "$version" >"$stamp"
    note "make (output: build/log/make.log)"
    quietly "$root_dir/build/log/make.log" \
        make -C "$root_dir" -j"$(jobs)" PG_CONFIG="$pg_config"
}

# build_native PRESET [target ...]: what CMake builds, in build/PRESET.
build_native() {
    local preset=$1
    shift
    note "cmake --preset $preset, ${*:-all} (output: build/log/$preset.log)"
    quietly "$root_dir/build/log/$preset.log" build_native_now "$preset" "$@"
}

build_native_now() {
    local preset=$1
    shift
    cd "$root_dir" && cmake --preset "$preset" && without_random_addresses \
        cmake --build "build/$preset" -j "$(jobs)" ${1:+--target "$@"}
}

# The thread sanitizer of older compilers wants its shadow memory where randomization may put
# something else. Where that cannot be switched off, the program runs as it is.
without_random_addresses() {
    if setarch -R true 2>/dev/null; then setarch -R "$@"; else "$@"; fi
}

make_work_dir() {
    work_dir=$(mktemp -d /var/tmp/anomaly.XXXXXX)
    chmod 755 "$work_dir"
    if [[ $EUID -eq 0 ]]; then chown "$runner:" "$work_dir"; fi
    server_dir=$work_dir/server
    server_config=$server_dir$("$pg_config" --bindir)/pg_config
}

# A server finds its own files relative to its programs: a copy with the same paths below another
# root is complete.
install_private() {
    local part
    for part in --bindir --pkglibdir --sharedir; do
        part=$("$pg_config" "$part")
        mkdir -p "$server_dir$part"
        cp -a "$part/." "$server_dir$part"
    done
    quietly "$root_dir/build/log/install.log" \
        make -C "$root_dir" PG_CONFIG="$server_config" install
}

# start_cluster NAME [setting ...]: a cluster in work_dir/NAME that only listens on a Unix socket in
# work_dir/NAME.socket, which nobody else may enter.
start_cluster() {
    local data=$work_dir/$1 socket=$work_dir/$1.socket bin setting
    shift
    bin=$("$server_config" --bindir)
    as_runner mkdir -m 700 "$socket"
    as_runner "$bin/initdb" -D "$data" -U "$runner" --auth=trust --encoding=UTF8 --locale=C.UTF-8 \
        --no-sync >"$data.initdb.log"
    {
        echo "listen_addresses = ''"
        echo "unix_socket_directories = '$socket'"
        echo "shared_preload_libraries = 'anomaly'"
        for setting in "$@"; do echo "$setting"; done
    } | as_runner tee -a "$data/postgresql.conf" >/dev/null
    as_runner "$bin/pg_ctl" -D "$data" -l "$data.log" -w start >/dev/null || {
        tail -n 20 "$data.log" >&2
        return 1
    }
}

stop_cluster() {
    as_runner "$("$server_config" --bindir)/pg_ctl" -D "$work_dir/$1" -m immediate -w stop \
        >/dev/null 2>&1 || true
}
