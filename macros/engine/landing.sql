{# Raw data: DuckDB reads files in the landing folder, the others read tables that a loader fills. #}

{#
    One row per file in the landing folder: file_name below it, file_size, modified_at. Files that a loader is still
    writing are left out: hidden ones, *.tmp and *.part. No rows where sources are tables.
#}
{% macro landing_files() -%}
    {{ return(adapter.dispatch('landing_files', 'delivery')()) }}
{%- endmacro %}

{% macro duckdb__landing_files() -%}
    select
        folder || '/' || file.file_name as file_name,
        file.file_size as file_size,
        file.modified_at as modified_at
    from (
        select
            folder,
            unnest(landed_files({{ dbt_delivery.quoted([landing_dir()]) }} || '/' || folder)) as file
        from unnest([{{ dbt_delivery.quoted(providers() + entities().keys() | list) }}]) as folders (folder)
    )
    where not regexp_matches(file.file_name, '(^|/)\.[^/]*$|\.(tmp|part)$')
{%- endmacro %}

{% macro default__landing_files() -%}
    select
        cast(null as {{ dbt.type_string() }}) as file_name,
        cast(null as bigint) as file_size,
        cast(null as timestamp) as modified_at
    where false
{%- endmacro %}


{# What `delivery load` has loaded, where it has. #}
{% macro postgres__landing_files() -%}
    {%- if has_notes() -%}
        select
            file_name,
            file_size,
            modified_at
        from landing.files
    {%- else -%}
        {{ default__landing_files() }}
    {%- endif -%}
{%- endmacro %}

{% macro has_notes() -%}
    {{ return(execute and adapter.get_relation(database=target.database, schema='landing', identifier='files')) }}
{%- endmacro %}


{# Why a file cannot be read as it is: a function of delivery/warehouse/landing.py. NULL where sources are tables. #}
{% macro file_fault(file_name) -%}
    {{ return(adapter.dispatch('file_fault', 'delivery')(file_name)) }}
{%- endmacro %}

{% macro duckdb__file_fault(file_name) -%}
    file_fault({{ dbt_delivery.quoted([landing_dir()]) }} || '/' || {{ file_name }})
{%- endmacro %}

{% macro default__file_fault(file_name) -%}
    cast(null as {{ dbt.type_string() }})
{%- endmacro %}


{# Whether a file that was seen is still there: one that is gone is as one that is empty. #}
{% macro is_there(file_name) -%}
    {{ return(adapter.dispatch('is_there', 'delivery')(file_name)) }}
{%- endmacro %}

{% macro duckdb__is_there(file_name) -%}
    file_exists({{ dbt_delivery.quoted([landing_dir()]) }} || '/' || {{ file_name }})
{%- endmacro %}

{% macro default__is_there(file_name) -%}
    true
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


{# Stops before anything is built, or on record, when the landing folder holds nothing to read. #}
{% macro duckdb__check_first() -%}
    {%- if execute and 'model.delivery.base_landing__files' in selected_resources -%}
        {%- set query = 'select file_name from (' ~ landing_files() ~ ') as files where ' ~ is_read('file_name') -%}
        {%- set found = run_query(query).columns[0].values() -%}
        {%- for folders in [providers(), ['platform']] -%}
            {%- set read = [] -%}
            {%- for folder in folders -%}
                {%- do read.extend(found | select('ge', folder ~ '/') | select('lt', folder ~ '0') | list) -%}
            {%- endfor -%}
            {%- if not read -%}
                {%- do exceptions.raise_compiler_error(
                    "No raw data: there is no file to read in '" ~ landing_dir() ~ '/'
                    ~ folders | join("' or '" ~ landing_dir() ~ '/')
                    ~ "'. Set LANDING_DIR to the folder that the loaders write to."
                ) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}

{#
    Before version 16, PostgreSQL cannot ask whether text is JSON without stopping when it is not: functions that catch the
    error, made anew by every command. What catches errors begins a subtransaction, which no parallel worker may.
#}
{% macro postgres__check_first() -%}
    {%- if execute -%}
        create or replace function {{ target.schema }}.is_json(candidate text) returns boolean
        language plpgsql immutable parallel unsafe as $$
        begin
            if candidate ~ '\\u(0000|[dD][89a-fA-F])' then
                perform cast(candidate as jsonb);
            else
                perform cast(candidate as json);
            end if;
            return candidate is not null;
        exception when others then
            return false;
        end $$;
        create or replace function {{ target.schema }}.names_twice(value json) returns boolean
        language plpgsql immutable strict parallel safe as $$
        begin
            return case json_typeof(value)
                when 'object' then (
                    select
                        count(*) > count(distinct name)
                        or coalesce(bool_or(
                            case when json_typeof(part) in ('object', 'array') then {{ target.schema }}.names_twice(part) end
                        ), false)
                    from json_each(value) as parts (name, part)
                )
                when 'array' then (
                    select coalesce(bool_or({{ target.schema }}.names_twice(part)), false)
                    from json_array_elements(value) as parts (part)
                )
                else false
            end;
        end $$;
        create or replace function {{ target.schema }}.json_fault(candidate text, otherwise text) returns text
        language plpgsql immutable parallel unsafe as $$
        declare
            parsed json;
        begin
            parsed := cast(candidate as json);
            return case
                when candidate ~ '(^|[^\\])(\\\\)*\\u0000' then 'a text holds the character NUL'
                when json_typeof(parsed) is distinct from 'object' then otherwise
                when not {{ target.schema }}.is_json(candidate) then 'a text holds half a character'
                when {{ target.schema }}.names_twice(parsed) then 'a name comes twice in one object'
            end;
        exception when others then
            return 'not JSON';
        end $$;
        create or replace function {{ target.schema }}.json_quoted(value text) returns text
        language plpgsql immutable strict parallel safe as $$
        declare
            written text := cast(to_json(value) as text);
            sign text;
        begin
            if position('\u00' in written) > 0 then
                written := replace(written, '\\', chr(1));
                foreach sign in array array['0b', '0e', '0f', '1a', '1b', '1c', '1d', '1e', '1f'] loop
                    written := replace(written, '\u00' || sign, '\u00' || upper(sign));
                end loop;
                written := replace(written, chr(1), '\\');
            end if;
            return written;
        end $$;
        create or replace function {{ target.schema }}.json_text(value json) returns text
        language plpgsql immutable strict parallel safe as $$
        declare
            kind constant text := json_typeof(value);
            written text := value #>> '{}';
        begin
            if kind in ('string', 'boolean', 'null') then
                return written;
            elsif kind = 'number' then
                if written !~ '^-?\d{1,17}([.]\d{1,17})?([eE][-+]?\d{1,2})?$' or written !~ '[.eE]' then
                    return written;
                end if;
                written := cast(cast(written as double precision) as text);
                if position('e' in written) > 0 and written !~ 'e[+]15$' then
                    return written;
                end if;
                if written = '-0' then
                    return '-0.0';
                end if;
                written := trim_scale(cast(written as numeric));
                return written || case when position('.' in written) = 0 then '.0' else '' end;
            elsif written !~ '\\[u/]|\d[eE][-+\d]|[.]\d+0[]},\s]' then
                return regexp_replace(written, '("(?:[^"\\]|\\.)*")|\s+', '\1', 'g');
            elsif kind = 'array' then
                return '[' || coalesce((
                    select string_agg({{ target.schema }}.json_written(element), ',' order by position)
                    from json_array_elements(value) with ordinality as parts (element, position)
                ), '') || ']';
            end if;
            return '{{ "{" }}' || coalesce((
                select string_agg({{ target.schema }}.json_quoted(name) || ':' || {{ target.schema }}.json_written(part), ',' order by position)
                from json_each(value) with ordinality as parts (name, part, position)
            ), '') || '}';
        end $$;
        create or replace function {{ target.schema }}.json_written(value json) returns text
        language sql immutable strict parallel safe as $$
            select case
                when json_typeof(value) = 'string' then {{ target.schema }}.json_quoted(value #>> '{}')
                else coalesce({{ target.schema }}.json_text(value), 'null')
            end
        $$;
        create or replace function {{ target.schema }}.lowered(candidate text) returns text
        language plpgsql immutable strict parallel safe as $$
        begin
            return case
                when octet_length(candidate) = length(candidate) then lower(candidate)
                else lower(translate(candidate, '{{ "\u0130\u03a3" }}', '{{ "i\u03c3" }}') collate "und-x-icu")
            end;
        end $$;
        create or replace function {{ target.schema }}.piped(candidate text) returns text
        language plpgsql immutable strict parallel unsafe as $$
        begin
            return case
                when candidate like '[%' then (
                    select string_agg({{ target.schema }}.json_text(element), '|' order by position)
                    from json_array_elements(cast(candidate as json)) with ordinality as list (element, position)
                )
                else candidate
            end;
        exception when others then
            return candidate;
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
{% macro spark__check_first() -%}
    {%- if execute and invocation_args_dict.which in ['build', 'run', 'test', 'retry', 'compile', 'freshness'] -%}
        {%- for source in graph.sources.values() if source.package_name == project_name -%}
            {%- do run_query('create schema if not exists ' ~ source.schema) -%}
            {%- do run_query(
                'create table if not exists ' ~ source.schema ~ '.' ~ source.identifier ~ ' ('
                ~ ('received_at timestamp, ' if source.name == 'events' else '')
                ~ 'payload string, fault string, file_name string, line_number bigint, landed_at timestamp, '
                ~ "loaded_at timestamp) using parquet location '" ~ raw_dir() ~ '/' ~ source.source_name ~ '/'
                ~ source.name ~ "'"
            ) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}

{# A loader of Databricks' own fills raw tables there: nothing to name. #}
{% macro databricks__check_first() -%}
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
    One row per event of a provider's posts, arrays taken apart: received_at, payload, fault, file_name, line_number,
    landed_at (when a loader's table got it). fault says why a line is no event; payload is then the line as it is, but for
    NUL, which not every engine has. What is wrong with a text of one event is that event's fault alone: a post holds many
    people's. files: names below root.
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
            string_agg(line, chr(10) order by line_number) as line,
            max(fault) as fault
        from ({{ duckdb__file_lines(posts, root) }})
        group by file_name

    ),

    looked_at as (

        select
            *,
            coalesce(fault, {{ duckdb__shape_fault('line') }}, {{ duckdb__names_fault("json_keys(readable, ['$', '$.payload'])") }}) as line_fault
        from (select *, {{ duckdb__readable('line') }} as readable from lines)
        where fault is not null or not {{ duckdb__is_blank('line') }}

    ),

    posts_looked_at as (

        select
            *,
            coalesce(fault, {{ duckdb__shape_fault('line') }}, {{ duckdb__names_fault('[json_keys(readable)]') }}) as line_fault
        from (select *, {{ duckdb__readable('line') }} as readable from posts)

    ),

    read as (

        select
            file_name,
            line_number,
            line,
            line_fault,
            case when line_fault is null and json_valid(readable) then
                json_transform(readable, '{"received_at": "VARCHAR", "payload": "JSON"}')
            end as document
        from looked_at

        union all

        select
            file_name,
            1 as line_number,
            line,
            line_fault,
            {
                'received_at': regexp_extract(file_name, '/(\d{8}T\d{6}Z)[^/]*$', 1),
                'payload': case when line_fault is null and json_valid(readable) then cast(readable as json) end
            } as document
        from posts_looked_at

    ),

    timed as (

        select
            file_name,
            line_number,
            line,
            line_fault,
            document.payload as payload,
            coalesce(
                {{ try_timestamp('document.received_at') }},
                try_strptime(document.received_at, '%Y%m%dT%H%M%SZ'),
                case
                    when document.received_at is null
                        then {{ try_timestamp("regexp_extract(line, '\"received_at\"\\s*:\\s*\"([^\"]*)\"', 1)") }}
                end
            ) as received_at
        from read

    ),

    judged as (

        select
            *,
            case
                when line_fault is not null then line_fault
                when payload is null then 'not {"received_at": ..., "payload": ...}'
                when left(payload, 1) not in ('{', '[') then 'the payload is no object or array'
                when received_at is null then 'received_at is no time'
            end as fault
        from timed

    ),

    elements as (

        select
            * exclude (payload, line),
            case when not is_document then replace(line, chr(0), '{{ "\ufffd" }}') end as faulty_line,
            unnest(
                case when is_document and is_list then json_extract(payload, '$[*]') else [payload] end
            ) as element
        from (select *, {{ says_all_else() }} as is_document, left(payload, 1) = '[' as is_list from judged)

    ),

    events as (

        select
            *,
            case when is_odd then halves_unmarked(element) else cast(element as varchar) end as event
        from (select *, contains(element, '\u0000') as is_odd from elements)

    )

    select
        received_at,
        coalesce(faulty_line, event) as payload,
        coalesce(
            case when not is_document then fault end,
            case when left(event, 1) <> '{' then 'the event is no object' end,
            case when is_odd then json_fault(event) end,
            case
                when is_list or {{ duckdb__is_nested('event') }} then {{ duckdb__names_fault(duckdb__names_of('event')) }}
            end,
            fault
        ) as fault,
        file_name,
        line_number,
        cast(null as timestamp) as landed_at
    from events
{%- endmacro %}

{% macro default__landed_events(source, files, root) -%}
    select
        landed.received_at,
        landed.payload,
        landed.fault,
        landed.file_name,
        landed.line_number,
        landed.landed_at
    from {{ source }} as landed
    {{ new_rows(source) }}
{%- endmacro %}

{% macro postgres__landed_events(source, files, root) -%}
    {{ rows_of_table(source, files, 'the event is no object', ['received_at']) }}
{%- endmacro %}


{# One row per line of a platform entity: payload, fault, file_name, line_number. #}
{% macro landed_rows(source, files, root) -%}
    {{ return(adapter.dispatch('landed_rows', 'delivery')(source, files, root)) }}
{%- endmacro %}

{% macro duckdb__landed_rows(source, files, root) -%}
    select
        line as payload,
        coalesce(
            fault,
            {{ duckdb__json_fault('line') }},
            case when not json_valid(line) or json_type(line) <> 'OBJECT' then 'not one JSON object' end,
            {{ duckdb__names_fault(duckdb__names_of('line')) }}
        ) as fault,
        file_name,
        line_number,
        cast(null as timestamp) as landed_at
    from ({{ duckdb__file_lines(files, root) }})
    where fault is not null or not {{ duckdb__is_blank('line') }}
{%- endmacro %}

{% macro default__landed_rows(source, files, root) -%}
    select
        landed.payload,
        landed.fault,
        landed.file_name,
        landed.line_number,
        landed.landed_at
    from {{ source }} as landed
    {{ new_rows(source) }}
{%- endmacro %}

{% macro postgres__landed_rows(source, files, root) -%}
    {{ rows_of_table(source, files, 'not one JSON object') }}
{%- endmacro %}


{#
    Rows that the model has not read, of a raw table that one loader fills. `delivery load` has judged the lines, and notes
    which files it loaded: the model reads whole files, as where raw data is files. Of any other loader only payload and
    loaded_at are there for certain: rows of one loaded_at are a load, and one that has more rows than were read is read
    again. otherwise: what is said of a payload that is no object.
#}
{% macro rows_of_table(source, files, otherwise, first=[]) -%}
    {%- set there = columns_of_table(source) -%}
    {%- set noted = is_noted(model.sources[0]) if model.sources else false -%}
    {%- set kinds = {'fault': 'text', 'file_name': 'text', 'line_number': 'bigint'} -%}
    {%- set said = {} -%}
    {%- for column, kind in kinds.items() -%}
        {%- do said.update({column: 'cast(' ~ ('landed.' ~ column if column in there else 'null') ~ ' as ' ~ kind ~ ')'}) -%}
    {%- endfor -%}
    {%- set payload = 'cast(landed.payload as text)' -%}
    select
        {%- for column in first %}
        {{ time_of_table(column, there) }} as {{ column }},
        {%- endfor %}
        {{ payload }} as payload,
        {% if noted -%}
        {{ said.fault }}
        {%- else -%}
        coalesce(
            {{ said.fault }}, {{ target.schema }}.json_fault({{ payload }}, '{{ otherwise }}')
            {%- for column in first if there.get(column) in ('text', 'character varying') -%}
                , case when landed.{{ column }} is not null and {{ time_of_table(column, there) }} is null then '{{ column }} is no time' end
            {%- endfor %}
        )
        {%- endif %} as fault,
        {{ said.file_name }} as file_name,
        {{ said.line_number }} as line_number,
        {{ time_of_table('landed_at' if noted else 'loaded_at', there) }} as landed_at
    from {{ source }} as landed
    {%- if flags.EMPTY %}
    where false
    {%- elif is_incremental() and noted %}
    where {{ 'landed.file_name in (' ~ dbt_delivery.quoted(files) ~ ')' if files else 'false' }}
    {%- elif is_incremental() %}
    where landed.loaded_at = any(array({{ unread_loads(source, there) }}))
        {{ 'or ' ~ is_timeless('landed.loaded_at') if has_unread_without_time(source) }}
    {%- endif -%}
{%- endmacro %}

{# Of a raw table, whatever kind of relation it is, the columns and their types, by name. #}
{% macro columns_of_table(source) -%}
    {%- set found = {} -%}
    {%- if execute -%}
        {%- set query -%}
            select
                columns.attname,
                format_type(case when types.typtype = 'd' then types.typbasetype else types.oid end, null)
            from pg_attribute as columns
            inner join pg_type as types on columns.atttypid = types.oid
            where columns.attrelid = to_regclass('{{ source.render() }}') and columns.attnum > 0
        {%- endset -%}
        {%- for row in run_query(query).rows -%}
            {%- do found.update({row[0]: row[1]}) -%}
        {%- endfor -%}
        {%- for column in ['payload', 'loaded_at'] if column not in found -%}
            {%- do exceptions.raise_compiler_error(
                ('There is no raw table ' if not found else 'There is no column ' ~ column ~ ' in the raw table ')
                ~ source.schema ~ '.' ~ source.identifier
                ~ '. `delivery load` makes it; for another loader docs/postgres.md says which columns it must have.'
            ) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(found) }}
{%- endmacro %}

{# A time of a raw table, in UTC without a zone, as another loader may keep it in another type. #}
{% macro time_of_table(column, there) -%}
    {%- set type = there.get(column, 'nothing') -%}
    {%- if type == 'nothing' -%}
        cast(null as timestamp)
    {%- elif type == 'timestamp with time zone' -%}
        landed.{{ column }} at time zone 'UTC'
    {%- elif type in ('timestamp without time zone', 'date') -%}
        cast(landed.{{ column }} as timestamp)
    {%- elif type in ('text', 'character varying') and column != 'loaded_at' -%}
        {{ try_timestamp('landed.' ~ column) }}
    {%- else -%}
        {%- do exceptions.raise_compiler_error(
            'The column ' ~ column ~ ' of a raw table is of type ' ~ type ~ '. Make it a timestamp, in UTC, or put a view'
            ~ ' with one in its place: ' ~ model.name ~ ' reads it.'
        ) -%}
    {%- endif -%}
{%- endmacro %}

{# Whether `delivery load` fills a raw table, given as system and entity. #}
{% macro is_noted(table) -%}
    {%- if not has_notes() -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set system, entity = table -%}
    {%- set folder = system if entity == 'events' else system ~ '/' ~ entity -%}
    {{ return(run_query("select 1 from landing.files where file_name like '" ~ folder ~ "/%' limit 1").rows | length > 0) }}
{%- endmacro %}

{# Loads of which not all rows were read. #}
{% macro unread_loads(source, there) -%}
    {%- set zone = " at time zone 'UTC'" if there.get('loaded_at') == 'timestamp with time zone' -%}
    select loads.loaded_at
    from (
        select
            loaded_at,
            count(*) as row_count
        from {{ source }}
        where loaded_at >= {{ loads_since() }}{{ zone }} and not {{ is_timeless('loaded_at') }}
        group by loaded_at
    ) as loads
    left join (
        select
            landed_at,
            count(*) as row_count
        from {{ this }}
        where landed_at >= {{ loads_since() }}
        group by landed_at
    ) as known on loads.loaded_at{{ zone }} = known.landed_at
    where known.row_count is distinct from loads.row_count
{%- endmacro %}

{#
    From when on loads are looked at: a day before the newest that was read, as a transaction may stay open for a while, or
    the first day to rebuild. A load of the future, by a clock that is wrong, is not the newest: all that follows would be older.
#}
{% macro loads_since() -%}
    (
        select
            least(
                coalesce(max(landed_at) - interval '1 day', timestamp '-infinity')
                {%- if var('rebuild_from') %}, timestamp '{{ var("rebuild_from") }}'{% endif %}
            )
        from {{ this }}
        where landed_at <= {{ dbt_delivery.started_at() }}
    )
{%- endmacro %}

{# Whether a row says of no time that it was loaded then. #}
{% macro is_timeless(loaded_at) -%}
    ({{ loaded_at }} is null or {{ loaded_at }} < '1970-01-01' or {{ loaded_at }} = 'infinity')
{%- endmacro %}

{# Whether rows without a time are more, or fewer, than those that were read. #}
{% macro has_unread_without_time(source) -%}
    {%- set query -%}
        select (select count(*) from {{ source }} where {{ is_timeless('loaded_at') }})
            <> (select count(*) from {{ this }} where {{ is_timeless('landed_at') }})
    {%- endset -%}
    {{ return(run_query(query).columns[0].values()[0] if execute else false) }}
{%- endmacro %}


{# Whether raw tables can be held against what was read of them: DuckDB reads files, Spark's parts only grow. #}
{% macro has_raw_tables_to_count() -%}
    {{ return(adapter.dispatch('has_raw_tables_to_count', 'delivery')()) }}
{%- endmacro %}

{% macro postgres__has_raw_tables_to_count() -%}
    {{ return(true) }}
{%- endmacro %}

{% macro default__has_raw_tables_to_count() -%}
    {{ return(false) }}
{%- endmacro %}


{#
    The files and loads of which a raw table has more rows than its base model. Counted are the eight days before the newest
    load, with test_all_days all. What the next build looks at again is left out: loads of the last of these days, and what
    `delivery load` wrote since the model was built.
#}
{% macro rows_not_read(base, raw) -%}
    {%- set there = columns_of_table(raw) -%}
    {%- set noted = is_noted((raw.schema, raw.identifier)) -%}
    {%- set name = 'landed.file_name' if 'file_name' in there and noted else 'cast(null as text)' -%}
    with newest as (

        {% if noted -%}
        select max(loaded_at) - interval '1 hour' as loaded_at from {{ base }}
        {%- else -%}
        select max(landed_at) - interval '1 day' as loaded_at from {{ base }}
        where landed_at <= {{ dbt_delivery.started_at() }}
        {%- endif %}

    ),

    noted as (

        select file_name from {{ 'landing.files' if noted else '(select cast(null as text) as file_name where false) as none' }}

    ),

    landed as (

        select
            case when noted.file_name is null then landed.loaded_at end as loaded_at,
            noted.file_name,
            count(*) as row_count
        from (
            select
                {{ time_of_table('loaded_at', there) }} as loaded_at,
                {{ name }} as file_name
            from {{ raw }} as landed
        ) as landed
        cross join newest
        left join noted on landed.file_name = noted.file_name
        where landed.loaded_at < newest.loaded_at
        {%- if not (var('test_all_days') or flags.FULL_REFRESH) %}
            and landed.loaded_at >= newest.loaded_at - interval '7 days'
        {%- endif %}
        group by 1, 2

    ),

    read_files as (

        select
            file_name,
            count(*) as row_count
        from {{ base }}
        where file_name = any(array(select file_name from landed))
        group by file_name

    ),

    read_loads as (

        select
            landed_at as loaded_at,
            count(*) as row_count
        from {{ base }}
        where landed_at = any(array(select loaded_at from landed))
        group by landed_at

    )

    select
        landed.file_name,
        landed.loaded_at,
        landed.row_count as landed_rows,
        coalesce(read_files.row_count, read_loads.row_count, 0) as rows_read
    from landed
    left join read_files on landed.file_name = read_files.file_name
    left join read_loads on landed.loaded_at = read_loads.loaded_at
    where landed.row_count > coalesce(read_files.row_count, read_loads.row_count, 0)
{%- endmacro %}


{# A condition on the rows of a base model: those of files, or loads, that are read again. #}
{% macro is_read_again(again) -%}
    {{ return(adapter.dispatch('is_read_again', 'delivery')(again)) }}
{%- endmacro %}

{% macro default__is_read_again(again) -%}
    file_name in ({{ files_read_again() }})
{%- endmacro %}

{% macro postgres__is_read_again(again) -%}
    {%- if is_noted(model.sources[0]) -%}
        file_name = any(array({{ files_read_again() }}))
    {%- else -%}
        landed_at = any(array(select landed_at from {{ again }}))
        or ({{ is_timeless('landed_at') }} and exists (select 1 from {{ again }} where {{ is_timeless('landed_at') }}))
    {%- endif -%}
{%- endmacro %}

{% macro files_read_again() -%}
    select file_name from {{ ref('base_landing__files') }} where loaded_at > {{ dbt_delivery.last_success(model.unique_id) }}
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
    One row per line of the files: file_name, line_number, line, fault. The CSV reader takes any text, where the JSON reader
    would stop at, or drop, a malformed line. Of a file that it would stop at it reads a mended copy, so that such a file is
    not held in memory either. A folder called line=5 is a name, no column. No files: no rows.
#}
{% macro duckdb__file_lines(files, root) -%}
    {%- set damaged = damaged_files(files, root) -%}
    {%- set whole = files | reject('in', damaged) | list -%}
    {%- if not files -%}
        select
            cast(null as varchar) as file_name,
            cast(null as bigint) as line_number,
            cast(null as varchar) as line,
            cast(null as varchar) as fault
        where false
    {%- endif -%}
    {%- if whole -%}
        select
            substr(filename, {{ root | length + 2 }}) as file_name,
            line_number,
            line,
            cast(null as varchar) as fault
        from ({{ duckdb__numbered(duckdb__read_lines(paths_of(whole, root), "'line': 'varchar'", 'filename = true, '), 'filename') }})
    {%- endif -%}
    {%- if damaged -%}
        {{ ' union all ' if whole }}
        {%- set columns = "'file_number': 'integer', 'fault': 'varchar', 'line': 'varchar'" -%}
        {%- set copy = duckdb__read_lines([mended_copy(paths_of(damaged, root))], columns, 'max_line_size = 33554496, ') %}
        select
            ([{{ dbt_delivery.quoted(damaged) }}])[file_number] as file_name,
            line_number,
            coalesce(line, '') as line,
            fault
        from ({{ duckdb__numbered(copy, 'file_number') }})
    {%- endif -%}
{%- endmacro %}


{#
    Lines as the reader has them, one file after the other, with their numbers within the file. These windows let lines
    pass; one for each file would hold all of them.
#}
{% macro duckdb__numbered(lines, file) -%}
    select
        *,
        number - max(first_number) over (rows between unbounded preceding and current row) + 1 as line_number
    from (
        select
            *,
            row_number() over () as number,
            case when lag({{ file }}) over () is distinct from {{ file }} then row_number() over () end as first_number
        from {{ lines }}
    )
{%- endmacro %}


{#
    DuckDB's reader of lines, of text in columns that \x01 ends. Its buffers are of 16 of the longest line: 32 MB, of a
    mended copy half a gigabyte. Told of two ends of lines it gives up on some files, and leaves out lines of others, most of
    all in parallel (decision 0075).
#}
{% macro duckdb__read_lines(paths, columns, options='') -%}
    read_csv(
        [{% for path in paths %}{{ dbt_delivery.quoted([no_glob(path)]) }}{{ ', ' if not loop.last }}{% endfor %}],
        columns = { {{- columns -}} }, delim = e'\x01', quote = '', escape = '', header = false, {{ options -}}
        hive_partitioning = false, auto_detect = false, strict_mode = false, new_line = '\n', parallel = false
    )
{%- endmacro %}


{# Whether a line may have a comma before an end, nan or inf. Patterns that begin with one sign are found twice as fast. #}
{% macro duckdb__is_lax(line) -%}
    (
        regexp_matches({{ line }}, ',\s*([}\]]|-?(?i:nan|inf))')
        or regexp_matches({{ line }}, ':\s*-?(?i:nan|inf)')
        or regexp_matches({{ line }}, '\[\s*-?(?i:nan|inf)')
    )
{%- endmacro %}


{#
    Why a line that DuckDB reads as JSON is none, or means something else to another reader: looked at closely only
    where it has what could be such a thing. It takes nan and inf for numbers, in any case.
#}
{% macro duckdb__json_fault(line) -%}
    case
        when {{ duckdb__is_lax(line) }} or regexp_matches({{ line }}, '\\u(0000|[dD][89a-fA-F])') then json_fault({{ line }})
    end
{%- endmacro %}


{# The same of a post, but for what is wrong with a text: that is one event's. #}
{% macro duckdb__shape_fault(line) -%}
    case
        when {{ duckdb__is_lax(line) }}
            then json_fault(regexp_replace({{ line }}, '\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2})', '\\t', 'g'))
    end
{%- endmacro %}


{# A line with marks that hold NUL for halves of characters, at which DuckDB would stop. #}
{% macro duckdb__readable(line) -%}
    case when regexp_matches({{ line }}, '\\u[dD][89a-fA-F]') then halves_marked({{ line }}) else {{ line }} end
{%- endmacro %}


{# Whether a JSON object may have others in it: what begins with a space is looked at as if it had. #}
{% macro duckdb__is_nested(text) -%}
    {{ text }} like '_%{{ "{%" }}'
{%- endmacro %}


{# The names in each object of a JSON text, at any depth; without the way down, where there is none, in half the time. #}
{% macro duckdb__names_of(text) -%}
    case
        when {{ duckdb__is_nested(text) }} then json_keys('[' || {{ text }} || ']', '$..*')
        else [json_keys({{ text }})]
    end
{%- endmacro %}


{# That a name comes twice in one object, of which lists of names are given; where the text is no JSON, NULL. #}
{% macro duckdb__names_fault(names) -%}
    case when a_name_comes_twice(cast(to_json(try({{ names }})) as varchar)) then 'a name comes twice in one object' end
{%- endmacro %}


{# Whether a line is blank; trimming long lines, only to see that they are none, would cost more than reading them. #}
{% macro duckdb__is_blank(line) -%}
    ({{ line }} is null or (strlen({{ line }}) < 9 and trim({{ line }}, chr(9) || chr(13) || ' ') = ''))
{%- endmacro %}
