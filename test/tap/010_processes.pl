# Goal: our processes are where they should be and never in anybody's way.
# Method: a real server; the broker is an address where nobody listens, so that workers run and
# wait.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

# Generous for a loaded machine; far below the 5 s that PostgreSQL waits for a session in its way.
my $soon = 1.0;

sub timed_ok
{
    my ($node, $sql, $name) = @_;
    my $start = time();
    my ($rc, $out, $err) = $node->psql('postgres', $sql);
    my $took = time() - $start;
    is($rc, 0, "$name succeeds") or diag $err;
    cmp_ok($took, '<', $soon, "$name takes under a second");
    return;
}

sub make_stream
{
    my ($node, $database) = @_;
    $node->safe_psql(
        $database, q{
        CREATE EXTENSION anomaly;
        CREATE SERVER queue FOREIGN DATA WRAPPER anomaly_kafka
          OPTIONS (bootstrap_servers 'localhost:1');
        CREATE USER MAPPING FOR CURRENT_USER SERVER queue;
        CREATE FOREIGN TABLE cpu_in (
          hostname text, usage double precision, at timestamptz
        ) SERVER queue OPTIONS (topic 'cpu', format 'json', event_time 'at');
        CREATE TABLE cpu_hot WITH (anomaly.continuous) AS
          SELECT at, hostname, usage FROM cpu_in WHERE usage > 80;
    });
    return;
}

sub count_of
{
    my ($kind, $database) = @_;
    my $where = defined $database ? "AND datname = '$database'" : '';
    return "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'anomaly $kind' $where";
}

sub pid_of
{
    my ($node, $kind, $database) = @_;
    my $sql = count_of($kind, $database);
    $sql =~ s/count\(\*\)/pid/;
    return $node->safe_psql('postgres', $sql);
}

sub runs
{
    my ($node, $kind, $database, $name) = @_;
    ok($node->poll_query_until('postgres', count_of($kind, $database), '1'), $name);
    return;
}

sub is_gone
{
    my ($node, $kind, $database, $name) = @_;
    ok($node->poll_query_until('postgres', count_of($kind, $database), '0'), $name);
    return;
}

sub new_pid_after
{
    my ($node, $kind, $database, $old, $name) = @_;
    my $sql = count_of($kind, $database) . " AND pid <> $old";
    ok($node->poll_query_until('postgres', $sql, '1'), $name);
    return;
}

# ---- without shared_preload_libraries ----
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', "max_worker_processes = 20\nautovacuum = off\n");
$node->start;
my ($rc, $out, $err) = $node->psql('postgres', 'CREATE EXTENSION anomaly');
isnt($rc, 0, 'not preloaded: CREATE EXTENSION fails');
like($err, qr/anomaly must be loaded through shared_preload_libraries/, 'and says why');
like($err, qr/HINT:  Add anomaly to shared_preload_libraries in postgresql.conf and restart/,
    'and what to do');

# ---- launcher, manager, worker come by themselves ----
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'anomaly'\n");
$node->restart;
$node->safe_psql('postgres', 'CREATE DATABASE one');
runs($node, 'launcher', undef, 'the launcher runs');
is_gone($node, 'manager', undef, 'no manager stays in a database without the extension');
make_stream($node, 'one');
runs($node, 'manager', 'one', 'CREATE EXTENSION brings a manager');
runs($node, 'stream worker', 'one', 'a continuous table brings a stream worker');
is($node->safe_psql('one', 'SELECT count(worker_pid) FROM anomaly.stream_status'), '1',
    'and the view shows it');
is($node->safe_psql('one', 'SELECT count(*) FROM anomaly.cluster_identity'),
    '1', 'the identity is written with the first stream');

# ---- settings of the database do not reach the workers' start ----
$node->safe_psql('postgres', q{ALTER DATABASE one SET default_transaction_read_only = on});
$node->restart;
runs($node, 'stream worker', 'one', 'a restarted server brings all of them back, read-only or not');
$node->safe_psql('postgres', q{ALTER DATABASE one RESET default_transaction_read_only});

# ---- commands that need a database for themselves ----
$node->safe_psql('postgres', 'CREATE DATABASE other');
timed_ok($node, 'DROP DATABASE other', 'DROP DATABASE of another database');
timed_ok($node, 'CREATE DATABASE copy TEMPLATE one STRATEGY wal_log', 'CREATE DATABASE TEMPLATE');
runs($node, 'manager', 'one', 'the manager comes back to the template');
runs($node, 'stream worker', 'one', 'so does the stream worker');
runs($node, 'manager', 'copy', 'the copy gets a manager');
ok($node->poll_query_until('copy', 'SELECT anomaly.database_is_paused()', 't'),
    'the copy waits for anomaly.resume()');
