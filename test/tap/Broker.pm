# A Kafka broker for TAP tests: the mock cluster in a process of its own, or a real Apache Kafka.
#
#   my $broker = Broker->mock(topic => 'readings', partitions => 4);
#   my $broker = Broker->kafka(topic => 'readings', partitions => 4, config => ['retention.ms=-1']);
#   $broker->bootstrap;                     # for bootstrap_servers
#   $broker->produce("0\tkey\tvalue", ...);    # partition, key, value; \N null, \x.. bytes
#   $broker->generate(count => 1000, start_ms => ..., file => ...);    # the seed's readings
#   $broker->start_generate(%options);      # in the background; ->stop_generate gives its status
#   $broker->kill; $broker->start; $broker->stop;    # a real one keeps its data
#
# All dies with the test. ANOMALY_BIN: where mock_broker and generate are (build/release).
package Broker;

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp ();
use IO::Socket::INET;
use IPC::Open3;
use POSIX ();
use Scalar::Util ();

my $top = abs_path(dirname(__FILE__) . '/../..');
my $bin = $ENV{ANOMALY_BIN} || "$top/build/release";
my $script = "$top/test/kafka/real_kafka.sh";
my %alive;

sub mock
{
    my ($class, %options) = @_;
    my $self = bless { kind => 'mock', %options }, $class;
    $self->{topic} //= 'readings';
    $self->{partitions} //= 1;
    $self->_remember;
    $self->start;
    return $self;
}

