{#
    The audit tables, written by every dbt command that builds or tests. run_results.json holds only the last command's
    word and is overwritten by an empty one; these tables are kept, in the warehouse, beside the rows they speak of.

    build_log   at the start one row per model, seed and snapshot selected (phase start); at the end one row per result
                (phase end). A start without an end is a build that was killed.
    build_days  the days that each growing model built.
#}

{% macro audit_table(name) -%}
    {{ return(api.Relation.create(database=target.database or none, schema=target.schema, identifier=name)) }}
{%- endmacro %}


{% macro is_audited() -%}
    {{ return(execute and invocation_args_dict.which in ['build', 'run', 'test', 'seed', 'snapshot', 'retry']) }}
{%- endmacro %}


{# A run that is no proof: it built from nothing, from a sample, or from another schema's tables. #}
{% macro is_partial() -%}
    {%- set args = invocation_args_dict -%}
    {{ return((args.get('empty') or args.get('sample') or args.get('defer') or false) and true) }}
{%- endmacro %}


{% macro started_at() -%}
    timestamp '{{ run_started_at.strftime("%Y-%m-%d %H:%M:%S.%f") }}'
{%- endmacro %}


{% macro create_build_log() -%}
    {%- if is_audited() -%}
        create table if not exists {{ audit_table('build_log') }} (
            invocation_id {{ dbt.type_string() }},
            started_at timestamp,
            phase {{ dbt.type_string() }},
            command {{ dbt.type_string() }},
            partial boolean,
            unique_id {{ dbt.type_string() }},
            resource_type {{ dbt.type_string() }},
            status {{ dbt.type_string() }},
            failures bigint,
            whole_table boolean,
            message {{ dbt.type_string() }}
        )
    {%- endif -%}
{%- endmacro %}


{% macro create_build_days() -%}
    {%- if is_audited() -%}
        create table if not exists {{ audit_table('build_days') }} (
            invocation_id {{ dbt.type_string() }},
            started_at timestamp,
            unique_id {{ dbt.type_string() }},
            event_day date
        ) {{ parts_of_days() }}
    {%- endif -%}
{%- endmacro %}


{# Versions of days are times: a clock that went back would hide new rows. #}
{% macro check_clock() -%}
    {%- if is_audited() -%}
        {%- set last = run_query('select max(started_at) from ' ~ audit_table('build_log')).columns[0].values()[0] -%}
        {%- if last and last >= run_started_at.replace(tzinfo=none) -%}
            {%- do exceptions.raise_compiler_error(
                'The clock went back: a command began at ' ~ last ~ ' UTC, and this one at ' ~ run_started_at
                ~ '. Set the clock right; nothing was built.'
            ) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{# A growing model that was dropped by hand, or is to be built anew, has no days any more. #}
{% macro forget_dropped_models() -%}
    {%- if is_audited() -%}
        {%- set dropped = [] -%}
        {%- for name in growing_models() -%}
            {%- set unique_id = 'model.' ~ project_name ~ '.' ~ name -%}
            {%- set node = graph.nodes[unique_id] -%}
            {%- set relation = adapter.get_relation(node.database, node.schema, node.alias) -%}
            {%- set is_anew = flags.FULL_REFRESH and unique_id in selected_resources -%}
            {%- do dropped.append(unique_id) if not relation or relation.is_view or is_anew -%}
        {%- endfor -%}
        {%- if dropped -%}
            {{ forget_days(dropped) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{% macro log_start() -%}
    {%- set rows = [] -%}
    {%- if is_audited() -%}
        {%- for unique_id in selected_resources if unique_id.split('.')[0] in ['model', 'seed', 'snapshot'] -%}
            {%- do rows.append(log_row('start', unique_id, 'selected')) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ log_insert(rows) }}
{%- endmacro %}


{% macro log_end(results) -%}
    {%- set rows = [] -%}
    {%- if is_audited() -%}
        {%- for result in results if result.node.unique_id.split('.')[0] != 'operation' -%}
            {%- do rows.append(log_row(
                'end', result.node.unique_id, result.status | string, result.failures, is_whole_table(result.node),
                failing_rows(result) or result.message
            )) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ log_insert(rows) }}
{%- endmacro %}


{#
    What a failing test with `config.meta.explain` found: those columns of its first rows, said at once and kept in the
    log. Only columns that name a place may be listed there, never an address.
#}
{% macro failing_rows(result) -%}
    {%- set columns = (result.node.config.meta or {}).get('explain') -%}
    {%- if not columns or result.status | string != 'fail' -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set found = run_query(
        'select ' ~ columns | join(', ') ~ ' from (' ~ result.node.compiled_code ~ ') as failing order by '
        ~ columns | join(', ') ~ ' limit 20'
    ) -%}
    {%- set lines = [] -%}
    {%- for row in found.rows -%}
        {%- set cells = [] -%}
        {%- for column in columns -%}
            {%- do cells.append(column | replace('_', ' ') ~ ' ' ~ row[loop.index0]) -%}
        {%- endfor -%}
        {%- do lines.append(cells | join(', ')) -%}
    {%- endfor -%}
    {%- do log(result.node.name ~ ': ' ~ lines | join('; '), info=true) -%}
    {{ return(lines | join('; ')) }}
{%- endmacro %}


{# What is due when a command ends is what it built: nothing is due any more once this is written. #}
{% macro log_days(results) -%}
    {%- set built = [] -%}
    {%- if is_audited() and not is_partial() -%}
        {%- for result in results if result.status | string == 'success' and result.node.name in growing_models() -%}
            {%- do built.append(result.node.name) if result.node.resource_type == 'model' -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if built -%}
        insert into {{ audit_table('build_days') }} (invocation_id, started_at, unique_id, event_day)
        {%- for name in built %}
        {{ 'union all' if not loop.first }}
        select '{{ invocation_id }}', {{ started_at() }}, 'model.{{ project_name }}.{{ name }}', event_day
        from {{ audit_table('int_days_due') }}
        where model = '{{ name }}'
        {%- endfor %}
    {%- endif -%}
{%- endmacro %}


{# Whether a result speaks of all days: it was not bounded, or the bound was off. #}
{% macro is_whole_table(node) -%}
    {%- set bounded = '__rebuilt_days__' in (node.config.get('where') or '')
        or (node.config.meta or {}).get('bounded_by') == 'event_day' -%}
    {{ return(not bounded or var('test_all_days') or flags.FULL_REFRESH) }}
{%- endmacro %}


{% macro log_row(phase, unique_id, status, failures=none, whole_table=false, message=none) -%}
    {%- set cells = [
        "'" ~ invocation_id ~ "'", started_at(), "'" ~ phase ~ "'", "'" ~ invocation_args_dict.which ~ "'",
        is_partial() | string | lower, "'" ~ unique_id ~ "'", "'" ~ unique_id.split('.')[0] ~ "'", "'" ~ status ~ "'",
        'null' if failures is none else failures, whole_table | string | lower,
        'null' if not message else quoted([(message | string)[:1000] | replace('\\', '/')])
    ] -%}
    {{ return('(' ~ cells | join(', ') ~ ')') }}
{%- endmacro %}


{% macro log_insert(rows) -%}
    {%- if rows -%}
        insert into {{ audit_table('build_log') }} values {{ rows | join(', ') }}
    {%- endif -%}
{%- endmacro %}


{# When a model last succeeded in a run that was no partial one, and none was since. #}
{% macro last_success(unique_id) -%}
    (
        select coalesce(max(started_at), timestamp '1970-01-01 00:00:00')
        from {{ audit_table('build_log') }}
        where unique_id = '{{ unique_id }}' and phase = 'end' and status = 'success'
            and started_at > {{ last_partial(unique_id) }}
    )
{%- endmacro %}


{# When a partial run last began on a model: what was built before then may be gone. #}
{% macro last_partial(unique_id) -%}
    (
        select coalesce(max(started_at), timestamp '1970-01-01 00:00:00')
        from {{ audit_table('build_log') }}
        where unique_id = '{{ unique_id }}' and partial
    )
{%- endmacro %}
