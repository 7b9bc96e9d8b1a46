// node read.js <csv-parse|papaparse> <jobs>. What a job and an answer look like: see readers.py.
const fs = require("node:fs");
const { createRequire } = require("node:module");

const [library, jobs, modules] = process.argv.slice(2);
const windows1252 = new TextDecoder("windows-1252"); // a Buffer does not know it
const load = createRequire(modules + "/");

function csvParse(job) {
  const { parse } = load("csv-parse/sync");
  const raw = fs.readFileSync(job.source);
  return parse(job.encoding ? raw : windows1252.decode(raw), {
    bom: true,
    delimiter: job.delimiter,
    encoding: job.encoding,
    record_delimiter: job.eol,
    cast: (value, context) => (!context.quoting && value === job.nulls ? null : value),
  });
}

function papaparse(job) {
  const raw = fs.readFileSync(job.source);
  const text = job.encoding ? raw.toString(job.encoding) : windows1252.decode(raw);
  const { data, errors } = load("papaparse").parse(text, {
    delimiter: job.delimiter,
    newline: job.eol,
  });
  if (errors.length) throw new Error(JSON.stringify(errors[0]));
  return data.slice(0, -1); // after the last line break it sees one more row
}

const read = { "csv-parse": csvParse, papaparse }[library];
for (const line of fs.readFileSync(jobs, "utf8").split("\n").filter(Boolean)) {
  const [source, target, code, encoding, eol, nulls] = line.split("\t");
  const job = {
    source,
    delimiter: String.fromCharCode(Number(code)),
    encoding: { "UTF-8": "utf8", "UTF-16": "utf16le", "ISO-8859-1": "latin1" }[encoding],
    eol: eol === "windows" ? "\r\n" : "\n",
    nulls,
  };
  try {
    const cells = [];
    for (const row of read(job)) {
      for (const cell of row) {
        if (cell === null) cells.push(Buffer.from("N"));
        else {
          const bytes = Buffer.from(cell, "utf8");
          cells.push(Buffer.from(`${bytes.length}:`), bytes);
        }
      }
      cells.push(Buffer.from("\n"));
    }
    fs.writeFileSync(target, Buffer.concat(cells));
  } catch (error) {
    fs.writeFileSync(target, `E${error.message}`);
  }
}
