# Goal: statements about streams, tables and rules act on a running worker when their transaction
# commits, not before, and not at all when it is rolled back; who holds a lock for long makes that
# table wait, visibly, and it goes on with nothing lost when he lets go.
# Method: two sessions whose steps are interleaved with a worker's commits, under load; in the end
# each table is compared with its own SELECT over the messages.
use strict;
use warnings;

use Anomaly qw(cluster create_server create_stream create_cpu_tables goes_on wait_until
  wait_for_messages same_rows consume load_plain check_oracle);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $start_ms = 1_700_000_000_000;
my $node = cluster('main', fsync => 'off');
my $broker = Broker->mock(topic => 'cpu_load_stats_real', partitions => 2);
my $other_broker = Broker->mock(topic => 'other', partitions => 1);
create_server($node, $broker->bootstrap);
create_server($node, $other_broker->bootstrap, 'other_queue');
create_stream($node);
create_stream($node, name => 'other_in', topic => 'other', server => 'other_queue');
create_cpu_tables($node);
my $count = 'SELECT hostname, count(*) AS n FROM %s GROUP BY hostname';

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub error_of
{
    my ($status, $out, $error) = $node->psql('postgres', $_[0]);
    isnt($status, 0, "refused: $_[0]");
    return $error;
}

sub continuous
{
    my ($name, $options) = @_;
    return "CREATE TABLE $name WITH (anomaly.continuous) AS " . sprintf($count, 'cpu_in');
}

sub state_is
{
    my ($state, $name, $stream) = @_;
    $stream //= 'cpu_in';
    return wait_until($node, 'SELECT state FROM anomaly.stream_status'
          . " WHERE stream = '$stream'::regclass", $state, $name);
}

sub waits
{
    my ($table, $name) = @_;
    return wait_until($node, 'SELECT state FROM anomaly.table_status WHERE waiting_since < now()'
          . " AND relid = '$table'::regclass", 'waiting for a lock', $name);
}

sub tables
{
    return sql('SELECT string_agg(relid::text, $$ $$ ORDER BY relid::text COLLATE "C")'
          . ' FROM anomaly.continuous_table');
}

my $one = $node->background_psql('postgres', on_error_die => 1);
my $two = $node->background_psql('postgres', on_error_stop => 0);
$one->query_safe('SET client_min_messages = warning');
sql(sprintf('CREATE TABLE other WITH (anomaly.continuous) AS ' . $count, 'other_in'));
$broker->start_generate(rate => 300, start_ms => $start_ms, step_us => 50_000);
$other_broker->start_generate(rate => 50, start_ms => $start_ms, step_us => 50_000);
goes_on($node, $_, "$_ is fed") for qw(cpu_agg cpu_hot other);

# ---- CREATE ----
$one->query_safe('BEGIN; ' . continuous('new'));
goes_on($node, $_, "CREATE TABLE is not committed: $_ goes on") for qw(cpu_agg cpu_hot);
is(tables(), 'cpu_agg cpu_hot other', 'nobody sees it');
# The second of two of the same name waits for the first.
$two->query_until(qr/start/, "\\echo start\n" . continuous('new') . ";\n\\echo over\n");
wait_until($node, q{SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
    AND query LIKE 'CREATE TABLE new%'}, '1', 'another of the same name waits');
$one->query_safe('COMMIT');
$two->query_until(qr/over/, "\n");
like($two->{stderr}, qr/duplicate key|already exists/, 'and fails');
$two->{stderr} = '';
goes_on($node, 'new', 'once committed, it is fed');
sql(continuous('IF NOT EXISTS new'));
goes_on($node, 'new', 'CREATE TABLE IF NOT EXISTS changes nothing');
$one->query_safe('BEGIN; ' . continuous('never') . '; SAVEPOINT s; ' . continuous('nor_this'));
goes_on($node, 'cpu_agg', 'two more are not committed');
$one->query_safe('ROLLBACK TO s; DROP TABLE never; ' . continuous('kept'));
goes_on($node, 'cpu_agg', 'one is rolled back, one dropped');
$one->query_safe('COMMIT');
goes_on($node, 'kept', 'the third is fed');
is(tables(), 'cpu_agg cpu_hot kept new other', 'and there are no others');
$one->query_safe('BEGIN; ' . continuous('never'));
goes_on($node, 'cpu_agg', 'again one is not committed');
$one->query_safe('ROLLBACK');
goes_on($node, 'cpu_agg', 'it is rolled back');
sql("PREPARE q AS SELECT 1; PREPARE s AS SELECT count(*) FROM cpu_agg; EXECUTE s;"
      . ' DO $$ BEGIN BEGIN ' . continuous('never') . '; RAISE $a$no$a$; EXCEPTION WHEN'
      . ' raise_exception THEN NULL; END; ' . continuous('in_do') . '; END $$');
goes_on($node, 'in_do', 'made in a DO block');
is(sql(q{SELECT count(*) FROM anomaly.table_progress}), '6', 'one entry for each table');

# ---- DROP ----
$one->query_safe('BEGIN; DROP TABLE kept');
waits('kept', 'DROP TABLE is not committed: it waits');
goes_on($node, $_, "$_ goes on") for qw(cpu_agg other);
$one->query_safe('ROLLBACK');
goes_on($node, $_, "DROP TABLE is rolled back: $_ goes on") for qw(kept cpu_agg);
$one->query_safe('BEGIN; DROP TABLE kept');
waits('kept', 'it waits again');
$one->query_safe('COMMIT');
goes_on($node, 'cpu_agg', 'DROP TABLE is committed: the others go on');
state_is('running', 'running');
$one->query_safe('BEGIN; DROP FOREIGN TABLE cpu_in CASCADE');
goes_on($node, 'other', 'DROP of the whole stream is not committed: another one goes on');
$one->query_safe('ROLLBACK');
goes_on($node, $_, "it is rolled back: $_ goes on") for qw(new cpu_agg cpu_hot in_do);
$one->query_safe('BEGIN; DROP FOREIGN TABLE other_in CASCADE; SAVEPOINT s');
goes_on($node, 'cpu_agg', 'DROP of the other stream is not committed');
$one->query_safe('COMMIT');
wait_until($node, q{SELECT count(*) FROM pg_stat_activity
    WHERE backend_type = 'anomaly stream worker'}, '1', 'once it is, its worker ends');
