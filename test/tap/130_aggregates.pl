# Goal: every aggregate of PostgreSQL that can be called over the columns of a stream can be in a
# continuous table, with PostgreSQL's own result.
# Method: the aggregates come from pg_aggregate, so that none is forgotten; each is called over
# columns of its argument types, plain, with FILTER, DISTINCT and ORDER BY, in windows and as a
# running total where its state can be kept. The same SELECT over a plain table of the same messages
# says what is right. Messages have NULLs, duplicates and disorder; the server is restarted, and its
# workers killed, in between.
use strict;
use warnings;
use Anomaly qw(cluster create_server wait_until wait_for_messages same_rows consume worker_pids);
use Broker;
use POSIX qw(strftime);
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{ANOMALY_SEED} // time();
diag("ANOMALY_SEED=$seed");
srand($seed);

my $broker = Broker->mock(topic => 'values', partitions => 1);
my $node = cluster('main', 'anomaly.batch_rows' => 64, 'anomaly.commit_interval' => '20ms',
    fsync => 'off', jit => 'off', max_parallel_workers_per_gather => 0);
create_server($node, $broker->bootstrap);

sub pick { return $_[ int(rand(@_)) ] }

# A column of each type that some aggregate takes, and values of it as JSON. No two are equal that
# look different: which one DISTINCT shows is free.
my %values = (
    smallint => [ -7, 0, 3, 3, 120 ],
    integer => [ -70000, 1, 1, 2, 99 ],
    bigint => [ 9007199254740993, -5, 0, 12, 12 ],
    real => [ 1.5, -0.25, 3, '"Infinity"', '"NaN"' ],
    'double precision' => [ 0.1, 0.2, 0.3, 100, -7.75 ],
    numeric => [ '1.10', '1.10', '-3.25', '12345678901234567890.5', '"NaN"' ],
    money => [ '"$1.50"', '"$2.25"', '"-$7.00"' ],
    interval => [ '"1 day"', '"25:00:00"', '"-3 hours"', '"2 mons 1 day"' ],
    boolean => [ 'true', 'false' ],
    date => [ '"2024-02-29"', '"1999-12-31"', '"2024-02-29"' ],
    time => [ '"12:30:00.5"', '"00:00:00"', '"23:59:59"' ],
    'time with time zone' => [ '"12:30:00+02"', '"10:30:00+00"', '"01:00:00-05"' ],
    timestamp => [ '"2024-02-29 12:00:00.123456"', '"1999-12-31 23:59:59"' ],
    'timestamp with time zone' => [ '"2024-02-29 12:00:00.5+03"', '"2000-01-01 00:00:00Z"' ],
    text => [ '"b"', '"B"', '"a b"', '""', "\"\xc3\xa9\"" ],
    'character(4)' => [ '"b"', '"b  "', '"abcd"' ],
    bytea => [ '"\\\\x0001ff"', '"\\\\x"', '"\\\\x61"' ],
    uuid => [ '"00000000-0000-0000-0000-000000000001"', '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"' ],
    inet => [ '"10.0.0.1"', '"10.0.0.0/8"', '"::1"' ],
    'bit(6)' => [ '"101010"', '"111000"', '"111110"' ],
    json => [ '{"a": 1}', '[1, "x",  2.50]', '"s"', 3 ],
    jsonb => [ '{"b": {"c": "x"}, "a": null}', '[]', 3, 'true' ],
    xml => [ '"<a/>"', '"<b>x</b>"', '"text"' ],
    oid => [ 1, 4000000000, 7 ],
    tid => [ '"(0,1)"', '"(7,3)"' ],
    xid8 => [ '"5"', '"18446744073709551615"' ],
    pg_lsn => [ '"0/16B3748"', '"1/0"' ],
    int4range => [ '"[1,5)"', '"[3,9)"', '"empty"', '"(,0]"' ],
    int4multirange => [ '"{[1,5),[7,9)}"', '"{}"', '"{[3,8)}"' ],
    'integer[]' => [ '[1, 2]', '[1, null]', '[3, -4]' ],
    mood => [ '"sad"', '"ok"', '"happy"' ],
    pair => [ '{"x": 1, "y": ["a", null]}', '{"x": 2, "y": []}', '{"x": null, "y": ["b"]}' ]);
$node->safe_psql('postgres', <<'SQL');
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (x integer, y text[]);
SQL
sub column { return 'c_' . ($_[0] =~ s/\W+/_/gr) }
my @types = sort keys %values;
my $columns = join(', ', 'k text', 'n bigint', 'at timestamptz', map { column($_) . " $_" } @types);
$node->safe_psql('postgres', "CREATE FOREIGN TABLE values_in ($columns) SERVER message_queue"
      . " OPTIONS (topic 'values', event_time 'at', watermark_delay '1 hour')");

