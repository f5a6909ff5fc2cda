# A psql that stays open, and answers one statement after the other.
package Session;

use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Utils;

# options: more of psql's. A broken connection is to end it, not to be mended behind our back. What
# it says of errors and notices is in its answers.
sub new
{
    my ($class, $node, @options) = @_;
    my $self = bless { input => '', output => '', marks => 0 }, $class;
    my @command = ('psql', '-Xq', @options, '-v', 'ON_ERROR_STOP=1', '-d',
        $node->connstr('postgres'));
    $self->{psql} = IPC::Run::start(\@command, '<', \$self->{input}, '>', \$self->{output},
        '2>&1', IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
    return $self;
}

# What psql prints; dies when it has ended, as after an error.
sub ask
{
    my ($self, $sql) = @_;
    my $mark = 'end-of-answer-' . ++$self->{marks};
    $self->{input} .= "$sql\n\\echo $mark\n";
    until ($self->{output} =~ /^\Q$mark\E\n/m)
    {
        die "psql ended: $self->{output}\n" unless $self->{psql}->pumpable;
        $self->{psql}->pump;
    }
    my ($answer) = $self->{output} =~ /\A(.*?)^\Q$mark\E\n/ms;
    $self->{output} =~ s/\A.*?^\Q$mark\E\n//ms;
    return $answer;
}

sub close
{
    my ($self) = @_;
    $self->{input} .= "\\q\n";
    # It may be gone already, with its server.
    eval { $self->{psql}->finish };
    return;
}

1;
