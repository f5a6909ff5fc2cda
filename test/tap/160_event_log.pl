# Goal: the event log is followed without a gap by whoever may read it: positions kept in the
# database, a retention that is told and never skipped over, numbers that jump after a promotion.
# Method: the seed's rule, window by window; roles with and without rights; a standby that is
# promoted without having heard of the last events.
use strict;
use warnings;
use Anomaly qw(cluster create_server create_stream create_cpu_tables create_rule wait_until
  wait_for_messages kill_server);
use Broker;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Windows;

my $broker = Broker->mock(topic => 'cpu_load_stats_real', partitions => 2);
my $node = cluster('main', wal_level => 'replica', max_wal_senders => 5, hot_standby => 'on');
create_server($node, $broker->bootstrap);
create_stream($node, options => { idle_timeout => '1 hour' });
create_cpu_tables($node);
create_rule($node);
# Each closes the one before with 30 findings.
my $windows = Windows->new($broker, per_window => 2100, seed => 30, tables => ['cpu_agg']);

sub sql { return $node->safe_psql('postgres', $_[0]) }

# As a role: what psql says, errors with their code.
sub as_role
{
    my ($role, $sql) = @_;
    my ($rc, $out, $err) = $node->psql('postgres', "SET ROLE $role;\n$sql",
        extra_params => [ '-v', 'VERBOSITY=verbose' ]);
    return $rc == 0 ? $out : $err;
}

$windows->next($node) for 0 .. 2;
wait_until($node, 'SELECT seq = 60 FROM anomaly.event_head', 't', 'two windows, 60 events');

# ---- who may read ----

sql(<<'SQL');
CREATE ROLE reader;
CREATE ROLE stranger;
CREATE ROLE auditor IN ROLE pg_read_all_data;
CREATE ROLE outsider;
GRANT SELECT ON cpu_agg TO reader;
GRANT EXECUTE ON FUNCTION anomaly.events_since, anomaly.create_consumer, anomaly.drop_consumer,
  anomaly.consumer_events, anomaly.consumer_ack TO reader, stranger, auditor;
GRANT SELECT ON anomaly.consumer_status TO reader, stranger;
SQL
my $count = 'SELECT count(*), min(seq), max(seq) FROM anomaly.events_since(0)';
is(as_role('postgres', $count), '60|1|60', 'a superuser reads all events');
is(as_role('reader', $count), '60|1|60', 'who may SELECT the table reads its events');
is(as_role('stranger', $count), '0||', 'who may not reads none');
is(as_role('auditor', $count), '60|1|60', 'who may read everything reads all');
like(as_role('outsider', $count), qr/42501.*permission denied for function events_since/,
    'nobody is let in unasked');
is(as_role('reader', 'SELECT count(*), max(seq) FROM anomaly.events_since(40, 5)'), '5|45',
    'from a position, so many');
sql('ALTER TABLE cpu_agg ENABLE ROW LEVEL SECURITY');
is(as_role('reader', $count), '0||', 'row security of the table is not got around');
sql('ALTER TABLE cpu_agg DISABLE ROW LEVEL SECURITY');
sql('REVOKE SELECT ON cpu_agg FROM reader; GRANT SELECT (hostname) ON cpu_agg TO reader');
is(as_role('reader', $count), '0||', 'one column is not the table');
sql('GRANT SELECT ON cpu_agg TO reader');
like(as_role('reader', 'SELECT * FROM anomaly.events_since(NULL)'), qr/22004.*seq must not be NULL/,
    'no position is no position');

# ---- consumers ----

is(as_role('reader', q{SELECT anomaly.create_consumer('pager', 'earliest')}), '0',
    'from the start');
is(as_role('reader', q{SELECT anomaly.create_consumer('late')}), '60', 'from now on');
is(as_role('reader', q{SELECT anomaly.create_consumer('middle', '17')}), '17', 'from a position');
like(as_role('reader', q{SELECT anomaly.create_consumer('x', 'yesterday')}),
    qr/22023.*"yesterday" is no place to start.*HINT:  It is earliest, latest or a position\./s,
    'no other place');
like(as_role('stranger', q{SELECT anomaly.create_consumer('pager')}),
    qr/42710.*consumer "pager" already exists/, 'a name is one consumer');
is(as_role('reader', q{SELECT count(*), min(seq) FROM anomaly.consumer_events('pager', 10);
    SELECT count(*), min(seq) FROM anomaly.consumer_events('pager', 10)}), "10|1\n10|1",
    'reading moves nothing');
is(as_role('reader', q{SELECT anomaly.consumer_ack('pager', 10);
    SELECT anomaly.consumer_ack('pager', 4);
    SELECT count(*), min(seq) FROM anomaly.consumer_events('pager')}), "\n\n50|11",
    'done with, and never back');
like(as_role('reader', q{SELECT anomaly.consumer_ack('pager', 61)}),
    qr/22023.*position 61 is beyond the end.*DETAIL:  The last event is 60\./s, 'nor ahead');
for my $call (q{consumer_events('pager')}, q{consumer_ack('pager', 20)}, q{drop_consumer('pager')})
{
    like(as_role('stranger', "SELECT anomaly.$call"), qr/42501.*must be owner of consumer "pager"/,
        "$call: its owner's");
}
like(as_role('reader', q{SELECT anomaly.consumer_events('nobody')}),
    qr/42704.*consumer "nobody" does not exist/, 'one that is not there');
