# perl read.pl <jobs>. What a job and an answer look like: see readers.py.
use strict;
use warnings;
use Text::CSV_XS;

open my $jobs, "<", $ARGV[0] or die;
while (my $line = <$jobs>) {
    chomp $line;
    my ($source, $target, $code, $encoding, $eol, $nulls) = split /\t/, $line, -1;
    my $csv = Text::CSV_XS->new({
        binary => 1, sep_char => chr $code, eol => $eol eq "windows" ? "\r\n" : "\n", keep_meta_info => 1, strict => 1,
    });
    open my $input, $encoding eq "UTF-8" ? "<:raw" : "<:raw:encoding($encoding)", $source or die;
    open my $out, ">:raw", $target or die;
    while (my $row = $csv->getline($input)) {
        for my $n (0 .. $#$row) {
            my $cell = $row->[$n];
            utf8::encode($cell) if utf8::is_utf8($cell);
            print $out $cell eq $nulls && !$csv->is_quoted($n) ? "N" : length($cell) . ":" . $cell;
        }
        print $out "\n";
    }
    close $out;
    next if $csv->eof;
    open $out, ">:raw", $target or die;
    print $out "E" . $csv->error_diag;
    close $out;
}
