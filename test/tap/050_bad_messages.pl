# Goal: bad input is data. Whatever bytes a message has, the stream goes on; PostgreSQL's own
# jsonb_populate_record says what is good and with which values; the good is in the tables, the bad
# in anomaly.dead_letter with its place, a reason and its exact bytes, once.
# Method: chosen cases and hundreds of random mutations (ANOMALY_SEED changes them), a restart in
# between, and the same bytes judged in SQL as the oracle.
use strict;
use warnings;

use Anomaly qw(cluster create_server wait_until wait_for_messages same_rows);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{ANOMALY_SEED} // 1;
srand($seed);
note("ANOMALY_SEED=$seed");

my $start_ms = (time() - 3600) * 1000;
my @fields = qw(hostname cpu usage occurred_at level flag ratio amount tags seen short rank);
my $columns = join(', ', @fields);

my $broker = Broker->mock(topic => 'readings', partitions => 3);
my $node = cluster('bad');
create_server($node, $broker->bootstrap);
$node->safe_psql('postgres', <<'SQL');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE FOREIGN TABLE reading_in (
  hostname text NOT NULL, cpu text, usage double precision, occurred_at bigint, level smallint,
  flag boolean, ratio real, amount numeric(6,2), tags jsonb, seen timestamptz, short varchar(5),
  rank positive,
  time_ltz timestamptz GENERATED ALWAYS AS (to_timestamp(occurred_at / 1000.0)) STORED,
  kafka_partition int OPTIONS (metadata 'partition'),
  kafka_offset bigint OPTIONS (metadata 'offset'),
  message_key text OPTIONS (metadata 'key')
) SERVER message_queue OPTIONS (topic 'readings', format 'json', event_time 'time_ltz',
  watermark_delay '1000000 days', max_future '1 hour');
SQL

# The oracle: PostgreSQL's view of the same bytes.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE reading (
  hostname text, cpu text, usage double precision, occurred_at bigint, level smallint,
  flag boolean, ratio real, amount numeric(6,2), tags jsonb, seen timestamptz, short varchar(5),
  rank positive);
CREATE TABLE sent (kafka_partition int, kafka_offset bigint, what text, key bytea, message bytea);
CREATE TABLE judged (LIKE reading, good boolean, reason text, time_ltz timestamptz,
  kafka_partition int, kafka_offset bigint, message_key text);
CREATE FUNCTION judge(s sent) RETURNS judged LANGUAGE plpgsql AS $$
DECLARE
  r reading;
  j jsonb;
  result judged;
BEGIN
  result.kafka_partition := s.kafka_partition;
  result.kafka_offset := s.kafka_offset;
  BEGIN
    result.message_key := convert_from(s.key, 'UTF8');
    IF s.message IS NULL THEN RAISE 'null message'; END IF;
    j := convert_from(s.message, 'UTF8')::jsonb;
    IF jsonb_typeof(j) <> 'object' THEN RAISE 'not an object'; END IF;
    r := jsonb_populate_record(NULL::reading, j);
    IF r.hostname IS NULL THEN RAISE 'hostname is null'; END IF;
    result.time_ltz := to_timestamp(r.occurred_at / 1000.0);
    IF result.time_ltz IS NULL THEN RAISE 'no event time'; END IF;
    IF NOT isfinite(result.time_ltz) OR result.time_ltz > clock_timestamp() + interval '1 hour' THEN
      RAISE 'event time %', result.time_ltz;
    END IF;
    result.hostname := r.hostname; result.cpu := r.cpu; result.usage := r.usage;
    result.occurred_at := r.occurred_at; result.level := r.level; result.flag := r.flag;
    result.ratio := r.ratio; result.amount := r.amount; result.tags := r.tags;
    result.seen := r.seen; result.short := r.short; result.rank := r.rank;
    result.good := true;
  EXCEPTION WHEN OTHERS THEN
    result.good := false;
    result.reason := SQLERRM;
  END;
  RETURN result;
END $$;
SQL