# ---- messages ----

my $sent = 0;

sub message
{
    my %field = (k => pick('"doc"', '"happy"', '"dopey"'), n => $sent,
        map { (column($_), rand() < 0.15 ? 'null' : pick(@{ $values{$_} })) } @types);
    delete $field{ column(pick(@types)) } for 1 .. 3;
    my $at = 1_700_000_000 + int($sent / 4) - int(rand(200));
    $field{at} = strftime('"%Y-%m-%dT%H:%M:%SZ"', gmtime($at));
    $sent++;
    return "0\t\\N\t{" . join(', ', map { "\"$_\": $field{$_}" } sort keys %field) . '}';
}

# ---- calls of aggregates ----

# The column for an argument of a type, undef: there is none.
my %polymorphic = (any => 'text', anyelement => 'uuid', anynonarray => 'text',
    anyarray => 'integer[]', anyenum => 'mood', anyrange => 'int4range',
    anymultirange => 'int4multirange', anycompatible => 'integer', '"any"' => 'double precision');
my %alias = (
    'time without time zone' => 'time',
    'timestamp without time zone' => 'timestamp',
    character => 'character(4)', bit => 'bit(6)', 'bit varying' => 'bit(6)');

sub argument
{
    my ($type) = @_;
    $type = $polymorphic{$type} // $alias{$type} // $type;
    return exists $values{$type} ? column($type) : undef;
}

# Why some cannot be in this test.
my %exception = (
    'max(record)' => 'since 18; no column is a record without a name', 'min(record)' => 'the same',
);

my @aggregates = map { [ split /\|/ ] } split /\n/, $node->safe_psql('postgres', <<'SQL');
SELECT p.proname, a.aggkind, a.aggnumdirectargs, p.provariadic::regtype,
  (SELECT string_agg(t::regtype::text, ',' ORDER BY i)
   FROM unnest(p.proargtypes) WITH ORDINALITY AS u(t, i)), p.oid::regprocedure
FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid
WHERE p.pronamespace = 'pg_catalog'::regnamespace
ORDER BY 1, 5
SQL

# Direct arguments of the ordered-set aggregates.
sub direct
{
    my ($type) = @_;
    my %direct = ('double precision' => '0.3',
        'double precision[]' => "'{0.25,0.5,1}'::float8[]");
    return $direct{$type} // "'m'";
}

# An aggregate's calls: plain, and for kind n with DISTINCT and ORDER BY.
sub calls
{
    my ($name, $kind, $direct_count, $variadic, $arguments, $procedure) = @_;
    my @arguments = split /,/, $arguments // '';
    my @direct = map { direct($_) } $kind eq 'n' ? () : splice(@arguments, 0, $direct_count);
    @direct = ("'m'") if $kind eq 'h';
    @arguments = ('any') if $kind eq 'h';
    my @columns = map { argument($_) } @arguments;
    return if grep { !defined } @columns;
    if ($kind ne 'n')
    {
        return "$name(" . join(', ', @direct) . ') WITHIN GROUP (ORDER BY '
          . join(', ', map { $_ eq 'c_text' ? 'c_text COLLATE "C"' : $_ } @columns) . ')';
    }
    return 'count(*)' unless @columns;
    # A key may not be NULL, of some not come twice either.
    $columns[0] = "'n' || n" if $name =~ /object_agg/;
    # Nor may an array.
    $columns[0] = "coalesce($columns[0], '{0,0}')" if $procedure eq 'array_agg(anyarray)';
    my $list = join(', ', @columns);
    my @calls = "$name($list)";
    return @calls if $name =~ /^(json|xml)/ && $list !~ /^c_text$/;
    push @calls, "$name(DISTINCT $list)" if $list !~ /c_(json|xml|point|xid)\b/;
    push @calls, "$name($list ORDER BY c_integer DESC NULLS LAST, c_uuid, c_bigint, k, c_text"
      . ", c_double_precision, c_date, c_time, n)";
    return @calls;
}

my (%plain, %special, @missing);
for my $aggregate (@aggregates)
{
    my @calls = calls(@$aggregate);
    push @missing, $aggregate->[5] if !@calls && !$exception{ $aggregate->[5] };
    next unless @calls;
    my $first = shift @calls;
    ($aggregate->[1] eq 'n' ? \%plain : \%special)->{$first} = 1;
    $special{$_} = 1 for @calls;
}
is("@missing", '', 'every aggregate can be called (or there is a reason why not)');
my @plain = sort keys %plain;
my @special = sort keys %special;
note(scalar(@aggregates) . ' aggregates, ' . (@plain + @special) . ' calls');

