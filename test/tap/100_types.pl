# Goal: every PostgreSQL type can be a column of a stream, and a message means what
# jsonb_populate_record makes of it (fields of CSV: what the type's input function makes of them);
# what they refuse is bad, in a peek and for a continuous table alike.
# Two streams read the messages: one whose types are all decoded natively, and one that has each
# other type too, so that PostgreSQL reads all that comes.
# Method: each odd value for each of the types, and PostgreSQL's own answer as the oracle; the same
# in a database that is not UTF-8.
use strict;
use warnings;
use feature qw(state);

use Anomaly qw(cluster create_server wait_for_messages same_rows);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

# name => type: natively decoded ones, those with lengths, and those that only PostgreSQL reads.
my @types = (
    flag => 'boolean', small => 'smallint', whole => 'integer', large => 'bigint',
    single => 'real', twice => 'double precision', exact => 'numeric', money => 'numeric(8,2)',
    rough => 'numeric(3,-2)', id => 'uuid', tree => 'jsonb', doc => 'json', words => 'text',
    short => 'varchar(4)', padded => 'char(4)', day => 'date', seen => 'timestamp',
    seen_ms => 'timestamp(3)', at => 'timestamptz', at_s => 'timestamptz(0)', clock => 'time',
    span => 'interval', address => 'inet', bytes => 'bytea', list => 'integer[]',
    texts => 'text[]', mood => 'mood', pair => 'pair', range => 'int4range', place => 'point',
    bits => 'bit(3)', rank => 'positive', needed => 'needed');
my @names = grep { state $i = 0; $i++ % 2 == 0 } @types;
my %type = @types;
my @native = qw(flag small whole large single twice exact money rough id tree words short day seen
  seen_ms at at_s);
my %columns_of = (value => \@names, native => \@native);

sub list { return join(', ', @{ $columns_of{ $_[0] } }) }
sub columns { return join(', ', map { "$_ $type{$_}" } @{ $columns_of{ $_[0] } }) }

my @odd = ('null', 'true', 'false', '0', '1', '-1', '-0', '-0.0', '1.0', '1.50', '0.10', '12.345',
    '123456.78', '999999.995', '1e3', '1E-2', '1.5e300', '1e400', '1e-400', '3.4028236e38',
    '32767', '32768', '-32769', '2147483648', '9223372036854775807', '9223372036854775808',
    '123456789012345678901234567890.123456789', '0.' . '3' x 60, '1' . '0' x 200, '1' . '0' x 2000,
    '1700000000123', '""', '"abc"', '"abcd"', '"abcde"', '"abcd "', '"abcd  "',
    "\"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\"", '"\\u00e9\\n\\"\\\\\\/"', '"\\ud83d\\ude00"',
    '"\\ud83d"', '"\\ude00x"', '"\\u0000"', '"\\x41"', '" 12 "', '"12"', '"+12"', '"007"',
    '"12.0"', '"-0"', '"1e3"', '"0x1F"', '"1_000"', '"NaN"', '"Infinity"', '"-inf"', '"t"',
    '"yes"', '"OFF"', '"2"', '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"',
    '"{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}"', '"a0eebc999c0b4ef8bb6d6bb9bd380a11"',
    '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g"', '"2026-01-31"', '"2026-02-30"',
    '"2026-01-31T12:00:00Z"', '"2026-01-31 12:00:00.5"', '"2026-01-31T12:00:00.1234567+0530"',
    '"2026-01-31 12:00:00.999999999-03"', '"2026-01-31 12:00:00+05:45"', '"2026-01-31T12:00"',
    '"2026-01-31 24:00:00"', '"2026-01-31T12:00:00z"', '"31.01.2026"', '"infinity"',
    '"0044-03-15 BC"', '"12:30"', '"1 day 02:00"', '"192.168.1.7/24"', '"\\\\x00ff"', '"\\\\xzz"',
    '"{1,2}"', '"(1,2)"', '"[1,5)"', '"101"', '"ok"', '"{\\"a\\":1}"', '{}', '{"a": 1.50, "a": 2}',
    '{"x": 1, "y": "two"}', '{"deep": {"er": [1, {"est": null}]}}', '[]', '[1,2,3]', '["a", null]',
    '[[1],[2]]', '[1, "x"]', '{"k": "\\u0000"}', '{"k": 1e999999}', '{"k": "\\ud800"}');

# What the native stream has no column for it need not read; so each has messages of its own.
sub messages
{
    my ($kind) = @_;
    my @messages;
    for my $value (@odd)
    {
        push @messages, map { "{\"$_\": $value, \"needed\": 1}" }
          grep { $_ ne 'needed' } @{ $columns_of{$kind} };
    }
    push @messages, map { "{\"needed\": $_}" } @odd if $kind eq 'value';
    push @messages, '{"needed": 2, "whole": 1, "whole": "x"}',
      '{"needed": 2, "whole": "x", "whole": 1}', '{"needed": 2, "tree": {"a": 1}, "tree": [1]}',
      '{"needed": 2, "large": 1, "words": "a", "tree": [1, {"b" : "c"}] , "day": "2026-01-31",'
      . ' "exact": -12.5000, "id": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}',
      '{"needed": 2, "unknown": {"tree": {}}, "tree":{}}';
    return @messages;
}

my $broker = Broker->mock(topic => 'postgres_value', partitions => 1);
my $node = cluster('types');
$node->safe_psql('postgres',
    "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");

