# Goal: dead letters are taken in again after the definition was mended, each exactly once in each
# table that had missed it, also through a crash; what is late by then becomes late rows; how many
# are kept has a limit, and the count of all is never lost.
# Method: messages without a host for a stream whose host is NOT NULL at first; a plain table with
# all messages and the same SELECT as the oracle.
use strict;
use warnings;

use Anomaly qw(cluster create_server same_rows wait_until wait_for_messages kill_server);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = Broker->mock(topic => 'letters', partitions => 2);
my $node = cluster('letters');
create_server($node, $broker->bootstrap);

sub sql { my ($text) = @_; return $node->safe_psql('postgres', $text) }

my $columns = 'host text, level int, at timestamptz';
my $metadata = "p int OPTIONS (metadata 'partition'), o bigint OPTIONS (metadata 'offset'),"
  . " k text OPTIONS (metadata 'key')";
sql(<<"SQL");
CREATE FUNCTION share(level int) RETURNS int LANGUAGE plpgsql IMMUTABLE
    AS 'BEGIN RETURN 100 / level; END';
CREATE FOREIGN TABLE letter_in ($columns, $metadata) SERVER message_queue
    OPTIONS (topic 'letters', event_time 'at');
ALTER FOREIGN TABLE letter_in ALTER host SET NOT NULL;
CREATE TABLE everything WITH (anomaly.continuous) AS SELECT host, level, at, p, o, k FROM letter_in;
CREATE TABLE total WITH (anomaly.continuous) AS
    SELECT level % 5 AS class, count(*) AS n, sum(level) AS levels FROM letter_in
    GROUP BY level % 5;
CREATE TABLE windowed WITH (anomaly.continuous) AS SELECT window_start, window_end, count(*) AS n
    FROM letter_in, tumble(at, interval '10 seconds') GROUP BY window_start, window_end;
CREATE TABLE shares WITH (anomaly.continuous) AS SELECT o, p, share(level) AS share FROM letter_in;
CREATE TABLE plain ($columns, p int, o bigint, k text);
SQL

my @next = (0, 0);
sub send_some
{
    my ($from, $to, $without_host) = @_;
    my (@lines, @rows);
    for my $n ($from .. $to)
    {
        my $partition = $n % 2;
        my $host = $without_host->($n) ? '' : "\"host\": \"h$n\", ";
        my $at = sprintf('2026-01-01 00:%02d:%02d+00', int($n / 60), $n % 60);
        push @lines, "$partition\tkey$n\t{$host\"level\": " . ($n % 20) . ", \"at\": \"$at\"}";
        my $value = $host eq '' ? 'NULL' : "'h$n'";
        push @rows, "($value, " . ($n % 20) . ", '$at', $partition, " . $next[$partition]++
          . ", 'key$n')";
    }
    $broker->produce(@lines);
    sql('INSERT INTO plain VALUES ' . join(', ', @rows));
    wait_for_messages($node, $_, $next[0] + $next[1]) for qw(everything total windowed shares);
    return;
}
sub check_all
{
    my ($name, @tables) = @_;
    same_rows($node, 'SELECT * FROM everything', 'SELECT * FROM plain', "$name: the filter");
    same_rows($node, "SELECT * FROM $_", 'SELECT level % 5 AS class, count(*) AS n, sum(level) AS'
          . ' levels FROM plain GROUP BY level % 5', "$name: $_") for 'total', @tables;
    return;
}
my $stream = "stream = 'letter_in'::regclass";
my $alone = "$stream AND relid IS NOT NULL";

# ---- nothing fits before it is mended ----
send_some(1, 199, sub { $_[0] % 3 == 0 });
is(sql("SELECT count(*), count(DISTINCT message_key) FROM anomaly.dead_letter WHERE $stream"
          . ' AND relid IS NULL'), '66|66', 'messages without a host are dead letters');
is(sql("SELECT DISTINCT array_length(missed_by, 1) FROM anomaly.dead_letter WHERE $stream"
          . ' AND relid IS NULL'), '4', 'of all four tables');
is(sql("SELECT count(*), min(reason) FROM anomaly.dead_letter WHERE $alone"), '6|division by zero',
    'and some of one table alone');
is(sql("SELECT anomaly.replay_dead_letters('letter_in', '%null value%')"), 66, 'tried in vain');
my $asked = "SELECT (SELECT count(*) FROM anomaly.dead_letter WHERE $stream AND replay_for <> '{}')"
  . " + (SELECT count(*) FROM anomaly.replay_request WHERE $stream)";
wait_until($node, $asked, 0, 'they were tried');
is(sql("SELECT count(*) FROM anomaly.dead_letter WHERE $stream"), 72, 'and are still there');
is(sql("SELECT dead_letters, dead_letters_kept FROM anomaly.stream_status WHERE $stream"), '72|72',
    'and are not counted again');

