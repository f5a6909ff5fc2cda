# Goal: NOTIFY anomaly is a hint that costs nobody anything: at most one in 100 ms, the last one
# always, whoever is stuck, and none when it is switched off.
# Method: a rule that finds something in every commit; a session that holds up every NOTIFY of the
# cluster, since its own commit waits for a standby that is not there; where the server lets a test
# make the queue small (from 17 on), a listener that never reads.
use strict;
use warnings;
use Anomaly qw(cluster create_server create_stream create_cpu_tables wait_until worker_pids);
use Broker;
use IPC::Run ();
use Listener;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $broker = Broker->mock(topic => 'cpu_load_stats_real', partitions => 2);
my $node = cluster('main',
    # Only who asks for it waits for the standby.
    synchronous_standby_names => 'nobody', synchronous_commit => 'local',
    max_wal_senders => 1, wal_level => 'replica');
my $small_queue = $node->safe_psql('postgres', 'SHOW server_version_num') >= 170000;
if ($small_queue)
{
    $node->append_conf('postgresql.conf', 'max_notify_queue_pages = 64');
    $node->restart;
}
create_server($node, $broker->bootstrap);
create_stream($node);
create_cpu_tables($node);
sql(<<'SQL');
CREATE FUNCTION hot(c cpu_hot) RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT c.usage > 90 $$;
SELECT anomaly.create_rule('hot', 'cpu_hot', 'hot');
SQL

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub head { return sql('SELECT coalesce(max(seq), 0) FROM anomaly.event_head') }

my $start_ms = 1_700_000_010_000;

sub start_load
{
    $broker->start_generate(rate => 2000, seed => ++$start_ms, start_ms => $start_ms,
        step_us => 500);
    $start_ms += 600_000;
    return;
}

sub more_events
{
    my ($name) = @_;
    my $before = head();
    return wait_until($node, "SELECT seq > $before + 200 FROM anomaly.event_head", 't', $name);
}

# What hints say: [seq, firing].
sub hints
{
    my ($listener) = @_;
    return map { /^\{"v":1,"seq":(\d+),"firing":(\d+),"resolved":0\}$/ ? [ $1, $2 ] : BAIL_OUT($_) }
      @{ $listener->{payloads} };
}

# Reads until the last hint names the last event.
sub wait_for_last
{
    my ($listener, $name) = @_;
    my $deadline = time() + $PostgreSQL::Test::Utils::timeout_default;
    my $last = head();
    for (;;)
    {
        $listener->ask('SELECT FROM pg_sleep(0.02);');
        my @hints = hints($listener);
        return pass($name) if @hints && $hints[-1][0] == $last;
        last if time() > $deadline;
    }
    return fail($name);
}

# ---- how many ----

my $listener = Listener->new($node);
start_load();
$listener->wait;
my $begin = time();
my $from = sql('SELECT count(DISTINCT recorded_at) FROM anomaly.alert_event');
my $hints = @{ $listener->{payloads} };
$listener->ask('SELECT FROM pg_sleep(0.05);') while time() < $begin + 3;
$hints = @{ $listener->{payloads} } - $hints;
my $seconds = time() - $begin;
my $commits = sql('SELECT count(DISTINCT recorded_at) FROM anomaly.alert_event') - $from;
cmp_ok($hints, '<=', $seconds / 0.1 + 2, "$hints hints in $seconds s");
cmp_ok($hints, '>=', 3, 'but they come');
cmp_ok($commits, '>', 2 * $hints, "of $commits commits");
$broker->stop_generate;
sql(q{SELECT anomaly.wait_for_stream('cpu_in')});
wait_for_last($listener, 'the last one names the last event');
my @all = hints($listener);
is(join(' ', map { $_->[0] } @all), join(' ', sort { $a <=> $b } map { $_->[0] } @all),
    'each is ahead of the one before');
my $told = 0;
$told += $_->[1] for @all;
is($told, head(), 'together they tell of every event');

