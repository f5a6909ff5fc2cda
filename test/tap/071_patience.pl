# Goal: once a topic has been silent for a while, its worker is hardly ever awake. The next message
# is taken in at once all the same, its window closes by the clock, and an outage is seen.
# Method: a real broker (the mock one lets a fetch wait although something has come). What is
# counted is how often all threads of the worker together went to sleep.
use strict;
use warnings;

use Anomaly qw(cluster create_server create_stream wait_until);
use Broker;
use List::Util qw(sum);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# A reader that asks ten times a second sleeps several times for each, a patient one as rarely as it
# asks.
my $most_sleeps_a_second = 20;
# How long a broker may hold a patient reader's fetch. Not every partition is in the first one: no
# message has to wait for its end.
my $fetch_seconds = 1;

my $node = cluster('patience');
my $broker = Broker->kafka(topic => 'quiet', partitions => 2);
create_server($node, $broker->bootstrap);
# Of this a patient reader takes no notice, or a message would wait for others.
$node->safe_psql('postgres',
    q{ALTER SERVER message_queue OPTIONS (ADD fetch_min_bytes '100000')});
create_stream($node, name => 'quiet_in', topic => 'quiet',
    options => { idle_timeout => '1 second', watermark_delay => '1 second' });
$node->safe_psql('postgres', 'CREATE TABLE quiet_agg WITH (anomaly.continuous,'
      . ' anomaly.emit = close) AS SELECT hostname, window_start, window_end, count(*) AS n'
      . q{ FROM quiet_in, tumble(time_ltz, interval '2 seconds')}
      . ' GROUP BY hostname, window_start, window_end');

my $sent = 0;

sub send_message
{
    my $at = 1_600_000_000_000 + 60_000 * $sent;
    $broker->produce("0\t\\N\t{\"hostname\":\"host$sent\",\"cpu\":\"cpu1\",\"usage\":50,"
          . "\"occurred_at\":$at}");
    $sent++;
    return;
}

sub status { return $node->safe_psql('postgres', "SELECT $_[0] FROM anomaly.stream_status") }

sub sleeps
{
    my ($pid) = @_;
    return sum(map { slurp_file($_) =~ /^voluntary_ctxt_switches:\s+(\d+)/m }
          glob "/proc/$pid/task/*/status");
}

# Until the worker has been asleep for nearly all of a few seconds.
sub wait_for_patience
{
    my ($what) = @_;
    my $pid = status('worker_pid');
    my $rate;
    for (1 .. 15)
    {
        my ($from, $before) = (time, sleeps($pid));
        sleep(3);
        $rate = (sleeps($pid) - $before) / (time - $from);
        last if $rate > 0 && $rate <= $most_sleeps_a_second;  # less than 0: threads have ended
    }
    cmp_ok($rate, '<=', $most_sleeps_a_second,
        sprintf('%s: awake %.1f times a second', $what, $rate));
    return;
}

send_message();
wait_until($node, 'SELECT count(*) FROM quiet_agg', '1', 'silence closes the first window');
wait_for_patience('after a silence');

my $seconds = -time;
send_message();
wait_until($node, 'SELECT messages FROM anomaly.stream_status', '2', 'the next one is taken in');
$seconds += time;
cmp_ok($seconds, '<', $fetch_seconds, sprintf('at once (after %.2f s)', $seconds));
wait_until($node, 'SELECT count(*) FROM quiet_agg', '2', 'its window closes by the clock');
wait_for_patience('after another silence');
is(status('state, lag'), 'running|0', 'meanwhile it runs, and nothing lies ahead');

$broker->kill;
wait_until($node, 'SELECT state FROM anomaly.stream_status', 'unreachable', 'an outage is seen');
$broker->start;
wait_until($node, 'SELECT state FROM anomaly.stream_status', 'running', 'and its end');
send_message();
wait_until($node, 'SELECT count(*) FROM quiet_agg', '3', 'a message after it closes its window');
is($node->safe_psql('postgres', 'SELECT string_agg(hostname || n, \' \' ORDER BY hostname)'
          . ' FROM quiet_agg'), 'host01 host11 host21',
    'each message counts once');
is($node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM anomaly.late_row)'
          . ' + (SELECT count(*) FROM anomaly.lost_range)'), '0', 'nothing was late or lost');
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal|TRAP/, 'nothing has crashed');
done_testing();
