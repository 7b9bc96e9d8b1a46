{# What differs between engines. #}

{# Forgets rows of an audit table by unique_id. Spark's parquet tables know no delete: theirs has one part for each. #}
{% macro forget_days(unique_ids) -%}
    {{ return(adapter.dispatch('forget_days', 'dbt_delivery')(unique_ids)) }}
{%- endmacro %}

{% macro default__forget_days(unique_ids) -%}
    delete from {{ dbt_delivery.audit_table('build_days') }} where unique_id in ({{ dbt_delivery.quoted(unique_ids) }})
{%- endmacro %}

{% macro spark__forget_days(unique_ids) -%}
    alter table {{ dbt_delivery.audit_table('build_days') }} drop if exists
    {%- for unique_id in unique_ids %}
    partition (unique_id = '{{ unique_id }}'){{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}


{% macro parts_of_days() -%}
    {{ return(adapter.dispatch('parts_of_days', 'dbt_delivery')()) }}
{%- endmacro %}

{% macro default__parts_of_days() -%}
{%- endmacro %}

{% macro spark__parts_of_days() -%}
    partitioned by (unique_id)
{%- endmacro %}


{#
    A line with each table, in the transaction that replaces it: where commands run beside each other, one that has not
    ended may have replaced what another one built and tested. The other engines have one writer, or no transactions.
#}
{% macro log_built() -%}
    {{ return(adapter.dispatch('log_built', 'dbt_delivery')()) }}
{%- endmacro %}

{% macro default__log_built() -%}
{%- endmacro %}

{% macro postgres__log_built() -%}
    {%- if dbt_delivery.is_audited() -%}
        insert into {{ dbt_delivery.audit_table('build_log') }} (
            invocation_id, started_at, phase, command, partial, unique_id, resource_type, status, whole_table, ended_at
        )
        values (
            '{{ invocation_id }}', {{ dbt_delivery.started_at() }}, 'built', '{{ dbt_delivery.command_given() }}',
            {{ dbt_delivery.is_partial() | string | lower }}, '{{ model.unique_id }}', '{{ model.resource_type }}', 'built', false,
            clock_timestamp() at time zone 'UTC'
        )
    {%- endif -%}
{%- endmacro %}


{# Where log_built has to be a hook of each table, a command that would replace one without it does not begin. #}
{% macro check_post_hooks() -%}
    {{ return(adapter.dispatch('check_post_hooks', 'dbt_delivery')()) }}
{%- endmacro %}

{% macro default__check_post_hooks() -%}
{%- endmacro %}

{% macro postgres__check_post_hooks() -%}
    {%- set without = [] -%}
    {%- for unique_id in selected_resources if unique_id.split('.')[0] in ['model', 'seed', 'snapshot'] -%}
        {%- set config = graph.nodes[unique_id].config if execute else {} -%}
        {%- if execute and config.materialized != 'ephemeral' and 'log_built' not in config.get('post-hook') | string -%}
            {%- do without.append(graph.nodes[unique_id].name) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if without and dbt_delivery.is_audited() -%}
        {%- do exceptions.raise_compiler_error(
            'On PostgreSQL each table has a hook that names it in the transaction that replaces it. Without one: '
            ~ without | sort | join(', ') ~ '. Nothing was built. Add to dbt_project.yml, below the models, seeds and '
            ~ 'snapshots of the project: +post-hook: "{' ~ '{ dbt_delivery.log_built() }' ~ '}"'
        ) -%}
    {%- endif -%}
{%- endmacro %}


{# Drops a table at once, outside of dbt's transactions, which nothing commits in `dbt run-operation`. #}
{% macro drop_grown(relation) -%}
    {{ return(adapter.dispatch('drop_grown', 'dbt_delivery')(relation)) }}
{%- endmacro %}

{% macro default__drop_grown(relation) -%}
    {%- do run_query('drop table if exists ' ~ relation) -%}
{%- endmacro %}

{% macro postgres__drop_grown(relation) -%}
    {%- do run_query('drop table if exists ' ~ relation ~ ' cascade; commit') -%}
{%- endmacro %}


{# Writes into an audit table at once, outside of dbt's transactions, as above. #}
{% macro log_apart(statement) -%}
    {{ return(adapter.dispatch('log_apart', 'dbt_delivery')(statement)) }}
{%- endmacro %}

{% macro default__log_apart(statement) -%}
    {%- do run_query(statement) -%}
{%- endmacro %}

{% macro postgres__log_apart(statement) -%}
    {%- do run_query(statement ~ '; commit') -%}
{%- endmacro %}


{# Takes a command's lines out of an audit table; parquet parts cannot be changed, so Spark writes the table anew. #}
{% macro forget_command(table, its) -%}
    {{ return(adapter.dispatch('forget_command', 'dbt_delivery')(table, its)) }}
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


{# Values as a list of SQL text literals. #}
{% macro quoted(values) -%}
    {%- for value in values -%}
        {{ adapter.dispatch('text_literal', 'dbt_delivery')(value | string) }}{{ ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}


{# A text as a SQL literal. Spark, told to take backslashes as they are, has no sign for an apostrophe between apostrophes. #}
{% macro default__text_literal(text) -%}
    '{{ dbt.escape_single_quotes(text) }}'
{%- endmacro %}

{% macro spark__text_literal(text) -%}
    {%- if "'" not in text -%}
        '{{ text }}'
    {%- else -%}
        concat('{{ text.split("'") | join("', \"'\", '") }}')
    {%- endif -%}
{%- endmacro %}
