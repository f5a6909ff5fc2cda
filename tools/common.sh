# shellcheck shell=bash
# Sourced by demo/run.sh, test/run.sh and test/fresh.sh: how they talk, and as whom they run things.
# Sets root_dir, the top of the checkout.

root_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# PostgreSQL refuses to run as root; then its own account, which its package makes, does the work.
runner=$(if [[ $EUID -eq 0 ]]; then echo postgres; else id -un; fi)

export LC_ALL=C.UTF-8
unset LANGUAGE
# A user's own settings must not lead us to a cluster that exists.
unset PGHOST PGHOSTADDR PGPORT PGUSER PGDATABASE PGSERVICE PGDATA PGOPTIONS PGPASSFILE

say() { printf '\n== %s\n' "$*"; }

note() { printf '   %s\n' "$*"; }

die() {
    printf '\nerror: %s\n' "$1" >&2
    shift
    if [[ $# -gt 0 ]]; then printf '       %s\n' "$@" >&2; fi
    exit 1
}

as_root() {
    if [[ $EUID -eq 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "this needs root: $*" "run as root, or install sudo"
    fi
}

# Runs a command as the account that runs PostgreSQL, in work_dir (see tools/server.sh).
as_runner() {
    if [[ $EUID -eq 0 ]]; then
        (cd "$work_dir" && HOME=$work_dir exec setpriv --reuid="$runner" --regid="$runner" \
            --init-groups -- "$@")
    else
        (cd "$work_dir" && exec "$@")
    fi
}

# Runs a command, its output to a file that is shown only when the command fails.
quietly() {
    local log=$1
    shift
    mkdir -p "$(dirname "$log")"
    if ! "$@" >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        printf '\nfailed: %s\n(all of its output: %s)\n' "$*" "$log" >&2
        return 1
    fi
}
