# Goal: what users do to tables, streams and databases while workers run takes effect at once, holds
# up nobody else, and loses nothing: DROP, pause, a lock held for a while, a trigger that raises.
# Method: a generator produces all the while; each statement is timed; in the end the tables are
# compared with their own SELECT over the messages.
use strict;
use warnings;

use Anomaly qw(cluster create_server create_stream create_cpu_tables wait_until wait_for_messages
  same_rows consume load_plain check_oracle worker_pids hold let_go quick
  log_count);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $start_ms = 1_700_000_000_000;
# Who locks a table holds up the whole stream: as long as it takes (094_locks.pl has the limit).
my $node = cluster('live', 'anomaly.lock_timeout' => 0);
my $broker = Broker->mock(topic => 'cpu_load_stats_real', partitions => 2);

# More messages than now, in all partitions together.
sub goes_on
{
    my ($table, $name) = @_;
    my $taken = 'SELECT coalesce(sum(greatest(o, 0)), 0)';
    my $from = 'FROM anomaly.table_progress, unnest(next_offsets) o'
      . " WHERE relid = '$table'::regclass";
    my $now = $node->safe_psql('postgres', "$taken $from");
    return wait_until($node, "$taken > $now $from", 't', $name);
}

sub state_is
{
    my ($table, $state, $name) = @_;
    return wait_until($node,
        "SELECT state FROM anomaly.table_status WHERE relid = '$table'::regclass", $state, $name);
}

my $readers = 'SELECT readers FROM anomaly.stream_workers()';

create_server($node, $broker->bootstrap);
create_stream($node);
create_cpu_tables($node);
$broker->start_generate(rate => 300, start_ms => $start_ms, step_us => 50_000);
goes_on($_, "$_ is fed") for qw(cpu_agg cpu_hot);
wait_until($node, $readers, '1', 'two tables on one stream: one reader in the end');

# ---- tables that come and go ----
quick($node, 'CREATE TABLE third WITH (anomaly.continuous) AS SELECT hostname, usage,'
      . ' kafka_partition, kafka_offset FROM cpu_in', 'CREATE TABLE of a third one');
goes_on('third', 'it is fed');
wait_until($node, $readers, '1', 'it joins the others once it has caught up');
quick($node, 'DROP TABLE third', 'DROP TABLE');
goes_on('cpu_agg', 'the others go on');
quick($node, "SELECT anomaly.pause('cpu_in')", 'pause');
wait_until($node, "SELECT worker_pid IS NULL AND state = 'paused' FROM anomaly.stream_status", 't',
    'the worker ends');
quick($node, "SELECT anomaly.resume('cpu_in')", 'resume');
goes_on('cpu_agg', 'and it goes on');

# ---- a lock ----
my $session = hold($node, 'LOCK TABLE cpu_agg IN SHARE ROW EXCLUSIVE MODE');
wait_until($node, 'SELECT state FROM anomaly.stream_status', 'waiting for a lock',
    'ingest waits, visibly');
quick($node, 'BEGIN; LOCK TABLE cpu_hot IN ACCESS EXCLUSIVE MODE NOWAIT; COMMIT',
    'a lock on the other table');
$node->safe_psql('postgres', 'CREATE DATABASE other');
quick($node, 'DROP DATABASE other', 'DROP DATABASE of another database');
let_go($session);
goes_on($_, "$_ goes on afterwards") for qw(cpu_agg cpu_hot);
wait_until($node, 'SELECT state FROM anomaly.stream_status', 'running', 'running again');
# One who waits for the lock can still be ended.
$session = hold($node, 'LOCK TABLE cpu_agg IN ACCESS EXCLUSIVE MODE');
wait_until($node, 'SELECT state FROM anomaly.stream_status', 'waiting for a lock',
    'it waits again');
