# Goal: streams work over TLS with SCRAM; a wrong password or certificate is a clear state of the
# stream and a clear error of a statement; INSERT uses the mapping of who inserts; and no secret is
# shown, in the log or anywhere.
# Method: a real Kafka with a secure listener.
use strict;
use warnings;

use Anomaly qw(cluster wait_until);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $broker = Broker->kafka(topic => 'safe', partitions => 1, secure => 1);
my $node = cluster('secure');
# Statements that hold secrets are the user's; PostgreSQL itself would log them.
my $quiet = 'SET log_statement = none;';
sub sql { my ($text) = @_; return $node->safe_psql('postgres', "$quiet $text") }

sub error_of
{
    my ($text) = @_;
    my ($rc, $out, $err) = $node->psql('postgres', $text, on_error_stop => 1);
    isnt($rc, 0, "fails: $text");
    return $err;
}

my $pem = $broker->certificate;
my $options = "bootstrap_servers '" . $broker->secure_bootstrap . "', security_protocol 'sasl_ssl',"
  . " sasl_mechanism 'SCRAM-SHA-256', message_timeout_ms '5000'";
sql("CREATE SERVER message_queue FOREIGN DATA WRAPPER anomaly_kafka OPTIONS ($options,"
      . " ssl_ca_pem '$pem'); CREATE USER MAPPING FOR CURRENT_USER SERVER message_queue OPTIONS"
      . " (sasl_username 'app', sasl_password 'app-secret'); CREATE FOREIGN TABLE safe_in (n int)"
      . " SERVER message_queue OPTIONS (topic 'safe'); CREATE TABLE safe_all WITH"
      . ' (anomaly.continuous) AS SELECT n FROM safe_in');
my $status = "FROM anomaly.stream_status WHERE stream = 'safe_in'::regclass";

# ---- it works ----
sql('INSERT INTO safe_in SELECT generate_series(1, 100)');
is(sql('SELECT sum(n) FROM safe_in'), '5050', 'INSERT and SELECT over TLS with SCRAM-SHA-256');
wait_until($node, 'SELECT sum(n) FROM safe_all', '5050', 'and a continuous table');
sql("ALTER SERVER message_queue OPTIONS (SET sasl_mechanism 'SCRAM-SHA-512')");
sql('INSERT INTO safe_in VALUES (1000)');
wait_until($node, 'SELECT sum(n) FROM safe_all', '6050', 'with SCRAM-SHA-512');

# ---- whose mapping ----
sql('CREATE ROLE alice LOGIN; GRANT INSERT ON safe_in TO alice; CREATE VIEW safe_view AS SELECT n'
      . ' FROM safe_in; GRANT INSERT ON safe_view TO alice');
my $alice = 'SET SESSION AUTHORIZATION alice;';
like(error_of("$alice INSERT INTO safe_in VALUES (1)"), qr/sasl.password must be set/,
    'a user without a mapping has no password');
sql("$alice INSERT INTO safe_view VALUES (2000)");
sql("CREATE USER MAPPING FOR alice SERVER message_queue OPTIONS (sasl_username 'other',"
      . " sasl_password 'other-secret'); $alice INSERT INTO safe_in VALUES (3000)");
is(sql('SELECT sum(n) FROM safe_in'), '11050', 'through a view its owner\'s, else one\'s own');
is(sql("$alice SELECT count(*), count(umoptions) FROM pg_user_mappings"), '2|0',
    'nobody else sees the options of a mapping');

# ---- a wrong password ----
sql("ALTER USER MAPPING FOR CURRENT_USER SERVER message_queue OPTIONS (SET sasl_password"
      . " 'wrong-secret')");
wait_until($node, "SELECT state $status", 'unreachable', 'a wrong password is a state');
wait_until($node, "SELECT last_error ~* 'authentication' $status", 't', 'which says why');
my $begin = time();
like(error_of('INSERT INTO safe_in VALUES (1)'), qr/DETAIL: .*[Aa]uthentication/, 'INSERT says so');
like(error_of('SELECT n FROM safe_in'), qr/[Aa]uthentication/, 'SELECT says so');
cmp_ok(time() - $begin, '<', 10, 'without waiting long');
sql("ALTER USER MAPPING FOR CURRENT_USER SERVER message_queue OPTIONS (SET sasl_password"
      . " 'app-secret')");
sql('INSERT INTO safe_in VALUES (4000)');
wait_until($node, 'SELECT sum(n) FROM safe_all', '15050', 'the right one, and all goes on');
wait_until($node, "SELECT state $status", 'running', 'running');

# ---- a certificate that is not trusted ----
sql("ALTER SERVER message_queue OPTIONS (DROP ssl_ca_pem)");
wait_until($node, "SELECT state || (last_error ~* 'ssl|certificate') $status", 'unreachabletrue',
    'a certificate that nobody vouches for is a state');
like(error_of('SELECT n FROM safe_in'), qr/SSL|certificate/, 'and an error');
sql("ALTER SERVER message_queue OPTIONS (ADD ssl_ca_pem '$pem')");
wait_until($node, "SELECT state $status", 'running', 'running again');

# ---- secrets ----
my $shown = slurp_file($node->logfile)
  . sql("SELECT string_agg(s::text, '') FROM anomaly.stream_status s")
  . sql("SELECT string_agg(srvoptions::text, '') FROM pg_foreign_server")
  . sql('EXPLAIN (VERBOSE) INSERT INTO safe_in VALUES (1)')
  . $node->safe_psql('postgres', '\det+');
unlike($shown, qr/-secret/, 'no secret in the log or a view');
done_testing();