# ---- the last one, also on the way out ----

for my $round (1 .. 3)
{
    start_load();
    more_events("round $round: events");
    sql(q{SELECT anomaly.pause('cpu_in')});
    wait_until($node, 'SELECT worker_pid IS NULL FROM anomaly.stream_status', 't',
        'it has stopped');
    wait_for_last($listener, 'and the last event was announced before');
    $broker->stop_generate;
    sql(q{SELECT anomaly.resume('cpu_in')});
}
sql(q{SELECT anomaly.wait_for_stream('cpu_in')});

# ---- nobody is held up ----

sub holds_up_all
{
    # Only who has written something waits.
    my %run = (out => '', err => '', in => "BEGIN; SET LOCAL synchronous_commit = on;"
          . " SELECT pg_logical_emit_message(true, 'test', ''); NOTIFY other; COMMIT;\n");
    $run{handle} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
        '<', \$run{in}, '>', \$run{out}, '2>', \$run{err},
        IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
    $run{handle}->pump_nb;
    wait_until($node, q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'}, '1',
        'a commit waits for a standby, and every other NOTIFY for it');
    return \%run;
}

wait_for_last($listener, 'all is quiet');
my ($worker) = worker_pids($node, 'stream worker');
my $stuck = holds_up_all();
my $before = @{ $listener->{payloads} };
start_load();
more_events("events go on ($_)") for 1 .. 3;
$listener->ask('SELECT 1;');
is(scalar @{ $listener->{payloads} }, $before, 'though no hint comes through');
# It tries to send the hint now and then, and waits for the lock a little.
wait_until($node, 'SELECT state FROM anomaly.stream_status', 'running', 'the stream runs');
$broker->stop_generate;
sql(q{SELECT anomaly.wait_for_stream('cpu_in')});
sql(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'});
$stuck->{in} .= "\\q\n";
$stuck->{handle}->finish;
wait_for_last($listener, 'and afterwards the last one is made good');
is((worker_pids($node, 'stream worker'))[0], $worker, 'by the same worker');
my @complaints = slurp_file($node->logfile) =~ /anomaly could not send NOTIFY: (.*)/g;
is("@complaints", 'canceling statement due to lock timeout', 'said once');

SKIP:
{
    skip 'the notify queue of this server cannot be made small', 3 unless $small_queue;
    my $deaf = Listener->new($node);
    $deaf->ask('LISTEN other; BEGIN;');
    my $full = 0;
    until ($full)
    {
        my ($rc, $out, $err) = $node->psql('postgres',
            q{SELECT count(pg_notify('other', n || repeat('x', 7000)))
              FROM generate_series(1, 20) n});
        $full = $err =~ /too many notifications/;
    }
    $before = @{ $listener->{payloads} };
    start_load();
    more_events('events go on with a full queue');
    wait_until($node, 'SELECT state FROM anomaly.stream_status', 'running', 'the stream runs');
    $broker->stop_generate;
    sql(q{SELECT anomaly.wait_for_stream('cpu_in')});
    $deaf->close;
    wait_for_last($listener, 'and the last hint is made good');
}

# ---- none ----

sql(q{ALTER SYSTEM SET anomaly.notify = off});
$node->reload;
wait_until($node, q{SHOW anomaly.notify}, 'off', 'switched off');
# The worker hears of that as soon as it has something to do.
start_load();
more_events('a few events');
$broker->stop_generate;
sql(q{SELECT anomaly.wait_for_stream('cpu_in')});
$listener->ask('SELECT FROM pg_sleep(0.2);');
$before = @{ $listener->{payloads} };
start_load();
more_events('events go on');
$broker->stop_generate;
sql(q{SELECT anomaly.wait_for_stream('cpu_in')});
$listener->ask('SELECT FROM pg_sleep(0.2);');
is(scalar @{ $listener->{payloads} }, $before, 'in silence');
$listener->close;

done_testing();
