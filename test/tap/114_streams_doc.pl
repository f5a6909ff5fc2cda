# Goal: docs/streams.md names every option there is, and its SQL works as it stands.
# Method: the names come from the sources of the validator; the blocks are run in one database, over
# topics that hold what the text says, on a real Kafka.
use strict;
use warnings;
use Anomaly qw(cluster create_server create_stream wait_for_messages);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $tree = $ENV{ANOMALY_TREE};
my $page = slurp_file("$tree/docs/streams.md");

my %option;
my $options = slurp_file("$tree/src/pg/stream/options.cpp");
while ($options =~ /k(?:Server|Table|Column)Options\[\] = \{(.*?)\}/sg)
{
    my $list = $1;
    $option{$_} = 1 for $list =~ /"(\w+)"/g;
}
cmp_ok(scalar(keys %option), '>', 15, scalar(keys %option) . ' options of ours');
my $properties = slurp_file("$tree/src/bridge/property.cpp");
$option{$1} = 1 while $properties =~ /^\s+\{"(\w+)",\s+"[\w.]+"/mg;
cmp_ok(scalar(keys %option), '>', 60, scalar(keys %option) . " options with the client's");
is(join(' ', grep { $page !~ /`\Q$_\E`/ } sort keys %option), '', 'all are in the page');

my $broker = Broker->kafka(topic => 'cpu_load_stats_real', partitions => 1);
$broker->topic($_, 1) for qw(many_rows s4_responsetime alerts letters);
$broker->topic('places', 4);
my $node = cluster('main');
create_server($node, $broker->bootstrap);
create_stream($node);
$broker->produce_to({ topic => 'cpu_load_stats_real' },
    map { qq(0\tdoc\t{"hostname": "doc", "cpu": "cpu1", "usage": 8$_.5,)
          . qq( "occurred_at": 170000000000$_}) } 1 .. 3);
$broker->produce_to({ topic => 'places' }, map { "1\t\\N\t" . ($_ == 399 ? '{' : "{\"n\": $_}") }
      1 .. 401);
$broker->produce_to({ topic => 'letters' }, '0' . "\t\\N\t{\"level\": 1}");
$node->safe_psql('postgres', <<'SQL');
CREATE FOREIGN TABLE places_in (n int, p int OPTIONS (metadata 'partition'),
  o bigint OPTIONS (metadata 'offset')) SERVER message_queue OPTIONS (topic 'places');
CREATE FOREIGN TABLE letter_in (host text NOT NULL, level int)
  SERVER message_queue OPTIONS (topic 'letters');
CREATE TABLE letters WITH (anomaly.continuous) AS SELECT host, level FROM letter_in;
SQL
$node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM anomaly.dead_letter')
  or BAIL_OUT('the letter never came');

my $run = 0;
while ($page =~ /^```sql\n(.*?)^```\n(?:```\n(.*?)^```\n)?/msg)
{
    my ($sql, $answer) = ($1, $2);
    # A server of the name is there, and a place that nobody answers at.
    next if $sql =~ /kafka\.example/;
    my ($title) = $sql =~ /\A(.*)/;
    my ($result, $out, $error) = $node->psql('postgres', $sql, on_error_stop => 1);
    $error =~ s/^(?:psql:\S+ )?(?:WARNING|NOTICE|HINT|DETAIL):.*\n?//mg;
    is("$result $error", '0 ', $title);
    $run++;
    next unless defined $answer;
    for my $label ($answer =~ /^\s+([A-Z][\w ]*: .*)$/mg)
    {
        like($out, qr/^\s+\Q$label\E$/m, $label);
    }
}
cmp_ok($run, '>=', 7, "$run blocks of SQL");

$node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM letters')
  or BAIL_OUT('the letter was not taken in again');
is($node->safe_psql('postgres', 'SELECT count(*) FROM anomaly.dead_letter'), '0',
    'the dead letter of the text is taken in');
my $file = "${PostgreSQL::Test::Utils::tmp_check}/alerts";
Anomaly::consume($broker->bootstrap, 'alerts', $file);
my ($message) = $page =~ /^-- key doc, message (\{.*\})$/m;
is((split /\t/, slurp_file($file))[2], "$message\n", 'the message of the text is in its topic');

$node->stop;
done_testing();