sub kafka
{
    my ($class, %options) = @_;
    my $self = bless { kind => 'kafka', %options }, $class;
    $self->{topic} //= 'readings';
    $self->{partitions} //= 1;
    $self->{dir} = File::Temp->newdir('anomaly_kafka_XXXXXX', TMPDIR => 1);
    $self->_remember;
    $self->{port} = _free_ports();
    $self->{bootstrap} = "127.0.0.1:$self->{port}";
    $self->_script('start', $self->{port}, $self->{secure} ? 'secure' : ());
    $self->topic($self->{topic}, $self->{partitions}, @{ $self->{config} // [] });
    return $self;
}

sub bootstrap { return $_[0]{bootstrap} }

# Of a broker with secure => 1: the listener that wants TLS and SCRAM (user app, password
# app-secret), and the certificate to trust, as PEM.
sub secure_bootstrap { return '127.0.0.1:' . ($_[0]{port} + 2) }

sub certificate
{
    my ($self) = @_;
    open(my $in, '<', "$self->{dir}/broker.pem") or die "broker.pem: $!";
    local $/ = undef;
    return scalar readline($in);
}

# Another topic, on a real broker.
sub topic
{
    my ($self, $name, $partitions, @config) = @_;
    return $self->_script('topic', $name, $partitions, @config);
}

sub partitions
{
    my ($self, $name, $count) = @_;
    return $self->_script('partitions', $name, $count);
}

sub delete_topic { my ($self, $name) = @_; return $self->_script('delete-topic', $name) }

# The offsets of a consumer group, "topic partition offset" a line.
sub group
{
    my ($self, $name) = @_;
    open(my $out, '-|', $script, 'group', "$self->{dir}", $name) or die "$script: $!";
    local $/ = undef;
    return readline($out) // '';
}

sub delete_records
{
    my ($self, $partition, $offset, $topic) = @_;
    return $self->_script('delete-records', $topic // $self->{topic}, $partition, $offset);
}

# The mock cluster begins anew, empty, under a new address; a real one where it was.
sub start
{
    my ($self) = @_;
    return $self->_script('restart') if $self->{kind} eq 'kafka';
    $self->{pid} = open($self->{out}, '-|', "$bin/mock_broker", '--with-parent',
        '--topic', $self->{topic}, '--partitions', $self->{partitions})
      or die "could not start $bin/mock_broker: $!";
    my $line = readline($self->{out}) // '';
    ($self->{bootstrap}) = $line =~ /^bootstrap\.servers=(\S+)/
      or die "mock_broker said \"$line\"";
    return;
}

sub stop { return $_[0]->_end('TERM', 'stop') }
sub kill { return $_[0]->_end('KILL', 'kill') }

sub produce
{
    my ($self, @lines) = @_;
    return $self->produce_to({}, @lines);
}

# Options as generate's, with _ for -: { topic => ..., timestamp_ms => ... }
sub produce_to
{
    my ($self, $options, @lines) = @_;
    my @command = ($self->_generate_command(%$options), '--stdin');
    open(my $pipe, '|-', @command) or die "could not run $command[0]: $!";
    print {$pipe} "$_\n" for @lines;
    close($pipe) or die "@command failed: $?";
    return;
}

sub generate
{
    my ($self, %options) = @_;
    my @command = $self->_generate_command(%options);
    system(@command) == 0 or die "@command failed: $?";
    return;
}

sub start_generate
{
    my ($self, %options) = @_;
    return $self->_in_background('/dev/null', $self->_generate_command(%options));
}

# As produce_to, in the background; { rate => 100 } spreads the messages over time.
sub start_produce
{
    my ($self, $options, @lines) = @_;
    my $file = File::Temp->new(TMPDIR => 1);
    print {$file} "$_\n" for @lines;
    close($file) or die "$file: $!";
    $self->{lines} = $file;
    return $self->_in_background("$file", $self->_generate_command(%$options), '--stdin');
}

sub _in_background
{
    my ($self, $input, @command) = @_;
    die 'a generator is running' if $self->{generator};
    my $pid = fork() // die "fork: $!";
    if ($pid == 0)
    {
        open(STDIN, '<', $input) or POSIX::_exit(127);
        exec(@command) or POSIX::_exit(127);
    }
    $self->{generator} = $pid;
    return $pid;
}

# Ends it (or, with wait => 1, lets it end) and gives its exit status.
sub stop_generate
{
    my ($self, %options) = @_;
    my $pid = delete $self->{generator} or return;
    CORE::kill('TERM', $pid) unless $options{wait};
    waitpid($pid, 0);
    # A generator that was ended before it had begun has failed at nothing.
    return $? == POSIX::SIGTERM ? 0 : $?;
}

sub _generate_command
{
    my ($self, %options) = @_;
    my %all = (brokers => $self->bootstrap, topic => $self->{topic}, %options);
    return ("$bin/generate", map { ('--' . tr/_/-/r, $all{$_}) } sort keys %all);
}

sub _script
{
    my ($self, $command, @arguments) = @_;
    my @command = ($script, $command, "$self->{dir}", @arguments);
    # What it starts may not hold the test's own output open.
    open(my $null, '<', '/dev/null') or die $!;
    my $pid = open3('<&' . fileno($null), '>&STDERR', '>&STDERR', @command);
    waitpid($pid, 0);
    die "@command failed: $?" if $?;
    return;
}

sub _end
{
    my ($self, $signal, $command) = @_;
    return $self->_script($command) if $self->{kind} eq 'kafka';
    my $pid = delete $self->{pid} or return;
    CORE::kill($signal, $pid);
    waitpid($pid, 0);
    delete $self->{out};
    return;
}

# Three ports in a row that nobody listens on just now.
sub _free_ports
{
    for (1 .. 100)
    {
        my $port = 20000 + int(rand(12000));
        my @held = grep { $_ } map {
            IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $_, Listen => 1)
        } ($port .. $port + 2);
        return $port if @held == 3;
    }
    die 'no free ports';
}

sub _remember
{
    my ($self) = @_;
    $self->{owner} = $$;
    $alive{ 0 + $self } = $self;
    Scalar::Util::weaken($alive{ 0 + $self });
    return;
}

sub DESTROY
{
    my ($self) = @_;
    # A child of the test that ends is not the test.
    return if ($self->{owner} // 0) != $$;
    # END has been here before.
    return unless exists $alive{ 0 + $self };
    delete $alive{ 0 + $self };
    local ($?, $@, $!);
    eval { $self->stop_generate };
    eval { $self->kill };
    delete $self->{dir};
    return;
}

END
{
    $_->DESTROY for grep { defined } values %alive;
}

1;
