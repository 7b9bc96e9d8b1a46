{# Where raw files lie, and which of them a model has not read yet. #}

{% macro landing_dir() -%}
    {{ return(env_var('LANDING_DIR', 'landing').rstrip('/')) }}
{%- endmacro %}


{# The names of files that are read, as patterns for LIKE: files of lines, and bodies of posts. #}
{% macro landing_patterns() -%}
    {%- set found = [] -%}
    {%- for suffix in ['', '.gz'] -%}
        {%- for provider in providers() -%}
            {%- do found.append(provider ~ '/posts/%.json' ~ suffix) -%}
        {%- endfor -%}
        {%- for lines in ['.ndjson', '.jsonl'] -%}
            {%- for provider in providers() -%}
                {%- do found.append(provider ~ '/%' ~ lines ~ suffix) -%}
            {%- endfor -%}
            {%- for system, names in entities().items() -%}
                {%- for entity in names -%}
                    {%- do found.append(system ~ '/' ~ entity ~ '/%' ~ lines ~ suffix) -%}
                {%- endfor -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{# Whether a file is read, as a condition on its name. #}
{% macro is_read(column) -%}
    (
        {%- for pattern in landing_patterns() %}
        {{ column }} like '{{ pattern }}'{{ ' or' if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}


{# A path in which no character is a wildcard. #}
{% macro no_glob(path) -%}
    {{ return(path | replace('[', '[[]') | replace('*', '[*]') | replace('?', '[?]')) }}
{%- endmacro %}


{# The names in base_landing__files under a folder that the model being built has not read since they last changed. #}
{% macro new_files(folder) -%}
    {%- set landed = ref('base_landing__files') -%}
    {%- if not execute or flags.EMPTY or not load_relation(landed) -%}
        {{ return([]) }}
    {%- endif -%}
    {%- set query -%}
        select file_name
        from {{ landed }}
        where file_name like '{{ folder }}/%' and {{ is_read('file_name') }} and {{ is_there('file_name') }}
        {%- if is_incremental() %}
            and loaded_at > {{ dbt_delivery.last_success(model.unique_id) }}
        {%- endif %}
        order by file_name
    {%- endset -%}
    {{ return(run_query(query).columns[0].values() | list) }}
{%- endmacro %}


{# Of files, those that the reader would stop at. #}
{% macro damaged_files(files, root) -%}
    {%- if not execute or not files -%}
        {{ return([]) }}
    {%- endif -%}
    {%- set query -%}
        select file_name
        from unnest([{{ dbt_delivery.quoted(files) }}]) as files (file_name)
        where file_fault({{ dbt_delivery.quoted([root]) }} || '/' || file_name) is not null
    {%- endset -%}
    {{ return(run_query(query).columns[0].values() | list) }}
{%- endmacro %}


{# Their paths. #}
{% macro paths_of(files, root) -%}
    {%- set paths = [] -%}
    {%- for file in files -%}
        {%- do paths.append(root ~ '/' ~ file) -%}
    {%- endfor -%}
    {{ return(paths) }}
{%- endmacro %}


{# The path of a copy of such files that the reader does not stop at. #}
{% macro mended_copy(paths) -%}
    {{ return(run_query('select mended_copy(' ~ dbt_delivery.quoted([tojson(paths)]) ~ ')').columns[0].values()[0]) }}
{%- endmacro %}


{# Replaces the rows of the files that were read again; a file that is empty now loses its rows. #}
{% macro get_incremental_replace_files_sql(arg_dict) -%}
    {%- set columns = arg_dict['dest_columns'] | map(attribute='quoted') | join(', ') -%}
    delete from {{ arg_dict['target_relation'] }}
    where {{ is_read_again(arg_dict['temp_relation']) }};
    insert into {{ arg_dict['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }}
{%- endmacro %}


{#
    Whether a line says what it is about: if anything is wrong with it, then only when it was received. It is no event, but
    what it says of an address is heard.
#}
{% macro says_all_else(fault='fault') -%}
    ({{ fault }} is null or {{ fault }} in ('received_at is no time', 'received_at cannot be'))
{%- endmacro %}


{#
    When a row was there at the latest, by when its file or load was written and when it was read: a loader's clock may be
    ahead, its table may say no time, and a program that unpacks files may write 1970 or 1980, which none was written in.
#}
{% macro was_there_at() -%}
    coalesce(
        least(case when landed_at >= cast('{{ var('first_day') }}' as timestamp) then landed_at end, loaded_at), loaded_at, landed_at
    )
{%- endmacro %}


{#
    Whether something may have been received at a time: not before the product's first day, nor more than a day (clocks
    differ) after what says so was itself written.
#}
{% macro is_possible_time(received_at, landed_at) -%}
    {{ received_at }} >= cast('{{ var('first_day') }}' as timestamp)
    and {{ received_at }} < {{ dbt.dateadd('day', 1, landed_at) }}
{%- endmacro %}