is(as_role('reader', 'SELECT name, seq, events_ahead, missed_events FROM anomaly.consumer_status
    ORDER BY name'), "late|60|0|f\nmiddle|17|43|f\npager|10|50|f", 'how far they are');
is(as_role('stranger', 'SELECT count(*) FROM anomaly.consumer_status'), '0', 'seen by their owner');

# Two processes of one consumer: the second one waits, and gets what the first has not done with.
sub start_psql
{
    my ($sql) = @_;
    my %run = (out => '', in => $sql);    # it reads on when more is added
    $run{handle} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
        '<', \$run{in}, '>', \$run{out},
        IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
    return \%run;
}
my $first = start_psql(q{BEGIN; SELECT 'first', count(*) FROM anomaly.consumer_events('pager', 20);
    SELECT anomaly.consumer_ack('pager', 30);} . "\n");
$first->{handle}->pump until $first->{out} =~ /first\|20/;
my $second = start_psql(
    q{SELECT 'second', count(*), min(seq) FROM anomaly.consumer_events('pager', 20);} . "\n");
$second->{handle}->pump_nb;
wait_until($node, q{SELECT count(*) FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND query LIKE '%''second''%'}, '1', 'the second one waits');
$first->{in} .= "COMMIT;\n";
for my $session ($first, $second)
{
    $session->{in} .= "\\q\n";
    $session->{handle}->finish;
}
is($second->{out}, "second|20|31\n", 'two processes of one consumer share the events out');

# ---- retention ----

sql(q{UPDATE anomaly.alert_event SET recorded_at = recorded_at - interval '2 days'
    WHERE seq <= 25 OR seq = 50});
$node->append_conf('postgresql.conf', "anomaly.event_retention = '1d'");
$node->reload;
wait_until($node, 'SELECT removed_seq = 25 FROM anomaly.event_head', 't', 'old events are removed');
is(sql('SELECT count(*), min(seq) FROM anomaly.alert_event'), '35|26', 'and only they, in order');
my $old = as_role('reader', 'SELECT * FROM anomaly.events_since(24)');
like($old, qr/ERROR:  ZA001: events after position 24 have been removed/, 'too old a position');
like($old, qr/DETAIL:  Events up to 25 are older than anomaly\.event_retention\./, 'says why');
like($old, qr/HINT:  Look into anomaly\.finding_log .* then go on from 25\./, 'and how to go on');
is(as_role('reader', 'SELECT count(*), min(seq) FROM anomaly.events_since(25)'), '35|26',
    'which works');
like(as_role('reader', q{SELECT * FROM anomaly.consumer_events('middle')}),
    qr/ZA001: events after position 17/, 'a consumer that was away too long is told');
is(as_role('reader', q{SELECT name FROM anomaly.consumer_status WHERE missed_events}), 'middle',
    'and seen');
is(as_role('reader', q{SELECT anomaly.consumer_ack('middle', 25);
    SELECT count(*), min(seq) FROM anomaly.consumer_events('middle')}), "\n35|26", 'and goes on');
is(as_role('reader', q{SELECT anomaly.create_consumer('oldest', 'earliest')}), '25',
    'the earliest is what is kept');
like(as_role('reader', q{SELECT anomaly.create_consumer('older', '24')}), qr/ZA001/,
    'and no position before');
is(as_role('reader', q{SELECT anomaly.drop_consumer('oldest');
    SELECT count(*) FROM anomaly.consumer_status WHERE name = 'oldest'}), "\n0", 'dropped');

# ---- a promotion ----

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$windows->next($node);
$node->wait_for_catchup($standby, 'replay', $node->lsn('flush'));
is($standby->safe_psql('postgres', 'SELECT count(*), max(seq) FROM anomaly.events_since(25)'),
    '65|90', 'a standby can be asked');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM anomaly.consumer_events('middle')}),
    '65', 'a consumer may look there');
# From here on it hears of nothing.
$standby->append_conf('postgresql.conf', "primary_conninfo = ''");
$standby->reload;
wait_until($standby, 'SELECT count(*) FROM pg_stat_wal_receiver', '0', 'cut off');
$windows->next($node);
wait_until($node, 'SELECT seq = 120 FROM anomaly.event_head', 't', 'the primary goes on');
my $events = "SELECT id FROM anomaly.events_since(90) ORDER BY id";
my $lost = sql($events);
sql(q{SELECT anomaly.consumer_ack('middle', 120)});
kill_server($node);
$standby->promote;
wait_for_messages($standby, 'cpu_agg', $windows->sent);
is($standby->safe_psql('postgres',
        'SELECT seq - 90 - 30 >= 1000000, removed_seq FROM anomaly.event_head'), 't|25',
    'numbers jump ahead');
is($standby->safe_psql('postgres', $events), $lost,
    'what the old primary lost comes again, with the same ids');
my $seen = 'SELECT count(*), count(DISTINCT id) FROM anomaly.events_since(120)';
is($standby->safe_psql('postgres', $seen), '30|30', 'whoever had seen it meets it again');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM anomaly.consumer_events('middle')}), '95',
    'a consumer goes on from what came over');
$node = $standby;
$windows->next($standby);
is($standby->safe_psql('postgres', $seen), '60|60', 'and then there is no jump');
is($standby->safe_psql('postgres',
        'SELECT max(seq) - min(seq) FROM anomaly.events_since(120)'), '59',
    'but one after another');
$node->stop('immediate');

done_testing();
