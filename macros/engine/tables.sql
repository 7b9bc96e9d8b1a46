{# Tables: how rows and days are replaced, stored and worked out. #}

{#
    Deletes whole days, given as a query. Spark's parquet tables know no delete: their parts are dropped. They are added
    first, as a job that was killed may have left files of a day of which it had not told the catalog yet: these would be
    the next job's.
#}
{% macro delete_days(relation, days) -%}
    {{ return(adapter.dispatch('delete_days', 'delivery')(relation, days)) }}
{%- endmacro %}

{% macro default__delete_days(relation, days) -%}
    delete from {{ relation }} where event_day {{ one_of(days) }}
{%- endmacro %}

{% macro spark__delete_days(relation, days) -%}
    {%- set parts = [] -%}
    {%- for day in run_query(days).columns[0].values() -%}
        {%- do parts.append("partition (event_day = date '" ~ day ~ "')") -%}
    {%- endfor -%}
    {%- if parts -%}
        {%- do run_query('alter table ' ~ relation ~ ' add if not exists ' ~ parts | join(' ')) -%}
        alter table {{ relation }} drop if exists {{ parts | join(', ') }}
    {%- endif -%}
{%- endmacro %}


{# How a table that grows by day is cut into parts on storage; only Spark drops parts. #}
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
    That what stands before it is one of the values that a query gives. PostgreSQL joins with such a query, and its plan may
    read the whole table for it; a list that is worked out first it looks up in the index.
#}
{% macro one_of(query) -%}
    {{ return(adapter.dispatch('one_of', 'delivery')(query)) }}
{%- endmacro %}

{% macro default__one_of(query) -%}
    in ({{ query }})
{%- endmacro %}

{% macro postgres__one_of(query) -%}
    = any(array({{ query }}))
{%- endmacro %}


{#
    Whether days are to be written down, not asked for by a query. DuckDB takes what is written down through joins and unions
    to the rows that it reads; by a query it works out all of history first. Figures: docs/decisions/0037-days-due.md.
#}
{% macro wants_days_written() -%}
    {{ return(adapter.dispatch('wants_days_written', 'delivery')()) }}
{%- endmacro %}

{% macro default__wants_days_written() -%}
    {{ return(false) }}
{%- endmacro %}

{% macro duckdb__wants_days_written() -%}
    {{ return(true) }}
{%- endmacro %}


{#
    How a table that grows by day is found by day; then: columns that a reader asks for beside. Only PostgreSQL has an index
    for it, a B-tree: it keeps a day and client once for all their rows, and reads one client's rows of a day and no others.
    No text that anybody may send: an entry has room for 2,704 bytes, and the server stops at one that is longer.
#}
{% macro day_indexes(then=[]) -%}
    {{ return(adapter.dispatch('day_indexes', 'delivery')(then)) }}
{%- endmacro %}

{% macro default__day_indexes(then) -%}
    {{ return([]) }}
{%- endmacro %}

{% macro postgres__day_indexes(then) -%}
    {{ return([{'columns': ['event_day'] + then}]) }}
{%- endmacro %}


{# How the rows of a base model are found by what a build asks for: a file, a load, what the last command added. #}
{% macro raw_indexes(more=[]) -%}
    {{ return(adapter.dispatch('raw_indexes', 'delivery')(more)) }}
{%- endmacro %}

{% macro default__raw_indexes(more) -%}
    {{ return([]) }}
{%- endmacro %}

{% macro postgres__raw_indexes(more) -%}
    {%- set found = [] -%}
    {%- for column in ['file_name', 'landed_at', 'loaded_at'] + more -%}
        {%- do found.append({'columns': [column]}) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{#
    After a table is built: PostgreSQL's planner knows nothing of its size and values until it is analyzed, which the server
    does by itself a minute later, when what reads the table is already planned.
#}
{% macro analyze_built() -%}
    {{ return(adapter.dispatch('analyze_built', 'delivery')()) }}
{%- endmacro %}

{% macro default__analyze_built() -%}
{%- endmacro %}

{% macro postgres__analyze_built() -%}
    {%- if execute and model.config.materialized != 'view' -%}analyze {{ this }}{%- endif -%}
{%- endmacro %}


{#
    What is said before a table is built or a test asks. PostgreSQL compiles a plan that it takes for costly, and it takes
    whatever reads lists of JSON for that: twenty seconds of compiling for 2,760 rows were seen, and one of work.
#}
{% macro uncompiled() -%}
    {{ return(adapter.dispatch('uncompiled', 'delivery')()) }}
{%- endmacro %}

{% macro default__uncompiled() -%}
{%- endmacro %}

{% macro postgres__uncompiled() -%}
    {%- if model.config.materialized != 'view' -%}set local jit = off{%- endif -%}
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


{# The strategy of models that grow by landed file. Where raw data is tables, and loads have no notes, rows are added. #}
{% macro file_strategy() -%}
    {{ return(adapter.dispatch('file_strategy', 'delivery')()) }}
{%- endmacro %}

{% macro default__file_strategy() -%}
    {{ return('append') }}
{%- endmacro %}

{% macro duckdb__file_strategy() -%}
    {{ return('replace_files') }}
{%- endmacro %}

{% macro postgres__file_strategy() -%}
    {{ return('replace_files') }}
{%- endmacro %}


{# Where a row is stored, for a test that tables are stored in the order in which they leave; DuckDB keeps that order. #}
{% macro stored_position() -%}
    {{ return(adapter.dispatch('stored_position', 'delivery')()) }}
{%- endmacro %}

{% macro duckdb__stored_position() -%}
    {{ 'unique_key' if flags.EMPTY else 'rowid' }}
{%- endmacro %}

{% macro postgres__stored_position() -%}
    ctid
{%- endmacro %}

{# The others read in any order; the tests that ask are off (reads_files), and are still rendered. #}
{% macro default__stored_position() -%}
    null
{%- endmacro %}


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
