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
my $broker = Broker->mock(topic => 'rows_json', partitions => 3);
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
my @plain = map { "$names[$_] $columns[$_][0]" } 0 .. $#columns;
# In JSON some deep inside of the message, by names that need care.
my $in = q{OPTIONS (path '$."o u\\"t".in};
my @deep = map { $plain[$_] . ($_ % 5 == 1 ? " $in.$names[$_]')" : '') } 0 .. $#columns;
my $key = "k text OPTIONS (metadata 'key')";
my $unlike = q{'csv', delimiter ';', quote '^', escape '\\', null 'NULL', header 'true'};
my %stream = (
    rows_json => [ "'json'", @deep ],
    rows_csv => [ "'csv'", @plain ],
    rows_odd => [ $unlike, @plain ]);
sql('CREATE TABLE rows_plain (n int, ' . join(', ', @plain) . ')');
for my $name (sort keys %stream)
{
    my ($format, @with) = @{ $stream{$name} };
    sql("CREATE FOREIGN TABLE ${name}_in (n int, " . join(', ', @with) . ", $key) SERVER"
          . " message_queue OPTIONS (topic '$name', format $format)");
}
my $values = join(",\n", map { "CASE WHEN random() < 0.9 THEN $_->[1] END" } @columns);
# setseed's own result is no value of the row.
sql("SELECT setseed(" . $seed / 1_000_000 . ");"
      . " INSERT INTO rows_plain SELECT n, $values FROM generate_series(1, $rows) n");
my $unusual = "SET DateStyle = 'German, DMY'; SET IntervalStyle = 'sql_standard';"
  . " SET TimeZone = 'Asia/Kathmandu'; SET extra_float_digits = -5; SET bytea_output = 'escape';"
  . " SET search_path = public, pg_catalog;";
my $text = join(' || \'|\' || ', map { "coalesce($_\::text, '~')" } 'n', @names);
for my $name (sort keys %stream)
{
    sql("$unusual INSERT INTO ${name}_in (n, $names, k) SELECT $row, md5(n::text) FROM rows_plain");
    sql("CREATE TABLE ${name}_all WITH (anomaly.continuous) AS SELECT $row FROM ${name}_in");
    same_rows($node, "SELECT $text FROM ${name}_in", "SELECT $text FROM rows_plain",
        "$name: a SELECT");
    wait_for_messages($node, "${name}_all", $rows);
    same_rows($node, "SELECT $text FROM ${name}_all", "SELECT $text FROM rows_plain",
        "$name: a continuous table");
    is(sql("SELECT count(*) FROM ${name}_in WHERE k = md5(n::text)"), $rows, "$name: keys");
}
is(sql('SELECT count(*) FROM anomaly.dead_letter'), '0', 'no message is bad');

# ---- times that are numbers, headers, raw messages ----
my $times = join(', ', map { ("${_}z timestamptz OPTIONS (unit '$_')",
        "${_}t timestamp OPTIONS (unit '$_')") } qw(s ms us ns));
sql("CREATE FOREIGN TABLE times_in (n int, $times, h jsonb OPTIONS (metadata 'headers')) SERVER"
      . " message_queue OPTIONS (topic 'times', timezone 'Asia/Kathmandu')");
my $some = "(VALUES (1, timestamptz '2026-01-31 12:00:00.123456+00', timestamp '1969-12-31 23:59'),"
  . " (2, '1965-02-03 04:05:06.7+00', '2026-06-01 00:00:00.000001')) v(n, z, t)";
my $headers = q{'{"trace": "x\\"€", "none": null, "empty": ""}'::jsonb};
my $same = "SELECT n, z, t, z, t, z, t, z, t, $headers FROM $some";
sql("$unusual INSERT INTO times_in $same");
same_rows($node, 'SELECT * FROM times_in', $same, 'numeric times, and headers');
my ($rc, $out, $err) = $node->psql('postgres',
    q{INSERT INTO times_in (n, h) VALUES (1, '{"number": 1}')});
like($err, qr/headers of a message are an object of texts and nulls/, 'other headers');
($rc, $out, $err) = $node->psql('postgres', q{INSERT INTO times_in (sz) VALUES ('infinity')});
like($err, qr/timestamp out of range/, 'no number is infinite');
for my $type (qw(bytea text))
{
    my $cast = $type eq 'bytea' ? 'convert_to' : 'concat';
    sql("CREATE FOREIGN TABLE raw_$type (v $type, k text OPTIONS (metadata 'key')) SERVER"
          . " message_queue OPTIONS (topic 'raw_$type', format 'raw')");
    my $values_of = "SELECT $cast(v, 'UTF8'), k FROM (VALUES ('a € \\x00'), (''), ('\"')) v(v),"
      . " (VALUES ('k'), (NULL)) k(k) UNION ALL SELECT NULL, 'gone'";
    $values_of =~ s/concat\(v, 'UTF8'\)/v/;
    sql("INSERT INTO raw_$type $values_of");
    same_rows($node, "SELECT * FROM raw_$type", $values_of, "raw messages as $type");
}
done_testing();
