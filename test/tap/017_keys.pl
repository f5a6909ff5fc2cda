# Goal: a continuous table may be grouped by values of any type that GROUP BY takes, and equal
# values that look different are one group, also when a restart lies between them.
# Method: one table for each type, over messages that repeat few values in many spellings; the
# server is restarted halfway. PostgreSQL's own GROUP BY over the same rows is the judge.
use strict;
use warnings;
use Anomaly qw(cluster create_server wait_for_messages same_rows);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

srand(17);
my $node = cluster('main', 'anomaly.batch_rows' => 16);
my $broker = Broker->mock(topic => 'values', partitions => 2);
create_server($node, $broker->bootstrap);
my %type = (
    numeric => { sql => 'numeric', values => [qw(1 1.0 1.00 -2.5 -2.50 NaN 0 0.000 1e3 1000)] },
    scaled => { sql => 'numeric(6,2)', values => [qw(1 1.0 1.005 -2.5)] },
    jsonb => { sql => 'jsonb', json => 1,
        values => ['{"a": 1}', '{"a": 1.0}', '[1, 2]', '[1.0, 2]', '"x"', '{"b": {"a": 1e0}}'] },
    interval => { sql => 'interval',
        values => ['1 month', '30 days', '720:00:00', '1 day', '24:00'] },
    mood => { sql => 'mood', values => [qw(happy sleepy grumpy)] },
    numbers => { sql => 'numeric[]', values => ['{1,2}', '{1.0,2.0}', '{}', '{NULL,3}'] },
    moods => { sql => 'mood[]', values => ['{happy}', '{happy,sleepy}'] },
    padded => { sql => 'char(5)', values => ['a', 'a  ', 'b'] },
    caseless => { sql => 'text COLLATE caseless', values => [qw(Doc doc DOC dopey)] },
    positive => { sql => 'positive', values => [qw(1 1.0 7)] },
    pair => { sql => 'pair', values => ['(1.0,x)', '(1,x)', '(2,"y z")'] },
    span => { sql => 'numrange', values => ['[1,2)', '[1.0,2.0)', 'empty', '[3,)'] },
    address => { sql => 'inet', values => [qw(10.0.0.1 10.0.0.1/32 10.0.0.0/8 ::1)] },
    name => { sql => 'varchar(3)', values => [qw(abc ab)] },
    place => { sql => 'point', values => [] });
$node->safe_psql('postgres', <<'SQL');
CREATE TYPE mood AS ENUM ('happy', 'sleepy', 'grumpy');
CREATE COLLATION caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE DOMAIN positive AS numeric CHECK (VALUE > 0);
CREATE TYPE pair AS (n numeric, t text);
SQL
my @names = sort grep { $_ ne 'place' } keys %type;
my $columns = join(', ', map { "v_$_ $type{$_}{sql}" } @names);
$node->safe_psql('postgres', "CREATE FOREIGN TABLE values_in (n int, at timestamptz, place point,"
      . " $columns, kafka_partition int OPTIONS (metadata 'partition')) SERVER message_queue"
      . " OPTIONS (topic 'values', event_time 'at', watermark_delay '1 day')");
for my $name (@names)
{
    $node->safe_psql('postgres', "CREATE TABLE by_$name WITH (anomaly.continuous) AS"
          . " SELECT v_$name, window_start, count(*) AS n, sum(n) AS total"
          . " FROM values_in, tumble(at, interval '1 minute') GROUP BY v_$name, window_start");
}
$node->safe_psql('postgres', 'CREATE TABLE by_two WITH (anomaly.continuous) AS'
      . ' SELECT v_numeric, v_mood, count(*) AS n FROM values_in GROUP BY 1, 2');
my ($result, $out, $error) = $node->psql('postgres', 'CREATE TABLE by_place WITH'
      . ' (anomaly.continuous) AS SELECT place, count(*) FROM values_in GROUP BY place');
like($error, qr/could not identify an equality operator for type point/,
    'what PostgreSQL cannot group by is its own error');

my $sent = 0;

sub produce
{
    my ($count) = @_;
    my @lines;
    for (1 .. $count)
    {
        my @fields = map {
            my $values = $type{$_}{values};
            my $value = $values->[ int(rand(@$values)) ];
            my $text = $type{$_}{json} ? $value : '"' . ($value =~ s/"/\\"/gr) . '"';
            rand() < 0.1 ? () : qq("v_$_": $text)
        } @names;
        my $at = sprintf('2026-01-01 00:%02d:%02d+00', $sent / 200, int(rand(60)));
        push @lines, int(rand(2)) . "\t\\N\t{" . join(', ', "\"n\": $sent", "\"at\": \"$at\"",
            @fields) . '}';
        $sent++;
    }
    $broker->produce(@lines);
    return;
}

produce(300);
wait_for_messages($node, "by_$_", $sent) for @names, 'two';
$node->stop('immediate');
$node->start;
produce(300);
wait_for_messages($node, "by_$_", $sent) for @names, 'two';

is($node->safe_psql('postgres', 'SELECT count(*) FROM anomaly.dead_letter'), '0', 'none was bad');
$node->safe_psql('postgres', 'CREATE TABLE plain AS SELECT * FROM values_in');
for my $name (@names)
{
    same_rows($node, "SELECT * FROM by_$name",
        "SELECT v_$name, window_start, count(*) AS n, sum(n) AS total"
          . " FROM plain, tumble(at, interval '1 minute') GROUP BY v_$name, window_start",
        "by $type{$name}{sql}");
}
same_rows($node, 'SELECT * FROM by_two',
    'SELECT v_numeric, v_mood, count(*) FROM plain GROUP BY 1, 2', 'by two of them, kept for ever');
like($node->safe_psql('postgres', q{SELECT anomaly.explain('by_mood')}),
    qr/key: v_mood \(evaluated by PostgreSQL\)/, 'explain says who compares');

$node->stop;
done_testing();
