# Goal: a continuous table equals its own SELECT, whatever the SELECT, whatever the messages, and
# whatever is killed meanwhile.
# Method: as 090_random.pl, under load on a real Kafka. The worker, the whole server, PostgreSQL's
# checkpointer and the broker are killed with SIGKILL at random moments; and a third of the time the
# worker or the server while the worker writes its checkpoint: locks of ours hold it up before it
# adds to the log, when older rows give way to a snapshot, or between the log and the positions.
# ANOMALY_SEED repeats a run, ANOMALY_KILLS extends it.
use strict;
use warnings;
use Anomaly qw(worker_pids kill_server hold let_go);
use Broker;
use IPC::Run ();
use Judge qw(judging_cluster declare_stream create_tables random_lines judge diagnose);
use List::Util qw(shuffle sum0);
use PostgreSQL::Test::Utils;
use Random qw(random_stream random_query);
use RandomExpr qw(chance);
use Test::More;
use Time::HiRes qw(usleep);

my $seed = $ENV{ANOMALY_SEED} // time();
my $kills = $ENV{ANOMALY_KILLS} // 20;
my $queries_a_round = 40;
my $messages_a_kill = 120;
diag("ANOMALY_SEED=$seed");
srand($seed);

my $broker = Broker->kafka(topic => 'first', partitions => 1);
# What is not flushed on purpose is lost; a notification would flush what came before it.
my $node = judging_cluster(wal_writer_delay => '10s', 'anomaly.notify' => 'off');

sub wait_for
{
    my ($sql) = @_;
    for (1 .. 3)
    {
        # A psql that a server in recovery turns away does not read its query.
        my $came = eval { $node->poll_query_until('postgres', $sql) };
        return if $came;
        last if defined $came;
        note($@);
    }
    diagnose($node);
    BAIL_OUT("this never came: $sql");
    return;
}

my $worker = 'SELECT count(*) = 1 FROM pg_stat_activity'
  . q{ WHERE backend_type = 'anomaly stream worker'};

sub kill_worker
{
    my ($pid) = worker_pids($node, 'stream worker');
    kill('KILL', $pid);
    # The server ends all sessions and starts anew inside.
    wait_for("$worker AND pid <> $pid");
    return;
}

sub restart_killed
{
    kill_server($node);
    $node->start;
    return;
}

# Kills once the worker waits for what the statement locks. False if it does not come there: it
# does not write a snapshot in each commit.
sub kill_at
{
    my ($lock) = @_;
    my $session = hold($node, $lock);
    my $waits = 'SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)'
      . q{ WHERE NOT granted AND backend_type = 'anomaly stream worker'};
    my $is_there = 0;
    for (1 .. 60)
    {
        last if ($is_there = $node->safe_psql('postgres', $waits) > 0);
        usleep(20_000);
    }
    chance(0.5) ? kill_worker() : restart_killed();
    let_go($session);    # which has lost its server
    return $is_there;
}

