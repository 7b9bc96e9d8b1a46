{{
    config(
        materialized='incremental', incremental_strategy=day_strategy(), partition_by=day_parts(),
        on_schema_change='fail'
    )
}}

with events as (

    select * from {{ ref('int_email_events_classified') }}
    where disposition = 'rejected' and {{ is_due() }}

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
