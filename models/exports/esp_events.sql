{{
    config(
        materialized='incremental', incremental_strategy='append', on_schema_change='fail',
        pre_hook="{{ delete_days_due() }}", partition_by=day_parts()
    )
}}

with events as (

    select * from {{ ref('email_events') }}
    where is_exported
        and event_day in (select event_day from {{ ref('int_days_due') }} where model = 'esp_events')

),

changes as (

    select
        event_day,
        max(changed_at) as changed_at,
        unique_key
    from {{ ref('email_changes') }}
    group by event_day, unique_key

),

dated as (

    select
        events.*,
        greatest(events.updated_at, coalesce(changes.changed_at, events.updated_at)) as last_changed_at
    from events
    left join changes
        on events.unique_key = changes.unique_key
        and events.event_day = changes.event_day

)

select
    namespace,
    email,
    event,
    event_time,
    device_type,
    user_agent,
    click_url,
    unsubscribe_source,
    campaign_id,
    campaign_name,
    campaign_classification,
    audience_id,
    campaign_run_id,
    campaign_run_time,
    variant_id,
    subject_line,
    tracking_parameters,
    nqe,
    journey_id,
    journey_name,
    unique_key,
    last_changed_at as updated_at,
    reason,
    is_bot_click,
    event_day
from dated
order by event_day, namespace, event_time, unique_key
