# Goal: whatever row is inserted into a stream is read back as the same row, through a SELECT and
# through a continuous table, whatever the settings of the session that wrote it.
# Method: random rows of many types, hostile values among them, go into a plain table and from there
# into the stream, in a session with the most unusual settings; the rows are compared as text.
use strict;
use warnings;

use Anomaly qw(cluster create_server wait_for_messages same_rows);
use Broker;
use Test::More;

my $rows = $ENV{ANOMALY_ROWS} || 1000;
my $seed = $ENV{ANOMALY_SEED} || int(rand(1_000_000));
note("ANOMALY_SEED=$seed");

# Type, and an expression for a random value of it.
my @columns = (
    ['boolean', 'random() < 0.5'],
    ['smallint', '(random() * 65535 - 32768)::smallint'],
    ['integer', '(random() * 4294967294 - 2147483647)::integer'],
    ['bigint', q{pick('{9223372036854775807,-9223372036854775808,0,9007199254740993}'::bigint[],
        (random() * 1e18)::bigint)}],
    ['real', q{pick('{NaN,Infinity,-Infinity,0,1e-40,3.4028235e38}'::real[],
        (exp(random() * 160 - 80) * (random() - 0.5))::real)}],
    ['float8', q{pick('{NaN,Infinity,-Infinity,0,5e-324,1.7976931348623157e308}'::float8[],
        exp(random() * 1200 - 600) * (random() - 0.5))}],
    ['numeric', q{pick('{NaN,Infinity,-Infinity,0,1.000,123456789012345678901234567890.1234567890}'
        ::numeric[], (random() * 1e15)::numeric / 7)}],
    ['numeric(10,3)', '(random() * 1e6)::numeric(10,3)'],
    ['text', 'odd_text()'],
    ['varchar(5)', 'left(odd_text(), 5)'],
    ['char(4)', 'left(odd_text(), 4)'],
    ['"char"', 'chr(33 + (random() * 90)::int)::"char"'],
    ['name', 'left(odd_text(), 10)::name'],
    ['date', q{pick('{infinity,-infinity,0044-03-15 BC,5874897-12-31}'::date[],
        date '2000-01-01' + (random() * 20000 - 10000)::int)}],
    ['timestamp', q{pick('{infinity,-infinity,0044-03-15 12:00 BC,1969-12-31 23:59:59.999999}'
        ::timestamp[], timestamp '2000-01-01' + random() * interval '40 years')}],
    ['timestamptz', q{pick('{infinity,-infinity,1900-01-01 00:00:00.000001+00}'::timestamptz[],
        timestamptz '1950-01-01' + random() * interval '90 years')}],
    ['timestamptz(0)', q{timestamptz '1990-01-01' + random() * interval '40 years'}],
    ['time', q{time '00:00' + random() * interval '1 day'}],
    ['timetz', q{(timestamptz '2000-01-01' + random() * interval '1 day')::timetz}],
    ['interval', q{make_interval(months => (random() * 40 - 20)::int, secs => random() * 1e6)}],
    ['uuid', 'gen_random_uuid()'],
    ['bytea', 'decode(md5(random()::text), \'hex\')'],
    ['jsonb', q{pick(ARRAY['{"a": [1, 2.50, null, {"b": "\u20ac"}]}', '"x"', '[]', '1e3', 'true']
        ::jsonb[], to_jsonb(odd_text()))}],
    ['inet', q{('10.' || (random() * 255)::int || '.0.1/16')::inet}],
    ['bit(5)', '(random() * 31)::int::bit(5)'],
    ['money', '(random() * 100)::numeric::money'],
    ['tsvector', q{to_tsvector('simple', md5(random()::text) || ' it''s')}],
    ['int4range', 'int4range((random() * 10)::int, 20)'],
    ['tstzrange', q{tstzrange(timestamptz '2000-01-01' + random() * interval '40 years', NULL)}],
    ['integer[]', q{CASE (random() * 4)::int WHEN 0 THEN '{}' WHEN 1 THEN '{{1,2},{3,NULL}}'
        WHEN 2 THEN '[-1:0]={7,8}' ELSE ARRAY[(random() * 9)::int, NULL] END::int[]}],
    ['text[]', 'ARRAY[odd_text(), NULL, odd_text()]'],
    ['timestamptz[]', q{ARRAY[timestamptz '1990-01-01' + random() * interval '40 years']}],
    ['tint', '(1 + random() * 8)::int::tint'],
    ['color', q{(ARRAY['red', 'gr"een', 'blue'])[1 + (random() * 2)::int]::color}],
    ['pair', 'ROW((random() * 9)::int, odd_text(), now())::pair'],
    ['pair[]', 'ARRAY[ROW((random() * 9)::int, odd_text(), now())::pair, NULL]'],
    ['circle', q{circle(point(random(), random()), random())}],
);

