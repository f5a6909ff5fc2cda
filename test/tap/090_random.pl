# Goal: a continuous table equals its own SELECT, whatever the SELECT and whatever the messages.
# Method: random streams, messages and queries, with restarts at random moments; PostgreSQL itself
# decodes the messages into a plain table, and says what each query gives over the good ones that
# were neither late for it nor raised in it. Sums of floats over several partitions may differ by
# the order of addition, and nothing else may. ANOMALY_SEED repeats a run, ANOMALY_ROUNDS extends
# it.
use strict;
use warnings;
use Anomaly qw(create_server wait_until wait_for_messages worker_pids);
use Broker;
use Judge qw(judging_cluster declare_stream create_tables random_lines wait_for_all judge);
use Random qw(random_stream random_query);
use RandomExpr qw(pick chance);
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{ANOMALY_SEED} // time();
my $rounds = $ENV{ANOMALY_ROUNDS} // 3;
my $queries_a_round = 110;
my $phases = 5;
my $messages_a_phase = 250;
diag("ANOMALY_SEED=$seed");
srand($seed);

my $node = judging_cluster(fsync => 'off');

sub disturb
{
    my $what = pick(qw(nothing worker server));
    if ($what eq 'worker')
    {
        $node->safe_psql('postgres', "SELECT pg_terminate_backend($_)") for worker_pids($node,
            'stream worker');
    }
    elsif ($what eq 'server')
    {
        # Starts that come to nothing are followed by pauses; these are ours.
        $node->safe_psql('postgres', 'UPDATE anomaly.stream SET unfinished_starts = 0');
        $node->stop('immediate');
        $node->start;
    }
    return;
}

# What this test has found before, each at its smallest.
sub known_cases
{
    my $broker = Broker->mock(topic => 'known', partitions => 1);
    create_server($node, $broker->bootstrap, 'queue_known');
    $node->safe_psql('postgres', <<'SQL');
CREATE FOREIGN TABLE known (n int NOT NULL, b boolean,
    j jsonb) SERVER queue_known OPTIONS (topic 'known');
CREATE FUNCTION mended(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
CREATE TABLE known_all WITH (anomaly.continuous) AS SELECT n, b, j FROM known;
CREATE TABLE known_broken WITH (anomaly.continuous) AS SELECT n, count(*),
    mended(7) FROM known GROUP BY n;
CREATE OR REPLACE FUNCTION mended(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE
    ''broken''; END';
SQL
    # jsonb takes the message to PostgreSQL, which has to look at NOT NULL too.
    $broker->produce("0\t\\N\t{\"j\": 1}", "0\t\\N\t{\"j\": 1, \"n\": 5}",
        "0\t\\N\t{\"n\": null, \"j\": 2}");
    wait_for_messages($node, 'known_all', 3);
    is($node->safe_psql('postgres', 'SELECT * FROM known_all'), '5||1',
        'NOT NULL holds where PostgreSQL decodes');
    # An expression over a group that cannot even be prepared: the table fails, and its worker
    # goes on.
    wait_until($node, q{SELECT failures >= 3 FROM anomaly.table_progress
        WHERE relid = 'known_broken'::regclass},
        't', 'a table whose output cannot be prepared is tried again');
    $node->safe_psql('postgres',
        q{CREATE OR REPLACE FUNCTION mended(int) RETURNS int LANGUAGE plpgsql
        IMMUTABLE AS 'BEGIN RETURN $1 + 1; END'});
    wait_for_messages($node, 'known_broken', 3);
    is($node->safe_psql('postgres', 'SELECT * FROM known_broken'), '5|1|8',
        'and goes on once it is mended');
    unlike(slurp_file($node->logfile), qr/terminated by signal/, 'no worker has crashed');
    like($node->safe_psql('postgres',
        q{SELECT attempt('CREATE TABLE known_never WITH (anomaly.continuous) AS
        SELECT n, count(*), (''a b''::text)::numeric FROM known GROUP BY n')}),
        qr/invalid input syntax/,
        'a constant part that always raises is refused');
    like($node->safe_psql('postgres',
        q{SELECT attempt('CREATE TABLE known_key WITH (anomaly.continuous) AS
        SELECT CASE WHEN b THEN 1.5 ELSE 1234567.0::numeric(6, 1) END, count(*) FROM known
        GROUP BY 1')}),
        qr/numeric field overflow/,
        'and one in a key of a type whose equality PostgreSQL knows alone');
    $node->safe_psql('postgres', 'DROP TABLE known_all, known_broken; DROP FOREIGN TABLE known;'
          . 'TRUNCATE anomaly.dead_letter');
    $broker->stop;
    return;
}

known_cases();
my $all = 0;
for my $round (1 .. $rounds)
{
    my $stream = random_stream($round);
    my $broker = Broker->mock(topic => $stream->{topic}, partitions => $stream->{partitions});
    declare_stream($node, $broker, $stream);
    my $produce = sub { $broker->produce(random_lines($stream, $messages_a_phase)) };
    my @queries = map { random_query($stream, "q${round}_$_") } 1 .. $queries_a_round;
    my @later = splice(@queries, $queries_a_round * 0.7);
    @queries = create_tables($stream, @queries);
    for my $phase (1 .. $phases)
    {
        $produce->();
        push @queries, create_tables($stream, @later) if $phase == 3;
        wait_for_all($stream) if chance(0.5);
        disturb();
    }
    judge($stream, $produce, @queries);
    $all += @queries;
    $broker->stop;
}
cmp_ok($all, '>=', $rounds * $queries_a_round * 0.9, "$all queries");
done_testing();
