#!/usr/bin/perl
# Runs test programs that speak TAP, one after the other, each with a directory of its own; shows
# the logs of those that fail, and adds the line "passed failed" to a file.
# harness.pl COUNTS DIRECTORY FILE ...
use strict;
use warnings;

use File::Basename qw(basename);
use File::Path qw(make_path);
use TAP::Harness;
use TAP::Parser::Aggregator;

my ($counts, $directory, @files) = @ARGV;
die "usage: harness.pl COUNTS DIRECTORY FILE ...\n" unless @files;

my $harness = TAP::Harness->new({
    lib => [ split /:/, $ENV{PERL5LIB} // '' ],
    merge => 0,
    timer => 1,
    failures => 1,
    exec => sub { my ($self, $file) = @_; return $file =~ /\.pl$/ ? undef : [ 'bash', $file ] },
});
my ($passed, $failed) = (0, 0);

for my $file (@files)
{
    my $name = basename($file) =~ s/\.[^.]*$//r;
    my $own = "$directory/$name";
    make_path("$own/tmp_check/log");
    # PostgreSQL 15 reads TESTDIR, later versions the other two.
    local $ENV{TESTDIR} = $own;
    local $ENV{TESTDATADIR} = "$own/tmp_check";
    local $ENV{TESTLOGDIR} = "$own/tmp_check/log";

    my $result = $harness->runtests($file);
    my $bad = $result->failed;
    # A test that ended early, or without a plan, has failed as well, whatever it said before.
    $bad++ if !$bad && !$result->all_passed;
    $passed += $result->passed;
    $failed += $bad;
    show_logs("$own/tmp_check/log") if $bad;
}

open(my $out, '>>', $counts) or die "$counts: $!\n";
print $out "$passed $failed\n";
close($out) or die "$counts: $!\n";
exit($failed ? 1 : 0);

sub show_logs
{
    my ($logs) = @_;
    for my $log (glob "$logs/*")
    {
        next unless -f $log && -s $log;
        print "---- last lines of $log\n";
        open(my $in, '<', $log) or next;
        my @lines = <$in>;
        print @lines > 40 ? @lines[ -40 .. -1 ] : @lines;
        close($in);
    }
    return;
}
