# Goal: what rules find is what their functions say in batch over the final windows, each once:
# the seeds' own rules, and random ones on random data while everything is killed; and no text of a
# message, however hostile, is harmed or does harm on its way.
# Method: the same messages in a plain table, the seeds' SQL over it.
use strict;
use warnings;
use Anomaly qw(cluster create_server create_stream create_cpu_tables wait_until wait_for_messages
  same_rows kill_server worker_pids);
use Broker;
use Listener;
use Seeds;
use Test::More;

my $node = cluster('main', wal_buffers => '64MB');

sub sql { my ($sql) = @_; return $node->safe_psql('postgres', $sql) }

my $begin = 1_700_000_040;    # a minute begins

# A topic of its own for each seed; the messages are in a plain table, too.
sub stream_of
{
    my ($name, $columns, $event_time, @rows) = @_;
    my $broker = Broker->mock(topic => $name, partitions => 4);
    create_server($node, $broker->bootstrap, "${name}_server");
    sql("CREATE FOREIGN TABLE ${name}_in ($columns) SERVER ${name}_server OPTIONS (topic '$name',"
          . " event_time '$event_time', watermark_delay '10 seconds', idle_timeout '1 hour')");
    sql("CREATE TABLE ${name}_plain ($columns)");
    my $values = join(', ', map { "('" . ($_->[2] =~ s/'/''/gr) . "')" } @rows);
    sql("INSERT INTO ${name}_plain SELECT r.* FROM (VALUES $values) v (m),"
          . " jsonb_populate_record(NULL::${name}_plain, v.m::jsonb) r");
    $broker->produce(Seeds::lines(@rows));
    return $broker;
}

# ---- the CDN's three incidents ----

my @tcp = Seeds::tcp_metrics(11, $begin, 5);
my $tcp_broker = stream_of('tcp_metrics', 'device_id text, report_time timestamptz,'
      . ' metric_name text, metric_value float8', 'report_time', @tcp);
my $per_minute = 'SELECT device_id, metric_name, window_start, window_end,'
  . ' avg(metric_value) AS metric_value'
  . " FROM %s, tumble(report_time, interval '1 minute')"
  . ' GROUP BY device_id, metric_name, window_start, window_end';
sql("CREATE TABLE tcp_minute WITH (anomaly.continuous) AS " . sprintf($per_minute, 'tcp_metrics_in')
      . q{;
CREATE FUNCTION incident(m tcp_minute, p jsonb) RETURNS SETOF anomaly.finding
LANGUAGE sql STABLE AS $$
  SELECT 'incident', m.metric_value, (p->>'limit')::float8,
         format('%s of %s is %s', m.metric_name, m.device_id, m.metric_value)
  WHERE m.metric_name = p->>'metric'
    AND CASE p->>'is' WHEN 'over' THEN m.metric_value > (p->>'limit')::float8
                      ELSE m.metric_value < (p->>'limit')::float8 END $$;
SELECT anomaly.create_rule('retrans_incidents', 'tcp_minute', 'incident', 'close',
  '{"metric": "retrans_rate", "is": "over", "limit": 0.15}');
SELECT anomaly.create_rule('srtt_incidents', 'tcp_minute', 'incident', 'close',
  '{"metric": "srtt", "is": "over", "limit": 500}');
SELECT anomaly.create_rule('download_incidents', 'tcp_minute', 'incident', 'close',
  '{"metric": "download_speed", "is": "under", "limit": 200}')});
sql(q{SELECT anomaly.wait_for_stream('tcp_metrics_in', '1 minute');
      SELECT anomaly.close_windows('tcp_minute')});
wait_until($node, q{SELECT open_windows = 0 FROM anomaly.table_status
    WHERE relid = 'tcp_minute'::regclass}, 't', 'all minutes are closed');
for my $case ([ retrans => 'retrans_rate', '> 0.15' ], [ srtt => 'srtt', '> 500.0' ],
    [ download => 'download_speed', '< 200.0' ])
{
    my ($name, $metric, $condition) = @$case;
    same_rows($node,
        q{SELECT series->>'device_id', window_end, round(value::numeric, 6)}
          . " FROM anomaly.finding_log WHERE rule = '${name}_incidents'",
        'SELECT device_id, window_end, round(metric_value::numeric, 6) FROM ('
          . sprintf($per_minute, 'tcp_metrics_plain')
          . ") q WHERE metric_name = '$metric' AND metric_value $condition",
        "$name incidents are those of the seed's SQL");
}

# ---- the telecommunication demo's three conditions ----

my @network = Seeds::network_metrics(12, $begin, 1200);
my $network_broker = stream_of('network_metrics', 'device_id text, "timestamp" timestamptz,'
      . ' latency_ms float8, packet_loss_rate float8, bandwidth_usage_percent float8,'
      . ' flow_bytes bigint', 'timestamp', @network);
my $per_10s = 'SELECT device_id, window_start, window_end, avg(latency_ms) AS latency,'
  . ' avg(packet_loss_rate) AS loss, avg(bandwidth_usage_percent) AS bandwidth,'
  . ' sum(flow_bytes) AS bytes'
  . q{ FROM %s, tumble("timestamp", interval '10 seconds')}
  . ' GROUP BY device_id, window_start, window_end';
sql('CREATE TABLE device_metrics_10s WITH (anomaly.continuous) AS '
      . sprintf($per_10s, 'network_metrics_in') . q{;
CREATE FUNCTION network_anomaly(d device_metrics_10s) RETURNS SETOF anomaly.finding
LANGUAGE sql STABLE AS $$
  SELECT k.name, k.value, k.allowed, format('%s of %s: %s', k.name, d.device_id, k.value)
  FROM (VALUES ('latency', d.latency, 100::float8), ('loss', d.loss, 5),
               ('bandwidth', d.bandwidth, 90)) AS k (name, value, allowed)
  WHERE k.value > k.allowed $$;
SELECT anomaly.create_rule('network_anomalies', 'device_metrics_10s', 'network_anomaly');
SELECT anomaly.wait_for_stream('network_metrics_in', '1 minute');
SELECT anomaly.close_windows('device_metrics_10s')});
wait_until($node, q{SELECT open_windows = 0 FROM anomaly.table_status
    WHERE relid = 'device_metrics_10s'::regclass}, 't', 'all windows are closed');
same_rows($node,
    q{SELECT series->>'device_id', window_start, bool_or(severity = 'latency'),
        bool_or(severity = 'loss'), bool_or(severity = 'bandwidth')
      FROM anomaly.finding_log WHERE rule = 'network_anomalies' GROUP BY 1, 2},
    'SELECT device_id, window_start, latency > 100, loss > 5, bandwidth > 90 FROM ('
      . sprintf($per_10s, 'network_metrics_plain')
      . ') q WHERE latency > 100 OR loss > 5 OR bandwidth > 90',
    'network anomalies are those of the seed\'s SQL, without provisional ones');

# ---- hostile names ----

my $broker = Broker->mock(topic => 'cpu_load_stats_real', partitions => 2);
create_server($node, $broker->bootstrap);
create_stream($node, options => { idle_timeout => '1 hour' });
create_cpu_tables($node);
sql(q{CREATE FUNCTION names(c cpu_hot) RETURNS text LANGUAGE sql STABLE AS 'SELECT c.hostname';
  CREATE FUNCTION says(c cpu_agg) RETURNS SETOF anomaly.finding LANGUAGE sql STABLE AS
    $$ SELECT c.cpu, c.usage_avg, NULL::float8, format('<%s>', c.hostname) WHERE c.cpu <> 'cpu1' $$;
  SELECT anomaly.create_rule('na''m"e\s <b>', 'cpu_hot', 'names');
  SELECT anomaly.create_rule('says', 'cpu_agg', 'says')});
my $client = Listener->new($node);
# As they stand in JSON.
my @names = (q{'; DROP TABLE cpu_hot; --}, q{<script>alert(1)</script>},
    q{\"quoted\" \\\\ $1 %s $$},
    q{two\nlines\ttab\r}, q{\u00e4\u4e2d\ud83d\ude00}, q{}, q{NULL}, '{x,\"y\"}', 'x' x 10_000);
my $ms = $begin * 1000;
$broker->produce(map { qq(0\tk\t{"hostname":"$_","cpu":"<i>","usage":90,"occurred_at":$ms}) }
      @names);
wait_for_messages($node, $_, scalar(@names)) for qw(cpu_agg cpu_hot);
my $as_json = join(', ', map { "('\"" . (s/'/''/gr) . "\"'::jsonb)" } @names);
same_rows($node,
    q{SELECT message, rule FROM anomaly.events_since(0, 1000000) WHERE table_name = 'cpu_hot'},
    qq{SELECT j #>> '{}', 'na''m"e\\s <b>' FROM (VALUES $as_json) v (j)},
    'hostile names come through as messages');
$client->wait until $client->{since} == sql('SELECT seq FROM anomaly.event_head');
my @wrong = grep { !/^\{"v":1,"seq":\d+,"firing":\d+,"resolved":\d+\}$/ } @{ $client->{payloads} };
is("@wrong", '', 'and never into the hint');
$client->close;
sql(q{SELECT anomaly.close_windows('cpu_agg')});
wait_until($node, q{SELECT open_windows = 0 FROM anomaly.table_status
    WHERE relid = 'cpu_agg'::regclass}, 't', 'their window is closed');
same_rows($node,
    q{SELECT series, severity, message FROM anomaly.events_since(0, 1000000) WHERE rule = 'says'},
    qq{SELECT jsonb_build_object('hostname', j #>> '{}', 'cpu', '<i>'), '<i>',
         '<' || (j #>> '{}') || '>' FROM (VALUES $as_json) v (j)}, 'and as labels');
is(sql(q{SELECT count(DISTINCT id) FROM anomaly.finding_log WHERE rule = 'says'}),
    scalar(@names), 'each has its own id');

# ---- random rules, while everything is killed ----

my $seed = $ENV{ANOMALY_SEED} // time;
diag("ANOMALY_SEED=$seed");
srand($seed);
sub one_of { return $_[ rand(@_) ] }

sub condition
{
    my $simple = sub {
        return one_of(
            'c.usage_avg ' . one_of('>', '<', '>=') . ' ' . (80 + int(rand(10))),
            'c.usage_max ' . one_of('>', '<') . ' ' . (95 + rand(5)),
            "c.hostname " . one_of('=', '<>', '<') . " '" . one_of(qw(doc happy sneezy)) . "'",
            "c.cpu IN ('cpu1', 'cpu" . int(1 + rand(5)) . "')",
            'c.usage_max - c.usage_avg > ' . int(rand(20)),
            'extract(second FROM c.window_start) = ' . one_of(0, 30));
    };
    return $simple->() . ' ' . one_of('AND', 'OR') . ' ' . $simple->();
}
my $rules = 15;
my $create = '';
for my $n (1 .. $rules)
{
    my $condition = condition();
    my $kind = one_of(qw(boolean text set plpgsql));
    my ($result, $language, $body) =
      $kind eq 'boolean' ? ('boolean', 'sql', "SELECT $condition")
      : $kind eq 'text' ? ('text', 'sql',
        "SELECT CASE WHEN $condition THEN c.hostname || c.cpu END")
      : $kind eq 'set' ? ('SETOF anomaly.finding', 'sql',
        "SELECT 'w' || n, c.usage_avg, n::float8, c.cpu FROM generate_series(1, 2) n"
          . " WHERE $condition")
      : ('text', 'plpgsql', "BEGIN IF $condition THEN RETURN c.cpu; END IF; RETURN NULL; END");
    $create .= "CREATE FUNCTION random_$n(c cpu_agg) RETURNS $result LANGUAGE $language STABLE AS"
      . " \$\$ $body \$\$; SELECT anomaly.create_rule('random $n', 'cpu_agg', 'random_$n');\n";
}
sql($create);
my $first = $begin + 3600;
my $start_ms = $first * 1000;
my $count = 0;
for my $round (1 .. 4)
{
    $broker->start_generate(rate => 5000, seed => $seed + $round, start_ms => $start_ms,
        step_us => 10000);
    $start_ms += 600_000;
    my $before = sql(q{SELECT count(*) FROM anomaly.finding_log WHERE rule LIKE 'random%'});
    wait_until($node, q{SELECT count(*) > } . ($before + int(rand(400)))
          . q{ FROM anomaly.finding_log WHERE rule LIKE 'random%'}, 't', "round $round");
    if ($round % 2)
    {
        kill_server($node);
        $broker->stop_generate;
        $node->start;
    }
    else
    {
        sql("SELECT pg_terminate_backend($_)") for worker_pids($node, 'stream worker');
        $broker->stop_generate;
    }
}
sql(q{SELECT anomaly.wait_for_stream('cpu_in', '1 minute');
      SELECT anomaly.close_windows('cpu_agg')});
wait_until($node, q{SELECT open_windows = 0 FROM anomaly.table_status
    WHERE relid = 'cpu_agg'::regclass}, 't', 'all windows are closed');
is(sql(q{SELECT count(*) FROM anomaly.rule_status WHERE errors > 0}), '0', 'no rule has failed');
my $batch = join(' UNION ALL ', map {
    "SELECT 'random $_', series->>'hostname', series->>'cpu', window_start, value, message"
      . " FROM anomaly.test_rule('random $_', to_timestamp($first))" } 1 .. $rules);
same_rows($node,
    q{SELECT rule, series->>'hostname', series->>'cpu', window_start, value, message
      FROM anomaly.finding_log WHERE rule LIKE 'random%'}, $batch,
    "$rules random rules found what they find in batch, each once");
is(sql(q{SELECT count(*) - count(DISTINCT finding) FROM anomaly.events_since(0, 1000000)
    WHERE rule LIKE 'random%'}), '0', 'and told it once');
is(sql(q{SELECT count(*) FROM anomaly.events_since(0, 1000000) WHERE rule LIKE 'random%'}),
    sql(q{SELECT count(*) FROM anomaly.finding_log WHERE rule LIKE 'random%'}), 'all of it');

done_testing();
