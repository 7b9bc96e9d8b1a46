{# Tables: how rows and days are replaced, stored and worked out. #}

{# Deletes whole days, given as a query. Spark's parquet tables know no delete: their parts are dropped. #}
{% macro delete_days(relation, days) -%}
    {{ return(adapter.dispatch('delete_days', 'delivery')(relation, days)) }}
{%- endmacro %}

{% macro default__delete_days(relation, days) -%}
    delete from {{ relation }} where event_day in ({{ days }})
{%- endmacro %}

{% macro spark__delete_days(relation, days) -%}
    {%- set parts = [] -%}
    {%- for day in run_query(days).columns[0].values() -%}
        {%- do parts.append("partition (event_day = date '" ~ day ~ "')") -%}
    {%- endfor -%}
    {{ 'alter table ' ~ relation ~ ' drop if exists ' ~ parts | join(', ') if parts }}
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
