{#- All that a client reads of a row, but for its key and its time: in both datasets, and in esp_events alone. -#}
{%- set shared = [
    'namespace', 'email', 'event', 'event_time', 'device_type', 'user_agent', 'campaign_id', 'campaign_name',
    'campaign_classification', 'audience_id', 'campaign_run_id', 'campaign_run_time', 'variant_id', 'subject_line',
    'tracking_parameters', 'nqe'
] -%}
{%- set others = ['click_url', 'unsubscribe_source', 'journey_id', 'journey_name', 'reason', 'is_bot_click'] -%}

{#- Kept by a full refresh: nothing else knows when a row became what it is. -#}
{{
    config(
        materialized='incremental', incremental_strategy='append', on_schema_change='append_new_columns',
        full_refresh=false
    )
}}

with due as (

    select * from {{ ref('email_events') }}
    where is_exported
        and {{ is_due('esp_events') }}

),

events as (

    {{ with_extra_fields('due') | indent(4) }}

),

earlier as (

    {{ earlier_esp_events() | indent(4) }}

),

-- A row that is gone differs, too: it may come back as another.
compared as (

    select
        earlier.unique_key,
        earlier.event_day,
        false
        {%- for column in shared %}
        or (events.{{ column }} is distinct from earlier.{{ column }})
        {%- endfor %} as is_of_unsubscribe,
        false
        {%- for column in others + (extra_fields() | map(attribute='name') | list) %}
        or (events.{{ column }} is distinct from earlier.{{ column }})
        {%- endfor %} as is_of_event
    from earlier
    left join events
        on earlier.unique_key = events.unique_key
        and earlier.event_day = events.event_day

)

select
    unique_key,
    event_day,
    {{ dbt_delivery.started_at() }} as changed_at,
    is_of_unsubscribe
from compared
where is_of_unsubscribe or is_of_event
