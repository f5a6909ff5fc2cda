# Goal: a definition that was written so many transactions ago that its transaction seems to be yet
# to come is loaded as any other.
# Method: everything is frozen, and the counter of transactions set back to before the definition.
use strict;
use warnings;
use Anomaly qw(cluster create_server wait_for_messages);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = cluster('main', autovacuum => 'off');
my $broker = Broker->mock(topic => 'readings');
create_server($node, $broker->bootstrap);

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub next_transaction { return sql('SELECT pg_current_xact_id()::xid') }

my $before = next_transaction();
next_transaction() for 1 .. 20;
sql("CREATE FOREIGN TABLE readings (n int) SERVER message_queue OPTIONS (topic 'readings');"
      . ' CREATE TABLE kept WITH (anomaly.continuous) AS SELECT n FROM readings');
$broker->produce(qq{0\t\\N\t{"n": 1}});
wait_for_messages($node, 'kept', 1);
sql(q{SELECT anomaly.pause('readings')});
sql('VACUUM FREEZE');
$node->stop;
system_or_bail('pg_resetwal', '-f', '-x', $before, $node->data_dir);
$node->start;
cmp_ok(next_transaction(), '<', sql('SELECT xmin FROM anomaly.continuous_table'),
    'the definition comes from the future');
sql(q{SELECT anomaly.resume('readings')});
$broker->produce(qq{0\t\\N\t{"n": 2}});
wait_for_messages($node, 'kept', 2);
is(sql('SELECT sum(n) FROM kept'), '3', 'and its table is read on');
$node->stop;
$broker->stop;
done_testing();
