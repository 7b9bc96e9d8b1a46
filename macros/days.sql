{#
    Which days a growing model has to build again. A growing model (config.meta.grows_by: event_day) is replaced by whole
    days. A day is due when raw rows that touch it were loaded, or a growing model above it was built, after the model's
    own last build of the day; the tables build_days and build_log remember those builds (macros/audit.sql).
    Days come as literals, not as a subquery, so that every engine reads only those days.
#}

{% macro days_to_rebuild(unique_id) -%}
    {%- if not execute or not load_relation(raw_days()) -%}
        {{ return([]) }}
    {%- endif -%}
    {%- if flags.FULL_REFRESH and unique_id in selected_resources -%}
        {{ return(query_days('select distinct event_day from ' ~ raw_days())) }}
    {%- endif -%}
    {%- set query -%}
        {%- for node in [unique_id] + growing_parents(unique_id) if node == unique_id or node in selected_resources %}
            {{ 'union' if not loop.first }}
            select versions.event_day
            from (
                select event_day, loaded_at as version from {{ raw_days() }}
                union all
                select event_day, started_at as version from {{ audit_table('build_days') }}
                where unique_id in ({{ quoted(growing_parents(node) or ['']) }})
            ) as versions
            left join (
                select event_day, max(started_at) as built_at from {{ audit_table('build_days') }}
                where unique_id = '{{ node }}' and started_at > {{ last_partial(node) }}
                group by event_day
            ) as builds on versions.event_day = builds.event_day
            where builds.built_at is null or versions.version > builds.built_at
        {%- endfor %}
        {%- if var('rebuild_from') and var('rebuild_to') and unique_id in selected_resources %}
            union
            select event_day from {{ raw_days() }}
            where event_day between date '{{ var("rebuild_from") }}' and date '{{ var("rebuild_to") }}'
        {%- endif %}
    {%- endset -%}
    {{ return(query_days(query)) }}
{%- endmacro %}


{# The filter of a growing model on what it reads: the days due. Everything when the table is made anew. #}
{% macro is_due(column='event_day') -%}
    {%- do ref('int_raw_days') if model.resource_type == 'model' -%}
    {%- if is_incremental() -%}
        {{ in_days(column, days_to_rebuild(model.unique_id)) }}
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}


{#
    The days that a test of growing models has to look at: those that it has not passed since they were built. So a
    bounded test that passes vouches for every day built until then, and one that failed looks at its days again until
    it passes. None: all days.
#}
{% macro days_under_test(unique_ids) -%}
    {%- if not execute or var('test_all_days') or flags.FULL_REFRESH or not load_relation(raw_days()) -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set statuses = ['pass', 'warn'] if (model.config.meta or {}).get('gate') == 'open_list' else ['pass'] -%}
    {%- for seed in model.depends_on.nodes if seed.startswith('seed.') -%}
        {%- set passed_with = run_query(
            'select fingerprint from ' ~ audit_table('build_log') ~ " where unique_id = '" ~ seed ~ "' and phase = 'end'"
            ~ " and status = 'success' and coalesce(ended_at, started_at) <= ("
            ~ 'select max(coalesce(began_at, started_at)) from ' ~ audit_table('build_log') ~ " where unique_id = '"
            ~ model.unique_id ~ "' and phase = 'end' and not partial and status in (" ~ quoted(statuses) ~ '))'
            ~ ' order by coalesce(ended_at, started_at) desc limit 1'
        ).rows -%}
        {%- if passed_with and passed_with[0][0] != graph.nodes[seed].checksum.checksum -%}
            {{ return(none) }}
        {%- endif -%}
    {%- endfor -%}
    {%- set query -%}
        select distinct event_day
        from {{ audit_table('build_days') }}
        where unique_id in ({{ quoted(unique_ids) }})
            and coalesce(ended_at, started_at) > (
                select coalesce(max(coalesce(began_at, started_at)), timestamp '1970-01-01 00:00:00')
                from {{ audit_table('build_log') }}
                where unique_id = '{{ model.unique_id }}' and phase = 'end' and not partial
                    and status in ({{ quoted(statuses) }})
            )
    {%- endset -%}
    {%- set days = query_days(query) -%}
    {%- for unique_id in unique_ids if unique_id in selected_resources -%}
        {%- do days.extend(days_to_rebuild(unique_id)) -%}
    {%- endfor -%}
    {{ return(days | unique | sort | list) }}
{%- endmacro %}


{# The same as a filter, for singular tests; models: names of the growing models tested; before: days more to look back. #}
{% macro is_under_test(models, column='event_day', before=0) -%}
    {%- set unique_ids = [] -%}
    {%- for name in models -%}
        {%- do unique_ids.append('model.' ~ project_name ~ '.' ~ name) -%}
    {%- endfor -%}
    {%- set days = days_under_test(unique_ids) -%}
    {{ return('true' if days is none else in_days(column, days + days_before(days, before))) }}
{%- endmacro %}


{# Generic tests on growing models say `config: where: __rebuilt_days__`; every other condition works as dbt has it. #}
{% macro get_where_subquery(relation) -%}
    {%- set where = config.get('where') or '' -%}
    {%- if '__rebuilt_days__' in where -%}
        {%- set days = days_under_test([model.attached_node]) -%}
        {%- set bound = 'true' if days is none else in_days('event_day', days) -%}
        {%- set where = where | replace('__rebuilt_days__', bound) -%}
    {%- endif -%}
    {%- if where -%}
        {{ return('(select * from ' ~ relation ~ ' where ' ~ where ~ ') as dbt_subquery') }}
    {%- else -%}
        {{ return(relation) }}
    {%- endif -%}
{%- endmacro %}


{# The relation of int_raw_days for tests, which look at it without waiting for it. #}
{% macro raw_days() -%}
    {{ return(audit_table('int_raw_days')) }}
{%- endmacro %}


{# The growing models above a model, through whatever lies between. #}
{% macro growing_parents(unique_id) -%}
    {%- set found = [] -%}
    {%- set queue = [unique_id] -%}
    {%- for _ in range(10000) if queue -%}
        {%- set node = graph.nodes.get(queue.pop()) -%}
        {%- for parent in (node.depends_on.nodes if node else []) if parent not in found -%}
            {%- do found.append(parent) -%}
            {%- do queue.append(parent) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found | select('in', growing_models()) | list) }}
{%- endmacro %}


{% macro growing_models() -%}
    {%- set found = [] -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' -%}
        {%- do found.append(node.unique_id) if node.config.meta.get('grows_by') == 'event_day' -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{% macro query_days(query) -%}
    {{ return(run_query(query).columns[0].values() | map('string') | unique | sort | list) }}
{%- endmacro %}


{% macro in_days(column, days) -%}
    {%- if not days -%}
        {{ return('false') }}
    {%- endif -%}
    {%- set literals = [] -%}
    {%- for day in days -%}
        {%- do literals.append("date '" ~ day ~ "'") -%}
    {%- endfor -%}
    {{ return(column ~ ' in (' ~ literals | join(', ') ~ ')') }}
{%- endmacro %}


{# Replaces whole days; a day that has no rows any more loses its old ones. #}
{% macro get_incremental_replace_days_sql(arg_dict) -%}
    {%- set columns = arg_dict['dest_columns'] | map(attribute='quoted') | join(', ') -%}
    delete from {{ arg_dict['target_relation'] }}
    where {{ in_days('event_day', days_to_rebuild(model.unique_id)) }};
    insert into {{ arg_dict['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }}
{%- endmacro %}
