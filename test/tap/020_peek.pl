# Goal: what a SELECT over a stream gives is what PostgreSQL makes of the same messages in a plain
# table: fields (jsonb_populate_record), computed columns (native or not), and nothing else; it is
# complete, or an error.
# Method: hostile and ordinary messages are produced to a topic and loaded into a table; each answer
# is compared with the table's.
use strict;
use warnings;

use Anomaly qw(cluster create_server);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = Broker->mock(topic => 'odd', partitions => 1);
my $node = cluster('peek');
create_server($node, $broker->bootstrap);

sub sql { my ($text) = @_; return $node->safe_psql('postgres', $text) }

# Every message, as JSON text; the broken ones are meant.
my @odd = (
    '{"a": 1, "b": "x", "n": 1.50, "j": {"k":[1,2]}, "tags": {"host": "h1"}, "d": 5}',
    '{"a": "12", "b": 17, "n": "2.25", "d": null}', '{"a": 1.5, "b": true}',
    '{"a": 99999999999}', '{"a": "abc"}', '{"a": 3, "d": -1}', 'not json', '[1,2]', '"scalar"',
    'null', '{"a": 4, "a": 5, "tags": {"host": null}}', '{"a": 6, "tags": "no object"}',
    '{"a": 7, "tags": {"host": {"deep": 1}}, "arr": [1, 2, 3]}', '{"a": 8, "arr": "{4,5}"}',
    '{"a": 9, "v": "abcdef"}', '{"a": 10, "v": "ab", "b": "\u00e9\u20ac"}',
    '{"a": 11, "b": "\u0000"}', '{"b": "a is missing"}', '{"a": 12, "div": 0}',
    '{"a": 13, "div": 4}', '{"a": 14, "n": "NaN", "ts": "infinity"}',
    '{"a": 15, "ts": "not a time"}', '{"a": 16, "b": {"x": 1.0, "y": [1, null]}}', '', '{',
    '{"a": 17, "ts": "2026-01-31 12:00:00+01"}', '{"a": 18, "unknown": {"deep": [}}');
