<?php
// Uses an archive in a way that PHP programs do: believe.php WAY DIRECTORY.
// What it has read goes into the file "got".
[, $way, $d] = $argv;
$f = "$d/archive.zip";
scandir($d);
$size = filesize($f);
switch ($way) {
    case 'fread':
        $in = fopen($f, 'rb') or exit(1);
        for ($data = ''; strlen($data) < $size; $data .= $part) {
            if (($part = fread($in, $size - strlen($data))) === '' || $part === false) break;
        }
        file_put_contents('got', $data);
        break;
    case 'length':
        file_put_contents('got', file_get_contents($f, false, null, 0, $size));
        break;
    case 'copy':
        copy($f, 'got') or exit(1);
        break;
}
