{{
    config(
        materialized='incremental', incremental_strategy=day_strategy(), partition_by=day_parts(),
        on_schema_change='fail'
    )
}}

with events as (

    select * from {{ ref('email_events') }}
    where is_exported and {{ is_due() }}

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
    updated_at,
    reason,
    is_bot_click,
    event_day
from events
order by event_day, namespace, event_time, unique_key