is($node->safe_psql('postgres', count_of('stream worker', 'copy')), '0', 'and runs no stream');
$node->safe_psql('copy', 'SELECT anomaly.resume()');
runs($node, 'stream worker', 'copy', 'until it is told to');
# From within, as anybody does who is alone in it.
($rc, $out, $err) = $node->psql('one', 'CREATE DATABASE twin TEMPLATE one STRATEGY wal_log');
is($rc, 0, 'CREATE DATABASE TEMPLATE of the own database') or diag($err);
runs($node, 'stream worker', 'one', 'its stream worker comes back');
$node->safe_psql('postgres', 'DROP DATABASE IF EXISTS twin');
timed_ok($node, 'ALTER DATABASE copy RENAME TO copied', 'ALTER DATABASE RENAME');
runs($node, 'stream worker', 'copied', 'it goes on under the new name');
timed_ok($node, 'DROP DATABASE copied', 'DROP DATABASE with running workers');
is($node->safe_psql('postgres', count_of('stream worker', 'one')), '1',
    'the other database was left alone');

# A command that fails gives the database back.
($rc, $out, $err) = $node->psql('postgres', 'ALTER DATABASE one RENAME TO postgres');
like($err, qr/database "postgres" already exists/, 'a RENAME that fails');
runs($node, 'stream worker', 'one', 'leaves the workers running');
# A role that may not do it cannot stop anybody's workers.
$node->safe_psql('postgres', 'CREATE ROLE nobody LOGIN');
my $before = pid_of($node, 'stream worker', 'one');
($rc, $out, $err) =
  $node->psql('postgres', 'DROP DATABASE one', extra_params => [ '-U', 'nobody' ]);
like($err, qr/must be owner/, 'a stranger may not drop');
is(pid_of($node, 'stream worker', 'one'), $before, 'and stops nothing');

# ---- pause and resume ----
$node->safe_psql('one', q{SELECT anomaly.pause('cpu_in')});
is_gone($node, 'stream worker', 'one', 'pause ends the worker');
is($node->safe_psql('one', 'SELECT state FROM anomaly.stream_status'), 'paused', 'state paused');
$node->safe_psql('one', q{BEGIN; SELECT anomaly.resume('cpu_in'); ROLLBACK});
is($node->safe_psql('one', 'SELECT state FROM anomaly.stream_status'), 'paused',
    'a resume that is rolled back is none');
$node->safe_psql('one', q{SELECT anomaly.resume('cpu_in')});
runs($node, 'stream worker', 'one', 'resume brings it back');
$node->append_conf('postgresql.conf', "anomaly.paused = on\n");
$node->reload;
is_gone($node, 'stream worker', undef, 'anomaly.paused holds all');
$node->append_conf('postgresql.conf', "anomaly.paused = off\n");
$node->reload;
runs($node, 'stream worker', 'one', 'and lets them go on');

# ---- what is ended comes back ----
for my $kind ('stream worker', 'manager', 'launcher')
{
    my $database = $kind eq 'launcher' ? undef : 'one';
    my $old = pid_of($node, $kind, $database);
    $node->safe_psql('postgres', "SELECT pg_terminate_backend($old)");
    new_pid_after($node, $kind, $database, $old, "a terminated $kind comes back");
}
runs($node, 'stream worker', 'one', 'with all that belongs to it');

# Ended again and again, the manager comes back later and later.
my $start = time();
for my $round (1 .. 2)
{
    runs($node, 'manager', 'one', "manager is up, round $round");
    my $old = pid_of($node, 'manager', 'one');
    kill 'TERM', $old;
    new_pid_after($node, 'manager', 'one', $old, "and back after a signal, round $round");
}
cmp_ok(time() - $start, '>', 3, 'back-off grows');
runs($node, 'stream worker', 'one', 'streams run under the new manager');

# ---- DROP EXTENSION ----
$start = time();
$node->safe_psql('one', 'DROP EXTENSION anomaly CASCADE');
cmp_ok(time() - $start, '<', $soon, 'DROP EXTENSION takes under a second');
is_gone($node, 'stream worker', undef, 'the worker ends');
is_gone($node, 'manager', undef, 'the manager ends');
$node->safe_psql('one', 'DROP TABLE IF EXISTS cpu_hot');
make_stream($node, 'one');
runs($node, 'stream worker', 'one', 'CREATE EXTENSION again: they are back');

# ---- hot standby: idle, until it is promoted ----
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
my $ours = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'anomaly %'};
is($standby->safe_psql('postgres', $ours), '0',
    'a standby runs nothing');
$start = time();
$node->stop('fast');
cmp_ok(time() - $start, '<', 5, 'a fast shutdown is quick');
$standby->promote;
runs($standby, 'stream worker', 'one', 'a promoted standby goes on');
$standby->stop('fast');

my $log = slurp_file($node->logfile);
unlike($log, qr/PANIC|terminated by signal|being accessed by other users/,
    'nothing was in the way');
done_testing();
