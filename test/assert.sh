#!/usr/bin/env bash
# The tests that need a server, against a PostgreSQL with its assertions on:
# test/assert.sh [PART [FILE ...]], as for test/run.sh; regress and tap when there is no PART.
#
# Builds the PostgreSQL that is installed once more, from the distribution's source package, with
# --enable-cassert (kept in /var/tmp/anomaly-assert for the next time; some minutes), and runs the
# last commit's test/run.sh with it. Not part of the tests, it runs them.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/../tools/common.sh"
source "$root_dir/tools/packages.sh"

cache=${ANOMALY_ASSERT_CACHE:-/var/tmp/anomaly-assert}
jobs=$(nproc)

# apt, with lists of our own: those of the sources that belong to the machine's packages.
apt_source() {
    local program=$1
    shift
    "$program" -q -o Dir::Etc::SourceList="$cache/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$cache/lists" "$@"
}

# The newest source package that the archive still has: an update takes its predecessor away.
# shellcheck disable=SC2016
download_source() {
    local package=postgresql-$pg_major version
    mkdir -p "$cache/lists/partial" "$cache/source"
    apt-get indextargets --format 'deb-src $(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Created-By: Packages' 'Origin: Debian' | sort -u >"$cache/sources.list"
    apt_source apt-get update
    for version in $(apt_source apt-cache showsrc "$package" | sed -n 's/^Version: //p'); do
        if (cd "$cache/source" && apt_source apt-get --download-only source "$package=$version")
        then
            tar -C "$cache/source" -xf "$cache"/source/"$package"_*.orig.tar.*
            return
        fi
    done
    return 1
}

build_server() {
    local source
    source=$(echo "$cache"/source/postgresql-"$pg_major"*/)
    # Releases up to 16 bring what these two would make.
    if [[ ! -e $source/src/backend/parser/gram.c ]]; then apt install -y bison flex; fi
    if [[ ! -e /usr/include/libxml2 ]]; then apt install -y libxml2-dev; fi
    rm -rf "$cache/build" "$server"
    mkdir -p "$cache/build"
    cd "$cache/build"
    "$source/configure" --prefix="$server" --enable-cassert --enable-debug --enable-tap-tests \
        --with-icu --with-libxml --without-readline CFLAGS='-O1 -g'
    make -s -j "$jobs"
    make -s -j "$jobs" -C contrib
    make -s install
    make -s -C contrib install
}

main() {
    local parts=("$@") part
    choose_postgres test
    server=$cache/server-$pg_major
    mkdir -p "$cache"
    if [[ ! -e $server/complete ]]; then
        say "PostgreSQL $pg_major with assertions"
        note "its source (output: $cache/source.log)"
        rm -rf "$cache/source"
        quietly "$cache/source.log" download_source || die "apt has no source of it"
        note "configure and make (output: $cache/build.log)"
        quietly "$cache/build.log" build_server
        touch "$server/complete"
    fi
    note "$("$server/bin/postgres" --version), $("$server/bin/pg_config" --configure)"
    # A tree of its own: objects of one server are of no use to the other.
    mkdir -p "$cache/tree"
    find "$cache/tree" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
    git -C "$root_dir" archive HEAD | tar -C "$cache/tree" -xf -
    export PG_CONFIG=$server/bin/pg_config
    if [[ ${#parts[@]} -gt 0 ]]; then exec "$cache/tree/test/run.sh" "${parts[@]}"; fi
    for part in regress tap; do "$cache/tree/test/run.sh" "$part" || failed=1; done
    [[ -z ${failed-} ]]
}

main "$@"
