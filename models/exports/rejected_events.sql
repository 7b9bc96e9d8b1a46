{{
    config(
        materialized='incremental', incremental_strategy='append', on_schema_change='fail',
        pre_hook="{{ delete_days_due() }}", partition_by=day_parts(), indexes=day_indexes()
    )
}}

with events as (

    select * from {{ ref('int_email_events_classified') }}
    where disposition = 'rejected'
        and {{ is_due('rejected_events') }}

)

select
    source,
    event_day,
    received_at,
    namespace,
    rejection_reason as reason,
    fault,
    campaign_run_id,
    payload,
    unique_key,
    file_name,
    line_number
from events
order by event_day, namespace, received_at, unique_key
