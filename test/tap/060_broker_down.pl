# Goal: a broker that is away is a state, not an accident. It is shown in stream_status with the
# error, logged once, makes no session wait, is over by itself, and does not count as silence: no
# window closes because of it. A topic that is not there yet is the same.
# Method: a real Kafka, which comes back under its address, is away at CREATE, in between and at a
# start of the server; a mock broker is stopped so that it answers nothing. How long an outage
# lasts is measured by a stream of another broker whose windows close meanwhile.
use strict;
use warnings;

use Anomaly qw(cluster create_server create_stream create_cpu_tables wait_until wait_for_messages
  same_rows consume load_plain check_oracle quick log_count);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $start_ms = 1_700_000_000_000;
my $node = cluster('away');

sub state_of { return "SELECT state FROM anomaly.stream_status WHERE stream = '$_[0]'::regclass" }

sub peek_fails
{
    my ($name) = @_;
    my $begin = time();
    my ($rc, $out, $err) = $node->psql('postgres',
        "SET anomaly.peek_time_limit = '1s'; SELECT hostname FROM cpu_in LIMIT 1",
        extra_params => [ '-v', 'VERBOSITY=sqlstate' ]);
    isnt($rc, 0, "$name: a peek fails");
    like($err, qr/ERROR:\s+08006/, "$name: as a connection failure");
    cmp_ok(time() - $begin, '<', 4, "$name: at its time limit");
    return;
}

my $away = 'anomaly cannot reach the broker';
my $back = 'anomaly reaches the broker again';
my $sent = 0;

sub generate
{
    my ($broker, $count) = @_;
    $broker->generate(count => $count, seed => $sent + 1, start_ms => $start_ms + 100 * $sent,
        step_us => 100_000);
    $sent += $count;
    return;
}

sub caught_up
{
    my ($name) = @_;
    wait_for_messages($node, $_, $sent) for qw(cpu_agg cpu_hot);
    note($name);
    return;
}

my $broker = Broker->kafka(topic => 'cpu_load_stats_real', partitions => 2);
generate($broker, 1000);

# ---- away when everything is made ----
$broker->kill;
quick($node, 'CREATE SERVER message_queue FOREIGN DATA WRAPPER anomaly_kafka OPTIONS'
      . " (bootstrap_servers '" . $broker->bootstrap
      . "', topic_metadata_refresh_interval_ms '500')", 'CREATE SERVER');
create_stream($node);
for my $table (sort keys %Anomaly::definition)
{
    quick($node, "CREATE TABLE $table WITH (anomaly.continuous) AS "
          . sprintf($Anomaly::definition{$table}, 'cpu_in'), "CREATE TABLE $table");
}
wait_until($node, state_of('cpu_in'), 'unreachable', 'the state says what is wrong');
is($node->safe_psql('postgres', 'SELECT last_error IS NOT NULL AND last_error_at IS NOT NULL AND'
          . " worker_pid IS NOT NULL FROM anomaly.stream_status"), 't', 'with the error');
peek_fails('down at CREATE');
is(log_count($node, $away), 1, 'one log line');
quick($node, "CREATE TABLE another WITH (anomaly.continuous) AS SELECT hostname FROM cpu_in",
    'another table');
quick($node, "ALTER FOREIGN TABLE cpu_in OPTIONS (SET watermark_delay '11 seconds')", 'ALTER');
quick($node, 'DROP TABLE another', 'DROP TABLE');
my $begin = time();
is($node->safe_psql('postgres', "SELECT anomaly.wait_for_stream('cpu_in', '1 second')"), 'f',
    'wait_for_stream gives up');
cmp_ok(time() - $begin, '<', 4, 'at its time limit');
wait_until($node, state_of('cpu_in'), 'unreachable', 'still away');
(my $other = $broker->bootstrap) =~ s/127\.0\.0\.1/localhost/;
quick($node, "ALTER SERVER message_queue OPTIONS (SET bootstrap_servers '$other')", 'ALTER SERVER');
wait_until($node, "SELECT state = 'unreachable' AND last_error LIKE '%localhost%'"
      . ' FROM anomaly.stream_status', 't', 'away in other words');
is(log_count($node, $away), 1, 'and still one log line, whatever was made or dropped');
$broker->start;
caught_up('the broker is there');
wait_until($node, state_of('cpu_in'), 'running', 'it goes on by itself');
is(log_count($node, $back), 1, 'and says so once');

