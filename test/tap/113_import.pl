# Goal: IMPORT FOREIGN SCHEMA declares each topic as one would by hand: names, types, times with
# their unit, nested objects as paths, NOT NULL, the event time; what it declares can be read at
# once, and every message of the sample is good for it.
# Method: topics with the messages of known producers, imported; the columns are compared with what
# is expected, and the rows with what jsonb gives.
use strict;
use warnings;

use Anomaly qw(cluster create_server wait_until);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

# The mock cluster makes other topics when they are written to; its own stays empty.
my $broker = Broker->mock(topic => 'empty', partitions => 3);
my $node = cluster('import');
create_server($node, $broker->bootstrap);

sub sql { my ($text) = @_; return $node->safe_psql('postgres', $text) }

# Columns of a table, one a line: name, type, NOT NULL, options, generation.
sub columns_of
{
    my ($table) = @_;
    return sql(<<"SQL");
SELECT format('%s %s%s%s%s', attname, format_type(atttypid, atttypmod),
    CASE WHEN attnotnull THEN ' NOT NULL' END, ' ' || array_to_string(attfdwoptions, ' '),
    ' = ' || replace(pg_get_expr(adbin, adrelid), '::double precision', ''))
FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attrelid = '$table'::regclass AND attnum > 0 AND attname NOT LIKE 'kafka\\_%' ORDER BY attnum
SQL
}
sub event_time_of
{
    my ($table) = @_;
    return sql('SELECT option_value FROM pg_foreign_table, pg_options_to_table(ftoptions)'
          . " WHERE ftrelid = '$table'::regclass AND option_name = 'event_time'");
}

