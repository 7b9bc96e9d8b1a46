{#
    What the last build left, for models that must not depend on it: a row rejected for want of its campaign run makes
    its day due again when the run is known, but rejected_events is itself built from those days.
#}

{% macro earlier_raw_days() -%}
    {%- if is_incremental() -%}
        select * from {{ this }}
    {%- else -%}
        select
            cast(null as date) as event_day,
            cast(null as {{ dbt.type_string() }}) as cause,
            cast(null as {{ dbt.type_string() }}) as file_name,
            cast(null as timestamp) as loaded_at
        where false
    {%- endif -%}
{%- endmacro %}


{% macro earlier_rejected_events() -%}
    {%- set relation = adapter.get_relation(this.database, this.schema, 'rejected_events') if execute -%}
    {%- if relation and is_incremental() -%}
        select
            event_day,
            reason,
            namespace,
            campaign_run_id
        from {{ relation }}
    {%- else -%}
        select
            cast(null as date) as event_day,
            cast(null as {{ dbt.type_string() }}) as reason,
            cast(null as {{ dbt.type_string() }}) as namespace,
            cast(null as {{ dbt.type_string() }}) as campaign_run_id
        where false
    {%- endif -%}
{%- endmacro %}


{# The load up to which int_raw_days knows the raw rows. #}
{% macro newest_raw_day() -%}
    {%- if is_incremental() -%}
        (select coalesce(max(loaded_at), timestamp '1970-01-01 00:00:00') from {{ this }})
    {%- else -%}
        timestamp '1970-01-01 00:00:00'
    {%- endif -%}
{%- endmacro %}


{# The keys of the retry days before the days being built; days being built are read anew, not here. #}
{% macro earlier_email_events() -%}
    {%- if is_incremental() -%}
        select
            unique_key,
            is_rejected,
            event_day
        from {{ this }}
        where {{ in_days('event_day', days_before(days_to_rebuild(model.unique_id), var('webhook_retry_days'))) }}
    {%- else -%}
        select
            cast(null as {{ dbt.type_string() }}) as unique_key,
            cast(null as boolean) as is_rejected,
            cast(null as date) as event_day
        where false
    {%- endif -%}
{%- endmacro %}


{# Days within so many days before the given ones, without the given ones. #}
{% macro days_before(days, number) -%}
    {%- set found = [] -%}
    {%- for day in days -%}
        {%- for back in range(1, number + 1) -%}
            {%- set date = modules.datetime.date.fromisoformat(day) - modules.datetime.timedelta(days=back) -%}
            {%- do found.append(date.isoformat()) if date.isoformat() not in days -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found | unique | sort) }}
{%- endmacro %}


{# Whether an event received on one day may be the retry of the same event received on a day before. #}
{% macro is_retry_of(first_day, day, same_day=false) -%}
    {{ first_day }} {{ '<=' if same_day else '<' }} {{ day }}
    and cast({{ dbt.dateadd('day', var('webhook_retry_days'), first_day) }} as date) >= {{ day }}
{%- endmacro %}
