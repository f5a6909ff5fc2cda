# Goal: pg_dump carries everything, what is restored is paused until anomaly.resume(), and then goes
# on where the dump was made, exactly once.
# Method: messages before the dump, between dump and resume, and after; then the restored tables are
# held against their own SELECT over the whole topic.
use strict;
use warnings;
use Anomaly qw(cluster create_server create_stream create_cpu_tables create_rule wait_until
  wait_for_messages check_oracle consume load_plain);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = cluster('main');
my $broker = Broker->mock(topic => 'cpu_load_stats_real', partitions => 2);
my $begin_ms = 1_700_000_000_000;
create_server($node, $broker->bootstrap);
create_stream($node, options => { idle_timeout => '1 hour' });
create_cpu_tables($node);
create_rule($node);
$broker->generate(count => 5000, seed => 1, start_ms => $begin_ms, step_us => 20_000);
wait_for_messages($node, $_, 5000) for qw(cpu_agg cpu_hot);

my $head = $node->safe_psql('postgres', q{SELECT anomaly.create_consumer('pager')});
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER hook_on_table AFTER INSERT ON cpu_agg EXECUTE FUNCTION nothing();
CREATE TRIGGER hook_on_findings AFTER INSERT ON anomaly.finding_log EXECUTE FUNCTION nothing();
SQL

my $dump = $node->data_dir . '/../dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
like(slurp_file($dump), qr/CREATE TRIGGER hook_on_table/,
    'triggers of continuous tables are in it');
unlike(slurp_file($dump), qr/CREATE TRIGGER hook_on_findings/,
    'those of our own tables are not, as docs/events.md says');
$broker->generate(count => 5000, seed => 2, start_ms => $begin_ms + 100_000, step_us => 20_000);

my $copy = cluster('copy', create => 0);
$copy->command_ok(
    [ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $copy->connstr('postgres') ],
    'the dump is restored');
is($copy->safe_psql('postgres', 'SELECT DISTINCT state FROM anomaly.table_status'), 'paused',
    'what was restored is paused');
$copy->restart;
is($copy->safe_psql('postgres', 'SELECT DISTINCT state FROM anomaly.table_status'), 'paused',
    'also after a restart');
is($copy->safe_psql('postgres', 'SELECT count(*) FROM anomaly.stream_workers()'), '0',
    'nothing runs');
$copy->safe_psql('postgres', 'SELECT anomaly.resume()');
$broker->generate(count => 5000, seed => 3, start_ms => $begin_ms + 200_000, step_us => 20_000);
for my $each ([ $node, 'the original' ], [ $copy, 'the copy' ])
{
    my ($server, $name) = @$each;
    wait_for_messages($server, $_, 15000) for qw(cpu_agg cpu_hot);
    my $file = $server->data_dir . '/../messages.txt';
    consume($broker->bootstrap, 'cpu_load_stats_real', $file);
    load_plain($server, 'plain', $file);
    check_oracle($server, 'plain', $name);
}
is($copy->safe_psql('postgres',
        'SELECT count(*), count(DISTINCT (rule, series, window_start)) FROM anomaly.finding_log'),
    $node->safe_psql('postgres',
        'SELECT count(*), count(DISTINCT (rule, series, window_start)) FROM anomaly.finding_log'),
    'both found the same');
is($copy->safe_psql('postgres', q{SELECT
    (SELECT string_agg(name || ' ' || seq, '') FROM anomaly.consumer),
    (SELECT count(*) FROM anomaly.alert_event WHERE seq BETWEEN }
          . "$head + 1 AND $head + 1000000), "
          . "(SELECT seq > $head + 1000000 FROM anomaly.event_head)"),
    "pager $head|0|t", 'a consumer came over; numbers of the copy are not those of the original');

# The dependencies, which no dump carries, are there again.
my ($status, $out, $error) = $copy->psql('postgres', 'DROP FOREIGN TABLE cpu_in');
like($error, qr/trigger anomaly_guard on table cpu_agg depends on foreign table cpu_in/,
    'the stream cannot be dropped from under its tables');
($status, $out, $error) = $copy->psql('postgres',
    'DROP INDEX cpu_agg_hostname_cpu_window_start_window_end_idx');
isnt($status, 0, 'nor the key');
$copy->safe_psql('postgres', 'DROP FOREIGN TABLE cpu_in CASCADE');
is($copy->safe_psql('postgres', 'SELECT count(*) FROM anomaly.continuous_table'), '0',
    'with CASCADE they are plain tables');
$copy->safe_psql('postgres', 'DELETE FROM cpu_agg');

$node->stop;
$copy->stop;
done_testing();