# ---- the seed's topic ----
$broker->generate(topic => 'cpu_load_stats_real', count => 3000, start_ms => 1_700_000_000_000);
sql('IMPORT FOREIGN SCHEMA "kafka" FROM SERVER message_queue INTO public');
is(columns_of('cpu_load_stats_real'), <<'EOT' =~ s/\n$//r, 'the seed\'s topic');
hostname text NOT NULL
cpu text NOT NULL
usage double precision NOT NULL
occurred_at bigint NOT NULL
occurred_at_time timestamp with time zone = to_timestamp((((occurred_at)::numeric / 1000.0)))
EOT
is(event_time_of('cpu_load_stats_real'), 'occurred_at_time', 'its event time');
is(sql('SELECT count(*), min(occurred_at_time) >= to_timestamp(1700000000)'
          . ' FROM cpu_load_stats_real'), '3000|t', 'it can be read');
is(sql("SELECT count(*) FROM pg_class WHERE relkind = 'f'"), 1, 'one topic, one table');
sql('CREATE TABLE counted WITH (anomaly.continuous) AS SELECT window_start, window_end, count(*)'
      . " AS n FROM cpu_load_stats_real, tumble(occurred_at_time, interval '30 seconds')"
      . ' GROUP BY window_start, window_end');
wait_until($node, 'SELECT sum(n) FROM counted', 3000, 'and feeds a continuous table');

# ---- other producers ----
my %messages = (
    telegraf => [
        '{"fields":{"usage_idle":98.2,"n":1},"name":"cpu","tags":{"cpu":"cpu-total",'
          . '"host name":"a.b"},"timestamp":1700000000}',
        '{"fields":{"usage_idle":97},"name":"cpu","tags":{"cpu":"cpu0","host name":"c"},'
          . '"timestamp":1700000010}' ],
    collectd => [
        '{"values":[1.5,2],"dstypes":["gauge","gauge"],"time":1700000000.123,"interval":10.0,'
          . '"host":"a","meta":{}}' ],
    'Times.of-all-kinds' => [
        '{"iso":"2026-01-05T10:11:33.07Z","blank":"2026-01-05 10:11:33+01:00","day":"2026-01-05",'
          . '"us":1700000000000000,"ns":1700000000000000000,"id":1700000000,'
          . '"uuid":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11","flag":true,"big":18446744073709551615}',
        '{"iso":"2026-01-05T10:11:34Z","blank":"2026-01-05 10:11:34+01:00","day":"2026-01-06",'
          . '"us":1700000000000001,"ns":1700000000000000001,"id":5,"uuid":null,"flag":null,'
          . '"big":1}' ],
    mixed => [
        '{"a":1,"b":"x","c":{"d":1},"select":1,"Upper":1,"x y":1,"deep":{"er":{"v":[1]}}}',
        '{"a":1.5,"b":2,"c":"text","select":2,"Upper":2,"x y":2,"deep":{"er":{"v":[]}}}',
        '{"a":null,"b":true}' ],
    names => [ '{"a":{"b":1},"a_b":2,"' . ('long' x 20) . '1":1,"' . ('long' x 20) . '2":1,"":3}' ],
    texts => [ 'hello', 'not json' ],
    __ours => ['{"a":1}']);
my %expected = (
    telegraf => <<'EOT',
fields_usage_idle double precision NOT NULL path=$.fields.usage_idle
fields_n bigint path=$.fields.n
name text NOT NULL
tags_cpu text NOT NULL path=$.tags.cpu
"tags_host name" text NOT NULL path=$.tags."host name"
timestamp bigint NOT NULL
timestamp_time timestamp with time zone = to_timestamp(("timestamp"))
EOT
    collectd => <<'EOT',
values jsonb NOT NULL
dstypes jsonb NOT NULL
time double precision NOT NULL
time_time timestamp with time zone = to_timestamp("time")
interval double precision NOT NULL
host text NOT NULL
meta jsonb NOT NULL
EOT
    'Times.of-all-kinds' => <<'EOT',
iso timestamp with time zone NOT NULL
blank timestamp with time zone NOT NULL
day date NOT NULL
us bigint NOT NULL
us_time timestamp with time zone = to_timestamp((((us)::numeric / 1000000.0)))
ns bigint NOT NULL
ns_time timestamp with time zone = to_timestamp((((ns)::numeric / 1000000000.0)))
id bigint NOT NULL
uuid uuid
flag boolean
big numeric NOT NULL
EOT
    mixed => <<'EOT',
a double precision
b text NOT NULL
c jsonb
select bigint
Upper bigint
x y bigint
deep_er_v jsonb path=$.deep.er.v
EOT
    names => <<"EOT");
a_b bigint NOT NULL path=\$.a.b
a_b_2 bigint NOT NULL path=\$.a_b
${\('long' x 15)}lon bigint NOT NULL path=\$.${\('long' x 20)}1
${\('long' x 15)}l_2 bigint NOT NULL path=\$.${\('long' x 20)}2
EOT
for my $topic (sort keys %messages)
{
    $broker->produce_to({ topic => $topic }, map { "0\tkey\t$_" } @{ $messages{$topic} });
}
sql('CREATE SCHEMA imported');
my ($rc, $out, $error) = $node->psql('postgres', 'IMPORT FOREIGN SCHEMA kafka EXCEPT'
      . ' (cpu_load_stats_real) FROM SERVER message_queue INTO imported', on_error_stop => 1);
is($rc, 0, 'all other topics') or diag($error);
like($error, qr/topic "empty" is left out\nDETAIL:  It has no messages/, 'but empty ones');
like($error, qr/WARNING:  topic "texts" is left out\nDETAIL:  None of 2 messages/, 'and no JSON');
is(sql("SELECT count(*) FROM pg_class WHERE relnamespace = 'imported'::regnamespace"),
    scalar(keys %expected), 'no other ones');
for my $topic (sort keys %expected)
{
    my $columns = columns_of("imported.\"$topic\"");
    is($columns, $expected{$topic} =~ s/\n$//r =~ s/^"(.*?)" /$1 /mgr, "columns of $topic");
    is(sql("SELECT count(*) FROM imported.\"$topic\""), scalar(@{ $messages{$topic} }),
        'each message of the sample is good');
}
is(sql('SELECT "tags_host name", fields_usage_idle, timestamp_time AT TIME ZONE \'UTC\''
          . ' FROM imported.telegraf ORDER BY 2 DESC'), "a.b|98.2|2023-11-14 22:13:20\n"
      . 'c|97|2023-11-14 22:13:30', 'values of nested fields');
is(event_time_of('imported.telegraf'), 'timestamp_time', 'the event time of telegraf');
is(event_time_of('imported.mixed'), 'kafka_timestamp', 'Kafka\'s own, where no other is');
is(sql('SELECT DISTINCT kafka_key FROM imported.telegraf'), 'key', 'keys');

# ---- what is asked for ----
sql('CREATE SCHEMA chosen; IMPORT FOREIGN SCHEMA kafka LIMIT TO (mixed) FROM SERVER message_queue'
      . " INTO chosen OPTIONS (sample_messages '1', not_null 'false')");
is(sql("SELECT string_agg(relname, ',') FROM pg_class WHERE relnamespace = 'chosen'::regnamespace"),
    'mixed', 'LIMIT TO');
is(columns_of('chosen.mixed'), "a text\nb boolean", 'the newest message alone, nothing NOT NULL');
sub refused
{
    my ($statement, $pattern, $name) = @_;
    my ($code, $rows, $words) = $node->psql('postgres', $statement);
    return like($words, $pattern, $name);
}
refused('IMPORT FOREIGN SCHEMA kafka LIMIT TO (nothing) FROM SERVER message_queue INTO chosen',
    qr/WARNING:  there is no topic "nothing"/, 'a topic that is not there');
refused('IMPORT FOREIGN SCHEMA kafak FROM SERVER message_queue INTO chosen',
    qr/ERROR:  there is no foreign schema "kafak"\nHINT:  All topics are in schema "kafka"/,
    'another schema');
refused('IMPORT FOREIGN SCHEMA kafka FROM SERVER message_queue INTO chosen OPTIONS'
      . " (sample_message '5')", qr/Perhaps you meant "sample_messages"/, 'an unknown option');
refused('IMPORT FOREIGN SCHEMA kafka FROM SERVER message_queue INTO chosen OPTIONS'
      . " (sample_messages '0')", qr/from 1 to 1000000/, 'a sample of nothing');
$node->stop;
done_testing();
