# shellcheck shell=bash
# Sourced by run.sh: what is measured beside the throughput, each a function part_NAME. Results go
# to `result`: the goal's number, what, the figure, its unit, "least" or "most", the goal.

result() {
    local IFS=$'\t'
    echo "$*" >>"$work_dir/results"
    note "$1 $2: $3 $4 (goal: at $5 $6)"
}

# seconds_of COMMAND ...: runs it; the time it took is in $took.
seconds_of() {
    local begun=$EPOCHREALTIME
    "$@"
    took=$(awk -v a="$begun" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.3f", b - a }')
}

quotient() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.4g", a / b }'; }

# make_stream NAME TOPIC [OPTION ...], with the seed's columns.
make_stream() {
    local name=$1 of=$2 option more=
    shift 2
    for option in "$@"; do more+=", $option"; done
    psql_bench -c "CREATE FOREIGN TABLE $name (hostname text, cpu text, usage float8,
        occurred_at bigint, time_ltz timestamptz
        GENERATED ALWAYS AS (to_timestamp(occurred_at / 1000.0)) STORED) SERVER message_queue
        OPTIONS (topic '$of', event_time 'time_ltz', watermark_delay '10 seconds'$more)"
}

# make_table NAME STREAM [OPTION ...], the seed's query.
make_table() {
    local name=$1 of=$2 option more=
    shift 2
    for option in "$@"; do more+=", $option"; done
    psql_bench -c "CREATE TABLE $name WITH (anomaly.continuous$more) AS
        SELECT hostname, cpu, window_start, window_end, avg(usage) AS usage_avg,
        max(usage) AS usage_max FROM $of, tumble(time_ltz, interval '30 seconds')
        GROUP BY hostname, cpu, window_start, window_end"
}

wait_for() {
    if [[ $(psql_bench -c "SELECT anomaly.wait_for_stream('$1', '10 minutes')") != t ]]; then
        echo "the messages of $1 did not come in" >&2
        return 1
    fi
}

make_and_wait() {
    make_table "$@"
    wait_for "$2"
}

drop() {
    local each
    for each in "$@"; do
        psql_bench -c "DROP TABLE IF EXISTS $each CASCADE" 2>/dev/null
    done
}

# fill TOPIC PARTITIONS [generator's option ...]
fill() {
    local name=$1 partitions=$2
    shift 2
    broker topic "$work_dir/broker" "$name" "$partitions"
    as_runner "$work_dir/bin/generate" --brokers "$bootstrap" --topic "$name" "$@"
}

# What the worker has for itself, in kB, once it has given back what it had fetched ahead.
settled_memory() {
    sleep 2
    worker_memory RssAnon
}

# The seed's query over the seed's messages, for comparison: its seconds are in $took, the memory
# of its worker in $reference_memory.
reference() {
    make_stream cpu_in "$topic"
    seconds_of make_and_wait cpu_agg cpu_in
    reference_memory=$(settled_memory)
    drop cpu_agg
    psql_bench -c "DROP FOREIGN TABLE cpu_in"
}

# P1 once more, in a topic of which one partition has all messages, for which the others wait.
part_skew() {
    local topic=skewed round limit figures
    fill "$topic" 4 --count "$messages" --start-ms 1700000000000 --step-us 1000 --partitions 1
    for ((round = 1; round <= part_rounds; round++)); do
        limit=$(run_raw | cut -f 2)
        figures=$(run_anomaly)
        result P1 "the same, where one partition of four has all messages" \
            "$(quotient "$limit" "$(cut -f 2 <<<"$figures")")" "" least 0.6
    done
}

# P3: one alert a second among 10,000 messages a second.
part_latency() {
    broker topic "$work_dir/broker" latency 4
    make_stream latency_in latency "startup 'latest'"
    psql_bench -c "CREATE TABLE latency_agg WITH (anomaly.continuous) AS SELECT hostname, cpu,
        window_start, window_end, avg(usage), max(usage) FROM latency_in,
        tumble(time_ltz, '30 seconds') GROUP BY 1, 2, 3, 4"
    psql_bench -c "CREATE TABLE latency_hot WITH (anomaly.continuous) AS
        SELECT time_ltz, hostname, usage FROM latency_in WHERE usage > 1000"
    psql_bench -c "CREATE FUNCTION latency_rule(r latency_hot) RETURNS text LANGUAGE sql STABLE
        RETURN r.hostname" -c "SELECT anomaly.create_rule('latency', 'latency_hot', 'latency_rule')"
    wait_for latency_in
    local figures median longest broker_median broker_longest
    figures=$(as_runner "$work_dir/bin/latency" "$bootstrap" latency \
        "host=$work_dir/bench.socket user=$runner dbname=postgres" "$latency_seconds")
    psql_bench -c "SELECT anomaly.drop_rule('latency')"
    drop latency_agg latency_hot
    IFS=$'\t' read -r median longest broker_median broker_longest <<<"$figures"
    result P3 "produce to LISTEN, flushed, p50" "$median" ms most 5
    result P3 "produce to LISTEN, flushed, p99" "$longest" ms most 20
    note "until the broker acknowledged: p50 $broker_median ms, p99 $broker_longest ms"
}

