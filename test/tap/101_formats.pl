# Goal: the messages of the systems this replaces, byte for byte as their producers write them, are
# read by a peek and by a continuous table as PostgreSQL's own casts read them; so are messages of
# many rows, CSV, raw messages, times in every spelling, and headers.
# Method: each form is declared, produced, and compared with a plain query over the same text.
use strict;
use warnings;

use Anomaly qw(cluster create_server wait_until same_rows);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = Broker->mock(topic => 'first', partitions => 1);
my $node = cluster('formats');
create_server($node, $broker->bootstrap);

sub sql { return $node->safe_psql('postgres', "SET timezone = 'UTC'; $_[0]") }
sub literal { return "'" . ($_[0] =~ s/'/''/gr) . "'" }

# A form: columns and options of the stream, its messages, and what PostgreSQL makes of table
# `line (o, message)`; the columns are the same.
my @forms = (
    {   name => 's1_tcp',
        columns => 'device_id text, report_time timestamptz, metric_name text,'
          . ' metric_value double precision',
        options => "format 'json'",
        messages => [
            '{"device_id":"cfcd208495d565ef66e7dff9f98764da","report_time":"2023-01-05'
              . ' 10:11:33.07+01:00","metric_name":"retrans_rate",'
              . '"metric_value":0.3627602872711891}',
            '{"device_id":"c4ca4238a0b923820dcc509a6f75849b","report_time":"2023-08-17'
              . ' 23:59:59.07+08:00","metric_name":"srtt","metric_value":1399}',
            '{"device_id":"c4ca4238a0b923820dcc509a6f75849b","report_time":'
              . '"2023-12-31T00:00:00Z","metric_name":"download_speed","metric_value":1e+21}' ],
        oracle => q{SELECT m->>'device_id', (m->>'report_time')::timestamptz, m->>'metric_name',
          (m->>'metric_value')::float8 FROM (SELECT message::jsonb m FROM line) l} },
    {   name => 's1_nics',
        columns => 'device_id text, metric_name text, aggregation text, nic_name text,'
          . ' report_time timestamp, bandwidth double precision, metric_value double precision',
        options => "format 'json'",
        messages => [
            '{"device_id":"cfcd208495d565ef66e7dff9f98764da","metric_name":"tx_bytes",'
              . '"aggregation":"avg","nic_name":"eth1","report_time":"2023-01-05'
              . ' 10:11:33.07+01:00","bandwidth":1342177280,"metric_value":503316480}' ],
        oracle => q{SELECT m->>'device_id', m->>'metric_name', m->>'aggregation', m->>'nic_name',
          (m->>'report_time')::timestamp, (m->>'bandwidth')::float8, (m->>'metric_value')::float8
          FROM (SELECT message::jsonb m FROM line) l} },
    {   name => 's2_cpu',
        columns => "hostname text, cpu text, usage double precision,"
          . " occurred_at timestamptz OPTIONS (unit 'ms')",
        options => "format 'json', event_time 'occurred_at'",
        messages => [
            '{"hostname": "doc", "cpu": "cpu4", "usage": 98.3335306302198, "occurred_at":'
              . ' 1633956789277}',
            '{"hostname": "sleepy", "cpu": "cpu2", "usage": 87.4, "occurred_at": 1633956784000}' ],
        oracle => q{SELECT m->>'hostname', m->>'cpu', (m->>'usage')::float8,
          timestamptz 'epoch' + (m->>'occurred_at')::bigint * interval '1 ms'
          FROM (SELECT message::jsonb m FROM line) l} },
    {   name => 's4_stats',
        columns => "epoch timestamptz OPTIONS (unit 's'), cpu int, mem int",
        options => "format 'csv'",
        messages => [ '1488825600,23,45', '1488825601,100,0' ],
        oracle => q{SELECT to_timestamp(split_part(message, ',', 1)::bigint),
          split_part(message, ',', 2)::int, split_part(message, ',', 3)::int FROM line} },
    {   name => 's4_responsetime',
        columns => "response_ms int, epoch_s timestamptz OPTIONS (unit 's')",
        options => "format 'csv'",
        messages => [ '35,1488825600', '71,1488825600' ],
        oracle => q{SELECT split_part(message, ',', 1)::int,
          to_timestamp(split_part(message, ',', 2)::bigint) FROM line} },
    {   name => 's4_aggregate',
        columns => 'count int, mem int, max int, "timestamp" timestamptz OPTIONS (unit \'s\'),'
          . ' summation bigint, violations int, cpu int, mean int',
        options => "format 'json'",
        messages => [
            '{"count": 344, "mem": 45, "max": 120, "timestamp": 1488825600, "summation": 10320,'
              . ' "violations": 0, "cpu": 23, "mean": 30}' ],
        oracle => q{SELECT (m->>'count')::int, (m->>'mem')::int, (m->>'max')::int,
          to_timestamp((m->>'timestamp')::bigint), (m->>'summation')::bigint,
          (m->>'violations')::int, (m->>'cpu')::int, (m->>'mean')::int
          FROM (SELECT message::jsonb m FROM line) l} },
    {   name => 's5_network',
        columns => 'device_id text, "timestamp" timestamptz, src_ip inet, dst_ip text,'
          . ' protocol text, latency_ms numeric(8,2), packet_loss_rate numeric,'
          . ' bandwidth_usage_percent double precision, flow_bytes int',
        options => "format 'json', timezone 'Asia/Singapore'",
        messages => [
            '{"device_id": "router-01", "timestamp": "2025-06-10T14:03:22.123456", "src_ip":'
              . ' "192.168.1.7", "dst_ip": "10.0.0.9", "protocol": "TCP", "latency_ms": 23.4,'
              . ' "packet_loss_rate": 0.52, "bandwidth_usage_percent": 45.1, "flow_bytes": 53211}',
            '{"device_id": "switch-01", "timestamp": "2025-06-10T14:03:23", "src_ip":'
              . ' "172.16.0.254", "dst_ip": "10.0.0.1", "protocol": "HTTPS", "latency_ms": 150,'
              . ' "packet_loss_rate": 5.0, "bandwidth_usage_percent": 99.99, "flow_bytes":'
              . ' 1048576}' ],
        oracle => q{SELECT m->>'device_id',
          (m->>'timestamp')::timestamp AT TIME ZONE 'Asia/Singapore', (m->>'src_ip')::inet,
          m->>'dst_ip', m->>'protocol', (m->>'latency_ms')::numeric(8,2),
          (m->>'packet_loss_rate')::numeric, (m->>'bandwidth_usage_percent')::float8,
          (m->>'flow_bytes')::int FROM (SELECT message::jsonb m FROM line) l} },
    # Times where clocks change: skipped, and twice.
    {   name => 'zones',
        columns => 'at timestamptz, local timestamp, n numeric',
        options => "format 'json', timezone 'Europe/Berlin'",
        messages => [ map { "{\"at\": \"$_\", \"local\": \"$_\"}" } '2026-03-29 01:59:59.999999',
            '2026-03-29 02:30:00', '2026-03-29T03:00:00', '2026-10-25 02:30:00',
            '2026-10-25 02:00:00', '2026-10-25 03:00:00', '2026-07-01 12:00:00Z',
            '1999-12-31T23:59:59.5', '2150-07-01 00:00:00', '1900-01-01 00:00:00' ],
        settings => "SET timezone = 'Europe/Berlin';",
        oracle => q{SELECT (m->>'at')::timestamptz, (m->>'local')::timestamp, NULL::numeric
          FROM (SELECT message::jsonb m FROM line) l} },
    {   name => 'units',
        columns => join(', ', map { "c_$_ timestamptz OPTIONS (unit '$_')" } qw(s ms us ns))
          . ", short timestamptz(3) OPTIONS (unit 's'), local timestamp OPTIONS (unit 's')",
        options => "format 'json', timezone 'America/New_York'",
        messages => [ map { "{\"c_s\": $_, \"c_ms\": $_, \"c_us\": $_, \"c_ns\": $_,"
              . " \"short\": $_, \"local\": $_}" } 0, -1, 1.5, '1700000000.123456789',
            1700000000, '"1700000000"', '1.7e9', -86400.0000005, 123456789012 ],
        settings => "SET timezone = 'America/New_York';",
        oracle => q{SELECT e + round(v * 1e6)::float8 * us, e + round(v * 1e3)::float8 * us,
          e + round(v)::float8 * us, e + round(v * 0.001)::float8 * us,
          (e + round(v * 1e6)::float8 * us)::timestamptz(3),
          (e + round(v * 1e6)::float8 * us)::timestamp
          FROM (SELECT (message::jsonb->>'c_s')::numeric v FROM line) l,
          (VALUES (timestamptz 'epoch', interval '1 us')) AS c(e, us)} },
    {   name => 'many_rows',
        columns => "host text OPTIONS (path '\$.host'), name text, value numeric,"
          . " tags jsonb OPTIONS (path '\@.labels'), whole jsonb OPTIONS (path '\@')",
        options => q{format 'json', rows '$.metrics[*]'},
        messages => [
            '{"metrics": [{"name": "a", "value": 1.50}, {"name": "b", "labels": {"x": [1, 2]}}],'
              . ' "host": "late"}',
            '{"host": "h", "metrics": []}', '{"host": "none"}',
            '{"host": "dup", "host": "last", "metrics": [{"name": "c"}, {"name": "d", "name":'
              . ' "e"}, {"value": 3}]}', '{"host": "one", "metrics": {"name": "wrapped"}}' ],
        oracle => q{SELECT m->>'host', r->>'name', (r->>'value')::numeric, r->'labels', r
          FROM (SELECT o, message::jsonb m FROM line) l,
          jsonb_path_query(m, '$.metrics[*]') r} },
    {   name => 'deep_rows',
        columns => "outer_name text OPTIONS (path '\$.name'), v int OPTIONS (path '\@')",
        options => q{format 'json', rows '$.a[*].b[*]'},
        messages => [ '{"name": "n", "a": [{"b": [1, 2]}, {"b": []}, {"b": [3]}]}' ],
        oracle => q{SELECT m->>'name', r::int FROM (SELECT message::jsonb m FROM line) l,
          jsonb_path_query(m, '$.a[*].b[*]') r} },
    {   name => 'root_rows',
        columns => 'a int, b text',
        options => q{format 'json', rows '$[*]'},
        messages => [ '[{"a": 1, "b": "x"}, {"a": 2}]', '[]', ' [ {"b": null} ] ' ],
        oracle => q{SELECT (r->>'a')::int, r->>'b' FROM line,
          jsonb_path_query(message::jsonb, '$[*]') r} },
    {   name => 'raw_text', columns => 'body text', options => "format 'raw'",
        messages => [ 'any text', '{"a": 1}', "caf\xc3\xa9", '' ],
        oracle => 'SELECT message FROM line' },
    {   name => 'raw_bytes', columns => 'body bytea', options => "format 'raw'",
        messages => [ 'any text', 'more' ],
        oracle => "SELECT convert_to(message, 'UTF8') FROM line" },
    {   name => 'raw_json', columns => 'body jsonb', options => "format 'raw'",
        messages => [ '{"a": [1, 2.50]}', '"scalar"' ],
        oracle => 'SELECT message::jsonb FROM line' });

for my $form (@forms)
{
    my $name = $form->{name};
    my @messages = @{ $form->{messages} };
    my @names = map { (split ' ', $_)[0] } split /,\s*(?![^(]*\))/, $form->{columns};
    my $list = join(', ', @names);
    sql('DROP TABLE IF EXISTS line; CREATE TABLE line (o int, message text);'
          . ' INSERT INTO line VALUES '
          . join(', ', map { "($_, " . literal($messages[$_]) . ')' } 0 .. $#messages));
    my $settings = $form->{settings} // '';
    sql("$settings CREATE TABLE want_$name ($list) AS $form->{oracle}");
    $broker->produce_to({ topic => $name },
        map { "0\t\\N\t\\x" . unpack('H*', $_) } @messages);
    sql("CREATE FOREIGN TABLE $name ($form->{columns}) SERVER message_queue"
          . " OPTIONS (topic '$name', $form->{options});"
          . " CREATE TABLE got_$name WITH (anomaly.continuous) AS SELECT $list FROM $name");
    my $text = "ROW($list)::text";
    same_rows($node, "SELECT $text FROM $name", "SELECT $text FROM want_$name", "$name: a peek");
    wait_until($node,
        'SELECT sum(o) >= ' . @messages . ' FROM anomaly.table_progress, unnest(next_offsets) o'
          . " WHERE relid = 'got_$name'::regclass", 't', "$name: taken in");
    same_rows($node, "SELECT $text FROM got_$name", "SELECT $text FROM want_$name",
        "$name: a continuous table");
    is(sql("SELECT count(*) FROM anomaly.dead_letter WHERE stream = '$name'::regclass"), 0,
        "$name: nothing is bad");
}

# ---- CSV as COPY reads it ----

my @csv = ('1,a,2.5', '2,"b, ""c""",', ',,', '3,"",1', '4,x"y,z"w,1', "5,\"two\nlines\",0",
    "6,a,1\n7,b,2\n", "8,a,1\r\n9,b,2\r\n", ' 10 ,  spaces  , 1 ', '11,NULL,1',
    "12,caf\xc3\xa9,1e3");
my @bad_csv = ([ '1,a', 'line 1 has 2 fields, the stream has 3 columns for them' ],
    [ '1,a,2,3', 'line 1 has 4 fields' ], [ "1,a,2\n1,b", 'line 2 has 2 fields' ],
    [ '1,"a,2', 'a quoted CSV field does not end' ], [ "1,a\rb,2", 'carriage return' ],
    [ 'x,a,1', 'column "n": invalid input syntax for type integer: "x"' ],
    [ "1,a,1\n2,b,many", 'column "v": invalid input syntax for type double precision: "many"' ],
    [ "1,\xff,1", 'invalid byte sequence for encoding "UTF8"' ], [ '', 'empty message' ]);
my $file = PostgreSQL::Test::Utils::tempdir() . '/csv';
my $plain = join('', map { s/\r//gr =~ s/\n?\z/\n/r } @csv);
PostgreSQL::Test::Utils::append_to_file($file, $plain);
sql("CREATE TABLE want_csv (n int, t text, v float8); COPY want_csv FROM '$file' (FORMAT csv)");
$broker->produce_to({ topic => 'csv' },
    map { "0\t\\N\t\\x" . unpack('H*', $_) } @csv, map { $_->[0] } @bad_csv);
sql("CREATE FOREIGN TABLE csv_in (n int, t text, v float8) SERVER message_queue"
      . " OPTIONS (topic 'csv', format 'csv');"
      . ' CREATE TABLE got_csv WITH (anomaly.continuous) AS SELECT n, t, v FROM csv_in');
same_rows($node, 'SELECT n, t, v FROM csv_in', 'SELECT * FROM want_csv', 'CSV: a peek');
wait_until($node, 'SELECT count(*) = ' . @bad_csv
      . " FROM anomaly.dead_letter WHERE stream = 'csv_in'::regclass");
same_rows($node, 'SELECT * FROM got_csv', 'SELECT * FROM want_csv', 'CSV: a continuous table');
for my $i (0 .. $#bad_csv)
{
    my ($message, $reason) = @{ $bad_csv[$i] };
    like(sql("SELECT reason FROM anomaly.dead_letter WHERE stream = 'csv_in'::regclass"
              . ' AND kafka_offset = ' . (@csv + $i)), qr/\Q$reason\E/, "bad CSV: $reason");
}
$broker->produce_to({ topic => 'csv2' }, "0\t\\N\tid;name",
    "0\t\\N\t\\x" . unpack('H*', "id;name\n1;'it\\'s'\n2;-"));
sql("CREATE FOREIGN TABLE csv2 (id int, name text) SERVER message_queue OPTIONS (topic 'csv2',"
      . " format 'csv', delimiter ';', quote '''', escape '\\', header 'true', null '-')");
is(sql('SELECT * FROM csv2 ORDER BY id'), "1|it's\n2|", 'delimiter, quote, escape, header, null');

# ---- good or bad as a whole; once, through a crash ----

$broker->produce_to({ topic => 'batches' },
    map { "0\t\\N\t{\"at\": \"2026-01-01T00:00:" . sprintf('%02d', $_ % 60) . 'Z", "rows": ['
          . join(', ', map { "{\"v\": $_}" } 1 .. 5) . ($_ % 10 ? '' : ', {"v": "bad"}')
          . ($_ % 25 == 1 ? ', {"v": 0}' : '') . ']}' } 1 .. 200);
sql(<<'SQL');
CREATE FOREIGN TABLE batches (at timestamptz OPTIONS (path '$.at'), v int,
  o bigint OPTIONS (metadata 'offset'))
  SERVER message_queue OPTIONS (topic 'batches', rows '$.rows[*]', event_time 'at');
CREATE TABLE batch_rows WITH (anomaly.continuous) AS SELECT o, 10 / v AS share FROM batches;
CREATE TABLE batch_sums WITH (anomaly.continuous) AS
  SELECT window_start, window_end, count(*) AS n, sum(v) AS v
  FROM batches, tumble(at, interval '10 seconds') GROUP BY 1, 2;
SQL
my $in = "SELECT sum(o) >= 200 FROM anomaly.table_progress, unnest(next_offsets) o WHERE relid =";
wait_until($node, "$in 'batch_rows'::regclass");
wait_until($node, "$in 'batch_sums'::regclass");
Anomaly::kill_server($node);
$node->start;
# What the crash forgot is read again.
wait_until($node, "$in 'batch_rows'::regclass");
wait_until($node, "$in 'batch_sums'::regclass");
is(sql('SELECT sum(n), sum(v) FROM batch_sums'), (180 * 5 + 8) . '|' . (180 * 15),
    'rows of good messages, none of bad ones');
is(sql('SELECT count(*) FROM batch_rows'), 172 * 5, 'a row that fails takes its message with it');
is(sql("SELECT relid::text, reason, count(*) FROM anomaly.dead_letter"
          . " WHERE stream = 'batches'::regclass GROUP BY 1, 2 ORDER BY 1 NULLS FIRST"),
    "|row 6, column \"v\": invalid input syntax for type integer: \"bad\"|20\n"
      . 'batch_rows|division by zero|8', 'one dead letter a message');
is(sql('SELECT count(*), count(DISTINCT o) FROM batches'), '908|180', 'a peek shows all rows');

# ---- headers ----

system_or_bail('sh', '-c',
    'printf "v\n" | kcat -q -b "$1" -t headed -P -H "a=1" -H "name=x y" -H "a=2"', 'kcat',
    $broker->bootstrap);
$broker->produce_to({ topic => 'headed' }, "0\t\\N\tw");
sql("CREATE FOREIGN TABLE headed (body text, headers jsonb OPTIONS (metadata 'headers'))"
      . " SERVER message_queue OPTIONS (topic 'headed', format 'raw')");
is(sql('SELECT body, headers FROM headed ORDER BY body'),
    "v|{\"a\": \"2\", \"name\": \"x y\"}\nw|{}", 'headers as jsonb');

done_testing();
