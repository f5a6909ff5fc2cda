# Goal: a topic that falls silent closes its last window by itself, though half of its partitions
# never had a message and its event times are years old; the rule then fires. A worker that waits
# uses no CPU. The time that a server is down is not silence.
# Method: mock brokers; short idle_timeout; streams whose windows of different length close one
# after the other serve as the clock.
use strict;
use warnings;

use Anomaly qw(cluster create_server create_stream wait_until wait_for_messages);
use Broker;
use PostgreSQL::Test::Utils;
use POSIX ();
use Test::More;

my $start_ms = 1_600_000_020_000;    # a whole minute
my $node = cluster('silence');

# A stream of its own broker with one table, whose windows are so long.
sub make_stream
{
    my ($name, $partitions, $seconds, %options) = @_;
    my $broker = Broker->mock(topic => $name, partitions => $partitions);
    create_server($node, $broker->bootstrap, "${name}_queue");
    create_stream($node, name => "${name}_in", topic => $name, server => "${name}_queue",
        options => { idle_timeout => '1 second', watermark_delay => '2 seconds', %options });
    $node->safe_psql('postgres',
        "CREATE TABLE ${name}_agg WITH (anomaly.continuous, anomaly.emit = close) AS"
          . " SELECT hostname, window_start, window_end, count(*) AS n, avg(usage) AS usage_avg"
          . " FROM ${name}_in, tumble(time_ltz, interval '$seconds seconds')"
          . ' GROUP BY hostname, window_start, window_end');
    return $broker;
}

sub reading
{
    my ($partition, $host, $after_ms) = @_;
    my $at = $start_ms + $after_ms;
    return "$partition\t\\N\t{\"hostname\":\"$host\",\"cpu\":\"cpu1\",\"usage\":50,"
      . "\"occurred_at\":$at}";
}

# utime + stime of a process, in ticks.
sub ticks
{
    my ($pid) = @_;
    my $stat = slurp_file("/proc/$pid/stat");
    my @fields = split / /, $stat =~ s/^.*\) //sr;
    return $fields[11] + $fields[12];
}

# ---- 16 partitions, 8 of them empty ----
my $broker = make_stream('half', 16, 4);
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION over_40(c half_agg) RETURNS text LANGUAGE sql STABLE AS
$$ SELECT CASE WHEN c.usage_avg > 40 THEN c.hostname || ' is over 40' END $$;
SELECT anomaly.create_rule('over_40', 'half_agg', 'over_40');
SQL
$broker->produce(map { reading($_, "host$_", 1000 + $_) } 0 .. 7);
wait_for_messages($node, 'half_agg', 8);
wait_until($node, 'SELECT count(*) FROM half_agg', '8', 'silence closes the last window');
is($node->safe_psql('postgres', 'SELECT string_agg(message, \', \' ORDER BY message)'
          . " FROM anomaly.finding_log WHERE rule = 'over_40'"),
    join(', ', map { "host$_ is over 40" } 0 .. 7), 'the rule has fired, once for each');
is($node->safe_psql('postgres', 'SELECT count(*) FROM anomaly.events_since(0)'), '8',
    'with an event each');
my $watermark = $node->safe_psql('postgres', "SELECT anomaly.watermark('half_agg')");
ok( $node->safe_psql('postgres', "SELECT anomaly.watermark('half_agg') BETWEEN"
          . " to_timestamp($start_ms / 1000 + 4) AND to_timestamp($start_ms / 1000 + 60)") eq 't',
    'its watermark is in the time of the messages') or diag($watermark);
# What comes afterwards in the same window is late, and not lost.
$broker->produce(reading(3, 'host3', 1500));
wait_until($node, 'SELECT count(*) FROM anomaly.late_row', '1', 'a message after that is late');
# The next one opens a window of its own, which closes as well.
$broker->produce(reading(3, 'host3', 3_600_000));
wait_until($node, 'SELECT count(*) FROM half_agg', '9', 'the next window closes by itself too');

# ---- a worker that waits uses no CPU ----
my $clock = make_stream('clock', 1, 8);
my $other = make_stream('other', 16, 8);
$node->safe_psql('postgres', q{SELECT anomaly.wait_for_stream('half_in')});
my %pid = map { split /\|/ } split /\n/, $node->safe_psql('postgres',
    'SELECT stream, worker_pid FROM anomaly.stream_status');
wait_until($node, q{SELECT count(*) FROM anomaly.stream_status WHERE state = 'running'}, '3',
    'all three run');
$clock->produce(reading(0, 'doc', 0));
wait_for_messages($node, 'clock_agg', 1);
my $closed = 'SELECT extract(epoch FROM clock_timestamp()) FROM clock_agg';
my $seconds = -$node->safe_psql('postgres', 'SELECT extract(epoch FROM clock_timestamp())');
my %before = map { $_ => ticks($pid{$_}) } qw(half_in other_in clock_in);
wait_until($node, 'SELECT count(*) FROM clock_agg', '1', 'the window of the clock closes');
$seconds += $node->safe_psql('postgres', $closed);
cmp_ok($seconds, '>', 4, 'the span is long enough to measure');
my $per_second = POSIX::sysconf(&POSIX::_SC_CLK_TCK);
for my $stream (qw(half_in other_in clock_in))
{
    my $share = (ticks($pid{$stream}) - $before{$stream}) / $per_second / $seconds;
    # Two of them have nothing to wait for; the clock's asks its broker about the silence.
    cmp_ok($share, '<', 0.02, sprintf('%s used %.2f %% of a core', $stream, 100 * $share));
}

# ---- a restart is not silence ----
my $down = make_stream('down', 2, 12);
my $timer = make_stream('timer', 1, 6);
$down->produce(reading(0, 'doc', 0));
wait_for_messages($node, 'down_agg', 1);
my $open = q{SELECT open_windows FROM anomaly.table_status WHERE relid = 'down_agg'::regclass};
for my $round (1 .. 2)
{
    $node->restart;
    $timer->produce(reading(0, 'doc', 60_000 * $round));
    wait_until($node, "SELECT count(*) FROM timer_agg", $round, "restart $round: time passes");
}
# Twelve seconds of silence and two of delay are wanted; each worker has seen fewer than that.
is($node->safe_psql('postgres', 'SELECT count(*) FROM down_agg'), '0',
    'silence begins anew with each start');
is($node->safe_psql('postgres', $open), '1', 'the window is open');
wait_until($node, 'SELECT count(*) FROM down_agg', '1', 'until there was enough of it');
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal|TRAP/, 'nothing has crashed');
done_testing();