# ---- away in between ----
generate($broker, 1000);
caught_up('the broker is there');
$broker->kill;
wait_until($node, state_of('cpu_in'), 'unreachable', 'noticed in between');
is(log_count($node, $away), 2, 'logged once more');
peek_fails('down in between');
quick($node, "SELECT anomaly.pause('cpu_in')", 'pause');
wait_until($node, state_of('cpu_in'), 'paused', 'paused');
quick($node, "SELECT anomaly.resume('cpu_in')", 'resume');
wait_until($node, state_of('cpu_in'), 'unreachable', 'a new worker finds the same');
$broker->start;
generate($broker, 1000);
caught_up('the broker is there');

# ---- away when the server starts ----
$broker->kill;
$node->restart;
wait_until($node, state_of('cpu_in'), 'unreachable', 'after a restart of the server');
$broker->start;
generate($broker, 1000);
caught_up('the broker is there');
wait_until($node, state_of('cpu_in'), 'running', 'running in the end');

my $file = PostgreSQL::Test::Utils::tempdir() . '/all';
consume($broker->bootstrap, 'cpu_load_stats_real', $file);
load_plain($node, 'plain', $file);
is($node->safe_psql('postgres', 'SELECT count(*) FROM plain'), $sent, 'all messages were kept');
check_oracle($node, 'plain', 'after all outages');
is($node->safe_psql('postgres', 'SELECT count(*) FROM anomaly.lost_range'), '0',
    'nothing was lost');

# ---- a topic that is not there yet ----
create_stream($node, name => 'later_in', topic => 'later');
quick($node, 'CREATE TABLE later_all WITH (anomaly.continuous) AS'
      . ' SELECT hostname, kafka_partition, kafka_offset FROM later_in', 'CREATE TABLE');
wait_until($node, state_of('later_in'), 'failing', 'a missing topic is shown');
like($node->safe_psql('postgres',
        "SELECT last_error FROM anomaly.stream_status WHERE stream = 'later_in'::regclass"),
    qr/topic "later"/, 'by name');
is(log_count($node, 'anomaly cannot read topic "later"'), 1, 'and logged once');
my ($rc, $out, $err) = $node->psql('postgres', 'SELECT * FROM later_in');
isnt($rc, 0, 'a peek at it fails');
$broker->topic('later', 2);
$broker->generate(topic => 'later', count => 100, start_ms => $start_ms);
wait_for_messages($node, 'later_all', 100);
wait_until($node, state_of('later_in'), 'running', 'it is read once it is there');
undef $broker;

# ---- an outage is no silence ----
my $still = Broker->mock(topic => 'still', partitions => 2);
my $clock = Broker->mock(topic => 'clock');
create_server($node, $still->bootstrap, 'still_queue');
create_server($node, $clock->bootstrap, 'clock_queue');
for my $name (qw(still clock))
{
    create_stream($node, name => "${name}_in", topic => $name, server => "${name}_queue",
        options => { idle_timeout => '1 second', watermark_delay => '0 seconds' });
}
# The seconds of the window are those that must pass in silence.
sub count_windows
{
    my ($name, $seconds) = @_;
    return "CREATE TABLE ${name}_agg WITH (anomaly.continuous, anomaly.emit = close) AS"
      . " SELECT window_start, window_end, count(*) AS n FROM ${name}_in,"
      . " tumble(time_ltz, interval '$seconds seconds') GROUP BY window_start, window_end";
}
$node->safe_psql('postgres', count_windows('still', 10) . ';' . count_windows('clock', 20));
my $reading = '{"hostname":"doc","cpu":"cpu1","usage":1.5,"occurred_at":' . $start_ms . '}';
$still->produce("0\t\\N\t$reading");
wait_for_messages($node, 'still_agg', 1);
kill('STOP', $still->{pid});
$clock->produce("0\t\\N\t$reading");
wait_for_messages($node, 'clock_agg', 1);
wait_until($node, 'SELECT count(*) FROM clock_agg', '1', 'a silent topic closes its window');
is($node->safe_psql('postgres', 'SELECT count(*) FROM still_agg'), '0',
    'while a broker that does not answer closes none');
is($node->safe_psql('postgres',
        "SELECT open_windows FROM anomaly.table_status WHERE relid = 'still_agg'::regclass"),
    '1', 'its window is open');
peek_is_limited();
kill('CONT', $still->{pid});
wait_until($node, 'SELECT count(*) FROM still_agg', '1', 'until it answers, and is silent');
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal|TRAP/, 'nothing has crashed');
done_testing();

# A broker that accepts connections and says nothing holds no session either.
sub peek_is_limited
{
    my $from = time();
    my ($code, $text, $error) = $node->psql('postgres',
        "SET anomaly.peek_time_limit = '1s'; SELECT hostname FROM still_in LIMIT 1",
        extra_params => [ '-v', 'VERBOSITY=sqlstate' ]);
    like($error, qr/ERROR:\s+08006/, 'a peek at a broker that says nothing fails');
    cmp_ok(time() - $from, '<', 4, 'at its time limit');
    return;
}
