{#
    Everything that differs between engines, and nothing else; each macro says why it is here.
    What no two engines share has no default, so that a new engine stops with "no macro named ..." rather than running
    something untried.
#}


{# ---- Raw data: DuckDB reads files in the landing folder, the others read tables that a loader fills. ---- #}

{#
    One row per file in the landing folder: file_name below it, file_size, modified_at. Files that a loader is still
    writing are left out: hidden ones, *.tmp and *.part. No rows where sources are tables.
#}
{% macro landing_files() -%}
    {{ return(adapter.dispatch('landing_files', 'delivery')()) }}
{%- endmacro %}

{% macro duckdb__landing_files() -%}
    select
        substr(filename, {{ landing_dir() | length + 2 }}) as file_name,
        cast(size as bigint) as file_size,
        cast(last_modified as timestamp) as modified_at
    from read_blob([
        {%- for system in ['sendgrid'] + entities().keys() | list %}
        {{ quoted([no_glob(landing_dir()) ~ '/' ~ system ~ '/**']) }}{{ ',' if not loop.last }}
        {%- endfor %}
    ])
    where not regexp_matches(filename, '(^|/)\.[^/]*$|\.(tmp|part)$')
{%- endmacro %}

{% macro default__landing_files() -%}
    select
        cast(null as {{ dbt.type_string() }}) as file_name,
        cast(null as bigint) as file_size,
        cast(null as timestamp) as modified_at
    where false
{%- endmacro %}


{# When a loader last left something: the newest file of a folder, or row of a table. #}
{% macro freshness_query(source, folder) -%}
    {{ return(adapter.dispatch('freshness_query', 'delivery')(source, folder)) }}
{%- endmacro %}

{% macro duckdb__freshness_query(source, folder) -%}
    select max(modified_at) from ({{ landing_files() }}) as files where file_name like '{{ folder }}/%'
{%- endmacro %}

{% macro default__freshness_query(source, folder) -%}
    select max(loaded_at) from {{ source }}
{%- endmacro %}


{# Stops before anything is built when the landing folder holds nothing to read. #}
{% macro check_landing() -%}
    {{ return(adapter.dispatch('check_landing', 'delivery')()) }}
{%- endmacro %}

{% macro duckdb__check_landing() -%}
    {%- if execute and 'model.delivery.base_landing__files' in selected_resources -%}
        {%- set query = 'select file_name from (' ~ landing_files() ~ ') as files where ' ~ is_read('file_name') -%}
        {%- set found = run_query(query).columns[0].values() -%}
        {%- for folder in ['sendgrid', 'platform'] -%}
            {%- if not found | select('ge', folder ~ '/') | select('lt', folder ~ '0') | list -%}
                {%- do exceptions.raise_compiler_error(
                    "No raw data: there is no file to read in '" ~ landing_dir() ~ "/" ~ folder
                    ~ "'. Set LANDING_DIR to the folder that the loaders write to."
                ) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}

{% macro default__check_landing() -%}
{%- endmacro %}


{#
    Before version 16, PostgreSQL cannot ask whether text is JSON without stopping when it is not: a function that catches
    the error, made anew by every command.
#}
{% macro postgres__check_landing() -%}
    {%- if execute -%}
        create or replace function {{ target.schema }}.is_json(candidate text) returns boolean
        language plpgsql immutable parallel safe as $$
        begin
            perform cast(candidate as json);
            return candidate is not null;
        exception when others then
            return false;
        end $$
    {%- endif -%}
{%- endmacro %}

{% macro postgres__is_json(text) -%}
    {{ target.schema }}.is_json({{ text }})
{%- endmacro %}


{#
    Spark's raw tables are folders of parquet files, which the loader (macros/load_raw.sql) adds to; every command names
    them anew, as a folder that was moved or emptied is then read as it is.
#}
{% macro spark__check_landing() -%}
    {%- if execute and invocation_args_dict.which in ['build', 'run', 'test', 'retry', 'compile', 'source'] -%}
        {%- for source in graph.sources.values() -%}
            {%- do run_query('create schema if not exists ' ~ source.schema) -%}
            {%- do run_query(
                'create table if not exists ' ~ source.schema ~ '.' ~ source.identifier ~ ' ('
                ~ ('received_at timestamp, ' if source.source_name == 'sendgrid' else '')
                ~ 'payload string, fault string, file_name string, line_number bigint, landed_at timestamp, '
                ~ "loaded_at timestamp) using parquet location '" ~ raw_dir() ~ '/' ~ source.source_name ~ '/'
                ~ source.name ~ "'"
            ) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}

{# Where the raw tables of engines that read tables lie. From its root: Spark would look below its own warehouse. #}
{% macro raw_dir() -%}
    {%- set folder = env_var('RAW_DIR', '').rstrip('/') -%}
    {%- if not folder.startswith('/') -%}
        {%- do exceptions.raise_compiler_error(
            "RAW_DIR is '" ~ folder ~ "'. Set it to the folder of the raw tables, as a path from the root (/...)."
        ) -%}
    {%- endif -%}
    {{ return(folder) }}
{%- endmacro %}


{# Whether raw data is files in a landing folder. #}
{% macro reads_files() -%}
    {{ return(adapter.dispatch('reads_files', 'delivery')()) }}
{%- endmacro %}

{% macro duckdb__reads_files() -%}
    {{ return(true) }}
{%- endmacro %}

{% macro default__reads_files() -%}
    {{ return(false) }}
{%- endmacro %}


{#
    One row per SendGrid event, arrays taken apart: received_at, payload, fault, file_name, line_number,
    landed_at (when a loader's table got it). fault says why a line is no event; payload is then the line as it is. files: names below root.
#}
{% macro landed_events(source, files, root) -%}
    {{ return(adapter.dispatch('landed_events', 'delivery')(source, files, root)) }}
{%- endmacro %}

{% macro duckdb__landed_events(source, files, root) -%}
    {%- set posts = [] -%}
    {%- set lines = [] -%}
    {%- for file in files -%}
        {%- do (posts if file.endswith(('.json', '.json.gz')) else lines).append(file) -%}
    {%- endfor -%}
    with lines as (

        {{ duckdb__file_lines(lines, root) }}

    ),

    posts as (

        select
            file_name,
            string_agg(line, chr(10) order by line_number) as line
        from ({{ duckdb__file_lines(posts, root) }})
        group by file_name

    ),

    read as (

        select
            file_name,
            line_number,
            line,
            case when json_valid(line) then
                json_transform(line, '{"received_at": "VARCHAR", "payload": "JSON"}')
            end as document
        from lines
        where not {{ duckdb__is_blank('line') }}

        union all

        select
            file_name,
            1 as line_number,
            line,
            {
                'received_at': regexp_extract(file_name, '/(\d{8}T\d{6}Z)[^/]*$', 1),
                'payload': case when json_valid(line) then cast(line as json) end
            } as document
        from posts

    ),

    judged as (

        select
            file_name,
            line_number,
            document.payload as payload,
            coalesce(
                {{ try_timestamp('document.received_at') }},
                try_strptime(document.received_at, '%Y%m%dT%H%M%SZ')
            ) as received_at,
            case
                when document.payload is null then 'not {"received_at": ..., "payload": ...}'
                when left(document.payload, 1) not in ('{', '[') then 'the payload is no object or array'
                when received_at is null then 'received_at is no time'
            end as fault,
            case when fault is not null then line end as faulty_line
        from read

    ),

    events as (

        select
            * exclude (payload),
            unnest(
                case
                    when fault is null and left(payload, 1) = '[' then json_extract(payload, '$[*]')
                    else [payload]
                end
            ) as event
        from judged

    )

    select
        received_at,
        coalesce(faulty_line, cast(event as varchar)) as payload,
        coalesce(fault, case when left(event, 1) <> '{' then 'the event is no object' end) as fault,
        file_name,
        line_number,
        cast(null as timestamp) as landed_at
    from events
{%- endmacro %}

{% macro default__landed_events(source, files, root) -%}
    select
        landed.received_at,
        landed.payload,
        {{ fault_here() }} as fault,
        landed.file_name,
        landed.line_number,
        landed.landed_at
    from {{ source }} as landed
    {{ new_rows(source) }}
{%- endmacro %}


{# One row per line of a platform entity: payload, fault, file_name, line_number. #}
{% macro landed_rows(source, files, root) -%}
    {{ return(adapter.dispatch('landed_rows', 'delivery')(source, files, root)) }}
{%- endmacro %}

{% macro duckdb__landed_rows(source, files, root) -%}
    select
        line as payload,
        case when not json_valid(line) or json_type(line) <> 'OBJECT' then 'not one JSON object' end as fault,
        file_name,
        line_number,
        cast(null as timestamp) as landed_at
    from ({{ duckdb__file_lines(files, root) }})
    where not {{ duckdb__is_blank('line') }}
{%- endmacro %}

{% macro default__landed_rows(source, files, root) -%}
    select
        landed.payload,
        {{ fault_here() }} as fault,
        landed.file_name,
        landed.line_number,
        landed.landed_at
    from {{ source }} as landed
    {{ new_rows(source) }}
{%- endmacro %}


{# Why a loaded row is no event or record; an engine may have reasons of its own. #}
{% macro fault_here() -%}
    {{ return(adapter.dispatch('fault_here', 'delivery')()) }}
{%- endmacro %}

{% macro default__fault_here() -%}
    landed.fault
{%- endmacro %}

{# PostgreSQL's text has no NUL, and taking a field with one from JSON is an error. #}
{% macro postgres__fault_here() -%}
    coalesce(landed.fault, case when position('\u0000' in landed.payload) > 0 then 'a text holds the character NUL' end)
{%- endmacro %}


{#
    The rows of files, and versions of files, that the model has not read: by name, as a file may be loaded while a build
    is running. What was loaded before the oldest of them comes as a literal, so that Spark leaves out whole parts, unread.
#}
{% macro new_rows(source) -%}
    {%- if is_incremental() -%}
        {%- set files = 'select distinct file_name, landed_at, true as is_known from ' ~ this -%}
        left join ({{ files }}) as known
            on landed.file_name = known.file_name and landed.landed_at = known.landed_at
        where known.is_known is null and {{ loaded_since_unread(source, files) }}
    {%- elif flags.EMPTY -%}
        where false
    {%- endif -%}
{%- endmacro %}

{% macro loaded_since_unread(source, files) -%}
    {%- if not execute -%}{{ return('true') }}{%- endif -%}
    {%- set oldest = run_query(
        'select cast(min(landed.loaded_at) as ' ~ dbt.type_string() ~ ') from ' ~ source ~ ' as landed left join (' ~ files
        ~ ') as known on landed.file_name = known.file_name and landed.landed_at = known.landed_at'
        ~ ' where known.is_known is null'
    ).columns[0].values()[0] -%}
    {{ return("landed.loaded_at >= timestamp '" ~ oldest ~ "'" if oldest else 'false') }}
{%- endmacro %}


{#
    One row per line of the files: file_name, line_number, line. The CSV reader takes any text, where the JSON reader
    would stop at, or drop, a malformed line. Lines may be 32 MB long. No files: no rows.
#}
{% macro duckdb__file_lines(files, root) -%}
    {%- if files -%}
        select
            file_name,
            line_number - min(line_number) over (partition by file_name) + 1 as line_number,
            line
        from (
            select
                substr(filename, {{ root | length + 2 }}) as file_name,
                row_number() over () as line_number,
                line
            from read_csv(
                [{% for file in files %}{{ quoted([no_glob(root ~ '/' ~ file)]) }}{{ ', ' if not loop.last }}{% endfor %}],
                columns = {'line': 'varchar'}, delim = '\x01', quote = '', escape = '', header = false,
                filename = true, auto_detect = false, strict_mode = false, new_line = '\n',
                max_line_size = 33554432
            )
        )
    {%- else -%}
        select
            cast(null as varchar) as file_name,
            cast(null as bigint) as line_number,
            cast(null as varchar) as line
        where false
    {%- endif -%}
{%- endmacro %}


{# Whether a line is blank; trimming long lines, only to see that they are none, would cost more than reading them. #}
{% macro duckdb__is_blank(line) -%}
    ({{ line }} is null or (strlen({{ line }}) < 9 and trim({{ line }}, chr(9) || chr(13) || ' ') = ''))
{%- endmacro %}


{# ---- JSON: each engine has its own functions. A document is parsed once, into something that fields are taken from. ---- #}

{# A text column of JSON objects as something to take the fields from; NULL where the text is no JSON. #}
{% macro parse_json(column, fields) -%}
    {{ return(adapter.dispatch('parse_json', 'delivery')(column, fields)) }}
{%- endmacro %}

{% macro duckdb__parse_json(column, fields) -%}
    json_transform(
        {{ column }},
        '{ {%- for field in fields %}"{{ field }}": "VARCHAR"{{ ', ' if not loop.last }}{% endfor -%} }'
    )
{%- endmacro %}

{% macro postgres__parse_json(column, fields) -%}
    cast({{ column }} as json)
{%- endmacro %}

{% macro spark__parse_json(column, fields) -%}
    from_json({{ column }}, '{% for field in fields %}`{{ field }}` string{{ ', ' if not loop.last }}{% endfor %}')
{%- endmacro %}


{# One field of a parsed document, as text: text as it is, numbers and truth in JSON's spelling, the rest as JSON. #}
{% macro json_field(document, field) -%}
    {{ return(adapter.dispatch('json_field', 'delivery')(document, field)) }}
{%- endmacro %}

{% macro duckdb__json_field(document, field) -%}
    {{ document }}."{{ field }}"
{%- endmacro %}

{# Lists and objects without the blanks between their parts, as the other engines write them; text keeps its own. #}
{% macro postgres__json_field(document, field) -%}
    case
        when json_typeof({{ document }} -> '{{ field }}') in ('object', 'array')
            then regexp_replace({{ document }} ->> '{{ field }}', '("(?:[^"\\]|\\.)*")|\s+', '\1', 'g')
        else {{ document }} ->> '{{ field }}'
    end
{%- endmacro %}

{% macro spark__json_field(document, field) -%}
    {{ document }}.`{{ field }}`
{%- endmacro %}


{# Text that is one value or a JSON list of values: the values joined by a pipe. #}
{% macro piped(text) -%}
    {{ return(adapter.dispatch('piped', 'delivery')(text)) }}
{%- endmacro %}

{% macro duckdb__piped(text) -%}
    case
        when {{ text }} like '[%' and json_valid({{ text }})
            then array_to_string(from_json({{ text }}, '["VARCHAR"]'), '|')
        else {{ text }}
    end
{%- endmacro %}

{% macro postgres__piped(text) -%}
    case
        when {{ text }} like '[%' and {{ postgres__is_json(text) }} then (
            select string_agg(element, '|' order by position)
            from json_array_elements_text(cast({{ text }} as json)) with ordinality as list (element, position)
        )
        else {{ text }}
    end
{%- endmacro %}

{% macro spark__piped(text) -%}
    case
        when {{ text }} like '[%' then coalesce(array_join(from_json({{ text }}, 'array<string>'), '|'), {{ text }})
        else {{ text }}
    end
{%- endmacro %}


{#
    A JSON list taken apart: the columns named, element (text: a string as it is, anything else as JSON) and position
    (from 1), one row an element. Text that is no list has no rows.
#}
{% macro json_list_rows(relation, columns, list) -%}
    {{ return(adapter.dispatch('json_list_rows', 'delivery')(relation, columns, list)) }}
{%- endmacro %}

{% macro duckdb__json_list_rows(relation, columns, list) -%}
    select
        {{ columns | join(', ') }},
        unnest(elements) as element,
        unnest(range(1, len(elements) + 1)) as position
    from (
        select
            {{ columns | join(', ') }},
            from_json(case when {{ list }} like '[%' and json_valid({{ list }}) then {{ list }} end, '["VARCHAR"]')
                as elements
        from {{ relation }}
    )
{%- endmacro %}

{% macro postgres__json_list_rows(relation, columns, list) -%}
    select
        {{ columns | join(', ') }},
        listed.element,
        listed.position
    from {{ relation }}
    cross join lateral json_array_elements_text(
        case when {{ list }} like '[%' and {{ postgres__is_json(list) }} then cast({{ list }} as json) else '[]' end
    ) with ordinality as listed (element, position)
{%- endmacro %}

{% macro spark__json_list_rows(relation, columns, list) -%}
    select
        {{ columns | join(', ') }},
        listed.element,
        cast(listed.position + 1 as bigint) as position
    from {{ relation }}
    lateral view posexplode(
        from_json(case when {{ list }} like '[%' then {{ list }} end, 'array<string>')
    ) listed as position, element
{%- endmacro %}


{# ---- Text ---- #}

{# Whether a text matches a regular expression, somewhere. Only what all engines read alike: classes, counts, anchors. #}
{% macro matches(text, pattern) -%}
    {{ return(adapter.dispatch('matches', 'delivery')(text, pattern)) }}
{%- endmacro %}

{% macro duckdb__matches(text, pattern) -%}
    regexp_matches({{ text }}, '{{ pattern }}')
{%- endmacro %}

{% macro postgres__matches(text, pattern) -%}
    ({{ text }} ~ '{{ pattern }}')
{%- endmacro %}

{# Java's $ also stands before a last line end; \z does not. #}
{% macro spark__matches(text, pattern) -%}
    ({{ text }} rlike '{{ pattern[:-1] ~ '\\z' if pattern.endswith('$') else pattern }}')
{%- endmacro %}


{# A text without what matches a regular expression, everywhere. #}
{% macro without(text, pattern) -%}
    {{ return(adapter.dispatch('without', 'delivery')(text, pattern)) }}
{%- endmacro %}

{% macro default__without(text, pattern) -%}
    regexp_replace({{ text }}, '{{ pattern }}', '', 'g')
{%- endmacro %}

{% macro spark__without(text, pattern) -%}
    regexp_replace({{ text }}, '{{ pattern }}', '')
{%- endmacro %}


{# The whole quotient of two whole numbers that are not negative. #}
{% macro whole_quotient(dividend, divisor) -%}
    {{ return(adapter.dispatch('whole_quotient', 'delivery')(dividend, divisor)) }}
{%- endmacro %}

{% macro duckdb__whole_quotient(dividend, divisor) -%}
    (({{ dividend }}) // ({{ divisor }}))
{%- endmacro %}

{% macro postgres__whole_quotient(dividend, divisor) -%}
    (({{ dividend }}) / ({{ divisor }}))
{%- endmacro %}

{% macro spark__whole_quotient(dividend, divisor) -%}
    (({{ dividend }}) div ({{ divisor }}))
{%- endmacro %}


{# ---- Casts of untidy text: NULL instead of an error. PostgreSQL has no try_cast, Spark needs its own for times. ---- #}

{% macro try_timestamp(text) -%}
    {{ return(adapter.dispatch('try_timestamp', 'delivery')(text)) }}
{%- endmacro %}

{# By way of a time with zone: a plain cast would drop "+02:00" instead of reckoning with it. #}
{% macro duckdb__try_timestamp(text) -%}
    cast(try_cast({{ text }} as timestamptz) as timestamp)
{%- endmacro %}

{# Every part is checked before the cast: before version 16, PostgreSQL cannot ask whether a cast would succeed. #}
{% macro postgres__try_timestamp(text) -%}
    case
        when
            {{ text }} ~ '^\d{4}-\d\d-\d\d([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?(Z|[+-](0\d|1[0-5])(:?[0-5]\d)?)?)?$'
            then case
                when {{ postgres__is_date('left(' ~ text ~ ', 10)') }}
                    then cast({{ text }} || case
                        when length({{ text }}) = 10 then ' 00:00:00Z'
                        when {{ text }} ~ '(Z|[+-]\d\d(:?\d\d)?)$' then ''
                        else 'Z'
                    end as timestamptz) at time zone 'UTC'
            end
    end
{%- endmacro %}

{# Whether text of the form YYYY-MM-DD is a day of the calendar; never stops. #}
{% macro postgres__is_date(text) -%}
    case
        when substr({{ text }}, 1, 4) >= '0001' and substr({{ text }}, 6, 2) between '01' and '12'
            then substr({{ text }}, 9, 2) between '01' and to_char(
                make_date(cast(substr({{ text }}, 1, 4) as int), cast(substr({{ text }}, 6, 2) as int), 1)
                + interval '1 month - 1 day',
                'DD'
            )
        else false
    end
{%- endmacro %}

{% macro spark__try_timestamp(text) -%}
    case
        when {{ text }} rlike '^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)?)?\z'
            then cast(try_cast({{ text }} as timestamp_ltz) as timestamp_ntz)
    end
{%- endmacro %}


{% macro try_bigint(text) -%}
    {{ return(adapter.dispatch('try_bigint', 'delivery')(text)) }}
{%- endmacro %}

{% macro default__try_bigint(text) -%}
    try_cast({{ text }} as bigint)
{%- endmacro %}

{% macro postgres__try_bigint(text) -%}
    case when {{ text }} ~ '^\s*-?\d{1,18}\s*$' then cast({{ text }} as bigint) end
{%- endmacro %}


{# Seconds since 1970 as text, with or without a fraction, as a time. #}
{% macro try_epoch(text) -%}
    {{ return(adapter.dispatch('try_epoch', 'delivery')(text)) }}
{%- endmacro %}

{% macro duckdb__try_epoch(text) -%}
    case
        when try_cast({{ text }} as double) between 0 and 253402300799
            then make_timestamp(cast(round(cast({{ text }} as double) * 1000000) as bigint))
    end
{%- endmacro %}

{% macro postgres__try_epoch(text) -%}
    case
        when {{ text }} ~ '^\s*\d{1,11}(\.\d{1,6})?\s*$'
            then timestamp 'epoch' + cast({{ text }} as numeric) * interval '1 second'
    end
{%- endmacro %}

{% macro spark__try_epoch(text) -%}
    case
        when try_cast({{ text }} as double) between 0 and 253402300799
            then cast(timestamp_micros(cast(round(cast({{ text }} as double) * 1000000) as bigint)) as timestamp_ntz)
    end
{%- endmacro %}


{# Whole days from one date to another; dbt's own macro is far longer than what each engine needs for dates. #}
{% macro days_between(first, last) -%}
    {{ return(adapter.dispatch('days_between', 'delivery')(first, last)) }}
{%- endmacro %}

{% macro duckdb__days_between(first, last) -%}
    date_diff('day', {{ first }}, {{ last }})
{%- endmacro %}

{% macro postgres__days_between(first, last) -%}
    ({{ last }} - {{ first }})
{%- endmacro %}

{% macro spark__days_between(first, last) -%}
    datediff({{ last }}, {{ first }})
{%- endmacro %}


{# A cast of text that a CASE has checked. DuckDB and Spark may cast before they look, and must not stop then. #}
{% macro checked_cast(text, data_type) -%}
    {{ return(adapter.dispatch('checked_cast', 'delivery')(text, data_type)) }}
{%- endmacro %}

{% macro default__checked_cast(text, data_type) -%}
    try_cast({{ text }} as {{ data_type }})
{%- endmacro %}

{% macro postgres__checked_cast(text, data_type) -%}
    cast({{ text }} as {{ data_type }})
{%- endmacro %}

{% macro spark__checked_cast(text, data_type) -%}
    try_cast({{ text }} as {{ data_type | replace('double precision', 'double') }})
{%- endmacro %}


{# A day as YYYY-MM-DD. #}
{% macro try_date(text) -%}
    {{ return(adapter.dispatch('try_date', 'delivery')(text)) }}
{%- endmacro %}

{% macro default__try_date(text) -%}
    case when {{ matches(text, '^[0-9]{4}-[0-9]{2}-[0-9]{2}$') }} then try_cast({{ text }} as date) end
{%- endmacro %}

{% macro postgres__try_date(text) -%}
    case
        when {{ matches(text, '^[0-9]{4}-[0-9]{2}-[0-9]{2}$') }}
            then case when {{ postgres__is_date(text) }} then cast({{ text }} as date) end
    end
{%- endmacro %}


{# ---- Plans ---- #}

{#
    A condition that is always true, for a costly CTE with several readers: Spark would work it out for each of them anew,
    unless it holds something that is not deterministic. Last in its WHERE: Spark pushes down what stands before it.
#}
{% macro worked_out_once() -%}
    {{ return(adapter.dispatch('worked_out_once', 'delivery')()) }}
{%- endmacro %}

{% macro default__worked_out_once() -%}
    true
{%- endmacro %}

{% macro spark__worked_out_once() -%}
    rand() >= 0
{%- endmacro %}


{# ---- Incremental tables: how whole days, and whole files, are replaced. ---- #}

{# The strategy of models that grow by day. Spark's parquet tables know no delete: they overwrite partitions. #}
{% macro day_strategy() -%}
    {{ return(adapter.dispatch('day_strategy', 'delivery')()) }}
{%- endmacro %}

{% macro default__day_strategy() -%}
    {{ return('replace_days') }}
{%- endmacro %}

{% macro spark__day_strategy() -%}
    {{ return('insert_overwrite') }}
{%- endmacro %}


{# How such a table is cut into parts on storage; only Spark overwrites parts. #}
{% macro day_parts() -%}
    {{ return(adapter.dispatch('day_parts', 'delivery')()) }}
{%- endmacro %}

{% macro default__day_parts() -%}
    {{ return(none) }}
{%- endmacro %}

{% macro spark__day_parts() -%}
    {{ return(['event_day']) }}
{%- endmacro %}


{#
    dbt-spark's statement for insert_overwrite, with one thing before it: days due are dropped, as a day that has no rows
    any more would keep its old ones.
#}
{% macro get_insert_overwrite_sql(source_relation, target_relation, existing_relation) -%}
    {%- set columns = adapter.get_columns_in_relation(target_relation) | map(attribute='quoted') | join(', ') -%}
    {%- set parts = [] -%}
    {%- for day in days_to_rebuild(model.unique_id) -%}
        {%- do parts.append("partition (event_day = date '" ~ day ~ "')") -%}
    {%- endfor -%}
    {%- if parts -%}
        {%- do run_query('alter table ' ~ target_relation ~ ' drop if exists ' ~ parts | join(', ')) -%}
    {%- endif -%}
    insert overwrite table {{ target_relation }} partition (event_day)
    select {{ columns }} from {{ source_relation }}
{%- endmacro %}


{# The strategy of the list of landed files, which is empty where raw data is tables. #}
{% macro list_strategy() -%}
    {{ return(adapter.dispatch('list_strategy', 'delivery')()) }}
{%- endmacro %}

{% macro default__list_strategy() -%}
    {{ return('delete+insert') }}
{%- endmacro %}

{% macro spark__list_strategy() -%}
    {{ return('append') }}
{%- endmacro %}


{# Forgets rows of an audit table by unique_id. Spark's parquet tables know no delete: theirs has one part for each. #}
{% macro forget_days(unique_ids) -%}
    {{ return(adapter.dispatch('forget_days', 'delivery')(unique_ids)) }}
{%- endmacro %}

{% macro default__forget_days(unique_ids) -%}
    delete from {{ audit_table('build_days') }} where unique_id in ({{ quoted(unique_ids) }})
{%- endmacro %}

{% macro spark__forget_days(unique_ids) -%}
    alter table {{ audit_table('build_days') }} drop if exists
    {%- for unique_id in unique_ids %}
    partition (unique_id = '{{ unique_id }}'){{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{#
    A line with each table, in the transaction that replaces it: where commands run beside each other, one that has not
    ended may have replaced what another one built and tested. The other engines have one writer, or no transactions.
#}
{% macro log_built() -%}
    {{ return(adapter.dispatch('log_built', 'delivery')()) }}
{%- endmacro %}

{% macro default__log_built() -%}
{%- endmacro %}

{% macro postgres__log_built() -%}
    {%- if is_audited() -%}
        insert into {{ audit_table('build_log') }} (
            invocation_id, started_at, phase, command, partial, unique_id, resource_type, status, whole_table, ended_at
        )
        values (
            '{{ invocation_id }}', {{ started_at() }}, 'built', '{{ invocation_args_dict.which }}',
            {{ is_partial() | string | lower }}, '{{ model.unique_id }}', '{{ model.resource_type }}', 'built', false,
            clock_timestamp() at time zone 'UTC'
        )
    {%- endif -%}
{%- endmacro %}


{# Drops a table at once, outside of dbt's transactions, which nothing commits in `dbt run-operation`. #}
{% macro drop_grown(relation) -%}
    {{ return(adapter.dispatch('drop_grown', 'delivery')(relation)) }}
{%- endmacro %}

{% macro default__drop_grown(relation) -%}
    {%- do run_query('drop table if exists ' ~ relation) -%}
{%- endmacro %}

{% macro postgres__drop_grown(relation) -%}
    {%- do run_query('drop table if exists ' ~ relation ~ ' cascade; commit') -%}
{%- endmacro %}

{# Takes a command's lines out of an audit table; parquet parts cannot be changed, so Spark writes the table anew. #}
{% macro forget_command(table, its) -%}
    {{ return(adapter.dispatch('forget_command', 'delivery')(table, its)) }}
{%- endmacro %}

{% macro default__forget_command(table, its) -%}
    {%- do run_query('delete from ' ~ table ~ ' where invocation_id = ' ~ its) -%}
{%- endmacro %}

{% macro postgres__forget_command(table, its) -%}
    {%- do run_query('delete from ' ~ table ~ ' where invocation_id = ' ~ its ~ '; commit') -%}
{%- endmacro %}

{% macro spark__forget_command(table, its) -%}
    {%- set kept = api.Relation.create(schema=table.schema, identifier=table.identifier ~ '__kept') -%}
    {%- do run_query('drop table if exists ' ~ kept) -%}
    {%- do run_query('create table ' ~ kept ~ ' as select * from ' ~ table ~ ' where invocation_id <> ' ~ its) -%}
    {%- do run_query('insert overwrite table ' ~ table ~ ' select * from ' ~ kept) -%}
    {%- do run_query('drop table ' ~ kept) -%}
{%- endmacro %}

{% macro parts_of_days() -%}
    {{ return(adapter.dispatch('parts_of_days', 'delivery')()) }}
{%- endmacro %}

{% macro default__parts_of_days() -%}
{%- endmacro %}

{% macro spark__parts_of_days() -%}
    partitioned by (unique_id)
{%- endmacro %}


{# The strategy of models that grow by landed file; a loader's table only gets new rows. #}
{% macro file_strategy() -%}
    {{ return(adapter.dispatch('file_strategy', 'delivery')()) }}
{%- endmacro %}

{% macro duckdb__file_strategy() -%}
    {{ return('replace_files') }}
{%- endmacro %}

{% macro default__file_strategy() -%}
    {{ return('append') }}
{%- endmacro %}


{# Where a row is stored, for a test that tables are stored in the order in which they leave; DuckDB keeps that order. #}
{% macro stored_position() -%}
    {{ return(adapter.dispatch('stored_position', 'delivery')()) }}
{%- endmacro %}

{% macro duckdb__stored_position() -%}
    {{ 'unique_key' if flags.EMPTY else 'rowid' }}
{%- endmacro %}

{# Spark reads parts in any order; the tests that ask are off (reads_files), and are still rendered. #}
{% macro postgres__stored_position() -%}
    ctid
{%- endmacro %}

{% macro spark__stored_position() -%}
    null
{%- endmacro %}


{#
    Seeds on Spark: dbt-spark writes text between quotes as it is, so that an apostrophe ends it, and an empty cell as the
    text None.
#}
{% macro spark__load_csv_rows(model, agate_table) -%}
    {%- set types = model.config.get('column_types', {}) -%}
    {%- set lines = [] -%}
    {%- for row in agate_table.rows -%}
        {%- set cells = [] -%}
        {%- for name in agate_table.column_names -%}
            {%- set data_type = types.get(name, 'string') -%}
            {%- set value = 'null' if row[name] is none else quoted([row[name]]) -%}
            {%- do cells.append('cast(' ~ value ~ ' as ' ~ data_type ~ ')') -%}
        {%- endfor -%}
        {%- do lines.append('(' ~ cells | join(', ') ~ ')') -%}
    {%- endfor -%}
    {%- set statement = 'insert into ' ~ this ~ ' values ' ~ lines | join(', ') -%}
    {%- do adapter.add_query(statement, abridge_sql_log=True) if lines -%}
    {{ return(statement) }}
{%- endmacro %}


{# dbt-spark adds days by way of seconds since 1970, which times without a zone do not have: NULL came out. #}
{% macro spark__dateadd(datepart, interval, from_date_or_timestamp) -%}
    ({{ from_date_or_timestamp }} + cast({{ interval }} as int) * interval '1' {{ datepart }})
{%- endmacro %}
