# Uses an archive in a way that Perl programs do: believe.pl WAY DIRECTORY.
# What it has read goes into the file "got".
use strict;
use warnings;
use File::Copy ();

my ($way, $d) = @ARGV;
my $f = "$d/archive.zip";
opendir(my $dir, $d) or die $!;
my @names = readdir $dir;
my $size = -s $f;
if ($way eq "copy") {
    File::Copy::copy($f, "got") or die $!;
    exit;
}
open(my $in, "<:raw", $f) or die "$f: $!\n";
my $data = "";
while (length $data < $size) {
    my $n = sysread($in, $data, $size - length $data, length $data);
    die $! unless defined $n;
    last unless $n;
}
die "cut off\n" if $way eq "strictly" and length $data != $size;
open(my $out, ">:raw", "got") or die $!;
print $out $data;
close $out or die $!;
