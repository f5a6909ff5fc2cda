#!/usr/bin/env perl
# report.pl FILE: a table of medians, spread and ratios. Each line of the file is one run:
# contender, messages, seconds, CPU seconds, peak memory in kB, separated by tabs.
use strict;
use warnings;

my %label = (
    raw => 'librdkafka, consume and drop',
    anomaly => 'anomaly, committed in PostgreSQL',
    plain => 'plain PostgreSQL, COPY and SELECT',
);

sub median
{
    my @sorted = sort { $a <=> $b } @_;
    my $middle = int(@sorted / 2);
    return @sorted % 2 ? $sorted[$middle] : ($sorted[$middle - 1] + $sorted[$middle]) / 2;
}

# 1234567 as 1,234,567.
sub grouped
{
    my ($number) = @_;
    my $text = reverse sprintf('%.0f', $number);
    $text =~ s/(\d{3})(?=\d)/$1,/g;
    return scalar reverse $text;
}

my (%runs, @order);
while (<>)
{
    chomp;
    my ($name, $messages, $seconds, $cpu, $peak) = split /\t/;
    push @order, $name unless $runs{$name};
    push @{ $runs{$name} },
      { rate => $messages / $seconds, seconds => $seconds, cpu => $cpu, peak => $peak };
}

my %median;
for my $name (@order)
{
    for my $figure (qw(rate seconds cpu peak))
    {
        $median{$name}{$figure} = median(map { $_->{$figure} } @{ $runs{$name} });
    }
}

print "| what | runs | messages/s | from, to | seconds | CPU s | peak MB |\n";
print "|---|---|---|---|---|---|---|\n";
for my $name (@order)
{
    my @rates = sort { $a <=> $b } map { $_->{rate} } @{ $runs{$name} };
    printf "| %s | %d | %s | %s, %s | %.2f | %.2f | %.0f |\n", $label{$name}, scalar @rates,
      grouped($median{$name}{rate}), grouped($rates[0]), grouped($rates[-1]),
      @{ $median{$name} }{qw(seconds cpu)}, $median{$name}{peak} / 1024;
}
print "\n";
for my $other (grep { $_ ne 'anomaly' && $runs{anomaly} } @order)
{
    # Runs of the same round are neighbours: their ratio feels the machine's mood least.
    my @ratios = sort { $a <=> $b }
      map { $runs{anomaly}[$_]{rate} / $runs{$other}[$_]{rate} } 0 .. $#{ $runs{$other} };
    printf "anomaly / %s: %.2f (%.2f to %.2f), rounds compared one by one\n", $label{$other},
      median(@ratios), $ratios[0], $ratios[-1];
}