is(sql('SELECT sum(n) > 0 FROM other'), 't', 'and leaves its table, a plain one');

# ---- ALTER ----
sql('CREATE SCHEMA elsewhere; CREATE ROLE someone; GRANT ALL ON SCHEMA elsewhere TO someone;'
      . ' GRANT SELECT ON cpu_in TO someone');
my $alter = 'ALTER TABLE new RENAME COLUMN n TO messages; ALTER TABLE new RENAME TO moved;'
  . ' ALTER TABLE moved SET SCHEMA elsewhere; ALTER TABLE elsewhere.moved OWNER TO someone';
$one->query_safe("BEGIN; $alter");
waits('new', 'ALTER TABLE is not committed: it waits');
$one->query_safe('ROLLBACK');
goes_on($node, 'new', 'it is rolled back: the table goes on');
$one->query_safe("BEGIN; $alter; COMMIT");
goes_on($node, 'elsewhere.moved', 'it is committed: the table goes on');
$one->query_safe('BEGIN; ALTER FOREIGN TABLE cpu_in RENAME TO stream');
$one->query_safe('ROLLBACK');
goes_on($node, 'elsewhere.moved', 'ALTER FOREIGN TABLE is rolled back');
like(error_of('TRUNCATE cpu_agg'), qr/continuous table.*HINT/s, 'TRUNCATE under load');
like(error_of('TRUNCATE cpu_hot, elsewhere.moved'), qr/continuous table/, 'TRUNCATE of two');
like(error_of('PREPARE q AS SELECT hostname FROM cpu_in; CREATE TABLE never WITH'
          . ' (anomaly.continuous) AS EXECUTE q'), qr/EXECUTE/, 'CREATE TABLE AS EXECUTE');
like(error_of('EXPLAIN (ANALYZE) ' . continuous('never')), qr/EXPLAIN/, 'EXPLAIN ANALYZE');
goes_on($node, 'cpu_hot', 'none of which has done anything');
is(tables(), 'cpu_agg cpu_hot elsewhere.moved in_do', 'four tables');

# ---- rules ----
sql(q{CREATE FUNCTION hot(h cpu_hot) RETURNS text LANGUAGE sql STABLE AS 'SELECT h.cpu'});
my $found = q{SELECT count(*) FROM anomaly.finding_log WHERE rule = 'hot'};
$one->query_safe(q{BEGIN; SELECT anomaly.create_rule('hot', 'cpu_hot', 'hot')});
goes_on($node, 'cpu_agg', 'create_rule is not committed');
$one->query_safe('ROLLBACK');
goes_on($node, 'cpu_hot', 'it is rolled back');
is(sql($found), '0', 'nothing was found');
$one->query_safe(q{BEGIN; SELECT anomaly.create_rule('hot', 'cpu_hot', 'hot'); COMMIT});
wait_until($node, "$found" =~ s/count\(\*\)/count(*) > 0/r, 't', 'committed, it finds');
$one->query_safe(q{BEGIN; SELECT anomaly.drop_rule('hot'); ROLLBACK});
my $now = sql($found);
wait_until($node, $found =~ s/count\(\*\)/count(*) > $now/r, 't',
    'drop_rule is rolled back: it still finds');
sql(q{SELECT anomaly.drop_rule('hot')});
goes_on($node, 'cpu_hot', 'drop_rule is committed');
$now = sql($found);
goes_on($node, 'cpu_hot', 'the table goes on');
is(sql($found), $now, 'and nothing more is found');

# ---- locks that last ----
for my $lock ('CREATE INDEX ON cpu_agg (usage_max)', 'LOCK TABLE cpu_agg IN EXCLUSIVE MODE',
    'SELECT count(*) FROM (SELECT FROM cpu_agg FOR UPDATE) r')
{
    $one->query_safe("BEGIN; $lock");
    waits('cpu_agg', "$lock: it waits, visibly");
    is(sql('SELECT last_error FROM anomaly.stream_status'), '', 'which is no error');
    $one->query_safe('COMMIT');
    state_is('running', 'running');
    goes_on($node, $_, "$_ goes on") for qw(cpu_agg cpu_hot elsewhere.moved);
}
$one->quit;
$two->quit;

# ---- nothing was lost ----
is($_->stop_generate, 0, 'a generator has delivered all') for $broker, $other_broker;
my $file = PostgreSQL::Test::Utils::tempdir() . '/all';
consume($broker->bootstrap, 'cpu_load_stats_real', $file);
load_plain($node, 'plain', $file);
my $sent = sql('SELECT count(*) FROM plain');
my @all = qw(cpu_agg cpu_hot elsewhere.moved in_do);
wait_for_messages($node, $_, $sent) for @all;
check_oracle($node, 'plain', 'after all that');
same_rows($node, "SELECT * FROM $_", sprintf($count, 'plain'), $_) for qw(elsewhere.moved in_do);
is(sql('SELECT count(*), sum(failures) FROM anomaly.table_progress'), '4|0',
    'no table is failing');
is(sql('SELECT count(*) FROM anomaly.late_row'), '0', 'nothing was late');
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal|TRAP/, 'nothing has crashed');
done_testing();
