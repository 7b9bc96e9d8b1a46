// node read.js <csv-parse|papaparse> <jobs>. What a job and an answer look like: see readers.py.
const fs = require("node:fs");
const { createRequire } = require("node:module");

const [library, jobs, modules] = process.argv.slice(2);
const load = createRequire(modules + "/");

function csvParse(job) {
  const { parse } = load("csv-parse/sync");
  return parse(fs.readFileSync(job.source), {
    bom: true,
    delimiter: job.delimiter,
    encoding: job.encoding,
    record_delimiter: job.eol,
    cast: (value, context) => (!context.quoting && value === job.nulls ? null : value),
  });
}

function papaparse(job) {
  const text = fs.readFileSync(job.source).toString(job.encoding);
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
    encoding: encoding === "UTF-16" ? "utf16le" : "utf8",
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
