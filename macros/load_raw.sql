{#
    What `delivery load` reads of the landing folder, for engines that read tables. Runs on DuckDB, whose readers of files
    it uses, so that every engine is told the same of each line. Writes parquet files into a folder: files.parquet, which
    of the landed files are new or changed, and <schema>.<table>.parquet for each source, their rows, file by file.
    known: a parquet file of those that were loaded before: file_name, file_size (NULL: any), modified_at.
#}
{% macro load_raw(into, known) -%}
    {%- if not execute -%}{{ return('') }}{%- endif -%}
    {%- set listed -%}
        select
            files.file_name,
            files.file_size,
            files.modified_at
        from ({{ landing_files() }}) as files
        left join read_parquet({{ dbt_delivery.quoted([no_glob(known)]) }}) as known
            on files.file_name = known.file_name
            and files.file_size = coalesce(known.file_size, files.file_size)
            and files.modified_at = known.modified_at
        where known.file_name is null and {{ is_read('files.file_name') }}
        order by files.file_name
    {%- endset -%}
    {#- Once: what is listed is what is read, whatever comes meanwhile. -#}
    {%- do run_query('create temporary table listed as ' ~ listed) -%}
    {%- do run_query('copy listed to ' ~ dbt_delivery.quoted([into ~ '/files.parquet']) ~ ' (format parquet)') -%}
    {%- set names = run_query('select file_name from listed order by file_name').columns[0].values() -%}
    {%- for source in graph.sources.values() | sort(attribute='unique_id') if source.package_name == project_name -%}
        {%- set of_events = source.name == 'events' -%}
        {%- set folder = source.source_name if of_events else source.source_name ~ '/' ~ source.name -%}
        {%- set files = names | select('ge', folder ~ '/') | select('lt', folder ~ '0') | list -%}
        {%- set landed = landed_events(none, files, landing_dir()) if of_events
            else landed_rows(none, files, landing_dir()) -%}
        {%- do run_query(
            'copy (select ' ~ ('landed.received_at, ' if of_events else '')
            ~ 'landed.payload, landed.fault, landed.file_name, landed.line_number, listed.modified_at as landed_at, '
            ~ dbt_delivery.started_at() ~ ' as loaded_at from (' ~ landed ~ ') as landed left join listed'
            ~ ' on landed.file_name = listed.file_name order by landed.file_name) to '
            ~ dbt_delivery.quoted([into ~ '/' ~ source.source_name ~ '.' ~ source.name ~ '.parquet']) ~ ' (format parquet)'
        ) -%}
    {%- endfor -%}
{%- endmacro %}
