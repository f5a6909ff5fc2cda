# shellcheck shell=bash
# Sourced after common.sh: the packages that building, the demo and the tests need, on Debian and
# Ubuntu. need_packages installs what is missing and sets pg_config to the PostgreSQL to build for:
# $PG_CONFIG if set, else the newest one installed, else the one the distribution has.

pg_oldest=15
pg_newest=18

package_installed() {
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

package_known() { [[ -n $(apt-cache show --no-all-versions "$1" 2>/dev/null) ]]; }

apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 "$@" </dev/null; }

# Once a run; without network apt keeps the lists it has, and the install below tells.
apt_update() {
    if [[ -n ${apt_updated-} ]]; then return; fi
    note "apt-get update"
    quietly "$root_dir/build/log/apt-update.log" apt update || true
    apt_updated=1
}

# Prints the major version of PostgreSQL: installed, or to be installed.
postgres_major() {
    local major
    for ((major = pg_newest; major >= pg_oldest; major--)); do
        if [[ -x /usr/lib/postgresql/$major/bin/postgres ]]; then
            echo "$major"
            return
        fi
    done
    apt-cache policy postgresql | sed -n 's/^ *Candidate: *\([0-9][0-9]*\).*/\1/p'
}

# choose_postgres demo|test
choose_postgres() {
    if [[ -n ${PG_CONFIG-} ]]; then
        pg_config=$(command -v "$PG_CONFIG") || die "PG_CONFIG=$PG_CONFIG is not a program"
        pg_major=$("$pg_config" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/')
    else
        pg_major=$(postgres_major)
        if [[ -z $pg_major ]]; then
            apt_update
            pg_major=$(postgres_major)
        fi
        if [[ -z $pg_major ]]; then
            pg_major=VERSION
            die "apt knows no package postgresql, and none is installed" \
                "is there a network? apt-get update said: build/log/apt-update.log" \
                "these packages are needed, with VERSION from $pg_oldest to $pg_newest:" \
                "$(package_list "$1" | paste -sd ' ')"
        fi
        pg_config=/usr/lib/postgresql/$pg_major/bin/pg_config
    fi
    ((pg_major >= pg_oldest && pg_major <= pg_newest)) || die \
        "PostgreSQL $pg_major is not supported" "anomaly works with $pg_oldest to $pg_newest"
}

# Prints the packages for building and, as asked, for the demo and the tests.
package_list() {
    if [[ -z ${PG_CONFIG-} ]]; then
        echo "postgresql-$pg_major" "postgresql-server-dev-$pg_major"
    fi
    echo g++ make librdkafka-dev libsimdjson-dev zlib1g-dev cmake libgtest-dev
    if [[ $1 == test ]]; then
        echo binutils kcat libipc-run-perl openssl perl procps
        # Other versions format differently, so only this one judges (test/tidy.sh).
        if package_known clang-format-14; then echo clang-format-14; fi
        # For a real Apache Kafka; any Java and Maven will do, however they were installed.
        if ! command -v java >/dev/null; then echo default-jre-headless; fi
        if ! command -v mvn >/dev/null; then echo maven; fi
        # For demo/consumers: whatever is there first, however it was installed.
        echo python3-psycopg libpostgresql-jdbc-java
        if ! command -v javac >/dev/null; then echo default-jdk-headless; fi
        if ! command -v go >/dev/null; then echo golang-go; fi
        if ! command -v node >/dev/null; then echo nodejs; fi
        # A Node of the distribution has pg as a package; any other one brings npm.
        if ! command -v npm >/dev/null; then echo node-pg; fi
    fi
}

# The server's package makes and starts a cluster "main" when it is first installed. We need none,
# and a user who only tries this should not find one.
without_main_cluster() {
    local drop_in=/etc/postgresql-common/createcluster.d/anomaly.conf result=0
    as_root mkdir -p "$(dirname "$drop_in")"
    echo "create_main_cluster = false" | as_root tee "$drop_in" >/dev/null
    "$@" || result=$?
    as_root rm -f "$drop_in"
    return "$result"
}

# need_packages demo|test
need_packages() {
    local package list missing=()
    command -v apt-get >/dev/null || die "this is neither Debian nor Ubuntu" \
        "install by hand what tools/packages.sh lists and run make, see README.md"
    choose_postgres "$1"
    list=$(package_list "$1")
    for package in $list; do
        if ! package_installed "$package"; then missing+=("$package"); fi
    done
    if [[ ${#missing[@]} -gt 0 ]]; then
        apt_update
        list=$(package_list "$1")  # the lists of apt may know more now
        missing=()
        for package in $list; do
            if ! package_installed "$package"; then missing+=("$package"); fi
        done
        note "installing ${missing[*]}"
        without_main_cluster quietly "$root_dir/build/log/apt-install.log" \
            apt install -y --no-install-recommends "${missing[@]}" ||
            die "packages are missing: ${missing[*]}" \
                "they could not be installed; is there a network? with one, this does it:" \
                "apt-get update && apt-get install ${missing[*]}" "and then start this again"
    fi
    note "$("$pg_config" --version), g++ $(g++ -dumpfullversion), librdkafka" \
        "$(dpkg-query -W -f '${Version}' librdkafka-dev), simdjson" \
        "$(dpkg-query -W -f '${Version}' libsimdjson-dev)"
}
