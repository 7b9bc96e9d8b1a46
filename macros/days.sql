{#
    Days due. Tables that grow (config.meta.grows_by: event_day) are replaced by whole days; the model int_days_due says
    which days of which of them. Here is what it knows besides raw rows, how a day's old rows go, and which days a test
    has to look at.
#}

{# One row per growing model, day and build of it; is_kept: no partial run, after which the rows may be gone, began since. #}
{% macro builds_of_days() -%}
    select
        {{ name_of('days.unique_id') }} as model,
        days.event_day,
        days.started_at as built_at,
        partial_runs.started_at is null or days.started_at > partial_runs.started_at as is_kept
    from {{ dbt_delivery.audit_table('build_days') }} as days
    left join (
        select
            unique_id,
            max(started_at) as started_at
        from {{ dbt_delivery.audit_table('build_log') }}
        where partial
        group by unique_id
    ) as partial_runs on days.unique_id = partial_runs.unique_id
{%- endmacro %}


{# The name of a model in its unique id, of this project. #}
{% macro name_of(unique_id) -%}
    substr({{ unique_id }}, {{ ('model.' ~ project_name ~ '.') | length + 1 }})
{%- endmacro %}


{# A condition: that event_day is one of the days due of a model. #}
{% macro is_due(model_name) -%}
    {%- set days = days_written(model_name) -%}
    event_day {{ one_of(days_due(model_name)) if days is none else one_of_days(days) }}
{%- endmacro %}

{# A condition: that event_day is no more than so many days before the first day due of a model, or after the last. #}
{% macro is_near_due(model_name, number) -%}
    {%- set days = days_written(model_name) -%}
    {%- set reach = modules.datetime.timedelta(number) -%}
    {%- if days is none -%}
        event_day between (
            select cast({{ dbt.dateadd('day', -number, 'min(event_day)') }} as date) from ({{ days_due(model_name) }}) as due
        ) and (
            select cast({{ dbt.dateadd('day', number, 'max(event_day)') }} as date) from ({{ days_due(model_name) }}) as due
        )
    {%- elif days -%}
        event_day between cast('{{ days | min - reach }}' as date) and cast('{{ days | max + reach }}' as date)
    {%- else -%}
        false
    {%- endif -%}
{%- endmacro %}

{# The days due of a model, to be written out where the engine wants them so; none where a query asks for them. #}
{% macro days_written(model_name) -%}
    {%- if wants_days_written() and execute and model.resource_type == 'model' and is_incremental() -%}
        {{ return(run_query(days_due(model_name)).columns[0].values() | list) }}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}

{# What follows a column: that it is one of the days. #}
{% macro one_of_days(days) -%}
    in ({% for day in days %}cast('{{ day }}' as date){{ ', ' if not loop.last }}{% else %}cast(null as date){% endfor %})
{%- endmacro %}

{# A query: the days due of a model. #}
{% macro days_due(model_name) -%}
    select event_day from {{ ref('int_days_due') }} where model = '{{ model_name }}'
{%- endmacro %}


{# The hook before a growing model: a day due loses its old rows, also if it has no new ones. #}
{% macro delete_days_due() -%}
    {%- set days = days_due(model.name) -%}
    {%- if is_incremental() -%}
        {{ return(delete_days(this, days)) }}
    {%- elif execute and not load_relation(this) and not run_query(days ~ ' limit 1').rows
            and run_query('select event_day from ' ~ raw_days() ~ ' limit 1').rows -%}
        {%- do exceptions.raise_compiler_error(
            model.name ~ ' is new, and int_days_due does not know it: build it with what it is made of, --select +'
            ~ model.name ~ '.'
        ) -%}
    {%- endif -%}
{%- endmacro %}


{#
    A condition: the days that a test of growing models has to look at. Those are the days due, which the same command
    has just built, and those built since the test last passed. So a pass vouches for every day built until then, and a
    test that failed looks at its days again until it passes. before: days more to look back.
#}
{% macro is_under_test(models) -%}
    {%- if var('test_all_days') or flags.FULL_REFRESH -%}
        {{ return('true') }}
    {%- endif -%}
    {%- set unique_ids = [] -%}
    {%- for name in models -%}
        {%- do unique_ids.append('model.' ~ project_name ~ '.' ~ name) -%}
    {%- endfor -%}
    {%- set statuses = ['pass', 'warn'] if (model.config.meta or {}).get('gate') == 'open_list' else ['pass'] -%}
    {%- if has_changed_seed(statuses) -%}
        {{ return('true') }}
    {%- endif -%}
    {%- set days -%}
        select event_day from {{ dbt_delivery.audit_table('int_days_due') }} where model in ({{ dbt_delivery.quoted(models) }})
        union distinct
        select event_day from {{ dbt_delivery.audit_table('build_days') }}
        where unique_id in ({{ dbt_delivery.quoted(unique_ids) }}) and coalesce(ended_at, started_at) > (
            select coalesce(max(coalesce(began_at, started_at)), timestamp '1970-01-01 00:00:00')
            from {{ dbt_delivery.audit_table('build_log') }}
            where unique_id = '{{ model.unique_id }}' and phase = 'end' and not partial
                and status in ({{ dbt_delivery.quoted(statuses) }})
        )
    {%- endset %}
    event_day {{ one_of(days) }}
{%- endmacro %}


{# Whether a seed that the test reads is another than when the test last passed: then it looks at all days again. #}
{% macro has_changed_seed(statuses) -%}
    {%- set log = dbt_delivery.audit_table('build_log') -%}
    {%- set seeds = model.depends_on.nodes | select('in', graph.nodes) | list if execute and load_relation(log) else [] -%}
    {%- for seed in seeds if seed.startswith('seed.') -%}
        {%- set passed_with = run_query(
            'select fingerprint from ' ~ log ~ " where unique_id = '" ~ seed ~ "' and phase = 'end'"
            ~ " and status = 'success' and coalesce(ended_at, started_at) <= ("
            ~ 'select max(coalesce(began_at, started_at)) from ' ~ log ~ " where unique_id = '"
            ~ model.unique_id ~ "' and phase = 'end' and not partial and status in (" ~ dbt_delivery.quoted(statuses) ~ '))'
            ~ ' order by coalesce(ended_at, started_at) desc limit 1'
        ).rows -%}
        {%- if passed_with and passed_with[0][0] != graph.nodes[seed].checksum.checksum -%}
            {{ return(true) }}
        {%- endif -%}
    {%- endfor -%}
    {{ return(false) }}
{%- endmacro %}


{# The relation of int_raw_days, for what looks at it without waiting for it. #}
{% macro raw_days() -%}
    {{ return(dbt_delivery.audit_table('int_raw_days')) }}
{%- endmacro %}


{#
    What records said of each day when it was last built. Read without waiting for it: int_record_days is itself built from
    the days that this makes due. email_events and int_email_signals name it, so that it is built with whatever they are for.
#}
{% macro earlier_record_days() -%}
    {{ earlier_rows('int_record_days', dates=['event_day'], truths=['knows_namespace'],
        texts=['namespace', 'campaign_run_id', 'journey_id', 'run_version', 'journey_name']) }}
{%- endmacro %}


{# What int_raw_days needs of int_repeat_days, which is itself built from the days that this makes due. #}
{% macro earlier_repeat_days() -%}
    {{ earlier_rows('int_repeat_days', dates=['event_day', 'seen_on'], texts=[]) }}
{%- endmacro %}


{# What int_raw_days needs of int_email_arguments, which is itself built from the days that this makes due. #}
{% macro earlier_email_arguments() -%}
    {{ earlier_rows('int_email_arguments', dates=['event_day', 'told_from', 'told_until'], texts=['message_id', 'smtp_id']) }}
{%- endmacro %}


{# Columns of a model as it was last built, read without waiting for it; no rows before it is built, or all is built anew. #}
{% macro earlier_rows(name, dates, texts, truths=[]) -%}
    {%- set relation = adapter.get_relation(this.database, this.schema, name) if execute and is_incremental() -%}
    {%- set columns = [] -%}
    {%- for kind, of_kind in [('date', dates), ('boolean', truths), (dbt.type_string(), texts)] -%}
        {%- for column in of_kind -%}
            {%- do columns.append(column if relation else 'cast(null as ' ~ kind ~ ') as ' ~ column) -%}
        {%- endfor -%}
    {%- endfor -%}
    select {{ columns | join(', ') }} {{ 'from ' ~ relation if relation else 'where false' }}
{%- endmacro %}


{#
    The rows that esp_events has of the days due until it is built: read without waiting for it, by the model that it
    reads itself. Of an extra field that the table does not have yet it has nothing.
#}
{% macro earlier_esp_events() -%}
    {%- set relation = adapter.get_relation(this.database, this.schema, 'esp_events') if execute -%}
    {%- set fields = extra_fields() -%}
    {%- set stored = adapter.get_columns_in_relation(relation) | map(attribute='name') | list if fields and relation else [] -%}
    select
        *
        {%- for field in fields if field.name not in stored %},
        cast(null as {{ api.Column.translate_type(field.data_type) }}) as {{ field.name }}
        {%- endfor %}
    from {{ relation if relation else ref('email_events') }}
    where {{ is_due('esp_events') if relation else 'false' }}
{%- endmacro %}


{# Whether a version of a journey was the one when a run began; a journey with one version has it always. #}
{% macro is_journey_of(campaign_run_time) -%}
    (journeys.valid_from is null or {{ campaign_run_time }} >= journeys.valid_from)
    and (journeys.valid_to is null or {{ campaign_run_time }} < journeys.valid_to)
{%- endmacro %}


{# The keys of the days on which posts of events of the days due came before; days due are read anew, not here. #}
{% macro earlier_email_events() -%}
    {%- set due = days_due(model.name) -%}
    {%- set before = 'select seen_on from ' ~ ref('int_repeat_days') ~ ' where ' ~ is_due(model.name) -%}
    {%- if is_incremental() -%}
        select
            unique_key,
            retry_id,
            is_rejected,
            email,
            event,
            event_day
        from {{ this }}
        where event_day not in ({{ due }})
            and event_day {{ one_of(before) }}
    {%- else -%}
        select
            cast(null as {{ dbt.type_string() }}) as unique_key,
            cast(null as {{ dbt.type_string() }}) as retry_id,
            cast(null as boolean) as is_rejected,
            cast(null as {{ dbt.type_string() }}) as email,
            cast(null as {{ dbt.type_string() }}) as event,
            cast(null as date) as event_day
        where false
    {%- endif -%}
{%- endmacro %}


{# The versions of campaign runs that were read before. #}
{% macro earlier_run_versions() -%}
    {{ earlier_rows('int_run_versions', dates=[], texts=['namespace', 'campaign_run_id', 'run_version']) }}
{%- endmacro %}


{# What int_raw_days knew before, without the days that were only asked for. #}
{% macro earlier_raw_days() -%}
    {%- if is_incremental() -%}
        select * from {{ this }} where cause <> 'asked for'
    {%- else -%}
        select
            cast(null as date) as event_day,
            cast(null as {{ dbt.type_string() }}) as cause,
            cast(null as {{ dbt.type_string() }}) as file_name,
            cast(null as timestamp) as loaded_at
        where false
    {%- endif -%}
{%- endmacro %}
