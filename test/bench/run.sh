#!/usr/bin/env bash
# The way from a Kafka topic to a windowed table, beside the limit and plain PostgreSQL:
#
#   test/bench/run.sh [--messages N] [--rounds N] [--only "raw anomaly plain"]
#
# Messages (2 million by default) go to one topic of four partitions in a real Apache Kafka; then
# the contenders read them in turn, in rounds. Prints a table of medians, spread and ratios, checks
# the rows that came out, and measures nothing else: it is no test, no figure makes it fail.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/../../tools/common.sh"
source "$root_dir/tools/packages.sh"
source "$root_dir/tools/server.sh"
source "$root_dir/tools/kafka.sh"

messages=2000000
rounds=5
contenders="raw anomaly plain"
topic=bench
work_dir=

clean_up() {
    local result=$?
    trap - EXIT INT TERM
    if [[ -z $work_dir ]]; then return; fi
    if [[ -n ${bootstrap-} ]]; then broker kill "$work_dir/broker" || true; fi
    if [[ $result -ne 0 && -e $work_dir/bench.log ]]; then tail -n 30 "$work_dir/bench.log"; fi
    stop_cluster bench
    rm -rf "$work_dir"
}

# broker COMMAND ...: as test/kafka/real_kafka.sh takes it.
broker() {
    as_runner env ANOMALY_KAFKA_LIBS="$work_dir/kafka" bash "$work_dir/script/real_kafka.sh" "$@"
}

psql_bench() {
    as_runner "$("$server_config" --bindir)/psql" -X -qAt -F $'\t' -h "$work_dir/bench.socket" \
        -U "$runner" -d postgres -v ON_ERROR_STOP=1 "$@"
}

# Two ports in a row that nobody listens on just now.
free_ports() {
    local port
    for ((port = 20000 + RANDOM % 10000; ; port += 2)); do
        if ! { : <"/dev/tcp/127.0.0.1/$port" || : <"/dev/tcp/127.0.0.1/$((port + 1))"; } \
            2>/dev/null; then
            echo "$port"
            return
        fi
    done
}

# CPU time in clock ticks that all processes of the cluster have used. Those that ended are in the
# postmaster's account, so it is read before and after its children: until none has ended between.
cluster_ticks() {
    local postmaster before children child
    postmaster=$(head -n 1 "$work_dir/bench/postmaster.pid")
    while :; do
        before=$(cpu_ticks 14 "$postmaster")
        children=$(cpu_ticks 12 "$postmaster")
        for child in $(pgrep -P "$postmaster"); do
            children=$((children + $(cpu_ticks 12 "$child")))
        done
        if [[ $(cpu_ticks 14 "$postmaster") == "$before" ]]; then break; fi
    done
    echo $((before + children))
}

# cpu_ticks FIELD PID: user and system time, the numbers from that field behind the name on.
cpu_ticks() {
    { cat "/proc/$2/stat" 2>/dev/null || echo "0 () $(printf '0 %.0s' {1..15})"; } |
        awk -v at="$1" '{ sub(/^.*\) /, ""); split($0, f, " "); print f[at] + f[at + 1] }'
}

seconds_since() {
    awk -v ticks="$(($(cluster_ticks) - $1))" -v hertz="$(getconf CLK_TCK)" \
        'BEGIN { printf "%.2f\n", ticks / hertz }'
}

# ---- the contenders: each prints messages, seconds, CPU seconds and peak memory in kB ----

run_raw() { as_runner "$work_dir/bin/consume" "$bootstrap" "$topic"; }

run_anomaly() {
    local before figures worker peak cpu verdict
    before=$(cluster_ticks)
    figures=$(psql_bench -f "$work_dir/script/extension.sql")
    cpu=$(seconds_since "$before")
    worker=$(psql_bench -c "SELECT pid FROM pg_stat_activity
        WHERE backend_type ~ 'anomaly.*stream worker'")
    peak=$(awk '$1 == "VmHWM:" { print $2 }' "/proc/$worker/status")
    verdict=$(psql_bench -f "$work_dir/script/check.sql")
    if [[ $verdict != equal || ${figures%%$'\t'*} != "$messages" ]]; then
        echo "cpu_agg is wrong: $verdict; messages and seconds: $figures" >&2
        return 1
    fi
    psql_bench -c "DROP TABLE cpu_agg" -c "DROP FOREIGN TABLE cpu_in"
    printf '%s\t%s\t%s\n' "$figures" "$cpu" "$peak"
}

run_plain() {
    local before figures cpu
    psql_bench -c "TRUNCATE expected"
    before=$(cluster_ticks)
    figures=$(psql_bench -v file="$work_dir/messages" -f "$work_dir/script/plain.sql")
    cpu=$(seconds_since "$before")
    awk -F '\t' -v OFS='\t' -v cpu="$cpu" '{ print $1, $2, cpu, $3 }' <<<"$figures"
}

# ---- ----

prepare() {
    say "packages"
    need_packages test
    say "build"
    build_extension
    build_native release consume generate
    make_work_dir
    trap clean_up EXIT
    trap 'exit 130' INT TERM
    install_private
    kafka_libraries
    mkdir -p "$work_dir/bin" "$work_dir/script"
    cp "$root_dir"/build/release/{consume,generate} "$work_dir/bin"
    cp "$root_dir"/test/kafka/{real_kafka.sh,log4j.properties} "$root_dir"/test/bench/sql/*.sql \
        "$work_dir/script"
    start_cluster bench "max_worker_processes = 20" "shared_buffers = 512MB" "max_wal_size = 4GB"
}

fill_topic() {
    local port
    port=$(free_ports)
    say "a real Apache Kafka, and $messages messages in a topic of 4 partitions"
    broker start "$work_dir/broker" "$port"
    bootstrap=127.0.0.1:$port
    broker topic "$work_dir/broker" "$topic" 4
    # A thousand messages a second of event time: a window of 30 s has 30,000.
    as_runner "$work_dir/bin/generate" --brokers "$bootstrap" --topic "$topic" --count "$messages" \
        --start-ms 1700000000000 --step-us 1000 --file "$work_dir/messages"
    psql_bench -v bootstrap="$bootstrap" -f "$work_dir/script/stream.sql"
    note "what the rows must be: the query in PostgreSQL itself"
    run_plain >/dev/null
}

compare() {
    local round contender figures
    say "$rounds rounds of: $contenders"
    for ((round = 1; round <= rounds; round++)); do
        for contender in $contenders; do
            figures=$("run_$contender")
            note "$round $contender $figures"
            printf '%s\t%s\n' "$contender" "$figures" >>"$work_dir/figures"
        done
    done
    say "result"
    perl "$root_dir/test/bench/report.pl" "$work_dir/figures"
}

main() {
    while [[ $# -gt 0 ]]; do
        case $1 in
            --messages) messages=${2:?--messages wants a number} ;;
            --rounds) rounds=${2:?--rounds wants a number} ;;
            --only) contenders=${2:?--only wants contenders} ;;
            *) die "there is no option $1" "the head of test/bench/run.sh lists all" ;;
        esac
        shift 2
    done
    prepare
    fill_topic
    compare
}

main "$@"
