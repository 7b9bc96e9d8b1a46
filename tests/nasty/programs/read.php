<?php
// php read.php <jobs>. What a job and an answer look like: see readers.py.
foreach (file($argv[1], FILE_IGNORE_NEW_LINES) as $line) {
    [$source, $target, $code] = explode("\t", $line);
    $out = fopen($target, "wb");
    $input = fopen($source, "rb");
    // By default, fgetcsv takes a backslash for an escape; the empty text turns that off.
    while (($row = fgetcsv($input, null, chr((int) $code), '"', "")) !== false) {
        foreach ($row as $cell) {
            fwrite($out, $cell === null ? "N" : strlen($cell) . ":" . $cell);
        }
        fwrite($out, "\n");
    }
    fclose($out);
}
