# Runs a document: its blocks of SQL in one psql session, its blocks of shell that begin with kcat,
# and keeps what really comes out where the document shows an answer.
package Document;

use strict;
use warnings;

use Session;

# $bootstrap stands for the document's localhost:9092.
sub new
{
    my ($class, $node, $bootstrap) = @_;
    return bless {
        bootstrap => $bootstrap, hints => [], session => Session->new($node, '-P', 'pager=off') },
      $class;
}

# What psql prints; notifications are put aside.
sub ask
{
    my ($self, $sql) = @_;
    my $answer = $self->{session}->ask($sql);
    push @{ $self->{hints} }, $1 while $answer =~ s/^(Asynchronous notification .*)\n//m;
    $answer =~ s/\n+\z/\n/;
    return $answer =~ s/ +$//mgr;
}

# The document as it ought to be: with the answers that really came.
sub run
{
    my ($self, $text) = @_;
    my ($made, $answer) = ('', undef);
    while ($text =~ /\G(.*?)^```(\w*)\n(.*?)^```\n/msgc)
    {
        my ($before, $kind, $body) = ($1, $2, $3);
        $answer = undef if $before ne '';
        $body = $answer if $kind eq '' && defined $answer;
        $made .= "$before```$kind\n$body```\n";
        my $real = $body =~ s/localhost:9092/$self->{bootstrap}/gr;
        $answer = $kind eq 'sql' ? $self->ask($real) : undef;
        if ($kind eq 'sh' && $body =~ /^kcat/)
        {
            system('bash', '-c', $real) == 0 or die "failed: $real";
        }
    }
    return $made . substr($text, pos($text) // 0);
}

sub close { my ($self) = @_; return $self->{session}->close }

1;
