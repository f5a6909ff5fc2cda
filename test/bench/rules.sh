#!/usr/bin/env bash
# What rules cost in a commit, beside the same query by itself:
#
#   test/bench/rules.sh [--windows N]
#
# A mock broker has the seed's readings; each commit closes one window of 35 rows. Prints the time
# of one of 1,000 rules that have a function each and of its bare cached query, and the time of
# 1,000 rules that share a function beside that of ten, the least of three rounds: seven of the ten
# and of the thousand are about hosts that there are; then all of the thousand. It is no test, no
# figure makes it fail.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/../../tools/common.sh"
source "$root_dir/tools/packages.sh"
source "$root_dir/tools/server.sh"

windows=40
per_window=350
rounds=3
wait_s=120
work_dir=
broker_pid=

clean_up() {
    trap - EXIT INT TERM
    if [[ -n $broker_pid ]]; then kill "$broker_pid" 2>/dev/null || true; fi
    if [[ -z $work_dir ]]; then return; fi
    stop_cluster bench
    rm -rf "$work_dir"
}

psql_bench() {
    as_runner "$("$server_config" --bindir)/psql" -X -qAt -F $'\t' -h "$work_dir/bench.socket" \
        -U "$runner" -d postgres -v ON_ERROR_STOP=1 "$@"
}

prepare() {
    say "build"
    need_packages test
    build_extension
    build_native release mock_broker generate
    make_work_dir
    trap clean_up EXIT
    trap 'exit 130' INT TERM
    install_private
    mkdir -p "$work_dir/bin"
    find "$root_dir/build/release" -maxdepth 3 -type f -executable \
        \( -name mock_broker -o -name generate \) -exec cp -t "$work_dir/bin" {} +
    # A batch is a window, and a commit.
    start_cluster bench "max_worker_processes = 20" "anomaly.batch_rows = $per_window" \
        "anomaly.commit_rows = $per_window" "anomaly.notify = off"
    "$work_dir/bin/mock_broker" --topic cpu_load_stats_real --partitions 1 >"$work_dir/broker" &
    broker_pid=$!
    wait_for "the mock broker" test -s "$work_dir/broker"
    bootstrap=$(sed -n 's/^bootstrap\.servers=//p' "$work_dir/broker")
    "$work_dir/bin/generate" --brokers "$bootstrap" --topic cpu_load_stats_real --partitions 1 \
        --count $((windows * per_window)) --start-ms 1700000010000 \
        --step-us $((30000000 / per_window)) --property compression.codec=gzip >/dev/null 2>&1
    psql_bench -v bootstrap="$bootstrap" -f "$root_dir/test/bench/sql/rules_stream.sql"
    local kept
    kept=$(psql_bench -c "SELECT count(*) FROM cpu_in")
    [[ $kept == $((windows * per_window)) ]] || die "the mock broker has kept $kept messages" \
        "of $((windows * per_window)): it has room for 5 MB; take fewer --windows"
}

# wait_for WHAT command ...: until the command succeeds, not for ever.
wait_for() {
    local what=$1 end=$((SECONDS + wait_s))
    shift
    until "$@"; do
        [[ $SECONDS -lt $end ]] || die "waited $wait_s s for $what"
        sleep 0.2
    done
}

# The last window stays open, and the first is not always a commit of its own.
all_evaluated() {
    [[ $(psql_bench -c "SELECT min(evaluations) >= $windows - 2 FROM anomaly.rule") == t ]]
}

# measure SQL: the rules that it makes look at all windows. Prints the microseconds that all of them
# took in a commit, and the median from one commit to the next.
measure() {
    psql_bench -c "CREATE TABLE cpu_agg WITH (anomaly.continuous) AS SELECT hostname, cpu,
        window_start, window_end, avg(usage) AS usage_avg, max(usage) AS usage_max FROM cpu_in,
        tumble(time_ltz, interval '30 seconds') GROUP BY hostname, cpu, window_start, window_end
        WITH NO DATA" -c "CREATE TRIGGER tick AFTER INSERT ON cpu_agg EXECUTE FUNCTION tick()" \
        -c "TRUNCATE ticks" -c "$1" -c "SELECT anomaly.resume('cpu_in')" >/dev/null
    [[ $(psql_bench -c "SELECT anomaly.wait_for_stream('cpu_in', '$wait_s s')") == t ]] ||
        die "waited $wait_s s for the stream"
    # What is only counted so far is written before the rules are loaded again.
    psql_bench -c "SELECT anomaly.alter_rule(min(name)) FROM anomaly.rule" >/dev/null
    wait_for "all windows to be evaluated" all_evaluated
    psql_bench -F ' ' -c "SELECT
        round(extract(epoch FROM sum(total_time)) * 1e6 / max(evaluations)),
        (SELECT round(percentile_cont(0.5) WITHIN GROUP (ORDER BY us)) FROM (SELECT
          extract(epoch FROM at - lag(at) OVER (ORDER BY at)) * 1e6 AS us FROM ticks) q)
        FROM anomaly.rule"
}

