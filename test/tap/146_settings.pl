# Goal: a continuous table means what its SELECT meant in the session that made it, whatever that
# session's settings, and whatever ALTER DATABASE says to those who read its definition later.
# Method: tables with constants of every kind, made under settings that write or read them in
# another way; each is compared with its own SELECT over a plain table under the same settings.
use strict;
use warnings;

use Anomaly qw(cluster create_server wait_until same_rows);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = cluster('main', fsync => 'off');
my $broker = Broker->mock(topic => 'settings');
create_server($node, $broker->bootstrap);

sub sql { return $node->safe_psql('postgres', $_[0]) }

my $columns = 'n int, f float8, s text, v interval, a text, at timestamptz';
sql("CREATE FOREIGN TABLE messages ($columns) SERVER message_queue"
      . " OPTIONS (topic 'settings', event_time 'at', watermark_delay '100 days')");
my @lines = map {
    my $n = $_;
    my $f = (0.12345, 0.1234567890123456, 0.1234567890123457, 0.12346)[ $n % 4 ];
    my $s = ('7', '\\\\d', 'it\'s', 'd')[ $n % 4 ];
    my $hour = sprintf('%02d', $n % 24);
    qq(0\t\\N\t{"n": $n, "f": $f, "s": "$s", "v": "$n hours", "a": "{NULL}",)
      . qq( "at": "2024-03-04T$hour:00:00Z"});
} 0 .. 95;
$broker->produce(@lines);
sql("CREATE TABLE plain ($columns)");
sql('INSERT INTO plain SELECT * FROM messages');

# ---- sessions that write constants in another way ----
my %made = (
    rounds => [
        'SET extra_float_digits = -10',
        q{SELECT n, f FROM %s WHERE f > float8 '0.1234567890123456'}
    ],
    backslash => [
        'SET standard_conforming_strings = off; SET escape_string_warning = off',
        q{SELECT n, s ~ '^\\\\d$' AS digit, s = '\\\\d' AS same FROM %s}
    ],
    # IST is Israel's to PostgreSQL, unless told otherwise.
    dates => [
        q{SET DateStyle = 'SQL, DMY'; SET TimeZone = 'Asia/Kolkata'},
        q{SELECT n, at FROM %s WHERE at > timestamptz '4/3/2024 09:00'}
          . q{ AND at::date < date '5/3/2024'}
    ],
    intervals => [
        q{SET IntervalStyle = 'sql_standard'},
        q{SELECT n, v + interval '1 day -1:00' AS v FROM %s WHERE v > interval '-1 day 5:00'}
    ],
    bytes => [
        'SET bytea_output = escape; SET array_nulls = off',
        q{SELECT n, decode(md5(s), 'hex')::text AS b, a::text[] AS a FROM %s}
    ],
    nulls => [
        'SET transform_null_equals = on',
        q{SELECT n = NULL AS x, a::text[] AS a, '{NULL}'::text[] AS b, count(*) FROM %s}
          . ' GROUP BY 1, 2, 3'
    ],
    windows => [
        q{SET TimeZone = 'Asia/Kathmandu'; SET DateStyle = 'German'},
        q{SELECT window_start, at::text AS at, max(f) AS f FROM %s, tumble(at, interval '1 day')}
          . q{ WHERE at > timestamp '4.3.2024 06:30' GROUP BY 1, 2}
    ]);
my %with = map { $_ => ($made{$_}[0] . '; ') } keys %made;
for my $table (sort keys %made)
{
    sql("$with{$table} CREATE TABLE $table WITH (anomaly.continuous) AS "
          . sprintf($made{$table}[1], 'messages'));
}

# ---- a database whose sessions are odd ----
my @odd = (
    'extra_float_digits = -15', 'standard_conforming_strings = off', q{DateStyle = 'Postgres, MDY'},
    q{IntervalStyle = 'sql_standard'}, 'array_nulls = off', 'transform_null_equals = on',
    q{TimeZone = 'America/St_Johns'}, 'bytea_output = escape', 'quote_all_identifiers = on',
    'default_transaction_read_only = on', 'row_security = off', 'search_path = nowhere',
    'role = pg_monitor', 'session_replication_role = replica', 'statement_timeout = 1');
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', "ALTER DATABASE postgres SET $_") for @odd;
$node->restart;
# Those who look are to be as they were.
$ENV{PGOPTIONS} = join ' ', map { "-c $_" } 'statement_timeout=0', 'role=none', 'DateStyle=ISO',
  'IntervalStyle=postgres', 'extra_float_digits=1', 'standard_conforming_strings=on',
  'default_transaction_read_only=off', 'search_path=public', 'TimeZone=UTC',
  'transform_null_equals=off', 'array_nulls=on', 'quote_all_identifiers=off',
  'session_replication_role=origin';
$broker->produce(@lines);
sql('INSERT INTO plain SELECT * FROM plain');
wait_until($node, 'SELECT count(*) FROM anomaly.table_progress WHERE next_offsets[1] = 192',
    scalar keys %made, 'all tables have taken in all messages');
for my $table (sort keys %made)
{
    my $select = sprintf($made{$table}[1], 'plain');
    sql("$with{$table} CREATE TABLE want_$table AS $select");
    same_rows($node, "SELECT * FROM $table", "SELECT * FROM want_$table", $table);
}
is(sql('SELECT count(*) FROM anomaly.dead_letter'), '0', 'no message was bad for any of them');

# ---- who reads a definition under settings of his own ----
sql(q{CREATE FUNCTION found(d dates) RETURNS text LANGUAGE sql STABLE AS 'SELECT NULL::text'});
is(sql(q{SET DateStyle = 'Postgres, MDY'; SELECT anomaly.create_rule('found', 'dates', 'found')}),
    '', 'a rule on it is made under another DateStyle');
like(sql(q{SET standard_conforming_strings = off; SELECT anomaly.explain('backslash')}),
    qr/\(s ~ '\^\\+d\$'::text\)/, 'explain');
done_testing();
