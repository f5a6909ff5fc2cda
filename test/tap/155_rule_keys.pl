# Goal: of rules that share a function only those are evaluated that a row can be of interest to,
# and what they find is what the function says in batch, however its condition is written.
# Method: a function that tells the log which parameters it is given; then many functions with a key
# and without, with parameters of all kinds; the function in batch over the closed windows is the
# oracle. Functions are replaced while their rules run.
use strict;
use warnings;
use Anomaly qw(cluster create_server wait_until wait_for_messages same_rows);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $begin_ms = 1_700_000_010_000;    # a window begins
my $broker = Broker->mock(topic => 'meter', partitions => 1);
my $node = cluster('main');
create_server($node, $broker->bootstrap);

sub sql { my ($sql) = @_; return $node->safe_psql('postgres', $sql) }

sql(<<'SQL');
CREATE FOREIGN TABLE meter (site text, kind varchar(10), device int, number bigint, usage float8,
    at bigint, moment timestamptz GENERATED ALWAYS AS (to_timestamp(at / 1000.0)) STORED)
  SERVER message_queue OPTIONS (topic 'meter', event_time 'moment', watermark_delay '0 seconds',
    idle_timeout '1 hour');
CREATE TABLE load WITH (anomaly.continuous) AS
  SELECT site, kind, device, number, window_start, window_end, avg(usage) AS usage
  FROM meter, tumble(moment, interval '30 seconds')
  GROUP BY site, kind, device, number, window_start, window_end;
SQL

# A window of readings: site, kind, device, number (undef: null), usage.
my ($window, $sent) = (-1, 0);