close_all() {
    psql_bench -c "SELECT anomaly.close_windows('$1')"
    until [[ $(psql_bench -c "SELECT open_groups FROM anomaly.table_progress
        WHERE relid = '$1'::regclass") == 0 ]]; do sleep 0.05; done
}

copy_back() {
    psql_bench -c "CREATE TABLE copied (LIKE $1 INCLUDING INDEXES)" \
        -c "COPY copied FROM '$work_dir/bench/copied'" -c "DROP TABLE copied"
}

# P4 and P6: from nothing to millions of open groups, and all of them closed.
open_and_close() {
    local count=$1 few_rate=$2 rows closed memory groups
    make_stream series_in series
    make_table series_agg series_in "anomaly.emit = 'close'"
    seconds_of wait_for series_in
    memory=$(($(settled_memory) - reference_memory))
    groups=$(psql_bench -c "SELECT open_groups FROM anomaly.table_progress
        WHERE relid = 'series_agg'::regclass")
    result P4 "messages/s with $groups open groups / with 35" \
        "$(quotient "$(quotient "$count" "$took")" "$few_rate")" "" least 0.5
    result P6 "worker memory a group" "$(quotient "$((memory * 1024))" "$groups")" bytes most 100
    note "$((memory / 1024)) MB more than with 35 series, $((reference_memory / 1024)) MB"
    seconds_of close_all series_agg
    closed=$took
    rows=$(psql_bench -c "SELECT count(*) FROM series_agg")
    if [[ $rows != "$groups" ]]; then
        echo "$groups groups were open, $rows rows came of them" >&2
        return 1
    fi
    psql_bench -c "COPY series_agg TO '$work_dir/bench/copied'"
    seconds_of copy_back series_agg
    result P4 "closed rows/s / COPY of the same rows" "$(quotient "$took" "$closed")" "" least 0.8
    drop series_agg
    psql_bench -c "DROP FOREIGN TABLE series_in"
}

# P4: many series in open windows, then their rows at once, beside COPY of the same rows.
part_cardinality() {
    local round count=$((messages * 8 / 3))
    fill series 4 --count "$count" --start-ms 1700000010000 --step-us 1 --hosts 620000 --cpus 5
    for ((round = 1; round <= part_rounds; round++)); do
        reference
        open_and_close "$count" "$(quotient "$messages" "$took")"
    done
}

# commit_something TOPIC TABLE OFFSETS: a message more, and waits until the table has it.
commit_something() {
    as_runner "$work_dir/bin/generate" --brokers "$bootstrap" --topic "$1" --count 1 \
        --start-ms 1700000010000 >/dev/null
    until [[ $(psql_bench -c "SELECT next_offsets <> '$3' FROM anomaly.table_progress
        WHERE relid = '$2'::regclass" 2>/dev/null) == t ]]; do sleep 0.02; done
}

# changed_groups TABLE TOPIC: P6, after messages of some of its series: bytes in its checkpoint log
# by number of changed groups. Of those that one commit and the next have changed there are more
# than are counted here.
changed_groups() {
    local before bytes groups
    before=$(psql_bench -c "SELECT sequence FROM anomaly.table_progress
        WHERE relid = '$1'::regclass")
    as_runner "$work_dir/bin/generate" --brokers "$bootstrap" --topic "$2" --count 200000 \
        --start-ms 1700000010000 --step-us 1 --hosts 200000 --cpus 5 --file "$work_dir/changes"
    wait_for "$2_in"
    groups=$(sed 's/.*"hostname": *\("[^"]*"\).*"cpu": *\("[^"]*"\).*/\1\2/' "$work_dir/changes" |
        sort -u | wc -l)
    bytes=$(psql_bench -c "SELECT sum(octet_length(data)) FROM anomaly.checkpoint
        WHERE relid = '$1'::regclass AND kind = 1 AND sequence > $before
        HAVING count(DISTINCT sequence) = (SELECT sequence - $before FROM anomaly.table_progress
        WHERE relid = '$1'::regclass)")
    result P6 "checkpoint bytes a changed group, $groups changed" \
        "$(quotient "$bytes" "$groups")" bytes most 60
}

# next_offsets TABLE: where it will read on.
next_offsets() {
    psql_bench -c "SELECT next_offsets FROM anomaly.table_progress WHERE relid = '$1'::regclass"
}

# P7: the worker is killed with a million open groups; the server starts anew.
part_recovery() {
    local round offsets groups
    fill million 4 --count 4000000 --start-ms 1700000010000 --step-us 1 --hosts 200000 --cpus 5
    make_stream million_in million
    make_and_wait million_agg million_in "anomaly.emit = 'close'"
    changed_groups million_agg million
    groups=$(psql_bench -c "SELECT open_groups FROM anomaly.table_progress
        WHERE relid = 'million_agg'::regclass")
    for ((round = 1; round <= part_rounds; round++)); do
        offsets=$(next_offsets million_agg)
        # How much WAL the server replays is its own affair.
        psql_bench -c CHECKPOINT
        kill -9 "$(worker_pid)"
        seconds_of commit_something million million_agg "$offsets"
        result P7 "kill -9 with $groups open groups, to the first commit" "$took" s most 5
    done
    drop million_agg
}

run_tables() {
    local n
    psql_bench -c "SELECT anomaly.pause('tables_in')"
    for ((n = 1; n <= $1; n++)); do make_table "tables_$n" tables_in; done
    psql_bench -c "SELECT anomaly.resume('tables_in')"
    seconds_of wait_for tables_in
    for ((n = 1; n <= $1; n++)); do drop "tables_$n"; done
}

# P8: the same messages into 20 tables, and into one.
part_tables() {
    local round one
    make_stream tables_in "$topic"
    for ((round = 1; round <= part_rounds; round++)); do
        run_tables 1
        one=$took
        run_tables 20
        result P8 "20 tables / 1 table, time for the same messages" "$(quotient "$took" "$one")" \
            "" most 4
    done
}

# Nanoseconds of CPU that all processes and threads of the extension have used.
worker_ns() {
    local pid pids
    pids=$(psql_bench -c "SELECT pid FROM pg_stat_activity WHERE backend_type ~ 'anomaly'")
    for pid in $pids; do
        cat "/proc/$pid"/task/*/schedstat
    done | awk '{ sum += $1 } END { printf "%.0f", sum }'
}

# Whether the workers of all streams rest: each is a single thread then.
all_rest() {
    local pid pids tasks
    pids=$(psql_bench -c "SELECT pid FROM pg_stat_activity WHERE backend_type ~ 'anomaly stream'")
    for pid in $pids; do
        tasks=("/proc/$pid"/task/*)
        ((${#tasks[@]} == 1)) || return 1
    done
}

# P9: ten streams in which nothing happens, as soon as they rest.
part_idle() {
    local n before pause=60
    for ((n = 1; n <= 10; n++)); do
        broker topic "$work_dir/broker" "idle$n" 1
        make_stream "idle${n}_in" "idle$n"
        make_and_wait "idle$n" "idle${n}_in"
    done
    until all_rest; do sleep 1; done
    before=$(worker_ns)
    sleep "$pause"
    result P9 "CPU of all processes of the extension with 10 silent streams" \
        "$(quotient "$(($(worker_ns) - before))" "${pause}000000000")" "of a core" most 0.001
    for ((n = 1; n <= 10; n++)); do drop "idle$n"; done
}

make_foreign_table() {
    psql_bench -c "CREATE TABLE foreign_agg WITH (anomaly.continuous) AS
        SELECT upper(hostname) AS hostname, upper(cpu) AS cpu, window_start, window_end,
        avg(sqrt(usage)) AS usage_avg, max(cbrt(usage)) AS usage_max
        FROM foreign_in, tumble(time_ltz, '30 seconds') WHERE hostname ~ '^[a-z]'
        GROUP BY 1, 2, window_start, window_end"
    wait_for foreign_in
}

# P10: every expression through PostgreSQL's evaluator.
part_evaluator() {
    local round native
    for ((round = 1; round <= part_rounds; round++)); do
        reference
        native=$took
        make_stream foreign_in "$topic"
        seconds_of make_foreign_table
        result P10 "messages/s, nothing native / native" "$(quotient "$native" "$took")" "" \
            least 0.2
        drop foreign_agg
        psql_bench -c "DROP FOREIGN TABLE foreign_in"
    done
}
