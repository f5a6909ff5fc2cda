# Goal: whatever is killed, and whenever, nothing is lost and nothing counts twice.
# Method: a real Kafka under load; the stream worker, the whole server and the broker are killed
# with SIGKILL, 50 times, as soon as a random number of commits has been made since the last time.
# In the end all must be as if nothing had happened. ANOMALY_SEED and ANOMALY_KILLS repeat a run, or
# extend it.
use strict;
use warnings;
use Anomaly qw(cluster create_server create_stream create_cpu_tables create_rule wait_until
  wait_for_messages same_rows consume load_plain check_oracle kill_server worker_pids);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{ANOMALY_SEED} // time();
my $kills = $ENV{ANOMALY_KILLS} // 50;
diag("ANOMALY_SEED=$seed");
srand($seed);

my $broker = Broker->kafka(topic => 'cpu_load_stats_real', partitions => 2);
my $node = cluster('main', 'anomaly.commit_interval' => '50ms',
    # What is not flushed on purpose is lost; a notification would flush what came before it.
    wal_writer_delay => '10s', 'anomaly.notify' => 'off');
create_server($node, $broker->bootstrap);
$node->safe_psql('postgres',
    q{ALTER SERVER message_queue OPTIONS (ADD reconnect_backoff_max_ms '500')});
create_stream($node);
create_cpu_tables($node);
create_rule($node);
# A finding for each hot message, too: those rows have no window that would keep them apart.
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION very_hot(c cpu_hot) RETURNS text LANGUAGE sql STABLE AS
  $$ SELECT CASE WHEN c.usage > 99.8 THEN c.hostname || ' ' || c.cpu || ' ' || c.usage END $$;
SELECT anomaly.create_rule('very_hot', 'cpu_hot', 'very_hot');
SQL

sub wait_for
{
    my ($sql) = @_;
    $node->poll_query_until('postgres', $sql) or BAIL_OUT("this never came: $sql");
    return;
}

sub commits
{
    return $node->safe_psql('postgres', 'SELECT min(sequence) FROM anomaly.table_progress');
}

my $worker = 'SELECT count(*) = 1 FROM pg_stat_activity'
  . q{ WHERE backend_type = 'anomaly stream worker'};
my %kill = (
    worker => sub {
        my ($pid) = worker_pids($node, 'stream worker');
        kill('KILL', $pid);
        # The server ends all sessions and starts anew inside.
        wait_for("$worker AND pid <> $pid");
    },
    server => sub {
        kill_server($node);
        $node->start;
    },
    broker => sub {
        $broker->kill;
        $broker->start;
    });

# Events as a consumer sees them, while all this goes on.
my @seen;

sub read_events
{
    my $since = @seen ? (split /\|/, $seen[-1])[0] : 0;
    push @seen, split /\n/,
      $node->safe_psql('postgres', "SELECT seq, id FROM anomaly.events_since($since, 1000000)");
    return;
}

# Ten seconds of events in a second.
$broker->start_generate(rate => 2000, seed => $seed % 1000, start_ms => 1_700_000_000_000,
    step_us => 5000);
my %done = map { $_ => 0 } keys %kill;
for my $round (1 .. $kills)
{
    my $what = (qw(worker worker server server broker))[ int(rand(5)) ];
    wait_for($worker);
    my $wanted = commits() + (0, 1, 2, 5, 12)[ int(rand(5)) ];
    wait_for("SELECT min(sequence) >= $wanted FROM anomaly.table_progress");
    read_events();
    wait_for($worker) if $what eq 'worker';
    $kill{$what}->();
    $done{$what}++;
}
is($broker->stop_generate, 0, 'the generator ends well: the broker has acknowledged everything');
note(join(', ', map { "$done{$_} kills of the $_" } sort keys %done));
is($done{worker} + $done{server} + $done{broker}, $kills, "$kills kills");

my $file = "${PostgreSQL::Test::Utils::tmp_check}/messages";
consume($broker->bootstrap, 'cpu_load_stats_real', $file);
load_plain($node, 'plain', $file);
my $messages = $node->safe_psql('postgres', 'SELECT count(*) FROM plain');
cmp_ok($messages, '>', 1000 * $kills / 5, "$messages messages");
wait_for_messages($node, $_, $messages) for qw(cpu_agg cpu_hot);
$node->safe_psql('postgres', q{SELECT anomaly.close_windows('cpu_agg')});
wait_until($node, q{SELECT open_windows = 0 FROM anomaly.table_status
    WHERE relid = 'cpu_agg'::regclass}, 't', 'all windows are closed');

for my $table (qw(late_row dead_letter lost_range))
{
    is($node->safe_psql('postgres', "SELECT count(*) FROM anomaly.$table"), '0', "no $table");
}
check_oracle($node, 'plain', "after $kills kills");
same_rows($node,
    q{SELECT series->>'hostname', series->>'cpu', window_start, window_end, severity, value,
      threshold, message FROM anomaly.finding_log WHERE rule = 'cpu_over_threshold'},
    q{SELECT c.hostname, c.cpu, c.window_start, c.window_end, f.severity, f.value, f.threshold,
      f.message FROM cpu_agg c, cpu_over_threshold(c) f}, 'each finding of a window once');
same_rows($node,
    q{SELECT kafka_partition, kafka_offset, message FROM anomaly.finding_log
      WHERE rule = 'very_hot'},
    q{SELECT kafka_partition, kafka_offset, hostname || ' ' || cpu || ' ' || usage FROM plain
      WHERE usage > 99.8}, 'each finding of a message once');
is($node->safe_psql('postgres', q{SELECT count(*), count(DISTINCT finding), min(seq), max(seq)
    FROM anomaly.alert_event}),
    $node->safe_psql('postgres', 'SELECT count(*), count(*), 1, count(*) FROM anomaly.finding_log'),
    'the numbers of events have no gaps and no repeats, one for each finding');
read_events();
is(join("\n", @seen), $node->safe_psql('postgres',
        'SELECT seq, finding FROM anomaly.alert_event ORDER BY seq'),
    'a consumer has seen each event once, and none has changed since');

done_testing();
