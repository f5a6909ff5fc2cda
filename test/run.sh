#!/usr/bin/env bash
# All tests, or one part: test/run.sh [tidy|wall|unit|sanitize|regress|tap [FILE ...]]
#
# Installs the packages that are missing, builds, and tests in clusters of its own that are gone
# afterwards. Ends with one line "N passed, N failed"; a part that cannot run counts as failed.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/../tools/common.sh"
source "$root_dir/tools/packages.sh"
source "$root_dir/tools/server.sh"
source "$root_dir/tools/kafka.sh"
source "$root_dir/tools/consumers.sh"

counts=
work_dir=

count() { echo "$1 $2" >>"$counts"; }

clean_up() {
    if [[ -z ${failed-} ]]; then printf '\n0 passed, 1 failed\n'; fi
    if [[ -n $work_dir && -d $work_dir ]]; then
        if [[ -d $work_dir/regress ]]; then stop_cluster regress; fi
        if [[ ${failed-1} != 0 ]]; then
            rm -rf "$root_dir/build/failed"
            mkdir -p "$root_dir/build/failed"
            (cd "$work_dir" && find . \( -name '*.log' -o -name 'regress_log_*' -o -name '*.diffs' \
                -o -path './results/*' \) -not -path './server/*' \
                -exec cp --parents -t "$root_dir/build/failed" {} +) || true
        fi
        rm -rf "$work_dir"
    fi
    rm -f "$counts"
}

# The tests of the database run as another account and may not see this checkout: give it a copy.
prepare_database() {
    if [[ -e $work_dir/tree ]]; then return; fi
    build_extension
    build_native release mock_broker generate
    install_private
    mkdir -p "$work_dir/tree" "$work_dir/bin"
    tar -C "$root_dir" --exclude=./build --exclude=./.git -cf - . | tar -C "$work_dir/tree" -xf -
    find "$root_dir/build/release" -maxdepth 3 -type f -executable \
        \( -name mock_broker -o -name generate \) -exec cp -t "$work_dir/bin" {} +
    if [[ $EUID -eq 0 ]]; then chown -R "$runner:" "$work_dir/tree" "$work_dir/bin"; fi
}

part_tidy() { run_tap test/tidy.sh; }

part_wall() {
    build_extension
    PG_CONFIG=$pg_config run_tap test/wall/wall.sh
}

part_unit() {
    build_native release
    run_ctest release
}

part_sanitize() {
    local preset
    for preset in asan-ubsan tsan; do
        build_native "$preset"
        run_ctest "$preset"
    done
}

# Each test of ctest is one GoogleTest case.
run_ctest() {
    local log=$root_dir/build/log/ctest-$1.log line bad all
    (cd "$root_dir/build/$1" && without_random_addresses ctest -j "$(jobs)" --output-on-failure \
        --no-tests=error) >"$log" 2>&1 || true
    line=$(grep -E '^[0-9]+% tests passed, [0-9]+ tests? failed out of [0-9]+' "$log" || true)
    if [[ -z $line ]]; then
        tail -n 40 "$log"
        return 1
    fi
    read -r bad all < <(sed -E 's/.*, ([0-9]+) tests? failed out of ([0-9]+).*/\1 \2/' <<<"$line")
    if [[ $bad -gt 0 ]]; then tail -n 100 "$log"; fi
    note "$1: $line"
    count $((all - bad)) "$bad"
}

part_regress() {
    local tests log=$work_dir/pg_regress.log good bad all
    prepare_database
    tests=("$root_dir"/sql/*.sql)
    [[ -e ${tests[0]} ]] || die "there is no test in sql/"
    start_cluster regress
    as_runner env PGHOST="$work_dir/regress.socket" make -C "$work_dir/tree" installcheck \
        PG_CONFIG="$server_config" >"$log" 2>&1 || true
    # Up to 15 "test name ... ok  3 ms", from 16 on "ok 1  - name  3 ms".
    good=$(grep -cE '^(ok +[0-9]+ |(test +)?[^ ]+ +\.\.\. ok )' "$log" || true)
    all=${#tests[@]}
    bad=$((all - good))
    cat "$log"
    if [[ $bad -gt 0 && -e $work_dir/tree/regression.diffs ]]; then
        head -n 300 "$work_dir/tree/regression.diffs"
        tail -n 40 "$work_dir/regress.log"
    fi
    stop_cluster regress
    count "$good" "$bad"
}

part_tap() {
    local files=() file bin pgxs
    prepare_database
    for file in "${tap_files[@]-}"; do
        if [[ -z $file ]]; then continue; fi
        [[ -e $root_dir/$file ]] || file=test/tap/$(basename "$file")
        [[ -e $root_dir/$file ]] || die "there is no test $file"
        files+=("$work_dir/tree/$file")
    done
    if [[ ${#files[@]} -eq 0 ]]; then files=("$work_dir"/tree/test/tap/[0-9]*.pl); fi
    [[ -e ${files[0]} ]] || die "there is no test in test/tap/"
    bin=$("$server_config" --bindir)
    pgxs=$(dirname "$("$server_config" --pgxs)")/../..
    kafka_libraries
    if [[ ${files[*]} == *_consumers.pl* ]]; then make_consumers; fi
    as_runner env PATH="$bin:$PATH" PG_CONFIG="$server_config" \
        PG_REGRESS="$(realpath "$pgxs/src/test/regress/pg_regress")" \
        PG_TEST_PORT_DIR="$work_dir" \
        PERL5LIB="$work_dir/tree/test/tap:$(realpath "$pgxs/src/test/perl")" \
        ANOMALY_BIN="$work_dir/bin" ANOMALY_TREE="$work_dir/tree" \
        ANOMALY_KAFKA_LIBS="$work_dir/kafka" ANOMALY_CONSUMERS="$work_dir/consumers" \
        perl "$work_dir/tree/test/tap/harness.pl" "$work_dir/counts" "$work_dir/tap" \
        "${files[@]}" || true
    [[ -e $work_dir/counts ]] || return 1
    cat "$work_dir/counts" >>"$counts"
}

# run_tap FILE: a test program that needs no server, run in the checkout.
run_tap() {
    mkdir -p "$root_dir/build/tap"
    (cd "$root_dir" && perl test/tap/harness.pl "$counts" build/tap "$1") || true
}

# In a subshell, so that whatever goes wrong in one part ends only that part, and is counted.
run_part() {
    local before after result=0 started=$SECONDS
    say "$1"
    before=$(wc -l <"$counts")
    set +e
    (set -e; "part_$1")
    result=$?
    set -e
    after=$(wc -l <"$counts")
    if [[ $result -ne 0 || $after -eq $before ]]; then
        note "$1 could not run to its end"
        count 0 1
    fi
    note "$1 took $((SECONDS - started)) s"
}

main() {
    local parts=(tidy wall unit regress tap sanitize) part passed
    tap_files=()
    case ${1-} in
        '') ;;
        tidy | wall | unit | sanitize | regress) parts=("$1") ;;
        tap) parts=(tap) && shift && tap_files=("$@") ;;
        *) failed=1 && die "there is no part $1" "parts: ${parts[*]}" ;;
    esac
    counts=$(mktemp)
    trap clean_up EXIT
    say "packages"
    need_packages test
    make_work_dir
    for part in "${parts[@]}"; do run_part "$part"; done
    read -r passed failed < <(awk '{ p += $1; f += $2 } END { print p + 0, f + 0 }' "$counts")
    printf '\n%s passed, %s failed\n' "$passed" "$failed"
    [[ $failed -eq 0 && $passed -gt 0 ]]
}

main "$@"