# sharing_rules COUNT REAL: makes so many, of which so many are about one of the seven hosts.
sharing_rules() {
    echo "CREATE FUNCTION shared(c cpu_agg, p jsonb) RETURNS SETOF anomaly.finding
        LANGUAGE sql STABLE AS \$\$ SELECT 'warning', c.usage_avg, (p->>'limit')::float8, 'over'
          WHERE c.hostname = p->>'host' AND c.usage_avg > (p->>'limit')::float8 \$\$;
      SELECT anomaly.create_rule('shared ' || n, 'cpu_agg', 'shared', 'close', jsonb_build_object(
          'limit', 200, 'host', CASE WHEN n > $2 THEN 'host' || n ELSE (ARRAY['doc', 'grumpy',
          'sleepy', 'bashful', 'happy', 'sneezy', 'dopey'])[1 + n % 7] END))
        FROM generate_series(1, $1) n"
}

start_over() {
    psql_bench -c "SET client_min_messages = warning" -c "DROP TABLE cpu_agg CASCADE" \
        -c "SELECT anomaly.pause('cpu_in')" >/dev/null
}

least() { if [[ -z $2 || $1 -lt $2 ]]; then echo "$1"; else echo "$2"; fi; }

ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }

main() {
    local own bare rules commit round ten ten_commit all all_commit
    while [[ $# -gt 0 ]]; do
        case $1 in
            --windows) windows=${2:?--windows wants a number} ;;
            *) die "there is no option $1" "the head of test/bench/rules.sh lists all" ;;
        esac
        shift 2
    done
    prepare
    say "result, in microseconds a commit"
    read -r own commit < <(measure "DO \$\$ BEGIN FOR n IN 1 .. 1000 LOOP
        EXECUTE format('CREATE FUNCTION own_%s(c cpu_agg) RETURNS SETOF anomaly.finding
          LANGUAGE sql STABLE AS %L', n, 'SELECT ''warning'', c.usage_avg, t.allowed, c.cpu
            FROM limits t WHERE t.hostname = c.hostname AND c.usage_avg > t.allowed + ' || n);
        PERFORM anomaly.create_rule('own ' || n, 'cpu_agg', 'own_' || n);
      END LOOP; END \$\$")
    bare=$(psql_bench -f "$root_dir/test/bench/sql/rules_bare.sql")
    echo "one of 1,000 rules: $((own / 1000)); its bare cached query: $bare;" \
        "ratio $(ratio "$((own / 1000))" "$bare"); a commit: $commit"
    start_over
    # Who else runs on the machine takes time now from the one and now from the other.
    for ((round = 0; round < rounds; round++)); do
        read -r rules commit < <(measure "$(sharing_rules 10 7)")
        start_over
        ten=$(least "$rules" "${ten:-}") ten_commit=$(least "$commit" "${ten_commit:-}")
        read -r rules commit < <(measure "$(sharing_rules 1000 7)")
        start_over
        all=$(least "$rules" "${all:-}") all_commit=$(least "$commit" "${all_commit:-}")
    done
    echo "ten rules that share a function: $ten; 1,000 of them: $all;" \
        "ratio $(ratio "$all" "$ten")"
    echo "a commit with ten of them: $ten_commit; with 1,000: $all_commit;" \
        "ratio $(ratio "$all_commit" "$ten_commit")"
    read -r rules commit < <(measure "$(sharing_rules 1000 1000)")
    echo "1,000 of them, all about hosts that there are: $rules;" \
        "$(ratio $((rules * 1000)) 5000) ns for a rule and a row; a commit: $commit"
}

main "$@"
