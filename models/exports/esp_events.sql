{{
    config(
        materialized='incremental', incremental_strategy='append', on_schema_change='fail',
        pre_hook="{{ delete_days_due() }}", partition_by=day_parts(), indexes=day_indexes(['namespace'])
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

changes as (

    select
        unique_key,
        event_day,
        max(changed_at) as changed_at
    from {{ ref('email_changes') }}
    group by unique_key, event_day

)

select
    events.namespace,
    events.email,
    events.event,
    events.event_time,
    events.device_type,
    events.user_agent,
    events.click_url,
    events.unsubscribe_source,
    events.campaign_id,
    events.campaign_name,
    events.campaign_classification,
    events.audience_id,
    events.campaign_run_id,
    events.campaign_run_time,
    events.variant_id,
    events.subject_line,
    events.tracking_parameters,
    events.nqe,
    events.journey_id,
    events.journey_name,
    events.unique_key,
    greatest(events.updated_at, coalesce(changes.changed_at, events.updated_at)) as updated_at,
    events.reason,
    events.is_bot_click,
    {%- for field in extra_fields() %}
    events.{{ field.name }},
    {%- endfor %}
    events.event_day
from events
left join changes
    on events.unique_key = changes.unique_key
    and events.event_day = changes.event_day
order by events.event_day, events.namespace, events.event_time, events.unique_key