quick($node, "SELECT anomaly.pause('cpu_in')", 'pause of a stream that waits');
wait_until($node, 'SELECT worker_pid IS NULL FROM anomaly.stream_status', 't', 'its worker ends');
let_go($session);
quick($node, "SELECT anomaly.resume('cpu_in')", 'resume');
goes_on('cpu_agg', 'and it goes on');

# ---- a trigger that raises ----
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE 'not on my table'; END $$;
CREATE TRIGGER refuse AFTER INSERT OR UPDATE ON cpu_agg FOR EACH ROW EXECUTE FUNCTION refuse();
SQL
state_is('cpu_agg', 'failing', 'its table is failing');
is($node->safe_psql('postgres', 'SELECT last_error LIKE \'%not on my table%\' AND'
          . ' last_error_at IS NOT NULL FROM anomaly.table_status'
          . " WHERE relid = 'cpu_agg'::regclass"),
    't', 'with the error');
goes_on('cpu_hot', 'the other table goes on');
state_is('cpu_hot', 'running', 'and is running');
is($node->safe_psql('postgres', 'SELECT last_error FROM anomaly.stream_status')
      =~ /not on my table/, 1, 'the stream shows the error of its table');
wait_until($node, q{SELECT failures >= 3 FROM anomaly.table_progress
  WHERE relid = 'cpu_agg'::regclass}, 't', 'it is tried again and again');
is(log_count($node, 'continuous table "cpu_agg" is failing'), 1, 'and logged once');
quick($node, 'DROP TRIGGER refuse ON cpu_agg', 'DROP TRIGGER');
state_is('cpu_agg', 'running', 'then it is running again');
goes_on('cpu_agg', 'goes on');
wait_until($node, $readers, '1', 'and both tables are in one reader again');

# ---- nothing was lost ----
is($broker->stop_generate, 0, 'the generator has delivered all');
my $file = PostgreSQL::Test::Utils::tempdir() . '/all';
consume($broker->bootstrap, 'cpu_load_stats_real', $file);
load_plain($node, 'plain', $file);
my $sent = $node->safe_psql('postgres', 'SELECT count(*) FROM plain');
wait_for_messages($node, $_, $sent) for qw(cpu_agg cpu_hot);
check_oracle($node, 'plain', 'after all that');
is($node->safe_psql('postgres', 'SELECT count(*) FROM anomaly.late_row'), '0', 'nothing was late');

# ---- databases and the extension ----
$node->safe_psql('postgres', 'CREATE DATABASE second');
$node->safe_psql('second', <<"SQL");
CREATE EXTENSION anomaly;
CREATE SERVER message_queue FOREIGN DATA WRAPPER anomaly_kafka
  OPTIONS (bootstrap_servers '${\$broker->bootstrap}');
CREATE FOREIGN TABLE cpu_in (hostname text) SERVER message_queue
  OPTIONS (topic 'cpu_load_stats_real', format 'json');
CREATE TABLE hosts WITH (anomaly.continuous) AS
SELECT hostname, count(*) AS n FROM cpu_in GROUP BY hostname;
SQL
ok($node->poll_query_until('second', "SELECT sum(n) >= $sent FROM hosts"),
    'a second database reads');
quick($node, 'DROP DATABASE second', 'DROP DATABASE of one whose workers read');
is(scalar(worker_pids($node, 'stream worker')), 1, 'this one\'s still runs');
my $count = $node->safe_psql('postgres', 'SELECT count(*) FROM cpu_agg');
quick($node, 'DROP EXTENSION anomaly CASCADE', 'DROP EXTENSION');
wait_until($node,
    "SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'anomaly (stream|manager)'", '0',
    'the workers end');
is($node->safe_psql('postgres', 'SELECT count(*) FROM cpu_agg'), $count, 'the table is left');
quick($node, "DELETE FROM cpu_agg WHERE hostname = 'doc'", 'and is a plain one: DELETE');
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal|TRAP/, 'nothing has crashed');
done_testing();
