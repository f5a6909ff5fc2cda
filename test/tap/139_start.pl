# Goal: a new continuous table begins where its stream's startup or its own anomaly.start says:
# latest is found out once, so that nothing is missed afterwards, whatever restarts; a partition
# that appears later is read from its beginning.
# Method: a real Kafka with messages of two times; tables that begin in each way; messages while the
# server is down, before anything was read; another partition.
use strict;
use warnings;
use Anomaly qw(cluster create_server wait_until wait_for_messages);
use Broker;
use Test::More;

my $node = cluster('main', fsync => 'off');
my $broker = Broker->kafka(topic => 'numbers', partitions => 2, config => ['retention.ms=-1']);
create_server($node, $broker->bootstrap);
$node->safe_psql('postgres', q{ALTER SERVER message_queue
    OPTIONS (ADD topic_metadata_refresh_interval_ms '3000')});
my %startup = (
    earliest => 'earliest',
    latest => 'latest',
    at => '2026-01-01 00:00:10+00',
    offsets => '{"0": 4, "1": 2}');
my @tables = (qw(earliest latest at offsets), 'earliest_of_latest', 'latest_of_earliest');
my $t0_ms = 1_767_225_600_000;    # 2026-01-01

# $count messages in each partition, numbered on.
my $last = 0;

sub produce
{
    my ($count, $timestamp_ms, @partitions) = @_;
    my @lines = map { my $p = $_; map { "$p\t\\N\t{\"n\": " . ++$last . '}' } 1 .. $count }
      @partitions;
    $broker->produce_to({ timestamp_ms => $timestamp_ms }, @lines);
    return;
}

sub numbers
{
    my ($table) = @_;
    return $node->safe_psql('postgres', "SELECT string_agg(n::text, ' ' ORDER BY n) FROM $table");
}

# By partition: 1 2 3, 4 5 6; then 7 8, 9 10.
produce(3, $t0_ms, 0, 1);
produce(2, $t0_ms + 10_000, 0, 1);
$node->safe_psql('postgres', "CREATE FOREIGN TABLE s_$_ (n int) SERVER message_queue"
      . " OPTIONS (topic 'numbers', startup '$startup{$_}')") for sort keys %startup;
for my $table (@tables)
{
    my ($start, $stream) = $table =~ /^(\w+)_of_(\w+)$/ ? ($1, $2) : (undef, $table);
    $node->safe_psql('postgres', "CREATE TABLE $table WITH (anomaly.continuous"
          . ($start ? ", anomaly.start = '$start'" : '') . ") AS SELECT n FROM s_$stream");
}

# The end is known, though there was no message.
wait_until($node, "SELECT positions FROM anomaly.table_status WHERE relid = '$_'::regclass",
    '{"0": 5, "1": 5}', "$_: where it begins is stored") for qw(latest latest_of_earliest);
$node->stop('immediate');
produce(1, $t0_ms + 20_000, 0, 1);
$node->start;
wait_for_messages($node, $_, 12) for @tables;
my %want = (
    earliest => '1 2 3 4 5 6 7 8 9 10 11 12',
    latest => '11 12',
    at => '7 8 9 10 11 12',
    offsets => '6 8 9 10 11 12',
    earliest_of_latest => '1 2 3 4 5 6 7 8 9 10 11 12',
    latest_of_earliest => '11 12');
is(numbers($_), $want{$_}, "$_: begins where it should, and misses nothing") for @tables;

$broker->partitions('numbers', 3);
produce(2, $t0_ms, 2);
wait_for_messages($node, $_, 14) for @tables;
is(numbers($_), "$want{$_} 13 14", "$_: a partition more, from its beginning") for @tables;
is($node->safe_psql('postgres', 'SELECT count(*) FROM anomaly.lost_range'), '0',
    'nothing is called lost');
$broker->stop;
$node->stop;
done_testing();