sub next_window
{
    my @rows = @_;
    $window++;
    my $at = $begin_ms + 30_000 * $window;
    $broker->produce(map {
        my ($site, $kind, @numbers) = map { $_ // 'null' } @$_;
        $_ = $_ eq 'null' ? $_ : qq("$_") for $site, $kind;
        qq(0\t\\N\t{"site":$site,"kind":$kind,"device":$numbers[0],"number":$numbers[1],)
          . qq("usage":$numbers[2],"at":$at})
    } @rows);
    $sent += @rows;
    wait_for_messages($node, 'load', $sent);
    return;
}

# ---- a thousand, of which three have something to look at ----

sql(<<'SQL');
CREATE FUNCTION seen(n text) RETURNS boolean LANGUAGE plpgsql STABLE AS
  $$ BEGIN RAISE LOG 'looked at rule % of a thousand', n; RETURN true; END $$;
CREATE FUNCTION watched(r load, p jsonb) RETURNS SETOF anomaly.finding LANGUAGE sql STABLE AS
  $$ SELECT 'warning', r.usage, (p->>'limit')::float8, p->>'n'
     WHERE seen(p->>'n') AND r.site = p->>'site' AND r.usage > (p->>'limit')::float8 $$;
SELECT anomaly.create_rule('watched ' || n, 'load', 'watched', 'close',
    jsonb_build_object('n', n, 'site', 'site' || n, 'limit', 50)) FROM generate_series(1, 1000) n;
SQL
my $plan = sql(q{SELECT * FROM anomaly.explain_rule('watched 7')});
like($plan, qr/^Shared by 1000 rules$/m, 'a thousand rules have one query');
like($plan, qr/^Evaluated: those with a row where site = parameters ->> 'site'$/m,
    'of which those are evaluated that may find something');
like($plan, qr/p\.parameters ->> 'limit'/, 'it is their common plan that is shown');

next_window([ 'site3', 'a', 1, 1, 60 ], [ 'site500', 'a', 1, 1, 40 ], [ 'site999', 'a', 1, 1, 70 ],
    [ 'elsewhere', 'a', 1, 1, 99 ]);
next_window([ undef, 'a', 1, 1, 99 ]);
next_window([ 'site4', 'a', 1, 1, 99 ]);
my %looked_at;
$looked_at{$_}++ for slurp_file($node->logfile) =~ /looked at rule (\d+) of a thousand/g;
is(join(' ', sort { $a <=> $b } keys %looked_at), '3 500 999', 'three were evaluated');
is(sql(q{SELECT string_agg(rule || ' ' || value, ', ' ORDER BY rule) FROM anomaly.finding_log}),
    'watched 3 60, watched 999 70', 'and two have found something');
wait_until($node, q{SELECT count(*) = 1000 AND min(evaluations) = 2 AND max(evaluations) = 2
    FROM anomaly.rule_status}, 't', 'all count both windows');
sql(q{SELECT anomaly.drop_rule(name) FROM anomaly.rule});

# ---- functions of many kinds ----

my @functions = (

    # name, returns, body, what explain_rule says: a key or none
    [ 'by_site', 'SETOF anomaly.finding', q{SELECT 'info', r.usage, NULL::float8, p->>'site'
        WHERE r.site = p->>'site' AND r.usage > 50}, q{site = parameters ->> 'site'} ],
    [ 'by_kind', 'boolean', q{SELECT p->>'kind' = r.kind AND r.usage > 50},
        q{kind = parameters ->> 'kind'} ],
    [ 'by_device', 'boolean', q{SELECT r.device = (p->>'device')::int},
        q{device = (parameters ->> 'device')::integer} ],
    [ 'by_number', 'SETOF anomaly.finding', q{SELECT 'info', r.usage, NULL::float8, 'number'
        WHERE (p->>'device')::smallint = r.number},
        q{number = (parameters ->> 'device')::smallint} ],
    [ 'by_all', 'text', q{SELECT CASE WHEN r.site = p->>'site' AND r.kind = p->>'kind'
        AND r.usage > 50 THEN 'it is ' || r.usage END},
        q{site = parameters ->> 'site' AND kind = parameters ->> 'kind'} ],
    [ 'joined', 'SETOF anomaly.finding', q{SELECT 'info', t.most, NULL::float8, 'joined'
        FROM most t JOIN most u ON u.site = t.site AND p->>'site' = r.site
        WHERE t.site = r.site AND r.usage > t.most}, q{site = parameters ->> 'site'} ],
    [ 'nested', 'SETOF anomaly.finding', q{SELECT 'info', q.usage, NULL::float8, 'nested'
        FROM (SELECT r.usage WHERE r.site = p->>'site' LIMIT 1) q},
        q{site = parameters ->> 'site'} ],
    [ 'grouped', 'SETOF anomaly.finding', q{SELECT 'info', max(t.most), NULL::float8, t.site
        FROM most t WHERE r.site = p->>'site' GROUP BY t.site},
        q{site = parameters ->> 'site'} ],

    # What finds something where its condition does not hold.
    [ 'counted', 'SETOF anomaly.finding', q{SELECT 'info', q.n, NULL::float8, 'counted'
        FROM (SELECT count(*) AS n FROM most t WHERE r.site = p->>'site') q WHERE q.n = 0} ],
    [ 'outer_joined', 'SETOF anomaly.finding', q{SELECT 'info', r.usage, NULL::float8, 'outer'
        FROM (VALUES (1)) v LEFT JOIN most t ON r.site = p->>'site' WHERE t.site IS NULL} ],
    [ 'either', 'boolean', q{SELECT r.site = p->>'site' OR r.usage > 90} ],
    [ 'negated', 'boolean', q{SELECT NOT (r.site = p->>'site')} ],
    [ 'otherwise', 'text', q{SELECT CASE WHEN r.site = p->>'site' THEN 'this' ELSE 'other' END} ],
    [ 'united', 'SETOF anomaly.finding', q{SELECT 'info', r.usage, NULL::float8, 'a'
        WHERE r.site = p->>'site' UNION ALL SELECT 'info', r.usage, NULL::float8, 'b'
        WHERE r.usage > 90} ],
    [ 'folded', 'boolean', q{SELECT r.site = p->>'site' COLLATE any_case} ],
    [ 'as_text', 'boolean', q{SELECT r.device::text = p->>'device'} ],
    [ 'found', 'boolean', q{SELECT EXISTS (SELECT FROM most t WHERE r.site = p->>'site')} ],
);

sql(<<'SQL');
CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE most (site text, most float8);
INSERT INTO most VALUES ('a', 45), ('b', 65), ('b', 80), ('ü', 1);
CREATE TABLE wanted AS
  SELECT row_number() OVER () AS n, jsonb_strip_nulls(jsonb_build_object('site', site, 'kind', kind,
    'device', device)) AS parameters
  FROM (SELECT *, row_number() OVER () AS i
    FROM jsonb_array_elements('["a", "A", "b", "ü", "", 7, null, "no site"]') s (site),
      (VALUES ('x'), ('y '), (NULL)) k (kind),
      jsonb_array_elements('[7, "7", "07", " 7", "+7", -1, "-1", "-0", 0, 12345, null]')
        d (device)) q
  WHERE i % 4 = 0;
SQL
for my $function (@functions)
{
    my ($name, $returns, $body) = @$function;
    sql("CREATE FUNCTION $name(r load, p jsonb) RETURNS $returns LANGUAGE sql STABLE"
          . qq{ AS \$\$ $body \$\$; SELECT anomaly.create_rule('$name ' || n, 'load', '$name',}
          . q{ 'close', parameters) FROM wanted});
}
for my $function (@functions)
{
    my ($name, undef, undef, $key) = @$function;
    my ($says) = sql(qq{SELECT * FROM anomaly.explain_rule('$name 1')}) =~ /^Evaluated: (.*)$/m;
    is($says, defined $key ? "those with a row where $key" : 'all of them', "$name is understood");
}

# What a function finds in batch, as finding_log has it.
sub batch_of
{
    my ($name, $returns, $from) = @_;
    my $call =
        $returns eq 'boolean' ? 'LATERAL (SELECT NULL::float8 AS value, NULL::text AS message'
      . " WHERE $name(r, parameters)) f"
      : $returns eq 'text' ? "LATERAL (SELECT NULL::float8 AS value, $name(r, parameters)) f"
      . ' (value, message)'
      : "$name(r, parameters) f";
    my $found = $returns eq 'text' ? 'AND f.message IS NOT NULL' : '';
    return "SELECT '$name ' || n, r.site, r.kind, r.device::text, r.number::text, r.window_start,"
      . " f.value, f.message FROM wanted, load r, $call WHERE r.window_start >="
      . " to_timestamp($from) AND r.window_end <= (SELECT anomaly.watermark('load')) $found";
}

sub finds_what_batch_finds
{
    my ($name, $returns, $from) = @_;
    return same_rows($node, q{SELECT rule, series->>'site', series->>'kind', series->>'device',}
          . q{ series->>'number', window_start, value, message FROM anomaly.finding_log}
          . qq{ WHERE rule ~ '^$name \\d+\$' AND window_start >= to_timestamp($from)},
        batch_of($name, $returns, $from), "$name finds what it finds in batch");
}

sub now_s { return $begin_ms / 1000 + 30 * ($window + 1) }

my @sites = ('a', 'A', 'b', 'ü', '', '7', 'c', undef);
my @kinds = ('x', 'y ', 'y', undef);
my @integers = (7, -1, 0, 12345, 8, undef);

sub readings
{
    my ($seed) = @_;
    my @rows;
    for my $i (0 .. 15)
    {
        push @rows, [ $sites[$i % 8], $kinds[($i + int($i / 8) + $seed) % 4], $integers[$i % 6],
            $integers[($i * $seed) % 6], 20 + ($i * 37 + $seed * 11) % 80 ];
    }
    return @rows;
}
my $from = now_s();
next_window(readings($_)) for 1 .. 3;
finds_what_batch_finds($$_[0], $$_[1], $from) for @functions;
is(sql(q{SELECT count(*) FROM anomaly.rule_status WHERE errors > 0}), '0', 'none has failed');
cmp_ok(sql('SELECT count(*) FROM anomaly.finding_log'), '>', 1000, 'there was much to find');

# ---- functions are replaced ----

sql(q{SELECT anomaly.drop_rule(name) FROM anomaly.rule;
  CREATE FUNCTION concerns(r load, p jsonb) RETURNS boolean LANGUAGE sql STABLE AS
    $$ SELECT r.site = p->>'site' $$;
  CREATE FUNCTION changing(r load, p jsonb) RETURNS boolean LANGUAGE sql STABLE AS
    $$ SELECT concerns(r, p) AND r.usage > 50 $$;
  SELECT anomaly.create_rule('changing ' || n, 'load', 'changing', 'close', parameters)
  FROM wanted});
my @bodies = (
    q{SELECT r.site = p->>'site'}, q{SELECT r.kind = p->>'kind'}, q{SELECT r.usage > 60},
    q{SELECT r.device = (p->>'device')::int AND p->>'kind' = r.kind},
);
for my $body (@bodies)
{
    # What the last window closes is evaluated with the function as it is now.
    next_window(readings(4));
    next_window([ 'c', 'x', 1, 1, 10 ]);
    sql("CREATE OR REPLACE FUNCTION concerns(r load, p jsonb) RETURNS boolean LANGUAGE sql STABLE"
          . " AS \$\$ $body \$\$");
    $from = now_s() - 30;
    next_window(readings(5));
    next_window([ 'c', 'x', 1, 1, 10 ]);
    finds_what_batch_finds('changing', 'boolean', $from);
}

# ---- what ends, and what fails ----

sql(q{SELECT anomaly.drop_rule(name) FROM anomaly.rule;
  CREATE FUNCTION over(r load, p jsonb) RETURNS boolean LANGUAGE sql STABLE AS
    $$ SELECT r.site = p->>'site' AND r.usage > (p->>'limit')::float8 $$;
  SELECT anomaly.create_rule('over ' || site, 'load', 'over', 'update',
    jsonb_build_object('site', site, 'limit', 50)) FROM unnest('{a, b, nowhere}'::text[]) site;
  SELECT anomaly.create_rule('bad', 'load', 'over', 'update', '{"site": "b", "limit": "none"}')});
my $since = sql('SELECT max(seq) FROM anomaly.alert_event');
my @group = ('x', 1, 1);
next_window([ 'a', @group, 60 ]);
next_window([ 'a', @group, 60 ], [ 'c', @group, 99 ]);
$window--;    # once more into the same
next_window([ 'a', @group, 10 ], [ 'c', @group, 99 ]);
is(sql(qq{SELECT string_agg(rule || ' ' || kind, ', ' ORDER BY seq)
    FROM anomaly.events_since($since, 1000)}),
    'over a finding, over a finding, over a finding_ended', 'what no longer holds has ended');
next_window([ 'a', @group, 60 ], [ 'b', @group, 70 ]);
next_window([ 'a', @group, 60 ], [ 'b', @group, 70 ]);
wait_until($node, q{SELECT string_agg(concat_ws(' ', name, evaluations, findings, errors), ', '
    ORDER BY name) FROM anomaly.rule_status},
    'bad 5 0 2, over a 5 4 0, over b 5 2 0, over nowhere 5 0 0',
    'one that fails costs only itself, and all count what they have looked at');

done_testing();
