# Rscript read.R <read.csv|fread> <jobs>. What a job and an answer look like: see readers.py.
arguments <- commandArgs(trailingOnly = TRUE)

by_read_csv <- function(source, delimiter, encoding, nulls) {
  read.csv(
    source, header = FALSE, sep = delimiter, quote = "\"", colClasses = "character", na.strings = character(0),
    fileEncoding = if (encoding == "UTF-8") "UTF-8-BOM" else encoding, blank.lines.skip = FALSE, comment.char = ""
  )
}

by_fread <- function(source, delimiter, encoding, nulls) {
  data.table::fread(
    source, header = FALSE, sep = delimiter, quote = "\"", colClasses = "character", na.strings = nulls,
    encoding = "UTF-8", strip.white = FALSE, data.table = FALSE, nThread = 1
  )
}

read <- list(read.csv = by_read_csv, fread = by_fread)[[arguments[1]]]
for (line in readLines(arguments[2], encoding = "UTF-8")) {
  job <- strsplit(paste0(line, "\t"), "\t", fixed = TRUE)[[1]]
  answer <- tryCatch(
    {
      frame <- read(job[1], intToUtf8(as.integer(job[3])), job[4], job[6])
      cells <- vapply(frame, function(column) {
        column <- enc2utf8(column)
        ifelse(is.na(column), "N", paste0(nchar(column, "bytes"), ":", column))
      }, character(nrow(frame)))
      paste0(apply(matrix(cells, nrow = nrow(frame)), 1, paste, collapse = ""), "\n", collapse = "")
    },
    error = function(error) paste0("E", conditionMessage(error))
  )
  output <- file(job[2], "wb")
  writeBin(charToRaw(answer), output)
  close(output)
}
