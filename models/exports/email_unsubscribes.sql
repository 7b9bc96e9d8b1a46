{{
    config(
        materialized='incremental', incremental_strategy=day_strategy(), partition_by=day_parts(),
        on_schema_change='fail'
    )
}}

with unsubscribes as (

    select * from {{ ref('email_events') }}
    where event = 'unsubscribe' and is_exported and {{ is_due() }}

),

sources as (

    select * from {{ ref('unsubscribe_sources') }}
    where origin = 'email'

)

select
    unsubscribes.namespace,
    unsubscribes.email,
    unsubscribes.event,
    unsubscribes.event_time,
    unsubscribes.device_type,
    unsubscribes.user_agent,
    unsubscribes.campaign_id,
    unsubscribes.campaign_name,
    unsubscribes.campaign_classification,
    unsubscribes.audience_id,
    unsubscribes.campaign_run_id,
    unsubscribes.campaign_run_time,
    unsubscribes.variant_id,
    unsubscribes.subject_line,
    unsubscribes.tracking_parameters,
    unsubscribes.nqe,
    unsubscribes.unique_key,
    unsubscribes.updated_at,
    unsubscribes.event_day
from unsubscribes
inner join sources on unsubscribes.unsubscribe_source = sources.unsubscribe_source
order by unsubscribes.event_day, unsubscribes.namespace, unsubscribes.event_time, unsubscribes.unique_key
