# Goal: tools that show the lag of consumer groups see how far a stream is, and nothing else about
# it changes: the offsets in the broker are never read.
# Method: a real Kafka and its own tool.
use strict;
use warnings;

use Anomaly qw(cluster create_server wait_until);
use Broker;
use Test::More;

my $node = cluster('mirror');
my $broker = Broker->kafka(topic => 'mirrored', partitions => 2);
create_server($node, $broker->bootstrap);
sub sql { my ($text) = @_; return $node->safe_psql('postgres', $text) }

sub group_is
{
    my ($want, $name) = @_;
    my $got = '';
    for (1 .. 30) { $got = $broker->group('lag'); last if $got eq $want }
    is($got, $want, $name);
    return;
}

sql("CREATE FOREIGN TABLE mirrored_in (n int) SERVER message_queue OPTIONS (topic 'mirrored',"
      . " group_id 'lag');"
      . ' CREATE TABLE one WITH (anomaly.continuous) AS SELECT n FROM mirrored_in');
$broker->produce(map { ($_ % 3 == 0 ? 1 : 0) . "\t\\N\t{\"n\":$_}" } 1 .. 30);
wait_until($node, 'SELECT count(*) FROM one', '30', 'all is taken in');
group_is("mirrored 0 20\nmirrored 1 10\n", 'the group is where the stream is');

# A table that fails holds the mirror, as it holds its own position.
sql('CREATE TABLE two WITH (anomaly.continuous) AS SELECT n FROM mirrored_in;'
      . " CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION"
      . " ''not now''; END'; CREATE TRIGGER refuse BEFORE INSERT ON two FOR EACH ROW"
      . ' EXECUTE FUNCTION refuse()');
$broker->produce("0\t\\N\t{\"n\":31}");
wait_until($node, 'SELECT count(*) FROM one', '31', 'the other table goes on');
is($broker->group('lag'), "mirrored 0 20\nmirrored 1 10\n", 'the group stands still');
sql('DROP TRIGGER refuse ON two');
wait_until($node, 'SELECT count(*) FROM two', '31', 'until the table has caught up');
group_is("mirrored 0 21\nmirrored 1 10\n", 'then it is where both are');
done_testing();
