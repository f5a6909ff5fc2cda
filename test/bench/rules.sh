# shellcheck shell=bash
# Sourced by run.sh: P5, what rules cost. Each commit closes one window of the seed's 35 rows; the
# rules look them up in a table of thresholds.

rule_windows=400
rows_a_window=350

# So that a batch is a window, and a commit; new workers begin with it.
one_window_a_commit() {
    psql_bench -c "ALTER SYSTEM SET anomaly.batch_rows = $rows_a_window" \
        -c "ALTER SYSTEM SET anomaly.commit_rows = $rows_a_window" \
        -c "ALTER SYSTEM SET anomaly.notify = off" -c "SELECT pg_reload_conf()" >/dev/null
    fill rules 1 --partitions 1 --count $((rule_windows * rows_a_window)) \
        --start-ms 1700000010000 --step-us $((30000000 / rows_a_window))
    make_stream rules_in rules "idle_timeout '1 hour'"
    psql_bench -f "$work_dir/script/rules_tables.sql"
}

any_commit_size() {
    psql_bench -c "ALTER SYSTEM RESET anomaly.batch_rows" \
        -c "ALTER SYSTEM RESET anomaly.commit_rows" -c "ALTER SYSTEM RESET anomaly.notify" \
        -c "SELECT pg_reload_conf()" >/dev/null
}

# look_at_windows SQL: what it makes sees all windows, each in a commit.
look_at_windows() {
    psql_bench -c "SELECT anomaly.pause('rules_in')" >/dev/null
    make_table rules_agg rules_in
    psql_bench -c "TRUNCATE ticks" -c "$1" -c "SELECT anomaly.resume('rules_in')" >/dev/null
    wait_for rules_in
}

# The last window stays open, and the first is not always a commit of its own.
are_evaluated() {
    [[ $(psql_bench -c "SELECT min(evaluations) >= $rule_windows - 2 FROM anomaly.rule") == t ]]
}

# with_rules SQL: the rules that it makes. The microseconds that all of them took in a commit are in
# $rules_us, the median from one commit to the next in $commit_us.
with_rules() {
    look_at_windows "$1"
    # What is only counted so far is written before the rules are loaded again.
    psql_bench -c "SELECT anomaly.alter_rule(min(name)) FROM anomaly.rule" >/dev/null
    until are_evaluated; do sleep 0.2; done
    IFS=$'\t' read -r rules_us commit_us < <(psql_bench -f "$work_dir/script/rules_took.sql")
    drop rules_agg
}

# own_rules COUNT: with a function each, beside the same queries in a trigger of the same table.
own_rules() {
    local bare
    look_at_windows "SELECT make_bare_queries($1)"
    bare=$(psql_bench -c "SELECT avg(extract(epoch FROM took)) * 1e6 FROM ticks")
    drop rules_agg
    with_rules "SELECT make_own_rules($1)"
    result P5 "$1 rules with a function each / their bare queries" \
        "$(quotient "$rules_us" "$bare")" "" most 1.5
    note "a rule: $(quotient "$rules_us" "$1") us, bare $(quotient "$bare" "$1");" \
        "the whole commit: $commit_us us"
}

# sharing_rules COUNT: with one function; seven are about hosts that there are.
sharing_rules() {
    with_rules "SELECT make_sharing_rules($1)"
    note "$1 rules that share a function: $rules_us us; the whole commit: $commit_us us"
}

part_rules() {
    local round count ten
    one_window_a_commit
    for ((round = 1; round <= part_rounds; round++)); do
        for count in 1 10 100 1000; do own_rules "$count"; done
        sharing_rules 10
        ten=$rules_us
        sharing_rules 1000
        result P5 "1000 rules that share a function / 10" "$(quotient "$rules_us" "$ten")" "" most 2
    done
    any_commit_size
}