sub hex_of { return unpack('H*', $_[0]) }

sub send_messages
{
    my ($run, $kind, $topic, @messages) = @_;
    my $file = PostgreSQL::Test::Utils::tempdir() . "/sent_$topic";
    PostgreSQL::Test::Utils::append_to_file($file,
        join('', map { "$_\t\\\\x" . hex_of($messages[$_]) . "\n" } 0 .. $#messages));
    $run->("CREATE TABLE ${kind}_sent (o bigint, message bytea); COPY ${kind}_sent FROM '$file'");
    $broker->produce_to({ topic => $topic }, map { "0\t\\N\t\\x" . hex_of($_) } @messages);
    return;
}

# Passes when the stream and its continuous table have the rows of the oracle.
sub check_stream
{
    my ($run, $database, $kind) = @_;
    my ($columns, $list, $topic) = (columns($kind), list($kind), "${database}_$kind");
    my @messages = messages($kind);
    send_messages($run, $kind, $topic, @messages);
    $run->(<<"SQL");
CREATE TYPE ${kind}_row AS ($columns);
CREATE FOREIGN TABLE ${kind}_in ($columns, o bigint OPTIONS (metadata 'offset'))
  SERVER queue OPTIONS (topic '$topic', startup 'earliest');
CREATE FUNCTION ${kind}_judge(message bytea, OUT r text, OUT good boolean) LANGUAGE plpgsql
SET timezone = 'UTC' AS \$\$
BEGIN
  r := jsonb_populate_record(NULL::${kind}_row, convert_from(message, 'UTF8')::jsonb)::text;
  good := true;
EXCEPTION WHEN OTHERS THEN good := false; END \$\$;
CREATE TABLE ${kind}_judged AS SELECT o, (${kind}_judge(message)).* FROM ${kind}_sent;
CREATE TABLE ${kind}_all WITH (anomaly.continuous) AS SELECT $list, o FROM ${kind}_in;
SQL
    my $same = sub {
        my ($from, $name) = @_;
        my $differences = $run->(<<"SQL");
SET timezone = 'UTC';
WITH got AS MATERIALIZED (SELECT o, ROW($list)::text COLLATE "C" AS r FROM $from)
SELECT coalesce(g.o, j.o), g.r, j.r, encode(s.message, 'escape')
FROM got g FULL JOIN (SELECT o, r FROM ${kind}_judged WHERE good) j USING (o)
JOIN ${kind}_sent s ON s.o = coalesce(g.o, j.o) WHERE g.r IS DISTINCT FROM j.r LIMIT 10
SQL
        is($differences, '', "$database, $kind: $name");
    };
    $same->("${kind}_in", 'a peek gives what jsonb_populate_record gives');
    ok($node->poll_query_until($database,
            'SELECT sum(o) >= ' . scalar(@messages) . ' FROM anomaly.table_progress,'
              . " unnest(next_offsets) o WHERE relid = '${kind}_all'::regclass"),
        "$database, $kind: all taken in");
    $same->("${kind}_all", 'and so does a continuous table');
    my $dead = "(SELECT kafka_offset AS o FROM anomaly.dead_letter"
      . " WHERE stream = '${kind}_in'::regclass)";
    is($run->("SELECT count(*) FROM $dead d FULL JOIN"
              . " (SELECT o FROM ${kind}_judged WHERE NOT good) j USING (o)"
              . ' WHERE d.o IS NULL OR j.o IS NULL'), 0, "$database, $kind: the others are bad");
    cmp_ok($run->("SELECT count(*) FROM ${kind}_judged WHERE good"), '>', 500,
        "$database, $kind: many are good");
    return;
}

sub check_database
{
    my ($database) = @_;
    my $run = sub { return $node->safe_psql($database, "SET client_encoding = 'UTF8'; $_[0]") };
    $run->('CREATE EXTENSION IF NOT EXISTS anomaly');
    $run->("CREATE SERVER queue FOREIGN DATA WRAPPER anomaly_kafka"
          . " OPTIONS (bootstrap_servers '" . $broker->bootstrap . "')");
    $run->(<<"SQL");
CREATE TYPE mood AS ENUM ('ok', 'bad');
CREATE TYPE pair AS (x int, y text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN needed AS int NOT NULL;
SQL
    check_stream($run, $database, $_) for sort keys %columns_of;
    return;
}

check_database('postgres');
check_database('latin');
like($node->safe_psql('latin', 'CREATE TABLE low WITH (anomaly.continuous) AS SELECT o'
          . " FROM native_in WHERE words < 'm' AND lower(short) <> 'x'; SELECT"
          . " anomaly.explain('low')"),
    qr/^where: .* \(native\)$/m, 'in a database of the C locale order and letters are native');

# What a reason says: the column, the value, and what it should have been.
my %reason = (
    '{"needed": 1, "whole": "x1"}' => 'column "whole": invalid input syntax for type integer: "x1"',
    '{"needed": 1, "id": "7"}' => 'column "id": invalid input syntax for type uuid: "7"');
for my $message (sort keys %reason)
{
    $broker->produce_to({ topic => 'postgres_value' }, "0\t\\N\t$message");
    ok($node->poll_query_until('postgres',
            'SELECT count(*) > 0 FROM anomaly.dead_letter WHERE reason = '
              . "\$\$$reason{$message}\$\$ AND convert_from(message, 'UTF8') = \$\$$message\$\$"),
        "in words: $reason{$message}");
}

done_testing();