# ---- mended; a table that reads them from the topic by itself ----
sql('ALTER FOREIGN TABLE letter_in ALTER host DROP NOT NULL');
sql('CREATE TABLE newcomer WITH (anomaly.continuous) AS SELECT level % 5 AS class, count(*) AS n,'
      . ' sum(level) AS levels FROM letter_in GROUP BY level % 5');
wait_for_messages($node, 'newcomer', 199);
is(sql("SELECT anomaly.replay_dead_letters('letter_in', '%null value%')"), 66, 'tried again');
wait_until($node, "SELECT count(*) FROM anomaly.dead_letter WHERE $stream AND relid IS NULL", 0,
    'none of them is left');
check_all('replayed', 'newcomer');
same_rows($node, 'SELECT q.window_start, q.n - coalesce(w.n, 0) AS missing FROM (SELECT'
      . ' window_start, count(*) AS n FROM plain, tumble(at, interval \'10 seconds\') GROUP BY 1) q'
      . ' LEFT JOIN windowed w USING (window_start)',
    'SELECT window_start, count(l.*) AS missing FROM (SELECT DISTINCT window_start FROM plain,'
      . " tumble(at, interval '10 seconds')) t LEFT JOIN anomaly.late_row l"
      . " USING (window_start) GROUP BY 1", 'what is missing in windows is late rows');
cmp_ok(sql("SELECT count(*) FROM anomaly.late_row WHERE relid = 'windowed'::regclass"), '>', 40,
    'most are late by now');
is(sql("SELECT count(*) FROM anomaly.dead_letter WHERE $alone"), '9',
    'those of them that one table alone cannot take are its letters now');
is(sql("SELECT anomaly.replay_dead_letters('letter_in')"), 9, 'one table alone');
wait_until($node, $asked, 0, 'tried');
is(sql("SELECT count(*) FROM anomaly.dead_letter WHERE $alone"), '9', 'in vain');

# ---- and through a crash ----
sql("CREATE OR REPLACE FUNCTION share(level int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS"
      . " 'BEGIN RETURN CASE level WHEN 0 THEN NULL ELSE 100 / level END; END'");
sql('ALTER FOREIGN TABLE letter_in ALTER host SET NOT NULL');
send_some(200, 1199, sub { 1 });
is(sql("SELECT count(*) FROM anomaly.dead_letter WHERE $stream AND relid IS NULL"), 1000,
    'many dead letters');
sql('ALTER FOREIGN TABLE letter_in ALTER host DROP NOT NULL');
for my $crash (1 .. 3)
{
    sql("SELECT anomaly.replay_dead_letters('letter_in')");
    wait_until($node, "SELECT count(*) < 4000 - $crash * 900 FROM anomaly.dead_letter,"
          . " unnest(missed_by) WHERE $stream", 't', 'it is at work');
    kill_server($node);
    $node->start;
}
sql("SELECT anomaly.replay_dead_letters('letter_in')");
wait_until($node, "SELECT count(*) FROM anomaly.dead_letter WHERE $stream", 0, 'all are taken in');
check_all('after crashes', 'newcomer');
same_rows($node, 'SELECT * FROM shares', 'SELECT o, p, 100 / nullif(level, 0) AS share FROM plain',
    'the function that was mended');
is(sql("SELECT dead_letters, dead_letters_kept FROM anomaly.stream_status WHERE $stream"),
    '1075|0', 'the count of all is there');

# ---- a caller's open transaction holds nobody up ----
my $session = $node->background_psql('postgres', on_error_die => 1);
$session->query_safe("BEGIN; SELECT anomaly.replay_dead_letters('letter_in')");
$broker->produce("0\t\\N\tno message");
wait_until($node, "SELECT dead_letters FROM anomaly.stream_status WHERE $stream", 1076,
    'the worker goes on');
$session->query_safe('ROLLBACK');
$session->quit;

# ---- a limit ----
$node->safe_psql('postgres', 'ALTER SYSTEM SET anomaly.dead_letter_limit = 10');
$node->restart;
$broker->produce(map { "0\t\\N\tno message $_" } 1 .. 35);
wait_until($node, "SELECT dead_letters FROM anomaly.stream_status WHERE $stream", 1111,
    'all are counted');
is(sql("SELECT string_agg(convert_from(message, 'UTF8'), ',' ORDER BY id) FROM anomaly.dead_letter"
          . " WHERE $stream"), join(',', map { "no message $_" } 26 .. 35), 'the newest are kept');

# ---- whose they are ----
sql('CREATE ROLE stranger LOGIN; GRANT EXECUTE ON FUNCTION'
      . ' anomaly.replay_dead_letters(regclass, text) TO stranger');
my ($rc, $out, $error) = $node->psql('postgres',
    "SET ROLE stranger; SELECT anomaly.replay_dead_letters('letter_in')");
like($error, qr/must be owner of foreign table letter_in/, 'only the owner replays');
sql('DROP TABLE shares, newcomer');
is(sql("SELECT DISTINCT array_length(missed_by, 1) FROM anomaly.dead_letter WHERE $stream"), '3',
    'a table that is dropped misses none');
$node->stop;
done_testing();
