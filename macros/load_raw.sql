{#
    Loads the landing folder into the raw tables of an engine that reads tables: one folder of parquet files a source, to
    which each run adds what is new or changed. Runs on DuckDB, whose readers of files it uses, so that every engine is
    told the same of each line.

        make load RAW_DIR=/data/raw
#}
{% macro load_raw() -%}
    {%- if not execute -%}{{ return('') }}{%- endif -%}
    {%- set root = raw_dir() -%}
    {%- set listed = run_query(
        'select file_name, modified_at from (' ~ landing_files() ~ ') as files where ' ~ is_read('file_name')
        ~ ' order by file_name'
    ) -%}
    {%- for source in graph.sources.values() | sort(attribute='unique_id') if source.package_name == project_name -%}
        {%- set of_events = source.source_name == 'sendgrid' -%}
        {%- set folder = 'sendgrid' if of_events else source.source_name ~ '/' ~ source.name -%}
        {%- set target = root ~ '/' ~ source.source_name ~ '/' ~ source.name -%}
        {%- set loaded = load_raw_known(target) -%}
        {%- set files = [] -%}
        {%- for row in listed.rows if row[0].startswith(folder ~ '/') and (row[0], row[1] | string) not in loaded -%}
            {%- do files.append(row[0]) -%}
        {%- endfor -%}
        {%- if files -%}
            {%- set landed = landed_events(none, files, landing_dir()) if of_events
                else landed_rows(none, files, landing_dir()) -%}
            {%- do run_query(
                "copy (select " ~ ('landed.received_at, ' if of_events else '')
                ~ "landed.payload, landed.fault, landed.file_name, landed.line_number, files.modified_at as landed_at, "
                ~ dbt_delivery.started_at() ~ " as loaded_at from (" ~ landed ~ ") as landed left join (" ~ landing_files()
                ~ ") as files on landed.file_name = files.file_name) to '" ~ target ~ '/'
                ~ run_started_at.strftime('%Y%m%dT%H%M%S%f') ~ ".parquet' (format parquet)"
            ) -%}
        {%- endif -%}
        {%- do log(folder ~ ': ' ~ files | length ~ ' files loaded', info=true) -%}
    {%- endfor -%}
{%- endmacro %}


{# The files, with their versions, that a raw table holds. #}
{% macro load_raw_known(target) -%}
    {%- set known = [] -%}
    {%- set parts = run_query("select count(*) from glob('" ~ no_glob(target) ~ "/**/*.parquet')").columns[0].values()[0] -%}
    {%- if parts -%}
        {%- for row in run_query(
            "select distinct file_name, landed_at from read_parquet('" ~ no_glob(target) ~ "/**/*.parquet')"
        ).rows -%}
            {%- do known.append((row[0], row[1] | string)) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(known) }}
{%- endmacro %}
