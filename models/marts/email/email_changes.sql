{#- All that a client reads of a row, but for its key and its time. -#}
{%- set content = [
    'namespace', 'email', 'event', 'event_time', 'device_type', 'user_agent', 'click_url', 'unsubscribe_source',
    'campaign_id', 'campaign_name', 'campaign_classification', 'audience_id', 'campaign_run_id', 'campaign_run_time',
    'variant_id', 'subject_line', 'tracking_parameters', 'nqe', 'journey_id', 'journey_name', 'reason', 'is_bot_click'
] -%}

{#- Kept by a full refresh: nothing else knows when a row became what it is. -#}
{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail', full_refresh=false) }}

with events as (

    select * from {{ ref('email_events') }}
    where is_exported
        and event_day in (select event_day from {{ ref('int_days_due') }} where model = 'esp_events')

),

earlier as (

    {{ earlier_esp_events() | indent(4) }}

)

select
    events.unique_key,
    events.event_day,
    {{ started_at() }} as changed_at
from events
inner join earlier
    on events.unique_key = earlier.unique_key
    and events.event_day = earlier.event_day
where
    false
    {%- for column in content %}
    or events.{{ column }} is distinct from earlier.{{ column }}
    {%- endfor %}