$node->safe_psql('postgres', <<"SQL");
CREATE TABLE every_reading WITH (anomaly.continuous) AS
SELECT $columns, time_ltz, kafka_partition, kafka_offset, message_key FROM reading_in;
CREATE TABLE host_agg WITH (anomaly.continuous) AS
SELECT hostname, window_start, window_end, count(*) AS n, count(usage) AS usages,
       max(usage) AS usage_max, sum(level) AS levels
FROM reading_in, tumble(time_ltz, interval '30 seconds')
GROUP BY hostname, window_start, window_end;
CREATE TABLE share WITH (anomaly.continuous) AS
SELECT kafka_partition, kafka_offset, 100 / level AS share FROM reading_in WHERE level IS NOT NULL;
SQL

# ---- messages ----

# A good one, as a list of name => JSON text, so that parts of it can be replaced.
sub good
{
    my (%replace) = @_;
    my $i = int(rand(1000));
    my @pairs = (
        hostname => '"host' . ($i % 7) . '"', cpu => '"cpu' . ($i % 5) . '"',
        usage => sprintf('%.17g', rand(100)), occurred_at => $start_ms + $i * 777,
        level => 1 + $i % 9, flag => $i % 2 ? 'true' : 'false', ratio => $i / 8,
        amount => $i / 100, tags => "{\"rack\": [1, {\"row\": $i}], \"name\": \"n\\u00e9\"}",
        seen => '"2026-01-31T12:00:00.' . (100 + $i % 900) . 'Z"', short => '"abc"',
        rank => $i + 1);
    while (my ($name, $value) = each %replace)
    {
        my $found = 0;
        for (my $p = 0; $p < @pairs; $p += 2)
        {
            next if $pairs[$p] ne $name;
            $found = 1;
            $pairs[ $p + 1 ] = $value;
        }
        push @pairs, $name, $value unless $found;
    }
    my @text;
    for (my $p = 0; $p < @pairs; $p += 2)
    {
        push @text, "\"$pairs[$p]\":$pairs[$p + 1]" if defined $pairs[ $p + 1 ];
    }
    return '{' . join(',', @text) . '}';
}