my $node = cluster('round_trip');
my $broker = Broker->mock(topic => 'rows', partitions => 3);
create_server($node, $broker->bootstrap);
sub sql { my ($text) = @_; return $node->safe_psql('postgres', $text) }

sql(<<'SQL');
CREATE FUNCTION pick(among anyarray, other anyelement) RETURNS anyelement LANGUAGE sql VOLATILE AS
    $$ SELECT CASE WHEN random() < 0.3 THEN among[1 + (random() * 100)::int % cardinality(among)]
       ELSE other END $$;
CREATE FUNCTION odd_text() RETURNS text LANGUAGE sql VOLATILE AS
    $$ SELECT coalesce(string_agg((ARRAY['"', '\', E'\n', E'\t', E'\x01', E'\x7f', '/', 'é', '€',
       '😀', chr(8232), ' ', 'a', 'Z', '0', ',', '{', '}', 'null', 'NaN', ''''])
       [1 + (random() * 20)::int], ''), '') FROM generate_series(1, (random() * 12)::int) $$;
CREATE DOMAIN tint AS int CHECK (VALUE BETWEEN 1 AND 9);
CREATE TYPE color AS ENUM ('red', 'gr"een', 'blue');
CREATE TYPE pair AS (a int, "b ""c" text, t timestamptz);
SQL
my @names = map { "c$_" } 0 .. $#columns;
my $names = join(', ', @names);
my $row = 'n, ' . $names;
my (@plain, @stream);
for my $c (0 .. $#columns)
{
    push @plain, "$names[$c] $columns[$c][0]";
    # Some deep inside of the message, by names that need care.
    my $path = $c % 5 == 1 ? qq( OPTIONS (path '\$."o u\\"t".in.$names[$c]')) : '';
    push @stream, "$names[$c] $columns[$c][0]$path";
}
sql('CREATE TABLE rows_plain (n int, ' . join(', ', @plain) . ')');
sql('CREATE FOREIGN TABLE rows_in (n int, ' . join(', ', @stream) . ", k text OPTIONS"
      . " (metadata 'key')) SERVER message_queue OPTIONS (topic 'rows')");
my $values = join(",\n", map { "CASE WHEN random() < 0.9 THEN $_->[1] END" } @columns);
# setseed's own result is no value of the row.
sql("SELECT setseed(" . $seed / 1_000_000 . ");"
      . " INSERT INTO rows_plain SELECT n, $values FROM generate_series(1, $rows) n");
my $unusual = "SET DateStyle = 'German, DMY'; SET IntervalStyle = 'sql_standard';"
  . " SET TimeZone = 'Asia/Kathmandu'; SET extra_float_digits = -5; SET bytea_output = 'escape';"
  . " SET search_path = public, pg_catalog;";
sql("$unusual INSERT INTO rows_in (n, $names, k) SELECT $row, md5(n::text) FROM rows_plain");
sql("CREATE TABLE rows_all WITH (anomaly.continuous) AS SELECT $row FROM rows_in");
my $text = join(' || \'|\' || ', map { "coalesce($_\::text, '~')" } 'n', @names);
same_rows($node, "SELECT $text FROM rows_in", "SELECT $text FROM rows_plain", 'a SELECT');
wait_for_messages($node, 'rows_all', $rows);
same_rows($node, "SELECT $text FROM rows_all", "SELECT $text FROM rows_plain",
    'a continuous table');
is(sql('SELECT count(*) FROM anomaly.dead_letter'), '0', 'no message is bad');
is(sql('SELECT count(*) FROM rows_in WHERE k = md5(n::text)'), $rows, 'keys');
done_testing();
