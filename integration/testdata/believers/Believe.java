import java.io.EOFException;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.zip.ZipFile;

/** Uses an archive in a way that Java programs do: Believe WAY DIRECTORY. What it has read goes into the file "got". */
public class Believe {
    public static void main(String[] args) throws IOException {
        Path d = Path.of(args[1]), f = d.resolve("archive.zip"), got = Path.of("got");
        switch (args[0]) {
            case "size" -> read(f, (int) Files.size(f), got);
            case "walk-size" -> read(f, Math.toIntExact(walked(d)), got);
            case "walk-copy" -> {
                walked(d);
                Files.copy(f, got);
            }
            case "walk-map" -> {
                long size = walked(d);
                try (var in = FileChannel.open(f); var out = FileChannel.open(got, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
                    out.write(in.map(FileChannel.MapMode.READ_ONLY, 0, size));
                }
            }
            case "walk-transfer" -> {
                long size = walked(d);
                try (var in = FileChannel.open(f); var out = FileChannel.open(got, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
                    in.transferTo(0, size, out);
                }
            }
            case "zip" -> {
                walked(d);
                try (var zip = new ZipFile(f.toFile())) {
                    if (zip.size() == 0) throw new EOFException();
                }
                Files.write(got, Files.readAllBytes(f));
            }
            default -> throw new IllegalArgumentException(args[0]);
        }
    }

    private static long walked(Path d) throws IOException {
        try (var paths = Files.walk(d)) {
            return Files.size(paths.filter(p -> p.endsWith("archive.zip")).findFirst().orElseThrow());
        }
    }

    private static void read(Path f, int size, Path got) throws IOException {
        try (var in = Files.newInputStream(f)) {
            Files.write(got, in.readNBytes(size));
        }
    }
}
