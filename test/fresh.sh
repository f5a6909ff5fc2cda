#!/usr/bin/env bash
# Both commands on a bare Debian: test/fresh.sh [bookworm|trixie|sid] [demo|test [PART ...]]
#
# Makes a minimal Debian tree with debootstrap (kept in /var/tmp/anomaly-fresh for the next time),
# puts the last commit into it, and runs demo/run.sh and test/run.sh there as root. The machine's
# own apt and Maven settings are used. Needs root. Not part of the tests, it runs them.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/../tools/common.sh"

cache=${ANOMALY_FRESH_CACHE:-/var/tmp/anomaly-fresh}

# Prints the address of the archive that holds suites named $1 of Debian's section $2 (or nothing).
# shellcheck disable=SC2016
mirror() {
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(SUITE)|$(REPO_URI)' \
        'Created-By: Packages' 2>/dev/null | awk -F'|' -v label="$1" -v updates="$2" '
        $1 == "Debian" && $2 == label && (($3 ~ /-updates$/) == updates) { print $4; exit }'
}

# The untouched tree of a suite, made once, as a tar file.
base_tree() {
    local suite=$1 tar=$cache/$1.tar
    if [[ -e $tar ]]; then return; fi
    command -v debootstrap >/dev/null || apt-get install -y --no-install-recommends debootstrap
    note "debootstrap $suite (output: $cache/$suite.log)"
    rm -rf "$cache/$suite.partial"
    debootstrap --variant=minbase "$suite" "$cache/$suite.partial" "$(mirror Debian 0)" \
        >"$cache/$suite.log" 2>&1 || die "debootstrap failed" "$(tail -n 5 "$cache/$suite.log")"
    tar -C "$cache/$suite.partial" -cf "$tar.new" .
    mv "$tar.new" "$tar"
    rm -rf "$cache/$suite.partial"
}

# What a machine is given by whoever sets it up: sources and settings of apt, names, certificates.
machine_settings() {
    local suite=$1 tree=$2 uri
    {
        echo "deb $(mirror Debian 0) $suite main"
        uri=$(mirror Debian-Security 0)
        if [[ -n $uri && $suite != sid ]]; then echo "deb $uri $suite-security main"; fi
    } >"$tree/etc/apt/sources.list"
    apt-config dump | grep '^Acquire::' >"$tree/etc/apt/apt.conf.d/99machine" || true
    cp -L /etc/resolv.conf /etc/hosts "$tree/etc/"
    if [[ -d /usr/local/share/ca-certificates ]]; then
        mkdir -p "$tree/usr/local/share/ca-certificates"
        cp -a /usr/local/share/ca-certificates/. "$tree/usr/local/share/ca-certificates/"
    fi
    if [[ -e ~/.m2/settings.xml ]]; then
        mkdir -p "$tree/root/.m2"
        cp ~/.m2/settings.xml "$tree/root/.m2/"
    fi
}

# Runs a command in the tree, in namespaces of its own: its mounts and processes end with it.
inside() {
    local tree=$1
    shift
    # shellcheck disable=SC2016
    unshare --mount --pid --fork --kill-child --propagation private bash -euc '
        tree=$1
        shift
        mount -t proc proc "$tree/proc"
        mount --rbind /dev "$tree/dev"
        mkdir -p "$tree/dev/shm"
        mount -t tmpfs tmpfs "$tree/dev/shm"
        chroot "$tree" env -i HOME=/root TERM=dumb \
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
            http_proxy="${http_proxy-}" https_proxy="${https_proxy-}" \
            no_proxy="${no_proxy-}" MAVEN_OPTS="${MAVEN_OPTS-}" \
            bash -c "cd /home/anomaly && exec \"\$@\"" bash "$@" </dev/null' bash "$tree" "$@"
}

main() {
    local suite=${1:-bookworm} what=${2:-all} tree result=0 log
    tree=$cache/$suite
    case $suite in
        bookworm | trixie | sid) ;;
        *) die "this knows bookworm, trixie and sid, not $suite" ;;
    esac
    shift $(($# > 2 ? 2 : $#))
    [[ $EUID -eq 0 ]] || die "making a Debian tree needs root" "sudo test/fresh.sh $suite"
    unshare --mount --pid --fork true || die "namespaces are refused here (unshare)"
    mkdir -p "$cache"
    say "a minimal Debian, $suite"
    if [[ -z $(mirror Debian 0) ]]; then apt-get -q update; fi
    [[ -n $(mirror Debian 0) ]] || die "this machine's apt knows no archive of Debian"
    base_tree "$suite"
    rm -rf --one-file-system "$tree"
    mkdir -p "$tree"
    tar -C "$tree" -xf "$cache/$suite.tar"
    machine_settings "$suite" "$tree"
    mkdir -p "$tree/home/anomaly"
    git -C "$root_dir" archive HEAD | tar -C "$tree/home/anomaly" -xf -
    note "$(git -C "$root_dir" log -1 --format='%h %s')"

    local parts=("$@")
    for log in demo test; do
        if [[ $what != all && $what != "$log" ]]; then continue; fi
        say "$log/run.sh on $suite (also in $cache/$suite-$log.log)"
        if [[ $log == demo ]]; then set --; else set -- "${parts[@]}"; fi
        inside "$tree" bash "$log/run.sh" "$@" 2>&1 | tee "$cache/$suite-$log.log" || result=1
        if ls "$tree"/var/lib/postgresql/*/main >/dev/null 2>&1; then
            note "a cluster \"main\" was made, which nobody asked for"
            result=1
        fi
    done
    if [[ $result -eq 0 ]]; then say "$suite: good"; else say "$suite: FAILED"; fi
    return $result
}

main "$@"
