# Goal: a continuous table lives as a table does, while messages come: renamed, moved, given away,
# with indexes, triggers and publications; many of them cost one read of the topic.
# One whose state cannot be trusted stops its stream, with the reason, and no row of it is wrong.
# Method: each of it happens to a table under load, which is held against its own SELECT at the end.
use strict;
use warnings;
use Anomaly qw(cluster create_server create_stream wait_until wait_for_messages same_rows consume
  load_plain);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = cluster('main', wal_level => 'logical', fsync => 'off');
my $broker = Broker->mock(topic => 'cpu_load_stats_real', partitions => 2);
my $begin_ms = 1_700_000_000_000;
create_server($node, $broker->bootstrap);
create_stream($node, options => { idle_timeout => '1 hour' });
my $definition = 'SELECT hostname, window_start, window_end, count(*) AS n, max(usage) AS top'
  . " FROM %s, tumble(time_ltz, interval '%d seconds') GROUP BY 1, 2, 3";
my $tables = 20;
for my $n (1 .. $tables)
{
    $node->safe_psql('postgres', "CREATE TABLE t$n WITH (anomaly.continuous) AS "
          . sprintf($definition, 'cpu_in', 10 + $n));
}
my $sent = 0;

sub generate
{
    my ($count) = @_;
    $broker->generate(count => $count, seed => 1 + $sent, start_ms => $begin_ms + 20 * $sent,
        step_us => 20_000);
    $sent += $count;
    return;
}

# ---- twenty tables, one reader ----
generate(3000);
wait_for_messages($node, "t$tables", $sent);
wait_until($node, q{SELECT readers FROM anomaly.stream_workers()}, '1', 'they share one reader');
is($node->safe_psql('postgres', 'SELECT messages FROM anomaly.stream_workers()'), $sent,
    'which reads each message once');

# ---- what happens to tables ----
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE other;
CREATE SCHEMA elsewhere AUTHORIZATION other;
GRANT USAGE ON SCHEMA public TO other;
GRANT SELECT ON cpu_in TO other;
ALTER TABLE t1 RENAME TO renamed;
ALTER TABLE t2 SET SCHEMA elsewhere;
ALTER TABLE t3 OWNER TO other;
ALTER TABLE t4 RENAME COLUMN top TO "the top";
CREATE INDEX ON t5 (window_end) INCLUDE (top);
CREATE TABLE audit (hostname text, n bigint);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO audit VALUES (NEW.hostname, NEW.n); RETURN NEW; END $$;
CREATE TRIGGER note BEFORE INSERT OR UPDATE ON t6 FOR EACH ROW EXECUTE FUNCTION note();
CREATE TABLE child (hostname text, window_start timestamptz, window_end timestamptz);
CREATE PUBLICATION everything FOR TABLE t8;
SELECT pg_create_logical_replication_slot('watcher', 'test_decoding');
BEGIN; DROP TABLE t9; ROLLBACK;
SQL
# Rolled back, the worker never heard of it; in EXPLAIN it is refused, by itself it runs.
my ($status, $out, $error) = $node->psql('postgres', 'EXPLAIN (ANALYZE) CREATE TABLE never WITH'
      . ' (anomaly.continuous) AS ' . sprintf($definition, 'cpu_in', 10));
like($error, qr/EXPLAIN of a statement that makes a continuous table is not supported/, 'EXPLAIN');
$node->safe_psql('postgres', 'BEGIN; CREATE TABLE never WITH (anomaly.continuous) AS '
      . sprintf($definition, 'cpu_in', 10) . '; ROLLBACK; DO $$ BEGIN CREATE TABLE made_in_do WITH'
      . ' (anomaly.continuous) AS ' . sprintf($definition, 'cpu_in', 10) . '; END $$');
# The protocol's own prepared statements: made by the first execution, skipped by the second.
my $script = $node->data_dir . '/../prepared.sql';
append_to_file($script, 'CREATE TABLE IF NOT EXISTS made_prepared WITH (anomaly.continuous) AS '
      . sprintf($definition, 'cpu_in', 10) . ";\n");
$node->command_ok([ 'pgbench', '-n', '-M', 'prepared', '-t', '2', '-f', $script, '-d', 'postgres' ],
    'prepared by the protocol');
generate(3000);
wait_for_messages($node, $_, $sent) for qw(renamed elsewhere.t2 t3 t4 t5 t6 t7 t8 t9 made_in_do
  made_prepared);
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM audit'), '>', 0, 'its trigger fires');
# Decoding reads what is flushed, and a commit without events does not wait for that.
wait_until($node, q{SELECT count(*) > 0 FROM
    pg_logical_slot_peek_changes('watcher', NULL, NULL) WHERE data ~ 'table public.t8: '}, 't',
    'logical replication carries its rows');
$node->safe_psql('postgres', q{SELECT pg_drop_replication_slot('watcher')});

# ---- the promise holds for all of them ----
my $file = $node->data_dir . '/../messages.txt';
consume($broker->bootstrap, 'cpu_load_stats_real', $file);
load_plain($node, 'plain', $file);
my %size = (renamed => 11, 'elsewhere.t2' => 12, t3 => 13, t4 => 14, t5 => 15, t6 => 16, t8 => 18,
    t9 => 19, made_in_do => 10, made_prepared => 10);
same_rows($node, "SELECT * FROM $_", sprintf($definition, 'plain', $size{$_}), $_)
  for sort keys %size;
is($node->safe_psql('postgres', "SELECT to_regclass('never')"), '', 'rolled back is rolled back');

# ---- a checkpoint that cannot be trusted ----
$node->safe_psql('postgres', q{SELECT anomaly.pause('cpu_in')});
wait_until($node, q{SELECT count(worker_pid) FROM anomaly.stream_status}, '0', 'paused');
$node->safe_psql('postgres', q{UPDATE anomaly.checkpoint
    SET data = set_byte(data, length(data) - 1, get_byte(data, length(data) - 1) # 1)
    WHERE relid = 't7'::regclass});
$node->safe_psql('postgres', q{SELECT anomaly.resume('cpu_in')});
wait_until($node, q{SELECT state, last_error ~ 'checkpoint .* wrong checksum'
    FROM anomaly.table_status WHERE relid = 't7'::regclass}, 'failing|t',
    'a damaged checkpoint is noticed');
generate(1000);
wait_for_messages($node, $_, $sent) for qw(t5 t8);
my $before = $node->safe_psql('postgres', 'SELECT string_agg(t::text, $$ $$) FROM t7 t');
is($node->safe_psql('postgres', q{SELECT sum(o) FROM anomaly.table_progress, unnest(next_offsets) o
    WHERE relid = 't7'::regclass}), $sent - 1000, 'its table is left where it was');
is($node->safe_psql('postgres', 'SELECT string_agg(t::text, $$ $$) FROM t7 t'), $before,
    'with its rows');
$node->safe_psql('postgres', 'DROP TABLE t7');
unlike(slurp_file($node->logfile), qr/terminated by signal|TRAP/, 'nothing has crashed');
done_testing();
