# Goal: streams in which nothing happens have no client of their own, one of the manager's watches
# all their topics, and nothing is ever missed: not a message, not a partition that is added, not an
# outage, nor what is asked of a worker that rests.
# Method: a real broker; a worker that rests is known by its threads, of which it has one. A client
# is let go after a tenth of a second here, so that messages come in every phase of that, and the
# watch's fetches wait for two seconds, half of the time after which nothing is answered any more:
# it sees a topic that joins only when the fetch before is over.
use strict;
use warnings;

use Anomaly qw(cluster create_server same_rows wait_until worker_pids);
use Broker;
use PostgreSQL::Test::Utils;
use Resting qw(threads until_true);
use Test::More;
use Time::HiRes qw(sleep time);

my $streams = 4;
my $rounds = $ENV{ANOMALY_ROUNDS} // 40;
my $seed = $ENV{ANOMALY_SEED} // int(rand(1 << 31));
srand($seed);
note("ANOMALY_SEED=$seed");

my $node = cluster('rest', 'anomaly.rest_after' => '100ms');
my $broker = Broker->kafka(topic => 'topic1', partitions => 2);
$broker->topic("topic$_", 2) for 2 .. $streams;
create_server($node, $broker->bootstrap);
# Partitions that are added are found soon.
sql(q{ALTER SERVER message_queue OPTIONS (ADD topic_metadata_refresh_interval_ms '1000',
    ADD socket_timeout_ms '4000')});

sub sql { my ($text) = @_; return $node->safe_psql('postgres', $text) }

my $resting = Resting->new($node, $broker);
$resting->create($_) for 1 .. $streams;

# ---- who has a client ----
$resting->all_rest('after a silence', 1 .. $streams);
my ($manager) = worker_pids($node, 'manager');
my $one_client = threads($manager);
cmp_ok($one_client, '>', 1, "the manager has a client ($one_client threads)");
cmp_ok($one_client, '<', 8, 'and not more than one');
is($resting->status($_, 'state, lag'), 'running|0', "stream $_ runs, and nothing lies ahead")
  for 1 .. $streams;

my %before = map { $_ => sleeps($_) } 2 .. $streams;
my $seconds = -time;
$resting->produce(1, 1);
$resting->is_counted(1, 'of one that rests');
$seconds += time;
cmp_ok($seconds, '<', 3, sprintf('at once (after %.2f s)', $seconds));
$resting->all_rest('after one message', 1 .. $streams);
is(sleeps($_), $before{$_}, "stream $_ was not woken") for 2 .. $streams;

sub sleeps
{
    my ($of) = @_;
    my $pid = $resting->status($of, 'worker_pid');
    return slurp_file("/proc/$pid/status") =~ /^voluntary_ctxt_switches:\s+(\d+)/m ? $1 : die;
}

# ---- messages in every phase ----
for my $round (1 .. $rounds)
{
    $resting->produce(1 + int(rand($streams)), map { int(rand(2)) } 0 .. int(rand(3)));
    sleep(rand(0.4));
}
$resting->is_counted($_, 'at random times') for 1 .. $streams;
$resting->all_rest('afterwards', 1 .. $streams);

# ---- what is asked of a worker that rests ----
sql('CREATE TABLE more1 WITH (anomaly.continuous) AS SELECT count(*) AS n FROM in1');
wait_until($node, 'SELECT n FROM more1', $resting->sent(1), 'a new table reads from the beginning');
sql(q{ALTER TABLE in2 OPTIONS (ADD watermark_delay '1 second')});
sql(q{ALTER SERVER message_queue OPTIONS (ADD client_id 'another')});
$resting->all_rest('after ALTER', 1 .. $streams);
$resting->produce($_, 0) for 1 .. 2;
$resting->is_counted($_, 'after ALTER') for 1 .. 2;
sql(q{SELECT anomaly.pause('in3')});
until_true(sub { $resting->status(3, 'state') eq 'paused' }, 'one that rests can be paused');
$resting->produce(3, 0);
sql(q{SELECT anomaly.resume('in3')});
$resting->is_counted(3, 'after a pause');
$resting->all_rest('after a pause', 1 .. $streams);

# ---- the topic changes ----
$broker->partitions('topic2', 3);
wait_until($node, 'SELECT 3 = cardinality(next_offsets) FROM anomaly.table_progress'
      . q{ WHERE relid = 'out2'::regclass}, 't', 'a partition that is added is found');
$resting->produce(2, 2);
$resting->is_counted(2, 'in a partition that was added');
$broker->delete_topic('topic3');
until_true(sub { $resting->status(3, 'state') eq 'failing' }, 'a topic that is deleted is missed');
$broker->topic('topic3', 2);
$resting->produce(3, 0, 1);
wait_until($node, 'SELECT max(n) FROM out3', $resting->sent(3), 'and read again, made anew');
$resting->all_rest('then', 1 .. $streams);

# ---- an outage ----
$broker->kill;
until_true(sub { !grep { $resting->status($_, 'state') ne 'unreachable' } 1 .. $streams },
    'an outage is seen by all');
$broker->start;
$resting->produce($_, 1) for 1 .. 2;
$resting->is_counted($_, 'after an outage') for 1 .. 2;
$resting->all_rest('after an outage', 1 .. $streams);
is($resting->status($_, 'state'), 'running', "stream $_ runs again") for 1 .. $streams;

# ---- the manager ends ----
kill('KILL', worker_pids($node, 'manager'));
$node->poll_query_until('postgres', 'SELECT true');
$resting->produce($_, 0) for 1 .. 2;
$resting->is_counted($_, 'after a crash of the manager') for 1 .. 2;
$resting->all_rest('after a crash', 1 .. $streams);
my ($ended) = worker_pids($node, 'manager');
kill('TERM', $ended);
$resting->produce($_, 0) for 1 .. 2;
$resting->is_counted($_, 'after the end of the manager') for 1 .. 2;
$resting->all_rest('after its end', 1 .. $streams);

# ---- never, and the end ----
$node->append_conf('postgresql.conf', 'anomaly.rest_after = -1');
$node->reload;
until_true(sub { !grep { $resting->rests($_) } 1 .. $streams }, 'told never to rest, none does');
$resting->produce($_, 0) for 1 .. 2;
$resting->is_counted($_, 'without rest') for 1 .. 2;
$node->append_conf('postgresql.conf', 'anomaly.rest_after = 100ms');
$node->reload;
$resting->all_rest('told to rest', 1 .. $streams);
is(sql('SELECT count(*) FROM anomaly.dead_letter'), '0', 'nothing was bad');
sql('DROP EXTENSION anomaly CASCADE');
until_true(sub { !worker_pids($node, 'manager') }, 'DROP EXTENSION ends all');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP/, 'nothing has crashed');
done_testing();
