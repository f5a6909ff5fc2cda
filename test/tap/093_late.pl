# Goal: whatever time does in a topic, no row is late that was not, and one that was is: partitions
# that are empty, idle or silent, an event time far in the future, disorder within the delay, a
# partition hours behind during a back-fill, an hour in which the server was down. (An outage of the
# broker: 060_broker_down.pl; a restart within a window: 070_silence.pl.)
# Method: a table of cases, each a stream of its own, all at the same time: what is in the topic
# before its table is made, what comes before and while the server is down, what we wait for then,
# and what comes last. How many messages were late and how many bad is known for each; the table
# equals its own SELECT over all others.
use strict;
use warnings;

use Anomaly qw(cluster create_server create_stream wait_until wait_for_messages same_rows consume
  load_plain);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $start_ms = 1_700_000_040_000;    # a whole minute
my $node = cluster('main', fsync => 'off', 'anomaly.batch_rows' => 64,
    'anomaly.commit_interval' => '10ms');

# Messages of a partition, at so many seconds.
sub at
{
    my ($partition, @seconds) = @_;
    return map {
        my $ms = sprintf('%.0f', $start_ms + 1000 * $_);
        qq($partition\t\\N\t{"hostname":"doc","cpu":"cpu$partition","usage":50,)
          . qq("occurred_at":$ms})
    } @seconds;
}

# The windows are of a minute, and the watermark has no delay but where one is named. Silence counts
# after a second, or not at all; after it nothing may come too near to where the clock has gone.
my @cases = (
    {   name => 'empty',
        why => 'half of the partitions never have a message',
        partitions => 4, idle => '1 second',
        first => [ at(0, 50 .. 59), at(2, 50 .. 59) ], until => 60,
        last => [ at(2, 4000, 4009), at(0, 4001, 4002) ] },
    {   name => 'idle',
        why => 'a partition that was idle comes back, once in time and once an hour late',
        partitions => 2, idle => '1 second',
        first => [ at(0, 1 .. 30), at(1, 1), at(0, map { 60 * $_ } 1 .. 60) ], until => 3600,
        last => [ at(1, 7205), at(0, 7201), at(1, 10) ], late => 1 },
    {   name => 'silent',
        why => 'a topic falls silent, and goes on in time, but for one message',
        partitions => 1, idle => '1 second',
        first => [ at(0, 58) ], until => 60,
        last => [ at(0, 3600, 6, 3601) ], late => 1 },
    {   name => 'future',
        why => 'an event time of the next century moves nothing',
        partitions => 2, idle => '1 hour',
        first => [ at(0, 1, 2_500_000_000, 2), at(1, 1) ],
        last => [ at(0, 3), at(1, 2_400_000_000, 2), at(0, 59) ], bad => 2 },
    {   name => 'backward',
        why => 'disorder within the delay, and one message beyond it',
        partitions => 1, idle => '1 hour', delay => '1 minute',
        first => [ at(0, 120, 61, 60.001, 119.9, 60, 150, 90, 240) ], until => 180,
        last => [ at(0, 180, 179.999, 200, 300, 240) ], late => 1 },
    {   name => 'behind',
        why => 'one partition is hours behind during the back-fill',
        partitions => 3, idle => '1 second',
        before => [ at(0, map { 5 * $_ } 0 .. 2000), at(1, map { 100 * $_ } 0 .. 100),
            at(2, map { 9000 + $_ } 0 .. 1000) ], until => 10_000,
        last => [ at(1, 20_000) ] },
    {   name => 'down',
        why => 'an hour of messages comes while the server is down',
        partitions => 2, idle => '1 second', timestamp_ms => (time() - 3600) * 1000,
        first => [ at(0, 1 .. 9), at(1, 1 .. 5) ],
        meanwhile => [ at(0, map { 5 * $_ } 2 .. 720), at(1, map { 5 * $_ } 2 .. 720) ],
        until => 3600,
        last => [ at(0, 7201), at(1, 7202) ] });

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub produce
{
    my ($case, $step) = @_;
    my @lines = @{ $case->{$step} // return };
    my $options = $case->{timestamp_ms} && $step ne 'last'
      ? { timestamp_ms => $case->{timestamp_ms} } : {};
    $case->{broker}->produce_to($options, @lines);
    $case->{sent} += @lines;
    return;
}

sub wait_for_all
{
    wait_for_messages($node, "$_->{name}_agg", $_->{sent}) for grep { $_->{sent} } @cases;
    return;
}

my $definition = 'SELECT cpu, window_start, window_end, count(*) AS n FROM %s,'
  . " tumble(time_ltz, interval '1 minute') GROUP BY 1, 2, 3";
for my $case (@cases)
{
    my $name = $case->{name};
    $case->{broker} = Broker->mock(topic => $name, partitions => $case->{partitions});
    create_server($node, $case->{broker}->bootstrap, "${name}_queue");
    create_stream($node, name => "${name}_in", topic => $name, server => "${name}_queue",
        options => { idle_timeout => $case->{idle}, watermark_delay => $case->{delay} // '0' });
    produce($case, 'before');
    sql("CREATE TABLE ${name}_agg WITH (anomaly.continuous) AS "
          . sprintf($definition, "${name}_in"));
}
produce($_, 'first') for @cases;
wait_for_all();
$node->stop;
produce($_, 'meanwhile') for @cases;
$node->start;
wait_for_all();
for my $case (grep { $_->{until} } @cases)
{
    wait_until($node, "SELECT anomaly.watermark('$case->{name}_agg')"
          . " >= to_timestamp($start_ms / 1000 + $case->{until})",
        't', "$case->{name}: time has come to $case->{until} s");
}
# One after the other: what a message does to others shows in a commit of its own.
for my $case (@cases)
{
    my @last = @{ $case->{last} };
    for my $line (@last)
    {
        $case->{last} = [$line];
        produce($case, 'last');
        wait_for_messages($node, "$case->{name}_agg", $case->{sent});
    }
}

for my $case (@cases)
{
    my $name = $case->{name};
    my $late = "anomaly.late_row WHERE relid = '${name}_agg'::regclass";
    is(sql("SELECT count(*) FROM $late"), $case->{late} // 0, "$name: $case->{why}")
      or diag(sql("SELECT kafka_partition, convert_from(message, 'UTF8') FROM $late"));
    is(sql("SELECT count(*) FROM anomaly.dead_letter WHERE stream = '${name}_in'::regclass"),
        $case->{bad} // 0, "$name: messages that are bad");
    my $file = PostgreSQL::Test::Utils::tempdir() . "/$name";
    consume($case->{broker}->bootstrap, $name, $file);
    load_plain($node, "${name}_plain", $file);
    same_rows($node, "SELECT * FROM ${name}_agg", sprintf($definition,
        "(SELECT * FROM ${name}_plain p WHERE time_ltz < now() AND (kafka_partition, kafka_offset)"
          . " NOT IN (SELECT kafka_partition, kafka_offset FROM $late)) p"),
        "$name: the table has all others");
}
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal|TRAP/, 'nothing has crashed');
done_testing();