$broker->produce(map { "0\t\\N\t$_" } @odd);
my $values = join(', ', map { my $line = $odd[$_] =~ s/'/''/gr; "($_, '$line')" } 0 .. $#odd);
sql(<<"SQL");
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE FOREIGN TABLE odd_in (
    a int NOT NULL, b text, dropped int, n numeric(6,1), j jsonb,
    host text OPTIONS (path '\$.tags.host'), d positive, ts timestamptz, arr int[], v varchar(3),
    div int, q int GENERATED ALWAYS AS (100 / div) STORED,
    label text GENERATED ALWAYS AS (upper(b) || n::text) STORED,
    o bigint OPTIONS (metadata 'offset')) SERVER message_queue OPTIONS (topic 'odd');
ALTER FOREIGN TABLE odd_in DROP COLUMN dropped;
CREATE TYPE odd_row AS (a int, b text, n numeric(6,1), j jsonb, d positive, ts timestamptz,
    arr int[], v varchar(3), div int);
CREATE TABLE odd_line (o bigint, line text);
INSERT INTO odd_line VALUES $values;
CREATE FUNCTION judge(line text, OUT r odd_row, OUT q int, OUT host text, OUT bad boolean)
LANGUAGE plpgsql AS \$\$ BEGIN
    r := jsonb_populate_record(NULL::odd_row, line::jsonb);
    q := 100 / r.div;
    host := line::jsonb #>> '{tags,host}';
    bad := r.a IS NULL;
EXCEPTION WHEN OTHERS THEN bad := true; END \$\$;
CREATE TABLE odd_plain AS SELECT o, (p.r).*, host, q, upper((p.r).b) || (p.r).n::text AS label
    FROM odd_line, judge(line) p WHERE NOT bad;
SQL
my $columns = 'o, a, b, n, j, d, ts, arr, v, div, host, q, label';
my $from_plain = sql("SELECT $columns FROM odd_plain ORDER BY o");
my ($result, $from_stream, $warnings) =
  $node->psql('postgres', "SELECT $columns FROM odd_in ORDER BY o");
is($from_stream, $from_plain, 'good messages are those of PostgreSQL, and mean the same');
my $bad = @odd - sql('SELECT count(*) FROM odd_plain');
cmp_ok($bad, '>', 10, 'many of them are bad');
like($warnings, qr/WARNING:  skipped $bad messages of stream public\.odd_in /, 'and are counted');
is(sql('SELECT count(*) FROM odd_in'), @odd - $bad, 'unused columns are checked all the same');
is(sql('SELECT a FROM odd_in LIMIT 1'), 1, 'LIMIT stops early');

# Expressions: each as a computed column of a stream against the same one over a table.
my @expressions = (
    ['bigint', 'occurred_at / 1000'], ['bigint', 'occurred_at % 7::bigint'],
    ['float8', 'usage * 2'], ['float8', 'usage + usage::float4'],
    ['int', '(occurred_at % 1000)::int + 5'], ['int', '(occurred_at % 100)::int2 * 3'],
    ['boolean', q{hostname IN ('h1', 'h2', NULL)}], ['boolean', q{hostname NOT IN ('h1', 'h2')}],
    ['boolean', q{hostname < 'h4'}], ['boolean', q{hostname COLLATE "C" < 'h4'}],
    ['text', q{CASE WHEN usage > 90 THEN 'hot' WHEN usage > 80 THEN 'warm' ELSE 'cold' END}],
    ['int', q{CASE cpu WHEN 'cpu1' THEN 1 WHEN 'cpu2' THEN 2 END}],
    ['text', q{coalesce(nullif(hostname, 'h1'), cpu)}],
    ['boolean', 'usage IS NULL OR usage > 99'], ['boolean', '(usage > 80) IS NOT TRUE'],
    ['boolean', q{(usage > 80 AND hostname <> 'h3') IS UNKNOWN}],
    ['timestamptz', 'to_timestamp(occurred_at / 1000.0)'],
    ['timestamptz', 'to_timestamp((occurred_at / 1000)::float8)'],
    ['float8', '(occurred_at / 1000.00)::float8'], ['float8', '-usage'],
    ['int', 'CASE WHEN occurred_at % 10 = 0 THEN -1 ELSE 1000 / (occurred_at % 10) END::int'],
    ['boolean', q{to_timestamp(occurred_at / 1000.0) > timestamptz '2023-11-14 22:13:30+00'}],
    ['numeric', 'round(usage::numeric, 2)'], ['text', 'upper(hostname) || cpu'],
    ['boolean', '(usage > 80) < (usage > 90)'], ['float8[]', 'ARRAY[usage]']);
my @readings = map {
    my $usage = $_ % 50 == 0 ? 'null' : 70 + ($_ * 7919 % 30000) / 1000;
    sprintf '{"hostname": "h%d", "cpu": "cpu%d", "usage": %s, "occurred_at": %d}', $_ % 7, $_ % 5,
      $usage, 1700000000000 + $_ * 37
} 1 .. 2000;
my $reading_broker = Broker->mock(topic => 'readings', partitions => 2);
$reading_broker->produce(map { ($_ % 2) . "\t\\N\t$readings[$_]" } 0 .. $#readings);
create_server($node, $reading_broker->bootstrap, 'readings_queue');
my @generated = map { "e$_ $expressions[$_][0] GENERATED ALWAYS AS ($expressions[$_][1]) STORED" }
  0 .. $#expressions;
my $names = join(', ', map { "e$_" } 0 .. $#expressions);
my $lines = join(', ', map { "('$_')" } @readings);
my $fields = 'hostname text, cpu text, usage float8, occurred_at bigint';
sql("CREATE TABLE readings_plain ($fields, " . join(', ', @generated) . ')');
sql("CREATE FOREIGN TABLE readings_in ($fields, " . join(', ', @generated)
      . ") SERVER readings_queue OPTIONS (topic 'readings')");
sql('INSERT INTO readings_plain (hostname, cpu, usage, occurred_at)'
      . " SELECT r.* FROM (VALUES $lines) l(line),"
      . " json_to_record(line::json) r($fields)");
is(sql("SELECT count(*), count(DISTINCT occurred_at) FROM readings_in"), '2000|2000',
    'both partitions, each message once');
for my $e (0 .. $#expressions)
{
    is(sql("SELECT count(*) FROM readings_plain p FULL JOIN readings_in s USING (occurred_at)"
              . " WHERE p.e$e IS DISTINCT FROM s.e$e"), 0, $expressions[$e][1]);
}

# Complete or an error: the broker is gone.
$broker->kill;
($result, $from_stream, $warnings) = $node->psql('postgres',
    "SET anomaly.peek_time_limit = '1s'; SELECT a FROM odd_in LIMIT 1", on_error_stop => 1);
is($from_stream, '', 'no rows from a broker that is gone');
like($warnings, qr/ERROR: /, 'but an error');

$node->stop;
done_testing();
