# Goal: a topic that is deleted for good holds nobody up: its stream is altered, dropped, and its
# worker ends when it is told to, though the client library never comes back from ending its client.
# Method: a real broker, and each of what makes it end a client, after its topic has gone.
use strict;
use warnings;

use Anomaly qw(cluster create_server create_stream wait_until worker_pids);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = cluster('main', fsync => 'off');
my $broker = Broker->kafka(topic => 'kept', partitions => 2);
create_server($node, $broker->bootstrap);
# How soon a client sees that a topic has gone.
$node->safe_psql('postgres',
    q{ALTER SERVER message_queue OPTIONS (ADD topic_metadata_refresh_interval_ms '1000')});

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub make_stream
{
    my ($name) = @_;
    $broker->topic($name, 2);
    create_stream($node, name => $name, topic => $name,
        options => { idle_timeout => '1 second' });
    sql("CREATE TABLE ${name}_agg WITH (anomaly.continuous) AS SELECT hostname, count(*) AS n"
          . " FROM $name GROUP BY hostname");
    $broker->produce_to({ topic => $name }, map {
        "0\t\\N\t{\"hostname\":\"h$_\",\"cpu\":\"c\",\"usage\":5,\"occurred_at\":1600000000000}"
    } 1 .. 9);
    return wait_until($node, "SELECT sum(n) FROM ${name}_agg", '9', "$name is read");
}

sub delete_topic
{
    my ($name) = @_;
    $broker->delete_topic($name);
    return wait_until($node, "SELECT state <> 'running' FROM anomaly.stream_status"
          . " WHERE stream = '$name'::regclass", 't', "$name is missed");
}

make_stream('altered');
delete_topic('altered');
sql(q{ALTER FOREIGN TABLE altered OPTIONS (ADD max_future '1 day')});
$broker->topic('altered', 2);
$broker->produce_to({ topic => 'altered' },
    "0\t\\N\t{\"hostname\":\"new\",\"cpu\":\"c\",\"usage\":5,\"occurred_at\":1600000000000}");
wait_until($node, q{SELECT n FROM altered_agg WHERE hostname = 'new'}, '1',
    'altered while its topic was gone, and made again: it is read on');

make_stream('dropped');
delete_topic('dropped');
sql('DROP FOREIGN TABLE dropped CASCADE');
wait_until($node, q{SELECT count(*) FROM pg_stat_activity
    WHERE backend_type = 'anomaly stream worker'}, '1', 'dropped: its worker has ended');

make_stream('stopped');
delete_topic('stopped');
$node->stop('fast');
pass('the server stops');
done_testing();
