# Goal: aggregates of users are maintained by their own functions; what raises stops its own rows
# alone; the order of values is that of (partition, offset); what is kept survives a kill -9.
# Method: aggregates in SQL and plpgsql, with and without a state that can be stored, over messages
# of three partitions, compared with the same SELECT over a plain table in that order.
use strict;
use warnings;
use Anomaly qw(cluster create_server wait_until wait_for_messages same_rows consume worker_pids
  kill_server);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = Broker->mock(topic => 'numbers', partitions => 3);
my $node = cluster('main', 'anomaly.batch_rows' => 50, 'anomaly.commit_interval' => '20ms',
    jit => 'off');
create_server($node, $broker->bootstrap);
$node->safe_psql('postgres', <<'SQL');
CREATE FOREIGN TABLE numbers (
  k text, v integer, t text, at timestamptz,
  kafka_partition int OPTIONS (metadata 'partition'),
  kafka_offset bigint OPTIONS (metadata 'offset')
) SERVER message_queue OPTIONS (topic 'numbers', event_time 'at', watermark_delay '1 hour');

CREATE FUNCTION add_square(s numeric, v integer) RETURNS numeric LANGUAGE sql IMMUTABLE
AS 'SELECT s + v * v';
CREATE AGGREGATE squares(integer) (sfunc = add_square, stype = numeric, initcond = 0);

-- A composite state, strict, with a final function.
CREATE TYPE extent AS (low integer, high integer, seen text[]);
CREATE FUNCTION widen(s extent, v integer, t text) RETURNS extent LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN (least(s.low, v), greatest(s.high, v),
    (SELECT array_agg(DISTINCT x ORDER BY x) FROM unnest(s.seen || t) x))::extent;
END $$;
CREATE FUNCTION show(s extent) RETURNS text LANGUAGE sql IMMUTABLE
AS $$ SELECT format('%s..%s of %s', s.low, s.high, s.seen) $$;
CREATE AGGREGATE extent_of(integer, text) (sfunc = widen, stype = extent, finalfunc = show);

-- The first value becomes the state.
CREATE FUNCTION longer(a text, b text) RETURNS text LANGUAGE sql IMMUTABLE STRICT
AS 'SELECT CASE WHEN length(b) > length(a) THEN b ELSE a END';
CREATE AGGREGATE longest(text) (sfunc = longer, stype = text);

-- An internal state that nobody can serialize: its input values are kept.
CREATE AGGREGATE own_array_agg(anynonarray) (sfunc = array_agg_transfn, stype = internal,
  finalfunc = array_agg_finalfn, finalfunc_extra);

