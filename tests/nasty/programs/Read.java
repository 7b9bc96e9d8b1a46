// java -cp <jars> Read.java <commons-csv|opencsv> <jobs>. What a job and an answer look like: see readers.py.
import com.opencsv.CSVReader;
import com.opencsv.CSVReaderBuilder;
import com.opencsv.RFC4180ParserBuilder;
import com.opencsv.enums.CSVReaderNullFieldIndicator;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.Reader;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.QuoteMode;

class Read {
    public static void main(String[] arguments) throws Exception {
        for (String line : Files.readAllLines(Path.of(arguments[1]))) {
            String[] job = line.split("\t", -1);
            Path target = Path.of(job[1]);
            char delimiter = (char) Integer.parseInt(job[2]);
            try (Reader input = Files.newBufferedReader(Path.of(job[0]), Charset.forName(job[3]));
                    OutputStream out = new BufferedOutputStream(Files.newOutputStream(target))) {
                if (arguments[0].equals("opencsv")) opencsv(input, delimiter, out);
                else commonsCsv(input, delimiter, job[5], out);
            } catch (Exception error) {
                Files.writeString(target, "E" + error);
            }
        }
    }

    static void commonsCsv(Reader input, char delimiter, String nulls, OutputStream out) throws IOException {
        var format = CSVFormat.RFC4180.builder().setDelimiter(delimiter).setQuoteMode(QuoteMode.ALL_NON_NULL);
        if (!nulls.isEmpty()) format.setNullString(nulls);
        for (var row : format.build().parse(input)) write(row, out);
    }

    static void opencsv(Reader input, char delimiter, OutputStream out) throws Exception {
        var parser = new RFC4180ParserBuilder()
                .withSeparator(delimiter)
                .withFieldAsNull(CSVReaderNullFieldIndicator.EMPTY_SEPARATORS)
                .build();
        CSVReader reader = new CSVReaderBuilder(input).withCSVParser(parser).build();
        for (String[] row = reader.readNext(); row != null; row = reader.readNext()) write(Arrays.asList(row), out);
    }

    static void write(Iterable<String> row, OutputStream out) throws IOException {
        for (String cell : row) {
            byte[] bytes = cell == null ? null : cell.getBytes(StandardCharsets.UTF_8);
            out.write((bytes == null ? "N" : bytes.length + ":").getBytes(StandardCharsets.US_ASCII));
            if (bytes != null) out.write(bytes);
        }
        out.write('\n');
    }
}
