# ruby read.rb <jobs>. What a job and an answer look like: see readers.py.
require "csv"

File.foreach(ARGV[0], chomp: true, encoding: "UTF-8") do |line|
  source, target, code, encoding, eol, = line.split("\t", -1)
  mode = { "UTF-8" => "rb:BOM|UTF-8", "UTF-16" => "rb:BOM|UTF-16LE:UTF-8" }.fetch(encoding, "rb:#{encoding}:UTF-8")
  begin
    File.open(target, "wb") do |out|
      File.open(source, mode) do |input|
        CSV.new(input, col_sep: code.to_i.chr, row_sep: eol == "windows" ? "\r\n" : "\n").each do |row|
          row.each { |cell| out.write(cell.nil? ? "N" : "#{cell.bytesize}:", cell || "") }
          out.write("\n")
        end
      end
    end
  rescue StandardError => error
    File.binwrite(target, "E#{error.message}")
  end
end