# [what it is, message, reason (undef: it is good), key]
my $megabyte = 1 << 20;
my @chosen = (
    [ 'good', good(), undef ],
    [ 'good with a key', good(), undef, 'k' ],
    [ 'key in Latin 1', good(), 'key', "k\xe9" ],
    [ 'cut short', '{"hostname":"a","cpu":', '.' ],
    [ 'no JSON', 'hello', '.' ],
    [ 'empty', '', 'empty message' ],
    [ 'only a blank', ' ', '.' ],
    [ 'null message', undef, 'null message' ],
    [ 'JSON null', 'null', 'object' ],
    [ 'an array', '[' . good() . ']', 'object' ],
    [ 'a number', '12', 'object' ],
    [ 'two objects', good() . good(), '.' ],
    [ 'something behind', good() . ' x', '.' ],
    [ 'byte order mark', "\xef\xbb\xbf" . good(), '.' ],
    [ 'blanks around', " \n\t" . good() . "\r\n ", undef ],
    [ 'form feed', "\f" . good(), '.' ],
    [ 'field missing', good(usage => undef), undef ],
    [ 'all but two missing', "{\"hostname\":\"a\",\"occurred_at\":$start_ms}", undef ],
    [ 'NOT NULL field missing', good(hostname => undef), 'hostname' ],
    [ 'NOT NULL field null', good(hostname => 'null'), 'hostname' ],
    [ 'event time missing', good(occurred_at => undef), 'event time' ],
    [ 'event time in 2099', good(occurred_at => 4070908800000), 'event time' ],
    [ 'event time out of range', good(occurred_at => '9223372036854775807'), '.' ],
    [ 'event time before Christ', good(occurred_at => '-62200000000000'), undef ],
    [ 'string for a number', good(usage => '"high"'), 'usage' ],
    [ 'number in a string', good(usage => '"12.5"'), undef ],
    [ 'number for text', good(cpu => '12.50'), undef ],
    [ 'true for text', good(cpu => 'true'), undef ],
    [ 'object for text', good(cpu => '{"a": 1,  "a": 2}'), undef ],
    [ 'fraction for bigint', good(occurred_at => '1.5'), 'occurred_at' ],
    [ 'exponent for bigint', good(occurred_at => '1.7e12'), undef ],
    [ 'NaN', good(usage => 'NaN'), '.' ],
    [ 'NaN in a string', good(usage => '"NaN"'), undef ],
    [ 'infinity in a string', good(usage => '"-Infinity"'), undef ],
    [ 'huge double', good(usage => '1e400'), 'usage' ],
    [ 'tiny double', good(usage => '1e-400'), 'usage' ],
    [ 'minus zero', good(usage => '-0.0'), undef ],
    [ 'many digits', good(usage => '0.' . '3' x 5000), undef ],
    [ 'huge exponent', good(usage => '1e999999999'), '.' ],
    [ 'smallint too large', good(level => 32768), 'level' ],
    [ 'smallint as it can be', good(level => 32767), undef ],
    [ 'division by zero in one table', good(level => 0), undef ],
    [ 'text too long', good(short => '"abcdef"'), 'short' ],
    [ 'against the domain', good(rank => 0), 'rank' ],
    [ 'rounded', good(amount => '12.345'), undef ],
    [ 'numeric overflow', good(amount => '12345.6'), 'amount' ],
    [ 'no time', good(seen => '"yesterdayish"'), 'seen' ],
    [ 'infinite time', good(seen => '"infinity"'), undef ],
    [ 'NUL escaped in text', good(cpu => '"a\\u0000b"'), '.' ],
    [ 'NUL escaped where nobody looks', good(other => '"a\\u0000b"'), '.' ],
    [ 'NUL byte', good(cpu => "\"a\0b\""), '.' ],
    [ 'half a surrogate pair', good(cpu => '"\\ud83d"'), '.' ],
    [ 'a surrogate pair', good(cpu => '"\\ud83d\\ude00"'), undef ],
    [ 'invalid UTF-8', good(cpu => "\"\xff\xfe\""), 'UTF8' ],
    [ 'invalid UTF-8 where nobody looks', good(other => "\"\xc0\xaf\""), 'UTF8' ],
    [ 'encoded surrogate', good(cpu => "\"\xed\xa0\x80\""), 'UTF8' ],
    [ 'UTF-8', good(cpu => "\"\xc3\xa9\xf0\x9f\x98\x80\""), undef ],
    [ 'newline in a string', good(cpu => "\"a\nb\""), '.' ],
    [ 'duplicate keys, the last good', '{"usage":"x",' . substr(good(), 1), undef ],
    [ 'duplicate keys, the last bad', substr(good(), 0, -1) . ',"usage":"x"}', 'usage' ],
    [ 'key with an escape', good(hostname => undef, "host\\u006eame" => '"e"'), undef ],
    [ 'key in capitals', good(hostname => undef, HOSTNAME => '"e"'), 'hostname' ],
    [ 'nested 1000 levels', good(other => '[' x 1000 . ']' x 1000), undef ],
    [ 'objects nested 500 levels', good(tags => '{"a":' x 500 . '1' . '}' x 500), undef ],
    [ 'nested 100000 levels', good(other => '[' x 100000 . ']' x 100000), 'stack depth' ],
    [ 'never closed', '[' x 50000, '.' ],
    [ 'a good megabyte', good(other => '"' . 'x' x $megabyte . '"'), undef ],
    [ 'a megabyte of text', good(cpu => '"' . 'y' x $megabyte . '"'), undef ],
    [ 'a bad megabyte', good(usage => '"' . 'z' x $megabyte . '"'), 'usage' ],
    [ 'a megabyte of noise', join('', map { chr(int(rand(256))) } 1 .. $megabyte), '.' ]);