sub kill_checkpointer
{
    my ($before) = worker_pids($node, 'stream worker');
    my $session = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'),
        '-c', 'CHECKPOINT' ], '<', \undef, '>', \my $out, '2>', \my $error);
    kill('KILL', $node->safe_psql('postgres',
        q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'}));
    $session->finish;
    wait_for("$worker AND pid <> $before");
    return;
}

# Without waiting, or two who wait for each other would be an error of the table.
my $rows = 'SELECT count(*) FROM (SELECT FROM anomaly.%s FOR UPDATE SKIP LOCKED) r';
my %kill = (
    worker => \&kill_worker,
    server => \&restart_killed,
    checkpointer => \&kill_checkpointer,
    broker => sub { $broker->kill; $broker->start },
    at_log => sub { kill_at('LOCK TABLE anomaly.checkpoint IN SHARE MODE') },
    at_snapshot => sub { kill_at(sprintf($rows, 'checkpoint')) },
    at_positions => sub { kill_at(sprintf($rows, 'table_progress')) });

# The kills of a round. Snapshots come when the state has grown.
sub plan_of_a_round
{
    return (shuffle(('worker') x 3, ('server') x 3, 'broker', 'at_log', 'at_positions', 'worker'),
        shuffle('worker', ('server') x 2, 'broker', 'checkpointer', 'at_log', 'at_positions',
            ('at_snapshot') x 3));
}

# A query whose log soon outgrows its state, so that snapshots are written.
sub bulky
{
    my ($name, $size) = @_;
    my $key = 'kafka_offset % 40';
    return { name => $name, kind => 'windowed', options => [], lateness => '0', keys => [$key],
        raw => 'kafka_offset', tumble => "tumble(at, interval '$size')",
        window_columns => [qw(window_start window_end)],
        group => " GROUP BY $key, window_start, window_end", having => '',
        select => "$key AS k0, window_start, window_end, md5(string_agg("
          . "repeat(md5(kafka_offset::text), 60), '' ORDER BY kafka_partition, kafka_offset))"
          . ' AS a0' };
}

# How many messages the slowest table has taken in.
my $taken = 'SELECT min(n) FROM (SELECT (SELECT coalesce(sum(greatest(o, 0)), 0)'
  . ' FROM unnest(next_offsets) o) AS n FROM anomaly.table_progress) t';

# Kills under load, when so many messages more than now are taken in.
sub kill_one
{
    my ($stream, $what) = @_;
    # A worker that is to be met at its work needs some more of it.
    my $wanted = int(rand($what =~ /^at_/ ? 20 : $messages_a_kill));
    $wanted += $node->safe_psql('postgres', $taken);
    my $rate = $what =~ /^at_/ ? 60 : 200;
    $broker->start_produce({ topic => $stream->{topic}, rate => $rate },
        random_lines($stream, $messages_a_kill));
    wait_for($taken =~ s/min\(n\)/min(n) >= $wanted/r);
    # Starts that come to nothing are followed by pauses; these are ours.
    $node->safe_psql('postgres', 'UPDATE anomaly.stream SET unfinished_starts = 0');
    wait_for($worker);
    my $is_met = $kill{$what}->();
    is($broker->stop_generate(wait => 1), 0, "$what: the broker has acknowledged all");
    return $is_met;
}

my (%done, %met);
my @plan = map { plan_of_a_round() } 1 .. int(($kills + 19) / 20);
splice(@plan, $kills);
my $all = 0;
for my $round (1 .. int(($kills + 19) / 20))
{
    my $stream = random_stream($round);
    $broker->topic($stream->{topic}, $stream->{partitions});
    declare_stream($node, $broker, $stream);
    $node->safe_psql('postgres',
        "ALTER SERVER queue_$round OPTIONS (ADD reconnect_backoff_max_ms '500')");
    my @queries = (bulky("q${round}_0", $stream->{pace} > 1 ? '1 month' : '1 hour'),
        map { random_query($stream, "q${round}_$_") } 1 .. $queries_a_round - 1);
    my @later = splice(@queries, $queries_a_round * 0.7);
    @queries = create_tables($stream, @queries);
    for my $what (splice(@plan, 0, 20))
    {
        push @queries, create_tables($stream, @later) if ($done{in_all} // 0) % 20 == 10;
        my $is_met = kill_one($stream, $what);
        $done{$_}++ for 'in_all', $what;
        $met{$what}++ if $is_met;
    }
    judge($stream, sub { $broker->produce_to({ topic => $stream->{topic} },
        random_lines($stream, 250)) }, @queries);
    $all += @queries;
    $node->safe_psql('postgres', "DROP FOREIGN TABLE $stream->{name}");
}
note("$all queries; " . join(', ', map { "$_ $done{$_}" } sort keys %done));
note(join(', ', map { "met $_ $met{$_}" } sort keys %met));
is($done{in_all}, $kills, "$kills kills");
cmp_ok(sum0(values %met), '>', 0, 'the worker was met while it wrote its checkpoint');
done_testing();
