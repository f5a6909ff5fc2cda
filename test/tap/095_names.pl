# Goal: a continuous table is renamed, moved, given away, and so are its columns and its schema,
# while messages come, in the middle of a commit too: no commit of it fails by that, and no rule.
# Where its new owner lacks a right, that table alone stops and says which.
# Method: a session that changes names while the worker waits for its lock, under load; in the end
# the table is compared with its own SELECT.
use strict;
use warnings;

use Anomaly qw(cluster create_server create_stream wait_until wait_for_messages same_rows consume
  load_plain hold let_go);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

# Without a limit, so that a commit is under way whenever a lock is held.
my $node = cluster('main', fsync => 'off', 'anomaly.lock_timeout' => 0);
my $broker = Broker->mock(topic => 'cpu_load_stats_real', partitions => 2);
create_server($node, $broker->bootstrap);
create_stream($node);

sub sql { return $node->safe_psql('postgres', $_[0]) }

my $definition = 'SELECT hostname, count(*) AS n FROM %s GROUP BY hostname';
sql('CREATE SCHEMA a; CREATE SCHEMA b; CREATE ROLE someone; GRANT SELECT ON cpu_in TO someone;'
      . ' GRANT USAGE ON SCHEMA a TO someone');
sql("CREATE TABLE $_ WITH (anomaly.continuous) AS " . sprintf($definition, 'cpu_in'))
  for qw(a.total other);
my $relid = sql(q{SELECT 'a.total'::regclass::oid});
sql(q{CREATE FUNCTION many(t a.total) RETURNS text LANGUAGE sql STABLE AS $$SELECT 'many'$$});
sql(q{SELECT anomaly.create_rule('many', 'a.total', 'many', 'update')});
$broker->start_generate(rate => 300, start_ms => 1_700_000_000_000, step_us => 50_000);

sub goes_on
{
    my ($table, $name) = @_;
    my $from = "FROM anomaly.table_progress WHERE relid = $table";
    my $now = sql("SELECT sequence $from");
    return wait_until($node, "SELECT sequence > $now + 2 $from", 't', $name);
}

goes_on($relid, 'it is fed');

# ---- names ----
for my $change (
    'ALTER TABLE a.total RENAME TO renamed',
    'ALTER TABLE a.renamed RENAME COLUMN n TO "number of them"',
    'ALTER TABLE a.renamed SET SCHEMA b',
    'ALTER TABLE b.renamed RENAME TO total; ALTER TABLE b.total SET SCHEMA public;'
    . ' ALTER TABLE total RENAME COLUMN hostname TO host',
    'ALTER TABLE total SET SCHEMA a; ALTER TABLE a.total OWNER TO someone',
    'LOCK a.total IN SHARE MODE; ALTER SCHEMA a RENAME TO renamed')
{
    my $session = hold($node, $change);
    wait_until($node, 'SELECT state FROM anomaly.stream_status', 'waiting for a lock',
        "$change: a commit is under way");
    let_go($session);
    goes_on($relid, 'it goes on');
}
is(sql('SELECT count(last_error) FROM anomaly.table_progress'), '0', 'no commit has failed');
is(sql('SELECT errors, last_error, evaluations > 0 FROM anomaly.rule_status'), '0||t',
    'nor has its rule');

# ---- an owner who may not ----
sql('ALTER TABLE renamed.total SET SCHEMA b');
wait_until($node, "SELECT last_error FROM anomaly.table_status WHERE relid = $relid",
    'permission denied for schema b: grant that to role "someone", the table\'s owner,'
      . ' as whom it is written',
    'it says what is missing, and to whom');
is(sql("SELECT state FROM anomaly.table_status WHERE relid = $relid"), 'failing',
    'its table has stopped');
goes_on(q{'other'::regclass}, 'the other one goes on');
sql('GRANT USAGE ON SCHEMA b TO someone');
goes_on($relid, 'once he may, it goes on');

# ---- nothing was lost ----
is($broker->stop_generate, 0, 'the generator has delivered all');
my $file = PostgreSQL::Test::Utils::tempdir() . '/all';
consume($broker->bootstrap, 'cpu_load_stats_real', $file);
load_plain($node, 'plain', $file);
my $sent = sql('SELECT count(*) FROM plain');
wait_for_messages($node, $_, $sent) for qw(b.total other);
same_rows($node, 'SELECT * FROM b.total', sprintf($definition, 'plain'), 'it equals its SELECT');
unlike(slurp_file($node->logfile), qr/is failing: relation|is failing: column/,
    'no name was one of the past');
done_testing();