my @odd = ('NaN', '-Infinity', '-0', '-', '1e400', '1e-400', '0x10', '01', '.5', '5.', '+1', '1E5',
    '1e+2', '12.0', '12.5', '""', '" 12 "', '"1e3"', '"0x1A"', '"1_0"', '"t"', '"yes"', '"off"',
    '1',
    '0', 'true', 'false', 'null', 'nul', 'TRUE', '{}', '[]', '[1,2]', '{"a":null}', '[1,]', '{,}',
    '99999999999999999999', '-9223372036854775808', '9223372036854775808', '-32768', '"\\/"',
    '"\\x41"', '"\\u12"', '"\\uDC00"', '"\\"', '"\\u00e9\\t"', "\"\t\"", "\"\xc3\"", "'a'",
    '"2026-02-30"', '"2026-01-01 24:00:00"', '"2026-01-01T00:00:00.1234567+05:30"',
    '"0001-01-01 BC"', '"infinity"', '"{\\"a\\":1}"', '3.4028236e38', '1e38', '1e-45', '1e-46',
    '0.1', '123456789012345678901234567890.123456789', '1' . '0' x 400, '/**/1', '"a" "b"');

# Not the times that depend on the clock (now, today): they mean another time at each reading.
my @bytes = map { chr } 0 .. 255;
my @telling = ('"', '\\', '{', '}', '[', ']', ':', ',', ' ', '-', '0', 'e', '.', "\n", "\0",
    "\xff");

sub mutate
{
    my ($text) = @_;
    my $at = int(rand(length($text)));
    my $way = int(rand(6));
    if ($way == 0) { substr($text, $at, 1) = $bytes[ rand @bytes ] }
    elsif ($way == 1) { substr($text, $at, 0) = $telling[ rand @telling ] }
    elsif ($way == 2) { substr($text, $at, 1 + int(rand(3))) = '' }
    elsif ($way == 3) { substr($text, $at, 0) = substr($text, int(rand(length($text))), 20) }
    elsif ($way == 4) { $text = substr($text, 0, $at) }
    else { substr($text, $at, 1) = $telling[ rand @telling ] }
    return $text;
}

my @random;
for my $i (1 .. 900)
{
    my $field = $fields[ rand @fields ];
    my $message = $i % 3 ? good($field => $odd[ rand @odd ]) : mutate(good());
    $message = mutate($message) if $i % 10 == 0 && length($message) > 0;
    push @random, [ "random $i", $message ];
}

# ---- sending ----

my @next_offset = (0, 0, 0);

sub hex_or_null { return defined $_[0] ? '\\x' . unpack('H*', $_[0]) : '\\N' }

