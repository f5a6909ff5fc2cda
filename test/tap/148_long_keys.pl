# Goal: a group whose key is longer than an index takes has no row, which is shown; it stops
# nothing.
# Method: keys around the limit, of letters that cannot be compressed and of such that can, in
# tables of every kind; a plain table with the same index is the judge of what fits.
use strict;
use warnings;

use Anomaly qw(cluster create_server wait_until wait_for_messages same_rows);
use Broker;
use Test::More;

srand(148);
my $node = cluster('main', fsync => 'off', 'anomaly.batch_rows' => 8);
my $broker = Broker->mock(topic => 'texts');
create_server($node, $broker->bootstrap);
my $columns = 'n int, s text, t text, d numeric, j jsonb, at timestamptz';

sub sql { return $node->safe_psql('postgres', $_[0]) }

sql("CREATE FOREIGN TABLE texts ($columns) SERVER message_queue"
      . q{ OPTIONS (topic 'texts', event_time 'at')});
sql("CREATE TABLE plain ($columns)");
my %select = (
    total => 'SELECT s, count(*) AS n FROM %s GROUP BY s',
    two => 'SELECT t, n %% 2 AS odd, s, count(*) AS n FROM %s GROUP BY 1, 2, 3',
    computed => 'SELECT s || t AS st, count(*) * 2 AS n FROM %s GROUP BY 1 HAVING count(*) > 0',
    digits => 'SELECT d, sum(n) AS n FROM %s GROUP BY d',
    objects => 'SELECT j, sum(n) AS n FROM %s GROUP BY j',
    windowed => 'SELECT s, window_start, string_agg(t, $$,$$) AS ts'
      . q{ FROM %s, tumble(at, interval '1 minute') GROUP BY 1, 2});
for my $table (sort keys %select)
{
    sql("CREATE TABLE $table WITH (anomaly.continuous) AS " . sprintf($select{$table}, 'texts'));
}

my @letters = ('a' .. 'z', 'A' .. 'Z', 0 .. 9);
sub noise { return join('', map { $letters[ rand @letters ] } 1 .. $_[0]) }

my @lengths = (5, 2600, 2650, 2680, 2688, 2689, 2690, 2700, 2704, 2800, 6000, 9000, 40_000);
my @lines;
for my $length (@lengths)
{
    my ($noise, $even) = (noise($length), 'x' x ($length * 4));
    my $digits = int($length * 1.9);
    $digits = '1' . join('', map { int(rand(10)) } 2 .. $digits);
    for my $s ($noise, $even, $noise)
    {
        my $n = @lines;
        my $second = $n % 10;
        push @lines, qq(0\t\\N\t{"n": $n, "s": "$s", "t": "t$length", "d": $digits,)
          . qq( "j": {"$s": 1}, "at": "2024-01-01T00:00:0${second}Z"});
    }
}
$broker->produce(@lines);
wait_for_messages($node, $_, scalar @lines) for sort keys %select;
sql('INSERT INTO plain SELECT * FROM texts');
sql(<<'SQL');
CREATE FUNCTION fits(definition text, judge text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  r record;
  kept bigint := 0;
BEGIN
  FOR r IN EXECUTE format('SELECT q::text AS v FROM (%s) q', definition) LOOP
    BEGIN
      EXECUTE format('INSERT INTO %1$I SELECT ($1::%1$I).*', judge) USING r.v;
      kept := kept + 1;
    EXCEPTION WHEN program_limit_exceeded THEN NULL;
    END;
  END LOOP;
  RETURN kept;
END $$;
SQL
for my $table (sort keys %select)
{
    sql("CREATE TABLE want_$table (LIKE $table INCLUDING INDEXES)");
    my $select = sprintf($select{$table}, 'plain');
    my $kept = sql("SELECT fits(\$f\$$select\$f\$, 'want_$table')");
    my $all = sql("SELECT count(*) FROM ($select) q");
    ok($kept > 5 && $kept < $all, "$table: some groups fit, some do not ($kept of $all)");
    same_rows($node, "SELECT * FROM $table", "SELECT * FROM want_$table", $table);
    is(sql("SELECT row_errors > 0, last_row_error ~ '^(a group.s key takes|index row requires)'"
              . " FROM anomaly.table_status WHERE relid = '$table'::regclass"), 't|t',
        "$table: it is shown");
}
is(sql('SELECT count(last_error), string_agg(DISTINCT state, $$ $$) FROM anomaly.table_status'),
    '0|running', 'no table was ever stopped');

# ---- after a restart ----
$node->restart;
$broker->produce(@lines);
wait_for_messages($node, $_, 2 * @lines) for sort keys %select;
sql('INSERT INTO plain SELECT * FROM plain');
for my $table (qw(total computed digits))
{
    sql("TRUNCATE want_$table");
    sql("SELECT fits(\$f\$" . sprintf($select{$table}, 'plain') . "\$f\$, 'want_$table')");
    same_rows($node, "SELECT * FROM $table", "SELECT * FROM want_$table", "$table, restarted");
}
done_testing();