CREATE FUNCTION add_small(s integer, v integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF v = 13 THEN RAISE 'thirteen'; END IF;
  RETURN s + coalesce(v, 0);
END $$;
CREATE AGGREGATE superstitious(integer) (sfunc = add_small, stype = integer, initcond = 0);
CREATE FUNCTION no_odd(s integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF s % 2 = 1 THEN RAISE 'odd'; END IF;
  RETURN s;
END $$;
CREATE AGGREGATE even_sum(integer) (sfunc = add_small, stype = integer, initcond = 0,
  finalfunc = no_odd);
CREATE FUNCTION add_random(s float8, v integer) RETURNS float8 LANGUAGE sql VOLATILE
AS 'SELECT s + random()';
CREATE AGGREGATE lottery(integer) (sfunc = add_random, stype = float8, initcond = 0);
SQL

my $windows = "%s, tumble(at, interval '30 seconds')";
my %query = (
    own => 'SELECT k, window_start, window_end, squares(v),'
      . ' squares(v) FILTER (WHERE v > 5) AS some, squares(DISTINCT v) AS once,'
      . ' extent_of(v, t), longest(t) AS longest'
      . " FROM $windows GROUP BY k, window_start, window_end",
    in_order => 'SELECT k, window_start, window_end, own_array_agg(v) AS a, array_agg(t) AS b,'
      . " string_agg(t, ',') AS c, string_agg(t, ',' ORDER BY v DESC, t) AS d, json_agg(v) AS e,"
      . ' percentile_disc(0.5) WITHIN GROUP (ORDER BY v) AS f, count(DISTINCT v) AS g,'
      . ' percentile_cont(0.1 * length(k)) WITHIN GROUP (ORDER BY v) AS h'
      . " FROM $windows GROUP BY k, window_start, window_end",
    running => 'SELECT k, squares(v), sum(v::numeric) AS s, stddev(v), max(t) AS m,'
      . ' extent_of(v, t), anomaly.first(v, at), anomaly.last(t, at), anomaly.last(1, at) AS one,'
      . ' anomaly.last(at, at) FILTER (WHERE v = 3) AS three,'
      . " anomaly.first(t || 'x', at - v * interval '1 s')"
      . ' AS moved FROM %s GROUP BY k',
    by_time => 'SELECT k, window_start, window_end, anomaly.first(v, at), anomaly.last(v, at),'
      . " anomaly.first(ARRAY[t, 'x'], at) AS a FROM $windows"
      . ' GROUP BY k, window_start, window_end');

sub continuous
{
    my ($name, $sql) = @_;
    return $node->safe_psql('postgres',
        "CREATE TABLE $name WITH (anomaly.continuous) AS " . sprintf($sql, 'numbers'));
}

sub refused
{
    my ($sql, $message, $name) = @_;
    my ($result, $out, $error) = $node->psql('postgres',
        "CREATE TABLE never WITH (anomaly.continuous) AS $sql");
    like($error, $message, $name);
    return;
}

refused("SELECT lottery(v) FROM numbers", qr/function add_random.*is volatile/,
    'an aggregate with a volatile function is refused');
refused('SELECT k, array_agg(v) FROM numbers GROUP BY k',
    qr/aggregate array_agg.*cannot be maintained without a window.*HINT:.*tumble/s,
    'what keeps its values is refused without a window');
refused('SELECT k, count(DISTINCT v) FROM numbers GROUP BY k', qr/without a window/,
    'count(DISTINCT) too');
refused("SELECT array_agg(ROW(v, t)), window_start, window_end FROM numbers,"
      . " tumble(at, interval '1 minute') GROUP BY window_start, window_end",
    qr/cannot keep values of type record/, 'and rows without a type');

continuous($_, $query{$_}) for sort keys %query;
like($node->safe_psql('postgres', q{SELECT anomaly.explain('in_order')}),
    qr/own_array_agg\(v\) \(computed by PostgreSQL, the input values are kept\)
.*count\(DISTINCT v\) \(native, the distinct input values are kept\)/s,
    'explain tells what is kept');
like($node->safe_psql('postgres', q{SELECT anomaly.explain('running')}),
    qr/squares\(v\) \(computed by PostgreSQL, its state is kept\)
.*first\(v, at\) \(native, one row is kept\)/s, 'explain tells of states');
is($node->safe_psql('postgres', q{SELECT anomaly.first(v, t), anomaly.last(v, t),
    anomaly.last(v, t) FILTER (WHERE v = 'b'), anomaly.first(v, NULL)
    FROM (VALUES ('a', timestamptz '2024-01-02'), ('b', '2024-01-01'), ('c', '2024-01-01'),
      (NULL, '2024-01-03'), ('d', NULL)) r (v, t)}), 'b||b|',
    'first and last of an ordinary table');

# ---- in order, through restarts ----

my $sent = 0;

sub produce
{
    my ($count) = @_;
    $broker->produce(map {
        my $i = $sent++;
        sprintf("%d\t\\N\t" . '{"k": "%s", "v": %s, "t": %s, "at": "2024-01-01T00:%02d:%02dZ"}',
            int(rand(3)), (qw(a b))[ $i % 2 ], rand() < 0.1 ? 'null' : int(rand(12)),
            rand() < 0.1 ? 'null' : '"' . 'xyz' x int(rand(4)) . '"', $i / 600, $i / 10 % 60)
    } 1 .. $count);
    return;
}

my $file = "${PostgreSQL::Test::Utils::tmp_check}/messages";

sub check
{
    my ($name) = @_;
    wait_for_messages($node, $_, $sent) for sort keys %query;
    consume($broker->bootstrap, 'numbers', $file);
    $node->safe_psql('postgres', <<"SQL");
DROP TABLE IF EXISTS plain;
CREATE TABLE plain (k text, v integer, t text, at timestamptz, kafka_partition int,
  kafka_offset bigint);
CREATE TEMP TABLE line (kafka_partition int, kafka_offset bigint, message jsonb);
COPY line FROM '$file' (FORMAT csv, DELIMITER E'\\t', QUOTE E'\\b');
INSERT INTO plain SELECT r.k, r.v, r.t, r.at, l.kafka_partition, l.kafka_offset
FROM line l, jsonb_populate_record(NULL::plain, l.message) r;
SQL
    for my $table (sort keys %query)
    {
        my @columns = split /,/, $node->safe_psql('postgres', "SELECT string_agg(quote_ident("
              . "attname) || '::text', ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid ="
              . " '$table'::regclass AND attnum > 0");
        # The longest of equally long texts is the first that came, across partitions: no order.
        @columns = grep { !/longest/ } @columns;
        my $columns = join(', ', @columns);
        my $want = in_order($query{$table});
        same_rows($node, "SELECT $columns FROM $table", "SELECT $columns FROM ($want) q",
            "$name: $table");
    }
    return;
}

# One group after the other, so that no sort comes between.
sub in_order
{
    my ($sql) = @_;
    my $keys = $sql =~ /window_start/ ? 'k, window_start, window_end' : 'k';
    my ($select, $from) = $sql =~ /^SELECT (.*?) FROM (.*) GROUP BY/s;
    $from = sprintf($from, 'plain');
    my $outputs = $select =~ s/^\Q$keys\E, //r;
    my $join = join(' AND ', map { "r.$_ = g.$_" } split /, /, $keys);
    $outputs =~ s/length\(k\)/length(g.k)/;
    return "SELECT g.*, r.* FROM (SELECT DISTINCT $keys FROM $from) g, LATERAL (SELECT $outputs"
      . " FROM (SELECT * FROM $from ORDER BY kafka_partition, kafka_offset OFFSET 0) r WHERE $join"
      . ') r';
}

produce(500);
check('at first');
for my $turn (1 .. 3)
{
    produce(150);
    kill('KILL', worker_pids($node, 'stream worker')) if $turn == 1;
    if ($turn == 2)
    {
        kill_server($node);
        $node->start;
    }
    $node->restart if $turn == 3;
}
check('after kill -9');

# ---- what raises ----

$broker->stop;
$broker = Broker->mock(topic => 'numbers', partitions => 1);
$node->safe_psql('postgres', 'DROP TABLE ' . join(', ', sort keys %query));
$node->safe_psql('postgres',
    "ALTER SERVER message_queue OPTIONS (SET bootstrap_servers '@{[$broker->bootstrap]}')");
continuous('raises', 'SELECT k, superstitious(v), count(*) FROM %s GROUP BY k');
continuous('raises_late', "SELECT k, even_sum(v) AS e, window_start, window_end FROM $windows"
      . ' GROUP BY k, window_start, window_end');

sub take
{
    $broker->produce(map { qq{0\t\\N\t{"k": "$_->[0]", "v": $_->[1], "at": "2024-01-01 00:00Z"}} }
          @_);
    $node->safe_psql('postgres', q{SELECT anomaly.wait_for_stream('numbers', '30 seconds')});
    return;
}

take([ a => 2 ], [ b => 4 ], [ c => 1 ]);
is($node->safe_psql('postgres', 'SELECT * FROM raises ORDER BY k'), "a|2|1\nb|4|1\nc|1|1",
    'as long as nothing raises');
is($node->safe_psql('postgres', 'SELECT k, e FROM raises_late ORDER BY k'), "a|2\nb|4",
    'a final function that raises: the row is not there');
take([ a => 13 ], [ b => 3 ], [ c => 1 ], [ d => 8 ]);
is($node->safe_psql('postgres', 'SELECT * FROM raises ORDER BY k'), "b|7|2\nc|2|2\nd|8|1",
    'a transition that raises: the row is not there any more, the others are');
is($node->safe_psql('postgres', 'SELECT k, e FROM raises_late ORDER BY k'), "c|2\nd|8",
    'another state, another answer');
$node->restart;
take([ a => 1 ], [ c => 3 ]);
is($node->safe_psql('postgres', 'SELECT * FROM raises ORDER BY k'), "b|7|2\nc|5|3\nd|8|1",
    'nor does it come back');
is($node->safe_psql('postgres', 'SELECT k, e FROM raises_late ORDER BY k'), 'd|8',
    'which a final function may do');
is($node->safe_psql('postgres', q{SELECT row_errors > 0, last_row_error, last_error IS NULL
    FROM anomaly.table_progress WHERE relid = 'raises'::regclass}), 't|thirteen|t',
    'the error is counted and shown, and the table does not fail');
is($node->safe_psql('postgres', 'SELECT count(*) FROM anomaly.dead_letter'), '0',
    'no message is to blame');

$broker->stop;
done_testing();