# Sends to Kafka, and the same to the oracle.
sub send_all
{
    my (@messages) = @_;
    my (@lines, @rows);
    for my $i (0 .. $#messages)
    {
        my ($what, $message, $reason, $key) = @{ $messages[$i] };
        my $partition = $i % 3;
        push @lines, join("\t", $partition, hex_or_null($key), hex_or_null($message));
        push @rows, join("\t", $partition, $next_offset[$partition]++, $what,
            map { s/^\\x/\\\\x/r } hex_or_null($key), hex_or_null($message));
    }
    my $file = PostgreSQL::Test::Utils::tempdir() . '/sent';
    PostgreSQL::Test::Utils::append_to_file($file, join('', map { "$_\n" } @rows));
    $broker->produce_to({ property => 'message.max.bytes=4000000' }, @lines);
    $node->safe_psql('postgres',
        "COPY sent FROM '$file'; INSERT INTO judged SELECT (judge(s)).* FROM sent s"
          . ' WHERE NOT EXISTS (SELECT FROM judged j WHERE j.kafka_partition = s.kafka_partition'
          . ' AND j.kafka_offset = s.kafka_offset)');
    unlink($file);
    return;
}

sub taken_in
{
    my ($name) = @_;
    my $count = 0;
    $count += $_ for @next_offset;
    wait_for_messages($node, $_, $count) for qw(every_reading host_agg share);
    check_all($name);
    return;
}

sub check_all
{
    my ($name) = @_;
    my $all = "$columns, time_ltz, kafka_partition, kafka_offset, message_key";
    same_rows($node, "SELECT $all FROM every_reading", "SELECT $all FROM judged WHERE good",
        "$name: good messages and their values");
    same_rows($node, 'SELECT * FROM host_agg', <<'SQL', "$name: aggregates of the good ones");
SELECT hostname, window_start, window_end, count(*) AS n, count(usage) AS usages,
       max(usage) AS usage_max, sum(level) AS levels
FROM judged, tumble(time_ltz, interval '30 seconds') WHERE good
GROUP BY hostname, window_start, window_end
SQL
    my $place = 'kafka_partition, kafka_offset, message';
    same_rows($node,
        "SELECT stream::text, topic, $place FROM anomaly.dead_letter WHERE relid IS NULL",
        "SELECT 'reading_in', 'readings', $place FROM judged JOIN sent USING (kafka_partition,"
          . ' kafka_offset) WHERE NOT good', "$name: bad messages with their bytes, each once");
    same_rows($node,
        "SELECT relid::text, $place, reason FROM anomaly.dead_letter WHERE relid IS NOT NULL",
        "SELECT 'share', $place, 'division by zero' FROM judged JOIN sent USING (kafka_partition,"
          . ' kafka_offset) WHERE good AND level = 0', "$name: what one table alone cannot take");
    same_rows($node, 'SELECT * FROM share', 'SELECT kafka_partition, kafka_offset, 100 / level'
          . ' FROM judged WHERE good AND level <> 0', "$name: and the rest of that table");
    is($node->safe_psql('postgres',
            'SELECT count(*) FROM anomaly.dead_letter'
              . " WHERE reason = '' OR kafka_timestamp IS NULL"),
        '0', "$name: each has a reason and the time of its message");
    return;
}

# ---- the chosen ones ----
send_all(@chosen);
taken_in('chosen');
my %judgement = map { my ($what, @rest) = split /\|/, $_, 3; $what => \@rest } split /\n/,
  $node->safe_psql('postgres', <<'SQL');
SELECT what, j.good, replace(coalesce(l.reason, ''), E'\n', ' ')
FROM sent JOIN judged j USING (kafka_partition, kafka_offset)
LEFT JOIN anomaly.dead_letter l ON l.relid IS NULL AND l.kafka_partition = sent.kafka_partition
  AND l.kafka_offset = sent.kafka_offset
SQL
for my $case (@chosen)
{
    my ($what, $message, $reason) = @$case;
    my ($good, $given) = @{ $judgement{$what} };
    is($good, defined $reason ? 'f' : 't', "the oracle agrees that this is as it is: $what");
    like($given, qr/$reason/, "the reason of: $what") if defined $reason;
}

# ---- random ones, and a restart in between ----
send_all(@random[ 0 .. 449 ]);
$node->restart;
taken_in('first half');
send_all(@random[ 450 .. 899 ]);
taken_in('second half');
$node->restart;
send_all([ 'after all', good() ], [ 'bad after all', '{' ]);
taken_in('after a restart');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FILTER (WHERE good) FROM judged'), '>', 200,
    'there was enough that is good');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FILTER (WHERE NOT good) FROM judged'), '>',
    200, 'and enough that is bad');

# ---- looking at it ----
is($node->safe_psql('postgres', 'SELECT dead_letters = dead_letters_kept AND dead_letters ='
          . ' (SELECT count(*) FROM anomaly.dead_letter)'
          . " FROM anomaly.stream_status WHERE stream = 'reading_in'::regclass"),
    't', 'stream_status counts them');
is($node->safe_psql('postgres',
        "SELECT state FROM anomaly.stream_status WHERE stream = 'reading_in'::regclass"),
    'running', 'the stream runs');
same_rows($node, "SELECT $columns, kafka_partition, kafka_offset FROM reading_in",
    "SELECT $columns, kafka_partition, kafka_offset FROM judged WHERE good",
    'a peek shows the good ones');
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal|TRAP/, 'nothing has crashed');
done_testing();