# ---- tables ----

my %query;    # by table
my %compared;

# Values are compared as text, since not every type has an equality.
sub add_table
{
    my ($name, $keys, $from, $calls, %options) = @_;
    my $n = 0;
    my $filter = $options{filter} ? ' FILTER (WHERE c_boolean OR c_integer = 1)' : '';
    my @outputs = map { "$_$filter AS a" . $n++ } @$calls;
    $query{$name} = "SELECT " . join(', ', @$keys, @outputs) . " FROM $from"
      . (@$keys ? ' GROUP BY ' . join(', ', @$keys) : '');
    $compared{$name} = join(', ', @$keys, map { "a${_}::text" } 0 .. $n - 1);
    my ($result, $out, $error) = $node->psql('postgres',
        "CREATE TABLE $name WITH (anomaly.continuous) AS " . sprintf($query{$name}, 'values_in'));
    is($result, 0, "$name: " . @$calls . ' aggregates') or BAIL_OUT($error);
    return;
}

my $windows = "%s, tumble(at, interval '30 seconds')";
my @window = qw(k window_start window_end);
add_table('every_plain', \@window, $windows, \@plain);
add_table('every_filter', \@window, $windows, \@plain, filter => 1);
add_table('every_special', \@window, $windows, \@special);
add_table('every_special_filter', \@window, $windows, \@special, filter => 1);
# One by one, since the others may not be made without a window.
my @total = grep {
    my ($result) = $node->psql('postgres', "CREATE TABLE try WITH (anomaly.continuous) AS"
          . " SELECT k, $_ AS a FROM values_in GROUP BY k; DROP TABLE try");
    $result == 0
} @plain;
cmp_ok(scalar(@total), '>', @plain / 2, scalar(@total) . ' can be running totals');
add_table('every_total', ['k'], '%s', \@total);
add_table('every_one', [], '%s WHERE c_integer IS NOT NULL', \@total, filter => 1);

# ---- the comparison ----

my $file = "${PostgreSQL::Test::Utils::tmp_check}/messages";

sub check
{
    my ($name) = @_;
    wait_for_messages($node, $_, $sent) for sort keys %query;
    consume($broker->bootstrap, 'values', $file);
    $node->safe_psql('postgres', <<"SQL");
DROP TABLE IF EXISTS plain;
CREATE TABLE plain ($columns);
CREATE TEMP TABLE line (kafka_partition int, kafka_offset bigint, message jsonb);
COPY line FROM '$file' (FORMAT csv, DELIMITER E'\\t', QUOTE E'\\b');
INSERT INTO plain SELECT r.* FROM line l, jsonb_populate_record(NULL::plain, l.message) r;
ANALYZE plain;
SQL
    # Aggregates that are no sets get the messages in their order; PostgreSQL's sort would mix it.
    $node->safe_psql('postgres', 'ALTER SYSTEM SET enable_sort = off');
    $node->reload;
    same_table($_, $name) for sort keys %query;
    return;
}

sub same_table
{
    my ($table, $name) = @_;
    my $want = sprintf($query{$table}, '(SELECT * FROM plain ORDER BY n OFFSET 0) plain');
    my ($got, $expected) = ("SELECT $compared{$table} FROM $table",
        "SELECT $compared{$table} FROM ($want) q");
    return if same_rows($node, $got, $expected, "$name: $table");
    for my $column (split /, /, $compared{$table})
    {
        next unless $column =~ /^(a\d+)::text$/;
        my $bad = $node->safe_psql('postgres', "SELECT count(*) FROM (SELECT $column FROM $table"
              . " EXCEPT ALL SELECT $column FROM ($want) q) d");
        my $before = index($query{$table}, " AS $1");
        diag("$column: $bad rows differ: " . substr($query{$table}, $before - 120, 120))
          if $bad ne '0';
    }
    return;
}

$broker->produce(map { message() } 1 .. 400);
check('at first');
$node->restart;
$broker->produce(map { message() } 1 .. 300);
kill('KILL', worker_pids($node, 'stream worker'));
wait_for_messages($node, 'every_plain', $sent);
$broker->produce(map { message() } 1 .. 100);
check('after restarts');
is($node->safe_psql('postgres', 'SELECT string_agg(last_error, E\'\n\'), sum(row_errors)'
      . ' FROM anomaly.table_progress'), '|0', 'no table has failed, and no row');
is($node->safe_psql('postgres', 'SELECT count(*) FROM anomaly.dead_letter'), '0', 'nothing is bad');
$broker->stop;
done_testing();
