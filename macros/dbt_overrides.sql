{# dbt's own macros that are replaced, all of them, and why. #}

{#
    On every engine, as dbt's documentation says to: generic tests on growing models say `config: where: __rebuilt_days__`,
    which no text in a yml could say. Every other condition works as dbt has it.
#}
{% macro get_where_subquery(relation) -%}
    {%- set where = config.get('where') or '' -%}
    {%- if '__rebuilt_days__' in where -%}
        {%- set tested = graph.nodes[model.attached_node].name if execute else '' -%}
        {%- set where = where | replace('__rebuilt_days__', is_under_test([tested])) -%}
    {%- endif -%}
    {{ return('(select * from ' ~ relation ~ ' where ' ~ where ~ ') as dbt_subquery' if where else relation) }}
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
            {%- set value = 'null' if row[name] is none else dbt_delivery.quoted([row[name]]) -%}
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


{# A test's query on PostgreSQL: tests have no hooks. #}
{% macro postgres__get_test_sql(main_sql, fail_calc, warn_if, error_if, limit) -%}
    {{ uncompiled() }};
    {{ default__get_test_sql(main_sql, fail_calc, warn_if, error_if, limit) }}
{%- endmacro %}
