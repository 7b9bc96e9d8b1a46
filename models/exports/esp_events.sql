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
